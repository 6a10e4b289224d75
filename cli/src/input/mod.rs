//! What the commands are given: services, keys and connections, read from flags, files and the DNS.
//!
//! Flags are text until they are read here, so that all their faults are told at once.

mod flow;
mod keys;
mod service;

pub(crate) use flow::{FlowArgs, Inputs, now};
pub(crate) use keys::{KeyArgs, Keys, SecretArgs};
pub(crate) use service::{FlagArgs, NameArgs, Service, ServiceArgs, prepare_faults, record_faults, unanswered};

use std::{fmt::Display, net::Ipv6Addr, str::FromStr};

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
