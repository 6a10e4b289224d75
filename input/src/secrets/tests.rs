use ssa_testing::Draw;

use super::*;

/// Writes 16 octets in all the ways that people and tools do.
fn written(octets: [u8; 16]) -> Vec<String> {
    let hex = format!("{:032x}", u128::from_be_bytes(octets));
    let grouped = |size: usize, separator: &str| {
        let groups: Vec<&str> = (0..hex.len())
            .step_by(size)
            .filter_map(|at| hex.get(at..at + size))
            .collect();
        groups.join(separator)
    };
    let base64 = encoded(&octets);
    let url = base64.replace('+', "-").replace('/', "_");
    let escaped = |text: &str| {
        let escapes: Vec<String> = text.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
        escapes.concat()
    };
    let octets = |each: &dyn Fn(u8) -> String, separator: &str| octets.map(each).join(separator);
    vec![
        octets(&|octet| format!("0x{octet:02x}"), ", "),
        octets(&|octet| format!("0x{octet:02X}"), ","),
        octets(&|octet| format!("0x{octet:x}"), ",\n    "),
        octets(&|octet| format!("0x{octet:02x}"), " "),
        octets(&|octet| format!("\\x{octet:02x}"), ""),
        octets(&|octet| format!("\\\\x{octet:02x}"), ""),
        hex.to_uppercase(),
        grouped(2, ":"),
        grouped(2, ":").to_uppercase(),
        grouped(2, "-"),
        grouped(2, " "),
        grouped(4, "-"),
        grouped(4, " "),
        grouped(8, ":"),
        grouped(8, "-"),
        grouped(16, ":"),
        format!("{base64}=="),
        format!("{url}=="),
        escaped(&hex),
        escaped(&base64),
        encoded(hex.as_bytes()),
        format!("{}=", encoded(hex.as_bytes())),
        encoded(format!("{hex}\n").as_bytes()),
        hex,
        base64,
        url,
    ]
}

fn encoded(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in octets.chunks(3) {
        let bits = part.iter().fold(0_usize, |bits, octet| bits << 8 | usize::from(*octet)) << (8 * (3 - part.len()));
        for place in 0..=part.len() {
            text.push(ALPHABET[bits >> (18 - 6 * place) & 63].into());
        }
    }
    text
}

/// Random octets, the same in every run.
fn octets(seed: u64) -> [u8; 16] {
    Draw::seeded(seed).wide().to_be_bytes()
}

#[test]
fn keys_in_every_writing_are_hidden_wherever_they_stand() {
    for seed in 0..500 {
        for key in written(octets(seed)) {
            for (before, after) in [
                ("", ""),
                ("k1=", ", k2"),
                ("`", "` is no number"),
                ("--batch /etc/keys/", ": there is no such file"),
                ("\"", "\""),
                ("\u{1b}[33m", "\u{1b}[0m"),
                ("v=ssa1; key=", "; addr=rand:64"),
                ("größe ", "."),
            ] {
                let text = format!("{before}{key}{after}");
                let shown = concealed(&text);
                assert!(shown.contains(HIDDEN) && !shown.contains(&key), "{text}: {shown}");
                assert!(
                    shown.len() <= before.len() + HIDDEN.len() + after.len() + 9,
                    "{text}: {shown}"
                );
                assert_eq!(masked(&text).len(), text.len());
                assert!(has_key(&text));
            }
        }
    }
}

#[test]
fn what_people_have_to_read_stays() {
    for text in [
        "",
        "2001:0db8:0000:0000:0000:0000:0000:0001",
        "[2001:db8:5:0:1234:5678:9abc:def0]:443, [2001:db8:5:0:1234:5678:9abc:def0]:444",
        "2:2001:db8:5::/64 !2:2001:db8:5::/120 2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff/128",
        "fe80::1%eth0 00:11:22:aa:bb:cc ff-ee-dd-cc-bb-aa-99-88",
        "v=ssa1; addr=hash(src/64):20 mac(src/64,time/30):44; key=k1; kdf=src/48; salt=00112233445566778899aabbccddeeff",
        "salt=ABEiM0RVZneImaq7zN3u_w",
        "v=ssa1; addr=const(0123456789abcdef):64 hash(obj,chunk):20",
        "0b1c9e52-6f0a-4d7e-9a41-3f2b8c7d6e5f",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "\"sha256\": \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
        "ec2-203-0-113-25.compute-1.amazonaws.com. _ssa.store.example. xn--bcher-kva.example",
        "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-abcdefghi.example",
        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
        "/var/lib/kubelet/pods/0b1c9e52-6f0a-4d7e-9a41-3f2b8c7d6e5f/volumes/kubernetes.io~secret/ssa-masters/k1",
        "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
        "ssa-resolver-7d9f8b6c5d-x2x4q PassthroughClusterIpv6 InboundPassthroughClusterIpv4",
        "/usr/share/SomeVendor/LongProductName/Configuration/EnvoyBootstrapOverridesForTesting/bootstrapExtensions.yaml",
        "34dbaa0e90e65954-7",
        "10 20 30 40 50 60 70 80 90 10 20 30 40 50 60 70 80 90",
        "2026-11-29T20:24:26.123Z 18446744073709551615",
        "aaaa aaaa aaaa aaaa bbbb bbbb bbbb cccc cccc cccc cccc",
        "a== size",
        "0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8",
        "0x1234, 0x5678, 0x9abc, 0xdef0, 0x1234, 0x5678",
    ] {
        assert_eq!(concealed(text), text);
        assert!(!has_key(text));
    }
}

#[test]
fn a_long_text_is_looked_through_in_no_time() {
    let began = std::time::Instant::now();
    for part in ["z", "zf", "Agf-", "00:", "/a", "\\u0030g", "\\", "0x0 g"] {
        assert!(!has_key(&part.repeat(1 << 16)), "{part}");
    }
    // Were each octet's run counted anew, this would take hours.
    assert!(began.elapsed().as_secs() < 60);
}
