//! What the functions do, on values.

use std::{
    io,
    net::{Ipv6Addr, SocketAddrV6},
    os::fd::{IntoRawFd as _, RawFd},
    path::Path,
    sync::OnceLock,
    time::Duration,
};

use ssa_client::{Keys, Options, Order, Resolver, Servers, Service, Target, Want};
use tokio::runtime::{Builder, Runtime};

use crate::fault::{Fault, Status, invalid};

/// How long each DNS server is waited for.
const DNS_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the runtime that follows services: one thread, started with the first of them.
fn runtime() -> Result<&'static Runtime, Fault> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let build = || {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("ssa-client")
            .enable_all()
            .build()
    };
    let told = |error: &io::Error| Fault(Status::Internal, format!("cannot start the async runtime: {error}"));
    RUNTIME.get_or_init(build).as_ref().map_err(told)
}

/// The options, as they were read.
pub(crate) struct Settings<'a> {
    pub(crate) source: Option<Ipv6Addr>,
    pub(crate) client_keys: Option<&'a str>,
    pub(crate) attempt_delay_ms: u32,
    pub(crate) attempt_timeout_ms: u32,
}

impl Settings<'_> {
    fn options(&self) -> Result<Options, Fault> {
        let mut options = Options::default();
        if let Some(source) = self.source {
            options = options.with_source(source);
        }
        if let Some(folder) = self.client_keys {
            let keys = Keys::default().with_client_keys_of(Path::new(folder));
            options = options.with_keys(keys.map_err(invalid)?);
        }
        let ms = |ms: u32| Duration::from_millis(ms.into());
        if self.attempt_delay_ms > 0 {
            options = options.with_attempt_delay(ms(self.attempt_delay_ms)).map_err(invalid)?;
        }
        if self.attempt_timeout_ms > 0 {
            options = options
                .with_attempt_timeout(ms(self.attempt_timeout_ms))
                .map_err(invalid)?;
        }
        Ok(options)
    }
}

pub(crate) fn fixed(
    name: &str,
    apl: Option<&str>,
    records: &[&str],
    settings: &Settings<'_>,
) -> Result<Service, Fault> {
    Service::fixed(name, apl, records, settings.options()?).map_err(invalid)
}

pub(crate) fn dns(name: &str, server: Option<&str>, settings: &Settings<'_>) -> Result<Service, Fault> {
    let resolver = match server {
        Some(server) => {
            let told = |_| {
                invalid(format!(
                    "server: `{server}` is not ADDRESS:PORT, such as [2001:db8::53]:53"
                ))
            };
            Resolver::dns(Servers::new(vec![server.parse().map_err(told)?], DNS_TIMEOUT))
        }
        None => Resolver::system().map_err(|error| Fault(Status::NoAnswer, error.to_string()))?,
    };
    follow(&resolver.with_options(settings.options()?), name)
}

pub(crate) fn socket(name: &str, path: &str, settings: &Settings<'_>) -> Result<Service, Fault> {
    follow(&Resolver::socket(path).with_options(settings.options()?), name)
}

fn follow(resolver: &Resolver, name: &str) -> Result<Service, Fault> {
    let asked = runtime()?.block_on(resolver.service(name));
    asked.map_err(|error| Fault(Status::NoAnswer, error.to_string()))
}

/// What is wanted, as it was read.
pub(crate) struct Wanted<'a> {
    pub(crate) port: u16,
    pub(crate) object: Option<&'a [u8]>,
    pub(crate) chunk: Option<u64>,
    pub(crate) replica: Option<u8>,
    pub(crate) source: Option<Ipv6Addr>,
    pub(crate) time: Option<u64>,
    pub(crate) fixed_order: bool,
    pub(crate) targets: Option<usize>,
}

impl<'a> Wanted<'a> {
    fn want(&self) -> Want<'a> {
        let mut want = Want::port(self.port);
        if let Some(object) = self.object {
            want = want.object(object);
        }
        if let Some(chunk) = self.chunk {
            want = want.chunk(chunk);
        }
        if let Some(replica) = self.replica {
            want = want.replica(replica);
        }
        if let Some(source) = self.source {
            want = want.source(source);
        }
        if let Some(time) = self.time {
            want = want.time(time);
        }
        if let Some(targets) = self.targets {
            want = want.targets(targets);
        }
        want.order(if self.fixed_order { Order::Fixed } else { Order::Random })
    }
}

pub(crate) fn plan(service: &Service, wanted: &Wanted<'_>) -> Result<ssa_client::Plan, Fault> {
    Ok(service.plan(&wanted.want(), &mut ssa_client::random)?)
}

/// Connects, and gives the descriptor away; it blocks, as those of `socket(2)` do.
pub(crate) fn connect(service: &Service, wanted: &Wanted<'_>) -> Result<(RawFd, Option<Target>), Fault> {
    let connected = runtime()?.block_on(service.connect(&wanted.want()))?;
    let failed = |error: io::Error| Fault(Status::NoConnection, error.to_string());
    let stream = connected.stream.into_std().map_err(failed)?;
    stream.set_nonblocking(false).map_err(failed)?;
    Ok((stream.into_raw_fd(), connected.target))
}

pub(crate) fn report_failure(service: &Service, address: Ipv6Addr) {
    service.report_failure(&Target {
        address: SocketAddrV6::new(address, 0, 0, 0),
        source: Ipv6Addr::UNSPECIFIED,
        replica: 0,
    });
}
