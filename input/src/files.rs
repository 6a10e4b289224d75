//! Why the system refuses something, in words.

use std::io::{Error, ErrorKind};

/// Returns why an operation failed: without the number that the system gives the error, and without the words of a library.
#[must_use]
pub fn reason(error: &Error) -> String {
    let known = match error.kind() {
        ErrorKind::NotFound => "there is no such file",
        ErrorKind::PermissionDenied => "permission is denied",
        ErrorKind::IsADirectory => "is a directory; a file is wanted",
        ErrorKind::NotADirectory => "a part of the path is not a directory",
        ErrorKind::ConnectionRefused => "connection refused: nobody listens there",
        ErrorKind::ConnectionReset => "connection reset",
        ErrorKind::AddrInUse => "the address is in use",
        ErrorKind::AddrNotAvailable => "no interface of this host has the address",
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "no answer in time",
        ErrorKind::UnexpectedEof => "the other side ended it too early",
        ErrorKind::InvalidData => "it is not text in UTF-8",
        _ => "",
    };
    // What this project's own code says of a failure says more than its kind.
    if !known.is_empty() && error.get_ref().is_none() {
        return known.into();
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_the_system_is_told() {
        for number in 1..134 {
            let told = reason(&Error::from_raw_os_error(number));
            assert!(!told.is_empty() && !told.contains("os error"), "{number}: {told}");
            assert!(!told.starts_with(|first: char| first.is_uppercase()), "{told}");
        }
        for kind in [ErrorKind::NotFound, ErrorKind::UnexpectedEof, ErrorKind::Other] {
            assert!(!reason(&kind.into()).contains("os error"));
        }
    }

    #[test]
    fn what_is_said_of_a_failure_is_told() {
        let error = Error::new(ErrorKind::PermissionDenied, "its folder belongs to user 7");
        assert_eq!(reason(&error), "its folder belongs to user 7");
        assert_eq!(reason(&Error::other("has more than 5 bytes")), "has more than 5 bytes");
    }
}
