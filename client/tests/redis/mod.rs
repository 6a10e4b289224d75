//! A real Redis server at an endpoint.

use ssa_testing::namespace::{Endpoint, Process, eventually};

/// Starts redis-server with these arguments besides, without files of its own.
pub(crate) fn start(endpoint: &Endpoint, arguments: &[&str]) -> Process {
    let own = [
        "--port",
        "6379",
        "--bind",
        "::",
        "--save",
        "",
        "--appendonly",
        "no",
        "--protected-mode",
        "no",
    ];
    let server = Process::start(endpoint.command("redis-server").args(own).args(arguments));
    eventually("redis-server listens", || {
        endpoint.run("ss -6 -l -t -n").contains(":6379 ")
    });
    server
}
