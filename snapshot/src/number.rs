//! Integers with bounds.

use core::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Expected, Unexpected, Visitor},
};

use crate::read::{Json, Path, Reader, Value};

/// An integer from `MIN` to `MAX`; `DEFAULT` where the field is absent.
///
/// ```
/// use ssa_snapshot::Number;
///
/// type RefreshMs = Number<100, 60_000, 1000>;
/// assert_eq!(RefreshMs::default().get(), 1000);
/// assert_eq!(RefreshMs::new(99), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number<const MIN: u32, const MAX: u32, const DEFAULT: u32>(u32);

impl<const MIN: u32, const MAX: u32, const DEFAULT: u32> Number<MIN, MAX, DEFAULT> {
    /// Returns it, if it is within the bounds.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if MIN <= number && number <= MAX {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32, const DEFAULT: u32> Default for Number<MIN, MAX, DEFAULT> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl<const MIN: u32, const MAX: u32, const DEFAULT: u32> Serialize for Number<MIN, MAX, DEFAULT> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de, const MIN: u32, const MAX: u32, const DEFAULT: u32> Deserialize<'de> for Number<MIN, MAX, DEFAULT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bounds = Bounds { min: MIN, max: MAX };
        deserializer.deserialize_u64(bounds).map(Self)
    }
}

impl<const MIN: u32, const MAX: u32, const DEFAULT: u32> Value for Number<MIN, MAX, DEFAULT> {
    fn read(json: &Json, path: &Path<'_>, reader: &mut Reader) -> Self {
        Self(reader.integer(json, path, MIN, MAX).unwrap_or(DEFAULT))
    }

    fn placeholder() -> Self {
        Self(DEFAULT)
    }
}

#[cfg(feature = "schema")]
impl<const MIN: u32, const MAX: u32, const DEFAULT: u32> schemars::JsonSchema for Number<MIN, MAX, DEFAULT> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

/// A port, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Port(u16);

impl Port {
    /// Returns it, unless it is 0.
    #[must_use]
    pub const fn new(port: u16) -> Option<Self> {
        if port == 0 { None } else { Some(Self(port)) }
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bounds = Bounds {
            min: 1,
            max: u16::MAX.into(),
        };
        let port = deserializer.deserialize_u64(bounds)?;
        Ok(Self(u16::try_from(port).unwrap_or(1)))
    }
}

impl Value for Port {
    fn read(json: &Json, path: &Path<'_>, reader: &mut Reader) -> Self {
        let port = reader.integer(json, path, 1, u16::MAX.into());
        Self(port.and_then(|port| u16::try_from(port).ok()).unwrap_or(1))
    }

    fn placeholder() -> Self {
        Self(1)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Port {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "Port".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "minimum": 1, "maximum": u16::MAX})
    }
}

/// Reads an integer within bounds.
#[derive(Clone, Copy)]
struct Bounds {
    min: u32,
    max: u32,
}

impl Bounds {
    fn check<E: Error>(self, number: u64) -> Result<u32, E> {
        u32::try_from(number)
            .ok()
            .filter(|number| (self.min..=self.max).contains(number))
            .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self as &dyn Expected))
    }
}

impl Visitor<'_> for Bounds {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an integer from {} to {}", self.min, self.max)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u32, E> {
        self.check(number)
    }
}
