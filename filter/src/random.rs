//! Random bits: a generator seeded from outside, and a pool that keeps the number of addresses in use small.
//!
//! There is no source of randomness in a Wasm module. Bits are SipHash-2-4 over a counter, under a key made of the
//! configured seed, the time and number of the VM, and the seeds of snapshots.

use ssa_rules::{UnixTime, hash::siphash24};

/// How long a slot of a [`Pool`] keeps its draw, in seconds.
pub const ROTATION: u64 = 600;

/// How many draws of a [`Pool`] are in use where they choose nothing.
pub const FEW: u16 = 16;

/// From this time step on, in seconds, a pool has all its draws in use.
pub const LONG_STEP: u32 = 60;

/// The draws in use for the shortest of time steps: a failed address has to leave others.
pub const FEWEST: u16 = 8;

/// A generator of random bits that are not secret.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    key: [u8; 16],
    counter: u64,
}

impl Random {
    /// Seeds a generator with everything that distinguishes this VM from others: the node's seed, the time, and the VM's
    /// number in its process.
    #[must_use]
    pub fn new(seed: &[u8], time_in_ns: u64, number: u64) -> Self {
        let mut message = seed.to_vec();
        message.extend(time_in_ns.to_be_bytes());
        message.extend(number.to_be_bytes());
        Self {
            key: pair(&message),
            counter: 0,
        }
    }

    /// Mixes in a further seed, such as a snapshot's.
    pub fn mix(&mut self, value: &[u8]) {
        let mut message = self.key.to_vec();
        message.extend(self.counter.to_be_bytes());
        message.extend(value);
        self.key = pair(&message);
    }

    /// Returns the next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        siphash24(&self.key, &self.counter.to_be_bytes())
    }
}

fn pair(message: &[u8]) -> [u8; 16] {
    let half = |key: &[u8; 16]| u128::from(siphash24(key, message));
    (half(b"ssa filter seed0").unbounded_shl(64) | half(b"ssa filter seed1")).to_be_bytes()
}

/// The draws in use: a fixed number of slots, each with a draw of its own that changes every [`ROTATION`] seconds.
///
/// Envoy pays for each address that it has not connected to lately, in proportion to those that it knows. A pool
/// bounds both. Slots change one after the other, evenly over the rotation. Nothing is stored: a slot's draw is a
/// hash of its number and of how often it has changed.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    key: [u8; 16],
    slots: u16,
}

/// How many of a pool's draws are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All: draws choose where an address leads.
    All,
    /// At most [`FEW`], since they choose nothing: each address more would cost, and bring nothing.
    Few,
}

/// The source of a VM's draws, for its lifetime: plugins that are created anew by a configuration push keep drawing the
/// same, since other draws would lead to other addresses.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// The VM's number in its process.
    pub number: u64,
    key: [u8; 16],
    seeded: bool,
}

impl Identity {
    /// Makes the identity of a VM: of the node's seed, the time, and its number.
    #[must_use]
    pub fn new(seed: &[u8], time_in_ns: u64, number: u64) -> Self {
        let random = Random::new(seed, time_in_ns, number);
        Self {
            number,
            key: random.key,
            seeded: false,
        }
    }

    /// Mixes in the seed of the first snapshot; says whether this was the first.
    pub fn seed(&mut self, seed: &[u8]) -> bool {
        if self.seeded {
            return false;
        }
        self.seeded = true;
        self.key = pair(&[&self.key[..], seed].concat());
        true
    }

    /// Makes the pool of the VM.
    #[must_use]
    pub fn pool(&self, slots: u16) -> Pool {
        Pool::new(
            slots,
            &mut Random {
                key: self.key,
                counter: 0,
            },
        )
    }
}

/// One draw of a pool: the same bits for as long as its slot keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    key: [u8; 16],
    slot: u64,
    /// How often the slot has changed.
    changes: u64,
    counter: u64,
}

impl Draw {
    /// Returns the next 64 bits of the draw.
    pub fn bits(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        // A slot is a number of 16 bits, and no draw is used 2^48 times.
        let place = self.slot.unbounded_shl(48) ^ self.counter;
        let message = u128::from(self.changes).unbounded_shl(64) | u128::from(place);
        siphash24(&self.key, &message.to_be_bytes())
    }
}

impl Pool {
    /// Makes a pool of this many slots (at least one).
    #[must_use]
    pub fn new(slots: u16, random: &mut Random) -> Self {
        let mut key = u128::from(random.bits()).unbounded_shl(64);
        key |= u128::from(random.bits());
        Self {
            key: key.to_be_bytes(),
            slots: slots.max(1),
        }
    }

    /// Returns the pool for a rule with this time step: all of its addresses are others with each step, and so a short
    /// one has as many fewer draws in use.
    #[must_use]
    pub fn for_step(&self, step: Option<u32>) -> Self {
        let step = step.map_or(LONG_STEP, |step| step.min(LONG_STEP));
        let share = u32::from(self.slots).saturating_mul(step).checked_div(LONG_STEP);
        let share = share.and_then(|share| u16::try_from(share).ok()).unwrap_or(self.slots);
        Self {
            slots: share.max(self.slots.min(FEWEST)),
            ..*self
        }
    }

    /// Returns a slot's draw at this time; any number is a slot, modulo the count of those in use.
    #[must_use]
    pub fn draw(&self, number: u64, share: Share, now: UnixTime) -> Draw {
        let slots = u64::from(self.slots);
        let used = match share {
            Share::All => slots,
            Share::Few => slots.min(FEW.into()),
        };
        // Those in use lie evenly among all, and so do their changes.
        let index = number.checked_rem(used).unwrap_or(0);
        let slot = index.saturating_mul(slots).checked_div(used).unwrap_or(0);
        // Slot i changes i/slots of a rotation before slot 0 does.
        let ahead = slot.saturating_mul(ROTATION).checked_div(slots).unwrap_or(0);
        let changes = now.0.saturating_add(ahead).checked_div(ROTATION).unwrap_or(0);
        Draw {
            key: self.key,
            slot,
            changes,
            counter: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn draws(pool: &Pool, now: u64) -> BTreeSet<u64> {
        drawn(pool, Share::All, now)
    }

    fn drawn(pool: &Pool, share: Share, now: u64) -> BTreeSet<u64> {
        (0..10_000)
            .map(|number| pool.draw(number, share, UnixTime(now)).bits())
            .collect()
    }

    #[test]
    fn vms_that_differ_in_anything_draw_different_bits() {
        let first = |seed: &[u8], time, number| Random::new(seed, time, number).bits();
        let all = [first(b"", 0, 0), first(b"a", 0, 0), first(b"", 1, 0), first(b"", 0, 1)];
        assert_eq!(BTreeSet::from(all).len(), 4);
    }

    #[test]
    fn a_vm_keeps_its_draws_and_takes_one_seed() {
        let mut vm = Identity::new(b"s", 1, 1);
        let at = |vm: &Identity| draws(&vm.pool(256), 1_790_000_000);
        let before = at(&vm);
        assert_eq!(at(&vm), before);
        assert!(vm.seed(b"snapshot"));
        let seeded = at(&vm);
        assert!(seeded.is_disjoint(&before));
        assert!(!vm.seed(b"another"));
        assert_eq!(at(&vm), seeded);
        assert!(at(&Identity::new(b"s", 1, 2)).is_disjoint(&before));
    }

    #[test]
    fn equal_vms_part_ways_with_what_is_mixed_in() {
        let mut vms = [Random::new(b"s", 1, 1); 2];
        vms[0].mix(&[1]);
        vms[1].mix(&[2]);
        assert_ne!(vms[0].bits(), vms[1].bits());
    }

    #[test]
    fn bits_are_balanced() {
        let mut random = Random::new(b"s", 1, 1);
        let ones: u32 = (0..1_000).map(|_| random.bits().count_ones()).sum();
        assert!((31_000..33_000).contains(&ones), "{ones} of 64000");
    }

    #[test]
    fn pool_has_as_many_draws_as_slots() {
        let pool = Pool::new(256, &mut Random::new(b"s", 1, 1));
        assert_eq!(draws(&pool, 1_790_000_000).len(), 256);
        assert_eq!(draws(&Pool::new(0, &mut Random::new(b"s", 1, 1)), 0).len(), 1);
    }

    #[test]
    fn short_time_steps_have_fewer_draws_so_that_a_minute_has_as_many() {
        let of = |slots, step| {
            let pool = Pool::new(slots, &mut Random::new(b"s", 1, 1)).for_step(step);
            draws(&pool, 1_790_000_000).len()
        };
        for (slots, step, expected) in [
            (256, None, 256),
            (256, Some(86_400), 256),
            (256, Some(60), 256),
            (256, Some(30), 128),
            (256, Some(10), 42),
            (256, Some(1), 8),
            (4, Some(1), 4),
            (1, Some(1), 1),
        ] {
            assert_eq!(of(slots, step), expected, "{slots} draws, steps of {step:?} s");
        }
        assert_eq!(
            Pool::new(4096, &mut Random::new(b"s", 1, 1)).for_step(Some(1)).slots,
            68
        );
    }

    #[test]
    fn pool_rotates_wholly_in_ten_minutes_and_slowly() {
        let pool = Pool::new(256, &mut Random::new(b"s", 1, 1));
        let start = 1_790_000_123;
        let before = draws(&pool, start);
        assert!(draws(&pool, start + ROTATION).is_disjoint(&before));
        for second in start..start + ROTATION {
            let at = |now| (0..256).map(move |slot| pool.draw(slot, Share::All, UnixTime(now)).bits());
            let changed = at(second).zip(at(second + 1)).filter(|(one, next)| one != next).count();
            assert!(changed <= 1, "{changed} slots changed at once");
        }
    }

    #[test]
    fn few_draws_are_of_the_pool_and_change_as_evenly() {
        for (slots, few) in [(256, 16), (100, 16), (4096, 16), (16, 16), (3, 3), (1, 1)] {
            let pool = Pool::new(slots, &mut Random::new(b"s", 1, 1));
            let start = 1_790_000_123;
            let at = |second| drawn(&pool, Share::Few, start + second);
            assert_eq!(at(0).len(), few, "{slots}");
            assert!(at(0).is_subset(&draws(&pool, start)), "{slots}");
            assert!(at(0).is_disjoint(&at(ROTATION)), "{slots}");
            for second in (0..ROTATION).step_by(36) {
                let changed = at(second + 36).difference(&at(second)).count();
                assert!(changed <= 1, "{slots}: {changed} slots changed within 36 s");
            }
        }
    }
}
