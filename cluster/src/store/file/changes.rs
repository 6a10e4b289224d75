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

/// How often files of each kind were seen to change, in the order of [`Kind::ALL`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts([u64; Kind::ALL.len()]);

impl Counts {
    /// How often those of a kind were.
    pub(super) fn of(&self, kind: Kind) -> u64 {
        let kinds = Kind::ALL.iter().zip(&self.0);
        kinds.filter(|(one, _)| **one == kind).map(|(_, count)| *count).sum()
    }
}

/// Follows the files of all kinds, for as long as somebody holds the receiver or a clone of it.
pub(super) fn follow(folder: &Folder) -> Result<Receiver<Counts>, StoreError> {
    let refused = |error: Errno| folder.unavailable(format!("inotify: {}", ssa_input::files::reason(&error.into())));
    let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(refused)?;
    let wanted = WatchFlags::CREATE
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::ONLYDIR;
    let mut watches = [0; Kind::ALL.len()];
    for (watch, kind) in watches.iter_mut().zip(Kind::ALL) {
        *watch = inotify::add_watch(&inotify, folder.of(kind), wanted).map_err(refused)?;
    }
    #[expect(
        deprecated,
        reason = "unsound for who closes its descriptor meanwhile, which OwnedFd does not; what replaces it is unsafe to call"
    )]
    let inotify = AsyncFd::new(inotify).map_err(|error| folder.failed(&error))?;
    let (sender, receiver) = watch::channel(Counts::default());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = sender.closed() => return,
                ready = inotify.readable() => {
                    let Ok(mut ready) = ready else { return };
                    let mut is_open = true;
                    sender.send_modify(|counts| is_open = drain(inotify.get_ref(), &watches, counts));
                    if !is_open {
                        return;
                    }
                    ready.clear_ready();
                }
            }
        }
    });
    Ok(receiver)
}

/// Takes all events that are there, and counts them: what they say is found out by looking. Says whether there may be
/// others.
fn drain(inotify: &OwnedFd, watches: &[i32], counts: &mut Counts) -> bool {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = Reader::new(inotify, &mut buffer);
    loop {
        match events.next() {
            Ok(event) => {
                // What is none of the kinds' says that some were lost.
                let is_lost = !watches.contains(&event.wd());
                for (count, watch) in counts.0.iter_mut().zip(watches) {
                    if is_lost || *watch == event.wd() {
                        *count = count.wrapping_add(1);
                    }
                }
            }
            Err(Errno::INTR) => {}
            Err(error) => return error == Errno::AGAIN,
        }
    }
}
