//! Forwarding: without it the kernel passes no packet on to a peer.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::Error;
use super::netlink::read_first;

const ALL: &str = "/proc/sys/net/ipv6/conf/all/forwarding";
const INTERFACES: &str = "/proc/sys/net/ipv6/conf";

/// What is changed for forwarding, or was: the end takes back that, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Changes {
    /// Forwarding was off.
    pub(super) was_off: bool,
    /// The interfaces that forwarded though it was off. Turning it off as a whole turns it off for these too.
    pub(super) forwarded: BTreeSet<String>,
    /// The interfaces whose `accept_ra` goes from 1 to 2.
    pub(super) accept_ra: BTreeSet<String>,
}

impl Changes {
    /// Adds what others have changed, or will.
    pub(super) fn add(&mut self, other: Self) {
        self.was_off |= other.was_off;
        self.forwarded.extend(other.forwarded);
        self.accept_ra.extend(other.accept_ra);
    }
}

/// Says whether forwarding is on.
pub(super) fn is_on() -> bool {
    read_first(ALL).is_ok_and(|value| value == "1")
}

/// Returns what [`enable`] has to change; `None` if forwarding is on.
///
/// A host that forwards no longer takes its default route from router advertisements, unless it is told to: what did so
/// before goes on doing so.
pub(super) fn needed() -> Result<Option<Changes>, Error> {
    if read_first(ALL).map_err(failed)? == "1" {
        return Ok(None);
    }
    let mut changes = Changes {
        was_off: true,
        ..Changes::default()
    };
    for interface in std::fs::read_dir(INTERFACES).map_err(failed)? {
        let name = interface.map_err(failed)?.file_name();
        // What cannot be noted could not be taken back: it stays as it is.
        let Some(name) = name.to_str().filter(|name| is_plain(name)) else {
            continue;
        };
        if has(name, "forwarding", "1") {
            changes.forwarded.insert(name.to_owned());
        } else if has(name, "accept_ra", "1") {
            changes.accept_ra.insert(name.to_owned());
        }
    }
    Ok(Some(changes))
}

/// Turns forwarding on.
pub(super) fn enable(changes: &Changes) -> Result<(), Error> {
    for name in &changes.accept_ra {
        change(name, "accept_ra", "1", "2").map_err(failed)?;
    }
    std::fs::write(ALL, "1").map_err(failed)
}

/// Takes back what was changed.
pub(super) fn restore(changes: &Changes) -> Result<(), Error> {
    if changes.was_off && is_on() {
        std::fs::write(ALL, "0").map_err(failed)?;
        for name in &changes.forwarded {
            change(name, "forwarding", "0", "1").map_err(failed)?;
        }
    }
    for name in &changes.accept_ra {
        change(name, "accept_ra", "2", "1").map_err(failed)?;
    }
    Ok(())
}

fn failed(source: io::Error) -> Error {
    Error::Forwarding { path: ALL, source }
}

/// Says whether a string in a script of `nft` can have the name, as it is.
fn is_plain(name: &str) -> bool {
    name.chars()
        .all(|letter| letter.is_ascii_graphic() && !matches!(letter, '"' | '\\' | '*'))
}

/// Says whether a setting of an interface has a value. The interface may have gone.
fn has(name: &str, setting: &str, value: &str) -> bool {
    let path = Path::new(INTERFACES).join(name).join(setting);
    std::fs::read_to_string(path).is_ok_and(|found| found.trim() == value)
}

/// Changes a setting of an interface that has one value to another.
fn change(name: &str, setting: &str, from: &str, to: &str) -> io::Result<()> {
    if has(name, setting, from) {
        std::fs::write(Path::new(INTERFACES).join(name).join(setting), to)?;
    }
    Ok(())
}
