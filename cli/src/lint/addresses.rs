//! The address list: what its items are, what the negated ones take, and where the AAAA records lie.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_rules::{AddressSpace, Apl, AplItem, AplPrefix, Membership, apl::Unroutable};

use super::{
    finding::{
        Code,
        Code::{
            AaaaOpen, AaaaOutside, AaaaRefused, AplDocumentation, AplDuplicate, AplIpv4Mapped, AplMulticast,
            AplOtherFamily, AplTranslated, AplUnallocated, AplUniqueLocal, AplUnroutable, ItemEmpty, LegacyLarge,
            LegacyMissing,
        },
        Finding,
        Severity::{self, Error, Note, Warning},
    },
    subject::Subject,
};

/// A prefix of a special kind that can be routed: its code, how bad an item in it is, what it is and why that matters.
type Special = (&'static str, Code, Severity, &'static str, &'static str);

/// The special prefixes of IANA's registry that matter here, beside the [`Unroutable`].
const SPECIAL: [Special; 6] = [
    (
        "64:ff9b::/96",
        AplTranslated,
        Warning,
        "NAT64",
        "translators answer for it, and rewrite every source",
    ),
    (
        "2002::/16",
        AplTranslated,
        Warning,
        "6to4",
        "relays answer for it (RFC 7526 took 6to4 out of use)",
    ),
    ("2001::/32", AplTranslated, Warning, "Teredo", "relays answer for it"),
    (
        "fc00::/7",
        AplUniqueLocal,
        Note,
        "unique local",
        "only networks that route it reach it; no client on the Internet does",
    ),
    (
        "2001:db8::/32",
        AplDocumentation,
        Note,
        "documentation",
        "it is for examples: no network routes it",
    ),
    (
        "3fff::/20",
        AplDocumentation,
        Note,
        "documentation",
        "it is for examples: no network routes it",
    ),
];

/// Returns the code of an unroutable prefix, and why it cannot be a service's.
fn unroutable(special: &Unroutable) -> (Code, &'static str) {
    match special.purpose {
        "multicast" => (
            AplMulticast,
            "SSA addresses are unicast: no connection can be opened to a group",
        ),
        "IPv4-mapped" => (
            AplIpv4Mapped,
            "such addresses stand for IPv4 and never appear on the wire",
        ),
        "link-local" => (AplUnroutable, "no router forwards it: only its own link reaches it"),
        _ => (AplUnroutable, "no router forwards it"),
    }
}

/// Checks a list as such.
pub(super) fn check_list(apl: &Apl, place: &str, found: &mut Vec<Finding>) {
    for (index, item) in apl.items().iter().enumerate() {
        if !matches!(item.prefix, AplPrefix::V6(_)) {
            let what = format!("{item} is not of family 2");
            let why = format!("SSA ignores it, one of {} items", apl.items().len());
            found.push(Finding::new(AplOtherFamily, Note, place, what, why).instead("items of family 2 alone"));
        }
        if apl.items().iter().take(index).any(|earlier| earlier == item) {
            let what = format!("duplicate item {item}");
            let why = "duplicates count towards the limit of 64 items".to_string();
            found.push(Finding::new(AplDuplicate, Note, place, what, why).instead("the item once"));
        }
    }
}

/// Checks the kinds of prefixes of a space, and the negated ones against the positive.
pub(super) fn check_space(space: &AddressSpace, place: &str, found: &mut Vec<Finding>) {
    for item in space.positive() {
        let instead = "a global unicast prefix that is routed to you";
        let special = SPECIAL.iter().find_map(|special| {
            let prefix: Ipv6Net = special.0.parse().ok()?;
            prefix.contains(item).then_some((prefix, special))
        });
        if let Some(special) = Unroutable::overlapping(*item) {
            let (code, why) = unroutable(&special);
            let what = format!("2:{item} is {special}");
            found.push(Finding::new(code, Error, place, what, why).instead(instead));
        } else if let Some((prefix, (_, code, severity, kind, why))) = special {
            let what = format!("2:{item} is {kind} ({prefix})");
            found.push(Finding::new(*code, *severity, place, what, *why).instead(instead));
        } else if !"2000::/3".parse::<Ipv6Net>().is_ok_and(|global| global.contains(item)) {
            let what = format!("2:{item} lies outside 2000::/3");
            let why = "all global unicast that is given out lies in 2000::/3";
            found.push(Finding::new(AplUnallocated, Warning, place, what, why).instead(instead));
        }
        taken(space, *item, place, found);
    }
}

fn taken(space: &AddressSpace, item: Ipv6Net, place: &str, found: &mut Vec<Finding>) {
    let inside = || {
        space
            .negated()
            .iter()
            .filter(|negated| item.contains(*negated) && **negated != item)
    };
    let whole = inside().filter(|one| !inside().any(|other| other != *one && other.contains(*one)));
    let share: f64 = whole
        .map(|negated| 2_f64.powi(-i32::from(negated.prefix_len() - item.prefix_len())))
        .sum();
    if share >= 1.0 {
        let what = format!("negated items cover all of 2:{item}");
        let why = "no address of it is in the service: 100 % are legacy";
        found.push(
            Finding::new(ItemEmpty, Error, place, what, why).instead("without the item, or with smaller negated ones"),
        );
    } else if share > 0.125 {
        let what = format!("negated items take {:.1} % of 2:{item}", 100.0 * share);
        let why = format!(
            "so much of its slices carries legacy traffic alone, and a client draws {:.2} times on average until it escapes",
            1.0 / (1.0 - share)
        );
        let advice = "a negated item of its own, outside the positive ones; it needs a handful of addresses";
        found.push(Finding::new(LegacyLarge, Warning, place, what, why).instead(advice));
    }
}

/// Checks the AAAA records against a record and its space.
pub(super) fn check_aaaa(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for address in &subject.around.aaaa {
        match subject.space.membership(*address) {
            Membership::Legacy(_) => {}
            Membership::Outside => {
                let what = format!("AAAA {address} lies in no item");
                let why =
                    "verifiers call it outside: 100 % of what devices without SSA send there is refused".to_string();
                let instead = format!("an item for it in the APL: {}", legacy_item(*address));
                found.push(Finding::new(AaaaOutside, Error, "aaaa", what, why).instead(instead));
            }
            Membership::Service(item) if subject.record.is_open() => {
                let what = format!("AAAA {address} lies in 2:{item} itself");
                let why = "the rule leaves every address open, so it conforms; devices without SSA share 1 slice and its endpoint";
                let instead = format!("a negated item with capacity of its own: {}", legacy_item(*address));
                found.push(Finding::new(AaaaOpen, Note, "aaaa", what, why).instead(instead));
            }
            Membership::Service(item) => {
                let what = format!("AAAA {address} lies in 2:{item}, whose addresses the rule binds");
                let why = format!(
                    "{} is checked there, and devices without SSA fail it: 100 % of their connections are violations",
                    bound(subject)
                );
                let instead = if negated_fits(subject, *address) {
                    format!("a negated item for it, inside or outside: {}", legacy_item(*address))
                } else {
                    "an address outside the positive items, in a negated item kept for it".into()
                };
                found.push(Finding::new(AaaaRefused, Error, "aaaa", what, why).instead(instead));
            }
        }
    }
    if subject.space.negated().is_empty() && !subject.record.is_open() && subject.around.aaaa.is_empty() {
        let what = "no negated item".to_string();
        let why = "devices that know nothing of SSA have no address to go to";
        let advice = "a negated item with limited capacity, and an AAAA record in it, such as !2:2001:db8:5:ffff::/64";
        found.push(Finding::new(LegacyMissing, Note, "apl", what, why).instead(advice));
    }
}

/// Returns whether an address can be kept out of the service by an item of its own, without locking anyone out.
fn negated_fits(subject: &Subject<'_>, address: Ipv6Addr) -> bool {
    let items = |items: &[Ipv6Net], negated| -> Vec<AplItem> {
        items.iter().filter_map(|item| AplItem::v6(*item, negated)).collect()
    };
    let mut all = items(subject.space.positive(), false);
    all.extend(items(subject.space.negated(), true));
    all.extend(AplItem::v6(address.into(), true));
    let space = AddressSpace::new(&all.into_iter().collect());
    space.is_ok_and(|space| space.is_some_and(|space| subject.record.template().misfits(&space).is_empty()))
}

fn legacy_item(address: Ipv6Addr) -> String {
    format!("!2:{address}/128")
}

fn bound(subject: &Subject<'_>) -> String {
    use ssa_rules::record::{Field, ItemChoice};
    let field = subject
        .fields()
        .iter()
        .find(|field| !matches!(field, Field::Rand { .. }));
    match (field, subject.record.item()) {
        (Some(field), _) => field.to_string(),
        (None, ItemChoice::Hash(inputs)) => format!("item=hash({inputs})"),
        (None, _) => format!("pow={}", subject.record.pow()),
    }
}
