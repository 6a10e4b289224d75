//! What a composer and a verifier share: the inputs at hand and the value that a field takes of them.

use super::{CompiledField, CompiledInputs, Rule, field_kind, hash, hash::Message, input_kind, key_kind};
use crate::{
    bits,
    types::{Secret, Source},
};

/// The inputs at hand for one address. What is not known is `None`.
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
    pub(super) key: [u8; 16],
}

impl Rule {
    /// Returns the key of macs for this source.
    pub(super) fn mac_key(&self, source: u128) -> [u8; 16] {
        match (self.key_kind, self.kdf()) {
            (key_kind::SECRET, Some(prefix)) => {
                *Secret::new(self.key).client_key(prefix, Source(source.into())).expose()
            }
            _ => self.key,
        }
    }

    /// Says whether the key at hand is one of these kinds, where a mac needs any.
    pub(super) fn has_key(&self, kinds: &[u8]) -> bool {
        self.has_mac == 0 || kinds.contains(&self.key_kind)
    }

    /// Reads the object key as a number where a field needs that.
    pub(super) fn number_of(&self, object: Option<&[u8]>) -> Option<u128> {
        if self.needs_number == 0 { None } else { object.and_then(object_number) }
    }

    /// Starts a message: `head ‖ S ‖ I`. Nothing where an input is not known.
    #[inline]
    pub(super) fn message<'a>(
        &self,
        head: [u8; 2],
        inputs: &CompiledInputs,
        context: &Context<'a>,
    ) -> Option<Message<'a>> {
        let mut message = Message::new(head);
        if inputs.has(input_kind::SOURCE) {
            self.put_salt(&mut message);
        } else {
            message.put([0, 0]);
        }
        for kind in inputs.kinds.into_iter().take_while(|kind| *kind != 0) {
            match kind {
                input_kind::SOURCE => {
                    message.put([kind, inputs.source_bits]);
                    message.put((context.source & bits::leading(inputs.source_bits)).to_be_bytes());
                }
                input_kind::OBJECT => {
                    let object = context.object?;
                    message.put([kind]);
                    message.put(u32::try_from(object.len()).ok()?.to_be_bytes());
                    message.put_object(object);
                }
                input_kind::CHUNK => {
                    message.put([kind]);
                    message.put(context.chunk?.to_be_bytes());
                }
                input_kind::TIME => {
                    message.put([kind]);
                    message.put(inputs.step.to_be_bytes());
                    message.put(context.step.to_be_bytes());
                }
                input_kind::PORT => {
                    message.put([kind]);
                    message.put(context.port?.to_be_bytes());
                }
                _ => return None,
            }
        }
        Some(message)
    }

    pub(super) fn put_salt(&self, message: &mut Message<'_>) {
        let length = self.salt_length.min(32);
        message.put([0, length]);
        if length > 0 {
            message.put_some(&self.salt, length);
        }
    }

    /// Returns what a field other than rand must be for replica 0, given the bits before it. Nothing where an input
    /// is not known or, for obj, the key is no number.
    #[inline]
    pub(super) fn value(&self, index: u8, field: &CompiledField, context: &Context<'_>, before: u128) -> Option<u64> {
        let range = |number: u128| bits::low64(number.unbounded_shr(field.range_shift.into()));
        let value = match field.kind {
            field_kind::CONST => field.constant,
            field_kind::SOURCE => range(context.source),
            field_kind::OBJECT => range(context.number?),
            field_kind::HASH => {
                let message = self.message([1, index], &field.inputs, context)?;
                bits::top(message.hash(&hash::PUBLIC_KEY), field.width)
            }
            field_kind::MAC => {
                let mut message = self.message([2, index], &field.inputs, context)?;
                message.put((before & field.before()).to_be_bytes());
                bits::top(message.hash(&context.key), field.width)
            }
            _ => return None,
        };
        Some(value & bits::trailing(field.width))
    }

    /// Returns how far replica r of an address is from replica 0 in its first field of n bits: ⌊r·2ⁿ/replicas⌋, as
    /// r·⌊2ⁿ/replicas⌋ + ⌊r·(2ⁿ mod replicas)/replicas⌋, for 2ⁿ itself may not fit.
    pub(super) fn replica_offset(&self, replica: u8, width: u8) -> u64 {
        let (replica, replicas) = (u64::from(replica), u64::from(self.replicas()));
        let last = bits::trailing(width);
        let past = last.checked_rem(replicas).unwrap_or(0).saturating_add(1);
        let carry = u64::from(past == replicas);
        let whole = last.checked_div(replicas).unwrap_or(0).wrapping_add(carry);
        let part = if carry == 1 { 0 } else { replica.saturating_mul(past).checked_div(replicas).unwrap_or(0) };
        replica.wrapping_mul(whole).wrapping_add(part)
    }
}

/// Reads an object key as a 128-bit number: decimal, `0x` hex, or a UUID in its form 8-4-4-4-12.
fn object_number(key: &[u8]) -> Option<u128> {
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
    if digits.is_empty() { None } else { append(0, digits, radix) }
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
        assert_eq!(object_number(b"340282366920938463463374607431768211455"), Some(u128::MAX));
        assert_eq!(object_number(b"0xffffffffffffffffffffffffffffffff"), Some(u128::MAX));
        assert_eq!(object_number(b"000000000000000000000000000000000012"), Some(12));
        assert_eq!(object_number(b"0x0000000000000000000000000000000000000000000000000f"), Some(15));
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
