//! A part of a record's text that knows where it stands.

use crate::text::BLANKS;

/// A part of the record that knows where it stands.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) offset: usize,
}

impl<'a> Piece<'a> {
    pub(super) fn whole(text: &'a str) -> Self {
        Self { text, offset: 0 }
    }

    pub(super) fn trim(self) -> Self {
        let text = self.text.trim_start_matches(BLANKS);
        let skipped = self.text.len().saturating_sub(text.len());
        Self {
            text: text.trim_end_matches(BLANKS),
            offset: self.offset.saturating_add(skipped),
        }
    }

    pub(super) fn split(self, separator: impl Fn(char) -> bool) -> impl Iterator<Item = Self> {
        let mut offset = self.offset;
        self.text.split(separator).map(move |text| {
            let piece = Self { text, offset };
            offset = offset.saturating_add(text.len()).saturating_add(1);
            piece
        })
    }

    pub(super) fn words(self) -> impl Iterator<Item = Self> {
        self.split(|c| BLANKS.contains(&c)).filter(|word| !word.text.is_empty())
    }

    pub(super) fn split_once(self, separator: char) -> Option<(Self, Self)> {
        let (before, after) = self.text.split_once(separator)?;
        let offset = self
            .offset
            .saturating_add(before.len())
            .saturating_add(separator.len_utf8());
        Some((
            Self {
                text: before,
                offset: self.offset,
            },
            Self { text: after, offset },
        ))
    }

    pub(super) fn strip_prefix(self, prefix: &str) -> Option<Self> {
        let text = self.text.strip_prefix(prefix)?;
        Some(Self {
            text,
            offset: self.offset.saturating_add(prefix.len()),
        })
    }

    /// Takes a word such as `hash(…):20` or `src[…]` apart: what is between the brackets and what follows.
    pub(super) fn bracketed(self, open: &str, close: char) -> Option<(Self, Self)> {
        self.strip_prefix(open)?.split_once(close)
    }

    pub(super) fn is_version(self) -> bool {
        self.split_once('=')
            .is_some_and(|(name, value)| name.trim().text == "v" && value.trim().text == "ssa1")
    }
}

impl Default for Piece<'_> {
    fn default() -> Self {
        Self::whole("")
    }
}
