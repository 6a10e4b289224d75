//! Sets of prefixes.

use alloc::vec::Vec;

use ipnet::Ipv6Net;

/// Says whether two prefixes have an address in common: then one contains the other.
#[must_use]
pub fn overlap(one: Ipv6Net, other: Ipv6Net) -> bool {
    one.contains(&other) || other.contains(&one)
}

/// Returns the fewest prefixes that cover `whole` without `part`, in ascending order.
///
/// They are one per bit by which `part` is longer; `whole` alone where the two do not overlap, and none where `part`
/// covers it.
///
/// ```
/// use ssa_slices::handover::subtract;
///
/// let rest = subtract("2001:db8::/64".parse()?, "2001:db8:0:0:4000::/66".parse()?);
/// let rest: Vec<String> = rest.iter().map(ToString::to_string).collect();
/// assert_eq!(rest, ["2001:db8::/66", "2001:db8:0:0:8000::/65"]);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[must_use]
pub fn subtract(whole: Ipv6Net, part: Ipv6Net) -> Vec<Ipv6Net> {
    if !overlap(whole, part) {
        return [whole].into();
    }
    let mut rest = Vec::new();
    let mut block = whole;
    while block.prefix_len() < part.prefix_len() {
        let Ok(halves) = block.subnets(block.prefix_len() + 1) else {
            break;
        };
        let mut inside = None;
        for half in halves {
            if half.contains(&part) {
                inside = Some(half);
            } else {
                rest.push(half);
            }
        }
        let Some(half) = inside else { break };
        block = half;
    }
    rest.sort_unstable();
    rest
}

/// Returns the fewest prefixes that cover `whole` without any of `parts`, none of which overlap.
pub(super) fn subtract_all(whole: Ipv6Net, parts: impl IntoIterator<Item = Ipv6Net>) -> Vec<Ipv6Net> {
    let mut parts: Vec<Ipv6Net> = parts.into_iter().filter(|part| overlap(*part, whole)).collect();
    parts.sort_unstable();
    let mut rest = Vec::new();
    carve(whole, &parts, &mut rest);
    rest
}

/// The same, in ascending order: each half has the parts that lie in it.
fn carve(block: Ipv6Net, parts: &[Ipv6Net], rest: &mut Vec<Ipv6Net>) {
    let Some(first) = parts.first() else {
        rest.push(block);
        return;
    };
    if first.contains(&block) {
        return;
    }
    let Ok(halves) = block.subnets(block.prefix_len() + 1) else {
        return;
    };
    let mut left = parts;
    for half in halves {
        let count = left.partition_point(|part| half.contains(part));
        let (within, after) = left.split_at_checked(count).unwrap_or_default();
        carve(half, within, rest);
        left = after;
    }
}
