//! Key material on its path to a sidecar.

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::{fmt, ops::Deref};

use serde::{Serialize, Serializer};

use crate::read::{Json, Path, Problem, Reader, Value};

/// 32 hex digits: a secret of 16 octets. It prints as nothing.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct KeyText(String);

impl KeyText {
    /// Makes one of a text; whoever uses it as a key returns whether it is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the digits. The caller keeps them out of logs, errors and files.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(hidden)")
    }
}

/// The secret of a key, or one client's own key under `kdf`: one of both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyMaterial {
    /// The secret itself: 32 hex digits.
    Secret(KeyText),
    /// One client's own key, derived from the secret: 32 hex digits.
    ClientKey(KeyText),
}

impl KeyMaterial {
    fn read(json: &Json, path: &Path<'_>, reader: &mut Reader) -> Option<Self> {
        let object = reader.object(json, path, Some(&["secret", "client_key"]));
        let secret = object.optional("secret", reader).map(KeyText);
        let client_key = object.optional("client_key", reader).map(KeyText);
        match (secret, client_key) {
            (Some(key), None) => Some(Self::Secret(key)),
            (None, Some(key)) => Some(Self::ClientKey(key)),
            _ => {
                if object.is_object() {
                    reader.fault(path, Problem::OneOf(["secret", "client_key"]));
                }
                None
            }
        }
    }
}

/// Key material, each by the name of its key, in the order in which it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets(Vec<(String, KeyMaterial)>);

impl Secrets {
    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Deref for Secrets {
    type Target = [(String, KeyMaterial)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl FromIterator<(String, KeyMaterial)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (String, KeyMaterial)>>(secrets: I) -> Self {
        Self(secrets.into_iter().collect())
    }
}

impl Serialize for Secrets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, key)| (name, key)))
    }
}

impl Value for Secrets {
    fn read(json: &Json, path: &Path<'_>, reader: &mut Reader) -> Self {
        let fields = reader.object(json, path, None).fields();
        let entries = fields.iter().filter_map(|(name, json)| {
            let key = KeyMaterial::read(json, &Path::Field(path, name), reader)?;
            Some((name.clone(), key))
        });
        entries.collect()
    }

    fn placeholder() -> Self {
        Self::default()
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Secrets {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "Secrets".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        alloc::collections::BTreeMap::<String, KeyMaterial>::json_schema(generator)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for KeyText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "KeyText".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[0-9A-Fa-f]{32}$"})
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn keys_are_written_and_never_printed() {
        let digits = "00112233445566778899aabbccddeeff";
        for (key, field) in [
            (KeyMaterial::Secret(KeyText::new(digits)), "secret"),
            (KeyMaterial::ClientKey(KeyText::new(digits)), "client_key"),
        ] {
            let json = serde_json::to_string(&key).unwrap();
            assert_eq!(json, format!(r#"{{"{field}":"{digits}"}}"#));
            assert!(!format!("{key:?}").contains("0011"), "{key:?}");
        }
    }
}
