//! Section 1: the address prefix list, in presentation format and (RFC 3123, section 4) on the wire.

use std::net::{Ipv4Addr, Ipv6Addr};

/// An item of family 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    pub negated: bool,
    pub address: u128,
    pub length: u32,
}

impl Item {
    pub fn contains(&self, address: u128) -> bool {
        (0..self.length).all(|bit| bit_of(self.address, bit) == bit_of(address, bit))
    }
}

/// Bit 0 is the most significant.
pub fn bit_of(address: u128, bit: u32) -> bool {
    (address >> (127 - bit)) & 1 == 1
}

/// A list without fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apl {
    pub items: Vec<Item>,
}

/// Where an address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the service, under this positive item.
    Service(Item),
    Legacy,
    Outside,
}

impl Apl {
    /// "The longest item that contains an address decides: positive, it is in the service; negated
    /// (`!`), it is legacy; none, it is outside."
    pub fn place(&self, address: u128) -> Place {
        let mut longest: Option<Item> = None;
        for item in &self.items {
            if item.contains(address) && longest.is_none_or(|found| item.length > found.length) {
                longest = Some(*item);
            }
        }
        match longest {
            None => Place::Outside,
            Some(item) if item.negated => Place::Legacy,
            Some(item) => Place::Service(item),
        }
    }

    /// The positive items, each once.
    pub fn positives(&self) -> Vec<Item> {
        let mut found: Vec<Item> = Vec::new();
        for item in &self.items {
            if !item.negated && !found.contains(item) {
                found.push(*item);
            }
        }
        found
    }
}

/// A decimal number "with no sign or leading zero" from `low` to `high`.
pub fn number(text: &str, low: u64, high: u64) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{text:?} is not a decimal number"));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!("{text:?} has a leading zero"));
    }
    let value: u64 = text.parse().map_err(|_| format!("{text} exceeds {high}"))?;
    if value < low || value > high {
        return Err(format!("{text} is not in {low}..{high}"));
    }
    Ok(value)
}

/// `item = ["!"] family ":" address "/" length`. An item of another family is `None`: "items of
/// families other than 2 are ignored"; of those only the shape is read.
pub fn item(text: &str) -> Result<Option<Item>, String> {
    let (negated, rest) = match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (family, rest) = rest.split_once(':').ok_or(format!("{text:?}: no family"))?;
    let (address, length) = rest.split_once('/').ok_or(format!("{text:?}: no length"))?;
    let family = number(family, 0, 65535)?;
    if family != 2 {
        number(length, 0, 255)?;
        return Ok(None);
    }
    let length = number(length, 0, 128)? as u32;
    let address: Ipv6Addr = address.parse().map_err(|_| format!("{text:?}: not an IPv6 address"))?;
    let address = u128::from(address);
    // "Bits past a length must be zero."
    if (length..128).any(|bit| bit_of(address, bit)) {
        return Err(format!("{text:?}: bits past the length"));
    }
    Ok(Some(Item {
        negated,
        address,
        length,
    }))
}

/// The items of family 2 of a list in presentation format.
pub fn items(text: &str) -> Result<Vec<Item>, String> {
    let mut found = Vec::new();
    for word in text.split([' ', '\t']) {
        if word.is_empty() {
            continue;
        }
        if let Some(item) = item(word)? {
            found.push(item);
        }
    }
    Ok(found)
}

/// "Equal items, one negated, are an error, as are no positive item, more than 64 items of family 2
/// (duplicates counted), or a positive item shorter than /16."
pub fn list(items: Vec<Item>) -> Result<Apl, String> {
    for one in &items {
        for other in &items {
            if one.address == other.address && one.length == other.length && one.negated != other.negated {
                return Err(format!("an item and its negation: {one:x?}"));
            }
        }
    }
    if items.iter().all(|item| item.negated) {
        return Err("no positive item".into());
    }
    if items.len() > 64 {
        return Err(format!("{} items exceed 64", items.len()));
    }
    if let Some(item) = items.iter().find(|item| !item.negated && item.length < 16) {
        return Err(format!("a positive item shorter than /16: {item:x?}"));
    }
    Ok(Apl { items })
}

/// An APL RRset in presentation format; several records united are one text. "An RRset left with
/// none counts as absent": `None`.
pub fn rrset(text: &str) -> Result<Option<Apl>, String> {
    let items = items(text)?;
    if items.is_empty() {
        return Ok(None);
    }
    list(items).map(Some)
}

/// An item on the wire, of any family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireItem {
    pub family: u16,
    pub negated: bool,
    pub length: u8,
    pub afdpart: Vec<u8>,
}

/// RFC 3123, section 4:
/// ```text
/// +--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+
/// |                 ADDRESSFAMILY                 |
/// +--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+
/// |        PREFIX         | N|     AFDLENGTH      |
/// +--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+
/// /                    AFDPART                    /
/// +--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+--+
/// ```
/// any number of times. Trailing zero octets are never sent (section 4.1), so a receiver rejects
/// them; a family it does not know it keeps as it stands.
pub fn from_wire(mut wire: &[u8]) -> Result<Vec<WireItem>, String> {
    let mut found = Vec::new();
    while !wire.is_empty() {
        if wire.len() < 4 {
            return Err("truncated before AFDPART".into());
        }
        let family = u16::from(wire[0]) << 8 | u16::from(wire[1]);
        let length = wire[2];
        let negated = wire[3] & 0x80 != 0;
        let afdlength = usize::from(wire[3] & 0x7f);
        wire = &wire[4..];
        if wire.len() < afdlength {
            return Err("truncated in AFDPART".into());
        }
        let afdpart = wire[..afdlength].to_vec();
        wire = &wire[afdlength..];
        // 4.1: PREFIX 0 to 32, AFDPART 0 to 4 octets; 4.2: 0 to 128, 0 to 16 octets.
        let bounds = match family {
            1 => Some((32, 4)),
            2 => Some((128, 16)),
            _ => None,
        };
        if let Some((bits, octets)) = bounds {
            if length > bits {
                return Err(format!("prefix {length} exceeds {bits}"));
            }
            if afdlength > octets {
                return Err(format!("{afdlength} octets exceed {octets}"));
            }
            if afdpart.last() == Some(&0) {
                return Err("a trailing zero octet".into());
            }
        }
        // The specification's own: "bits past a length must be zero".
        if family == 2 {
            let mut octets = afdpart.clone();
            octets.resize(16, 0);
            let address = u128::from_be_bytes(octets.try_into().unwrap());
            if (u32::from(length)..128).any(|bit| bit_of(address, bit)) {
                return Err("bits past the length".into());
            }
        }
        found.push(WireItem {
            family,
            negated,
            length,
            afdpart,
        });
    }
    Ok(found)
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The wire form of items.
pub fn to_wire(items: &[WireItem]) -> Vec<u8> {
    let mut wire = Vec::new();
    for item in items {
        wire.extend(item.family.to_be_bytes());
        wire.push(item.length);
        wire.push(u8::from(item.negated) << 7 | item.afdpart.len() as u8);
        wire.extend(&item.afdpart);
    }
    wire
}

/// Presentation (RFC 3123, section 5) of families 1 and 2; of any other, for which the RFC gives no
/// text, the AFDPART in hex: `16384:0a0b/12`.
pub fn to_text(item: &WireItem) -> String {
    let mut octets = item.afdpart.clone();
    let address = match item.family {
        1 => {
            octets.resize(4, 0);
            Ipv4Addr::from(<[u8; 4]>::try_from(octets).unwrap()).to_string()
        }
        2 => {
            octets.resize(16, 0);
            Ipv6Addr::from(<[u8; 16]>::try_from(octets).unwrap()).to_string()
        }
        _ => hex(&octets),
    };
    let sign = if item.negated { "!" } else { "" };
    format!("{sign}{}:{address}/{}", item.family, item.length)
}

/// The reverse of [`to_text`] for families 1 and 2.
pub fn from_text(text: &str) -> Result<WireItem, String> {
    let (negated, rest) = match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (family, rest) = rest.split_once(':').ok_or("no family")?;
    let (address, length) = rest.split_once('/').ok_or("no length")?;
    let (mut afdpart, bits) = match family {
        "1" => {
            let address: Ipv4Addr = address.parse().map_err(|_| "not an IPv4 address")?;
            (address.octets().to_vec(), 32)
        }
        "2" => {
            let address: Ipv6Addr = address.parse().map_err(|_| "not an IPv6 address")?;
            (address.octets().to_vec(), 128)
        }
        _ => return Err(format!("family {family} has no text")),
    };
    while afdpart.last() == Some(&0) {
        afdpart.pop();
    }
    Ok(WireItem {
        family: family.parse().unwrap(),
        negated,
        length: number(length, 0, bits)? as u8,
        afdpart,
    })
}
