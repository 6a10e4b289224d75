//! What parsers and faults share: what separates words, and how faults and what they repeat are written.

use core::fmt;

/// What separates words in a record and in a list: space and tab.
pub(crate) const BLANKS: [char; 2] = [' ', '\t'];

/// Writes the faults of an error, with `; ` between them.
///
/// # Errors
///
/// Those of the formatter.
pub fn write_joined<T: fmt::Display>(f: &mut fmt::Formatter<'_>, faults: &[T]) -> fmt::Result {
    faults.iter().enumerate().try_for_each(|(index, fault)| {
        f.write_str(if index == 0 { "" } else { "; " })?;
        fault.fmt(f)
    })
}

/// A text that a fault repeats: a log or a terminal that shows the fault takes it as text alone.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        escaped(f, self.0)?;
        f.write_str("`")
    }
}

/// Writes a text with its control characters escaped.
pub(crate) fn escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    use fmt::Write as _;
    text.chars().try_for_each(|c| {
        if c.is_control() {
            write!(f, "{}", c.escape_default())
        } else {
            f.write_char(c)
        }
    })
}
