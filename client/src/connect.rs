//! Connections: from the source that addresses are composed for, to several targets one after the other.

use std::{
    fmt, io,
    net::{Ipv6Addr, SocketAddr, SocketAddrV6},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpSocket, TcpStream, UdpSocket},
    time::timeout,
};

use crate::{
    error::{PlanError, PlanFault},
    plan::{Target, Want},
    service::Service,
    stagger::{Winner, stagger},
};

/// The most plain addresses tried.
const MAX_PLAIN: usize = 8;

/// A connection, and where it leads.
#[derive(Debug)]
pub struct Connected<S = TcpStream> {
    /// The connection.
    pub stream: S,
    /// The target; nothing where no record is in force, and the service's published address was taken.
    pub target: Option<Target>,
}

/// An attempt that failed.
#[derive(Debug)]
pub struct Failed {
    /// Where to.
    pub address: SocketAddrV6,
    /// From where; nothing where the kernel chose.
    pub source: Option<Ipv6Addr>,
    /// Why.
    pub error: io::Error,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        if let Some(source) = self.source {
            write!(f, " from {source}")?;
        }
        write!(f, ": {}", self.error)
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// No record is in force, and there is no published address either.
    #[error("{service}: no usable rule record is in force ({why}), and no AAAA record is published")]
    NoAddress {
        /// The service.
        service: Arc<str>,
        /// Why no record is in force.
        why: Arc<str>,
    },
    /// No target can be connected to.
    #[error("{service}: no target can be connected to: {}", listed(failed))]
    Targets {
        /// The service.
        service: Arc<str>,
        /// What became of each.
        failed: Vec<Failed>,
    },
}

fn listed(failed: &[Failed]) -> String {
    let texts: Vec<String> = failed.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// An address to try.
#[derive(Clone, Copy, PartialEq)]
struct Attempt {
    address: SocketAddrV6,
    target: Option<Target>,
}

impl From<Target> for Attempt {
    fn from(target: Target) -> Self {
        Self {
            address: target.address,
            target: Some(target),
        }
    }
}

impl Attempt {
    fn source(self) -> Option<Ipv6Addr> {
        self.target.map(|target| target.source)
    }

    async fn connect(self, most: Duration) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v6()?;
        if let Some(source) = self.source() {
            socket.bind(SocketAddr::new(source.into(), 0))?;
        }
        timeout(most, socket.connect(self.address.into()))
            .await
            .unwrap_or_else(|_| {
                let told = format!("no answer within {} s", most.as_secs_f32());
                Err(io::Error::new(io::ErrorKind::TimedOut, told))
            })
    }
}

/// Returns whether an error says something of the target, and not of this host.
fn is_of_target(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable | TimedOut
    )
}

/// Returns whether an error says that this host has the source no longer.
fn is_of_source(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
}

impl Service {
    /// Connects to what is wanted: to the first target, after 250 ms without an answer or at a refusal to the next one
    /// beside it, and so on; the first connection counts ([`Options::with_attempt_delay`](crate::Options)). It comes from the
    /// source that the address was composed for. Targets that refuse, do not answer, or are overtaken are remembered.
    ///
    /// Where no usable record is in force, it goes to a published address (AAAA) instead, if the
    /// [options](crate::Options::with_fall_back) allow that.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn connect(&self, want: &Want<'_>) -> Result<Connected, ConnectError> {
        let plan = match self.plan(want, &mut crate::random) {
            Ok(plan) => plan,
            Err(PlanError {
                fault: PlanFault::NoRecord { why },
                ..
            }) if self.options().falls_back => return self.connect_plain(want.port, why).await,
            Err(error) => return Err(error.into()),
        };
        match self.connect_to(plan).await {
            Err(ConnectError::Targets { failed, .. })
                if failed.iter().all(|failed| is_of_source(&failed.error)) && self.refresh_sources() =>
            {
                let plan = self.plan(want, &mut crate::random)?;
                self.connect_to(plan).await
            }
            done => done,
        }
    }

    /// Connects to targets of a plan, as [`Service::connect`] does.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Targets`].
    pub async fn connect_to(&self, targets: impl IntoIterator<Item = Target>) -> Result<Connected, ConnectError> {
        self.race(targets.into_iter().map(Attempt::from)).await
    }

    async fn connect_plain(&self, port: u16, why: Arc<str>) -> Result<Connected, ConnectError> {
        let state = self.state();
        if state.addresses.is_empty() {
            return Err(ConnectError::NoAddress {
                service: self.shared_name(),
                why,
            });
        }
        let port = state.port.unwrap_or(port);
        let start = fastrand::usize(..state.addresses.len());
        let addresses = state
            .addresses
            .iter()
            .cycle()
            .skip(start)
            .take(state.addresses.len().min(MAX_PLAIN));
        let attempt = |address: &Ipv6Addr| Attempt {
            address: SocketAddrV6::new(*address, port, 0, 0),
            target: None,
        };
        let attempts: Vec<Attempt> = addresses.map(attempt).collect();
        self.race(attempts.into_iter()).await
    }

    async fn race(&self, attempts: impl Iterator<Item = Attempt>) -> Result<Connected, ConnectError> {
        let options = self.options();
        let connect = |attempt: Attempt| attempt.connect(options.attempt_timeout);
        let remember = |attempt: &Attempt| attempt.target.iter().for_each(|target| self.report_failure(target));
        match stagger(attempts, options.attempt_delay, connect).await {
            Ok(Winner {
                target,
                value,
                overtaken,
                failed,
            }) => {
                overtaken.iter().for_each(remember);
                failed
                    .iter()
                    .filter(|(_, error)| is_of_target(error))
                    .for_each(|(attempt, _)| remember(attempt));
                Ok(Connected {
                    stream: value,
                    target: target.target,
                })
            }
            Err(failed) => {
                failed
                    .iter()
                    .filter(|(_, error)| is_of_target(error))
                    .for_each(|(attempt, _)| remember(attempt));
                let told = |(attempt, error): (Attempt, io::Error)| Failed {
                    address: attempt.address,
                    source: attempt.source(),
                    error,
                };
                Err(ConnectError::Targets {
                    service: self.shared_name(),
                    failed: failed.into_iter().map(told).collect(),
                })
            }
        }
    }

    /// Opens a UDP socket that is connected to the first target of what is wanted, from the source that its address was
    /// composed for. Nothing is sent: whether anybody answers only the application learns, and
    /// [`report_failure`](Service::report_failure) takes it.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn udp(&self, want: &Want<'_>) -> Result<Connected<UdpSocket>, ConnectError> {
        let mut target = self.plan(want, &mut crate::random)?.first();
        let mut opened = open(target).await;
        if opened.as_ref().is_err_and(is_of_source) && self.refresh_sources() {
            target = self.plan(want, &mut crate::random)?.first();
            opened = open(target).await;
        }
        match opened {
            Ok(stream) => Ok(Connected {
                stream,
                target: Some(target),
            }),
            Err(error) => Err(ConnectError::Targets {
                service: self.shared_name(),
                failed: vec![Failed {
                    address: target.address,
                    source: Some(target.source),
                    error,
                }],
            }),
        }
    }
}

async fn open(target: Target) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(target.source.into(), 0)).await?;
    socket.connect(target.address).await?;
    Ok(socket)
}
