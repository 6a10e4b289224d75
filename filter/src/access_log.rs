//! What access logs find of a connection: fields as `name=value`, with blanks between.

use std::borrow::Cow;

use crate::{inbound, outbound};

/// What a note tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEntry {
    /// Of an inbound connection.
    Inbound(inbound::Decision),
    /// Of an outbound connection, with the number of its service.
    Outbound(Option<usize>, outbound::Outcome),
}

/// The note of the connection before: mostly the next one has the same.
#[derive(Clone, Debug, Default)]
pub struct AccessLogFields {
    told: Option<LogEntry>,
    text: String,
}

impl AccessLogFields {
    /// Returns the note that tells this, of fields of which those without a value are left out. No value has a blank.
    pub fn of<'a, const N: usize>(
        &mut self,
        told: LogEntry,
        fields: impl FnOnce() -> [(&'static str, Cow<'a, str>); N],
    ) -> &str {
        if self.told != Some(told) {
            self.text.clear();
            for (name, value) in fields().into_iter().filter(|(_, value)| !value.is_empty()) {
                if !self.text.is_empty() {
                    self.text.push(' ');
                }
                self.text.push_str(name);
                self.text.push('=');
                self.text.push_str(&value);
            }
            self.told = Some(told);
        }
        &self.text
    }

    /// Forgets it: what stands in fields is another now.
    pub fn forget(&mut self) {
        self.told = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_written_anew_for_another_thing_or_once_forgotten() {
        let mut note = AccessLogFields::default();
        let composed = LogEntry::Outbound(Some(0), outbound::Outcome::Composed);
        let own = LogEntry::Outbound(Some(0), outbound::Outcome::Own);
        let fields = |value: &'static str| move || [("a", value.into()), ("b", "".into()), ("c", "d".into())];
        assert_eq!(note.of(composed, fields("1")), "a=1 c=d");
        assert_eq!(note.of(composed, fields("2")), "a=1 c=d");
        assert_eq!(note.of(own, fields("2")), "a=2 c=d");
        note.forget();
        assert_eq!(note.of(own, fields("3")), "a=3 c=d");
    }
}
