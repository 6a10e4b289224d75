//! The ruleset that tells flows apart: `nft` sets it, from the text beside this file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv6Addr;
use std::process::Stdio;

use ipnet::Ipv6Net;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::links::PORTS;
use super::netlink::{ANSWER, shorten};
use super::{Error, Settings};

const RULESET: &str = include_str!("steer.nft");
const TABLE: &str = "ip6 ssa-cluster";
/// A chain that is there if forwarding was turned on with the ruleset: what removes the ruleset turns it off again.
const FORWARDING: &str = "forwarding-was-off";

/// Installs the ruleset in place of any earlier one, in one step. Peers and prefixes of an earlier run stay.
pub(super) async fn install(settings: &Settings, turned_forwarding_on: bool) -> Result<(), Error> {
    let (peers, outgoing, was_off) = if exists("").await? {
        (
            peers().await?,
            forwarded().await?.into_keys().collect(),
            turned_forwarding_on || exists(FORWARDING).await?,
        )
    } else {
        (BTreeSet::new(), BTreeSet::new(), turned_forwarding_on)
    };
    let mut script = ruleset(settings);
    if was_off {
        let _ = writeln!(script, "add chain {TABLE} {FORWARDING}");
    }
    script.push_str(&elements(&BTreeSet::new(), &peers, "peers"));
    script.push_str(&elements(&BTreeSet::new(), &outgoing, "outgoing"));
    run("set the ruleset", &["-f", "-"], &script).await.map(drop)
}

/// Fills the sets. Counters of prefixes that stay go on.
pub(super) async fn fill(peers_wanted: &BTreeSet<Ipv6Addr>, outgoing: &BTreeSet<Ipv6Net>) -> Result<(), Error> {
    let current_peers = peers().await?;
    let current = forwarded().await?.into_keys().collect();
    let mut script = elements(&current_peers, peers_wanted, "peers");
    script.push_str(&elements(&current, &without_nested(outgoing), "outgoing"));
    if script.is_empty() {
        return Ok(());
    }
    run("fill the sets", &["-f", "-"], &script).await.map(drop)
}

/// Counts packets to peers by prefix.
pub(super) async fn forwarded() -> Result<BTreeMap<Ipv6Net, u64>, Error> {
    let elements = list("outgoing").await?;
    let found = elements.iter().filter_map(|element| {
        let element = element.get("elem")?;
        let packets = element.pointer("/counter/packets")?.as_u64()?;
        Some((prefix(element.get("val")?)?, packets))
    });
    Ok(found.collect())
}

/// Says whether the ruleset was installed when forwarding was off.
pub(super) async fn turned_forwarding_on() -> Result<bool, Error> {
    exists(FORWARDING).await
}

/// Removes the ruleset.
pub(super) async fn remove() -> Result<(), Error> {
    let script = format!("table {TABLE}\ndelete table {TABLE}\n");
    run("remove the ruleset", &["-f", "-"], &script).await.map(drop)
}

fn ruleset(settings: &Settings) -> String {
    let join = |parts: Vec<String>| parts.join(", ");
    let allowed = settings.allowed.iter().map(ToString::to_string).collect();
    let interfaces = settings.interfaces.iter().map(|name| format!("{name:?}")).collect();
    let [attempt, last] = PORTS.map(|port| port.to_string());
    RULESET
        .replace("ALLOWED", &join(allowed))
        .replace("INTERFACES", &join(interfaces))
        .replace("TRY", &attempt)
        .replace("FINAL", &last)
}

/// The set has no place for a prefix within another, and needs none: the other counts for it.
fn without_nested(prefixes: &BTreeSet<Ipv6Net>) -> BTreeSet<Ipv6Net> {
    let mut kept: BTreeSet<Ipv6Net> = BTreeSet::new();
    for prefix in prefixes {
        // In ascending order a prefix comes before those within it.
        if !kept.last().is_some_and(|last| last.contains(prefix)) {
            kept.insert(*prefix);
        }
    }
    kept
}

/// Commands that take a set from some elements to others.
fn elements<T: Ord + Clone + ToString>(current: &BTreeSet<T>, wanted: &BTreeSet<T>, set: &str) -> String {
    let mut script = String::new();
    for (verb, changed) in [("delete", current - wanted), ("add", wanted - current)] {
        if !changed.is_empty() {
            let elements: Vec<String> = changed.iter().map(ToString::to_string).collect();
            let _ = writeln!(script, "{verb} element {TABLE} {set} {{ {} }}", elements.join(", "));
        }
    }
    script
}

async fn peers() -> Result<BTreeSet<Ipv6Addr>, Error> {
    let elements = list("peers").await?;
    Ok(elements.iter().filter_map(|one| one.as_str()?.parse().ok()).collect())
}

async fn list(set: &str) -> Result<Vec<Value>, Error> {
    let told = run("list a set", &["-j", "list", "set", "ip6", "ssa-cluster", set], "").await?;
    let told: Value = serde_json::from_slice(&told).map_err(|error| Error::Nft {
        what: "list a set",
        message: error.to_string(),
    })?;
    let objects = told.get("nftables").and_then(Value::as_array);
    let elements = objects
        .into_iter()
        .flatten()
        .find_map(|one| one.pointer("/set/elem")?.as_array());
    Ok(elements.cloned().unwrap_or_default())
}

/// Reads an element: a prefix, or an address alone.
fn prefix(value: &Value) -> Option<Ipv6Net> {
    if let Some(address) = value.as_str() {
        return Ipv6Net::new(address.parse().ok()?, 128).ok();
    }
    let address = value.pointer("/prefix/addr")?.as_str()?;
    let length = value.pointer("/prefix/len")?.as_u64()?;
    Ipv6Net::new(address.parse().ok()?, u8::try_from(length).ok()?).ok()
}

/// Says whether the table is there, or a chain of it.
async fn exists(chain: &str) -> Result<bool, Error> {
    let arguments: &[&str] = if chain.is_empty() {
        &["list", "tables", "ip6"]
    } else {
        &["list", "chains", "ip6"]
    };
    let told = run("list what is there", arguments, "").await?;
    let told = String::from_utf8_lossy(&told);
    // `list chains` prints the chains of each table below its name.
    let mut ours = false;
    for line in told.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("table ") {
            ours = name.trim_end_matches('{').trim() == TABLE;
            if ours && chain.is_empty() {
                return Ok(true);
            }
        } else if ours && !chain.is_empty() && line.strip_prefix("chain ").is_some_and(|rest| rest.starts_with(chain)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Runs `nft` and returns what it prints.
async fn run(what: &'static str, arguments: &[&str], script: &str) -> Result<Vec<u8>, Error> {
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::NoNft)?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it ends before it has read everything, its exit status says why.
        let _ = stdin.write_all(script.as_bytes()).await;
    }
    let done = child.wait_with_output().await.map_err(Error::NoNft)?;
    if !done.status.success() || done.stdout.len() > ANSWER {
        return Err(Error::Nft {
            what,
            message: shorten(&done.stderr),
        });
    }
    Ok(done.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv6Net {
        text.parse().expect("a prefix")
    }

    #[test]
    fn nothing_is_left_to_replace_in_the_ruleset() {
        let text = ruleset(&Settings {
            interfaces: vec!["eth0".to_owned(), "eth1".to_owned()],
            tunnel: Ipv6Addr::LOCALHOST,
            allowed: vec![net("2001:db8::/64"), net("2001:db8:1::/64")],
        });
        assert!(text.contains("elements = { 2001:db8::/64, 2001:db8:1::/64 }"), "{text}");
        assert!(
            text.contains(r#"iifname != { "eth0", "eth1", "ssa-try" } accept"#),
            "{text}"
        );
        assert!(text.contains("udp dport { 4795, 4796 }"), "{text}");
        for word in ["ALLOWED", "INTERFACES", "TRY", "FINAL"] {
            assert!(!text.contains(word), "{word} is left in {text}");
        }
    }

    #[test]
    fn sets_change_by_what_differs() {
        let (old, new) = ([net("2001:db8::/66")].into(), [net("2001:db8:1::/66")].into());
        assert_eq!(
            elements(&old, &new, "outgoing"),
            "delete element ip6 ssa-cluster outgoing { 2001:db8::/66 }\n\
             add element ip6 ssa-cluster outgoing { 2001:db8:1::/66 }\n"
        );
        assert_eq!(elements(&new, &new, "outgoing"), "");
    }

    #[test]
    fn a_prefix_within_another_is_left_out() {
        let all = [
            "2001:db8::/64",
            "2001:db8::/66",
            "2001:db8:0:0:4000::/66",
            "2001:db8:0:1::/64",
        ]
        .map(net);
        let kept = without_nested(&all.into());
        assert_eq!(kept, ["2001:db8::/64", "2001:db8:0:1::/64"].map(net).into());
    }

    #[test]
    fn elements_of_both_forms_are_read() {
        let whole = serde_json::json!({"prefix": {"addr": "2001:db8::", "len": 66}});
        assert_eq!(prefix(&whole), Some(net("2001:db8::/66")));
        assert_eq!(prefix(&serde_json::json!("2001:db8::1")), Some(net("2001:db8::1/128")));
        assert_eq!(
            prefix(&serde_json::json!({"range": ["2001:db8::", "2001:db8::5"]})),
            None
        );
    }
}
