//! What clap says of wrong flags, as it may be shown.

use clap::error::{ContextKind, ContextValue};

use crate::text::clean;

/// Returns an error of clap without what would steer a terminal or forge a line: it repeats what was given.
#[must_use]
pub fn cleaned(mut error: clap::Error) -> clap::Error {
    let given: Vec<(ContextKind, String)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, clean(text).into_owned())),
            _ => None,
        })
        .collect();
    for (kind, text) in given {
        error.insert(kind, ContextValue::String(text));
    }
    error
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    #[test]
    fn what_was_given_stays_on_its_line() {
        let command = Command::new("x").arg(Arg::new("level").long("level").value_parser(["off", "info"]));
        let error = command.try_get_matches_from(["x", "--level", "a\u{1b}[31m\nerror: forged"]);
        let told = cleaned(error.unwrap_err()).render().to_string();
        assert!(told.contains("a\u{fffd}[31m\u{fffd}error: forged"), "{told}");
        assert!(!told.contains('\u{1b}'), "{told}");
    }
}
