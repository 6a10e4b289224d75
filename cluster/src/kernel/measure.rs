//! Load: the kernel counts new flows and a sample of bytes by prefixes of addresses, in sets that fill by themselves.
//!
//! What is counted by is as long as a slice, or a part of one that is split; so the rules change when slices are split, and
//! not when they move. A set has at most [`MOST`] elements, and forgets those that nothing came for in a minute: what
//! others choose to send to takes no more of the kernel than that. A kernel that cannot count serves all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use netlink_packet_netfilter::nftables::{NfTablesMessage, SetElementList, SetElementMessage};
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};
use netlink_sys::protocols::NETLINK_NETFILTER;

use super::Error;
use super::flows::dump_raw;

/// The most elements of a set: prefixes that load is counted by.
pub const MOST: usize = 1 << 15;
/// Of how many packets one has its bytes counted.
const SAMPLED: u64 = 16;
/// The sets of the table, with what is counted in them.
const FLOWS: &str = "flows";
const BYTES: &str = "bytes";
/// How long an element stays that nothing comes for.
const FORGOTTEN: &str = "1m";

/// The bytes before the attributes of a message of nftables.
const HEADS: usize = 20;
/// What of an attribute's kind is no flag.
const KINDS: u16 = 0x3fff;
// Attributes of a list of elements, an element, its key, an expression and a counter, as in `linux/netfilter/nf_tables.h`.
const LIST: u16 = 3;
const KEY: u16 = 1;
const EXPRESSION: u16 = 7;
const VALUE: u16 = 1;
const DATA: u16 = 2;
const COUNTER_BYTES: u16 = 1;
const COUNTER_PACKETS: u16 = 2;

/// By prefixes of which lengths load is counted; by none, nothing is.
///
/// An address is counted by the longest length that has a prefix around it; a length without prefixes has all addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grains(BTreeMap<u8, BTreeSet<Ipv6Net>>);

impl Grains {
    /// Counts the addresses in a prefix by prefixes of a length.
    pub fn add(&mut self, length: u8, within: impl IntoIterator<Item = Ipv6Net>) {
        self.0.entry(length).or_default().extend(within);
    }

    /// Says whether nothing is counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what an address is counted by.
    #[must_use]
    pub fn of(&self, address: Ipv6Addr) -> Option<Ipv6Net> {
        let (length, _) = self.longest_first().find(|(_, within)| {
            within.is_empty() || {
                let around = within.range(..=Ipv6Net::from(address)).next_back();
                around.is_some_and(|around| around.contains(&address))
            }
        })?;
        Ipv6Net::new(address, length).ok().map(|net| net.trunc())
    }

    fn longest_first(&self) -> impl Iterator<Item = (u8, &BTreeSet<Ipv6Net>)> {
        self.0.iter().rev().map(|(length, within)| (*length, within))
    }

    /// Commands that make a table count so, from nothing on, whatever it counted before.
    pub(super) fn script(&self, family: &str, table: &str) -> String {
        let mut script = String::new();
        let place = format!("{family} {table}");
        for set in [FLOWS, BYTES] {
            let _ = writeln!(
                script,
                "add set {place} {set} {{ type ipv6_addr; size {MOST}; flags dynamic,timeout; timeout {FORGOTTEN}; }}\n\
                 flush set {place} {set}"
            );
        }
        // After the address of a sidecar's REDIRECT is the dialled one again.
        let leaving = "type filter hook postrouting priority 110; policy accept;";
        let _ = writeln!(script, "add chain {place} leaving {{ {leaving} }}");
        for chain in ["opened", "sampled", "leaving"] {
            let _ = writeln!(script, "flush chain {place} {chain}");
        }
        if self.is_empty() {
            return script;
        }
        let seldom = format!("numgen random mod {SAMPLED} != 0 return");
        let mut rule = |chain: &str, rule: &str| {
            let _ = writeln!(script, "add rule {place} {chain} {rule}");
        };
        rule("sampled", &seldom);
        rule("leaving", &seldom);
        rule("leaving", "ip6 saddr != @allowed return");
        for (length, within) in self.longest_first() {
            let mask = mask(length);
            let listed: Vec<String> = within.iter().map(ToString::to_string).collect();
            for (chain, set, end) in [
                ("opened", FLOWS, "daddr"),
                ("sampled", BYTES, "daddr"),
                ("leaving", BYTES, "saddr"),
            ] {
                let only = if listed.is_empty() {
                    String::new()
                } else {
                    format!("ip6 {end} {{ {} }} ", listed.join(", "))
                };
                rule(
                    chain,
                    &format!("{only}update @{set} {{ ip6 {end} & {mask} counter }} return"),
                );
            }
        }
        script
    }
}

/// What was counted of a prefix since its element was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// New flows.
    pub flows: u64,
    /// Bytes, both ways: as many as the sample stands for.
    pub bytes: u64,
}

/// Reads what was counted, by the first address of each prefix. It asks the kernel, and waits for it.
///
/// # Errors
///
/// [`Error::Flows`], also if nothing is counted.
pub(super) fn counted(table: &str) -> Result<BTreeMap<Ipv6Addr, Counted>, Error> {
    let mut all: BTreeMap<Ipv6Addr, Counted> = BTreeMap::new();
    let failed = |source| Error::Flows {
        what: "list the counters of load",
        source,
    };
    elements(table, FLOWS, |address, _, packets| {
        all.entry(address).or_default().flows = packets;
    })
    .map_err(failed)?;
    elements(table, BYTES, |address, bytes, _| {
        all.entry(address).or_default().bytes = bytes.saturating_mul(SAMPLED);
    })
    .map_err(failed)?;
    Ok(all)
}

/// Lists the elements of a set, each with the bytes and packets of its counter.
fn elements(table: &str, set: &str, mut each: impl FnMut(Ipv6Addr, u64, u64)) -> io::Result<()> {
    let header = NetfilterHeader::new(NetfilterProtoFamily::IPv6, 0, 0);
    let asked = SetElementMessage {
        attributes: vec![
            SetElementList::Table(table.to_owned()),
            SetElementList::Set(set.to_owned()),
        ],
    };
    let request = NetfilterMessage::new(header, NfTablesMessage::GetSetElement(asked));
    dump_raw(NETLINK_NETFILTER, request, |message| {
        let list = attributes(message.get(HEADS..).unwrap_or_default()).filter(|(kind, _)| *kind == LIST);
        for (_, element) in list.flat_map(|(_, list)| attributes(list)) {
            if let Some((address, bytes, packets)) = read(element) {
                each(address, bytes, packets);
            }
        }
        Ok(())
    })
}

/// Reads an element.
fn read(element: &[u8]) -> Option<(Ipv6Addr, u64, u64)> {
    let key = attribute(attribute(element, KEY)?, VALUE)?;
    let counter = attribute(attribute(element, EXPRESSION)?, DATA)?;
    let number = |kind| {
        let bytes = attribute(counter, kind)?;
        Some(u64::from_be_bytes(bytes.try_into().ok()?))
    };
    let address = <[u8; 16]>::try_from(key).ok()?;
    Some((address.into(), number(COUNTER_BYTES)?, number(COUNTER_PACKETS)?))
}

/// Lists netlink attributes: the kind of each, and its content.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
        let content = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & KINDS, content))
    })
}

fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(kind, content)| (kind == wanted).then_some(content))
}

/// Returns the mask of a length, as `nft` writes it.
fn mask(length: u8) -> Ipv6Addr {
    Ipv6Net::new(Ipv6Addr::UNSPECIFIED, length.min(128)).map_or(Ipv6Addr::UNSPECIFIED, |net| net.netmask())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv6Net {
        text.parse().expect("a prefix")
    }

    fn address(text: &str) -> Ipv6Addr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_is_counted_by_the_longest_length_around_it() {
        let mut grains = Grains::default();
        assert_eq!(grains.of(address("2001:db8::1")), None);
        grains.add(66, []);
        grains.add(70, [net("2001:db8:0:0:4000::/66"), net("2001:db8:0:0:c000::/66")]);
        for (of, by) in [
            ("2001:db8::1", "2001:db8::/66"),
            ("2001:db8:0:0:4c00::1", "2001:db8:0:0:4c00::/70"),
            ("2001:db8:0:0:8c00::1", "2001:db8:0:0:8000::/66"),
            ("2001:db8:0:0:ffff::1", "2001:db8:0:0:fc00::/70"),
        ] {
            assert_eq!(grains.of(address(of)), Some(net(by)), "{of}");
        }
    }

    #[test]
    fn an_element_is_read_as_the_kernel_writes_it_and_what_is_cut_off_is_none() {
        fn nested(kind: u16, content: &[u8]) -> Vec<u8> {
            let length = u16::try_from(content.len() + 4).expect("short");
            let mut bytes = [length.to_ne_bytes(), (kind | 0x8000).to_ne_bytes()].concat();
            bytes.extend(content);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        }
        let key = nested(KEY, &nested(VALUE, &address("2001:db8::").octets()));
        let counter = [
            nested(COUNTER_BYTES, &480_u64.to_be_bytes()),
            nested(COUNTER_PACKETS, &6_u64.to_be_bytes()),
        ];
        let expression = [nested(1, b"counter\0"), nested(DATA, &counter.concat())].concat();
        let element = [key, nested(5, &[0; 8]), nested(EXPRESSION, &expression)].concat();
        assert_eq!(read(&element), Some((address("2001:db8::"), 480, 6)));
        for length in 0..element.len() {
            assert_eq!(read(&element[..length]), None, "{length}");
        }
    }

    #[test]
    fn several_lengths_are_told_apart_and_none_counts_nothing() {
        let mut grains = Grains::default();
        let rules = |grains: &Grains| {
            let script = grains.script("ip6", "t");
            let rules = script.lines().filter_map(|line| line.strip_prefix("add rule ip6 t "));
            rules.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(rules(&grains), [""; 0]);
        grains.add(66, []);
        assert_eq!(
            rules(&grains),
            [
                "sampled numgen random mod 16 != 0 return",
                "leaving numgen random mod 16 != 0 return",
                "leaving ip6 saddr != @allowed return",
                "opened update @flows { ip6 daddr & ffff:ffff:ffff:ffff:c000:: counter } return",
                "sampled update @bytes { ip6 daddr & ffff:ffff:ffff:ffff:c000:: counter } return",
                "leaving update @bytes { ip6 saddr & ffff:ffff:ffff:ffff:c000:: counter } return",
            ]
        );
        grains.add(67, [net("2001:db8::/66")]);
        assert_eq!(
            rules(&grains)[3],
            "opened ip6 daddr { 2001:db8::/66 } update @flows { ip6 daddr & ffff:ffff:ffff:ffff:e000:: counter } return"
        );
    }
}
