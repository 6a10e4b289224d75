//! The ruleset that tells flows apart: `nft` sets it, from the text beside this file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv6Addr;
use std::time::Duration;

use ipnet::Ipv6Net;
use serde_json::Value;
use ssa_slices::handover::Admission;
use tokio::time::Instant;

use super::links::PORTS;
use super::measure::{self, Counted, Grains};
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
    /// By what load is counted.
    grains: Grains,
    /// The elements of the sets; `None` if they have to be asked first.
    filled: Option<Filled>,
    /// How many changes were made since that was asked.
    commits: u32,
}

/// How long a ticket is valid: permission ends by so much earlier than it might, and a step of `nft` that takes longer gives
/// none.
const TICKET: Duration = Duration::from_millis(500);
/// How often permission is tried to be given before that is an error.
const TRIES: usize = 3;

/// The elements of the sets that change while slices move.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Filled {
    /// Tunnel addresses of peers.
    pub(super) peers: BTreeSet<Ipv6Addr>,
    /// Prefixes whose packets to peers are counted, none within another.
    outgoing: BTreeSet<Ipv6Net>,
    /// What new flows are taken of, where ownership is exclusive.
    pub(super) admission: Admission,
}

impl Filled {
    pub(super) fn new(peers: BTreeSet<Ipv6Addr>, outgoing: &BTreeSet<Ipv6Net>, admission: Admission) -> Self {
        Self {
            peers,
            outgoing: without_nested(outgoing),
            admission,
        }
    }

    /// Returns the same with what is admitted of both: what is refused by either stays refused until the routes are there.
    pub(super) fn stricter(&self, before: &Self) -> Self {
        Self {
            admission: self.admission.stricter(&before.admission),
            ..self.clone()
        }
    }

    /// Reads what the kernel has.
    async fn read() -> Result<Self, Error> {
        Self::read_of(&TABLE.listing().await?.unwrap_or_default()).await
    }

    /// Reads the sets that a listing has: one that somebody has removed, or an earlier version did not have, is empty.
    async fn read_of(listing: &str) -> Result<Self, Error> {
        let mut filled = Self::default();
        if has(listing, "set", "peers") {
            filled.peers = peers().await?;
        }
        if has(listing, "set", "outgoing") {
            filled.outgoing = forwarded().await?.into_keys().collect();
        }
        let admission = &mut filled.admission;
        for (set, prefixes) in [
            ("fenced", &mut admission.fenced),
            ("direct", &mut admission.direct),
            ("tunnelled", &mut admission.tunnelled),
        ] {
            if has(listing, "set", set) {
                prefixes.extend(TABLE.elements(set).await?.iter().filter_map(prefix));
            }
        }
        Ok(filled)
    }

    /// Commands that take the sets from these elements to others.
    fn script(&self, wanted: &Self) -> String {
        let (mine, theirs) = (&self.admission, &wanted.admission);
        [
            elements(&self.peers, &wanted.peers, "peers"),
            elements(&self.outgoing, &wanted.outgoing, "outgoing"),
            elements(&mine.fenced, &theirs.fenced, "fenced"),
            elements(&mine.direct, &theirs.direct, "direct"),
            elements(&mine.tunnelled, &theirs.tunnelled, "tunnelled"),
        ]
        .concat()
    }
}

impl Steering {
    /// Installs the ruleset in place of any earlier one, in one step. What an earlier run has filled its sets with
    /// stays, so that nothing is taken for a moment that was fenced; permission does not.
    pub(super) async fn install(settings: &Settings, mut changes: forwarding::Changes) -> Result<Self, Error> {
        let [listing, _] = listings().await?;
        let before = match listing {
            Some(listing) => Filled::read_of(&listing).await?,
            None => Filled::default(),
        };
        changes.add(noted().await?);
        let mut script = ruleset(settings);
        script.push_str(&note_of(&changes));
        script.push_str(&Filled::default().script(&before));
        TABLE.run("set the ruleset", &script).await?;
        Ok(Self {
            expected: listings().await?,
            allowed: TABLE.elements("allowed").await?,
            changes,
            grains: Grains::default(),
            filled: None,
            commits: 1,
        })
    }

    /// Looks whether the ruleset is as it was set, and sets it again if it is not. Says whether that was so.
    pub(super) async fn verify(&mut self, settings: &Settings) -> Result<bool, Error> {
        let found = listings().await?;
        if found == self.expected && TABLE.elements("allowed").await? == self.allowed {
            let found = Filled::read().await?;
            let same = self.filled.as_ref().is_none_or(|filled| *filled == found);
            self.filled = Some(found);
            return Ok(!same);
        }
        let commits = self.commits;
        *self = Self::install(settings, self.changes.clone()).await?;
        self.commits += commits;
        Ok(true)
    }

    /// Returns what the sets have.
    pub(super) async fn filled(&mut self) -> Result<Filled, Error> {
        if let Some(filled) = &self.filled {
            return Ok(filled.clone());
        }
        let filled = Filled::read().await?;
        self.filled = Some(filled.clone());
        Ok(filled)
    }

    /// Fills the sets. Counters of prefixes that stay go on.
    pub(super) async fn fill(&mut self, wanted: &Filled) -> Result<(), Error> {
        let current = self.filled().await?;
        if current == *wanted {
            return Ok(());
        }
        self.filled = None;
        TABLE.run("fill the sets", &current.script(wanted)).await?;
        self.commits += 1;
        self.filled = Some(wanted.clone());
        Ok(())
    }

    /// Permits to take new flows of what is fenced until then, or not any more.
    ///
    /// What is given never lasts longer, however long a program is held up on the way: the kernel gives it only while a
    /// ticket is valid that was there before the time that is left was read.
    pub(super) async fn permit(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let (family, name) = (TABLE.family, TABLE.name);
        let Some(until) = until else {
            TABLE
                .run("end the permission", &format!("flush set {family} {name} permission\n"))
                .await?;
            self.commits += 1;
            return Ok(());
        };
        let mut tries = TRIES;
        loop {
            let script = format!(
                "flush set {family} {name} ticket\nadd element {family} {name} ticket {{ ip6 timeout {}ms }}\n",
                TICKET.as_millis()
            );
            TABLE.run("take a ticket", &script).await?;
            self.commits += 1;
            let left = until.saturating_duration_since(Instant::now()).saturating_sub(TICKET);
            if left.as_millis() == 0 {
                return Ok(());
            }
            let script = format!(
                "delete element {family} {name} ticket {{ ip6 }}\nflush set {family} {name} permission\n\
                 add element {family} {name} permission {{ ip6 timeout {}ms }}\n",
                left.as_millis()
            );
            tries -= 1;
            match TABLE.run("give permission", &script).await {
                Err(_) if tries > 0 => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    self.commits += 1;
                    return Ok(());
                }
            }
        }
    }

    /// Has load counted by these, and by nothing else. Says whether that begins anew.
    pub(super) async fn measure(&mut self, grains: &Grains) -> Result<bool, Error> {
        if self.grains == *grains {
            return Ok(false);
        }
        let script = grains.script(TABLE.family, TABLE.name);
        TABLE.run("count the load", &script).await?;
        self.commits += 1;
        self.expected = listings().await?;
        self.grains = grains.clone();
        Ok(true)
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

/// Reads what was counted of load.
pub(super) fn counted() -> Result<BTreeMap<Ipv6Addr, Counted>, Error> {
    measure::counted(TABLE.name)
}

/// Returns what this run and those before have noted of forwarding.
pub(super) async fn noted() -> Result<forwarding::Changes, Error> {
    let listing = TABLE.listing().await?.unwrap_or_default();
    let mut changes = forwarding::Changes {
        was_off: has(&listing, "chain", FORWARDING),
        ..forwarding::Changes::default()
    };
    for (set, interfaces) in [(FORWARDED, &mut changes.forwarded), (ACCEPT_RA, &mut changes.accept_ra)] {
        if has(&listing, "set", set) {
            let elements = TABLE.elements(set).await?;
            interfaces.extend(elements.iter().filter_map(|one| Some(one.as_str()?.to_owned())));
        }
    }
    Ok(changes)
}

/// Says whether a listing has a chain or a set.
fn has(listing: &str, what: &str, name: &str) -> bool {
    let named = format!("{what} {name} {{");
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
