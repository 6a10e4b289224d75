//! One program of a kind in each network namespace: two agents, or two nodes, would undo each other's routes.
//!
//! Each holds a socket without a file: a network namespace has its own of these, and the kernel frees one with its process.
//! Anybody in the namespace may take such a name, whatever their rights. So the kernel is asked whose process listens there,
//! and one of another user, unless that is root, does not count: the next name is taken then. Whoever has a name looks
//! at all others, so that it finds one that came while a stranger was in its way.

use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How many names there are. If strangers have all of them, this program runs without one.
const NAMES: usize = 8;
/// How often one is asked that does not answer: it may have begun, or ended, just now.
const ATTEMPTS: u32 = 20;
/// The pause in between.
const PAUSE: Duration = Duration::from_millis(20);

/// A program of which one is to be in a network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `ssa-cluster agent`
    Agent,
    /// `ssa-cluster node`
    Node,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agent => "agent",
            Self::Node => "node",
        })
    }
}

/// Says that this process is the one of its kind, for as long as it is held.
#[derive(Debug)]
pub struct Alone {
    held: Option<JoinHandle<()>>,
    strangers: Vec<Stranger>,
}

/// Somebody else holds a name, and does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("socket @{name} is held by {}, which does not count; `ss -xlp src @{name}` tells more", told(.holder.as_ref()))]
pub struct Stranger {
    /// The name.
    pub name: String,
    /// Who it is, if the kernel says so.
    pub holder: Option<Holder>,
}

/// A process that listens at a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its user.
    pub user: u32,
    /// Its number; `None` if it is outside of this process's namespace of these.
    pub process: Option<i32>,
}

/// This process cannot be the one.
#[derive(Debug, thiserror::Error)]
pub enum NotAlone {
    /// Another one is there.
    #[error(
        "another {program} runs in this network namespace: {}; `ss -xlp src @{name}` tells more; end it first",
        told(Some(.holder))
    )]
    Other {
        /// Of which program.
        program: Program,
        /// The name of its socket.
        name: String,
        /// Who it is.
        holder: Holder,
    },
    /// The system refuses the socket.
    #[error("socket @{name}: {}", ssa_input::files::reason(.source))]
    Socket {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
}

impl Alone {
    /// Becomes the one of its kind.
    ///
    /// # Errors
    ///
    /// [`NotAlone`].
    pub async fn claim(program: Program) -> Result<Self, NotAlone> {
        let me = rustix::process::geteuid().as_raw();
        claim(program, &format!("ssa-cluster-{program}"), |user| {
            user == 0 || user == me
        })
        .await
    }

    /// Lists who was in the way and does not count, for people.
    #[must_use]
    pub fn strangers(&self) -> &[Stranger] {
        &self.strangers
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            held.abort();
        }
    }
}

/// Takes the first name that is free, unless one of those who count has another one.
async fn claim(program: Program, name: &str, counts: impl Fn(u32) -> bool) -> Result<Alone, NotAlone> {
    let (mut held, mut strangers) = (None, Vec::new());
    for place in 0..NAMES {
        let name = match place {
            0 => name.to_owned(),
            _ => format!("{name}-{place}"),
        };
        let failed = |source| NotAlone::Socket {
            name: name.clone(),
            source,
        };
        let found = look(&name, &mut held).await.map_err(failed)?;
        match found {
            Found::Nobody => {}
            Found::Holder(Some(holder)) if counts(holder.user) => {
                return Err(NotAlone::Other { program, name, holder });
            }
            Found::Holder(holder) => strangers.push(Stranger { name, holder }),
        }
    }
    let held = held.map(|listener| tokio::spawn(hold(listener)));
    Ok(Alone { held, strangers })
}

/// What there is about a name.
enum Found {
    /// It is this process's own, or free.
    Nobody,
    /// Somebody has it; who that is, is not known of one that does not listen, or listens to too many.
    Holder(Option<Holder>),
}

/// Takes a name, unless this process has one already; else says who has it.
async fn look(name: &str, held: &mut Option<UnixListener>) -> io::Result<Found> {
    for _ in 0..ATTEMPTS {
        if held.is_none() {
            match SocketAddr::from_abstract_name(name).and_then(|address| UnixListener::bind_addr(&address)) {
                Ok(listener) => {
                    *held = Some(listener);
                    return Ok(Found::Nobody);
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
        match UnixStream::connect(format!("\0{name}"))
            .await
            .and_then(|one| one.peer_cred())
        {
            Ok(credentials) => {
                return Ok(Found::Holder(Some(Holder {
                    user: credentials.uid(),
                    process: credentials.pid().filter(|process| *process != 0),
                })));
            }
            // Of a name that is not wanted any more: nobody has it, or nobody who counts, for those listen.
            Err(error) if held.is_some() && error.kind() == io::ErrorKind::ConnectionRefused => {
                return Ok(Found::Nobody);
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
    Ok(Found::Holder(None))
}

/// Listens: whoever connects wants to know who this is, and the kernel has told them by then.
async fn hold(listener: UnixListener) {
    let listener = listener
        .set_nonblocking(true)
        .and_then(|()| tokio::net::UnixListener::from_std(listener));
    let Ok(listener) = listener else { return };
    loop {
        if listener.accept().await.is_err() {
            sleep(PAUSE).await;
        }
    }
}

fn told(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder {
            user,
            process: Some(process),
        }) => format!("process {process} of user {user}"),
        Some(Holder { user, process: None }) => format!("a process of user {user} that is not seen from here"),
        None => "somebody who does not say who they are".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of a test, which runs beside others.
    fn named(test: &str) -> String {
        format!("ssa-test-{}-{test}", std::process::id())
    }

    fn me() -> Holder {
        Holder {
            user: rustix::process::geteuid().as_raw(),
            process: i32::try_from(std::process::id()).ok(),
        }
    }

    #[tokio::test]
    async fn one_is_alone_until_it_ends() {
        let name = named("alone");
        let first = claim(Program::Node, &name, |_| true).await.expect("nobody else");
        assert_eq!(first.strangers(), []);
        // However many ask, each learns who it is.
        for _ in 0..1000 {
            let other = claim(Program::Node, &name, |_| true).await;
            let Err(NotAlone::Other { holder, .. }) = other else {
                panic!("{other:?}")
            };
            assert_eq!(holder, me());
        }
        let error = claim(Program::Node, &name, |_| true)
            .await
            .expect_err("another")
            .to_string();
        let Holder { user, .. } = me();
        let expected = format!(
            "another node runs in this network namespace: process {} of user {user}; `ss -xlp src @{name}` tells more; \
             end it first",
            std::process::id()
        );
        assert_eq!(error, expected);
        drop(first);
        while claim(Program::Node, &name, |_| true).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_stranger_is_told_and_locks_nobody_out() {
        let name = named("stranger");
        let taken = |place: &str| {
            let address = SocketAddr::from_abstract_name(format!("{name}{place}")).expect("a name");
            UnixListener::bind_addr(&address).expect("a socket")
        };
        let squatter = taken("");
        let strange = |user| user != me().user;
        let alone = claim(Program::Agent, &name, strange).await.expect("nobody who counts");
        let stranger = Stranger {
            name: name.clone(),
            holder: Some(me()),
        };
        assert_eq!(alone.strangers(), [stranger]);
        let told = alone.strangers()[0].to_string();
        let who = format!("process {} of user {}", std::process::id(), me().user);
        assert!(
            told.starts_with(&format!("socket @{name} is held by {who}, which does not count")),
            "{told}"
        );
        // Nor is a second one let in where the stranger was: the first is found by its other name.
        drop(squatter);
        let other = claim(Program::Agent, &name, |_| true).await;
        let Err(NotAlone::Other { name: found, .. }) = other else {
            panic!("{other:?}")
        };
        assert_eq!(found, format!("{name}-1"));
        // All names are taken.
        let _squatters = ["", "-2", "-3", "-4", "-5", "-6", "-7"].map(taken);
        let nameless = claim(Program::Agent, &name, strange).await.expect("nobody who counts");
        assert!(
            nameless.strangers().len() == NAMES && nameless.held.is_none(),
            "{nameless:?}"
        );
    }

    #[tokio::test]
    async fn one_that_does_not_say_who_it_is_does_not_count() {
        let name = named("silent");
        let address = rustix::net::SocketAddrUnix::new_abstract_name(name.as_bytes()).expect("a name");
        let (family, kind) = (rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM);
        let silent = rustix::net::socket(family, kind, None).expect("a socket");
        rustix::net::bind(&silent, &address).expect("a name");
        let stranger = Stranger {
            name: name.clone(),
            holder: None,
        };
        let alone = claim(Program::Agent, &name, |_| true).await.expect("nobody who counts");
        assert_eq!(alone.strangers(), std::slice::from_ref(&stranger), "it does not listen");
        rustix::net::listen(&silent, 0).expect("a listener");
        let waits = rustix::net::socket(family, kind, None).expect("a socket");
        rustix::net::connect(&waits, &address).expect("a connection");
        let held = look(&name, &mut None).await.expect("a socket");
        assert!(matches!(held, Found::Holder(None)), "it listens to no more than one");
    }
}
