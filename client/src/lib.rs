//! Clients of SSA services: from a service's name and what a client wants of it to a connection to the endpoint that has it,
//! with no sidecar, no map and no redirect.
//!
//! ```text
//!  DNS, or the shim's socket          the application            the kernel
//!          |                                 |                        |
//!          v                                 v                        v
//!  +---------------+   Service   +------------------------+   +---------------+
//!  |  Resolver     |------------>|  plan(Want)            |-->|  connect()    |
//!  |  follows      |   cheap to  |  targets: address,     |   |  binds the    |
//!  |  changes      |   clone     |  source, replica       |   |  source       |
//!  +---------------+             +------------------------+   +---------------+
//! ```
//!
//! ```
//! use ssa_client::{Options, Service, Want};
//!
//! // Resolver::system()?.service("store.example").await? asks the DNS; this one says by itself what stands there.
//! let service = Service::fixed(
//!     "store.example",
//!     Some("2:2001:db8:5::/64"),
//!     &["v=ssa1; addr=hash(obj):12 const(0):52; replicas=2"],
//!     Options::default().with_source("2001:db8:77::7".parse()?),
//! )?;
//!
//! let want = Want::port(443).object(b"photos/cat.jpg");
//! let plan = service.plan(&want, &mut ssa_client::random)?;
//! assert_eq!(plan.targets().len(), 2); // one for each replica
//! let first = &plan.targets()[0];
//! assert_eq!((first.source.to_string(), first.address.port()), ("2001:db8:77::7".into(), 443));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Service::connect`] opens a TCP connection by a plan, [`Service::udp`] a socket. The features `http` and `resp` have a
//! connector for hyper's and tonic's clients, and a client of key-value stores.
//!
//! # What this crate does not do
//!
//! What a rule leaves open is chosen by `ssa-rules`, as in the sidecar and in the DNS front; this crate decides nothing of
//! that. It caches no answers beyond what it follows, validates no DNSSEC (ask a resolver that does, or a shim), and proves
//! no identity: use TLS with the service's name.

mod clock;
mod connect;
mod error;
mod keys;
mod options;
mod plan;
mod replicas;
#[cfg(any(feature = "dns", feature = "socket"))]
mod resolver;
mod service;
mod sources;
mod stagger;
mod state;

#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "resp")]
pub mod resp;

pub use connect::{ConnectError, Connected, Failed};
pub use error::{PlanError, PlanFault, ServiceError};
pub use keys::{Keys, KeysError};
pub use options::{Options, OptionsError};
pub use plan::{MAX_TARGETS, Order, Plan, Target, Want};
pub use replicas::{AllFailed, NotAll, read_fastest, write_to_all};
#[cfg(feature = "socket")]
pub use resolver::SocketError;
#[cfg(any(feature = "dns", feature = "socket"))]
pub use resolver::{ResolveError, Resolver};
pub use service::{Changes, Service};
#[cfg(feature = "dns")]
pub use ssa_dns::Servers;
pub use ssa_rules::{HttpRequest, RandomBits};

/// Returns 64 random bits of this thread's generator: for callers of [`Service::plan`] that have none of their own. They are
/// not secret.
#[must_use]
pub fn random() -> u64 {
    fastrand::u64(..)
}
