//! Where a service's records come from, and how they are followed.

#[cfg(feature = "dns")]
mod dns;
#[cfg(feature = "socket")]
mod socket;

use std::time::Duration;
#[cfg(feature = "socket")]
use std::{path::PathBuf, sync::Arc};

use tokio::{sync::oneshot, time::Instant};

#[cfg(feature = "socket")]
pub use self::socket::SocketError;
use crate::{
    options::Options,
    service::Service,
    state::{Material, State},
};

/// How often the kernel is asked for sources where nothing else changes.
const SOURCES: Duration = Duration::from_secs(30);

/// The first pause after a failure; each further one is twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest pause after failures.
const MAX_RETRY: Duration = Duration::from_secs(30);

/// Where services' records come from.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use ssa_client::{Resolver, Want};
///
/// let resolver = Resolver::system()?;
/// let service = resolver.service("store.example").await?;
/// let connected = service.connect(&Want::port(80).object(b"photos/cat.jpg")).await?;
/// println!("connected to {:?}", connected.target);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Resolver {
    origin: Origin,
    options: Options,
}

#[derive(Clone, Debug)]
enum Origin {
    #[cfg(feature = "dns")]
    Dns(ssa_dns::Servers),
    #[cfg(feature = "socket")]
    Socket(Arc<PathBuf>),
}

/// Why nothing is known of a service.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The name is none.
    #[cfg(feature = "dns")]
    #[error(transparent)]
    Name(#[from] ssa_dns::NameError),
    /// The system names no DNS server.
    #[cfg(feature = "dns")]
    #[error(transparent)]
    Servers(#[from] ssa_dns::AskError),
    /// The DNS gives no answer.
    #[cfg(feature = "dns")]
    #[error(transparent)]
    Dns(#[from] ssa_dns::ResolveError),
    /// The shim gives no snapshot.
    #[cfg(feature = "socket")]
    #[error("{}: {source}", path.display())]
    Socket {
        /// The socket.
        path: Arc<PathBuf>,
        /// Why not.
        source: SocketError,
    },
}

impl Resolver {
    /// Asks the servers that this system asks.
    ///
    /// # Errors
    ///
    /// Where it names none.
    #[cfg(feature = "dns")]
    pub fn system() -> Result<Self, ResolveError> {
        Ok(Self::dns(ssa_dns::Servers::of_system(ssa_dns::DEFAULT_TIMEOUT)?))
    }

    /// Asks these DNS servers.
    #[cfg(feature = "dns")]
    #[must_use]
    pub fn dns(servers: ssa_dns::Servers) -> Self {
        Self {
            origin: Origin::Dns(servers),
            options: Options::default(),
        }
    }

    /// Asks an `ssa-resolver` by its Unix socket, by default `/run/ssa-resolver/snapshot.sock`. It says sources and keys too.
    #[cfg(feature = "socket")]
    #[must_use]
    pub fn socket(path: impl Into<PathBuf>) -> Self {
        Self {
            origin: Origin::Socket(Arc::new(path.into())),
            options: Options::default(),
        }
    }

    /// Plans and connects by these options.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Asks for a service, and follows it from then on, by a task of this runtime, until its last clone is dropped. With the
    /// DNS the name is absolute; with a shim it is that of its configuration.
    ///
    /// A service without usable records is no error here: see [`Service::faults`].
    ///
    /// # Errors
    ///
    /// Why there is no answer. A later call asks anew.
    pub async fn service(&self, name: &str) -> Result<Service, ResolveError> {
        let (stop, stopped) = oneshot::channel();
        let made = |material: &Material| {
            let state = State::new(material, &self.options.keys, self.options.source);
            Service::new(name, state, self.options.clone(), Some(stop))
        };
        match &self.origin {
            #[cfg(feature = "dns")]
            Origin::Dns(servers) => {
                let domain = ssa_dns::name(name)?;
                let first = dns::ask(&domain, servers).await?;
                let service = made(&first.material);
                let follower = Follower::new(&service, first.ttl);
                tokio::spawn(stopping(stopped, dns::follow(follower, domain, servers.clone())));
                Ok(service)
            }
            #[cfg(feature = "socket")]
            Origin::Socket(path) => {
                let failed = |source| ResolveError::Socket {
                    path: path.clone(),
                    source,
                };
                let first = socket::ask(path, name, None).await.map_err(failed)?;
                let service = made(&first.material);
                let follower = Follower::new(&service, Duration::ZERO);
                tokio::spawn(stopping(
                    stopped,
                    socket::follow(follower, path.clone(), name.to_owned(), first.tag),
                ));
                Ok(service)
            }
        }
    }
}

/// Follows a service until nobody has it any more.
async fn stopping(stopped: oneshot::Receiver<()>, follow: impl Future<Output = ()>) {
    tokio::select! {
        _ = stopped => {}
        () = follow => {}
    }
}

/// What follows a service: it does not keep it.
struct Follower {
    service: std::sync::Weak<crate::service::Shared>,
    /// Until when the last answer holds.
    good_until: Instant,
    stale: Duration,
    failures: u32,
}

impl Follower {
    fn new(service: &Service, ttl: Duration) -> Self {
        Self {
            service: service.downgrade(),
            good_until: Instant::now() + ttl,
            stale: service.options().stale,
            failures: 0,
        }
    }

    /// Takes an answer that holds for so long.
    fn answered(&mut self, material: &Material, ttl: Duration) {
        self.failures = 0;
        self.good_until = Instant::now() + ttl;
        if let Some(service) = Service::upgrade(&self.service) {
            let options = service.options();
            service.set(State::new(material, &options.keys, options.source));
        }
    }

    /// Takes that nothing has changed.
    #[cfg(feature = "socket")]
    fn unchanged(&mut self) {
        self.failures = 0;
        self.good_until = Instant::now();
    }

    /// Takes a failure, and returns how long to wait before the next question. Once the last answer is too old, nothing is
    /// known any more.
    fn failed(&mut self, reason: &dyn std::fmt::Display) -> Duration {
        let pause = FIRST_RETRY.saturating_mul(1 << self.failures.min(10)).min(MAX_RETRY);
        self.failures = self.failures.saturating_add(1);
        if Instant::now() > self.good_until + self.stale
            && let Some(service) = Service::upgrade(&self.service)
            && !service.state().published.rules().is_empty()
        {
            let why = format!(
                "no answer since {} s: {reason}",
                (Instant::now() - self.good_until).as_secs()
            );
            let material = Material {
                addresses: service.addresses(),
                fault: Some(why),
                ..Material::default()
            };
            service.set(State::new(&material, &service.options().keys, service.options().source));
        }
        jittered(pause)
    }

    /// Waits, and asks the kernel for sources meanwhile.
    async fn wait(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            tokio::time::sleep_until(until.min(Instant::now() + SOURCES)).await;
            if let Some(service) = Service::upgrade(&self.service) {
                service.refresh_sources();
            }
        }
    }
}

/// Returns 80 to 95 % of a pause: many clients are not to ask at the same time, and answers are renewed before they expire.
fn jittered(pause: Duration) -> Duration {
    pause * fastrand::u32(80..96) / 100
}
