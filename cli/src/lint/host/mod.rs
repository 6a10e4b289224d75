//! `ssa lint --host`: whether this machine has what SSA needs.
//!
//! Nothing of the machine is changed: routes are tried in a network namespace of their own.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, not(target_os = "linux")))]
mod other;
#[cfg(target_os = "linux")]
mod service;

use std::{
    net::{IpAddr, Ipv6Addr, UdpSocket},
    path::Path,
};

use ipnet::Ipv6Net;
use serde::Serialize;
use ssa_input::{files::reason, text::clean};

use super::finding::Severity;
use crate::{
    output::Output,
    style::{self, paint},
};

/// One check of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// Its stable name.
    pub(super) code: &'static str,
    /// How it went.
    pub(super) state: State,
    /// What was found.
    pub(super) what: String,
    /// Why that matters.
    pub(super) why: &'static str,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instead: Option<&'static str>,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Fine,
    /// SSA does not work here.
    Error,
    /// It works in part.
    Warning,
    /// Worth knowing.
    Note,
    /// It cannot be told here, and `what` says why.
    Unavailable,
}

impl Check {
    fn new(code: &'static str, state: State, what: impl Into<String>, why: &'static str) -> Self {
        Self {
            code,
            state,
            what: what.into(),
            why,
            instead: None,
        }
    }

    fn instead(mut self, instead: &'static str) -> Self {
        self.instead = Some(instead);
        self
    }

    /// How bad it is, if it is.
    pub(super) fn severity(&self) -> Option<Severity> {
        match self.state {
            State::Error => Some(Severity::Error),
            State::Warning => Some(Severity::Warning),
            State::Note => Some(Severity::Note),
            State::Fine | State::Unavailable => None,
        }
    }

    /// Prints it for people.
    pub(super) fn print(&self, out: &mut Output) {
        let (style, name) = match self.state {
            State::Fine => (style::GOOD, "fine"),
            State::Error => (style::BAD, "error"),
            State::Warning => (style::WARN, "warning"),
            State::Note => (style::HEADING, "note"),
            State::Unavailable => (style::DIM, "unavailable"),
        };
        let code = paint(style::DIM, format!("[{}]", self.code));
        out.line(format_args!(
            "{}: host: {} {code}",
            paint(style, name),
            clean(&self.what)
        ));
        if self.state != State::Fine {
            out.line(format_args!("  why:     {}", self.why));
            if let Some(instead) = self.instead {
                out.line(format_args!("  instead: {instead}"));
            }
        }
    }
}

const IPV6: &str = "SSA addresses are IPv6";
const SOURCE: &str = "rules of the source need one that the cluster sees as it is";

/// Makes all checks, and those against the items of a service, if there are any. A resolver is looked for at this socket,
/// or where it listens by default.
pub(super) fn checks(items: &[Ipv6Net], socket: Option<&Path>) -> Vec<Check> {
    let mut checks = vec![loopback(), source()];
    #[cfg(target_os = "linux")]
    {
        checks.extend(linux::checks());
        checks.extend(service::checks(items, socket));
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = socket;
        checks.extend(other::checks(items));
    }
    checks
}

/// A socket on the loopback address shows whether IPv6 is there at all.
fn loopback() -> Check {
    match UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => Check::new("host-ipv6", State::Fine, "IPv6 is enabled", IPV6),
        Err(error) => {
            let what = format!("no IPv6 socket on ::1: {}", reason(&error));
            Check::new("host-ipv6", State::Error, what, IPV6)
                .instead("sysctl net.ipv6.conf.all.disable_ipv6=0, and a kernel without ipv6.disable=1")
        }
    }
}

/// A socket connected to global unicast, without a packet, shows the source that the machine would use.
fn source() -> Check {
    let chosen = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9))?;
        socket.local_addr()
    });
    let code = "host-source";
    match chosen.map(|address| address.ip()) {
        Ok(IpAddr::V6(source)) if source.segments()[0] & 0xe000 == 0x2000 => Check::new(
            code,
            State::Fine,
            format!("the source towards the Internet is {source}"),
            SOURCE,
        ),
        Ok(IpAddr::V6(source)) if source.segments()[0] & 0xfe00 == 0xfc00 => {
            let what = format!("the source is {source}, a unique local address");
            Check::new(
                code,
                State::Note,
                what,
                "only networks that route it see it; beyond them something translates it",
            )
        }
        Ok(source) => Check::new(code, State::Warning, format!("the source would be {source}"), SOURCE)
            .instead("a global or unique local address on an interface"),
        Err(error) => {
            let what = format!("no IPv6 route to global unicast: {}", reason(&error));
            Check::new(
                code,
                State::Warning,
                what,
                "clients here reach only services of this machine and its links",
            )
            .instead("a global or unique local address and a default route")
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn other_systems_name_the_checks_that_they_lack() {
        let item = ["2001:db8:5::/64".parse().unwrap()];
        let named: Vec<&str> = other::checks(&item).iter().map(|check| check.code).collect();
        for check in checks(&item, None) {
            // Of a machine without IPv6, of an interface without it, and of a pod: there where there is such a thing.
            let common = ["host-ipv6", "host-source", "host-interface", "host-network"];
            assert!(
                common.contains(&check.code) || named.contains(&check.code),
                "{}: {named:?}",
                check.code
            );
        }
    }
}
