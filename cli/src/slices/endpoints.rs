//! Endpoints as they are given: `--endpoint NAME[=WEIGHT][@DOMAIN][,via=ADDRESS]`, or a JSON file.

use std::{collections::BTreeSet, net::Ipv6Addr, path::Path};

use ssa_slices::document::{Wanted, is_name};

use crate::failure::Faults;

/// The form of `--endpoint`.
pub(super) const FORM: &str = "NAME[=WEIGHT][@DOMAIN][,via=ADDRESS]";

/// Why a text is no `--endpoint`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum EndpointError {
    /// What stands after `via=` is not an address.
    #[error("`{0}` after via= is not an IPv6 address; it is {FORM}")]
    NoAddress(String),
    /// It is an address that says too little.
    #[error("{0} after via= is link-local, which no route can name without a device; it is {FORM}")]
    LinkLocal(Ipv6Addr),
    /// The weight is not a number in bounds.
    #[error("weight `{0}` is not a number from 0 to 4294967295; it is {FORM}")]
    Weight(String),
}

/// Reads one `--endpoint`.
fn parse(text: &str) -> Result<Wanted, EndpointError> {
    let (rest, via) = match text.split_once(",via=") {
        Some((rest, via)) => {
            let address: Ipv6Addr = via.parse().map_err(|_| EndpointError::NoAddress(via.to_owned()))?;
            if address.is_unicast_link_local() {
                return Err(EndpointError::LinkLocal(address));
            }
            (rest, Some(address))
        }
        None => (text, None),
    };
    let (rest, domain) = rest
        .split_once('@')
        .map_or((rest, None), |(rest, domain)| (rest, Some(domain.to_owned())));
    let (name, weight) = match rest.split_once('=') {
        Some((name, weight)) => {
            let number = weight
                .parse()
                .ok()
                .filter(|_| weight.bytes().all(|b| b.is_ascii_digit()));
            (name, number.ok_or_else(|| EndpointError::Weight(weight.to_owned()))?)
        }
        None => (rest, 1),
    };
    Ok(Wanted {
        name: name.into(),
        weight,
        domain,
        via,
    })
}

/// Reads all wanted endpoints, recording every fault.
pub(super) fn read(flags: &[String], file: Option<&Path>, faults: &mut Faults) -> Vec<Wanted> {
    let mut all: Vec<(String, Wanted)> = Vec::new();
    for text in flags {
        let place = format!("--endpoint {text}");
        if let Some(wanted) = faults.take(&place, parse(text)) {
            all.push((place, wanted));
        }
    }
    if let Some(path) = file {
        let place = format!("--endpoints {}", path.display());
        let list: Option<Vec<Wanted>> = super::read::json(&place, path, faults);
        let numbered = list.unwrap_or_default().into_iter().enumerate();
        all.extend(numbered.map(|(index, wanted)| (format!("{place} [{index}]"), wanted)));
    }
    let mut names = BTreeSet::new();
    for (place, wanted) in &all {
        for name in [Some(&wanted.name), wanted.domain.as_ref()].into_iter().flatten() {
            if !is_name(name) {
                faults.push(place, format!("name `{name}` is not 1 to 253 of a-z A-Z 0-9 - _ . :"));
            }
        }
        if !names.insert(&wanted.name) {
            faults.push(place, format!("the endpoint {} is given twice", wanted.name));
        }
    }
    if all.is_empty() && faults.0.is_empty() {
        faults.push(
            "--endpoint",
            format!("missing; give --endpoint {FORM} for each, or --endpoints FILE"),
        );
    }
    all.into_iter().map(|(_, wanted)| wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_in_every_form() {
        let wanted = |name: &str, weight, domain: Option<&str>, via: Option<&str>| Wanted {
            name: name.into(),
            weight,
            domain: domain.map(Into::into),
            via: via.map(|via| via.parse().unwrap()),
        };
        assert_eq!(parse("a"), Ok(wanted("a", 1, None, None)));
        assert_eq!(parse("a=7"), Ok(wanted("a", 7, None, None)));
        assert_eq!(parse("a@r1"), Ok(wanted("a", 1, Some("r1"), None)));
        assert_eq!(
            parse("a=0@r1,via=2001:db8::a"),
            Ok(wanted("a", 0, Some("r1"), Some("2001:db8::a")))
        );
        for bad in ["a=", "a=-1", "a=+1", "a=4294967296", "a,via=", "a,via=192.0.2.1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
