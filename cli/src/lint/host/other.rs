//! Systems other than Linux: what cannot be checked is named.

use ipnet::Ipv6Net;

use super::{Check, State};

/// Names the checks that there are on Linux alone.
pub(super) fn checks(items: &[Ipv6Net]) -> Vec<Check> {
    let only = |code, why| {
        Check::new(
            code,
            State::Unavailable,
            format!("not checked on {}", std::env::consts::OS),
            why,
        )
    };
    let mut checks = vec![
        only("host-address", "an interface needs a global or unique local address"),
        only(
            "host-namespaces",
            "tests without root need user and network namespaces, which Linux has",
        ),
        only(
            "host-anyip",
            "an endpoint takes whole prefixes by AnyIP, a local route, which Linux has; others need each address",
        ),
        only("host-temporary", "temporary addresses change inputs past /64"),
        only(
            "host-source-filter",
            "filters of the reverse path drop what comes in by another way than it would go out",
        ),
        only("host-nat", "masquerading changes the source"),
    ];
    if !items.is_empty() {
        checks.push(only(
            "host-route",
            "a server answers for its slices by local routes, which Linux has",
        ));
        checks.push(only(
            "host-resolver",
            "a sidecar learns the services from the resolver beside it, which runs on Linux",
        ));
    }
    checks
}
