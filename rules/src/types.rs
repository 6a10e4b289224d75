//! Quantities that must not be mixed up.

use alloc::string::String;
use core::{fmt, net::Ipv6Addr, str::FromStr};

use subtle::ConstantTimeEq;

use crate::{bits, hash};

/// The source address of a connection: the one that it will really use, seen by both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(pub Ipv6Addr);

/// The destination address of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination(pub Ipv6Addr);

/// A destination port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port(pub u16);

/// A chunk number of a striped object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Chunk(pub u64);

/// A point in time, in seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixTime(pub u64);

/// The second from which a record may be used (tag `from`), in seconds since 1970; 0 is always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValidFrom(pub u64);

/// Which of the replicas of an address to compose, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Replica(pub u8);

macro_rules! display_as_inner {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_as_inner!(
    Source,
    Destination,
    Port,
    Chunk,
    UnixTime,
    ValidFrom,
    Replica,
    SourceBits
);

/// How many leading bits of a source are used, 1 to 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceBits(u8);

impl SourceBits {
    /// Accepts 1 to 128.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        if matches!(bits, 1..=128) {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// Returns the number of bits.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The name of a secret, 1 to 32 of `a-z A-Z 0-9 - _` (tag `key`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if matches!(text.len(), 1..=32) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(KeyIdError)
        }
    }
}

/// A key name that breaks its grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyIdError;

impl fmt::Display for KeyIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key name is 1 to 32 of a-z A-Z 0-9 - _")
    }
}

impl core::error::Error for KeyIdError {}

macro_rules! key_material {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// It prints as its name alone and compares in constant time.
        #[derive(Clone, Copy)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Takes 16 bytes of key material.
            #[must_use]
            pub const fn new(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Returns the key material. The caller keeps it out of logs, errors and world-readable files.
            #[must_use]
            pub const fn expose(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = KeyMaterialError;

            /// Reads 32 hex digits of either case.
            fn from_str(text: &str) -> Result<Self, KeyMaterialError> {
                key_material(text).map(Self)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(hidden)"))
            }
        }
    };
}
key_material!(
    /// A service's secret of 16 bytes, named by the tag `key`.
    Secret
);
key_material!(
    /// One client's own key of 16 bytes, derived from the secret and the client's source prefix (tag `kdf`).
    ClientKey
);

/// Key material that is not 32 hex digits; what was given is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyMaterialError {
    /// How many characters were given.
    pub length: usize,
}

impl fmt::Display for KeyMaterialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "key material is 32 hex digits (16 bytes); these {} characters are not",
            self.length
        )
    }
}

impl core::error::Error for KeyMaterialError {}

fn key_material(text: &str) -> Result<[u8; 16], KeyMaterialError> {
    let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let number = if digits {
        u128::from_str_radix(text, 16).ok()
    } else {
        None
    };
    number.map(u128::to_be_bytes).ok_or(KeyMaterialError {
        length: text.chars().count(),
    })
}

impl Secret {
    /// Derives the key that clients of this source prefix hold.
    ///
    /// The 8 bytes of SipHash(secret, `05 00 ‖ u8 l ‖ source with bits l and after cleared`), then those of the same
    /// with `05 01`.
    #[must_use]
    #[inline(never)] // out of the way of records without it
    pub fn client_key(&self, prefix: SourceBits, source: Source) -> ClientKey {
        let masked = u128::from(source.0) & bits::leading(prefix.get());
        let half = |number: u8| {
            let mut message = hash::Message::new([5, number]);
            message.put8(prefix.get());
            message.put128(masked);
            message.hash(&self.0).to_be_bytes()
        };
        ClientKey(zerocopy::transmute!([half(0), half(1)]))
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString};

    use super::*;

    #[test]
    fn key_material_is_never_printed() {
        let secret: Secret = "00112233445566778899aabbccddeeff".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(hidden)");
        let error = "00112233445566778899aabbccddeefg".parse::<Secret>().unwrap_err();
        assert_eq!(error.length, 32);
        assert_eq!(
            error.to_string(),
            "key material is 32 hex digits (16 bytes); these 32 characters are not"
        );
        assert!(!format!("{error} {error:?}").contains("0011"));
        assert!("+0112233445566778899aabbccddeeff".parse::<ClientKey>().is_err());
        assert!("0112233445566778899aabbccddeeff".parse::<ClientKey>().is_err());
    }

    #[test]
    fn key_material_compares_by_value() {
        let [a, b] = [Secret::new([7; 16]), Secret::new([8; 16])];
        assert_eq!(a, Secret::new([7; 16]));
        assert_ne!(a, b);
    }

    #[test]
    fn key_names_keep_to_their_grammar() {
        let longest = "a".repeat(32);
        for good in ["k1", "A-b_9", &longest] {
            assert_eq!(good.parse::<KeyId>().unwrap().as_str(), good);
        }
        for bad in ["", "k 1", "k.1", "ké", &"a".repeat(33)] {
            assert_eq!(bad.parse::<KeyId>(), Err(KeyIdError), "{bad:?}");
        }
        assert_eq!(KeyIdError.to_string(), "a key name is 1 to 32 of a-z A-Z 0-9 - _");
    }

    #[test]
    fn source_bits_are_1_to_128() {
        assert_eq!(SourceBits::new(0), None);
        assert_eq!(SourceBits::new(1).map(SourceBits::get), Some(1));
        assert_eq!(SourceBits::new(128).map(SourceBits::get), Some(128));
        assert_eq!(SourceBits::new(129), None);
    }
}
