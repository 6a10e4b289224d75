//! The format: a JSON array of cases, or an object with the keys `origin` and `cases`.

use std::{collections::BTreeMap, fmt, net::Ipv6Addr};

use serde::Deserialize;
use serde_json::Value;
use ssa_input::json;
use ssa_rules::Secret;

/// A case. Which keys it needs depends on `op`; keys that no operation has are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Case {
    pub(crate) op: String,
    pub(crate) expect: Value,
    pub(crate) note: Option<String>,
    pub(crate) rule: Option<String>,
    pub(crate) records: Option<Vec<Txt>>,
    #[serde(default)]
    pub(crate) apl: String,
    pub(crate) source: Option<Ipv6Addr>,
    #[serde(default)]
    pub(crate) sources: Vec<OwnSource>,
    #[serde(default)]
    pub(crate) failed: Vec<Failed>,
    pub(crate) destination: Option<Ipv6Addr>,
    object: Option<String>,
    object_hex: Option<String>,
    pub(crate) chunk: Option<u64>,
    pub(crate) time: Option<u64>,
    pub(crate) port: Option<u16>,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    pub(crate) replica: Option<u8>,
    pub(crate) part: Option<String>,
    pub(crate) unchecked: Option<Vec<String>>,
    pub(crate) path: Option<String>,
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) wire: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) secret: Option<String>,
    pub(crate) kdf: Option<u8>,
}

/// The source that connections to an item use.
#[derive(Debug, Deserialize)]
pub(crate) struct OwnSource {
    pub(crate) item: String,
    pub(crate) source: Ipv6Addr,
}

/// A candidate that failed.
#[derive(Debug, Deserialize)]
pub(crate) struct Failed {
    pub(crate) item: String,
    pub(crate) replica: u8,
    pub(crate) address: Ipv6Addr,
}

/// What may be chosen.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Outcome {
    pub(crate) address: Ipv6Addr,
    pub(crate) source: Ipv6Addr,
}

/// A TXT record: its text, or the strings that it is made of.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "is neither a text nor a list of texts")]
pub(crate) enum Txt {
    Whole(String),
    Strings(Vec<String>),
}

impl Txt {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Whole(text) => text.clone(),
            Self::Strings(strings) => strings.concat(),
        }
    }
}

/// Why a text is not a file of vectors.
#[derive(Debug)]
pub enum FormatError {
    /// It is not JSON.
    Json(json::Fault),
    /// It is neither an array nor an object with an array under `cases`.
    NoCases,
    /// A case lacks a key, or has a value of the wrong type.
    Shape(json::Fault),
    /// A case has not the shape that its operation needs.
    Case {
        /// The number of the case, counted from 0.
        case: usize,
        /// What is wrong with it.
        fault: Field,
    },
}

/// What is wrong with a case.
#[derive(Debug)]
pub enum Field {
    /// A key is missing.
    Missing(&'static str),
    /// A key has a value that is not allowed.
    Value {
        /// The key.
        key: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The record of a case that composes or verifies is unusable.
    Unusable(String),
    /// The operation is none that there is.
    UnknownOp(String),
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "no file of vectors: {error}"),
            Self::Shape(error) => error.fmt(f),
            Self::NoCases => {
                f.write_str("no file of vectors: neither a list of cases nor an object with one under `cases`")
            }
            Self::Case { case, fault } => write!(f, "cases[{case}]{fault}"),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, ".{key}: missing"),
            Self::Value { key, allowed } => write!(f, ".{key}: not {allowed}"),
            Self::Unusable(why) => write!(f, ".rule: unusable: {why}"),
            Self::UnknownOp(op) => write!(
                f,
                ".op: `{op}` is none of parse, compose, compose-error, choose, verify, verify-refused, published, \
                 extract, client-key, siphash, apl-wire"
            ),
        }
    }
}

impl std::error::Error for FormatError {}

pub(crate) fn read(text: &str) -> Result<Vec<Case>, FormatError> {
    let document = json::Document::new(text.as_bytes()).map_err(FormatError::Json)?;
    let (way, cases): (Option<&str>, &Vec<Value>) = match document.value() {
        Value::Array(cases) => (None, cases),
        Value::Object(file) => match file.get("cases") {
            Some(Value::Array(cases)) => (Some("cases"), cases),
            _ => return Err(FormatError::NoCases),
        },
        _ => return Err(FormatError::NoCases),
    };
    let case = |(number, value)| {
        let steps = way.into_iter().map(json::Step::from);
        let way: Vec<json::Step> = steps.chain([json::Step::At(number)]).collect();
        let mut faults = Vec::new();
        let case = document.part(value, &way, &mut faults);
        match (case, faults.into_iter().next()) {
            (_, Some(fault)) => Err(FormatError::Shape(fault)),
            (Some(case), None) => Ok(case),
            (None, None) => Err(FormatError::NoCases),
        }
    };
    cases.iter().enumerate().map(case).collect()
}

impl Case {
    pub(crate) fn object(&self) -> Result<Option<Vec<u8>>, Field> {
        match (&self.object, &self.object_hex) {
            (Some(text), _) => Ok(Some(text.as_bytes().to_vec())),
            (None, Some(hex)) => unhex("object-hex", hex).map(Some),
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn secret_named(&self, name: &str) -> Result<Option<Secret>, Field> {
        let secret = self.secrets.get(name).map(|hex| hex.parse());
        secret.transpose().map_err(|_| Field::Value {
            key: "secrets",
            allowed: "16 bytes in hex",
        })
    }
}

/// Returns what a key holds, or says that it is missing.
pub(crate) fn need<T>(key: &'static str, value: Option<T>) -> Result<T, Field> {
    value.ok_or(Field::Missing(key))
}

pub(crate) fn unhex(key: &'static str, text: &str) -> Result<Vec<u8>, Field> {
    let byte = |pair: &[u8]| {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let [high, low] = pair else { return None };
        u8::try_from(digit(high)? * 16 + digit(low)?).ok()
    };
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
    bytes.ok_or(Field::Value {
        key,
        allowed: "bytes in hex",
    })
}
