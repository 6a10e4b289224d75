//! The ruleset that tells flows apart: `nft` sets it, from the text beside this file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use serde_json::Value;

use super::links::PORTS;
use super::nft::Table;
use super::{Error, Settings, forwarding};

const RULESET: &str = include_str!("steer.nft");
/// The table that is ours, and has the sets.
const TABLE: Table = Table {
    family: "ip6",
    name: "ssa-cluster",
    comment: "set by ssa-cluster agent",
};
/// The same for IPv4, which drops what tunnels are not for.
const IPV4: Table = Table { family: "ip", ..TABLE };
/// A chain that is there if forwarding was off: what removes the ruleset turns it off again.
const FORWARDING: &str = "forwarding-was-off";
/// A set of the interfaces that forwarded all the same.
const FORWARDED: &str = "forwarded-before";
/// A set of the interfaces whose `accept_ra` was changed.
const ACCEPT_RA: &str = "accept-ra-was-1";

/// The ruleset, as it was set last.
#[derive(Debug)]
pub(super) struct Steering {
    /// What `nft` lists of both tables, but for the elements of sets.
    expected: [Option<String>; 2],
    allowed: Vec<Value>,
    /// What was changed for forwarding, by this run and those before.
    changes: forwarding::Changes,
    /// The elements of the sets; `None` if they have to be asked first.
    filled: Option<Filled>,
    /// How many changes were made since that was asked.
    commits: u32,
}

/// Peers, and prefixes whose packets are counted.
type Filled = (BTreeSet<Ipv6Addr>, BTreeSet<Ipv6Net>);

impl Steering {
    /// Installs the ruleset in place of any earlier one, in one step. Peers and prefixes of an earlier run stay.
    pub(super) async fn install(settings: &Settings, mut changes: forwarding::Changes) -> Result<Self, Error> {
        let [listing, _] = listings().await?;
        let before = match listing {
            Some(_) => (
                peers().await,
                forwarded().await.map(|counted| counted.into_keys().collect()),
            ),
            None => (Ok(BTreeSet::new()), Ok(BTreeSet::new())),
        };
        changes.add(noted().await?);
        let mut script = ruleset(settings);
        script.push_str(&note_of(&changes));
        // A set that somebody has removed has nothing that is to stay.
        script.push_str(&elements(&BTreeSet::new(), &before.0.unwrap_or_default(), "peers"));
        script.push_str(&elements(&BTreeSet::new(), &before.1.unwrap_or_default(), "outgoing"));
        TABLE.run("set the ruleset", &script).await?;
        Ok(Self {
            expected: listings().await?,
            allowed: TABLE.elements("allowed").await?,
            changes,
            filled: None,
            commits: 1,
        })
    }

    /// Looks whether the ruleset is as it was set, and sets it again if it is not. Says whether that was so.
    pub(super) async fn verify(&mut self, settings: &Settings) -> Result<bool, Error> {
        let found = listings().await?;
        if found == self.expected && TABLE.elements("allowed").await? == self.allowed {
            let found = (peers().await?, forwarded().await?.into_keys().collect());
            let same = self.filled.as_ref().is_none_or(|filled| *filled == found);
            self.filled = Some(found);
            return Ok(!same);
        }
        let commits = self.commits;
        *self = Self::install(settings, self.changes.clone()).await?;
        self.commits += commits;
        Ok(true)
    }

    /// Fills the sets. Counters of prefixes that stay go on.
    pub(super) async fn fill(
        &mut self,
        peers_wanted: &BTreeSet<Ipv6Addr>,
        outgoing: &BTreeSet<Ipv6Net>,
    ) -> Result<(), Error> {
        let wanted = (peers_wanted.clone(), without_nested(outgoing));
        if self.filled.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let current = match self.filled.take() {
            Some(filled) => filled,
            None => (peers().await?, forwarded().await?.into_keys().collect()),
        };
        let mut script = elements(&current.0, &wanted.0, "peers");
        script.push_str(&elements(&current.1, &wanted.1, "outgoing"));
        if !script.is_empty() {
            TABLE.run("fill the sets", &script).await?;
            self.commits += 1;
        }
        self.filled = Some(wanted);
        Ok(())
    }

    /// Says how many changes were made since it was last asked.
    pub(super) fn commits(&mut self) -> u32 {
        std::mem::take(&mut self.commits)
    }

    /// Notes what is about to be changed for forwarding once more. Whether it was off at first, it knows.
    pub(super) async fn note(&mut self, again: &forwarding::Changes) -> Result<(), Error> {
        self.changes.accept_ra.extend(again.accept_ra.iter().cloned());
        note(&self.changes).await
    }

    /// Returns what was changed for forwarding.
    pub(super) fn changes(self) -> forwarding::Changes {
        self.changes
    }
}

/// Lists both tables; `None` of one that is not there.
///
/// # Errors
///
/// [`Error::ForeignTable`] if one is not ours.
pub(super) async fn listings() -> Result<[Option<String>; 2], Error> {
    Ok([TABLE.listing().await?, IPV4.listing().await?])
}

/// Removes both tables; one of somebody else's stays.
pub(super) async fn remove() -> Result<(), Error> {
    let removed = [TABLE.remove().await, IPV4.remove().await];
    removed.into_iter().collect()
}

/// Notes what is about to be changed for forwarding: whatever happens then, it can be taken back.
pub(super) async fn note(changes: &forwarding::Changes) -> Result<(), Error> {
    let script = note_of(changes);
    if script.is_empty() {
        return Ok(());
    }
    TABLE.run("note what is changed for forwarding", &script).await
}

/// Commands that note what is changed for forwarding, in the table that is there or in a new one.
fn note_of(changes: &forwarding::Changes) -> String {
    if *changes == forwarding::Changes::default() {
        return String::new();
    }
    let Table { family, name, comment } = TABLE;
    let mut script = format!("table {family} {name} {{\n  comment {comment:?}\n");
    if changes.was_off {
        let _ = writeln!(script, "  chain {FORWARDING} {{\n  }}");
    }
    for (set, interfaces) in [(FORWARDED, &changes.forwarded), (ACCEPT_RA, &changes.accept_ra)] {
        if !interfaces.is_empty() {
            let quoted: Vec<String> = interfaces.iter().map(|name| format!("{name:?}")).collect();
            let quoted = quoted.join(", ");
            let _ = writeln!(
                script,
                "  set {set} {{\n    type ifname\n    elements = {{ {quoted} }}\n  }}"
            );
        }
    }
    script.push_str("}\n");
    script
}

/// Counts packets to peers by prefix.
pub(super) async fn forwarded() -> Result<BTreeMap<Ipv6Net, u64>, Error> {
    let elements = TABLE.elements("outgoing").await?;
    let found = elements.iter().filter_map(|element| {
        let element = element.get("elem")?;
        let packets = element.pointer("/counter/packets")?.as_u64()?;
        Some((prefix(element.get("val")?)?, packets))
    });
    Ok(found.collect())
}

/// Returns what this run and those before have noted of forwarding.
pub(super) async fn noted() -> Result<forwarding::Changes, Error> {
    let listing = TABLE.listing().await?.unwrap_or_default();
    let has = |what: &str, name: &str| {
        let named = format!("{what} {name} {{");
        listing.lines().any(|line| line.trim() == named)
    };
    let mut changes = forwarding::Changes {
        was_off: has("chain", FORWARDING),
        ..forwarding::Changes::default()
    };
    for (set, interfaces) in [(FORWARDED, &mut changes.forwarded), (ACCEPT_RA, &mut changes.accept_ra)] {
        if has("set", set) {
            let elements = TABLE.elements(set).await?;
            interfaces.extend(elements.iter().filter_map(|one| Some(one.as_str()?.to_owned())));
        }
    }
    Ok(changes)
}

fn ruleset(settings: &Settings) -> String {
    let join = |parts: Vec<String>| parts.join(", ");
    let allowed = settings.allowed.iter().map(ToString::to_string).collect();
    let interfaces = settings.interfaces.iter().map(|name| format!("{name:?}")).collect();
    let [attempt, last] = PORTS.map(|port| port.to_string());
    RULESET
        .replace("COMMENT", TABLE.comment)
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
            let _ = writeln!(
                script,
                "{verb} element ip6 {} {set} {{ {} }}",
                TABLE.name,
                elements.join(", ")
            );
        }
    }
    script
}

async fn peers() -> Result<BTreeSet<Ipv6Addr>, Error> {
    let elements = TABLE.elements("peers").await?;
    Ok(elements.iter().filter_map(|one| one.as_str()?.parse().ok()).collect())
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
        for word in ["COMMENT", "ALLOWED", "INTERFACES", "TRY", "FINAL"] {
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
