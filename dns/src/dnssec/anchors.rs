//! Trust anchors, built in or read from DNSKEY records (RFC 4033 §2).

use std::{fmt, sync::Arc};

use hickory_resolver::proto::{
    ProtoError,
    dnssec::{Algorithm, DnsSecError, TrustAnchors, Verifier},
    rr::Name,
    serialize::txt::{
        ParseError,
        trust_anchor::{Entry, Parser},
    },
};

use super::synthetic_root::SyntheticRoot;

/// How many lines of a file of trust anchors are searched for the one with an error.
const MAX_LINES: usize = 200;

/// The keys that every chain of trust begins with.
#[derive(Clone)]
pub struct Anchors {
    /// Keys of the root.
    pub(super) root: Option<Arc<TrustAnchors>>,
    /// Keys of other zones.
    pub(super) zones: Option<Zones>,
}

#[derive(Clone)]
pub(super) struct Zones {
    pub(super) names: Vec<Name>,
    pub(super) anchors: Arc<TrustAnchors>,
    /// Their parent, whose key is in `anchors`.
    pub(super) parent: Arc<SyntheticRoot>,
}

/// Why a text contains no usable trust anchors.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// A line does not parse.
    #[error("line {line}: expected {WANTED}")]
    NotRecord {
        /// The number of the first line after which the text does not parse.
        line: usize,
        /// The error of the parser.
        source: ParseError,
    },
    /// The last record is truncated.
    #[error("the last record is incomplete: expected {WANTED}")]
    Unfinished(#[source] ParseError),
    /// It has records of another type.
    #[error("only DNSKEY records are supported")]
    NotDnskey,
    /// A key cannot be an anchor.
    #[error("the key of {name} is revoked, not a zone key, malformed, or of an unsupported algorithm ({algorithm})")]
    UnusableKey {
        /// The owner of the key.
        name: Name,
        /// Its algorithm.
        algorithm: Algorithm,
    },
    /// There are no records.
    #[error("there is no DNSKEY record")]
    Empty,
    /// No digest can be computed for a key.
    #[error("a key cannot be digested")]
    Digest(#[source] ProtoError),
    /// This process cannot generate a signing key.
    #[error("no signing key can be generated")]
    NoSigningKey(#[source] DnsSecError),
}

const WANTED: &str = "a DNSKEY record in zone file format, such as `example. 3600 IN DNSKEY 257 3 13 KEY`";

/// Returns the faulty line of a file of trust anchors: the first after which it does not parse.
fn locate_error(text: &str, source: ParseError) -> AnchorError {
    let ends = text.split_inclusive('\n').scan(0, |end, line| {
        *end += line.len();
        Some(*end)
    });
    // Parentheses join lines, so a part may end within a valid record.
    let open = |part: &str| part.matches('(').count() > part.matches(')').count();
    let faulty = (1_usize..).zip(ends.take(MAX_LINES)).find(|(_, end)| {
        let part = text.get(..*end).unwrap_or_default();
        !open(part) && Parser::new(part).parse().is_err()
    });
    match faulty {
        Some((line, _)) => AnchorError::NotRecord { line, source },
        None => AnchorError::Unfinished(source),
    }
}

impl Anchors {
    /// The keys of the public root.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            root: Some(Arc::new(TrustAnchors::default())),
            zones: None,
        }
    }

    /// Reads DNSKEY records in zone file format, of the root or of other zones.
    ///
    /// # Errors
    ///
    /// [`AnchorError`] for the first error in the text.
    pub fn from_text(text: &str) -> Result<Self, AnchorError> {
        let entries = Parser::new(text).parse().map_err(|error| locate_error(text, error))?;
        let mut root = TrustAnchors::empty();
        let mut keys = Vec::new();
        for entry in entries {
            let Entry::DNSKEY(entry) = entry else {
                return Err(AnchorError::NotDnskey);
            };
            let mut name = entry.name().clone();
            name.set_fqdn(true);
            let key = entry.data();
            if !key.zone_key() || key.revoke() || !key.algorithm().is_supported() || key.key().is_err() {
                let algorithm = key.algorithm();
                return Err(AnchorError::UnusableKey { name, algorithm });
            }
            if name.is_root() {
                root.insert(key.public_key());
            } else {
                keys.push((name, key.clone()));
            }
        }
        if keys.is_empty() && root.is_empty() {
            return Err(AnchorError::Empty);
        }
        let zones = if keys.is_empty() {
            None
        } else {
            let parent = SyntheticRoot::new(&keys)?;
            let mut anchors = TrustAnchors::empty();
            anchors.insert(parent.dnskey.public_key());
            Some(Zones {
                names: keys.into_iter().map(|(name, _)| name).collect(),
                anchors: Arc::new(anchors),
                parent: Arc::new(parent),
            })
        };
        Ok(Self {
            root: (!root.is_empty()).then(|| Arc::new(root)),
            zones,
        })
    }
}

impl fmt::Debug for Anchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anchors").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::{op::Query, rr::RecordType};

    use super::*;

    const KEY: &str =
        "257 3 13 Bl632cuLiHHCAoHdH85ehhZhIkslOq0k/+3wiaRm33Y8vKlfj1DN/oQ+ JReOiASMSvBmgvu/uOdXQZW86yHw9Q==";

    fn name(text: &str) -> Name {
        crate::name(text).unwrap()
    }

    #[test]
    fn anchors_are_read_from_dnskey_records() {
        let both = Anchors::from_text(&format!(
            "; a comment\n. IN DNSKEY {KEY}\ndemo.test 60 IN DNSKEY {KEY}\n"
        ))
        .unwrap();
        assert_eq!(both.root.unwrap().len(), 1);
        assert_eq!(both.zones.unwrap().names, [name("demo.test")]);
        assert!(
            Anchors::from_text(&format!("demo.test. IN DNSKEY {KEY}"))
                .unwrap()
                .root
                .is_none()
        );
        for text in [
            "",
            "; nothing",
            "demo.test. IN DNSKEY 257 3 13 AAAA x",
            "demo.test. IN DNSKEY 257 3 250 AAAA",
            "demo.test. IN DNSKEY 257 3 13 AAAA",
            "demo.test. IN A 192.0.2.1",
            "demo.test. IN DS 1 13 2 00",
            &format!("demo.test. IN DNSKEY {}", KEY.replacen("257", "1", 1)),
            &format!("demo.test. IN DNSKEY {}", KEY.replacen("257", "385", 1)),
        ] {
            let Err(error) = Anchors::from_text(text) else {
                panic!("{text}")
            };
            let told = error.to_string();
            assert!(!told.contains("Err(") && !told.contains("Errors"), "{text}: {told}");
        }
        let Err(told) = Anchors::from_text("; a comment\ndemo.test. IN DNSKEY 257 3\n") else {
            panic!("no key is read")
        };
        assert!(std::error::Error::source(&told).is_some());
        assert!(
            told.to_string().starts_with("line 2: expected a DNSKEY record"),
            "{told}"
        );
    }

    #[test]
    fn the_synthetic_root_answers_for_anchors_alone() {
        let anchors = Anchors::from_text(&format!("demo.test. IN DNSKEY {KEY}")).unwrap();
        let parent = anchors.zones.unwrap().parent;
        let answer = |text: &str, kind| parent.answer(&Query::query(name(text), kind)).map(Result::unwrap);
        assert_eq!(answer("Demo.Test.", RecordType::DS).unwrap().answers.len(), 2);
        assert_eq!(answer(".", RecordType::DNSKEY).unwrap().answers.len(), 1);
        assert!(answer("test.", RecordType::DS).is_none());
        assert!(answer("demo.test.", RecordType::DNSKEY).is_none());
        assert!(answer("demo.test.", RecordType::TXT).is_none());
    }
}
