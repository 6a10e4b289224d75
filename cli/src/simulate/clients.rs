//! Clients: source prefixes, and how many clients are in each.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use ipnet::Ipv6Net;

use super::random::{Seeded, Shuffle};
use crate::input::{self, PrefixError};

/// The maximum number of clients, objects or accesses of a run.
pub(crate) const MAX_CLIENTS: u64 = 100_000_000;

/// The maximum number of lines of a file of clients.
pub(crate) const MAX_LINES: usize = 4_000_000;

/// Clients of one prefix, `PREFIX[=COUNT]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientGroup {
    pub(crate) prefix: Ipv6Net,
    /// Their number, if given; at most the number of addresses of the prefix.
    pub(crate) count: Option<u64>,
}

impl ClientGroup {
    /// Returns the number of clients, if given; one for a single address.
    pub(crate) fn known_count(&self) -> Option<u64> {
        self.count.or((self.prefix.prefix_len() == 128).then_some(1))
    }
}

impl fmt::Display for ClientGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.prefix)?;
        self.count.map_or(Ok(()), |count| write!(f, "={count}"))
    }
}

/// Why a text does not name clients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientsError {
    /// The prefix is not an IPv6 prefix.
    #[error("`{text}` is not an IPv6 prefix; write PREFIX or PREFIX=COUNT")]
    Prefix { text: String },
    /// The prefix has bits past its length.
    #[error("a bit of {prefix} past its length is set; write {}", prefix.trunc())]
    BitsPastLength { prefix: Ipv6Net },
    /// The prefix cannot be the source of connections.
    #[error("{prefix} is {why}")]
    NoSource { prefix: Ipv6Net, why: &'static str },
    /// The count is not a number within the bounds.
    #[error("`{text}` is not a count from 1 to {MAX_CLIENTS}")]
    Count { text: String },
    /// The prefix has fewer addresses than clients.
    #[error("{count} clients do not fit {prefix}: it has {addresses} address{}", if *addresses == 1 { "" } else { "es" })]
    TooMany {
        prefix: Ipv6Net,
        count: u64,
        addresses: u64,
    },
}

/// Reads an IPv6 prefix without bits past its length; an address alone is a prefix of 128 bits.
pub(crate) fn prefix(text: &str) -> Result<Ipv6Net, ClientsError> {
    input::prefix(text).map_err(|error| match error {
        PrefixError::None => ClientsError::Prefix { text: text.into() },
        PrefixError::BitsPastLength(prefix) => ClientsError::BitsPastLength { prefix },
    })
}

impl FromStr for ClientGroup {
    type Err = ClientsError;

    fn from_str(text: &str) -> Result<Self, ClientsError> {
        let (prefix_text, count) = text
            .split_once('=')
            .map_or((text, None), |(p, c)| (p.trim(), Some(c.trim())));
        let prefix = prefix(prefix_text.trim())?;
        if let Some(why) = input::never_a_source(&prefix) {
            return Err(ClientsError::NoSource { prefix, why });
        }
        let Some(text) = count else {
            return Ok(Self { prefix, count: None });
        };
        let count: Option<u64> = text.parse().ok().filter(|count| (1..=MAX_CLIENTS).contains(count));
        let count = count.ok_or_else(|| ClientsError::Count { text: text.into() })?;
        match 1_u64.checked_shl(u32::from(128 - prefix.prefix_len())) {
            Some(addresses) if count > addresses => Err(ClientsError::TooMany {
                prefix,
                count,
                addresses,
            }),
            _ => Ok(Self {
                prefix,
                count: Some(count),
            }),
        }
    }
}

/// Numbered clients: the sources of one group after the other, distinct and random within each group.
#[derive(Clone, Debug)]
pub(crate) struct Population {
    groups: Vec<Group>,
    count: u64,
}

#[derive(Clone, Debug)]
struct Group {
    prefix: Ipv6Net,
    /// The number of its first client.
    first: u64,
    shuffle: Option<Box<Shuffle>>,
}

/// Why groups do not form a population.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PopulationError {
    /// A group has no count.
    #[error("{prefix} needs a count; write {prefix}=COUNT")]
    NoCount { prefix: Ipv6Net },
    /// There are more than [`MAX_CLIENTS`].
    #[error("{count} clients exceed {MAX_CLIENTS}")]
    TooMany { count: u64 },
}

impl Population {
    /// Numbers the clients of the groups.
    pub(crate) fn new(groups: &[ClientGroup], seed: u64) -> Result<Self, PopulationError> {
        let mut row = Vec::with_capacity(groups.len());
        let mut first = 0_u64;
        for (stream, group) in (0_u64..).zip(groups) {
            let prefix = group.prefix;
            let count = group.known_count().ok_or(PopulationError::NoCount { prefix })?;
            let shuffle = (prefix.prefix_len() < 128).then(|| {
                let mut random = Seeded::new(seed, stream | 1 << 63);
                Box::new(Shuffle::new(128 - prefix.prefix_len(), &mut random))
            });
            row.push(Group { prefix, first, shuffle });
            first = first.saturating_add(count);
        }
        if first > MAX_CLIENTS {
            return Err(PopulationError::TooMany { count: first });
        }
        Ok(Self {
            groups: row,
            count: first,
        })
    }

    /// Returns the number of clients.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the source of a client, counted from 0.
    pub(crate) fn source(&self, client: u64) -> Option<Ipv6Addr> {
        let after = self.groups.partition_point(|group| group.first <= client);
        let group = self.groups.get(after.checked_sub(1)?)?;
        let inside = group
            .shuffle
            .as_ref()
            .map_or(0, |shuffle| shuffle.at(u128::from(client - group.first)));
        Some(Ipv6Addr::from(u128::from(group.prefix.network()) | inside))
    }
}

/// Why a line of a file of clients is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LineError {
    /// It does not name clients.
    #[error(transparent)]
    Clients(#[from] ClientsError),
    /// It is one more than [`MAX_LINES`].
    #[error("more than {MAX_LINES} lines; write PREFIX=COUNT for many clients")]
    TooMany,
}

/// The maximum number of faults reported for a file of clients.
const MAX_LINE_FAULTS: usize = 20;

/// Reads lines of `SOURCE` or `PREFIX=COUNT`, possibly empty, with comments after `#`.
///
/// # Errors
///
/// Every fault with the number of its line, up to [`MAX_LINE_FAULTS`].
pub(crate) fn lines(text: &str) -> Result<Vec<ClientGroup>, Vec<(usize, LineError)>> {
    let mut groups = Vec::new();
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        match line.parse::<ClientGroup>() {
            Ok(group) => groups.push(group),
            Err(error) => faults.push((number, error.into())),
        }
        if groups.len() > MAX_LINES {
            faults.push((number, LineError::TooMany));
        }
        if faults.len() == MAX_LINE_FAULTS || groups.len() > MAX_LINES {
            break;
        }
    }
    if faults.is_empty() { Ok(groups) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn group(text: &str) -> Result<ClientGroup, String> {
        text.parse().map_err(|error: ClientsError| error.to_string())
    }

    #[test]
    fn groups_are_read_and_bounded() {
        assert_eq!(group("2001:db8::/32=5").unwrap().count, Some(5));
        assert_eq!(group("2001:db8::7").unwrap().known_count(), Some(1));
        assert_eq!(group("2001:db8::/64").unwrap().known_count(), None);
        assert_eq!(group("2001:db8::/126=4").unwrap().count, Some(4));
        for (bad, wanted) in [
            ("2001:db8::/126=5", "it has 4 addresses"),
            ("2001:db8::1/64=5", "write 2001:db8::/64"),
            ("192.0.2.0/24=5", "not an IPv6 prefix"),
            ("2001:db8::/32=0", "count from 1"),
            ("2001:db8::/32=100000001", "count from 1"),
            ("2001:db8::/32=", "count from 1"),
        ] {
            let error = group(bad).unwrap_err();
            assert!(error.contains(wanted), "{bad}: {error}");
        }
    }

    #[test]
    fn every_client_has_its_own_source_in_its_prefix() {
        let groups = [group("2001:db8:1::/120=200").unwrap(), group("2001:db8:2::9").unwrap()];
        let population = Population::new(&groups, 1).unwrap();
        let sources: HashSet<Ipv6Addr> = (0..201).filter_map(|client| population.source(client)).collect();
        assert_eq!(sources.len(), 201);
        let inside = sources.iter().filter(|source| groups[0].prefix.contains(*source));
        assert_eq!(inside.count(), 200);
        assert_eq!(population.source(200), Some("2001:db8:2::9".parse().unwrap()));
    }

    #[test]
    fn faults_have_the_number_of_their_line() {
        let good = lines("# all\n2001:db8::1 # one\n\n2001:db8::/32=7\n").unwrap();
        assert_eq!(good.len(), 2);
        let faults = lines("2001:db8::1\nx\n2001:db8::/32=x\n").unwrap_err();
        assert_eq!(faults.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3]);
    }
}
