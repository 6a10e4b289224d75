//! From flags, or the DNS, to what is linted.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_dns as dns;
use ssa_rules::{AddressSpace, Apl, Record, UnixTime};

use super::{
    Args,
    check::Given,
    faults,
    finding::{Code::AplSyntax, Finding, Severity::Error},
    subject::Surroundings,
};
use crate::{
    failure::{Failure, Faults},
    input::{address, number},
    simulate::clients::ClientGroup,
};

/// How long answers are kept where nothing says otherwise, in seconds.
const TTL: u64 = 300;

/// Reads what is known besides the records, recording every fault.
pub(super) fn surroundings(args: &Args, faults: &mut Faults) -> Surroundings {
    let aaaa = args
        .aaaa
        .iter()
        .filter_map(|text| address("--aaaa", text, faults))
        .collect();
    let clients: Vec<ClientGroup> = args
        .clients
        .iter()
        .filter_map(|text| faults.take("--clients", text.parse()))
        .collect();
    let endpoints = args
        .endpoints
        .as_deref()
        .and_then(|text| number("--endpoints", text, 1, 65_536, faults));
    let bits = args
        .bits
        .as_deref()
        .and_then(|text| number("--bits", text, 0, 20, faults));
    let time = args
        .time
        .as_deref()
        .and_then(|text| number("--time", text, 0, u64::MAX / 2, faults));
    let ttl = args
        .ttl
        .as_deref()
        .and_then(|text| number("--ttl", text, 0, u64::from(u32::MAX), faults));
    Surroundings {
        aaaa,
        clients,
        endpoints,
        slice_bits: bits.unwrap_or(14),
        now: time.map_or_else(crate::input::now, UnixTime),
        ttl: ttl.unwrap_or(TTL),
    }
}

/// What is linted, and what the DNS says of its surroundings.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) given: Given,
    pub(super) aaaa: Vec<Ipv6Addr>,
    /// How long its answers are kept, in seconds.
    pub(super) ttl: Option<u64>,
}

impl Published {
    /// The positive items of the service, as far as they can be read.
    pub(super) fn items(&self) -> Vec<Ipv6Net> {
        let published = self.given.apl.as_ref().and_then(|apl| AddressSpace::new(apl).ok()?);
        let records = self.given.rules.iter().filter_map(|rule| Record::from_bytes(rule).ok());
        let spaces = records.filter_map(|record| Some(record.space(published.as_ref())?.into_owned()));
        let mut items: Vec<Ipv6Net> = spaces
            .chain(published.clone())
            .flat_map(|space| space.positive().to_vec())
            .collect();
        items.sort_unstable();
        items.dedup();
        items
    }
}

/// Reads the records of flags or of the DNS; nothing where only the host is to be checked.
///
/// # Errors
///
/// The DNS gives no answer.
pub(super) fn given(args: &Args, faults: &mut Faults) -> Result<Option<Published>, Failure> {
    let service = &args.service;
    if let Some(name) = &service.name {
        let name = faults.take("NAME", dns::name(name));
        let servers = service.server.read(faults);
        let (Some(name), Some(servers), true) = (name, servers, faults.0.is_empty()) else {
            return Ok(None);
        };
        let found =
            dns::resolve(&name, &servers).map_err(|error| Failure::input(error.question.to_string(), error.source))?;
        return Ok(Some(of_dns(&found)));
    }
    service.server.refuse(faults);
    if service.flags.apl.is_empty() && service.flags.rule.is_empty() {
        if !args.host && args.envoy.is_empty() {
            faults.push(
                "--rule",
                "missing; give --rule (and --apl), the service's NAME, --host, or --envoy",
            );
        }
        return Ok(None);
    }
    let mut given = Given {
        rules: service.flags.rule.iter().map(|rule| rule.as_bytes().to_vec()).collect(),
        ..Given::default()
    };
    for text in &service.flags.apl {
        match text.parse::<Apl>() {
            Ok(apl) => given.apl.get_or_insert_default().unite(apl),
            Err(error) => given
                .apl_faults
                .extend(error.faults.iter().map(|fault| faults::of_list("apl", fault))),
        }
    }
    Ok(Some(Published {
        given,
        aaaa: Vec::new(),
        ttl: None,
    }))
}

fn of_dns(found: &dns::Resolution) -> Published {
    // Other TXT records at the name are no SSA records and none of the linter's business.
    let rules = found
        .txt
        .records
        .iter()
        .filter(|record| ssa_rules::Record::counts(record));
    let mut given = Given {
        rules: rules.cloned().collect(),
        ..Given::default()
    };
    match found.apl() {
        Ok(apl) => given.apl = apl,
        Err(wrong) => {
            let why = "APL records that do not decode make every record unusable";
            let of_wire =
                |error: &ssa_rules::apl::WireError| Finding::new(AplSyntax, Error, "apl", error.to_string(), why);
            given.apl_faults = wrong.iter().map(of_wire).collect();
        }
    }
    let ttl = found.apl.ttl.max(found.txt.ttl).map(u64::from);
    Published {
        given,
        aaaa: found.aaaa.records.clone(),
        ttl,
    }
}
