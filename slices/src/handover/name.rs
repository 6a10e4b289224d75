//! Names of endpoints.

use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::document::is_name;

/// Names an endpoint: 1 to 253 of `a-z A-Z 0-9 - _ . :`. Clones share the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EndpointName(Arc<str>);

impl EndpointName {
    /// Takes a name.
    ///
    /// # Errors
    ///
    /// [`NameError`] if it is not 1 to 253 of the characters allowed.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if is_name(name) {
            Ok(Self(name.into()))
        } else {
            Err(NameError {
                name: name.chars().take(64).collect(),
            })
        }
    }

    /// Gives the text back.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EndpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for EndpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for EndpointName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(&name)
    }
}

impl From<EndpointName> for String {
    fn from(name: EndpointName) -> Self {
        name.0.to_string()
    }
}

impl core::str::FromStr for EndpointName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

/// A text is not the name of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    /// Its first 64 characters.
    pub name: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "endpoint name `{}` is not 1 to 253 of a-z A-Z 0-9 - _ . :",
            self.name
        )
    }
}

impl core::error::Error for NameError {}
