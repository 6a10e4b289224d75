//! Messages of the specification and their SipHash-2-4.

use core::hash::Hasher;

use siphasher::sip::SipHasher24;

/// The key of hashes that anybody may compute.
pub const PUBLIC_KEY: [u8; 16] = *b"ssa1-public-hash";

/// Returns SipHash-2-4 with 64 bits of output (Aumasson and Bernstein 2012).
#[must_use]
pub fn siphash24(key: &[u8; 16], message: &[u8]) -> u64 {
    SipHasher24::new_with_key(key).hash(message)
}

/// The longest message less the object key: head 2, salt 2+32, src 18, obj 5, chunk 9, time 13, port 3, address 16.
const CAPACITY: usize = 112;

/// A message under construction: bytes of its own, with at most one object key between them.
pub(crate) struct Message<'a> {
    bytes: [u8; CAPACITY],
    length: usize,
    object: Option<(usize, &'a [u8])>,
}

impl<'a> Message<'a> {
    pub(crate) fn new(head: [u8; 2]) -> Self {
        let mut message = Self { bytes: [0; CAPACITY], length: 0, object: None };
        message.put(head);
        message
    }

    /// Appends bytes. Every message of the specification fits, see [`CAPACITY`].
    #[inline]
    pub(crate) fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        let room = self.bytes.get_mut(self.length..).and_then(|rest| rest.first_chunk_mut::<N>());
        debug_assert!(room.is_some(), "a message longer than the longest");
        if let Some(room) = room {
            *room = bytes;
            self.length = self.length.saturating_add(N);
        }
    }

    /// Appends the first `length` of these bytes: what follows overwrites the others.
    pub(crate) fn put_some<const N: usize>(&mut self, bytes: &[u8; N], length: u8) {
        let end = self.length.saturating_add(length.into());
        self.put(*bytes);
        self.length = self.length.min(end);
    }

    /// Appends an object key. A message has at most one.
    pub(crate) fn put_object(&mut self, key: &'a [u8]) {
        self.object = Some((self.length, key));
    }

    pub(crate) fn hash(&self, key: &[u8; 16]) -> u64 {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        match self.object {
            None => siphash24(key, bytes),
            Some((at, object)) => {
                let (before, after) = bytes.split_at_checked(at).unwrap_or_default();
                let mut hasher = SipHasher24::new_with_key(key);
                hasher.write(before);
                hasher.write(object);
                hasher.write(after);
                hasher.finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn a_message_hashes_as_its_bytes() {
        let mut message = Message::new([1, 2]);
        message.put_some(&[9; 32], 3);
        message.put_object(b"key");
        message.put([4, 5, 6]);
        let bytes: Vec<u8> = [&[1, 2, 9, 9, 9][..], b"key", &[4, 5, 6]].concat();
        assert_eq!(message.hash(&PUBLIC_KEY), siphash24(&PUBLIC_KEY, &bytes));
    }

    #[test]
    fn the_longest_message_fits() {
        let mut message = Message::new([0; 2]);
        message.put([0; 2]);
        message.put_some(&[1; 32], 32);
        message.put([2; 18 + 5 + 9 + 13 + 3]);
        message.put([3; 16]);
        assert_eq!(message.length, 100);
    }
}
