//! Tests in network namespaces of their own, with a user namespace: they work for every user, and change no host.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const INSIDE: &str = "SSA_TEST_INSIDE";
/// What takes milliseconds, on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

/// Runs the body of the test of this name in a network namespace: the test starts itself again in there.
pub(crate) fn inside(test: &str, body: impl AsyncFnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime.expect("a runtime"), body());
        return;
    }
    let namespaces = ["--user", "--map-root-user", "--net", "--kill-child"];
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
}

/// Runs a command and returns what it prints.
pub(crate) fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let done = Command::new(words.next().expect("a program")).args(words).output();
    let done = done.unwrap_or_else(|error| panic!("{command}: {error}"));
    assert!(
        done.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).expect("text")
}

/// Waits until something is so.
#[expect(
    clippy::disallowed_methods,
    reason = "the kernel tells nobody: it is asked again after a pause"
)]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What the kernel tells of its routes.
pub(crate) struct Monitor {
    child: Child,
    lines: Receiver<String>,
}

impl Monitor {
    pub(crate) fn start() -> Self {
        let mut child = Command::new("ip")
            .args(["-6", "monitor", "route"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("ip monitor");
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().expect("output"));
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        let monitor = Self { child, lines };
        // It is there when it tells of a route of this test.
        eventually("the monitor listens", || {
            run("ip -6 route replace 2001:db8:ffff::/64 dev eth0");
            monitor.lines.recv_timeout(Duration::from_millis(50)).is_ok()
        });
        run("ip -6 route del 2001:db8:ffff::/64 dev eth0");
        monitor.until("Deleted");
        monitor
    }

    /// Waits for a line with a text, and returns the lines up to it.
    pub(crate) fn until(&self, text: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let line = self
                .lines
                .recv_timeout(SOON)
                .unwrap_or_else(|_| panic!("no {text:?} after {seen:#?}"));
            seen.push(line);
            if seen.last().is_some_and(|line| line.contains(text)) {
                return seen;
            }
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
