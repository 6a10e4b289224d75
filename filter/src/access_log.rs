//! What access logs say about a connection: fields as `name=value`, separated by spaces.

use std::borrow::Cow;

/// The fields of the previous connection: most of the time, the next one has the same. `T` is what they follow from.
#[derive(Clone, Debug)]
pub struct AccessLogFields<T> {
    of: Option<T>,
    text: String,
}

impl<T> Default for AccessLogFields<T> {
    fn default() -> Self {
        Self {
            of: None,
            text: String::new(),
        }
    }
}

impl<T: PartialEq> AccessLogFields<T> {
    /// Returns the fields of a connection; those without a value are left out. No value contains a space.
    pub fn of<'a, const N: usize>(
        &mut self,
        of: T,
        fields: impl FnOnce() -> [(&'static str, Cow<'a, str>); N],
    ) -> &str {
        if self.of.as_ref() != Some(&of) {
            self.text.clear();
            for (name, value) in fields().into_iter().filter(|(_, value)| !value.is_empty()) {
                if !self.text.is_empty() {
                    self.text.push(' ');
                }
                self.text.push_str(name);
                self.text.push('=');
                self.text.push_str(&value);
            }
            self.of = Some(of);
        }
        &self.text
    }

    /// Forgets the previous connection: with other services, the same decision has other fields.
    pub fn clear(&mut self) {
        self.of = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_anew_for_another_decision_or_once_cleared() {
        let mut known = AccessLogFields::default();
        let fields = |value: &'static str| move || [("a", value.into()), ("b", "".into()), ("c", "d".into())];
        assert_eq!(known.of(1, fields("1")), "a=1 c=d");
        assert_eq!(known.of(1, fields("2")), "a=1 c=d");
        assert_eq!(known.of(2, fields("2")), "a=2 c=d");
        known.clear();
        assert_eq!(known.of(2, fields("3")), "a=3 c=d");
    }
}
