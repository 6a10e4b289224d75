//! A network of its own: everything happens on loopback inside namespaces that end with this process.
//!
//! ```text
//!   client, 2001:db8:77::1                         Envoy number K                        application
//!     connects to 2001:db8:5:K::/64 (inbound)  --> REDIRECT to port 15200 + K  --> [::1]:8080
//!     connects to 2001:db8:6:K::/64 (outbound) --> REDIRECT to port 15100 + K  --> 2001:db8:6:K::/64 or 7:K, port 80
//! ```
//!
//! Where a server's sidecar follows a client's, what the latter opens to `6:K` and `7:K` is redirected to the former.

use std::{
    env, fs,
    net::Ipv6Addr,
    path::{Path, PathBuf},
    process::{self, Command},
};

use super::{error::Error, modules::repository};

/// Where clients connect from.
pub(crate) const CLIENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 1);
/// What Envoys bind their connections to where they go out.
pub(crate) const SIDECAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x10);
/// Envoy's own outbound connections bear it and are not captured again.
pub(crate) const MARK: u32 = 1337;
/// The port of services.
pub(crate) const PORT: u16 = 80;
/// The port of the application behind inbound Envoys.
pub(crate) const APPLICATION: u16 = 8080;
/// In memory, and seen in these namespaces alone.
pub(crate) const FOLDER: &str = "/run/ssa-bench";

/// Which side of a connection an Envoy is on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// Before an application on loopback: a static cluster.
    Inbound,
    /// Behind a client: an `ORIGINAL_DST` cluster, its source pinned.
    Outbound,
}

/// The first address of the /64 that inbound connections of a variant go to.
pub(crate) fn inbound(variant: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 5, variant, 0, 0, 0, 0)
}

/// The first address of the /64 that outbound connections of a variant go to, before they are rewritten.
pub(crate) fn published(variant: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 6, variant, 0, 0, 0, 0)
}

/// The first address of the /64 that outbound connections are rewritten to.
pub(crate) fn composed(variant: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 7, variant, 0, 0, 0, 0)
}

/// The port that a variant's Envoy listens on.
pub(crate) fn listener(shape: Shape, variant: u16) -> u16 {
    variant
        + match shape {
            Shape::Outbound => 15100,
            Shape::Inbound => 15200,
        }
}

/// Runs this program anew with its arguments, in namespaces of its own, and returns its exit code.
pub(crate) fn enter<'a>(environment: impl IntoIterator<Item = (&'a str, &'a PathBuf)>) -> Result<u8, Error> {
    let program = env::current_exe().map_err(Error::io("find", "this program"))?;
    let script = repository().join("hack/namespaces.sh");
    let status = Command::new(&script)
        .arg(program)
        .args(env::args_os().skip(1))
        .envs(environment)
        .status()
        .map_err(Error::io("run", &script))?;
    Ok(status.code().and_then(|code| code.try_into().ok()).unwrap_or(2))
}

/// Whether this process is the first of its namespace.
pub(crate) fn entered() -> bool {
    process::id() == 1
}

/// Lays the network; `variants` is how many there will be, and `chained` whether each has a sidecar on both sides.
pub(crate) fn lay(variants: u16, chained: bool) -> Result<(), Error> {
    run("mount", "-t tmpfs tmpfs /run")?;
    fs::create_dir_all(FOLDER).map_err(Error::io("make", FOLDER))?;
    run("ip", "link set lo up")?;
    for address in [CLIENT, SIDECAR] {
        run("ip", &format!("address add {address}/128 dev lo nodad"))?;
    }
    // AnyIP; what is connected to within is connected to from the client's address, unless it is bound.
    for prefix in [inbound(0), published(0), composed(0)] {
        run("ip", &format!("-6 route add local {prefix}/48 dev lo src {CLIENT}"))?;
    }
    let redirect = |of: &str, prefix: Ipv6Addr, port: u16| {
        let rule = format!("-t nat -A OUTPUT -p tcp {of} -d {prefix}/64 -j REDIRECT --to-ports {port}");
        run("ip6tables", &rule)
    };
    let marked = format!("-m mark --mark {MARK}");
    for variant in (0..variants).filter(|_| chained) {
        for prefix in [published(variant), composed(variant)] {
            redirect(&marked, prefix, listener(Shape::Inbound, variant))?;
        }
    }
    run("ip6tables", &format!("-t nat -A OUTPUT -p tcp {marked} -j RETURN"))?;
    for variant in 0..variants {
        redirect("", inbound(variant), listener(Shape::Inbound, variant))?;
        redirect("", published(variant), listener(Shape::Outbound, variant))?;
    }
    // Ports come round within seconds: a SYN must not look older than the connection that had its port before.
    set("net/ipv4/tcp_timestamps", "2")?;
    // Clients of HTTP close first.
    set("net/ipv4/tcp_tw_reuse", "1")?;
    // Ports and the table of flows must not run out.
    set("net/ipv4/ip_local_port_range", "20000 64999")?;
    for state in ["time_wait", "close", "close_wait", "last_ack", "fin_wait"] {
        set(&format!("net/netfilter/nf_conntrack_tcp_timeout_{state}"), "1")?;
    }
    Ok(())
}

fn run(program: &str, arguments: &str) -> Result<(), Error> {
    Error::check(Command::new(program).args(arguments.split_whitespace())).map(drop)
}

fn set(key: &str, value: &str) -> Result<(), Error> {
    let path = Path::new("/proc/sys").join(key);
    fs::write(&path, value).map_err(Error::io("set", &path))
}
