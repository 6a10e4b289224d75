//! A service: its address list and rule records, from flags (`--apl`, `--rule`) or from the DNS (`NAME`).

use std::{net::SocketAddr, time::Duration};

use ipnet::Ipv6Net;
use ssa_dns::{self as dns, AddressError, Resolution, ResolveError, Servers};
use ssa_input::secrets::has_key;
use ssa_rules::{
    Apl, Record,
    apl::{TextError, TextFault},
    published::{Party, Publication, Unusable},
    record::RecordError,
    rule::PrepareError,
};

use super::{Keys, number};
use crate::failure::{Failure, Fault, Faults};

/// Which service: flags or a name.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Service")]
pub(crate) struct ServiceArgs {
    /// The service's name, asked of the DNS in place of --apl and --rule; it is absolute
    #[arg(value_name = "NAME", conflicts_with_all = ["apl", "rule"])]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) flags: FlagArgs,
    #[command(flatten)]
    pub(crate) server: NameArgs,
}

/// A service by flags.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Service")]
pub(crate) struct FlagArgs {
    /// The address list (APL) in presentation format: blank-separated [!]2:ADDRESS/LENGTH; repeated ones are united
    #[arg(long, value_name = "LIST")]
    pub(crate) apl: Vec<String>,
    /// A rule record; repeated ones stand together, each with its own from=
    #[arg(long, value_name = "RECORD")]
    pub(crate) rule: Vec<String>,
}

/// How to ask the DNS.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "DNS")]
pub(crate) struct NameArgs {
    /// The DNS server to ask, ADDR:PORT, an IPv6 ADDR in brackets, or a host's name in its place; the port is 53 unless
    /// given [default: the system's]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) server: Option<String>,
    /// How long to wait for each DNS server, in seconds, 1 to 60 [default: 5]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<String>,
}

impl NameArgs {
    /// Reads the flags.
    pub(crate) fn read(&self, faults: &mut Faults) -> Option<Servers> {
        let timeout = match &self.timeout {
            Some(text) => number("--timeout", text, 1, 60, faults).map(Duration::from_secs),
            None => Some(dns::DEFAULT_TIMEOUT),
        };
        let server = self
            .server
            .as_deref()
            .map(|text| faults.take("--server", servers_of(text)));
        match (server, timeout?) {
            (Some(server), timeout) => Some(Servers::new(server?, timeout)),
            (None, timeout) => faults.take("--server", Servers::of_system(timeout)),
        }
    }

    /// Records a fault of each flag, where no name is given to ask for.
    pub(crate) fn refuse(&self, faults: &mut Faults) {
        for (flag, given) in [("--server", &self.server), ("--timeout", &self.timeout)] {
            if given.is_some() {
                faults.push(flag, "goes with a NAME, of which the DNS is asked");
            }
        }
    }
}

/// Reads a server. Nobody is asked for a host whose name looks like a key.
fn servers_of(text: &str) -> Result<Vec<SocketAddr>, AddressError> {
    if has_key(text) {
        return dns::server_address(text).map(|address| vec![address]);
    }
    dns::server_host(text)
}

/// A service as it was given or found.
#[derive(Debug)]
pub(crate) struct Service {
    /// The united APL records, if there are any.
    pub(crate) apl: Option<Apl>,
    /// The rule records.
    pub(crate) records: Vec<Vec<u8>>,
    /// What the DNS said, where it was asked.
    pub(crate) resolution: Option<Resolution>,
}

impl ServiceArgs {
    /// Reads the service, recording every fault of the flags. The DNS is asked only where there is none so far.
    ///
    /// Flags must be right: a faulty record is a fault of the command line. Of the DNS, faulty records are left to
    /// [`Service::publication`].
    pub(crate) fn read(&self, faults: &mut Faults) -> Result<Option<Service>, Failure> {
        let Some(name) = &self.name else {
            self.server.refuse(faults);
            self.flags.require_rule(faults);
            return Ok(self.flags.read(faults));
        };
        let name = faults.take("NAME", dns::name(name));
        let servers = self.server.read(faults);
        let (Some(name), Some(servers), true) = (name, servers, faults.0.is_empty()) else {
            return Ok(None);
        };
        Service::of_name(dns::resolve(&name, &servers).map_err(|error| unanswered(&error))?).map(Some)
    }
}

/// The failure of a name that the DNS says nothing about.
pub(crate) fn unanswered(error: &ResolveError) -> Failure {
    let fault = Fault::new(error.question.to_string(), &error.source).with_code(error.source.name());
    Failure {
        faults: vec![fault],
        kind: crate::failure::Kind::Input,
    }
}

impl FlagArgs {
    /// Returns whether neither a flag nor a record gives addresses.
    pub(crate) fn has_no_addresses(&self) -> bool {
        let own = |text: &String| text.parse::<Record>().is_ok_and(|record| record.apl().is_some());
        self.apl.is_empty() && !self.rule.iter().any(own)
    }

    /// Records a fault where there is no record.
    pub(crate) fn require_rule(&self, faults: &mut Faults) {
        if self.rule.is_empty() {
            faults.push("--rule", "missing; give --rule (and --apl), or the service's NAME");
        }
    }

    /// Reads the flags, recording every fault of lists and of records, each by itself.
    pub(crate) fn parse(&self, faults: &mut Faults) -> Option<Service> {
        let before = faults.0.len();
        let mut apl: Option<Apl> = None;
        for (index, text) in self.apl.iter().enumerate() {
            match text.parse::<Apl>() {
                Ok(list) => apl.get_or_insert_default().unite(list),
                Err(error) => faults
                    .0
                    .extend(text_faults(&place("--apl", index, self.apl.len()), text, &error)),
            }
        }
        for (index, text) in self.rule.iter().enumerate() {
            if let Err(error) = text.parse::<Record>() {
                faults
                    .0
                    .extend(record_faults(&place("--rule", index, self.rule.len()), text, &error));
            }
        }
        let records = self.rule.iter().map(|text| text.as_bytes().to_vec()).collect();
        (faults.0.len() == before).then_some(Service {
            apl,
            records,
            resolution: None,
        })
    }

    /// Reads the flags, recording every fault: those of lists, of records, and of both together.
    pub(crate) fn read(&self, faults: &mut Faults) -> Option<Service> {
        let service = self.parse(faults)?;
        // Without keys: only whether addresses and records go together is of interest here.
        let publication = service.publication(Party::Client, &Keys::default());
        for (index, candidate) in publication.candidates.iter().enumerate() {
            if let Err(Unusable::Prepare(error)) = &candidate.rule {
                faults
                    .0
                    .extend(prepare_faults(&place("--rule", index, self.rule.len()), error));
            }
        }
        if let Err(error) = &publication.space {
            error.faults.iter().for_each(|fault| faults.push("--apl", fault));
        }
        if let Err(error) = publication.set {
            faults.push("--rule", error);
        }
        Some(service)
    }
}

fn place(flag: &str, index: usize, of: usize) -> String {
    if of > 1 {
        format!("{flag}[{index}]")
    } else {
        flag.into()
    }
}

impl Service {
    /// Takes what the DNS said.
    ///
    /// # Errors
    ///
    /// APL records that do not decode: they make all records unusable.
    pub(crate) fn of_name(resolution: Resolution) -> Result<Self, Failure> {
        let apl = resolution.apl().map_err(|faults| Failure {
            faults: faults
                .iter()
                .map(|fault| Fault::new(format!("{} APL", resolution.canonical), fault))
                .collect(),
            kind: crate::failure::Kind::NotFine,
        })?;
        Ok(Self {
            apl,
            records: resolution.txt.records.clone(),
            resolution: Some(resolution),
        })
    }

    /// Returns the SSA records as text in which every byte is one character, so that offsets stay.
    pub(crate) fn texts(&self) -> Vec<String> {
        let plain = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { '?' };
        let records = self.records.iter().filter(|record| Record::counts(record));
        records.map(|record| record.iter().map(plain).collect()).collect()
    }

    /// Reads the records as a client or a verifier does, with the available keys.
    pub(crate) fn publication(&self, party: Party, keys: &Keys) -> Publication {
        Publication::read(self.apl.as_ref(), &self.records, party, |id| keys.get(id))
    }
}

/// The faults of an address list, each with the item that it is in.
pub(crate) fn text_faults(place: &str, text: &str, error: &TextError) -> Vec<Fault> {
    let blank = |c: char| c == ' ' || c == '\t';
    let offset_of = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    let words: Vec<&str> = text.split(blank).filter(|word| !word.is_empty()).collect();
    let faults = error.faults.iter().map(|fault| {
        let word = words.get(fault.item()).copied().unwrap_or_default();
        let fault = without_family(fault, word).unwrap_or_else(|| fault.to_string());
        Fault::new(place, fault).with_excerpt(text, if word.is_empty() { 0 } else { offset_of(word) }, word.len())
    });
    faults.collect()
}

/// Returns what to write where an item is a plain IPv6 prefix, whose first group reads as a family.
fn without_family(fault: &TextFault, word: &str) -> Option<String> {
    let item = match fault {
        TextFault::Shape { item, .. } | TextFault::Family { item, .. } => item,
        TextFault::Address { item, family, .. } if !matches!(family, 1 | 2) => item,
        TextFault::Address { .. } | TextFault::Length { .. } | TextFault::BitsPastLength { .. } => return None,
    };
    let (sign, prefix) = word.strip_prefix('!').map_or(("", word), |rest| ("!", rest));
    prefix.parse::<Ipv6Net>().ok()?;
    Some(format!(
        "apl[{item}]: an item begins with its family; write {sign}2:{prefix}"
    ))
}

/// The faults of a record, each with its place in it.
pub(crate) fn record_faults(place: &str, text: &str, error: &RecordError) -> Vec<Fault> {
    let faults = error.faults.iter().map(|fault| {
        let at = &fault.location;
        Fault::new(format!("{place} {}", at.name()), &fault.problem).with_excerpt(text, at.offset, at.length)
    });
    faults.collect()
}

/// The faults of a record together with addresses and keys.
pub(crate) fn prepare_faults(place: &str, error: &PrepareError) -> Vec<Fault> {
    error.faults.iter().map(|fault| Fault::new(place, fault)).collect()
}
