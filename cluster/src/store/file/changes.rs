//! Being told that files change.

use std::{mem::MaybeUninit, os::fd::OwnedFd};

use rustix::{
    fs::inotify::{self, CreateFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::{
    io::unix::AsyncFd,
    sync::watch::{self, Receiver},
};

use super::folder::Folder;
use crate::{objects::Kind, store::StoreError};

/// Follows the files of all kinds, for as long as somebody holds the receiver or a clone of it.
pub(super) fn follow(folder: &Folder) -> Result<Receiver<u64>, StoreError> {
    let refused = |error: Errno| folder.unavailable(format!("inotify: {}", ssa_input::files::reason(&error.into())));
    let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(refused)?;
    let wanted = WatchFlags::CREATE
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::ONLYDIR;
    for kind in Kind::ALL {
        inotify::add_watch(&inotify, folder.of(kind), wanted).map_err(refused)?;
    }
    #[expect(
        deprecated,
        reason = "unsound for who closes its descriptor meanwhile, which OwnedFd does not; what replaces it is unsafe to call"
    )]
    let inotify = AsyncFd::new(inotify).map_err(|error| folder.failed(&error))?;
    let (sender, receiver) = watch::channel(0_u64);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = sender.closed() => return,
                ready = inotify.readable() => {
                    let Ok(mut ready) = ready else { return };
                    if !drain(inotify.get_ref()) {
                        return;
                    }
                    ready.clear_ready();
                    sender.send_modify(|count| *count = count.wrapping_add(1));
                }
            }
        }
    });
    Ok(receiver)
}

/// Takes all events that are there: what they say is found out by looking. Says whether there may be others.
fn drain(inotify: &OwnedFd) -> bool {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = Reader::new(inotify, &mut buffer);
    loop {
        match events.next() {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return error == Errno::AGAIN,
        }
    }
}
