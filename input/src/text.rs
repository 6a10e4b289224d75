//! Texts as they come and as they are told: without marks before them, and without what would steer a terminal or forge a
//! line of a log.

use std::borrow::Cow;

/// What editors of some systems write before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns a text without a byte order mark before it (RFC 8259 §8.1 lets readers of JSON pass it over).
#[must_use]
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// Returns the text as it may be shown: on one line, with U+FFFD in place of what would steer a terminal.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().any(steers) {
        let shown = |c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c };
        Cow::Owned(text.chars().map(shown).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Returns whether a character does something other than to stand there: controls, separators of lines, and what turns the
/// order of what stands around it (UAX #9).
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_steers_nothing_and_stays_on_its_line() {
        for text in ["", "größe 7 %", "a b\u{a0}c", "日本"] {
            assert!(matches!(clean(text), Cow::Borrowed(shown) if shown == text));
        }
        assert_eq!(clean("a\u{1b}[31mb\nINFO forged"), "a\u{fffd}[31mb\u{fffd}INFO forged");
        for c in [
            '\0', '\r', '\t', '\u{7f}', '\u{85}', '\u{9b}', '\u{2028}', '\u{202e}', '\u{2066}',
        ] {
            assert_eq!(clean(&format!("a{c}b")), "a\u{fffd}b", "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn a_mark_is_passed_over_before_a_text_alone() {
        assert_eq!(without_mark(b"\xef\xbb\xbfa"), b"a");
        assert_eq!(without_mark(b"a\xef\xbb\xbf"), b"a\xef\xbb\xbf");
        assert_eq!(without_mark(b""), b"");
    }
}
