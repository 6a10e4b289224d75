//! Section 3.5: everything that a client may choose, worked out by trying all.

use std::collections::BTreeSet;

use super::apl::{Item, Place};
use super::compose::{Client, fill, groups};
use super::record::{Field, Pick, Usable};

/// The source of an item, an address that stands for the item.
pub type ItemSource = (u128, u128);

/// What failed: item, replica, address.
pub type Failed = (u128, u32, u128);

/// What may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    pub item: u128,
    pub source: u128,
    pub replica: u32,
    /// None where the random bits are too many to try all, or a proof of work has to be found.
    pub address: Option<u128>,
}

/// What a client knows of its sources and of failures.
#[derive(Clone, Debug, Default)]
pub struct Situation {
    pub sources: Vec<ItemSource>,
    pub default: Option<u128>,
    pub failed: Vec<Failed>,
}

impl Situation {
    fn source_of(&self, item: u128) -> Option<u128> {
        let own = self.sources.iter().find(|(other, _)| *other == item);
        own.map(|(_, source)| *source).or(self.default)
    }

    fn has_failed(&self, item: u128, replica: u32) -> bool {
        let mut failed = self.failed.iter();
        failed.any(|(other, number, _)| *other == item && *number == replica)
    }
}

/// The most random bits of which all values are tried.
const MOST_BITS: u32 = 6;

fn starts_at_random(usable: &Usable) -> bool {
    matches!(usable.record.template.first(), Some(Field::Rand(_)))
}

/// All that may be chosen, if draws are made until one is good where there is a good one; an error where nothing can
/// be. The client's own source and replica are not looked at.
pub fn choices(usable: &Usable, client: &Client, situation: &Situation) -> Result<BTreeSet<Outcome>, String> {
    let found = of_one_draw(usable, client, situation)?;
    // "If the first field is rand and the address is one that failed, steps 3 to 5 are repeated."
    let good: BTreeSet<Outcome> = found
        .iter()
        .filter(|outcome| {
            let address = outcome.address;
            !situation.failed.iter().any(|(_, _, failed)| Some(*failed) == address)
        })
        .copied()
        .collect();
    Ok(
        if starts_at_random(usable) && usable.record.pow == 0 && !good.is_empty() {
            good
        } else {
            found
        },
    )
}

/// All that one draw may come to.
pub fn of_one_draw(usable: &Usable, client: &Client, situation: &Situation) -> Result<BTreeSet<Outcome>, String> {
    let items: Vec<u128> = usable.apl.positives().iter().map(|item| item.address).collect();
    let replicas = usable.record.replicas;
    // "An item without a source cannot be reached, and is passed over."
    let unreachable = |item: &u128| situation.source_of(*item).is_none();
    // "An item whose every replica failed is passed over too, unless the first field is rand, or no item would be left."
    let spent =
        |item: &u128| !starts_at_random(usable) && (0..replicas).all(|replica| situation.has_failed(*item, replica));
    let mut open: Vec<u128> = items.iter().copied().filter(|item| !unreachable(item)).collect();
    if open.iter().any(|item| !spent(item)) {
        open.retain(|item| !spent(item));
    }
    from(usable, client, situation, &open)
}

/// What may be chosen among these items.
fn from(usable: &Usable, client: &Client, situation: &Situation, open: &[u128]) -> Result<BTreeSet<Outcome>, String> {
    let mut found = BTreeSet::new();
    for (item, source) in pairs(usable, client, situation, open)? {
        let addresses = outcomes(usable, client, situation, item, source)?;
        if addresses.is_empty() {
            // "An item none of whose addresses is in the service is passed over as well, … except with hash."
            let others: Vec<u128> = open.iter().copied().filter(|other| *other != item).collect();
            if matches!(usable.record.item, Pick::Hash(_)) || others.is_empty() {
                return Err("no address in the service".into());
            }
            found.extend(from(usable, client, situation, &others)?);
        }
        found.extend(addresses);
    }
    Ok(found)
}

/// The items with their sources that may be chosen.
fn pairs(
    usable: &Usable,
    client: &Client,
    situation: &Situation,
    open: &[u128],
) -> Result<BTreeSet<(u128, u128)>, String> {
    let computed = matches!(usable.record.item, Pick::Hash(_));
    let mut sources: Vec<u128> = situation.sources.iter().map(|(_, source)| *source).collect();
    sources.extend(situation.default);
    let mut found = BTreeSet::new();
    let mut last: Vec<u128> = Vec::new();
    // "The first item that is reached from the source that it was chosen for is taken with that source."
    for source in sources {
        let mut values = client.values.clone();
        values.source = source;
        last = first_group(groups(usable, &values)?, open, computed);
        found.extend(
            last.iter()
                .filter(|item| situation.source_of(**item) == Some(source))
                .map(|item| (*item, source)),
        );
        last.retain(|item| situation.source_of(*item) != Some(source));
        if last.is_empty() && !found.is_empty() {
            return Ok(found);
        }
    }
    // "If there is none: with near and rand the item chosen last, with its own source; with hash it is an error."
    if !computed {
        found.extend(last.iter().map(|item| (*item, situation.source_of(*item).unwrap())));
    }
    if found.is_empty() {
        return Err("no item can be reached".into());
    }
    Ok(found)
}

fn first_group(groups: Vec<Vec<Item>>, open: &[u128], computed: bool) -> Vec<u128> {
    for group in groups {
        let left: Vec<u128> = group.iter().map(|item| item.address).collect();
        let left: Vec<u128> = left
            .into_iter()
            .filter(|item| computed || open.contains(item))
            .collect();
        if !left.is_empty() {
            return left;
        }
    }
    Vec::new()
}

/// What may be chosen in an item.
fn outcomes(
    usable: &Usable,
    client: &Client,
    situation: &Situation,
    item: u128,
    source: u128,
) -> Result<BTreeSet<Outcome>, String> {
    let record = &usable.record;
    // "The replica is drawn at random. If it failed in the item, the next one that did not is taken; … if all failed,
    // the one drawn."
    let all: Vec<u32> = (0..record.replicas).collect();
    let mut replicas = all.clone();
    replicas.retain(|replica| !situation.has_failed(item, *replica));
    if replicas.is_empty() {
        replicas = all;
    }
    let mut found = BTreeSet::new();
    for replica in replicas {
        let mut client = client.clone();
        client.values.source = source;
        client.replica = replica;
        let outcome = |address| Outcome {
            item,
            source,
            replica,
            address,
        };
        let widths: Vec<u32> = record
            .template
            .iter()
            .filter(|field| matches!(field, Field::Rand(_)))
            .map(Field::width)
            .collect();
        let bits: u32 = widths.iter().sum();
        if bits > MOST_BITS {
            // Whatever is missing is missing for all values; with so many, some address is in the service.
            fill(usable, &client, item, &vec![0; widths.len()])?;
            found.insert(outcome(None));
            continue;
        }
        for all in 0..1u64 << bits {
            let mut left = all;
            let mut rand = Vec::new();
            for width in &widths {
                rand.push(left & ((1 << width) - 1));
                left >>= width;
            }
            let address = fill(usable, &client, item, &rand)?;
            if matches!(usable.apl.place(address), Place::Service(_)) {
                found.insert(outcome(Some(address)));
            }
        }
    }
    Ok(found)
}
