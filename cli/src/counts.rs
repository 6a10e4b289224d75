//! Counts as people read them.

/// Writes a count with separators.
pub(crate) fn grouped(count: impl TryInto<u64>) -> String {
    let digits = count.try_into().unwrap_or(u64::MAX).to_string();
    let separated = digits.chars().enumerate().flat_map(|(index, digit)| {
        let separator = index > 0 && (digits.len() - index).is_multiple_of(3);
        separator.then_some(',').into_iter().chain([digit])
    });
    separated.collect()
}

/// Writes a count of things, such as `1 endpoint` and `1,000 endpoints`.
pub(crate) fn counted(count: impl TryInto<u64>, thing: &str) -> String {
    let count = grouped(count);
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// Writes a count of things without separators, such as `1 bit` and `1000 bits`.
pub(crate) fn plain(count: impl Into<u64>, thing: &str) -> String {
    let count = count.into();
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// Writes a mean: whole where it is large.
pub(crate) fn mean(mean: f64) -> String {
    if mean < 100.0 {
        format!("{mean:.1}")
    } else {
        let whole = format!("{mean:.0}");
        whole.parse::<u64>().map_or(whole, grouped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!(grouped(1_u64), "1");
        assert_eq!(grouped(1000_u64), "1,000");
        assert_eq!(grouped(1_234_567_u64), "1,234,567");
    }

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!(counted(0_usize, "slice"), "0 slices");
        assert_eq!(counted(1_usize, "slice"), "1 slice");
        assert_eq!(
            (plain(1_u8, "bit"), plain(2000_u32, "bit")),
            ("1 bit".into(), "2000 bits".into())
        );
        assert_eq!(counted(16_384_usize, "slice"), "16,384 slices");
    }
}
