//! Section 3: composing an address, with what is random given.

use super::apl::{Item, Place, bit_of};
use super::hash::{self, PUBLIC, Values, siphash, top};
use super::record::{Field, Pick, Record, Usable};

/// Secrets by key id.
pub type Secrets = Vec<(String, [u8; 16])>;

/// What a client is, wants and knows.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub values: Values,
    pub time: Option<u64>,
    pub secrets: Secrets,
    /// 0..replicas−1
    pub replica: u32,
}

/// The K of a mac: "the secret, or with `kdf=src/l` the client's own key".
pub fn k(record: &Record, secrets: &Secrets, source: u128) -> Result<[u8; 16], String> {
    let id = record.key.as_ref().ok_or("no key")?;
    let (_, secret) = secrets
        .iter()
        .find(|(other, _)| other == id)
        .ok_or(format!("no secret {id}"))?;
    Ok(match record.kdf {
        None => *secret,
        Some(l) => hash::client_key(secret, source, l),
    })
}

/// 3.1: the items to try, best first; those of one group are picked from at random.
pub fn groups(usable: &Usable, values: &Values) -> Result<Vec<Vec<Item>>, String> {
    let positives = usable.apl.positives();
    match &usable.record.item {
        // "near: the positive item sharing the most leading bits with the source, ties at random."
        Pick::Near => {
            let shared = |item: &Item| {
                (0..item.length)
                    .take_while(|bit| bit_of(item.address, *bit) == bit_of(values.source, *bit))
                    .count()
            };
            let mut found = Vec::new();
            for count in (0..=128).rev() {
                let group: Vec<Item> = positives.iter().filter(|item| shared(item) == count).copied().collect();
                if !group.is_empty() {
                    found.push(group);
                }
            }
            Ok(found)
        }
        // "rand: any, at random."
        Pick::Rand => Ok(vec![positives]),
        Pick::Hash(_) => Ok(vec![vec![winner(usable, values)?]]),
    }
}

/// "hash: the one with the greatest SipHash(public, `04 ‖ 00 ‖ S ‖ I ‖ item address (16 bytes)`),
/// ties to the lower address."
pub fn winner(usable: &Usable, values: &Values) -> Result<Item, String> {
    let Pick::Hash(inputs) = &usable.record.item else {
        return Err("item is not hash".into());
    };
    let mut best: Option<(u64, Item)> = None;
    for item in usable.apl.positives() {
        let mut message = vec![4, 0];
        message.extend(hash::s(inputs, &usable.record.salt));
        message.extend(hash::i(inputs, values, None)?);
        message.extend(item.address.to_be_bytes());
        let score = siphash(&PUBLIC, &message);
        let better = match best {
            None => true,
            Some((found, other)) => score > found || (score == found && item.address < other.address),
        };
        if better {
            best = Some((score, item));
        }
    }
    best.map(|(_, item)| item).ok_or("no item".into())
}

/// "Those bits of the object key read as a 128-bit number: decimal (leading zeros allowed), `0x`
/// hex, or a UUID (8-4-4-4-12), hex digits of either case; else, or from 2¹²⁸ on, an error."
pub fn object_number(key: &[u8]) -> Result<u128, String> {
    let text = std::str::from_utf8(key).map_err(|_| "not a number")?;
    let (digits, base) = if let Some(hex) = text.strip_prefix("0x") {
        (hex.to_string(), 16)
    } else if text.contains('-') {
        let groups: Vec<&str> = text.split('-').collect();
        let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
        if lengths != [8, 4, 4, 4, 12] {
            return Err(format!("{text:?} is no UUID"));
        }
        (groups.concat(), 16)
    } else {
        (text.to_string(), 10)
    };
    if digits.is_empty() {
        return Err(format!("{text:?} has no digits"));
    }
    let mut value = 0u128;
    for digit in digits.chars() {
        let digit = digit.to_digit(base).ok_or(format!("{text:?} is no number"))?;
        value = value
            .checked_mul(u128::from(base))
            .and_then(|value| value.checked_add(u128::from(digit)))
            .ok_or(format!("{text:?} exceeds 128 bits"))?;
    }
    Ok(value)
}

/// Bits a to b−1 of a 128-bit number.
pub fn bits(number: u128, a: u32, b: u32) -> u64 {
    let mut value = 0u64;
    for bit in a..b {
        value = value << 1 | u64::from(bit_of(number, bit));
    }
    value
}

/// The value of field i of width n before any replica, `so_far` being the address with this field
/// and all bits after it cleared; none for rand. `key` is K.
pub fn value(
    record: &Record,
    place: usize,
    values: &Values,
    step: Option<u64>,
    key: Option<[u8; 16]>,
    so_far: u128,
) -> Result<Option<u64>, String> {
    Ok(match &record.template[place] {
        Field::Rand(_) => None,
        Field::Const(value, _) => Some(*value),
        Field::Src(a, b) => Some(bits(values.source, *a, *b)),
        Field::Obj(a, b) => {
            let object = values.object.as_ref().ok_or("no object key")?;
            Some(bits(object_number(object)?, *a, *b))
        }
        // "the top n bits of SipHash(public, `01 ‖ u8 i ‖ S ‖ I`)"
        Field::Hash(inputs, n) => {
            let mut message = vec![1, place as u8];
            message.extend(hash::s(inputs, &record.salt));
            message.extend(hash::i(inputs, values, step)?);
            Some(top(siphash(&PUBLIC, &message), *n))
        }
        // "the top n bits of SipHash(K, `02 ‖ u8 i ‖ S ‖ I ‖ A`)"
        Field::Mac(inputs, n) => {
            let mut message = vec![2, place as u8];
            message.extend(hash::s(inputs, &record.salt));
            message.extend(hash::i(inputs, values, step)?);
            message.extend(so_far.to_be_bytes());
            Some(top(siphash(&key.ok_or("no secret")?, &message), *n))
        }
    })
}

/// "Replica r: the first field's value becomes (value + ⌊r·2ⁿ/replicas⌋) mod 2ⁿ."
pub fn shifted(value: u64, n: u32, replica: u32, replicas: u32) -> u64 {
    let size = 1u128 << n;
    ((u128::from(value) + u128::from(replica) * size / u128::from(replicas)) % size) as u64
}

/// 3.2: the address under this item, with these values for the rand fields in order.
pub fn fill(usable: &Usable, client: &Client, item: u128, rand: &[u64]) -> Result<u128, String> {
    let record = &usable.record;
    if client.replica >= record.replicas {
        return Err(format!("no replica {}", client.replica));
    }
    let key = if record.has_mac() {
        Some(k(record, &client.secrets, client.values.source)?)
    } else {
        None
    };
    let step = match (record.step(), client.time) {
        (None, _) => None,
        (Some(_), None) => return Err("no time".into()),
        (Some(s), Some(time)) => Some(time / u64::from(s)),
    };
    // "most significant first, directly after the item"
    let mut address = item;
    let mut end = 128 - record.w();
    let mut drawn = rand.iter();
    for (place, field) in record.template.iter().enumerate() {
        let n = field.width();
        end += n;
        let value = match value(record, place, &client.values, step, key, address)? {
            Some(value) => value,
            None => {
                let bits = *drawn.next().ok_or("no random bits")?;
                bits & (u64::MAX >> (64 - n))
            }
        };
        let value = if place == 0 {
            shifted(value, n, client.replica, record.replicas)
        } else {
            value
        };
        address |= u128::from(value) << (128 - end);
    }
    Ok(address)
}

/// 3.4: "the top d bits of SipHash(public, `03 ‖ u16 length ‖ salt ‖ source ‖ destination ‖ u16
/// port ‖ u64 ⌊time/60⌋`) must be zero".
pub fn pow_ok(record: &Record, source: u128, destination: u128, port: u16, minute: u64) -> bool {
    if record.pow == 0 {
        return true;
    }
    let mut message = vec![3];
    message.extend(hash::length_and_salt(&record.salt));
    message.extend(source.to_be_bytes());
    message.extend(destination.to_be_bytes());
    message.extend(port.to_be_bytes());
    message.extend(minute.to_be_bytes());
    top(siphash(&PUBLIC, &message), record.pow) == 0
}

/// All of section 3, drawing random bits (and picks) from `draw`.
pub fn compose(usable: &Usable, client: &Client, draw: &mut dyn FnMut() -> u64) -> Result<u128, String> {
    let record = &usable.record;
    let rands = record
        .template
        .iter()
        .filter(|field| matches!(field, Field::Rand(_)))
        .count();
    let mut once = |item: u128| {
        let rand: Vec<u64> = (0..rands).map(|_| draw()).collect();
        fill(usable, client, item, &rand)
    };
    let in_service = |address| matches!(usable.apl.place(address), Place::Service(_));
    // The inputs of pow are as much needed as those of fields.
    let pow = if record.pow > 0 {
        let port = client.values.port.ok_or("no port")?;
        let time = client.time.ok_or("no time")?;
        Some((port, time / 60))
    } else {
        None
    };
    for group in groups(usable, &client.values)? {
        // Any order is as good as another within a group.
        for item in group {
            // 3.3: "If the result is not in the service, redraw the rand fields, at most 64 times,
            // then the next item (not with item=hash), then an error."
            let mut found = None;
            for _ in 0..=64 {
                let address = once(item.address)?;
                if in_service(address) {
                    found = Some(address);
                    break;
                }
            }
            let Some(mut address) = found else { continue };
            let Some((port, minute)) = pow else {
                return Ok(address);
            };
            // 3.4: "redraw the rand fields (without that limit of 64) until they are; after 64·2^d
            // tries, an error."
            for _ in 0..64u64 << record.pow {
                if in_service(address) && pow_ok(record, client.values.source, address, port, minute) {
                    return Ok(address);
                }
                address = once(item.address)?;
            }
            return Err("no proof of work found".into());
        }
    }
    Err("no address in the service".into())
}
