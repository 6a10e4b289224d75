//! One agent in each network namespace: two would undo each other's routes.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

/// The name of a socket without a file: a network namespace has its own of these, and the kernel frees one with its process.
const NAME: &str = "ssa-cluster-agent";

/// Says that this process is the one agent, for as long as it is held.
#[derive(Debug)]
pub struct Alone {
    _socket: UnixListener,
}

/// This process cannot be the one agent.
#[derive(Debug, thiserror::Error)]
pub enum NotAlone {
    /// Another one is there.
    #[error("another agent runs in this network namespace; `ss -xlp src @{NAME}` tells which: end it first")]
    Other,
    /// The system refuses the socket.
    #[error("socket @{NAME}: {}", ssa_input::files::reason(.0))]
    Socket(#[source] io::Error),
}

impl Alone {
    /// Becomes the one agent.
    ///
    /// # Errors
    ///
    /// [`NotAlone`].
    pub fn claim() -> Result<Self, NotAlone> {
        let bound = SocketAddr::from_abstract_name(NAME).and_then(|name| UnixListener::bind_addr(&name));
        match bound {
            Ok(socket) => Ok(Self { _socket: socket }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(NotAlone::Other),
            Err(error) => Err(NotAlone::Socket(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_alone_until_it_ends() {
        let first = Alone::claim().expect("nobody else");
        assert!(matches!(Alone::claim(), Err(NotAlone::Other)));
        drop(first);
        Alone::claim().expect("the first has ended");
    }
}
