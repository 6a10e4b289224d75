//! Domain names as people and configurations write them.

use hickory_resolver::proto::rr::Name;
use ssa_input::{secrets::has_key, text::clean};

/// Reads a name. It is absolute, with or without a dot at its end. Escapes are those of zone files (RFC 1035 §5.1), and
/// labels beyond ASCII are taken as internationalised ones (RFC 5891).
///
/// # Errors
///
/// Why it is none.
pub fn name(text: &str) -> Result<Name, NameError> {
    let bad = |source| NameError::Label {
        text: clean(text).into_owned(),
        source,
    };
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    // A blank in `--secret k1= HEX` makes a name of the secret: it must reach neither a server nor a log.
    if !text.contains('.') && has_key(text) || ends_in_hex(text) {
        return Err(NameError::Key);
    }
    if text == "." {
        return Ok(Name::root());
    }
    let mut name = Name::from_labels(labels(text).map_err(bad)?).map_err(|_| bad(LabelError::TooMany))?;
    name.set_fqdn(true);
    Ok(name)
}

/// Why a text is no domain name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is empty.
    #[error("a domain name must not be empty")]
    Empty,
    /// It looks like a key.
    #[error("looks like a key, not like a domain name (what was given is not shown)")]
    Key,
    /// Its labels are faulty.
    #[error("`{text}` is not a domain name: {source}")]
    Label {
        /// What was written, as it may be shown.
        text: String,
        /// What is wrong with them.
        source: LabelError,
    },
}

/// Why a name has no labels as it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// All of them are too long together (RFC 1035 §2.3.4).
    #[error("it is longer than 255 octets")]
    TooMany,
    /// One is empty.
    #[error("a label is empty")]
    Empty,
    /// One is too long.
    #[error("a label has {0} octets; the maximum is 63")]
    TooLong(usize),
    /// One is not allowed in an internationalised name. Why IDNA refuses it is not spelled out.
    #[error("a label has characters that are not allowed in a name (RFC 5891)")]
    Idna,
    /// One maps to several.
    #[error("`{0}` is not one label")]
    NotOne(String),
    /// A blank or a control character stands for itself.
    #[error("a space or control character must be written as a decimal escape, here \\{0:03}")]
    Blank(u32),
    /// The same beyond ASCII.
    #[error("a name cannot have the space or control character U+{0:04X}")]
    BlankBeyondAscii(u32),
    /// What follows a backslash is no escape.
    #[error("\\ stands before one ASCII character, or before three digits up to 255")]
    Escape,
}

/// Returns whether a text ends as a key in hex does.
fn ends_in_hex(text: &str) -> bool {
    text.len() >= 32 && text.bytes().rev().take(32).all(|byte| byte.is_ascii_hexdigit())
}

/// A label while it is read.
#[derive(Default)]
struct Label {
    octets: Vec<u8>,
    /// What is to be mapped to ASCII, where anything is.
    text: Option<String>,
}

impl Label {
    fn push(&mut self, octet: u8) {
        self.octets.push(octet);
        if let Some(text) = &mut self.text {
            text.push(octet.into());
        }
    }

    fn finished(self) -> Result<Vec<u8>, LabelError> {
        let Some(text) = self.text else {
            return match self.octets.len() {
                0 => Err(LabelError::Empty),
                1..=63 => Ok(self.octets),
                long => Err(LabelError::TooLong(long)),
            };
        };
        let mapped = Name::from_utf8(&text).map_err(|_| LabelError::Idna)?;
        match (mapped.iter().next(), mapped.num_labels()) {
            (Some(label), 1) => Ok(label.to_vec()),
            _ => Err(LabelError::NotOne(text)),
        }
    }
}

fn labels(text: &str) -> Result<Vec<Vec<u8>>, LabelError> {
    let mut labels = Vec::new();
    let mut label = Label::default();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            // The dots of internationalised names (RFC 3490 §3.1) are dots too.
            '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' => {
                labels.push(std::mem::take(&mut label).finished()?);
                if rest.as_str().is_empty() {
                    return Ok(labels);
                }
            }
            '\\' => label.push(escaped(&mut rest)?),
            c if c.is_whitespace() || c.is_control() => {
                let code = u32::from(c);
                return Err(if c.is_ascii() {
                    LabelError::Blank(code)
                } else {
                    LabelError::BlankBeyondAscii(code)
                });
            }
            c => {
                if let Ok(octet @ 0..=127) = u8::try_from(c) {
                    label.push(octet);
                } else {
                    let so_far = || String::from_utf8_lossy(&label.octets).into_owned();
                    label.text.get_or_insert_with(so_far).push(c);
                }
            }
        }
    }
    labels.push(label.finished()?);
    Ok(labels)
}

/// Reads what follows a backslash: three decimal digits, or one character that stands for itself.
fn escaped(rest: &mut std::str::Chars<'_>) -> Result<u8, LabelError> {
    let first = rest.next().ok_or(LabelError::Escape)?;
    if !first.is_ascii_digit() {
        return u8::try_from(first).ok().filter(u8::is_ascii).ok_or(LabelError::Escape);
    }
    let digits: String = std::iter::once(first).chain(rest.by_ref().take(2)).collect();
    if digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit()) {
        digits.parse().map_err(|_| LabelError::Escape)
    } else {
        Err(LabelError::Escape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<Vec<u8>> {
        let name = name(text).unwrap();
        assert!(name.is_fqdn());
        name.iter().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn names_are_taken_as_hosts_and_zones_have_them() {
        for (text, expected) in [
            ("web.demo.test", &["web", "demo", "test"][..]),
            ("web.demo.test.", &["web", "demo", "test"]),
            ("Web.DEMO.test", &["Web", "DEMO", "test"]),
            ("_ssa._tcp.web.test", &["_ssa", "_tcp", "web", "test"]),
            ("my_host.demo_zone.test", &["my_host", "demo_zone", "test"]),
            ("1password.7.test", &["1password", "7", "test"]),
            ("-a-.test", &["-a-", "test"]),
            ("*.demo.test", &["*", "demo", "test"]),
            ("a/b+c@d.test", &["a/b+c@d", "test"]),
            ("b\u{fc}cher.test", &["xn--bcher-kva", "test"]),
            ("B\u{dc}CHER\u{3002}test", &["xn--bcher-kva", "test"]),
            ("xn--bcher-kva.test", &["xn--bcher-kva", "test"]),
            ("localhost", &["localhost"]),
            (".", &[]),
        ] {
            let labels: Vec<Vec<u8>> = expected.iter().map(|label| label.as_bytes().to_vec()).collect();
            assert_eq!(told(text), labels, "{text}");
        }
    }

    #[test]
    fn rfc1035_5_1_escapes_are_decimal() {
        assert_eq!(told(r"a\.b.test"), [b"a.b".to_vec(), b"test".to_vec()]);
        assert_eq!(told(r"a\046b.test"), [b"a.b".to_vec(), b"test".to_vec()]);
        assert_eq!(told(r"\255\032\\.test"), [vec![255, 32, b'\\'], b"test".to_vec()]);
        for text in [r"a\", r"a\25", r"a\256.test", r"a\1x3.test", "a\\\u{fc}.test"] {
            assert!(name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_blank_is_told_as_zones_write_it() {
        for (text, wanted) in [
            ("a b", r"decimal escape, here \032"),
            ("a\u{1b}[31m", r"decimal escape, here \027"),
            ("a\n", r"decimal escape, here \010"),
            ("a\u{a0}b", "character U+00A0"),
            ("a\u{2003}b", "character U+2003"),
        ] {
            let told = name(text).unwrap_err().to_string();
            assert!(told.ends_with(wanted), "{text:?}: {told}");
            let rust = ['\'', '{'];
            assert!(!told.contains(rust) && !told.contains(char::is_control), "{told:?}");
        }
    }

    #[test]
    fn rfc2181_11_labels_have_1_to_63_octets_and_names_255() {
        let long = "a".repeat(63);
        assert!(name(&format!("{long}.test")).is_ok());
        assert!(name(&format!("{long}a.test")).is_err());
        let name_of = |last: usize| format!("{long}.{long}.{long}.{}", "z".repeat(last));
        assert!(name(&name_of(61)).is_ok());
        assert!(name(&name_of(62)).is_err());
        for text in ["", "..", "a..b", ".a", "a b", "a\t", "a\n"] {
            assert!(name(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_may_be_a_key_is_not_shown() {
        let key = "00112233445566778899aabbccddeeff";
        let told = name(key).unwrap_err().to_string();
        assert!(!told.contains(key), "{told}");
    }
}
