//! Colours. Everything is written with them; the output drops them where they are not wanted.

use std::fmt;

use anstyle::{AnsiColor, Effects, Style};

const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(anstyle::Color::Ansi(colour)))
}

/// Headings and names.
pub(crate) const HEADING: Style = Style::new().effects(Effects::BOLD);
/// What is as it should be.
pub(crate) const GOOD: Style = colour(AnsiColor::Green).effects(Effects::BOLD);
/// What is not.
pub(crate) const BAD: Style = colour(AnsiColor::Red).effects(Effects::BOLD);
/// What may be.
pub(crate) const WARN: Style = colour(AnsiColor::Yellow).effects(Effects::BOLD);
/// What matters less.
pub(crate) const DIM: Style = Style::new().effects(Effects::DIMMED);
/// The item of an address.
pub(crate) const ITEM: Style = colour(AnsiColor::BrightBlack);

/// Returns the colour of a field, by its number.
pub(crate) const fn field(index: usize) -> Style {
    const COLOURS: [AnsiColor; 6] = [
        AnsiColor::Cyan,
        AnsiColor::Magenta,
        AnsiColor::Yellow,
        AnsiColor::Green,
        AnsiColor::Blue,
        AnsiColor::BrightRed,
    ];
    colour(COLOURS[index % COLOURS.len()])
}

/// A text in a style. Pad the text before painting it: the codes have a width too.
pub(crate) struct Painted<T>(Style, T);

/// Paints a text.
pub(crate) fn paint<T: fmt::Display>(style: Style, text: T) -> Painted<T> {
    Painted(style, text)
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:#}", self.0, self.1, self.0)
    }
}
