//! Bit numbering of addresses: bit 0 is the most significant of 128.

/// Returns a mask of the first `length` bits; lengths past 128 count as 128.
pub(crate) const fn leading(length: u8) -> u128 {
    !u128::MAX.unbounded_shr(length as u32)
}

/// Returns a mask of the last `width` bits of 64; widths past 64 count as 64.
pub(crate) const fn trailing(width: u8) -> u64 {
    !u64::MAX.unbounded_shl(width as u32)
}

/// Returns `value` cut to its most significant `width` bits, as a number.
pub(crate) const fn top(value: u64, width: u8) -> u64 {
    value.unbounded_shr(64_u32.saturating_sub(width as u32))
}

/// Returns the low 64 bits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "cutting to the low half is what this is for"
)]
pub(crate) const fn low64(value: u128) -> u64 {
    value as u64
}

/// Returns the low 8 bits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "cutting to the low byte is what this is for"
)]
pub(crate) const fn low8(value: usize) -> u8 {
    value as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_cover_exactly_the_bits_asked_for() {
        assert_eq!(leading(0), 0);
        assert_eq!(leading(1), 1 << 127);
        assert_eq!(leading(64), u128::from(u64::MAX) << 64);
        assert_eq!(leading(128), u128::MAX);
        assert_eq!(leading(200), u128::MAX);
        assert_eq!(trailing(0), 0);
        assert_eq!(trailing(1), 1);
        assert_eq!(trailing(64), u64::MAX);
        assert_eq!(trailing(65), u64::MAX);
    }

    #[test]
    fn top_takes_the_most_significant_bits() {
        assert_eq!(top(0x8000_0000_0000_0001, 1), 1);
        assert_eq!(top(0xabcd_0000_0000_0000, 16), 0xabcd);
        assert_eq!(top(u64::MAX, 64), u64::MAX);
        assert_eq!(top(u64::MAX, 0), 0);
        assert_eq!(low64(1 << 64 | 5), 5);
        assert_eq!(low8(0x1ff), 0xff);
    }
}
