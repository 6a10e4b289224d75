//! Objects: read with every fault, written as they are read.

use std::fmt::Debug;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use ssa_input::json::{Document, MAX_FAULTS, Problem};

pub use ssa_input::json::Fault;

use super::{Kind, Metadata, Name};

/// The largest object, in bytes of its JSON: etcd takes requests of up to 1.5 MiB.
pub const MAX_BYTES: usize = 1 << 20;

/// What is wanted of a kind of object, and by that the kind.
pub trait Spec: Clone + Debug + PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// What is observed of it.
    type Status: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static;

    /// The kind.
    const KIND: Kind;

    /// The longest name of an object of this kind, in bytes: less than any name may have where others are made of it.
    const MAX_NAME: usize = Name::MAX;

    /// Notes what no field is to blame for alone: by [`fault`](Self::fault), with paths from `spec.` on.
    fn check(&self, _faults: &mut Vec<Fault>) {}

    /// Makes a fault of a field.
    fn fault(path: impl Into<String>, problem: impl Into<String>) -> Fault {
        Fault {
            path: path.into(),
            problem: Problem::Other(problem.into()),
            position: None,
        }
    }
}

/// The status of a kind that has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoStatus {}

/// An object: what is wanted, and what is observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Object<S: Spec> {
    /// What it says of itself.
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: S,
    /// What is observed.
    pub status: S::Status,
}

/// An object as it stands in a document, but for what names its kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
struct Body<S: Spec> {
    #[serde(rename = "apiVersion")]
    api_version: Option<String>,
    kind: Option<String>,
    metadata: Metadata,
    spec: S,
    #[serde(default)]
    status: S::Status,
}

impl<S: Spec> Object<S> {
    /// Makes an object that no store has yet.
    #[must_use]
    pub fn new(name: Name, spec: S) -> Self {
        Self {
            metadata: Metadata::new(name),
            spec,
            status: S::Status::default(),
        }
    }

    /// Returns its name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.metadata.name
    }

    /// Reads a document.
    ///
    /// # Errors
    ///
    /// Every fault, up to [`MAX_FAULTS`].
    pub fn read(text: &[u8]) -> Result<Self, Vec<Fault>> {
        if text.len() > MAX_BYTES {
            return Err(vec![too_large(text.len())]);
        }
        let document = Document::new(text).map_err(|fault| vec![fault])?;
        Self::from_document(&document, document.value())
    }

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// Every fault, up to [`MAX_FAULTS`].
    pub fn from_value(value: &Value) -> Result<Self, Vec<Fault>> {
        let document = Document::new(b"null").map_err(|fault| vec![fault])?;
        Self::from_document(&document, value)
    }

    fn from_document(document: &Document<'_>, value: &Value) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let body: Option<Body<S>> = document.part(value, &[], &mut faults);
        if let Some(body) = &body {
            for (field, found, wanted) in [
                ("apiVersion", &body.api_version, S::KIND.api_version()),
                ("kind", &body.kind, S::KIND.name().to_owned()),
            ] {
                if found.as_ref() != Some(&wanted) {
                    faults.push(S::fault(field, format!("must be `{wanted}`")));
                }
            }
            let length = body.metadata.name.len();
            if length > S::MAX_NAME {
                let problem = format!(
                    "has {length} bytes; the name of a {} has at most {}, for others are made of it",
                    S::KIND.name(),
                    S::MAX_NAME
                );
                faults.push(S::fault("metadata.name", problem));
            }
            body.spec.check(&mut faults);
        }
        faults.truncate(MAX_FAULTS);
        match body {
            Some(Body {
                metadata, spec, status, ..
            }) if faults.is_empty() => Ok(Self { metadata, spec, status }),
            _ => Err(faults),
        }
    }

    /// Holds it against the bounds of its fields.
    ///
    /// # Errors
    ///
    /// Every fault, up to [`MAX_FAULTS`].
    pub fn check(&self) -> Result<(), Vec<Fault>> {
        let value = self.to_value();
        let size = value.to_string().len();
        if size > MAX_BYTES {
            return Err(vec![too_large(size)]);
        }
        Self::from_value(&value).map(drop)
    }

    /// Returns it as a value, as it stands in a document.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut value = json!({
            "apiVersion": S::KIND.api_version(),
            "kind": S::KIND.name(),
            "metadata": self.metadata,
            "spec": self.spec,
        });
        if S::KIND.has_status() {
            value["status"] = json!(self.status);
        }
        value
    }
}

fn too_large(size: usize) -> Fault {
    Fault {
        path: String::new(),
        problem: Problem::Other(format!("has {size} bytes; an object has at most {MAX_BYTES}")),
        position: None,
    }
}
