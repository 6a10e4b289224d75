//! Questions to servers that answer as real ones do, over real sockets. Tests of a clause of an RFC have its number.

use std::{
    net::{Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    Absence, AskError, RecordSet, addresses, lists,
    servers::UNSURE,
    testing::{APL, Asked, NAME, list, nobody, record, scripted, servers, wire_name},
    texts,
};

const NS: u16 = 2;
const SOA: u16 = 6;
const AAAA: u16 = 28;
const TXT: u16 = 16;

/// What a server says to what it is asked.
type Script = Box<dyn Fn(&Asked) -> Vec<u8> + Send + Sync>;

fn web() -> crate::Name {
    crate::name("web.demo.test").unwrap()
}

fn good(asked: &Asked) -> Vec<Vec<u8>> {
    vec![asked.found(&[list()])]
}

fn soa() -> Vec<u8> {
    let mut data = [wire_name("ns.demo.test"), wire_name("root.demo.test")].concat();
    data.extend([1_u32, 60, 60, 60, 300].iter().flat_map(|word| word.to_be_bytes()));
    record(&wire_name("demo.test"), SOA, 1, 300, &data)
}

/// Asks these servers for lists, and returns how many there are.
async fn asked(of: &[SocketAddr]) -> Result<usize, AskError> {
    let (_, set) = lists(&servers(of), &web()).await?;
    assert_eq!(set.absence.is_none(), !set.records.is_empty());
    Ok(set.records.len())
}

async fn absence(of: &[SocketAddr]) -> RecordSet<Result<ssa_rules::Apl, ssa_rules::apl::WireError>> {
    lists(&servers(of), &web()).await.unwrap().1
}

/// Asks one server alone, and then this one before another that is right.
async fn failing(script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) -> AskError {
    let server = scripted(script).await;
    let right = scripted(good).await;
    assert_eq!(asked(&[server, right]).await.unwrap(), 1, "the second server is asked");
    asked(&[server]).await.unwrap_err()
}

#[tokio::test]
async fn rfc2308_2_2_a_referral_is_no_absence() {
    for (zone, flags) in [("", 0x8100), ("sub.demo.test", 0x8000), ("demo.test", 0x8400)] {
        let told = failing(move |asked| {
            let refers = record(&wire_name(zone), NS, 1, 60, &wire_name("ns.example"));
            vec![asked.told(flags, [0, 1, 0], &[refers])]
        })
        .await;
        assert_eq!(told.name(), "referral", "{told}");
        assert!(told.to_string().contains(&format!("name servers of {zone}.")), "{told}");
    }
}

#[tokio::test]
async fn rfc2308_2_2_nothing_of_who_knows_nothing_is_no_absence() {
    let told = failing(|asked| vec![asked.told(0x8100, [0, 0, 0], &[])]).await;
    assert_eq!(told.name(), "lame", "{told}");
    let told = failing(|asked| {
        let mut data = [wire_name("ns.example"), wire_name("root.example")].concat();
        data.extend([0; 20]);
        let foreign = record(&wire_name("example"), SOA, 1, 300, &data);
        vec![asked.told(0x8580, [0, 1, 0], &[foreign])]
    })
    .await;
    assert_eq!(told.name(), "lame", "{told}");
    // A resolver and an authoritative server may leave SOA out.
    for flags in [0x8180, 0x8400] {
        let server = scripted(move |asked| vec![asked.told(flags, [0, 0, 0], &[])]).await;
        assert_eq!(absence(&[server]).await.absence, Some(Absence::NoData));
    }
}

#[tokio::test]
async fn rfc2308_2_2_absences_of_all_three_types_count() {
    let start = record(&wire_name("demo.test"), NS, 1, 60, &wire_name("ns.demo.test"));
    for authorities in [vec![soa(), start], vec![soa()], vec![]] {
        let count = u16::try_from(authorities.len()).unwrap();
        let server = scripted(move |asked| vec![asked.told(0x8400, [0, count, 0], &authorities)]).await;
        let set = absence(&[server]).await;
        assert_eq!(set.absence, Some(Absence::NoData));
        assert_eq!(set.absence_ttl, (count > 0).then_some(300));
    }
}

#[tokio::test]
async fn rfc2308_2_1_no_such_name_counts_whatever_is_beside_it() {
    let refers = record(&wire_name(""), NS, 1, 60, &wire_name("ns.example"));
    for authorities in [vec![], vec![refers], vec![soa()]] {
        let count = u16::try_from(authorities.len()).unwrap();
        let server = scripted(move |asked| vec![asked.told(0x8403, [0, count, 0], &authorities)]).await;
        assert_eq!(absence(&[server]).await.absence, Some(Absence::NoName));
    }
}

#[tokio::test]
async fn rfc2181_9_a_truncated_answer_leads_to_tcp_wherever_it_is_cut() {
    let whole = move |asked: &Asked| asked.told(0x8600, [1, 0, 0], &[list()]);
    for cut in [0, 1, 7, 20] {
        let server = scripted(move |asked| {
            let octets = whole(asked);
            if asked.by_tcp {
                good(asked)
            } else {
                vec![octets[..octets.len() - cut].to_vec()]
            }
        })
        .await;
        assert_eq!(asked(&[server]).await.unwrap(), 1, "{cut}");
    }
}

#[tokio::test]
async fn rfc2181_9_truncation_by_tcp_is_no_absence() {
    let told = failing(|asked| vec![asked.told(0x8600, [0, 0, 0], &[])]).await;
    assert_eq!(told.name(), "truncated", "{told}");
}

#[tokio::test]
async fn truncation_without_tcp_says_what_tcp_said() {
    let udp = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = udp.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        while let Ok((length, peer)) = udp.recv_from(&mut buffer).await {
            let asked = Asked {
                octets: buffer[..length].to_vec(),
                by_tcp: false,
            };
            let cut = asked.told(0x8600, [1, 0, 0], &[list()]);
            udp.send_to(&cut, peer).await.unwrap();
        }
    });
    let told = asked(&[address]).await.unwrap_err();
    assert_eq!(told.name(), "truncated");
    assert!(told.to_string().contains("over TCP: connection refused"), "{told}");
}

#[tokio::test]
async fn answers_beyond_the_announced_size_are_taken() {
    let long = record(NAME, APL, 1, 9, &b"\x00\x02\x40\x02\x20\x01".repeat(1000));
    let server = scripted(move |asked| {
        if asked.by_tcp {
            Vec::new()
        } else {
            vec![asked.found(std::slice::from_ref(&long))]
        }
    })
    .await;
    assert_eq!(asked(&[server]).await.unwrap(), 1);
}

#[tokio::test]
async fn rfc6891_6_2_2_a_server_without_edns_is_asked_without() {
    let code = |code: u16| move |asked: &Asked| asked.told(0x8400 | code, [0, 0, 0], &[]);
    let bare = |flags: u16| move |asked: &Asked| [&asked.octets[..2], &flags.to_be_bytes(), &[0; 8]].concat();
    let version = |asked: &Asked| {
        let options = record(&[0], 41, 1232, 0x0100_0000, b"");
        asked.told(0x8400, [0, 0, 1], &[options])
    };
    let scripts: [Script; 7] = [
        Box::new(code(1)),
        Box::new(code(2)),
        Box::new(code(4)),
        Box::new(bare(0x8401)),
        Box::new(bare(0x8404)),
        Box::new(bare(0x8400)),
        Box::new(version),
    ];
    for script in scripts {
        let server = scripted(move |asked| {
            if asked.has_edns() {
                vec![script(asked)]
            } else {
                good(asked)
            }
        })
        .await;
        assert_eq!(asked(&[server]).await.unwrap(), 1);
    }
    let dropping = scripted(|asked| if asked.has_edns() { Vec::new() } else { good(asked) }).await;
    assert_eq!(asked(&[dropping]).await.unwrap(), 1, "a way that drops EDNS");
}

#[tokio::test]
async fn errors_that_last_without_edns_are_told() {
    for (code, name) in [
        (1, "FORMERR"),
        (2, "SERVFAIL"),
        (4, "NOTIMP"),
        (5, "REFUSED"),
        (9, "NOTAUTH"),
    ] {
        let told = failing(move |asked| vec![asked.told(0x8400 | code, [0, 0, 0], &[])]).await;
        assert_eq!(told.name(), name);
    }
}

#[tokio::test]
async fn rfc7873_5_3_a_bad_cookie_leads_to_tcp() {
    let server = scripted(|asked| {
        let options = record(&[0], 41, 1232, 0x0100_0000, b"");
        let bad = asked.told(0x8407, [0, 0, 1], &[options]);
        if asked.by_tcp { good(asked) } else { vec![bad] }
    })
    .await;
    assert_eq!(asked(&[server]).await.unwrap(), 1);
}

#[tokio::test]
async fn rfc7766_5_where_udp_stays_silent_tcp_is_asked() {
    let server = scripted(|asked| if asked.by_tcp { good(asked) } else { Vec::new() }).await;
    assert_eq!(asked(&[server]).await.unwrap(), 1);
}

#[tokio::test]
async fn what_does_not_decode_by_udp_is_asked_by_tcp() {
    let server = scripted(|asked| {
        let octets = asked.found(&[list()]);
        if asked.by_tcp {
            vec![octets]
        } else {
            vec![octets[..octets.len() - 3].to_vec()]
        }
    })
    .await;
    assert_eq!(asked(&[server]).await.unwrap(), 1);
    let told = failing(|asked| {
        let octets = asked.found(&[list()]);
        vec![octets[..octets.len() - 3].to_vec()]
    })
    .await;
    assert_eq!(told.name(), "malformed", "{told}");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_told_at_once() {
    let start = Instant::now();
    let told = asked(&[nobody().await]).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert_eq!(told.name(), "unreachable");
    assert!(told.to_string().contains("connection refused"), "{told}");
    let right = scripted(good).await;
    assert_eq!(asked(&[nobody().await, right]).await.unwrap(), 1);
    // If a server is silent and one that is not there both are told.
    let silent = scripted(|_| Vec::new()).await;
    let told = asked(&[silent, nobody().await]).await.unwrap_err().to_string();
    assert!(
        told.contains("connection refused") && told.contains("timeout: no answer from"),
        "{told}"
    );
}

#[tokio::test]
async fn rfc5452_9_1_what_answers_something_else_is_waited_past() {
    let server = scripted(|asked| {
        let answer = asked.found(&[record(NAME, APL, 1, 9, b"")]);
        let with = |at: usize, octet: u8| {
            let mut octets = answer.clone();
            octets[at] ^= octet;
            octets
        };
        let mut told = vec![
            Vec::new(),
            vec![0; 3],
            with(0, 1),
            with(2, 0x80),
            with(2, 0x28),
            with(13, 1),
        ];
        told.extend(good(asked));
        told
    })
    .await;
    let (_, set) = lists(&servers(&[server]), &web()).await.unwrap();
    assert_eq!(set.records.first().unwrap().as_ref().unwrap().items().len(), 1);
    let class = |asked: &Asked| {
        let mut octets = asked.told(0x8403, [0, 0, 0], &[]);
        let last = octets.len() - 1;
        octets[last] = 3;
        vec![octets]
    };
    let told = failing(class).await;
    assert_eq!(told.name(), "mismatched", "{told}");
    assert!(told.to_string().contains("a different class"), "{told}");
    let told = failing(|asked| vec![asked.told(0xac00, [0, 0, 0], &[])]).await;
    assert!(told.to_string().contains("a different opcode"), "{told}");
}

#[tokio::test]
async fn rfc3123_4_lists_without_items_are_united_with_others() {
    let server = scripted(|asked| vec![asked.found(&[record(NAME, APL, 1, 9, b""), list()])]).await;
    let (_, set) = lists(&servers(&[server]), &web()).await.unwrap();
    assert_eq!(set.united().unwrap().unwrap().items().len(), 1);
}

#[tokio::test]
async fn records_that_answer_nothing_lead_to_the_next_server() {
    let other = |asked: &Asked| vec![asked.found(&[record(NAME, 1, 1, 9, &[1, 2, 3, 4])])];
    assert_eq!(failing(other).await.name(), "off_topic");
    let class = |asked: &Asked| vec![asked.found(&[record(NAME, APL, 3, 9, b"")])];
    assert_eq!(failing(class).await.name(), "off_topic");
    let around = |asked: &Asked| vec![asked.found(&[record(NAME, 5, 1, 9, NAME)])];
    assert_eq!(failing(around).await.name(), "alias_loop");
    let faulty = |asked: &Asked| vec![asked.found(&[record(NAME, 5, 1, 9, b"\x09x"), list()])];
    assert_eq!(failing(faulty).await.name(), "malformed");
}

#[tokio::test]
async fn records_of_the_type_asked_for_have_to_be_whole() {
    let right = || record(NAME, AAAA, 1, 9, &[1; 16]);
    let server = scripted(move |asked| vec![asked.found(&[right(), record(NAME, AAAA, 1, 9, &[1; 15])])]).await;
    let told = addresses(&servers(&[server]), &web()).await.unwrap_err();
    assert_eq!(told.name(), "malformed", "{told}");
    // A TXT record has a string at least (RFC 1035 §3.3.14); one without says nothing.
    let server =
        scripted(|asked| vec![asked.found(&[record(NAME, TXT, 1, 9, b""), record(NAME, TXT, 1, 9, b"\x01a\x01b")])])
            .await;
    let set = texts(&servers(&[server]), &web()).await.unwrap();
    assert_eq!(set.records, [b"".to_vec(), b"ab".to_vec()]);
}

#[tokio::test]
async fn rfc2181_5_records_count_once_and_hold_for_their_least_ttl() {
    let server = scripted(|asked| {
        let address = |ttl, last| record(NAME, AAAA, 1, ttl, &Ipv6Addr::from(last).octets());
        vec![asked.found(&[address(9, 1), address(5, 1), address(7, 2), address(0x8000_0001, 2)])]
    })
    .await;
    let set = addresses(&servers(&[server]), &web()).await.unwrap();
    assert_eq!(set.records, [Ipv6Addr::from(1), Ipv6Addr::from(2)]);
    assert_eq!(set.ttl, Some(0));
}

#[tokio::test]
async fn aliases_are_followed_in_any_order() {
    let server = scripted(|asked| {
        let [one, two] = ["one.test", "TWO.test"].map(wire_name);
        let last = record(&wire_name("two.test"), asked.kind(), 1, 8, b"\x00\x02\x40\x02\x20\x01");
        let aliases = [
            record(&wire_name("ONE.test"), 5, 1, 6, &two),
            record(NAME, 5, 1, 7, &one),
        ];
        vec![asked.found(&[last, aliases[0].clone(), aliases[1].clone()])]
    })
    .await;
    let (canonical, set) = lists(&servers(&[server]), &web()).await.unwrap();
    assert_eq!(canonical, crate::name("two.test").unwrap());
    assert_eq!((set.records.len(), set.ttl), (1, Some(6)));
    assert_eq!((set.own_ttl, set.alias_ttl), (Some(8), Some(7)));
}

#[tokio::test]
async fn a_server_that_was_silent_is_asked_first_again() {
    let silent = Arc::new(AtomicBool::new(true));
    let questions = Arc::new(AtomicUsize::new(0));
    let (quiet, count) = (silent.clone(), questions.clone());
    let first = scripted(move |asked| {
        count.fetch_add(1, Ordering::Relaxed);
        if quiet.load(Ordering::Relaxed) {
            Vec::new()
        } else {
            good(asked)
        }
    })
    .await;
    let second = scripted(|asked| vec![asked.told(0x8403, [0, 1, 0], &[soa()])]).await;
    let servers = servers(&[first, second]);
    let (_, set) = lists(&servers, &web()).await.unwrap();
    // What another than the first says is not there holds for a moment, and not for the 300 s of the zone.
    assert_eq!((set.absence, set.absence_ttl), (Some(Absence::NoName), Some(UNSURE)));
    let before = questions.load(Ordering::Relaxed);
    let start = Instant::now();
    silent.store(false, Ordering::Relaxed);
    let (_, set) = lists(&servers, &web()).await.unwrap();
    assert!(set.absence.is_some(), "it is passed over for a while");
    assert_eq!(questions.load(Ordering::Relaxed), before);
    loop {
        let (_, set) = lists(&servers, &web()).await.unwrap();
        if set.absence.is_none() {
            break;
        }
        assert!(
            start.elapsed() < Duration::from_secs(u64::from(UNSURE)),
            "never asked again"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
