//! What the DNS says of a service: its APL, its `_ssa` TXT records and its AAAA records, asked as an SSA client asks.

mod address;
#[cfg(test)]
mod any_octets;
#[cfg(feature = "secure")]
mod dnssec;
mod error;
mod name;
mod proof;
mod question;
mod servers;
mod stream;
mod system;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(feature = "secure")]
mod tls;
#[cfg(feature = "secure")]
mod tls_error;
mod transport;
mod upstream;
mod wire;

use std::{net::Ipv6Addr, time::Duration};

pub use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::rr::{RData, RecordType};
use ssa_rules::{Apl, apl::WireError};

use question::APL;
use servers::MAX_ALIASES;

pub use address::{AddressError, Server, server, server_address, server_host, socket_address};
#[cfg(feature = "secure")]
pub use dnssec::{AnchorError, Anchors};
#[cfg(feature = "secure")]
pub use error::BogusAnswer;
pub use error::{AskError, ConnectError, Malformation, Mismatch, SystemError, TcpRetryError};
pub use name::{LabelError, NameError, name};
pub use proof::Proof;
pub use question::Question;
pub use servers::Servers;
pub use system::{named_servers, system_servers};
#[cfg(feature = "secure")]
pub use tls::{Roots, RootsError, TrustError};
#[cfg(feature = "secure")]
pub use tls_error::TlsError;

/// What the DNS said.
#[derive(Debug)]
pub struct Resolution {
    /// The name asked for.
    pub name: Name,
    /// The name that its aliases lead to.
    pub canonical: Name,
    /// The name of the rule records, under the canonical name.
    pub rule_name: Name,
    /// The APL records, each as it decoded.
    pub apl: RecordSet<Result<Apl, WireError>>,
    /// The TXT records at the `_ssa` name, the strings of each concatenated. Those that are no SSA records too.
    pub txt: RecordSet<Vec<u8>>,
    /// The addresses for legacy devices.
    pub aaaa: RecordSet<Ipv6Addr>,
}

/// The answer to one question.
#[derive(Debug)]
pub struct RecordSet<T> {
    /// The records; none where `absence` says why.
    pub records: Vec<T>,
    /// The least TTL of the records and of the aliases that led to them, in seconds: how long the answer holds.
    pub ttl: Option<u32>,
    /// The TTL of the records themselves, in seconds: how long others may use them, by whatever alias.
    pub own_ttl: Option<u32>,
    /// The greatest TTL of the aliases, in seconds: how long others may be led to these records, whatever the aliases say
    /// by then.
    pub alias_ttl: Option<u32>,
    /// Why there are none.
    pub absence: Option<Absence>,
    /// How long their absence holds in seconds (RFC 2308 §5), where the answer says it.
    pub absence_ttl: Option<u32>,
    /// What is known of the signatures of it and of the aliases that led to it.
    pub proof: Proof,
}

/// Why there are no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The name does not exist.
    NoName,
    /// The name exists, without records of this type.
    NoData,
}

impl Absence {
    /// Returns the stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoName => "NXDOMAIN",
            Self::NoData => "NODATA",
        }
    }
}

impl Resolution {
    /// Returns the united APL records, nothing where there are none.
    ///
    /// # Errors
    ///
    /// The fault of each record that does not decode.
    pub fn apl(&self) -> Result<Option<Apl>, Vec<WireError>> {
        self.apl.united()
    }
}

impl RecordSet<Result<Apl, WireError>> {
    /// Returns the APL records united, nothing where there are none.
    ///
    /// # Errors
    ///
    /// The fault of each record that does not decode.
    pub fn united(&self) -> Result<Option<Apl>, Vec<WireError>> {
        let faults: Vec<WireError> = self
            .records
            .iter()
            .filter_map(|apl| apl.as_ref().err())
            .copied()
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut records = self.records.iter().filter_map(|apl| apl.as_ref().ok());
        Ok(records.next().cloned().map(|mut all| {
            records.for_each(|apl| all.unite(apl.clone()));
            all
        }))
    }
}

/// An error with the question that met it.
#[derive(Debug, thiserror::Error)]
#[error("{question}: {source}")]
pub struct ResolveError {
    /// The question.
    pub question: Question,
    /// What became of it.
    pub source: Box<AskError>,
}

/// Asks for everything that a service publishes, and waits for it: for programs that have no runtime of their own.
///
/// # Errors
///
/// The first question without an answer.
pub fn resolve(name: &Name, servers: &Servers) -> Result<Resolution, ResolveError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ResolveError {
        question: Question::new(name, RecordType::from(APL)),
        source: Box::new(AskError::NoRuntime(error)),
    })?;
    runtime.block_on(ask(name, servers))
}

/// Asks for everything that a service publishes.
///
/// # Errors
///
/// The first question without an answer.
pub async fn ask(name: &Name, servers: &Servers) -> Result<Resolution, ResolveError> {
    let failed = |name: &Name, kind: RecordType| {
        let question = Question::new(name, kind);
        move |source| ResolveError {
            question,
            source: Box::new(source),
        }
    };
    let (canonical, apl) = lists(servers, name)
        .await
        .map_err(failed(name, RecordType::from(APL)))?;
    let rule_name = rule_name(&canonical).map_err(failed(&canonical, RecordType::TXT))?;
    let txt = texts(servers, &rule_name)
        .await
        .map_err(failed(&rule_name, RecordType::TXT))?;
    let aaaa = addresses(servers, name).await.map_err(failed(name, RecordType::AAAA))?;
    Ok(Resolution {
        name: name.clone(),
        canonical,
        rule_name,
        apl,
        txt,
        aaaa,
    })
}

/// Returns the name of the rule records of a canonical name.
///
/// # Errors
///
/// [`AskError::NameTooLong`].
pub fn rule_name(canonical: &Name) -> Result<Name, AskError> {
    canonical.prepend_label("_ssa").map_err(|_| AskError::NameTooLong)
}

/// Asks for the APL records of a name, and returns its canonical name too.
///
/// # Errors
///
/// Why there is no answer.
pub async fn lists(servers: &Servers, name: &Name) -> Result<(Name, RecordSet<Result<Apl, WireError>>), AskError> {
    lookup(servers, name, RecordType::from(APL), apl_of).await
}

/// Asks for the TXT records of a name, the strings of each concatenated.
///
/// # Errors
///
/// Why there is no answer.
pub async fn texts(servers: &Servers, name: &Name) -> Result<RecordSet<Vec<u8>>, AskError> {
    let (_, mut set) = lookup(servers, name, RecordType::TXT, txt_of).await?;
    // Servers rotate records; what is made of them stays the same.
    set.records.sort_unstable();
    Ok(set)
}

/// Asks for the AAAA records of a name.
///
/// # Errors
///
/// Why there is no answer.
pub async fn addresses(servers: &Servers, name: &Name) -> Result<RecordSet<Ipv6Addr>, AskError> {
    let (_, mut set) = lookup(servers, name, RecordType::AAAA, aaaa_of).await?;
    set.records.sort_unstable();
    Ok(set)
}

/// Asks for the records of a type, following aliases, and returns them with the canonical name.
async fn lookup<T>(
    servers: &Servers,
    name: &Name,
    kind: RecordType,
    read: impl Fn(&RData) -> Option<T>,
) -> Result<(Name, RecordSet<T>), AskError> {
    let mut current = name.clone();
    let mut ttl: Option<u32> = None;
    let mut alias_ttl: Option<u32> = None;
    let mut followed = 0;
    let mut proof = Proof::Secure;
    loop {
        let reply = servers.ask(&current, kind).await?;
        proof = proof.min(reply.proof);
        followed += reply.followed;
        if followed > MAX_ALIASES {
            return Err(AskError::AliasLoop { followed: MAX_ALIASES });
        }
        ttl = servers::least(ttl, reply.ttl);
        alias_ttl = alias_ttl.max(reply.alias_ttl);
        current = reply.canonical;
        if reply.records.is_empty() && reply.followed > 0 && !reply.no_name {
            // The chain leaves what the server is authoritative for, or it simply has none of this type: ask again.
            continue;
        }
        let records: Vec<T> = reply.records.iter().filter_map(&read).collect();
        let absence = match (records.is_empty(), reply.no_name) {
            (false, _) => None,
            (true, true) => Some(Absence::NoName),
            (true, false) => Some(Absence::NoData),
        };
        let set = RecordSet {
            records,
            ttl,
            own_ttl: reply.own_ttl,
            alias_ttl,
            absence,
            absence_ttl: absence.and(reply.absence_ttl),
            proof,
        };
        return Ok((current, set));
    }
}

fn apl_of(data: &RData) -> Option<Result<Apl, WireError>> {
    match data {
        RData::Unknown { code, rdata } if u16::from(*code) == APL => Some(Apl::from_wire(&rdata.anything)),
        _ => None,
    }
}

fn txt_of(data: &RData) -> Option<Vec<u8>> {
    match data {
        RData::TXT(txt) => Some(txt.txt_data.concat()),
        // Without any string.
        RData::Unknown { .. } => Some(Vec::new()),
        _ => None,
    }
}

fn aaaa_of(data: &RData) -> Option<Ipv6Addr> {
    if let RData::AAAA(address) = data {
        Some(address.0)
    } else {
        None
    }
}

/// How long to wait for each server by default.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
