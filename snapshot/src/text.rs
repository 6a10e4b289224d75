//! Texts with a grammar.

use alloc::{borrow::ToOwned, format, string::String};
use core::{fmt, net::Ipv6Addr, ops::Deref};

use ipnet::Ipv6Net;
use serde::{Serialize, Serializer};

use crate::read::{Json, Path, Reader, Value};

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident, $wanted:literal, $is:expr, [$min:literal, $max:expr], $pattern:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Returns it, if it is one.
            #[must_use]
            pub fn new(text: &str) -> Option<Self> {
                let is: fn(&str) -> bool = $is;
                is(text).then(|| Self(text.to_owned()))
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl Value for $name {
            fn read(json: &Json, path: &Path<'_>, reader: &mut Reader) -> Self {
                reader.parsed(json, path, Self::new, $wanted).unwrap_or_else(Self::placeholder)
            }

            fn placeholder() -> Self {
                Self(String::new())
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> alloc::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "title": $wanted, "type": "string", "minLength": $min, "maxLength": $max, "pattern": $pattern
                })
            }
        }
    )*};
}

fn is_label(text: &str, max: usize, marks: &[u8]) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
    (1..=max).contains(&text.len()) && text.bytes().all(allowed)
}

texts! {
    /// The name of a service in metrics and logs.
    ServiceName, "1 to 253 of a-z A-Z 0-9 - _ .", |text| is_label(text, 253, b"-_."), [1, 253], "^[A-Za-z0-9._-]*$";

    /// The name of a snapshot.
    Generation, "1 to 64 of a-z A-Z 0-9 - _ . :", |text| is_label(text, 64, b"-_.:"), [1, 64], "^[A-Za-z0-9._:-]*$";

    /// The name of one of Envoy's clusters.
    ClusterName, "the name of a cluster, of 1 to 255 bytes", |text| (1..=ClusterName::MAX).contains(&text.len()),
        [1, ClusterName::MAX], "";

    /// The path of an HTTP request.
    RequestPath, "a path of at most 8192 printable ASCII characters, the first of which is /",
        |text| text.len() <= MAX_PATH && text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()), [1, MAX_PATH], "^/[!-~]*$";
}

/// The longest path of a request, in bytes: as long as Envoy takes headers of it without a setting.
const MAX_PATH: usize = 8192;

impl Generation {
    /// Names the snapshot of a number that a server gave out since it started; `start` is its own among all starts.
    #[must_use]
    pub fn numbered(start: u64, number: u64) -> Self {
        Self(format!("{start:016x}-{number}"))
    }
}

impl ClusterName {
    /// The longest, in bytes.
    pub const MAX: usize = 255;
}

/// An IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Address(pub Ipv6Addr);

impl Value for Address {
    fn read(json: &Json, path: &Path<'_>, reader: &mut Reader) -> Self {
        let address = reader.parsed(json, path, |text| text.parse().ok(), "an IPv6 address");
        address.map_or_else(Self::placeholder, Self)
    }

    fn placeholder() -> Self {
        Self(Ipv6Addr::UNSPECIFIED)
    }
}

/// An IPv6 prefix without bits set past its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix(Ipv6Net);

impl Prefix {
    /// Makes one of a network; bits past its length are cleared.
    #[must_use]
    pub fn new(net: Ipv6Net) -> Self {
        Self(net.trunc())
    }

    /// Returns the network.
    #[must_use]
    pub const fn get(self) -> Ipv6Net {
        self.0
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Prefix {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let net = Ipv6Net::new(address.parse().ok()?, length.parse().ok()?).ok()?;
        (net.addr() == net.network()).then_some(Self(net))
    }
}

impl Value for Prefix {
    fn read(json: &Json, path: &Path<'_>, reader: &mut Reader) -> Self {
        let prefix = reader.parsed(
            json,
            path,
            Self::parse,
            "an IPv6 prefix without bits set past its length",
        );
        prefix.unwrap_or_else(Self::placeholder)
    }

    fn placeholder() -> Self {
        Self(Ipv6Net::default())
    }
}

#[cfg(feature = "schema")]
mod schema {
    use alloc::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use super::{Address, Prefix};

    impl JsonSchema for Address {
        fn inline_schema() -> bool {
            true
        }

        fn schema_name() -> Cow<'static, str> {
            "Address".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"title": "IPv6 address", "type": "string", "format": "ipv6"})
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
            let pattern = "^[0-9A-Fa-f]*:[0-9A-Fa-f:]*(\\.[0-9]+){0,3}/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$";
            json_schema!({"title": "IPv6 prefix", "type": "string", "pattern": pattern})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_generations_are_generations() {
        for numbers in [(0, 0), (u64::MAX, u64::MAX), (7, 12)] {
            let generation = Generation::numbered(numbers.0, numbers.1);
            assert_eq!(Generation::new(&generation), Some(generation));
        }
    }

    #[test]
    fn names_are_short_and_of_few_characters() {
        for (text, is) in [
            ("web.demo_1-x", true),
            ("", false),
            ("a b", false),
            ("é", false),
            ("a:b", false),
        ] {
            assert_eq!(ServiceName::new(text).is_some(), is, "{text}");
        }
        assert!(ServiceName::new(&"x".repeat(253)).is_some() && ServiceName::new(&"x".repeat(254)).is_none());
        assert!(Generation::new(&"x".repeat(64)).is_some() && Generation::new(&"x".repeat(65)).is_none());
        assert!(ClusterName::new(&"é".repeat(127)).is_some() && ClusterName::new(&"é".repeat(128)).is_none());
        for (text, is) in [
            ("/v1/inbound?x=1", true),
            ("v1", false),
            ("/a b", false),
            ("/\u{7f}", false),
            ("", false),
        ] {
            assert_eq!(RequestPath::new(text).is_some(), is, "{text}");
        }
        assert!(Prefix::parse("2001:db8::/32").is_some() && Prefix::parse("2001:db8::1/32").is_none());
    }
}
