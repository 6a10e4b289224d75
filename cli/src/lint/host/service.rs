//! Whether this machine takes part in a service: as a server by local routes, beside a resolver, in a network of its own.

use std::{fs, io::ErrorKind, net::Ipv6Addr, os::unix::net::UnixStream, path::Path};

use ipnet::Ipv6Net;
use ssa_input::files::reason;

use super::{Check, State};
use crate::counts::plain;

/// Where resolvers listen for the sidecar beside them: the chart's, and one whose configuration names no socket. A test holds
/// the first against the chart.
const SOCKETS: [&str; 2] = [ssa_snapshot::CHART_SOCKET, ssa_snapshot::DEFAULT_SOCKET];

/// A route's flags in `/proc/net/ipv6_route`: to this machine itself, and refused (`RTF_LOCAL`, `RTF_REJECT`).
const LOCAL: u32 = 0x8000_0000;
const REJECT: u32 = 0x0200;

const ROUTE: &str = "a server answers for its slices by local routes (AnyIP); without one the kernel drops or forwards what is \
                     sent to a composed address, and no listener sees it";
const SHIM: &str = "a sidecar learns the services from the resolver beside it, and does without SSA until it has";
const NETWORK: &str = "a pod on its node's network has the node's address and routes: sidecars do not capture its connections, and \
                       no slice is routed to it";

/// Checks this machine against the items of a service and for a resolver at a socket, and where it is a pod, its network.
pub(super) fn checks(items: &[Ipv6Net], socket: Option<&Path>) -> Vec<Check> {
    let mut checks = Vec::new();
    if !items.is_empty() {
        let routes = fs::read_to_string("/proc/net/ipv6_route");
        match &routes {
            Ok(text) => checks.extend(items.iter().map(|item| route(*item, &local_routes(text)))),
            Err(error) => {
                let what = format!("/proc/net/ipv6_route cannot be read: {}", reason(error));
                checks.push(Check::new("host-route", State::Unavailable, what, ROUTE));
            }
        }
    }
    if !items.is_empty() || socket.is_some() {
        checks.push(found(socket));
    }
    let told = |name: &str| std::env::var(name).ok();
    if told("KUBERNETES_SERVICE_HOST").is_some() {
        let own = told("INSTANCE_IP").or_else(|| told("POD_IP"));
        checks.push(network(own.as_deref(), told("HOST_IP").as_deref(), &interfaces()));
    }
    checks
}

/// The prefixes that the kernel takes for its own.
fn local_routes(text: &str) -> Vec<Ipv6Net> {
    let routes = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let address = u128::from_str_radix(words.first()?, 16).ok()?;
        let length = u8::from_str_radix(words.get(1)?, 16).ok()?;
        let flags = u32::from_str_radix(words.get(8)?, 16).ok()?;
        (flags & (LOCAL | REJECT) == LOCAL).then_some(())?;
        Ipv6Net::new(Ipv6Addr::from(address), length).ok()
    });
    routes.collect()
}

fn route(item: Ipv6Net, routes: &[Ipv6Net]) -> Check {
    let code = "host-route";
    if routes.iter().any(|route| route.contains(&item)) {
        let what = format!("a local route takes all of 2:{item}: this machine answers for it");
        return Check::new(code, State::Fine, what, ROUTE);
    }
    let inside: Vec<&Ipv6Net> = routes.iter().filter(|route| item.contains(*route)).collect();
    let slices = inside.iter().filter(|route| route.prefix_len() < 128).count();
    if slices > 0 {
        let what = format!(
            "{} within 2:{item}: this machine answers for those slices alone",
            plain(u64::try_from(slices).unwrap_or(u64::MAX), "local route")
        );
        return Check::new(code, State::Fine, what, ROUTE);
    }
    let what = if inside.is_empty() {
        format!(
            "no local route into 2:{item}: what is composed for it is not answered here, which is right on a client"
        )
    } else {
        format!(
            "single addresses of 2:{item}, and no local route of a prefix: composed addresses are not answered here"
        )
    };
    Check::new(code, State::Note, what, ROUTE)
        .instead("on a server ip -6 route replace local PREFIX dev lo; in Kubernetes the pod template of the chart")
}

/// Looks for a resolver: at the socket that is given, or where one listens by default.
fn found(socket: Option<&Path>) -> Check {
    let met = |path: &Path| UnixStream::connect(path).map_err(|error| error.kind()).err();
    if let Some(path) = socket {
        return resolver(&path.display().to_string(), met(path));
    }
    let others = SOCKETS.iter().map(|path| (*path, met(Path::new(path))));
    match others.into_iter().find(|(_, met)| *met != Some(ErrorKind::NotFound)) {
        Some((path, met)) => resolver(path, met),
        None => resolver(&SOCKETS.join(", nor at "), Some(ErrorKind::NotFound)),
    }
}

fn resolver(socket: &str, error: Option<ErrorKind>) -> Check {
    let code = "host-resolver";
    match error {
        None => Check::new(code, State::Fine, format!("a resolver listens at {socket}"), SHIM),
        Some(ErrorKind::NotFound) => {
            let what = format!("no resolver's socket at {socket}");
            Check::new(code, State::Note, what, SHIM)
                .instead("in Kubernetes the pod template of the chart; elsewhere ssa-resolver beside each Envoy")
        }
        Some(ErrorKind::PermissionDenied) => {
            let what = format!("{socket} is there, and this user may not connect to it");
            Check::new(code, State::Unavailable, what, SHIM)
        }
        Some(kind) => {
            let what = format!("{socket} is there, and nobody answers at it: {}", reason(&kind.into()));
            Check::new(code, State::Warning, what, SHIM).instead("ssa-resolver running: its log says why it ended")
        }
    }
}

fn interfaces() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Judges a pod's network by the addresses that Istio's injection tells it, and by the far ends of other pods' links.
fn network(own: Option<&str>, node: Option<&str>, interfaces: &[String]) -> Check {
    let code = "host-network";
    let ends = ["veth", "cali", "lxc", "cni", "flannel", "cilium"];
    let end = interfaces
        .iter()
        .find(|name| ends.iter().any(|end| name.starts_with(end)));
    let what = match (own.zip(node), end) {
        (Some((own, node)), _) if own == node => format!("this pod has its node's address, {own}: hostNetwork"),
        (_, Some(end)) => format!("links of other pods end here ({end}): this pod is on its node's network"),
        _ => {
            let what = "this pod has a network of its own";
            return Check::new(code, State::Fine, what, NETWORK);
        }
    };
    Check::new(code, State::Warning, what, NETWORK).instead("a pod without hostNetwork, of the chart's template")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "\
20010db8000500000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 80200001       lo
20010db8000600000000000000000000 50 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 80200001       lo
20010db8000700000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001     eth0
20010db8000800000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
";

    #[test]
    fn local_routes_tell_whether_a_service_is_answered() {
        let routes = local_routes(ROUTES);
        assert_eq!(routes.len(), 3);
        let of = |item: &str| route(item.parse().unwrap(), &routes);
        assert_eq!(of("2001:db8:5::/64").state, State::Fine);
        assert_eq!(of("2001:db8:5:0:8000::/65").state, State::Fine);
        assert!(of("2001:db8:6::/64").what.contains("1 local route within"));
        assert!(of("2001:db8:7::/64").what.contains("single addresses"));
        assert!(
            of("2001:db8:8::/64").what.contains("not answered here"),
            "on the link, and not local"
        );
        assert_eq!(of("2001:db8:9::/64").state, State::Note);
    }

    #[test]
    fn a_pod_on_its_nodes_network_is_seen() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let own = names(&["lo", "eth0"]);
        assert_eq!(network(Some("fd00::5"), Some("fd00::1"), &own).state, State::Fine);
        assert_eq!(network(Some("fd00::1"), Some("fd00::1"), &own).state, State::Warning);
        assert_eq!(
            network(None, None, &names(&["lo", "eth0", "veth12ab"])).state,
            State::Warning
        );
        assert_eq!(network(None, None, &own).state, State::Fine);
    }

    #[test]
    fn a_resolver_is_looked_for_where_the_chart_has_it() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s/chart/templates/_helpers.tpl");
        let [chart, _] = SOCKETS;
        let helper = format!("{{{{- define \"ssa.socket\" -}}}}\n{chart}\n");
        assert!(
            fs::read_to_string(&path).unwrap().contains(&helper),
            "{}",
            path.display()
        );
    }

    #[test]
    fn a_resolver_that_does_not_answer_is_told_from_none() {
        assert_eq!(resolver("/x", None).state, State::Fine);
        assert_eq!(resolver("/x", Some(ErrorKind::NotFound)).state, State::Note);
        assert_eq!(resolver("/x", Some(ErrorKind::ConnectionRefused)).state, State::Warning);
        assert_eq!(
            resolver("/x", Some(ErrorKind::PermissionDenied)).state,
            State::Unavailable
        );
    }
}
