//! What the commands are given: services, keys and connections, read from flags, files and the DNS.
//!
//! Flags are text until they are read here, so that all their faults are reported together.

pub(crate) mod files;
mod flow;
mod keys;
mod request;
mod service;

pub(crate) use flow::{FlowArgs, Inputs, now};
pub(crate) use keys::{KeyArgs, Keys, SecretArgs, key_name};
pub(crate) use request::{Found, sources_text};
pub(crate) use service::{FlagArgs, NameArgs, Service, ServiceArgs, prepare_faults, record_faults, unanswered};

use std::{fmt::Display, net::Ipv6Addr, str::FromStr};

use ipnet::Ipv6Net;

use crate::failure::Faults;

/// Reads an IPv6 address.
pub(crate) fn address(place: &str, text: &str, faults: &mut Faults) -> Option<Ipv6Addr> {
    let error = || format!("`{text}` is not an IPv6 address, such as 2001:db8::7");
    faults.take(place, text.parse().map_err(|_| error()))
}

/// Reads a decimal number between bounds.
pub(crate) fn number<T>(place: &str, text: &str, min: T, max: T, faults: &mut Faults) -> Option<T>
where
    T: FromStr + PartialOrd + Display + Copy,
{
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    let error = || format!("`{text}` is not a number from {min} to {max}");
    faults.take(place, number.filter(|_| plain).ok_or_else(error))
}

/// Returns why no connection ever comes from these addresses, if none does.
pub(crate) fn never_a_source(prefix: &Ipv6Net) -> Option<&'static str> {
    let kinds = [
        ("::/128", "the unspecified address, which no connection comes from"),
        ("ff00::/8", "multicast, which no connection comes from"),
        ("::ffff:0:0/96", "IPv4-mapped: it stands for IPv4, which SSA is not for"),
    ];
    let inside = |text: &str| text.parse::<Ipv6Net>().is_ok_and(|kind| kind.contains(prefix));
    kinds.into_iter().find(|(kind, _)| inside(kind)).map(|(_, why)| why)
}

/// Why a text is not a prefix of addresses.
pub(crate) enum PrefixError {
    /// It is neither an IPv6 address nor a prefix.
    None,
    /// The prefix has bits set past its length.
    BitsPastLength(Ipv6Net),
}

/// Reads an IPv6 prefix without bits past its length; an address alone is a prefix of 128 bits.
pub(crate) fn prefix(text: &str) -> Result<Ipv6Net, PrefixError> {
    let address = || text.parse::<Ipv6Addr>().ok().map(Ipv6Net::from);
    let prefix = text.parse::<Ipv6Net>().ok().or_else(address);
    let prefix = prefix.ok_or(PrefixError::None)?;
    if prefix.trunc() == prefix {
        Ok(prefix)
    } else {
        Err(PrefixError::BitsPastLength(prefix))
    }
}
