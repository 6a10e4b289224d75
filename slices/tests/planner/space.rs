//! Slices, their numbers and their prefixes.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_slices::{MAX_SLICES, SliceBits, SliceBitsError, SliceError, SliceId, SliceSpace};

use ssa_testing::Draw;

use crate::common::space;

fn net(text: &str) -> Ipv6Net {
    text.parse().unwrap()
}

fn bits(bits: u8) -> SliceBits {
    SliceBits::new(bits).unwrap()
}

fn refused(items: &[&str], s: u8) -> SliceError {
    let items: Vec<Ipv6Net> = items.iter().map(|item| net(item)).collect();
    SliceSpace::new(&items, bits(s)).unwrap_err()
}

#[test]
fn items_count_in_ascending_order_however_they_are_listed() {
    let items = [net("2001:db8:9::/64"), net("2001:db8:1::/64"), net("2001:db8:5::/64")];
    let space = SliceSpace::new(&items, bits(2)).unwrap();
    assert_eq!(space.items().collect::<Vec<_>>(), [items[1], items[2], items[0]]);
    assert_eq!(space.count(), 12);
    assert_eq!(
        space.slices().collect::<Vec<_>>(),
        (0..12).map(SliceId::new).collect::<Vec<_>>()
    );
    assert_eq!(
        space.slice_of("2001:db8:5:0:c000::".parse().unwrap()),
        Some(SliceId::new(0b01_11))
    );
    assert_eq!(space.item_of(SliceId::new(0b01_11)), Some(items[2]));
    assert_eq!(
        space.prefix_of(SliceId::new(0b10_01)),
        Some(net("2001:db8:9:0:4000::/66"))
    );
    assert_eq!((space.width(), space.bits()), (64, bits(2)));
}

#[test]
fn every_address_of_a_slice_leads_back_to_it() {
    let spaces = [
        SliceSpace::new(&[net("::/0")], bits(0)),
        SliceSpace::new(&[net("::/0")], bits(20)),
        SliceSpace::new(&[net("::/1"), net("8000::/1")], bits(3)),
        SliceSpace::new(
            &[net("2001:db8::/64"), net("2001:db8:0:1::/64"), net("fd00::/64")],
            bits(11),
        ),
        SliceSpace::new(&[net("2001:db8::/126"), net("2001:db8::8/126")], bits(2)),
        SliceSpace::new(&[net("2001:db8::1/128"), net("2001:db8::/128")], bits(0)),
    ];
    for space in spaces.map(Result::unwrap) {
        let mut end = None;
        for slice in space.slices().filter(|slice| slice.get() % 97 == 0 || slice.get() < 8) {
            let prefix = space.prefix_of(slice).unwrap();
            assert_eq!(prefix.prefix_len(), 128 - space.width() + space.bits().get());
            assert_eq!(space.slice_of(prefix.network()), Some(slice));
            assert_eq!(space.slice_of(prefix.broadcast()), Some(slice));
            assert!(space.item_of(slice).unwrap().contains(&prefix));
            assert!(end.is_none_or(|end| end < prefix.network()), "slices ascend");
            end = Some(prefix.broadcast());
        }
    }
}

#[test]
fn an_address_outside_the_items_has_no_slice() {
    let space = space(2, 4);
    let outside = [
        "::",
        "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db8:0:2::",
        "ffff::",
    ];
    for address in outside {
        assert_eq!(space.slice_of(address.parse().unwrap()), None, "{address}");
    }
    assert_eq!(
        space.slice_of("2001:db8:0:1:ffff::".parse().unwrap()),
        Some(SliceId::new(31))
    );
}

#[test]
fn a_slice_past_the_last_is_unknown() {
    let space = space(2, 4);
    for number in [32, 33, u32::MAX] {
        let slice = SliceId::new(number);
        assert_eq!(space.prefix_of(slice), None);
        assert_eq!(space.item_of(slice), None);
        let unknown = Err(SliceError::UnknownSlice { slice, count: 32 });
        assert_eq!(space.aggregate([SliceId::new(0), slice]), unknown);
    }
}

#[test]
fn aggregates_are_the_fewest_prefixes_that_cover_just_the_slices() {
    let mut random = Draw::seeded(0x5eed_1001);
    for _ in 0..300 {
        let (items, s) = (1 + random.index(3), random.index(6));
        let space = space(items, u8::try_from(s).unwrap());
        let density = 1 + random.index(8);
        let chosen: BTreeSet<usize> = (0..space.count()).filter(|_| random.index(8) < density).collect();
        let ids = chosen
            .iter()
            .rev()
            .chain(&chosen)
            .map(|slice| SliceId::new(u32::try_from(*slice).unwrap()));
        let prefixes = space.aggregate(ids).unwrap();
        assert_eq!(prefixes.len(), crate::naive::prefixes(&chosen, space.bits().get()));
        assert!(prefixes.is_sorted());
        for slice in space.slices() {
            let inside = space.prefix_of(slice).unwrap();
            let covers = prefixes.iter().filter(|prefix| prefix.contains(&inside)).count();
            assert_eq!(covers, usize::from(chosen.contains(&(slice.get() as usize))));
        }
    }
}

#[test]
fn neighbouring_items_are_announced_apart() {
    let space = space(2, 3);
    let prefixes = space.aggregate(space.slices()).unwrap();
    assert_eq!(prefixes, [net("2001:db8::/64"), net("2001:db8:0:1::/64")]);
    assert_eq!(space.aggregate([]).unwrap(), []);
}

#[test]
fn aggregating_many_items_of_one_address_takes_no_long() {
    let items: Vec<Ipv6Net> = (0..1_u128 << 16)
        .map(|item| Ipv6Net::new(Ipv6Addr::from_bits(item), 128).unwrap())
        .collect();
    let space = SliceSpace::new(&items, bits(0)).unwrap();
    assert_eq!(space.aggregate(space.slices()).unwrap().len(), 1 << 16);
}

#[test]
fn items_that_cannot_be_cut_alike_are_refused() {
    assert_eq!(SliceSpace::new(&[], bits(0)).unwrap_err(), SliceError::NoItems);
    assert_eq!(
        refused(&["2001:db8::/64", "2001:db8:1::/65"], 1),
        SliceError::ItemLength {
            index: 1,
            length: 65,
            expected: 64
        }
    );
    assert_eq!(
        refused(&["2001:db8::/64", "2001:db8:0:1::1/64"], 1),
        SliceError::HostBits {
            index: 1,
            item: net("2001:db8:0:1::1/64")
        }
    );
    assert_eq!(
        refused(&["2001:db8::/64", "2001:db8:1::/64", "2001:db8::/64"], 1),
        SliceError::ItemTwice {
            item: net("2001:db8::/64")
        }
    );
}

#[test]
fn slices_are_at_most_as_fine_as_the_item_allows() {
    assert!(SliceSpace::new(&[net("2001:db8::/120")], bits(8)).is_ok());
    assert_eq!(
        refused(&["2001:db8::/120"], 9),
        SliceError::PastWidth { bits: 9, width: 8 }
    );
    assert_eq!(SliceBits::new(21), Err(SliceBitsError { bits: 21 }));
    assert_eq!(SliceBits::new(20).unwrap().get(), SliceBits::MAX);
}

#[test]
fn slices_are_at_most_a_million() {
    assert_eq!(space(1, 20).count(), MAX_SLICES);
    assert_eq!(space(2, 19).count(), MAX_SLICES);
    assert_eq!(
        refused(&["2001:db8::/64", "2001:db8:1::/64"], 20),
        SliceError::TooManySlices { slices: 2 << 20 }
    );
    assert_eq!(
        refused(&["2001:db8::/64", "2001:db8:1::/64", "2001:db8:2::/64"], 19),
        SliceError::TooManySlices { slices: 3 << 19 }
    );
}
