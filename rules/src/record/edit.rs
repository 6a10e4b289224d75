//! The tags of a record as text: for records made of others.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use super::{MAX_RECORD_BYTES, Record, RecordError};
use crate::text::BLANKS;

/// The tags of a record, in their order, those that SSA ignores (`x-…`) included.
///
/// Editing keeps the order of tags and everything that it is not asked to change.
///
/// ```
/// use ssa_rules::record::Tags;
///
/// let mut tags = Tags::read("v=ssa1; x-owner=web; addr=rand:64; from=5")?;
/// tags.set("from", &1_800_000_000)?;
/// tags.set("salt", "2026b")?;
/// assert_eq!(tags.to_string(), "v=ssa1; x-owner=web; addr=rand:64; from=1800000000; salt=2026b");
///
/// tags.remove("from");
/// assert_eq!(tags.record()?.from().0, 0);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tags(Vec<(String, String)>);

/// Why a tag cannot be set: it would be read as another tag, or as more than one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagError {
    /// The tag's name as given.
    pub tag: String,
}

impl fmt::Display for TagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.tag.escape_default();
        write!(f, "tag {name}: a name must not contain `;` or `=`, and a value no `;`")
    }
}

impl core::error::Error for TagError {}

impl Tags {
    /// Reads the tags of a record.
    ///
    /// # Errors
    ///
    /// [`RecordError`] where the text is no usable record.
    pub fn read(text: &str) -> Result<Self, RecordError> {
        let _: Record = text.parse()?;
        Ok(Self::split(text))
    }

    fn split(text: &str) -> Self {
        let tags = text.split(';').filter_map(|tag| tag.split_once('='));
        let trimmed = |text: &str| text.trim_matches(BLANKS).to_string();
        Self(tags.map(|(name, value)| (trimmed(name), trimmed(value))).collect())
    }

    /// Returns the tags: names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the value of a tag, if it is there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(tag, _)| *tag == name).map(|(_, value)| value)
    }

    /// Sets a tag: where it stands, or at the end.
    ///
    /// # Errors
    ///
    /// [`TagError`] where name or value hold what would end them.
    pub fn set(&mut self, name: &str, value: &(impl ToString + ?Sized)) -> Result<(), TagError> {
        let value = value.to_string();
        if name.contains([';', '=']) || value.contains(';') {
            return Err(TagError { tag: name.into() });
        }
        let mut value = Some(value.trim_matches(BLANKS).to_string());
        // A tag `x-…` may stand more than once: the first is set, and the others go.
        self.0
            .retain_mut(|(tag, known)| tag != name || value.take().map(|value| *known = value).is_some());
        self.0.extend(value.map(|value| (name.to_string(), value)));
        Ok(())
    }

    /// Removes a tag, wherever it stands.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(tag, _)| tag != name);
    }

    /// Parses the record that the tags are now.
    ///
    /// # Errors
    ///
    /// [`RecordError`] with every fault. Offsets in it are those of the text that the tags print as.
    pub fn record(&self) -> Result<Record, RecordError> {
        self.to_string().parse()
    }
}

impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The blanks are for readers; what the record may be long is spent on the record first.
        let length = self.0.iter().fold(0_usize, |sum, (name, value)| {
            sum.saturating_add(name.len())
                .saturating_add(value.len())
                .saturating_add(3)
        });
        let separator = if length.saturating_sub(2) <= MAX_RECORD_BYTES {
            "; "
        } else {
            ";"
        };
        self.0.iter().enumerate().try_for_each(|(index, (name, value))| {
            write!(f, "{}{name}={value}", if index == 0 { "" } else { separator })
        })
    }
}

impl Record {
    /// Returns the tags as the record prints: in canonical order, without defaults and what SSA ignores.
    #[must_use]
    pub fn tags(&self) -> Tags {
        Tags(self.canonical())
    }
}
