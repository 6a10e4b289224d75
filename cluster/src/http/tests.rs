//! The server, over real sockets.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};

use super::*;
use crate::metrics::Family;

const ROUNDS: Family = Family::counter("ssa_test_rounds_total", "Rounds.");

async fn serve(health: Health, patience: Patience) -> (SocketAddr, JoinHandle<()>) {
    let registry = Registry::default();
    registry.add(&ROUNDS, &[], 3);
    let listener = Listener::bind("[::1]:0".parse().unwrap()).await.unwrap();
    let listener = listener.with_patience(patience);
    let address = listener.address().unwrap();
    let pages = Pages::new(registry, health).with("/load", |query| Page::text(200, format!("<{query}>")));
    let pages = pages.with_others(|path, query| (path == "/a/b").then(|| Page::text(200, query)));
    (address, tokio::spawn(listener.serve(pages)))
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn metrics_health_and_pages_are_served() {
    let (address, server) = serve(Health::new(Duration::from_mins(1)), Patience::default()).await;
    let metrics = ask(address, "GET /metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(metrics.ends_with("\nssa_test_rounds_total 3\n"));
    assert!(ask(address, "GET /healthz").await.ends_with("\r\n\r\nok\n"));
    assert!(ask(address, "GET /load?bytes=1").await.ends_with("<bytes=1>"));
    assert!(ask(address, "GET /a/b?c").await.ends_with("\r\n\r\nc"));
    let missing = ask(address, "GET /").await;
    assert!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
    assert!(missing.ends_with("not found: the paths are /healthz, /load, /metrics\n"));
    let refused = ask(address, "POST /metrics").await;
    assert!(
        refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET\r\n"),
        "{refused}"
    );
    server.abort();
}

#[tokio::test]
async fn a_command_whose_main_loop_stands_still_is_not_healthy() {
    let health = Health::new(Duration::ZERO);
    let (address, server) = serve(health, Patience::default()).await;
    let answer = ask(address, "GET /healthz").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("the main loop has not run for 0 s"), "{answer}");
    server.abort();
}

#[tokio::test]
async fn one_address_takes_no_more_than_its_share_of_connections_and_a_large_head_none() {
    let (address, server) = serve(Health::new(Duration::from_mins(1)), Patience::default()).await;
    let mut held = Vec::new();
    for _ in 0..MAX_OF_ADDRESS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        held.push(stream);
    }
    let mut more = TcpStream::connect(address).await.unwrap();
    let mut nothing = String::new();
    more.read_to_string(&mut nothing).await.unwrap_or_default();
    assert_eq!(nothing, "");
    drop(held);
    // The places are free again as soon as the server has noticed.
    let large = format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(32 << 10));
    loop {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(large.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        if !answer.is_empty() {
            assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
            break;
        }
        tokio::task::yield_now().await;
    }
    server.abort();
}

#[tokio::test]
async fn who_says_nothing_and_who_never_ends_are_cut_off() {
    let millis = Duration::from_millis;
    let patience = Patience {
        head: millis(50),
        whole: millis(150),
        last: millis(50),
    };
    let (address, server) = serve(Health::new(Duration::from_mins(1)), patience).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut answer = Vec::new();
    let _ = silent.read_to_end(&mut answer).await;
    // One that asks again and again without a pause.
    let mut talker = TcpStream::connect(address).await.unwrap();
    let mut read = [0; 4096];
    loop {
        let sent = talker.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
        if sent.is_err() || talker.read(&mut read).await.unwrap_or(0) == 0 {
            break;
        }
    }
    server.abort();
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() {
    let first = Listener::bind("[::1]:0".parse().unwrap()).await.unwrap();
    let address = first.address().unwrap();
    let error = Listener::bind(address).await.unwrap_err();
    assert_eq!(error, format!("--listen {address}: the address is in use"));
}
