//! The ruleset that tells flows apart: `nft` sets it, from the text beside this file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use serde_json::Value;

use super::links::PORTS;
use super::nft::Table;
use super::{Error, Settings};

const RULESET: &str = include_str!("steer.nft");
/// The table that is ours.
pub(super) const TABLE: Table = Table {
    name: "ssa-cluster",
    comment: "set by ssa-cluster agent",
};
/// A chain that is there if forwarding was turned on with the ruleset: what removes the ruleset turns it off again.
const FORWARDING: &str = "forwarding-was-off";

/// The ruleset, as it was set last.
#[derive(Debug)]
pub(super) struct Steering {
    /// What `nft` lists of it, but for the elements of sets.
    expected: String,
    allowed: Vec<Value>,
    turned_forwarding_on: bool,
    /// The elements of the sets; `None` if they have to be asked first.
    filled: Option<Filled>,
    /// How many changes were made since that was asked.
    commits: u32,
}

/// Peers, and prefixes whose packets are counted.
type Filled = (BTreeSet<Ipv6Addr>, BTreeSet<Ipv6Net>);

impl Steering {
    /// Installs the ruleset in place of any earlier one, in one step. Peers and prefixes of an earlier run stay.
    pub(super) async fn install(settings: &Settings, turned_forwarding_on: bool) -> Result<Self, Error> {
        let (before, turned_forwarding_on) = match TABLE.listing().await? {
            Some(listing) => (
                (
                    peers().await,
                    forwarded().await.map(|counted| counted.into_keys().collect()),
                ),
                turned_forwarding_on || has_chain(&listing, FORWARDING),
            ),
            None => ((Ok(BTreeSet::new()), Ok(BTreeSet::new())), turned_forwarding_on),
        };
        let mut script = ruleset(settings);
        if turned_forwarding_on {
            let _ = writeln!(script, "add chain ip6 {} {FORWARDING}", TABLE.name);
        }
        // A set that somebody has removed has nothing that is to stay.
        script.push_str(&elements(&BTreeSet::new(), &before.0.unwrap_or_default(), "peers"));
        script.push_str(&elements(&BTreeSet::new(), &before.1.unwrap_or_default(), "outgoing"));
        TABLE.run("set the ruleset", &script).await?;
        Ok(Self {
            expected: TABLE.listing().await?.unwrap_or_default(),
            allowed: TABLE.elements("allowed").await?,
            turned_forwarding_on,
            filled: None,
            commits: 1,
        })
    }

    /// Looks whether the ruleset is as it was set, and sets it again if it is not. Says whether that was so.
    pub(super) async fn verify(&mut self, settings: &Settings) -> Result<bool, Error> {
        let listing = TABLE.listing().await?;
        if listing.as_ref() == Some(&self.expected) && TABLE.elements("allowed").await? == self.allowed {
            let found = (peers().await?, forwarded().await?.into_keys().collect());
            let same = self.filled.as_ref().is_none_or(|filled| *filled == found);
            self.filled = Some(found);
            return Ok(!same);
        }
        let commits = self.commits;
        *self = Self::install(settings, self.turned_forwarding_on).await?;
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

    /// Says whether forwarding was off before the ruleset came.
    pub(super) fn turned_forwarding_on(&self) -> bool {
        self.turned_forwarding_on
    }
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

/// Says whether the ruleset was installed when forwarding was off.
pub(super) async fn turned_forwarding_on() -> Result<bool, Error> {
    Ok(TABLE
        .listing()
        .await?
        .is_some_and(|listing| has_chain(&listing, FORWARDING)))
}

fn has_chain(listing: &str, chain: &str) -> bool {
    let named = format!("chain {chain} {{");
    listing.lines().any(|line| line.trim() == named)
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
