//! Runs the command as its users do.
#![allow(dead_code, reason = "each test file uses what it needs")]

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The command, away from what the environment may say of colours.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ssa"));
    command
        .args(args)
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .env_remove("CLICOLOR");
    command
}

/// Runs the command with nothing to read.
pub(crate) fn ssa(args: &[&str]) -> Run {
    ssa_reading(args, "")
}

/// Runs the command with this on its standard input.
pub(crate) fn ssa_reading(args: &[&str], input: &str) -> Run {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    // A command that fails early reads nothing.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints UTF-8");
    Run {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Verifies a destination of SOURCE by a rule.
pub(crate) fn verify(rule: &str, destination: &str, more: &[&str]) -> Run {
    let args = [
        "verify",
        "--apl",
        APL,
        "--rule",
        rule,
        "--source",
        SOURCE,
        "--destination",
        destination,
    ];
    ssa(&[&args, more].concat())
}

impl Run {
    /// Insists on an exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// Reads standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// The lines of standard output.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// Insists that every text is on standard error.
    #[track_caller]
    pub(crate) fn tells(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "`{text}` is not in:\n{}", self.stderr);
        }
        self
    }

    /// Insists that every text is on standard output.
    #[track_caller]
    pub(crate) fn prints(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stdout.contains(text), "`{text}` is not in:\n{}", self.stdout);
        }
        self
    }
}

/// A file for one test, of a name that no other uses.
pub(crate) fn file(name: &str, content: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).expect("the file is written");
    path
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

pub(crate) const APL: &str = "2:2001:db8:5::/64";
pub(crate) const HASHED: &str = "v=ssa1; addr=hash(src/64):20 rand:44";
pub(crate) const MACED: &str = "v=ssa1; addr=mac(src/64):64; key=k1";
pub(crate) const SOURCE: &str = "2001:db8:77::7";
/// An address that HASHED gives SOURCE.
pub(crate) const DESTINATION: &str = "2001:db8:5:0:f28c:839:3d5e:f186";
pub(crate) const SECRET_HEX: &str = "5c1e9d0b7a3f48e2960d4b8f1a27c3e5";
