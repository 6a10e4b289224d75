//! A program in C, compiled by the system's compiler, uses the library.
#![cfg(target_os = "linux")]

use std::{path::Path, process::Command};

use ssa_testing::namespace::{CLIENT, Endpoint, Process, client_host, eventually, inside};

/// Answers each connection with the address that was dialled and the client's.
const SERVER: &str = r#"
import socket
server = socket.create_server(("::", 80), family=socket.AF_INET6)
while True:
    stream, peer = server.accept()
    stream.sendall(f"{stream.getsockname()[0]} {peer[0]}".encode())
    stream.close()
"#;

/// Compiles the program, with every warning an error, against the shared library.
fn compiled() -> std::path::PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let this = std::env::current_exe().expect("this program");
    let libraries = this.parent().expect("a folder");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("get-{}", std::process::id()));
    let done = Command::new("cc")
        .args([
            "-std=c11",
            "-D_POSIX_C_SOURCE=200809L",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-I",
        ])
        .arg(here.join("include"))
        .arg(here.join("tests/get.c"))
        .arg("-L")
        .arg(libraries)
        .arg("-lssa_client_c")
        .arg(format!("-Wl,-rpath,{}", libraries.display()))
        .arg("-o")
        .arg(&program)
        .output()
        .expect("cc");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    program
}

#[test]
fn a_program_in_c_plans_and_connects() {
    inside("a_program_in_c_plans_and_connects", || {
        client_host();
        let program = compiled();
        let endpoint = Endpoint::new(0, &["2001:db8:5::/64"]);
        let _server = Process::start(endpoint.command("python3").args(["-c", SERVER]));
        eventually("the server listens", || endpoint.run("ss -6 -l -t -n").contains(":80 "));
        let done = Command::new(&program)
            .arg("photos/cat.jpg")
            .output()
            .expect("the program");
        let told = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{told}{}", String::from_utf8_lossy(&done.stderr));
        let lines: Vec<&str> = told.lines().collect();
        let first = lines[0].strip_suffix(" 0").expect("replica 0");
        assert!(first.starts_with("2001:db8:5:") && lines[1].ends_with(" 1"), "{told}");
        assert_eq!(lines[2], format!("{first} {CLIENT}"));
        assert_eq!(
            lines[3..],
            [
                "3 store.example: the record needs inputs that are not given: object key",
                "1 want: must not be null",
                "1 service",
                "1 no record is usable: record[0]: no addresses: neither an APL record with items of family 2 nor a tag apl",
            ],
            "{told}"
        );
        std::fs::remove_file(program).expect("removed");
    });
}
