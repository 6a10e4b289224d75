//! Tests in network namespaces of their own, and what the kernel tells in there.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ssa_testing::namespace;
pub(crate) use ssa_testing::namespace::{eventually, run};

/// What takes milliseconds, on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

/// Runs the body of the test of this name in a network namespace: the test starts itself again in there.
pub(crate) fn inside(test: &str, body: impl AsyncFnOnce()) {
    namespace::inside(test, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime.expect("a runtime"), body());
    });
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
