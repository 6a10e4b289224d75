//! Forwarding: without it the kernel passes no packet on to a peer.

use std::io;

use super::Error;
use super::netlink::read_first;

const ALL: &str = "/proc/sys/net/ipv6/conf/all/forwarding";
const INTERFACES: &str = "/proc/sys/net/ipv6/conf";

/// Says whether forwarding is on.
pub(super) fn is_on() -> bool {
    read_first(ALL).is_ok_and(|value| value == "1")
}

/// Turns forwarding on; says whether it was off.
///
/// A host that forwards no longer takes its default route from router advertisements, unless it is told to: what did so
/// before goes on doing so.
pub(super) fn enable() -> Result<bool, Error> {
    let failed = |source| Error::Forwarding { path: ALL, source };
    if read_first(ALL).map_err(failed)? == "1" {
        return Ok(false);
    }
    each_accept_ra("1", "2").map_err(failed)?;
    std::fs::write(ALL, "1").map_err(failed)?;
    Ok(true)
}

/// Turns forwarding off again.
pub(super) fn disable() -> Result<(), Error> {
    let failed = |source| Error::Forwarding { path: ALL, source };
    std::fs::write(ALL, "0").map_err(failed)?;
    each_accept_ra("2", "1").map_err(failed)
}

/// Changes `accept_ra` of all interfaces that have one value to another.
fn each_accept_ra(from: &str, to: &str) -> io::Result<()> {
    for interface in std::fs::read_dir(INTERFACES)? {
        let path = interface?.path().join("accept_ra");
        // An interface may have gone in between.
        if std::fs::read_to_string(&path).is_ok_and(|value| value.trim() == from) {
            std::fs::write(&path, to)?;
        }
    }
    Ok(())
}
