//! Tests in network namespaces of their own, with a user namespace: they work for every user, and change no host.

use std::{
    ffi::OsStr,
    net::Ipv6Addr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const INSIDE: &str = "SSA_TEST_INSIDE";

/// What takes milliseconds, on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

/// Runs the body of the test of this name in a network namespace: the test starts itself again in there. Where none can be
/// made, the test is skipped, and says so.
///
/// # Panics
///
/// Where the body does.
pub fn inside(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        body();
        return;
    }
    let namespaces = [
        "--user",
        "--map-root-user",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ];
    let possible = Command::new("unshare").args(namespaces).arg("true").output();
    if !possible.is_ok_and(|done| done.status.success()) {
        eprintln!("SKIPPED: {test}: no network namespace can be made here");
        return;
    }
    let this = std::env::current_exe().expect("this program");
    let done = Command::new("unshare")
        .args(namespaces)
        .arg(this)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("unshare");
    let told = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{test} is not the test's name: {told}");
    for line in told.lines().filter(|line| line.starts_with("SKIPPED: ")) {
        eprintln!("{line}");
    }
}

/// Runs a command and returns what it prints.
///
/// # Panics
///
/// Where it fails.
#[allow(
    clippy::must_use_candidate,
    reason = "mostly it is what the command does that counts"
)]
pub fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let mut command_of = Command::new(words.next().expect("a program"));
    finish(command, command_of.args(words))
}

fn finish(text: &str, command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{text}: {error}"));
    assert!(
        done.status.success(),
        "{text}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).expect("text")
}

/// Waits until something is so.
///
/// # Panics
///
/// Where it is not so in time.
#[expect(
    clippy::disallowed_methods,
    reason = "nobody tells: it is looked at again after a pause"
)]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Finds a program, also where only root has it in `PATH`.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A process that ends with its handle.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts a command.
    ///
    /// # Panics
    ///
    /// Where it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Returns its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The address that the client of an [`Endpoint`] connects from.
pub const CLIENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 7);

/// Makes this namespace the client's host: it has the address [`CLIENT`].
pub fn client_host() {
    run("ip link set lo up");
    run(&format!("ip -6 addr add {CLIENT}/128 dev lo"));
}

/// An endpoint: a network namespace behind a link, in which prefixes are local (`AnyIP`).
#[derive(Debug)]
pub struct Endpoint {
    number: u8,
    namespace: Process,
}

impl Endpoint {
    /// Makes an endpoint that has these prefixes, and the client's routes to them. Each number is an endpoint's own.
    ///
    /// # Panics
    ///
    /// Where the system refuses.
    #[must_use]
    pub fn new(number: u8, prefixes: &[&str]) -> Self {
        let namespace = Process::start(Command::new("unshare").args(["--net", "sleep", "infinity"]));
        let endpoint = Self { number, namespace };
        let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        eventually("the endpoint has a namespace of its own", || {
            std::fs::read_link(format!("/proc/{}/ns/net", endpoint.namespace.id())).is_ok_and(|its| its != own)
        });
        let pid = endpoint.namespace.id();
        run(&format!(
            "ip link add to-e{number} type veth peer name eth0 netns {pid}"
        ));
        run(&format!("ip -6 addr add fd00:{number}::1/64 dev to-e{number} nodad"));
        run(&format!("ip link set to-e{number} up"));
        endpoint.run("ip link set lo up");
        endpoint.run(&format!("ip -6 addr add fd00:{number}::2/64 dev eth0 nodad"));
        endpoint.run("ip link set eth0 up");
        eventually("the link is up", || {
            let shown = run(&format!("ip -6 addr show dev to-e{number}")) + &endpoint.run("ip -6 addr show dev eth0");
            !shown.contains("tentative") && shown.matches("state UP").count() == 2
        });
        endpoint.run(&format!("ip -6 route add default via fd00:{number}::1"));
        for prefix in prefixes {
            endpoint.take(prefix);
        }
        endpoint
    }

    /// Takes a prefix, from whoever has it.
    pub fn take(&self, prefix: &str) {
        let number = self.number;
        self.run(&format!("ip -6 route replace local {prefix} dev lo"));
        run(&format!(
            "ip -6 route replace {prefix} via fd00:{number}::2 src {CLIENT}"
        ));
    }

    /// Returns a command that runs in its namespace.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.namespace.id().to_string(), "--net", "--"])
            .arg(program);
        command
    }

    /// Runs a command in its namespace and returns what it prints.
    ///
    /// # Panics
    ///
    /// Where it fails.
    #[allow(
        clippy::must_use_candidate,
        reason = "mostly it is what the command does that counts"
    )]
    pub fn run(&self, command: &str) -> String {
        let mut words = command.split_whitespace();
        finish(command, self.command(words.next().expect("a program")).args(words))
    }

    /// Lets nothing out of it any more: who connects to it gets no answer, not even a refusal.
    pub fn silence(&self) {
        self.run("ip -6 route del default");
    }
}
