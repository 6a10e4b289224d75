//! Values of fields that have a grammar or bounds of their own.

use std::{borrow::Cow, fmt, net::Ipv6Addr, ops::Deref, str::FromStr};

use ipnet::Ipv6Net;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ssa_slices::handover::EndpointName;

/// A text is not what the field wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError(&'static str);

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be {}", self.0)
    }
}

impl std::error::Error for NameError {}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident, $wanted:literal, $is:expr, [$min:literal, $max:literal], $pattern:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The longest, in bytes.
            pub const MAX: usize = $max;

            /// Takes a text.
            ///
            /// # Errors
            ///
            /// What it has to be.
            pub fn new(text: &str) -> Result<Self, NameError> {
                let is: fn(&str) -> bool = $is;
                if ($min..=$max).contains(&text.len()) && is(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError($wanted))
                }
            }

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parsed(deserializer)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "minLength": $min, "maxLength": $max, "pattern": $pattern})
            }
        }
    )*};
}

texts! {
    /// The name of an object: a DNS subdomain (RFC 1123), as Kubernetes names objects.
    Name, "1 to 253 of a-z 0-9 - ., each label beginning and ending with a letter or digit", is_subdomain, [1, 253],
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

    /// The name of a service, as in snapshots.
    ServiceName, "1 to 253 of a-z A-Z 0-9 - _ .", |text| ssa_snapshot::ServiceName::new(text).is_some(), [1, 253],
        "^[A-Za-z0-9._-]*$";

    /// The value of a label or the name of a domain: what fails together, such as a host or a rack.
    LabelValue, "1 to 63 of a-z A-Z 0-9 - _ ., beginning and ending with a letter or digit", is_label_value, [1, 63],
        "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$";
}

impl Name {
    /// Returns it as the name of an endpoint.
    ///
    /// # Panics
    ///
    /// Never: names of objects are names of endpoints.
    #[must_use]
    pub fn endpoint(&self) -> EndpointName {
        EndpointName::new(self).expect("names of objects are a part of those of endpoints")
    }
}

fn is_subdomain(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.split('.').all(|label| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(alphanumeric)
            && bytes.last().is_some_and(alphanumeric)
            && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
    })
}

fn is_label_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Reads a text by its `FromStr`.
fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(deserializer: D) -> Result<T, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

/// What happened, for people: of at most [`Message::MAX`] bytes; a longer text is cut short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message(String);

impl Message {
    /// The longest, in bytes.
    pub const MAX: usize = 1024;

    /// Takes a text, on one line and cut short at the bound.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = ssa_input::text::clean(text);
        let end = (0..=Self::MAX.min(text.len()))
            .rev()
            .find(|end| text.is_char_boundary(*end));
        Self(text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned())
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        if text.len() > Self::MAX {
            return Err(de::Error::custom(format!(
                "has {} bytes; a message has at most {}",
                text.len(),
                Self::MAX
            )));
        }
        Ok(Self::new(&text))
    }
}

impl JsonSchema for Message {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Message".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": Self::MAX})
    }
}

/// An IPv6 prefix without bits set past its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(Ipv6Net);

impl Prefix {
    /// Makes one of a network; bits past its length are cleared.
    #[must_use]
    pub fn new(net: Ipv6Net) -> Self {
        Self(net.trunc())
    }

    /// Returns the network.
    #[must_use]
    pub const fn net(self) -> Ipv6Net {
        self.0
    }

    /// Says whether it contains the whole of another.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Says whether it contains an address.
    #[must_use]
    pub fn has(self, address: Ipv6Addr) -> bool {
        self.0.contains(&address)
    }
}

impl From<Ipv6Net> for Prefix {
    fn from(net: Ipv6Net) -> Self {
        Self::new(net)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Prefix {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let net: Option<Ipv6Net> = text.parse().ok();
        net.filter(|net| net.trunc() == *net).map(Self).ok_or(NameError(
            "an IPv6 prefix without bits past its length, such as 2001:db8:5::/64",
        ))
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl JsonSchema for Prefix {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Prefix".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 43, "pattern": "^[0-9a-f:.]+/[0-9]{1,3}$"})
    }
}

/// Counts the states of a set's map: a higher one is later, and a lower one never wins. From 0 to 2^53 − 1, which every
/// reader of JSON keeps exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Epoch(u64);

impl Epoch {
    /// The last one.
    pub const MAX: u64 = (1 << 53) - 1;

    /// Takes a number, if it is within the bounds.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number <= Self::MAX { Some(Self(number)) } else { None }
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the next one; the last is its own.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 < Self::MAX { Self(self.0 + 1) } else { self }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        Self::new(number).ok_or_else(|| de::Error::custom("must be an integer from 0 to 9007199254740991"))
    }
}

impl JsonSchema for Epoch {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Epoch".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "format": "int64", "minimum": 0, "maximum": Self::MAX})
    }
}

/// A moment, to the microsecond; written as RFC 3339 in UTC, as Kubernetes writes `MicroTime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// The bounds, in microseconds since 1970: the years 1 to 9999 alone have four digits.
    const BOUNDS: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_207_200_000_000;

    /// Takes microseconds since 1970-01-01T00:00:00Z; what is out of bounds becomes the nearest moment.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        let micros = micros.clamp(*Self::BOUNDS.start(), *Self::BOUNDS.end());
        Self(jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
    }

    /// Takes milliseconds since 1970-01-01T00:00:00Z; what is out of bounds becomes the nearest moment.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self::from_micros(millis.saturating_mul(1000))
    }

    /// Returns microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.0.as_microsecond()
    }

    /// Returns milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0.as_millisecond()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.0)
    }
}

impl FromStr for Timestamp {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let moment: Option<jiff::Timestamp> = text.parse().ok();
        let moment = moment.filter(|moment| Self::BOUNDS.contains(&moment.as_microsecond()));
        let moment = moment.ok_or(NameError(
            "a moment as of RFC 3339, such as 2026-01-31T12:00:00.000000Z",
        ))?;
        Ok(Self::from_micros(moment.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

/// Reads a list of at most so many members.
pub(super) fn at_most<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MAX: usize>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let members = Vec::<T>::deserialize(deserializer)?;
    if members.len() > MAX {
        return Err(de::Error::custom(format!(
            "has {} members; there may be at most {MAX}",
            members.len()
        )));
    }
    Ok(members)
}
