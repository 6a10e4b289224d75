//! What a composer and a verifier share: the available inputs and the value that a field takes of them.

use super::{CompiledField, CompiledInputs, Rule, field_kind, key_kind};
use crate::{
    bits,
    hash::{self, Message},
    types::{ClientKey, Secret, Source},
};

/// The available inputs for one address. What is not known is `None`.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) source: u128,
    pub(super) object: Option<&'a [u8]>,
    pub(super) chunk: Option<u64>,
    pub(super) port: Option<u16>,
    /// The object key as a number; `None` also where it is not one.
    pub(super) number: Option<u128>,
    /// The number of the time step.
    pub(super) step: u64,
    /// The key of macs: the secret, or the client's own key.
    pub(super) key: &'a [u8; 16],
}

impl Context<'_> {
    /// The context of a source alone, which is all that the nearest item depends on.
    pub(super) fn of_source(source: Source) -> Self {
        Self {
            source: u128::from(source.0),
            object: None,
            chunk: None,
            port: None,
            number: None,
            step: 0,
            key: &hash::PUBLIC_KEY,
        }
    }
}

impl Rule {
    /// Returns the client's own key of macs, derived for this source, where the record has `kdf` and the secret is at
    /// hand.
    #[inline]
    pub(super) fn derived_key(&self, source: u128) -> Option<ClientKey> {
        let derives = self.has_mac != 0 && self.key_kind == key_kind::SECRET;
        let prefix = self.kdf().filter(|_| derives)?;
        Some(Secret::new(self.key).client_key(prefix, Source(source.into())))
    }

    /// Returns whether the available key is one of these kinds, where a mac needs any.
    pub(super) fn has_key(&self, kinds: &[u8]) -> bool {
        self.has_mac == 0 || kinds.contains(&self.key_kind)
    }

    /// Returns how far replica r of an address is from replica 0 in its first field of n bits: ⌊r·2ⁿ/replicas⌋, as
    /// r·⌊2ⁿ/replicas⌋ + ⌊r·(2ⁿ mod replicas)/replicas⌋, for 2ⁿ itself may not fit.
    pub(super) fn replica_offset(&self, replica: u8, width: u8) -> u64 {
        let (replica, replicas) = (u64::from(replica), u64::from(self.replicas()));
        let last = bits::trailing(width);
        let past = last.checked_rem(replicas).unwrap_or(0).saturating_add(1);
        let carry = u64::from(past == replicas);
        let whole = last.checked_div(replicas).unwrap_or(0).wrapping_add(carry);
        let part = if carry == 1 {
            0
        } else {
            replica.saturating_mul(past).checked_div(replicas).unwrap_or(0)
        };
        replica.wrapping_mul(whole).wrapping_add(part)
    }
}

impl CompiledField {
    /// Returns what a field other than rand must be for replica 0, given the bits before it. Nothing where an input
    /// is not known or, for obj, the key is not a number.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a call here costs a verifier a tenth of its time: make bench-rules"
    )]
    pub(super) fn value(&self, context: &Context<'_>, before: u128) -> Option<u64> {
        let range = |number: u128| bits::low64(number.unbounded_shr(self.range_shift.into()));
        let value = match self.kind {
            field_kind::CONST => self.constant,
            field_kind::SOURCE => range(context.source),
            field_kind::OBJECT => range(context.number?),
            field_kind::HASH | field_kind::MAC => {
                let (key, address) = if self.kind == field_kind::MAC {
                    (context.key, Some(before & self.before()))
                } else {
                    (&hash::PUBLIC_KEY, None)
                };
                bits::top(self.inputs.hash(context, key, address)?, self.width)
            }
            _ => return None,
        };
        Some(value & bits::trailing(self.width))
    }
}

impl CompiledInputs {
    /// Returns the hash of `head ‖ S ‖ I` and an address that may follow; nothing where an input is not known.
    #[inline]
    pub(super) fn hash(&self, context: &Context<'_>, key: &[u8; 16], address: Option<u128>) -> Option<u64> {
        let mut message = Message::of_skeleton(&self.skeleton, self.length);
        if self.source_at != 0 {
            let [high, low] = hash::words(context.source);
            let [high_mask, low_mask] = self.source_mask;
            message.fill_skeleton(&self.skeleton, self.source_at, [high & high_mask, low & low_mask]);
        }
        if self.has_others != 0 {
            self.fill_others(&mut message, context)?;
        }
        if let Some(address) = address {
            message.put128(address);
        }
        Some(message.hash(key))
    }

    fn fill_others<'a>(&self, message: &mut Message<'a>, context: &Context<'a>) -> Option<()> {
        if self.object_at != 0 {
            let object = context.object?;
            message.fill(self.object_at, u32::try_from(object.len()).ok()?.swap_bytes().into());
            message.insert_object(self.object_at.wrapping_add(4), object);
        }
        if self.chunk_at != 0 {
            message.fill(self.chunk_at, context.chunk?.swap_bytes());
        }
        if self.time_at != 0 {
            message.fill(self.time_at, context.step.swap_bytes());
        }
        if self.port_at != 0 {
            message.fill(self.port_at, context.port?.swap_bytes().into());
        }
        Some(())
    }
}

/// Reads an object key as a 128-bit number: decimal, `0x` hex, or a UUID in its form 8-4-4-4-12.
pub(super) fn object_number(key: &[u8]) -> Option<u128> {
    if let Some(digits) = key.strip_prefix(b"0x") {
        return number(digits, 16);
    }
    if key.contains(&b'-') {
        let mut groups = key.split(|byte| *byte == b'-');
        let number = [8, 4, 4, 4, 12].into_iter().try_fold(0_u128, |number, length| {
            let group = groups.next().filter(|group| group.len() == length)?;
            append(number, group, 16)
        });
        return number.filter(|_| groups.next().is_none());
    }
    number(key, 10)
}

fn number(digits: &[u8], radix: u32) -> Option<u128> {
    if digits.is_empty() {
        None
    } else {
        append(0, digits, radix)
    }
}

fn append(number: u128, digits: &[u8], radix: u32) -> Option<u128> {
    digits.iter().try_fold(number, |number, digit| {
        let digit = char::from(*digit).to_digit(radix)?;
        number.checked_mul(radix.into())?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::object_number;

    #[test]
    fn object_keys_read_as_numbers_in_three_forms() {
        assert_eq!(object_number(b"0"), Some(0));
        assert_eq!(object_number(b"007"), Some(7));
        assert_eq!(object_number(b"0xDeadBeef"), Some(0xdead_beef));
        assert_eq!(object_number(b"0x00ff"), Some(255));
        let uuid = b"00112233-4455-6677-8899-aAbBcCdDeEfF";
        assert_eq!(object_number(uuid), Some(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff));
        assert_eq!(
            object_number(b"340282366920938463463374607431768211455"),
            Some(u128::MAX)
        );
        assert_eq!(object_number(b"0xffffffffffffffffffffffffffffffff"), Some(u128::MAX));
        assert_eq!(object_number(b"000000000000000000000000000000000012"), Some(12));
        assert_eq!(
            object_number(b"0x0000000000000000000000000000000000000000000000000f"),
            Some(15)
        );
    }

    #[test]
    fn other_object_keys_are_no_numbers() {
        let keys: [&[u8]; 14] = [
            b"",
            b"0x",
            b"0X1",
            b"-1",
            b"+1",
            b" 1",
            b"1 ",
            b"ff",
            b"1.0",
            b"340282366920938463463374607431768211456",
            b"0x100000000000000000000000000000000",
            b"001122334-455-6677-8899-aabbccddeeff",
            b"00112233-4455-6677-8899-aabbccddeef-",
            b"0011223344556677-8899-aabbccddeeff-0",
        ];
        for key in keys {
            assert_eq!(object_number(key), None, "{:?}", core::str::from_utf8(key));
        }
        assert_eq!(object_number("١".as_bytes()), None);
    }
}
