//! Wire format and hash.

use ssa_oracle::hash;
use ssa_rules::{Apl, hash::siphash24};
use ssa_testing::Draw;

use crate::case::cases;

#[test]
fn siphash_is_the_same() {
    let mut draw = Draw::new(10);
    for length in 0..200 {
        let message: Vec<u8> = (0..length).map(|_| draw.bits() as u8).collect();
        let key = draw.wide().to_be_bytes();
        assert_eq!(
            siphash24(&key, &message),
            hash::siphash(&key, &message),
            "{length} bytes"
        );
    }
}

/// Lists of family 2 on the wire, whole and damaged.
#[test]
fn the_wire_form_is_the_same() {
    let mut draw = Draw::new(11);
    for case in cases(&mut draw, 100) {
        let apl = case.usable_text();
        let words = apl.to_string();
        let items: Vec<_> = words
            .split(' ')
            .map(|word| ssa_oracle::apl::from_text(word).unwrap())
            .collect();
        let mut wire = ssa_oracle::apl::to_wire(&items);
        assert_eq!(apl.to_wire(), wire, "{words}");
        assert_eq!(Apl::from_wire(&wire).as_ref(), Ok(&apl), "{words}");
        // Several records are united.
        let (first, second) = items.split_at(draw.below(items.len() as u64) as usize);
        let mut united = Apl::from_wire(&ssa_oracle::apl::to_wire(first)).unwrap();
        united.unite(Apl::from_wire(&ssa_oracle::apl::to_wire(second)).unwrap());
        assert_eq!(united, apl, "{words}");
        for _ in 0..4 {
            let place = draw.below(wire.len() as u64) as usize;
            match draw.below(3) {
                0 => wire.truncate(place.max(1)),
                1 => wire[place] ^= 1 << draw.below(8),
                _ => wire.insert(place, draw.of(&[0, 0, 1, 2, 0x80])),
            }
            let expected = ssa_oracle::apl::from_wire(&wire);
            // What other families may hold is no matter of SSA's.
            let mut families = wire.clone();
            families.truncate(2);
            if expected
                .as_ref()
                .is_ok_and(|items| items.iter().all(|item| item.family == 2))
            {
                let text: Vec<String> = expected.unwrap().iter().map(ssa_oracle::apl::to_text).collect();
                let found = Apl::from_wire(&wire).unwrap_or_else(|error| panic!("{error}: {wire:02x?}"));
                assert_eq!(found.to_string(), text.join(" "));
                assert_eq!(found.to_wire(), wire);
            } else if expected.is_err() && families == [0, 2] && wire.len() < 21 {
                assert!(Apl::from_wire(&wire).is_err(), "{:?}: {wire:02x?}", expected.err());
            }
        }
    }
}
