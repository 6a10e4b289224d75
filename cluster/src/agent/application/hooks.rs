//! Hooks: what an application does before prefixes come and after they go.
//!
//! A hook is a program, which is run without a shell, or a URL on loopback. It gets one line of JSON: on standard input, or
//! as the body of a POST. It may be run several times for one move and epoch, for an agent that starts again does not
//! remember.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::followed::Objects;
use crate::objects::{Epoch, Message, Name, ObservedMove, Phase, SliceMove};

/// What is read of a program's errors, or of an answer.
const MOST: u64 = 1024;
/// The pause before one that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A program, or `http://ADDRESS:PORT/PATH` on loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// The absolute path of a program.
    Program(PathBuf),
    /// Where to POST.
    Http(SocketAddr, String),
}

/// A text is no hook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "hook `{0}` is neither the absolute path of a program nor http://ADDRESS:PORT/PATH with an address of loopback, such as http://[::1]:8080/slices"
)]
pub struct HookError(String);

impl FromStr for Hook {
    type Err = HookError;

    fn from_str(text: &str) -> Result<Self, HookError> {
        let wrong = || HookError(text.chars().take(200).collect());
        if text.starts_with('/') {
            return Ok(Self::Program(text.into()));
        }
        let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
        let (address, path) = rest.split_once('/').ok_or_else(wrong)?;
        let address: SocketAddr = address.parse().map_err(|_| wrong())?;
        if !address.ip().is_loopback() || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong());
        }
        Ok(Self::Http(address, format!("/{path}")))
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(path) => write!(f, "{}", path.display()),
            Self::Http(address, path) => write!(f, "http://{address}{path}"),
        }
    }
}

impl Hook {
    /// Runs it once; says why that failed.
    async fn run(&self, line: &str) -> Result<(), String> {
        let reason = |error: std::io::Error| ssa_input::files::reason(&error);
        match self {
            Self::Program(path) => {
                let mut child = Command::new(path)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .kill_on_drop(true)
                    .spawn()
                    .map_err(reason)?;
                if let Some(mut stdin) = child.stdin.take() {
                    // One that does not read it says by its status what it makes of it.
                    let _ = stdin.write_all(line.as_bytes()).await;
                }
                let mut said = Vec::new();
                if let Some(stderr) = child.stderr.take() {
                    let mut stderr = stderr.take(MOST);
                    let _ = stderr.read_to_end(&mut said).await;
                    // What follows goes nowhere, and keeps nobody from ending.
                    let _ = tokio::io::copy(&mut stderr.into_inner(), &mut tokio::io::sink()).await;
                }
                let status = child.wait().await.map_err(reason)?;
                if status.success() {
                    return Ok(());
                }
                let said = String::from_utf8_lossy(&said);
                Err(format!("{status}: {}", said.trim()))
            }
            Self::Http(address, path) => {
                let mut stream = TcpStream::connect(address).await.map_err(reason)?;
                let request = format!(
                    "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                     connection: close\r\n\r\n{line}",
                    line.len()
                );
                stream.write_all(request.as_bytes()).await.map_err(reason)?;
                let mut answer = Vec::new();
                (&mut stream)
                    .take(MOST)
                    .read_to_end(&mut answer)
                    .await
                    .map_err(reason)?;
                let answer = String::from_utf8_lossy(&answer);
                let first = answer.lines().next().unwrap_or_default();
                match first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..3)) {
                    Some("2") => Ok(()),
                    _ => Err(format!("answered {first:?}")),
                }
            }
        }
    }
}

/// Which way prefixes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Incoming,
    Outgoing,
}

/// One thing that is asked: a way, a move and its epoch.
type Asked = (Way, Name, Epoch);

/// A hook has ended.
#[derive(Debug)]
pub(in crate::agent) struct Finished {
    asked: Asked,
    outcome: Result<(), String>,
}

#[derive(Debug)]
struct Run {
    began: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    Running,
    Done,
    Failed { why: String, at: Instant },
}

/// The hooks of an agent, and how far they are.
#[derive(Debug)]
pub(in crate::agent) struct Hooks {
    incoming: Option<Hook>,
    outgoing: Option<Hook>,
    deadline: Duration,
    runs: BTreeMap<Asked, Run>,
    finished: mpsc::Sender<Finished>,
}

impl Hooks {
    /// Takes the hooks, and how long each may take; what has ended is sent to `finished`.
    pub(in crate::agent) fn new(
        incoming: Option<Hook>,
        outgoing: Option<Hook>,
        deadline: Duration,
        finished: mpsc::Sender<Finished>,
    ) -> Self {
        Self {
            incoming,
            outgoing,
            deadline,
            runs: BTreeMap::new(),
            finished,
        }
    }

    /// Begins what is due for these moves, and forgets others. Returns when to look again, if something failed.
    pub(in crate::agent) fn begin(&mut self, me: &Name, moves: &[SliceMove], world: &Objects) -> Option<Instant> {
        let mut again: Option<Instant> = None;
        let due: BTreeMap<Asked, &SliceMove> = moves.iter().filter_map(|one| Some((asked(me, one)?, one))).collect();
        self.runs.retain(|asked, _| due.contains_key(asked));
        for (asked, one) in due {
            let hook = match asked.0 {
                Way::Incoming => &self.incoming,
                Way::Outgoing => &self.outgoing,
            };
            let Some(hook) = hook.clone() else { continue };
            let now = Instant::now();
            match self.runs.get(&asked).map(|run| &run.state) {
                None => {}
                Some(State::Failed { at, .. }) if now >= *at + PAUSE => {}
                Some(State::Failed { at, .. }) => {
                    let next = *at + PAUSE;
                    again = Some(again.map_or(next, |before| before.min(next)));
                    continue;
                }
                Some(_) => continue,
            }
            let run = self.runs.entry(asked.clone()).or_insert(Run {
                began: now,
                state: State::Running,
            });
            run.state = State::Running;
            let line = format!("{}\n", told(asked.0, one, world));
            let (deadline, finished) = (self.deadline, self.finished.clone());
            tokio::spawn(async move {
                let outcome = timeout(deadline, hook.run(&line)).await;
                let late = || Err(format!("has not ended within {} s", deadline.as_secs()));
                let outcome = outcome.unwrap_or_else(|_| late());
                let outcome = outcome.map_err(|why| format!("hook {hook}: {why}"));
                let _ = finished.send(Finished { asked, outcome }).await;
            });
        }
        again
    }

    /// Notes that one has ended; returns what is wrong, if something is.
    pub(in crate::agent) fn note(&mut self, finished: Finished) -> Option<String> {
        let run = self.runs.get_mut(&finished.asked)?;
        match finished.outcome {
            Ok(()) => {
                run.state = State::Done;
                None
            }
            Err(why) => {
                let told = format!("move {}: {why}", finished.asked.1);
                let at = Instant::now();
                run.state = State::Failed { why, at };
                Some(told)
            }
        }
    }

    /// Holds back what must not be reported yet, and says why.
    pub(in crate::agent) fn hold(&self, me: &Name, one: &SliceMove, observed: &mut ObservedMove) {
        let Some(asked) = asked(me, one) else { return };
        let has_hook = match asked.0 {
            Way::Incoming => self.incoming.is_some(),
            Way::Outgoing => self.outgoing.is_some(),
        };
        let run = self.runs.get(&asked);
        let (is_done, why) = match run.map(|run| &run.state) {
            Some(State::Done) => return,
            Some(State::Failed { why, .. }) => (false, why.as_str()),
            _ => (!has_hook, "the application's hook is under way"),
        };
        if is_done {
            return;
        }
        observed.message = Message::new(why);
        match asked.0 {
            // None of it has been reached yet.
            Way::Incoming => observed.epoch = Epoch::default(),
            // What has gone has gone: an application that never answers does not keep the prefixes here.
            Way::Outgoing => {
                let late = run.is_some_and(|run| run.began.elapsed() >= self.deadline);
                if observed.phase >= Phase::Withdraw && !late {
                    observed.phase = Phase::Release;
                }
            }
        }
    }
}

/// Says what is due for a move: `incoming` in Prepare, `outgoing` from Release on.
fn asked(me: &Name, one: &SliceMove) -> Option<Asked> {
    let way = match one.status.phase {
        Phase::Prepare if one.taker() == me => Way::Incoming,
        Phase::Release | Phase::Withdraw if one.giver() == Some(me) => Way::Outgoing,
        _ => return None,
    };
    Some((way, one.name().clone(), one.epoch()))
}

/// Returns what a hook is told.
fn told(way: Way, one: &SliceMove, world: &Objects) -> Value {
    let end = |name: &Name| {
        let address = world.endpoints.get(name).map(|endpoint| endpoint.spec.address);
        json!({"name": name, "address": address})
    };
    json!({
        "hook": match way {
            Way::Incoming => "incoming",
            Way::Outgoing => "outgoing",
        },
        "move": one.name(),
        "sliceSet": one.spec.slice_set,
        "epoch": one.epoch(),
        "prefixes": one.spec.prefixes,
        "from": one.giver().map(end),
        "to": end(one.taker()),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::objects::Object;

    #[test]
    fn hooks_are_read_and_written() {
        for text in ["/usr/lib/app/incoming", "http://[::1]:80/a", "http://127.0.0.1:8080/"] {
            assert_eq!(text.parse::<Hook>().map(|hook| hook.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "",
            "rm -rf /",
            "http://[2001:db8::1]:80/",
            "http://localhost:80/",
            "http://[::1]:80",
            "https://[::1]:80/",
        ] {
            let told = text.parse::<Hook>().expect_err(text).to_string();
            assert!(told.starts_with(&format!("hook `{text}` is neither")), "{told}");
        }
    }

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn moving(phase: &str) -> SliceMove {
        let value = json!({
            "apiVersion": "ssa.dev.example/v1alpha1", "kind": "SliceMove", "metadata": {"name": "web-7"},
            "spec": {"sliceSet": "web", "epoch": 7, "from": "a", "to": "b", "prefixes": ["2001:db8::/66"], "reason": "Scale"},
            "status": {"phase": phase},
        });
        Object::from_value(&value).expect("a move")
    }

    fn observed(one: &SliceMove) -> ObservedMove {
        ObservedMove {
            name: one.name().clone(),
            epoch: one.epoch(),
            phase: one.status.phase,
            flows: None,
            forwarded: None,
            message: Message::default(),
        }
    }

    /// What is reported for a move, once the hook has ended, or has failed.
    async fn reported(script: &str, me: &str, phase: &str) -> (ObservedMove, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, input) = (folder.path().join("hook"), folder.path().join("input"));
        std::fs::write(&path, format!("#!/bin/sh\ncat >{}\n{script}\n", input.display())).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("a mode");
        let (sender, mut finished) = mpsc::channel(1);
        let hook = Some(Hook::Program(path));
        let mut hooks = Hooks::new(hook.clone(), hook, Duration::from_secs(20), sender);
        let one = moving(phase);
        assert_eq!(
            hooks.begin(&name(me), std::slice::from_ref(&one), &Objects::default()),
            None
        );
        let mut before = observed(&one);
        hooks.hold(&name(me), &one, &mut before);
        assert_eq!(before.message.as_str(), "the application's hook is under way");
        assert!(
            (before.epoch, before.phase) < (one.epoch(), one.status.phase),
            "{before:?}"
        );
        hooks.note(finished.recv().await.expect("it ends"));
        let mut after = observed(&one);
        hooks.hold(&name(me), &one, &mut after);
        (after, std::fs::read_to_string(input).expect("what it was told"))
    }

    #[tokio::test]
    async fn a_phase_is_reported_when_the_hook_has_ended_well() {
        for (me, phase, way) in [("b", "Prepare", "incoming"), ("a", "Withdraw", "outgoing")] {
            let (after, told) = reported("exit 0", me, phase).await;
            assert_eq!(after, observed(&moving(phase)));
            let told: Value = serde_json::from_str(&told).expect("JSON");
            assert_eq!((&told["hook"], &told["epoch"]), (&json!(way), &json!(7)));
            assert_eq!(told["prefixes"], json!(["2001:db8::/66"]));
        }
    }

    #[tokio::test]
    async fn what_a_hook_that_fails_says_is_told_up_to_a_bound() {
        let (after, _) = reported("echo no room >&2; exit 3", "b", "Prepare").await;
        assert!(
            after.message.as_str().ends_with("exit status: 3: no room"),
            "{}",
            after.message
        );
        assert_eq!(after.epoch, Epoch::default());
        let (after, _) = reported("head -c 9999999 /dev/zero | tr '\\0' x >&2; exit 1", "b", "Prepare").await;
        assert!(after.message.as_str().len() <= Message::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_ends_holds_what_comes_and_not_what_goes() {
        let (sender, mut finished) = mpsc::channel(1);
        // Nobody answers: the listener accepts nothing.
        let listener = tokio::net::TcpListener::bind("[::1]:0").await.expect("a listener");
        let hook = Some(Hook::Http(listener.local_addr().expect("an address"), "/".to_owned()));
        let mut hooks = Hooks::new(hook.clone(), hook, Duration::from_secs(5), sender);
        for (me, phase, is_held) in [("b", "Prepare", true), ("a", "Withdraw", false)] {
            let one = moving(phase);
            hooks.begin(&name(me), std::slice::from_ref(&one), &Objects::default());
            let told = hooks.note(finished.recv().await.expect("it is ended"));
            assert!(told.is_some_and(|told| told.ends_with("has not ended within 5 s")));
            let mut after = observed(&one);
            hooks.hold(&name(me), &one, &mut after);
            assert_eq!(
                (after.epoch, after.phase) < (one.epoch(), one.status.phase),
                is_held,
                "{after:?}"
            );
            assert!(!after.message.is_empty());
        }
    }
}
