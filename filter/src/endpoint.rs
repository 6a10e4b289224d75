//! Addresses as Envoy writes them.

use core::net::{IpAddr, Ipv6Addr};

use arrayvec::{ArrayVec, CapacityError};

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address. IPv4 is in its mapped form, which no service owns.
    pub address: Ipv6Addr,
    /// The port.
    pub port: u16,
}

/// The length of the longest endpoint as written by [`Endpoint::write`]: `[1:2:…]:65535` with groups of four digits.
pub const LONGEST: usize = 47;

const GROUPS: u32 = 8;
const GROUP_BITS: u32 = 16;

impl Endpoint {
    /// Reads `[2001:db8::1]:80` or `192.0.2.1:80`; a zone (`%eth0`) is dropped. Pipes and internal addresses are not endpoints.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        parse_groups(text).or_else(|| parse_any(text))
    }

    /// Writes it as Envoy reads it, in groups and never as IPv4, without leaving groups of zeros out.
    ///
    /// # Errors
    ///
    /// The buffer is too small.
    pub fn write<const N: usize>(&self, text: &mut ArrayVec<u8, N>) -> Result<(), CapacityError<u8>> {
        let mut before = b'[';
        for group in self.address.segments() {
            text.try_push(before)?;
            before = b':';
            write_hex(text, group)?;
        }
        text.try_push(b']')?;
        text.try_push(b':')?;
        write_decimal(text, self.port)
    }
}

/// Reads groups and a port, the form of nearly all addresses: the parser of core, which accepts every form, takes about
/// five times as long.
fn parse_groups(text: &[u8]) -> Option<Endpoint> {
    let mut rest = text.strip_prefix(b"[")?.iter();
    let address = Ipv6Addr::from_bits(read_groups(&mut rest)?);
    let port = read_port(rest.as_slice().strip_prefix(b":")?)?;
    Some(Endpoint { address, port })
}

/// Reads every form that core does.
fn parse_any(text: &[u8]) -> Option<Endpoint> {
    let text = core::str::from_utf8(text).ok()?;
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(bracketed) => bracketed.split('%').next()?.parse().ok()?,
        None => host.parse::<core::net::Ipv4Addr>().ok()?.to_ipv6_mapped(),
    };
    Some(Endpoint { address, port })
}

/// Reads groups of hexadecimal digits up to and including a bracket.
fn read_groups(text: &mut core::slice::Iter<'_, u8>) -> Option<u128> {
    let (mut address, mut groups) = (0_u128, 0_u32);
    // How many groups stand before `::`.
    let mut gap = None;
    if let Some(rest) = text.as_slice().strip_prefix(b"::") {
        *text = rest.iter();
        gap = Some(0);
    }
    let (mut group, mut digits) = (0_u16, 0_u32);
    loop {
        let byte = *text.next()?;
        let digit = match byte {
            b'0'..=b'9' => byte.wrapping_sub(b'0'),
            b'a'..=b'f' => byte.wrapping_sub(b'a').wrapping_add(10),
            b'A'..=b'F' => byte.wrapping_sub(b'A').wrapping_add(10),
            b':' | b']' if digits > 0 => {
                address = address.unbounded_shl(GROUP_BITS) | u128::from(group);
                groups = groups.saturating_add(1);
                (group, digits) = (0, 0);
                if byte == b']' {
                    break;
                }
                continue;
            }
            b':' if groups > 0 && gap.is_none() => {
                gap = Some(groups);
                continue;
            }
            b']' if gap == Some(groups) => break,
            _ => return None,
        };
        group = group.unbounded_shl(4) | u16::from(digit);
        digits = digits.saturating_add(1);
        if digits > 4 {
            return None;
        }
    }
    match gap {
        None => (groups == GROUPS).then_some(address),
        Some(before) if groups < GROUPS => {
            let after = groups.saturating_sub(before).saturating_mul(GROUP_BITS);
            let left = GROUPS.saturating_sub(before).saturating_mul(GROUP_BITS);
            let low = address & !u128::MAX.unbounded_shl(after);
            Some(address.unbounded_shr(after).unbounded_shl(left) | low)
        }
        Some(_) => None,
    }
}

fn read_port(text: &[u8]) -> Option<u16> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u16, |port, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        port.checked_mul(10)?.checked_add(digit.into())
    })
}

fn write_hex<const N: usize>(text: &mut ArrayVec<u8, N>, group: u16) -> Result<(), CapacityError<u8>> {
    let mut begun = false;
    for shift in [12, 8, 4, 0] {
        let digit = group.unbounded_shr(shift).to_le_bytes()[0] & 0xf;
        begun |= digit > 0 || shift == 0;
        if begun {
            let letter = if digit < 10 { b'0' } else { b'a'.wrapping_sub(10) };
            text.try_push(letter.wrapping_add(digit))?;
        }
    }
    Ok(())
}

fn write_decimal<const N: usize>(text: &mut ArrayVec<u8, N>, port: u16) -> Result<(), CapacityError<u8>> {
    let (mut rest, mut begun) = (port, false);
    for unit in [10_000, 1_000, 100, 10, 1] {
        let digit = rest.checked_div(unit).unwrap_or(0);
        rest = rest.checked_rem(unit).unwrap_or(0);
        begun |= digit > 0 || unit == 1;
        if begun {
            text.try_push(b'0'.wrapping_add(digit.to_le_bytes()[0]))?;
        }
    }
    Ok(())
}

impl core::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match IpAddr::V6(self.address).to_canonical() {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.port),
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<String> {
        Endpoint::parse(text.as_bytes()).map(|endpoint| endpoint.to_string())
    }

    fn written(endpoint: &Endpoint) -> Vec<u8> {
        let mut text = ArrayVec::<u8, LONGEST>::new();
        endpoint.write(&mut text).unwrap();
        text.to_vec()
    }

    #[test]
    fn addresses_of_envoy_are_read() {
        assert_eq!(parse("[2001:db8::7]:443").as_deref(), Some("[2001:db8::7]:443"));
        assert_eq!(parse("[fe80::1%eth0]:1").as_deref(), Some("[fe80::1]:1"));
        assert_eq!(parse("192.0.2.1:65535").as_deref(), Some("192.0.2.1:65535"));
        assert_eq!(parse("[::ffff:192.0.2.1]:80").as_deref(), Some("192.0.2.1:80"));
    }

    #[test]
    fn what_is_not_an_address_and_port_is_rejected() {
        for text in [
            "",
            ":",
            "[",
            "[]:80",
            "[::1]",
            "[::1]:",
            "[::1]:65536",
            "[::1]80",
            "::1:80",
            "/run/x.sock",
            "envoy://internal/x",
            "[::1:80",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(Endpoint::parse(b"[::1]:\xff"), None);
    }

    #[test]
    fn the_usual_form_is_read_as_core_reads_it() {
        // Every text of up to eight groups, with and without a gap at each place, and what is just not one.
        let groups = ["1", "ab", "0", "FFFF", "20", "345", "c", "0db8", "9"];
        let mut texts: Vec<String> = [
            "", ":", "::", ":::", "1:", ":1", "12345::", "g::", "::1::", "1::2:", "1.2.3.4",
        ]
        .map(str::to_owned)
        .into();
        for count in 1..=groups.len() {
            let joined = groups[..count].join(":");
            texts.push(format!("::{joined}"));
            texts.push(format!("{joined}::"));
            for gap in 1..count {
                texts.push(format!("{}::{}", groups[..gap].join(":"), groups[gap..count].join(":")));
                texts.push(format!(
                    "{}:::{}",
                    groups[..gap].join(":"),
                    groups[gap..count].join(":")
                ));
            }
            texts.push(joined);
        }
        for text in &texts {
            let whole = format!("[{text}]:80");
            let wanted: Option<Ipv6Addr> = text.parse().ok();
            assert_eq!(
                parse_groups(whole.as_bytes()).map(|endpoint| endpoint.address),
                wanted,
                "{text}"
            );
        }
    }

    #[test]
    fn ports_are_read_to_their_last() {
        for port in [0, 1, 9, 10, 80, 65_535] {
            assert_eq!(
                parse_groups(format!("[::1]:{port}").as_bytes()).map(|end| end.port),
                Some(port)
            );
        }
        for port in ["", "65536", "99999999999", "-1", "+1", "8o", "80 "] {
            assert_eq!(parse_groups(format!("[::1]:{port}").as_bytes()), None, "{port}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let mut draw = ssa_testing::Draw::seeded(1);
        let mut address = u128::MAX;
        for (step, port) in [0, 1, 9, 10, 80, 443, 8_080, 40_000, 65_535]
            .into_iter()
            .cycle()
            .take(2_000)
            .enumerate()
        {
            let endpoint = Endpoint {
                address: Ipv6Addr::from_bits(address),
                port,
            };
            let text = written(&endpoint);
            assert_eq!(parse_any(&text), Some(endpoint), "{text:?}");
            assert_eq!(parse_groups(&text), Some(endpoint), "{text:?}");
            // Other addresses, with groups of zeros among them.
            address = draw.wide() & !(0xffff_u128 << (step % 8 * 16));
        }
        let longest = Endpoint {
            address: Ipv6Addr::from_bits(u128::MAX),
            port: u16::MAX,
        };
        assert_eq!(written(&longest).len(), LONGEST);
    }
}
