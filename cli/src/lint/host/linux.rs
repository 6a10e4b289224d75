//! Linux: addresses, namespaces, AnyIP, and what gets in the way of sources.

use std::{
    fs,
    net::Ipv6Addr,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Check, State};

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(5);

const ANYIP: &str = "an endpoint takes whole slices by a local route (AnyIP), not address by address";
const NAMESPACES: &str = "test hosts without root live in user and network namespaces";
const FILTER: &str = "a filter of the reverse path drops what comes in by another way than its answer would go out";
const NAT: &str = "masquerading changes the source, and makes every connection a violation of rules of the source";

pub(super) fn checks() -> Vec<Check> {
    let mut checks = vec![address(), temporary()];
    checks.extend(disabled());
    let namespaces = namespaces();
    checks.push(any_ip(namespaces.state == State::Fine));
    checks.push(namespaces);
    let rules = rules();
    checks.push(source_filter(rules.as_deref()));
    checks.push(nat(rules.as_deref()));
    checks
}

/// What a command said.
struct Said {
    fine: bool,
    out: String,
    err: String,
}

/// Runs a command with patience; nothing where there is none of this name, or it does not end.
fn run(program: &str, args: &[&str]) -> Option<Said> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let (mut stdout, mut stderr) = (child.stdout.take()?, child.stderr.take()?);
    let read = |pipe: &mut dyn std::io::Read| {
        let mut bytes = Vec::new();
        // What came until it failed is all there is.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    thread::scope(|scope| {
        let out = scope.spawn(|| read(&mut stdout));
        let err = scope.spawn(|| read(&mut stderr));
        let start = Instant::now();
        #[allow(
            clippy::disallowed_methods,
            reason = "the standard library waits for a child without a limit alone"
        )]
        let fine = loop {
            match child.try_wait().ok()? {
                Some(status) => break Some(status.success()),
                None if start.elapsed() > PATIENCE => break None,
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        if fine.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        Some(Said {
            fine: fine?,
            out: out.join().ok()?,
            err: err.join().ok()?,
        })
    })
}

/// The addresses of all interfaces but the loopback: `/proc/net/if_inet6`.
fn addresses() -> Vec<(Ipv6Addr, String)> {
    let text = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (address, name) = (words.first()?, words.last()?);
        Some((
            Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?),
            (*name).to_string(),
        ))
    });
    lines.filter(|(_, name)| name != "lo").collect()
}

fn address() -> Check {
    let all = addresses();
    let of = |mask: u16, value: u16| {
        all.iter()
            .find(move |(address, _)| address.segments()[0] & mask == value)
    };
    let why = "clients and endpoints need an address that others reach";
    if let Some((address, interface)) = of(0xe000, 0x2000).or_else(|| of(0xfe00, 0xfc00)) {
        return Check::new("host-address", State::Fine, format!("{interface} has {address}"), why);
    }
    let what = format!(
        "no global or unique local address among {} of all interfaces",
        all.len()
    );
    Check::new("host-address", State::Warning, what, why).instead("router advertisements, DHCPv6, or ip -6 address add")
}

/// Interfaces on which IPv6 is switched off.
fn disabled() -> Option<Check> {
    let off = interfaces_with("disable_ipv6", |value| value != 0);
    let why = "such an interface neither sends nor takes IPv6";
    (!off.is_empty()).then(|| {
        let what = format!("IPv6 is switched off for {}", off.join(", "));
        Check::new("host-interface", State::Note, what, why).instead("sysctl net.ipv6.conf.INTERFACE.disable_ipv6=0")
    })
}

/// The interfaces whose setting is as wanted, `all` and `default` among them.
fn interfaces_with(setting: &str, wanted: impl Fn(i64) -> bool) -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc/sys/net/ipv6/conf") else {
        return Vec::new();
    };
    let names = entries.flatten().filter_map(|entry| {
        let value = fs::read_to_string(entry.path().join(setting))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        wanted(value).then(|| entry.file_name().to_string_lossy().into_owned())
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn temporary() -> Check {
    let preferred = interfaces_with("use_tempaddr", |value| value > 1);
    let why = "temporary addresses (RFC 8981) change inputs past /64, by default every 24 hours";
    if preferred.is_empty() {
        Check::new(
            "host-temporary",
            State::Fine,
            "no interface prefers temporary addresses",
            why,
        )
    } else {
        let what = format!("temporary addresses are preferred on {}", preferred.join(", "));
        Check::new("host-temporary", State::Warning, what, why)
            .instead("sysctl net.ipv6.conf.INTERFACE.use_tempaddr=0, or records that look at /64 at most")
    }
}

fn namespaces() -> Check {
    let code = "host-namespaces";
    let advice = "sysctl user.max_user_namespaces=15000, and kernel.unprivileged_userns_clone=1 or \
                  kernel.apparmor_restrict_unprivileged_userns=0 where there is one";
    match run("unshare", &["-Urn", "true"]) {
        Some(said) if said.fine => Check::new(code, State::Fine, "user and network namespaces are allowed", NAMESPACES),
        Some(said) => {
            let what = format!("user and network namespaces are refused: {}", first_line(&said.err));
            Check::new(code, State::Note, what, NAMESPACES).instead(advice)
        }
        None => Check::new(
            code,
            State::Unavailable,
            "the command unshare (util-linux) is not there",
            NAMESPACES,
        ),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("no reason given")
}

/// Adds a local route in a namespace of its own, and asks the kernel where an address of it goes.
fn any_ip(namespaces: bool) -> Check {
    let code = "host-anyip";
    if !namespaces {
        let what = "not tried: it takes a network namespace of its own";
        return Check::new(code, State::Unavailable, what, ANYIP);
    }
    let script = "command -v ip >/dev/null || exit 127; ip link set lo up && \
                  ip -6 route add local 2001:db8:5::/64 dev lo && ip -6 route get 2001:db8:5::1234:5678";
    match run("unshare", &["-Urn", "sh", "-c", script]) {
        Some(said) if said.fine && said.out.contains("local 2001:db8:5::1234:5678") => Check::new(
            code,
            State::Fine,
            "AnyIP works: a local route of a /64 takes all its addresses",
            ANYIP,
        ),
        Some(said) if said.err.is_empty() && !said.fine => Check::new(
            code,
            State::Unavailable,
            "the command ip (iproute2) is not there",
            ANYIP,
        ),
        Some(said) => {
            let what = format!("AnyIP does not work: {}", first_line(&said.err));
            Check::new(code, State::Error, what, ANYIP).instead("a kernel with IPv6 and its local routing table")
        }
        None => Check::new(code, State::Unavailable, "the command unshare did not end", ANYIP),
    }
}

/// The packet filter's rules for IPv6, by whichever tool gives them.
fn rules() -> Option<String> {
    let nft = run("nft", &["list", "ruleset"])
        .filter(|said| said.fine)
        .map(|said| said.out);
    let tables = run("ip6tables-save", &[]).filter(|said| said.fine).map(|said| said.out);
    match (nft, tables) {
        (None, None) => None,
        (nft, tables) => Some(of_ipv6(&nft.unwrap_or_default()) + &tables.unwrap_or_default()),
    }
}

/// Leaves out the tables of nftables that IPv6 does not pass.
fn of_ipv6(rules: &str) -> String {
    let mut passed = true;
    let lines = rules.lines().filter(|line| {
        if line.starts_with("table ") {
            passed =
                line.starts_with("table ip6 ") || line.starts_with("table inet ") || line.starts_with("table netdev ");
        }
        passed
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn source_filter(rules: Option<&str>) -> Check {
    let code = "host-source-filter";
    let Some(rules) = rules else {
        let what = "the rules of nft and ip6tables cannot be read: neither there, or not root";
        return Check::new(code, State::Unavailable, what, FILTER);
    };
    let filters = rules
        .lines()
        .filter(|line| line.contains("rpfilter") || line.contains("fib saddr"))
        .count();
    if filters == 0 {
        Check::new(code, State::Fine, "no filter of the reverse path for IPv6", FILTER)
    } else {
        let what = format!("filters of the reverse path (rpfilter, fib saddr): {filters}");
        Check::new(code, State::Note, what, FILTER)
            .instead("loose filtering where answers go out by another way (direct return)")
    }
}

fn nat(rules: Option<&str>) -> Check {
    let code = "host-nat";
    let Some(rules) = rules else {
        let what = "the rules of nft and ip6tables cannot be read: neither there, or not root";
        return Check::new(code, State::Unavailable, what, NAT);
    };
    let translates = |line: &&str| {
        let line = line.to_ascii_lowercase();
        ["masquerade", "snat"]
            .iter()
            .any(|word| line.split_whitespace().any(|part| part == *word))
    };
    let count = rules.lines().filter(translates).count();
    if count == 0 {
        Check::new(code, State::Fine, "no rule translates IPv6 sources", NAT)
    } else {
        let what = format!("rules that translate IPv6 sources (masquerade, snat): {count}");
        Check::new(code, State::Warning, what, NAT).instead("an exception for the service's prefix, before these rules")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tables_that_ipv6_passes_count() {
        let rules = "table ip nat {\n masquerade\n}\ntable ip6 nat {\n oif x masquerade\n}\n";
        assert_eq!(of_ipv6(rules).matches("masquerade").count(), 1);
        assert_eq!(nat(Some(&of_ipv6(rules))).state, State::Warning);
        assert_eq!(nat(Some("-A POSTROUTING -j RETURN")).state, State::Fine);
        assert_eq!(nat(Some("-A POSTROUTING -j MASQUERADE")).state, State::Warning);
        assert_eq!(nat(None).state, State::Unavailable);
    }

    #[test]
    fn reverse_path_filters_are_seen() {
        assert_eq!(source_filter(Some("-m rpfilter --invert -j DROP")).state, State::Note);
        assert_eq!(
            source_filter(Some("fib saddr . iif oif missing drop")).state,
            State::Note
        );
        assert_eq!(source_filter(Some("accept")).state, State::Fine);
    }

    #[test]
    fn commands_that_are_not_there_are_told_apart() {
        assert!(run("ssa-no-such-command", &[]).is_none());
        assert!(run("sh", &["-c", "exit 3"]).is_some_and(|said| !said.fine));
    }
}
