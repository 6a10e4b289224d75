//! The socket to the kernel.

use std::io;

use futures_util::{Stream, TryStreamExt as _};
use netlink_sys::AsyncSocket as _;
use rtnetlink::packet_route::link::LinkMessage;

use super::Error;

/// A netlink socket, served by a task of its own.
///
/// The kernel checks requests strictly: filters of dumps are filters, so that a host with a full table of the Internet
/// gives its own routes alone.
#[derive(Debug)]
pub struct Netlink {
    pub(super) handle: rtnetlink::Handle,
    /// The number by which the kernel's notifications tell whose change it was.
    pub(super) port: u32,
    task: tokio::task::JoinHandle<()>,
}

impl Netlink {
    /// Opens the socket in the network namespace of this thread.
    ///
    /// # Errors
    ///
    /// [`Error::Socket`].
    pub fn open() -> Result<Self, Error> {
        let (mut connection, handle, _) = rtnetlink::new_connection_with_strict_check().map_err(Error::Socket)?;
        // Bound now, and not by the first request, so that its number is known.
        let socket = connection.socket_mut().socket_mut();
        let address = socket.bind_auto().map_err(Error::Socket)?;
        Ok(Self {
            handle,
            port: address.port_number(),
            task: tokio::spawn(connection),
        })
    }

    /// Finds a link by its name.
    pub(super) async fn link(&self, name: &str) -> Result<Option<LinkMessage>, Error> {
        let found = self.handle.link().get().match_name(name.to_owned()).execute();
        match collect(format!("link {name}"), found).await {
            Ok(links) => Ok(links.into_iter().next()),
            Err(error) if is(&error, ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) const ENOENT: i32 = 2;
pub(super) const ESRCH: i32 = 3;
pub(super) const EEXIST: i32 = 17;
pub(super) const ENODEV: i32 = 19;

/// Says whether the kernel refused with this error number.
pub(super) fn is(error: &Error, number: i32) -> bool {
    matches!(error, Error::Netlink { source, .. } if Error::number(source) == Some(number))
}

/// Collects what a dump gives.
pub(super) async fn collect<T>(
    what: String,
    dump: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> Result<Vec<T>, Error> {
    dump.try_collect()
        .await
        .map_err(|source| Error::Netlink { what, source })
}

/// The largest answer of a program that is read, in bytes.
pub(super) const ANSWER: usize = 16 << 20;

/// Cuts what a program said to what a message may have.
pub(super) fn shorten(text: &[u8]) -> String {
    String::from_utf8_lossy(text).trim().chars().take(1000).collect()
}

/// Turns an error of a file of `/proc` into one that says which.
pub(super) fn read_first(path: &str) -> io::Result<String> {
    Ok(std::fs::read_to_string(path)?.trim().to_owned())
}
