//! Messages of the specification and their SipHash-2-4.

use core::hash::Hasher;

use siphasher::sip::SipHasher24;
use zerocopy::{IntoBytes, little_endian::U64};

use crate::bits;

/// The key of hashes that anybody may compute.
pub const PUBLIC_KEY: [u8; 16] = *b"ssa1-public-hash";

/// Returns SipHash-2-4 with 64 bits of output (Aumasson and Bernstein 2012).
#[must_use]
#[inline]
pub fn siphash24(key: &[u8; 16], message: &[u8]) -> u64 {
    #[cfg(test)]
    count::one();
    SipHasher24::new_with_key(key).hash(message)
}

/// The longest message less the object key is of 100 bytes: head 2, salt 2+32, src 18, obj 5, chunk 9, time 13, port 3,
/// address 16. Twelve bytes are spare.
const WORDS: usize = 14;

/// A message under construction: bytes of its own, with at most one object key between them.
///
/// The bytes are gathered in whole words, so that hashing reads each word as it was written: a processor stalls where
/// it reads a word back that was stored in parts.
pub(crate) struct Message<'a> {
    words: Skeleton,
    length: usize,
    object: Option<(usize, &'a [u8])>,
}

/// The words of a message, in which numbers that are not known beforehand are still zero.
pub(crate) type Skeleton = [U64; WORDS];

/// The skeleton of nothing.
pub(crate) const EMPTY: Skeleton = [U64::ZERO; WORDS];

/// Returns an address as the two numbers that its halves are in little-endian order.
#[inline]
pub(crate) const fn words(address: u128) -> [u64; 2] {
    [
        bits::low64(address.unbounded_shr(64)).swap_bytes(),
        bits::low64(address).swap_bytes(),
    ]
}

/// Splits an offset in bytes into a word and a shift in bits.
#[inline]
const fn place(at: u8) -> (usize, u32) {
    (at.wrapping_shr(3) as usize, (at as u32 & 7).wrapping_mul(8))
}

#[inline]
fn or(slot: &mut U64, bits: u64) {
    slot.set(slot.get() | bits);
}

impl<'a> Message<'a> {
    /// Starts a message with two bytes.
    pub(crate) fn new(head: [u8; 2]) -> Self {
        let mut message = Self {
            words: EMPTY,
            length: 0,
            object: None,
        };
        message.put16(u16::from_be_bytes(head));
        message
    }

    /// Makes a message of a skeleton of so many bytes.
    #[inline]
    pub(crate) fn of_skeleton(words: &Skeleton, length: u8) -> Self {
        Self {
            words: *words,
            length: length.into(),
            object: None,
        }
    }

    /// Returns what [`Message::of_skeleton`] takes.
    pub(crate) fn skeleton(&self) -> (Skeleton, u8) {
        (self.words, bits::low8(self.length))
    }

    /// Fills in 8 bytes that are zero, given as the number that they are in little-endian order. Every message of the
    /// specification fits, see [`WORDS`].
    #[inline]
    pub(crate) fn fill(&mut self, at: u8, word: u64) {
        let (index, shift) = place(at);
        if let Some(slot) = self.words.get_mut(index) {
            or(slot, word.unbounded_shl(shift));
        }
        if let Some(slot) = self.words.get_mut(index.wrapping_add(1)) {
            or(slot, word.unbounded_shr(64_u32.wrapping_sub(shift)));
        }
    }

    /// Fills in 16 bytes that are zero in a skeleton that the message is as yet: two numbers of 8 bytes, each given as
    /// the number that it is in little-endian order.
    ///
    /// It reads the skeleton, not the words copied from it, which may still be on their way to memory.
    #[inline]
    pub(crate) fn fill_skeleton(&mut self, skeleton: &Skeleton, at: u8, [high, low]: [u64; 2]) {
        let (index, shift) = place(at);
        let carry = 64_u32.wrapping_sub(shift);
        let slots = self.words.get_mut(index..).and_then(<[U64]>::first_chunk_mut);
        let zeros = skeleton.get(index..).and_then(<[U64]>::first_chunk);
        if let (Some(slots), Some([first, second, third])) = (slots, zeros) {
            *slots = [
                U64::new(first.get() | high.unbounded_shl(shift)),
                U64::new(second.get() | high.unbounded_shr(carry) | low.unbounded_shl(shift)),
                U64::new(third.get() | low.unbounded_shr(carry)),
            ];
        }
    }

    /// Puts an object key between the bytes before `at` and the others. A message has at most one.
    pub(crate) fn insert_object(&mut self, at: u8, key: &'a [u8]) {
        self.object = Some((at.into(), key));
    }

    #[inline]
    fn put_word(&mut self, word: u64, bytes: usize) {
        self.fill(bits::low8(self.length), word);
        self.length = self.length.wrapping_add(bytes);
    }

    /// Appends a byte.
    pub(crate) fn put8(&mut self, number: u8) {
        self.put_word(number.into(), 1);
    }

    /// Appends a big-endian number of 2 bytes.
    pub(crate) fn put16(&mut self, number: u16) {
        self.put_word(number.swap_bytes().into(), 2);
    }

    /// Appends a big-endian number of 4 bytes.
    pub(crate) fn put32(&mut self, number: u32) {
        self.put_word(number.swap_bytes().into(), 4);
    }

    /// Appends a big-endian number of 8 bytes.
    #[inline]
    pub(crate) fn put64(&mut self, number: u64) {
        self.put_word(number.swap_bytes(), 8);
    }

    /// Appends a big-endian number of 16 bytes.
    #[inline]
    pub(crate) fn put128(&mut self, number: u128) {
        let [high, low] = words(number);
        self.put_word(high, 8);
        self.put_word(low, 8);
    }

    /// Returns the SipHash-2-4 of the message.
    #[inline]
    pub(crate) fn hash(&self, key: &[u8; 16]) -> u64 {
        let bytes = self.words.as_bytes().get(..self.length).unwrap_or_default();
        match self.object {
            None => siphash24(key, bytes),
            Some((at, object)) => hash_around(key, bytes, at, object),
        }
    }
}

/// Hashes bytes with an object key inserted at an offset.
fn hash_around(key: &[u8; 16], bytes: &[u8], at: usize, object: &[u8]) -> u64 {
    #[cfg(test)]
    count::one();
    let (before, after) = bytes.split_at_checked(at).unwrap_or_default();
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(before);
    hasher.write(object);
    hasher.write(after);
    hasher.finish()
}

/// Counts hashes, for tests of how many there are.
#[cfg(test)]
pub(crate) mod count {
    use core::cell::Cell;

    std::thread_local! {
        static HASHES: Cell<u32> = const { Cell::new(0) };
    }

    pub(super) fn one() {
        HASHES.set(HASHES.get() + 1);
    }

    /// Returns what work comes to, and how many hashes it took.
    pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> (T, u32) {
        HASHES.set(0);
        let done = work();
        (done, HASHES.get())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn a_message_hashes_as_its_bytes() {
        // At every place in a word, so that every put crosses a boundary somewhere.
        for skew in 0..8 {
            let mut message = Message::new([1, 2]);
            let mut bytes: Vec<u8> = Vec::from([1, 2]);
            for number in 0..skew {
                message.put8(number);
                bytes.push(number);
            }
            message.put16(0x1122);
            message.put32(0x3344_5566);
            message.put64(0x7788_99aa_bbcc_ddee);
            let at = message.skeleton().1;
            message.insert_object(at, b"key");
            message.put128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
            bytes.extend(0x1122_u16.to_be_bytes());
            bytes.extend(0x3344_5566_u32.to_be_bytes());
            bytes.extend(0x7788_99aa_bbcc_ddee_u64.to_be_bytes());
            bytes.extend(b"key");
            bytes.extend(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes());
            assert_eq!(message.hash(&PUBLIC_KEY), siphash24(&PUBLIC_KEY, &bytes));
        }
    }

    #[test]
    fn a_filled_skeleton_is_the_message() {
        for skew in 0..8 {
            let (mut skeleton, mut whole) = (Message::new([1, 2]), Message::new([1, 2]));
            for number in 0..skew {
                skeleton.put8(number);
                whole.put8(number);
            }
            let (_, at) = skeleton.skeleton();
            skeleton.put64(0);
            skeleton.put8(7);
            whole.put64(0x0123_4567_89ab_cdef);
            whole.put8(7);
            let (words, length) = skeleton.skeleton();
            let mut filled = Message::of_skeleton(&words, length);
            filled.fill(at, 0x0123_4567_89ab_cdef_u64.swap_bytes());
            assert_eq!(filled.words, whole.words);
            assert_eq!(filled.length, whole.length);
        }
    }

    #[test]
    fn the_longest_message_fits() {
        let mut message = Message::new([1; 2]);
        for number in 0..98 {
            message.put8(number);
        }
        let bytes: Vec<u8> = [1, 1].into_iter().chain(0..98).collect();
        assert_eq!(bytes.len(), 100);
        assert_eq!(message.hash(&PUBLIC_KEY), siphash24(&PUBLIC_KEY, &bytes));
    }
}
