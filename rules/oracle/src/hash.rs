//! SipHash-2-4 after Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), section 2,
//! and the messages that section 3 of the specification builds for it.

use super::record::Input;

/// "The public key is the 16 ASCII bytes `ssa1-public-hash`."
pub const PUBLIC: [u8; 16] = *b"ssa1-public-hash";

/// SipHash-2-4 with 64-bit output, "its result taken as a 64-bit number".
pub fn siphash(key: &[u8; 16], message: &[u8]) -> u64 {
    // 2.1 Initialization: k0 and k1 are little-endian 64-bit words of the key.
    let word = |bytes: &[u8]| {
        let mut word = 0u64;
        for (place, byte) in bytes.iter().enumerate() {
            word |= u64::from(*byte) << (8 * place);
        }
        word
    };
    let k0 = word(&key[0..8]);
    let k1 = word(&key[8..16]);
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    // 2.2 Compression: w = ceil((b+1)/8) words, the last ending in b mod 256.
    let mut padded = message.to_vec();
    while padded.len() % 8 != 7 {
        padded.push(0);
    }
    padded.push((message.len() % 256) as u8);
    for chunk in padded.chunks(8) {
        let m = word(chunk);
        v[3] ^= m;
        sip_round(&mut v);
        sip_round(&mut v);
        v[0] ^= m;
    }
    // 2.3 Finalization.
    v[2] ^= 0xff;
    for _ in 0..4 {
        sip_round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn sip_round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13);
    v[3] = v[3].rotate_left(16);
    v[1] ^= v[0];
    v[3] ^= v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17);
    v[3] = v[3].rotate_left(21);
    v[1] ^= v[2];
    v[3] ^= v[0];
    v[2] = v[2].rotate_left(32);
}

/// "'top n bits' are that number's most significant." n is 1..64.
pub fn top(number: u64, n: u32) -> u64 {
    number >> (64 - n)
}

/// The address "with bits l and after cleared".
pub fn cleared(address: u128, l: u32) -> u128 {
    let mut result = 0u128;
    for bit in 0..l {
        let mask = 1u128 << (127 - bit);
        result |= address & mask;
    }
    result
}

/// What the inputs of section 3 stand for. An input that is `None` is missing or unknown.
#[derive(Clone, Debug, Default)]
pub struct Values {
    pub source: u128,
    pub object: Option<Vec<u8>>,
    pub chunk: Option<u64>,
    pub port: Option<u16>,
}

impl Values {
    /// Whether every input is known (time always is).
    pub fn knows(&self, inputs: &[Input]) -> bool {
        inputs.iter().all(|input| match input {
            Input::Src(_) | Input::Time(_) => true,
            Input::Obj => self.object.is_some(),
            Input::Chunk => self.chunk.is_some(),
            Input::Port => self.port.is_some(),
        })
    }
}

/// `S` is `u16 length ‖ salt` if the inputs contain `src`, else `u16 0`.
pub fn s(inputs: &[Input], salt: &str) -> Vec<u8> {
    if inputs.iter().any(|input| matches!(input, Input::Src(_))) {
        length_and_salt(salt)
    } else {
        vec![0, 0]
    }
}

/// `u16 length ‖ salt`; no salt is the empty one.
pub fn length_and_salt(salt: &str) -> Vec<u8> {
    let mut bytes = (salt.len() as u16).to_be_bytes().to_vec();
    bytes.extend(salt.as_bytes());
    bytes
}

/// "`I` is the inputs in the order written." `step` is the number ⌊time/s⌋.
pub fn i(inputs: &[Input], values: &Values, step: Option<u64>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for input in inputs {
        match input {
            // `src/l` → `01 ‖ u8 l ‖ source with bits l and after cleared (16 bytes)`
            Input::Src(l) => {
                bytes.push(1);
                bytes.push(*l as u8);
                bytes.extend(cleared(values.source, *l).to_be_bytes());
            }
            // `obj` → `02 ‖ u32 length ‖ key`
            Input::Obj => {
                let key = values.object.as_ref().ok_or("no object key")?;
                bytes.push(2);
                bytes.extend((key.len() as u32).to_be_bytes());
                bytes.extend(key);
            }
            // `chunk` → `03 ‖ u64`
            Input::Chunk => {
                bytes.push(3);
                bytes.extend(values.chunk.ok_or("no chunk")?.to_be_bytes());
            }
            // `time/s` → `04 ‖ u32 s ‖ u64 ⌊time/s⌋`
            Input::Time(s) => {
                bytes.push(4);
                bytes.extend(s.to_be_bytes());
                bytes.extend(step.ok_or("no time")?.to_be_bytes());
            }
            // `port` → `05 ‖ u16`
            Input::Port => {
                bytes.push(5);
                bytes.extend(values.port.ok_or("no port")?.to_be_bytes());
            }
        }
    }
    Ok(bytes)
}

/// "With `kdf=src/l` the client's own key: the 8 bytes, big-endian, of SipHash(secret, `05 00 ‖ u8 l
/// ‖ source with bits l and after cleared`) followed by those of the same with `05 01`."
pub fn client_key(secret: &[u8; 16], source: u128, l: u32) -> [u8; 16] {
    let mut key = Vec::new();
    for half in [0u8, 1] {
        let mut message = vec![5, half, l as u8];
        message.extend(cleared(source, l).to_be_bytes());
        key.extend(siphash(secret, &message).to_be_bytes());
    }
    key.try_into().unwrap()
}
