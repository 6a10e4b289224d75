use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    super::{
        Table, Upstreams,
        connection::MAX_UNDER_WAY,
        framing::{IDLE, read, write},
        shared::PATIENCE,
        tests::entries,
        wire::{
            Message, kind,
            tests::{opt, query, record, reply},
        },
    },
    *,
};
use ssa_testing::Draw;

use crate::{clock::Clock, fair_semaphore::FairSemaphore, metrics::Counters};

/// What tests have room for; a single querier has half of it.
const QUERIES: usize = 40;
const CONNECTIONS: usize = 20;

/// Asks by a socket of its own.
async fn exchange(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    exchange_from("127.0.0.1", server, query).await
}

async fn exchange_from(source: &str, server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((source, 0)).await?;
    socket.send_to(query, server).await?;
    let mut answer = vec![0; MAX_MESSAGE];
    let length = timeout(Duration::from_secs(20), socket.recv(&mut answer)).await??;
    answer.truncate(length);
    Ok(answer)
}

/// A server that answers each query by one record of so many bytes.
async fn answering(bytes: usize) -> SocketAddr {
    serving(move |query| {
        Some(reply(
            query,
            0x8580,
            [&[record(b"\xc0\x0c", 65280, 9, &vec![7; bytes])], &[], &[]],
        ))
    })
    .await
}

/// A server that answers each query by this, or not at all.
async fn serving(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Clone + Send + 'static) -> SocketAddr {
    let Listener { udp, tcp } = Listener::new("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = tcp.local_addr().unwrap();
    let by_udp = answer.clone();
    tokio::spawn(async move {
        let mut buffer = vec![0; MAX_MESSAGE];
        loop {
            let (length, querier) = udp.recv_from(&mut buffer).await.unwrap();
            let Some(whole) = by_udp(&buffer[..length]) else {
                continue;
            };
            // What comes first is not the answer: no message, no answer, another's number, another question.
            let other = |at: usize| {
                let mut other = whole.clone();
                other.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
                other
            };
            for false_one in [vec![0], vec![0; 20], buffer[..length].to_vec(), other(0), other(14)] {
                udp.send_to(&false_one, querier).await.unwrap();
            }
            udp.send_to(&whole, querier).await.unwrap();
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let query = read(&mut stream).await.unwrap();
                match answer(&query) {
                    Some(answer) => write(&mut stream, &answer).await.unwrap(),
                    // It holds the connection until the other side lets go.
                    None => drop(stream.read(&mut [0]).await),
                }
            });
        }
    });
    address
}

async fn front(servers: Vec<SocketAddr>) -> (SocketAddr, watch::Sender<Arc<Table>>, Arc<Counters>) {
    front_with(Upstreams::new(servers, Duration::from_millis(300))).await
}

async fn front_with(upstreams: Upstreams) -> (SocketAddr, watch::Sender<Arc<Table>>, Arc<Counters>) {
    // The port that is free for UDP may be taken for TCP.
    let bound = loop {
        match Listener::new("127.0.0.1:0".parse().unwrap()).await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            bound => break bound.unwrap(),
        }
    };
    let address = bound.tcp.local_addr().unwrap();
    let table = watch::Sender::new(Arc::new(Table {
        upstreams: Arc::new(upstreams),
        transfers: true,
        entries: entries("v=ssa1; addr=rand:64"),
        ..Table::default()
    }));
    let counters = Arc::new(Counters::default());
    let shared = Shared {
        queries: FairSemaphore::new(QUERIES),
        connections: FairSemaphore::new(CONNECTIONS),
        ..Shared::new(table.subscribe(), Clock::new(), counters.clone())
    };
    tokio::spawn(async move {
        let (_stop, stopped) = watch::channel(false);
        serve(bound, shared, stopped).await;
    });
    (address, table, counters)
}

/// Returns the outcomes that were counted, and how often.
fn told(counters: &Counters) -> Vec<String> {
    let figures = counters.figures();
    let figures = figures.iter();
    figures
        .map(|figure| format!("{} {}", figure.labels[1].1, figure.value))
        .collect()
}

#[tokio::test(flavor = "current_thread")]
async fn other_queries_are_handed_on_by_udp_and_tcp() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let servers = vec![silent.local_addr().unwrap(), answering(1000).await];
    let (address, _table, counters) = front(servers).await;
    let asked = query("web.demo.test", 255, 1, &opt(0, false, b"\0\x0a\0\x08abcdefgh"));
    let mut expected = reply(&asked, 0x8580, [&[record(b"\xc0\x0c", 65280, 9, &[7; 1000])], &[], &[]]);
    expected[11] = 1;
    expected.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
    assert_eq!(exchange(address, &asked).await.unwrap(), expected);
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        write(&mut stream, &asked).await.unwrap();
        assert_eq!(read(&mut stream).await.unwrap(), expected);
    }
    // The service's addresses are composed, on the same connection.
    let asked = query("web.demo.test", 28, 0, &[]);
    write(&mut stream, &asked).await.unwrap();
    assert_eq!(read(&mut stream).await.unwrap().len(), asked.len() + 28);
    assert_eq!(told(&counters), ["composed 1", "passed 2", "passed 1"]);
}

/// RFC 1035 §4.2.1, RFC 6891 §6.2.3: nobody gets more by UDP than he takes, whatever a server sends.
#[tokio::test(flavor = "current_thread")]
async fn what_is_larger_than_the_querier_takes_is_cut_short() {
    let (address, _table, _counters) = front(vec![answering(3000).await]).await;
    for asked in [
        query("other.test", 16, 0, &[]),
        query("other.test", 16, 1, &opt(0, true, &[])),
    ] {
        let answer = exchange(address, &asked).await.unwrap();
        let message = Message::read(&answer).unwrap();
        assert_eq!((answer.len(), answer[2] & 2), (asked.len(), 2));
        assert_eq!(message.records.len(), usize::from(asked[11]));
        let mut stream = TcpStream::connect(address).await.unwrap();
        write(&mut stream, &asked).await.unwrap();
        assert!(read(&mut stream).await.unwrap().len() > 3000);
    }
}

/// The next server is asked where one refuses or fails, as stub resolvers do.
#[tokio::test(flavor = "current_thread")]
async fn a_server_that_does_not_say_is_no_reason_for_others_not_to() {
    for code in [1, 2, 4, 5] {
        let failing = serving(move |query| Some(reply(query, 0x8180 | code, [&[], &[], &[]]))).await;
        let (address, _table, _counters) = front(vec![failing, answering(9).await]).await;
        let asked = query("other.test", 1, 0, &[]);
        for _ in 0..2 {
            assert_eq!(exchange(address, &asked).await.unwrap()[3] & 15, 0, "{code}");
        }
        let mut stream = TcpStream::connect(address).await.unwrap();
        write(&mut stream, &asked).await.unwrap();
        assert_eq!(read(&mut stream).await.unwrap()[3] & 15, 0);
        // Where none says anything else, the querier is told what they say.
        let (address, _table, counters) = front(vec![failing]).await;
        assert_eq!(u16::from(exchange(address, &asked).await.unwrap()[3] & 15), code);
        assert_eq!(told(&counters), ["passed 1"]);
    }
}

/// RFC 6891 §7: a server without EDNS is asked without; the querier has it with the front.
#[tokio::test(flavor = "current_thread")]
async fn a_server_without_edns_is_asked_without() {
    let old = serving(|query| {
        let code = u16::from(query[11] != 0);
        Some(reply(query, 0x8180 | code, [&[], &[], &[]]))
    })
    .await;
    let (address, _table, _counters) = front(vec![old]).await;
    let answer = exchange(address, &query("other.test", 1, 1, &opt(0, false, &[])))
        .await
        .unwrap();
    assert_eq!((answer[3] & 15, answer[11]), (0, 1));
}

/// RFC 7766 §6.2.1.1: one name that nobody answers does not hold up others.
#[tokio::test(flavor = "current_thread")]
async fn queries_of_a_connection_are_answered_as_they_can_be() {
    let (address, _table, _counters) = front(vec![serving(|_| None).await]).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (slow, quick) = (query("slow.test", 1, 0, &[]), query("web.demo.test", 28, 0, &[]));
    write(&mut stream, &slow).await.unwrap();
    write(&mut stream, &quick).await.unwrap();
    // It asks no more, and has its answers all the same.
    stream.shutdown().await.unwrap();
    let first = read(&mut stream).await.unwrap();
    assert_eq!(first.len(), quick.len() + 28);
    assert_eq!(read(&mut stream).await.unwrap()[3] & 15, 2);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn queries_of_a_connection_are_bounded_in_number() {
    let [now, most] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let (counted, seen) = (now.clone(), most.clone());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (counted, seen) = (counted.clone(), seen.clone());
            tokio::spawn(async move {
                seen.fetch_max(counted.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                while stream.read(&mut [0; 512]).await.is_ok_and(|length| length > 0) {}
                counted.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    let (address, _table, _counters) = front(vec![server]).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let slow = query("slow.test", 1, 0, &[]);
    for _ in 0..2 * MAX_UNDER_WAY {
        write(&mut stream, &slow).await.unwrap();
    }
    for _ in 0..2 * MAX_UNDER_WAY {
        assert_eq!(read(&mut stream).await.unwrap()[3] & 15, 2);
    }
    // One that has been given up may be seen to end a little later.
    let most = most.load(Ordering::Relaxed);
    assert!((MAX_UNDER_WAY / 2..=MAX_UNDER_WAY + 2).contains(&most), "{most}");
}

#[tokio::test(flavor = "current_thread")]
async fn strangers_have_no_place_among_connections() {
    let table = watch::Sender::new(Arc::new(Table::default()));
    let shared = Shared {
        connections: FairSemaphore::new(2),
        ..Shared::new(table.subscribe(), Clock::new(), Arc::default())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut tasks = JoinSet::new();
    for (from, admitted) in [("[2001:db8:77::1]:999", 0), ("192.0.2.7:999", 0), ("127.0.0.1:999", 1)] {
        let mut asking = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        begin(stream, from.parse().unwrap(), &shared, &mut tasks);
        assert_eq!(tasks.len(), admitted);
        if admitted == 0 {
            assert_eq!(asking.read(&mut [0]).await.unwrap(), 0);
        }
    }
    assert_eq!(told(&shared.counters), ["refused 2"]);
}

/// RFC 8767 §5, RFC 2308 §5: what programs ask beside the composed address does not keep them waiting.
#[tokio::test(flavor = "current_thread")]
async fn without_a_server_a_service_has_what_was_known_of_it() {
    let answered = Arc::new(AtomicUsize::new(0));
    let counted = answered.clone();
    let server = serving(move |query| {
        let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
        let record = record(b"\xc0\x0c", kind::A, 900, &[192, 0, 2, 7]);
        first.then(|| reply(query, 0x8580, [&[record], &[], &[]]))
    })
    .await;
    let (address, _table, counters) = front_with(Upstreams::new(vec![server], Duration::from_secs(4))).await;
    let (a, https) = (query("web.demo.test", 1, 0, &[]), query("web.demo.test", 65, 0, &[]));
    let first = exchange(address, &a).await.unwrap();
    assert_eq!(Message::read(&first).unwrap().records[0].ttl, 900);
    let began = tokio::time::Instant::now();
    let stale = exchange(address, &a).await.unwrap();
    assert!(began.elapsed() >= PATIENCE[0]);
    assert_eq!(Message::read(&stale).unwrap().records[0].ttl, 30);
    assert!(stale.ends_with(&[192, 0, 2, 7]));
    // Of what nobody ever said, nothing is known; and now nobody is waited for.
    let began = tokio::time::Instant::now();
    let nothing = exchange(address, &https).await.unwrap();
    assert_eq!((nothing.len(), nothing[3] & 15), (https.len(), 0));
    let mut stream = TcpStream::connect(address).await.unwrap();
    write(&mut stream, &a).await.unwrap();
    assert_eq!(read(&mut stream).await.unwrap(), stale);
    assert!(began.elapsed() < PATIENCE[0]);
    assert_eq!(told(&counters), ["stale 1", "passed 1", "stale 2"]);
}

#[tokio::test(flavor = "current_thread")]
async fn nobody_waits_where_a_services_own_records_are_stale() {
    let upstreams = Upstreams::new(vec![serving(|_| None).await], Duration::from_secs(4));
    let (address, table, _counters) = front_with(upstreams).await;
    table.send_modify(|table| {
        let mut entries = entries("v=ssa1; addr=rand:64");
        for entry in entries.values_mut() {
            entry.is_stale = true;
        }
        *table = Arc::new(Table {
            entries,
            upstreams: table.upstreams.clone(),
            ..Table::default()
        });
    });
    let began = tokio::time::Instant::now();
    let asked = query("web.demo.test", 1, 0, &[]);
    assert_eq!(exchange(address, &asked).await.unwrap()[3] & 15, 0);
    assert!(began.elapsed() < PATIENCE[0]);
}

/// To whom nothing is composed a service is a name like others: a server that is slow is waited for.
#[tokio::test(flavor = "current_thread")]
async fn a_slow_server_is_waited_for_where_nothing_is_composed() {
    let upstreams = Upstreams::new(vec![serving(|_| None).await], Duration::from_millis(1200));
    let (address, table, counters) = front_with(upstreams).await;
    table.send_modify(|table| {
        *table = Arc::new(Table {
            entries: entries("v=ssa1; addr=hash(obj):64"),
            upstreams: table.upstreams.clone(),
            ..Table::default()
        });
    });
    let began = tokio::time::Instant::now();
    let asked = query("web.demo.test", 1, 0, &[]);
    assert_eq!(exchange(address, &asked).await.unwrap()[3] & 15, 2);
    assert!(began.elapsed() > PATIENCE[0]);
    assert_eq!(told(&counters), ["failed 1"]);
}

#[tokio::test(flavor = "current_thread")]
async fn nothing_but_the_zone_follows_a_transfer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let asked = query("demo.test", kind::AXFR, 0, &[]);
    let zone = reply(&asked, 0x8580, [&[], &[], &[]]);
    let sent = zone.clone();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let query = read(&mut stream).await.unwrap();
        for _ in 0..3 {
            write(&mut stream, &sent).await.unwrap();
        }
        (query, read(&mut stream).await.map_err(|error| error.kind()))
    });
    let (address, _table, _counters) = front(vec![server]).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    write(&mut stream, &asked).await.unwrap();
    for _ in 0..3 {
        assert_eq!(read(&mut stream).await.unwrap(), zone);
    }
    write(
        &mut stream,
        b"\0\x01\x28\0\0\x01\0\0\0\0\0\0\x04demo\x04test\0\0\x06\0\x01",
    )
    .await
    .unwrap();
    assert_eq!(serving.await.unwrap(), (asked, Err(io::ErrorKind::UnexpectedEof)));
}

#[tokio::test(flavor = "current_thread")]
async fn without_a_server_queries_fail_soon() {
    let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let upstreams = Upstreams::new(vec![gone], Duration::from_secs(5));
    let (address, _table, counters) = front_with(upstreams).await;
    let began = tokio::time::Instant::now();
    let asked = query("other.test", 1, 0, &[]);
    assert_eq!(exchange(address, &asked).await.unwrap()[3] & 15, 2);
    let mut stream = TcpStream::connect(address).await.unwrap();
    write(&mut stream, &asked).await.unwrap();
    assert_eq!(read(&mut stream).await.unwrap()[3] & 15, 2);
    assert_eq!(counters.figures().len(), 2);
    // The host says that nobody listens there.
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "current_thread")]
async fn connections_are_bounded_in_number() {
    let (address, _table, counters) = front(Vec::new()).await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS / 2 {
        held.push(TcpStream::connect(address).await.unwrap());
    }
    let mut more = TcpStream::connect(address).await.unwrap();
    assert_eq!(more.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(counters.figures()[0].labels[1].1, "dropped");
    held.clear();
    let asked = query("web.demo.test", 28, 0, &[]);
    let mut answered = false;
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        answered = write(&mut stream, &asked).await.is_ok() && read(&mut stream).await.is_ok();
        if answered {
            break;
        }
    }
    assert!(answered);
}

#[tokio::test(flavor = "current_thread")]
async fn queries_under_way_are_bounded_in_number() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (address, _table, counters) = front(vec![silent.local_addr().unwrap()]).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let asked = query("other.test", 1, 0, &[]);
    let dropped = || {
        let figures = counters.figures();
        figures.iter().any(|figure| figure.labels[1].1 == "dropped")
    };
    for _ in 0..10 * QUERIES {
        socket.send_to(&asked, address).await.unwrap();
        tokio::task::yield_now().await;
        if dropped() {
            break;
        }
    }
    assert!(dropped());
    // What the rule answers needs no server.
    let asked = query("web.demo.test", 28, 0, &[]);
    assert_eq!(exchange(address, &asked).await.unwrap().len(), asked.len() + 28);
}

#[tokio::test(flavor = "current_thread")]
async fn an_querier_without_measure_leaves_room_for_others() {
    // A server that answers nobody but who asks for this name.
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (address, _table, counters) = front(vec![server.local_addr().unwrap()]).await;
    let quick = query("quick.test", 1, 0, &[]);
    let known = quick.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, querier) = server.recv_from(&mut buffer).await.unwrap();
            if buffer[12..length] == known[12..] {
                buffer[2] |= 0x80;
                server.send_to(&buffer[..length], querier).await.unwrap();
            }
        }
    });
    let flood = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let slow = query("slow.test", 1, 0, &[]);
    let dropped = || {
        let figures = counters.figures();
        let dropped = figures.iter().find(|figure| figure.labels[1].1 == "dropped");
        dropped.map_or(0, |figure| figure.value)
    };
    while dropped() == 0 {
        flood.send_to(&slow, address).await.unwrap();
        tokio::task::yield_now().await;
    }
    let before = dropped();
    let answer = exchange_from("127.1.0.1", address, &quick).await.unwrap();
    assert_eq!(answer[12..], quick[12..]);
    assert_eq!(dropped(), before);
    // The flood has had no answer yet: its queries still were under way.
    assert_eq!(flood.try_recv(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[tokio::test(flavor = "current_thread")]
async fn servers_are_asked_by_ever_new_ports_under_numbers_that_nobody_chose() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (address, _table, _counters) = front(vec![server.local_addr().unwrap()]).await;
    let (seen, met) = std::sync::mpsc::channel();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, querier) = server.recv_from(&mut buffer).await.unwrap();
            seen.send((querier.port(), [buffer[0], buffer[1]])).unwrap();
            buffer[2] |= 0x80;
            server.send_to(&buffer[..length], querier).await.unwrap();
        }
    });
    let asked = query("other.test", 1, 0, &[]);
    for _ in 0..4000 {
        assert_eq!(exchange(address, &asked).await.unwrap()[..2], asked[..2]);
    }
    let (ports, numbers): (HashSet<_>, HashSet<_>) = met.try_iter().unzip();
    // Eight at once, each for 256 queries.
    assert!((15..60).contains(&ports.len()), "{}", ports.len());
    assert!(numbers.len() > 3700, "{}", numbers.len());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_query_that_does_not_end_ends_its_connection() {
    let (address, _table, _counters) = front(Vec::new()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[0, 200, 1]).await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert!(began.elapsed() >= IDLE);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_query_that_comes_byte_by_byte_ends_its_connection() {
    let (address, _table, _counters) = front(Vec::new()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let began = tokio::time::Instant::now();
    let mut byte = [0];
    loop {
        // The length alone would take all that a message may.
        if stream.write_all(&[255]).await.is_err() {
            break;
        }
        if timeout(Duration::from_secs(3), stream.read(&mut byte)).await.is_ok() {
            break;
        }
    }
    assert!(began.elapsed() < 2 * IDLE, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn answers_that_nobody_reads_end_their_connection() {
    let (address, _table, _counters) = front(Vec::new()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    // As long as its answer, which is REFUSED.
    let asked = query(&vec!["a".repeat(60); 4].join("."), kind::OPT, 0, &[]);
    let many: Vec<u8> = (0..1000)
        .flat_map(|_| [&u16::try_from(asked.len()).unwrap().to_be_bytes()[..], &asked].concat())
        .collect();
    let began = tokio::time::Instant::now();
    while stream.write_all(&many).await.is_ok() {}
    assert!(began.elapsed() >= IDLE);
}

#[tokio::test(flavor = "current_thread")]
async fn no_octets_end_the_front() {
    let (address, _table, _counters) = front(vec![answering(0).await]).await;
    let mut random = Draw::seeded(9);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..300 {
        let length = usize::try_from(random.below(60)).unwrap();
        let junk: Vec<u8> = (0..length).map(|_| random.bits().to_le_bytes()[0]).collect();
        socket.send_to(&junk, address).await.unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&junk).await.unwrap();
    }
    let asked = query("web.demo.test", 28, 0, &[]);
    assert_eq!(exchange(address, &asked).await.unwrap().len(), asked.len() + 28);
}

/// Has datagrams go to a server and back, as a forwarder does, and returns where.
async fn forwarder(server: SocketAddr) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (length, querier) = socket.recv_from(&mut buffer).await.unwrap();
            let onwards = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            onwards.send_to(&buffer[..length], server).await.unwrap();
            let mut answer = [0; 2048];
            let length = onwards.recv(&mut answer).await.unwrap();
            socket.send_to(&answer[..length], querier).await.unwrap();
        }
    });
    address
}

#[tokio::test(flavor = "current_thread")]
async fn a_forwarder_that_leads_back_to_the_front_is_found_out() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let name = ssa_dns::name("web.demo.test").unwrap();
    let (address, table, _) = front(vec![silent.local_addr().unwrap()]).await;
    let probe = table.borrow().probe.clone();
    let servers = |address| ssa_dns::Servers::new(vec![address], Duration::from_millis(300));
    assert!(probe.leads_back(&servers(forwarder(address).await), &name).await);
    assert!(!probe.leads_back(&servers(silent.local_addr().unwrap()), &name).await);
}
