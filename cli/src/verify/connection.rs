//! One line of a batch: a source and a destination in plain text, or a line of Envoy's access log in JSON.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};
use ssa_input::json;
use ssa_rules::{Destination, Port, Source, UnixTime};

use crate::{
    counts::counted,
    failure::Faults,
    input::{never_a_source, number},
};

/// The fields of a line of JSON, of which the first present one counts: those of the configurations in envoy/ and of the
/// chart, then those of Envoy's and Istio's own formats.
const SOURCES: [&str; 2] = ["source", "downstream_remote_address"];
const DESTINATIONS: [&str; 2] = ["destination", "downstream_local_address"];
const TIMES: [&str; 2] = ["time", "start_time"];

/// A connection in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) source: Source,
    pub(super) destination: Destination,
    /// The destination's port, if the line has it.
    pub(super) port: Option<Port>,
    /// When it began, if the line has it.
    pub(super) time: Option<UnixTime>,
}

/// The content of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A connection.
    Connection(Connection),
    /// Nothing: an empty line or a comment.
    Nothing,
    /// A connection without an IPv6 source or destination: one over IPv4, or one that Envoy rejected early.
    Other,
}

/// Reads a line and records every fault. `by_its_time` returns whether the line is judged at its own time.
pub(super) fn read(place: &str, text: &str, by_its_time: bool, faults: &mut Faults) -> Option<Line> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        Some(Line::Nothing)
    } else if text.starts_with('{') {
        faults.take(place, of_json(text, by_its_time))
    } else {
        of_words(place, text, faults).map(Line::Connection)
    }
}

fn of_words(place: &str, text: &str, faults: &mut Faults) -> Option<Connection> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (source, destination, port) = match words[..] {
        [source, destination] => (source, destination, None),
        [source, destination, port] => (source, destination, Some(port)),
        _ => {
            let words = counted(words.len(), "word");
            faults.push(
                place,
                format!("{words}; a line is SOURCE DESTINATION [PORT], or JSON of an access log"),
            );
            return None;
        }
    };
    let mut ipv6 = |text: &str| match faults.take(place, socket(text))? {
        (IpAddr::V6(address), port) => Some((address, port)),
        (IpAddr::V4(_), _) => {
            faults.push(place, format!("`{text}` is not an IPv6 address, such as 2001:db8::7"));
            None
        }
    };
    let (source, destination) = (ipv6(source), ipv6(destination));
    let source = source.filter(|(source, _)| faults.take(place, of_a_connection(*source)).is_some());
    let (port_given, port) = match port {
        Some(port) => (true, number(place, port, 0, u16::MAX, faults)),
        None => (false, None),
    };
    let ((source, _), (destination, of_destination)) = (source?, destination?);
    if port_given && port.is_none() {
        return None;
    }
    if let (Some(port), Some(of_destination)) = (port, of_destination)
        && port != of_destination
    {
        faults.push(place, format!("two ports, {of_destination} and {port}; one is enough"));
        return None;
    }
    Some(Connection {
        source: Source(source),
        destination: Destination(destination),
        port: port.or(of_destination).map(Port),
        time: None,
    })
}

/// Why a line is not a connection.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    /// The line is not valid JSON.
    #[error("{}", joined(.0))]
    Json(Vec<json::Fault>),
    /// Neither of two fields is present.
    #[error("neither {} nor {} is present", .0[0], .0[1])]
    Missing([&'static str; 2]),
    /// A field is not an address.
    #[error("{field}: {source}")]
    Field { field: &'static str, source: AddressError },
    /// A field is not a string.
    #[error("{0}: must be a string with an address")]
    NotString(&'static str),
    /// The time has another format.
    #[error("{0}: must be a time in UTC, such as 2026-11-29T17:18:04.123Z; --time UNIX judges all lines at one time")]
    Time(&'static str),
    /// Connections cannot have this source.
    #[error("the source {source_address} is {why}")]
    Source {
        source_address: Ipv6Addr,
        why: &'static str,
    },
}

/// A text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an IPv6 address, such as 2001:db8::7 or [2001:db8::7]:443")]
struct AddressError {
    text: String,
}

/// Joins the faults of a line, whose columns say where they are.
fn joined(faults: &[json::Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn of_json(text: &str, by_its_time: bool) -> Result<Line, ConnectionError> {
    let line: Map<String, Value> = json::read(text.as_bytes()).map_err(ConnectionError::Json)?;
    let (Some(source), Some(destination)) = (address(&line, &SOURCES)?, address(&line, &DESTINATIONS)?) else {
        return Ok(Line::Other);
    };
    let ((IpAddr::V6(source), _), (IpAddr::V6(destination), port)) = (source, destination) else {
        return Ok(Line::Other);
    };
    let is_mapped = |address: Ipv6Addr| address.to_ipv4_mapped().is_some();
    if is_mapped(source) || is_mapped(destination) {
        return Ok(Line::Other);
    }
    of_a_connection(source)?;
    let time = match TIMES.iter().find_map(|key| Some((key, line.get(*key)?))) {
        None | Some((_, Value::Null)) => None,
        Some((_, Value::String(text))) if matches!(text.as_str(), "" | "-") => None,
        Some((key, value)) => Some(value.as_str().and_then(start_time).ok_or(ConnectionError::Time(key))),
    };
    Ok(Line::Connection(Connection {
        source: Source(source),
        destination: Destination(destination),
        port: port.map(Port),
        time: time.filter(|_| by_its_time).transpose()?,
    }))
}

/// Rejects a source that connections cannot have.
fn of_a_connection(source_address: Ipv6Addr) -> Result<(), ConnectionError> {
    let why = never_a_source(&source_address.into());
    why.map_or(Ok(()), |why| Err(ConnectionError::Source { source_address, why }))
}

/// Reads the address in the first present field; nothing if Envoy had none, or one of another kind.
fn address(
    line: &Map<String, Value>,
    keys: &[&'static str; 2],
) -> Result<Option<(IpAddr, Option<u16>)>, ConnectionError> {
    let found = keys.iter().find_map(|key| Some((key, line.get(*key)?)));
    let Some((key, value)) = found else {
        return Err(ConnectionError::Missing(*keys));
    };
    match value {
        Value::Null => Ok(None),
        Value::String(text)
            if matches!(text.as_str(), "" | "-") || text.starts_with(['/', '@']) || text.contains("://") =>
        {
            Ok(None)
        }
        Value::String(text) => socket(text)
            .map(Some)
            .map_err(|source| ConnectionError::Field { field: key, source }),
        _ => Err(ConnectionError::NotString(key)),
    }
}

/// Reads an address with or without a port, and with a zone if it is link-local: `ADDRESS`, `[ADDRESS]`, `[ADDRESS]:PORT`, or of IPv4 `ADDRESS:PORT`.
fn socket(text: &str) -> Result<(IpAddr, Option<u16>), AddressError> {
    let error = || AddressError { text: text.into() };
    // A link-local address is followed by its zone (RFC 4007 §11): Envoy writes the index of an interface.
    let ipv6 = |text: &str| {
        let (address, zone) = text
            .split_once('%')
            .map_or((text, None), |(address, zone)| (address, Some(zone)));
        let is_zone = |zone: &str| !zone.is_empty() && !zone.contains(|c: char| c.is_whitespace() || c == '%');
        let address: Ipv6Addr = address.parse().ok()?;
        zone.is_none_or(|zone| is_zone(zone) && address.is_unicast_link_local())
            .then_some(address)
    };
    let port = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| plain).ok_or_else(error)
    };
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let address = ipv6(address).ok_or_else(error)?;
        let port = match rest.strip_prefix(':') {
            Some(digits) => Some(port(digits)?),
            None if rest.is_empty() => None,
            None => return Err(error()),
        };
        return Ok((address.into(), port));
    }
    if let Some(address) = ipv6(text) {
        return Ok((address.into(), None));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok((address.into(), None));
    }
    let (address, digits) = text.split_once(':').ok_or_else(error)?;
    let address: Ipv4Addr = address.parse().map_err(|_| error())?;
    Ok((address.into(), Some(port(digits)?)))
}

/// Reads a time as Envoy's `%START_TIME%` writes it, in UTC: `2026-11-29T17:18:04.123Z` (RFC 3339, of which a leap second
/// is none that Unix time has).
fn start_time(text: &str) -> Option<UnixTime> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time
        .split_once('.')
        .map_or((time, "0"), |(time, fraction)| (time, fraction));
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let is_time = hour < 24 && minute < 60 && second < 60;
    let has_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if year < 1970 || !is_time || !has_fraction || day == 0 || day > days_in(year, month)? {
        return None;
    }
    // The year begins in March, so that the leap day is its last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1;
    // 719468 days lie between the first of March of the year 0 and 1970.
    Some(UnixTime((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second))
}

/// Reads three numbers of so many digits each.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let parts: Vec<&str> = text.split(separator).collect();
    let number = |(part, digits): (&&str, usize)| {
        let plain = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse().ok().filter(|_| plain)
    };
    let numbers: Option<Vec<u64>> = parts.iter().zip(digits).map(number).collect();
    numbers.filter(|_| parts.len() == digits.len())?.try_into().ok()
}

/// Returns how many days a month has, if there is such a month.
fn days_in(year: u64, month: u64) -> Option<u64> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => Some(if is_leap { 29 } else { 28 }),
        4 | 6 | 9 | 11 => Some(30),
        1..=12 => Some(31),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Line, String> {
        let mut faults = Faults::default();
        read("line", text, true, &mut faults)
            .ok_or_else(|| faults.0.iter().map(|fault| fault.message.clone()).collect())
    }

    fn connection(text: &str) -> Connection {
        match line(text) {
            Ok(Line::Connection(connection)) => connection,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn words_and_lines_of_envoy_are_the_same_connection() {
        let wanted = connection("2001:db8::7 2001:db8:5::1 443");
        for text in [
            "[2001:db8::7]:50000 [2001:db8:5::1]:443",
            "[2001:db8::7] 2001:db8:5::1 443",
            r#"{"source":"[2001:db8::7]:50000","destination":"[2001:db8:5::1]:443","ssa":null}"#,
            r#"{"downstream_remote_address":"[2001:db8::7]:1","downstream_local_address":"[2001:db8:5::1]:443"}"#,
        ] {
            assert_eq!(connection(text), wanted, "{text}");
        }
    }

    #[test]
    fn link_local_addresses_have_zones() {
        let wanted = connection("fe80::1 2001:db8:5::1 443");
        for text in [
            "[fe80::1%2]:5 [2001:db8:5::1]:443",
            "fe80::1%eth0 2001:db8:5::1 443",
            "[fe80::1%eth0] 2001:db8:5::1 443",
            r#"{"source":"[fe80::1%2]:5","destination":"[2001:db8:5::1]:443"}"#,
        ] {
            assert_eq!(connection(text), wanted, "{text}");
        }
        for text in [
            "[fe80::1%]:5 2001:db8::1",
            "2001:db8::7%2 2001:db8::1",
            "fe80::1%a%b 2001:db8::1",
        ] {
            assert!(line(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_that_is_none_is_told_where_the_line_is_judged_by_it() {
        let text =
            r#"{"start_time":"2026-02-30T00:00:00Z","source":"[2001:db8::7]:5","destination":"[2001:db8:5::1]:443"}"#;
        assert!(line(text).unwrap_err().contains("start_time: must be a time in UTC"));
        let mut faults = Faults::default();
        assert!(read("line", text, false, &mut faults).is_some() && faults.0.is_empty());
        let without = text.replace("2026-02-30T00:00:00Z", "-");
        assert_eq!(connection(&without).time, None);
    }

    #[test]
    fn what_is_not_of_ipv6_is_passed_over_in_logs_alone() {
        for text in [
            r#"{"source":"192.0.2.7:50000","destination":"192.0.2.1:443"}"#,
            r#"{"source":"[::ffff:192.0.2.7]:5","destination":"[::ffff:192.0.2.1]:443"}"#,
            r#"{"source":"[2001:db8::7]:5","destination":null}"#,
            r#"{"source":"[2001:db8::7]:5","destination":"-"}"#,
            r#"{"source":"@/run/x.sock","destination":"/run/y.sock"}"#,
        ] {
            assert_eq!(line(text), Ok(Line::Other), "{text}");
        }
        assert_eq!(line("  # a comment"), Ok(Line::Nothing));
        for text in [
            "192.0.2.7 2001:db8::1",
            "[2001:db8::7]: 2001:db8::1",
            "[2001:db8::7]:99999 2001:db8::1",
            "2001:db8::7 [2001:db8::1]:443 80",
            r#"{"source":"[2001:db8::7]:5"}"#,
            r#"{"source":7,"destination":"[2001:db8::7]:5"}"#,
            r#"{"source":"#,
        ] {
            assert!(line(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_of_envoy_are_read() {
        let at = |text: &str| start_time(text).map(|time| time.0);
        assert_eq!(at("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(at("2000-02-29T12:00:00Z"), Some(951_825_600));
        assert_eq!(at("2024-02-29T23:59:59.999999Z"), Some(1_709_251_199));
        assert_eq!(at("2026-12-31T00:00:00Z"), Some(1_798_675_200));
        assert_eq!(at("2026-09-21T14:13:20.123Z"), Some(1_790_000_000));
        for bad in [
            "",
            "2026-09-21",
            "2026-13-01T00:00:00Z",
            "x-y-zT1:2:3Z",
            "1969-12-31T23:59:59Z",
            "2026-09-21T24:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-09-00T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-09-21T23:60:00Z",
            "2026-09-21T23:59:60Z",
            "2026-9-21T00:00:00Z",
            "+026-09-21T00:00:00Z",
            "2026-09-21T00:00:00.Z",
            "2026-09-21T00:00:00.xZ",
            "2026-09-21T00:00:00+00:00",
            "2026-09-21-01T00:00:00Z",
        ] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
