//! Asking endpoints for their load, with bounds on time, size and how many are asked at once.

use std::{collections::BTreeMap, error::Error, net::SocketAddr, time::Duration};

use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::{LoadReport, MAX_BYTES};
use crate::objects::Name;

/// How long an answer may take, from the connection to its last byte.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many endpoints are asked at once.
const AT_ONCE: usize = 32;

/// What endpoints have answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// The reports of those who have.
    pub reports: BTreeMap<Name, LoadReport>,
    /// Why there is none of the others.
    pub failed: BTreeMap<Name, String>,
}

/// Asks each endpoint for its load.
pub async fn ask(endpoints: impl IntoIterator<Item = (Name, SocketAddr)>) -> Asked {
    let mut answers = stream::iter(endpoints)
        .map(async |(name, address)| {
            let answer = timeout(PATIENCE, ask_one(address)).await;
            let late = |_| Err(format!("no answer within {} s", PATIENCE.as_secs()).into());
            (
                name,
                answer
                    .unwrap_or_else(late)
                    .map_err(|error| format!("{address}: {error}")),
            )
        })
        .buffer_unordered(AT_ONCE);
    let mut asked = Asked::default();
    while let Some((name, answer)) = answers.next().await {
        match answer {
            Ok(report) => drop(asked.reports.insert(name, report)),
            Err(error) => drop(asked.failed.insert(name, error)),
        }
    }
    asked
}

async fn ask_one(address: SocketAddr) -> Result<LoadReport, Box<dyn Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let asked = async {
        let request = Request::get("/load").header(HOST, address.to_string());
        let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        if !response.status().is_success() {
            return Err(format!("answers {}", response.status()).into());
        }
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await?;
        Ok(LoadReport::read(&body.to_bytes())?)
    };
    // The connection is dropped, and closed, with the answer.
    tokio::select! {
        answer = asked => answer,
        ended = connection => match ended {
            Ok(()) => Err("closes the connection".into()),
            Err(error) => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::{
        http::{Health, Listener, Page, Pages},
        metrics::Registry,
    };

    async fn serve(page: Page) -> SocketAddr {
        let listener = Listener::bind("[::1]:0".parse().unwrap()).await.unwrap();
        let address = listener.address().unwrap();
        let pages = Pages::new(Registry::default(), Health::new(Duration::from_mins(1)));
        tokio::spawn(listener.serve(pages.with("/load", move |_| page.clone())));
        address
    }

    /// Answers a request with bytes, and keeps the connection.
    async fn answer(bytes: Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind("[::1]:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        address
    }

    #[tokio::test]
    async fn who_answers_is_heard_and_who_does_not_is_told() {
        let good = r#"{"prefixes": [{"prefix": "2001:db8::/64", "newFlows": 3}]}"#;
        let huge = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MAX_BYTES + 1);
        let huge = [huge.into_bytes(), vec![b' '; MAX_BYTES + 1]].concat();
        let closed = TcpListener::bind("[::1]:0").await.unwrap().local_addr().unwrap();
        let endpoints = [
            ("good", serve(Page::text(200, good)).await),
            ("missing", serve(Page::text(404, "no")).await),
            ("wrong", serve(Page::text(200, "[")).await),
            ("silent", answer(Vec::new()).await),
            ("huge", answer(huge).await),
            ("closed", closed),
        ];
        let named = endpoints.map(|(name, address)| (Name::new(name).unwrap(), address));
        let asked = ask(named).await;
        assert_eq!(asked.reports.keys().map(Name::as_str).collect::<Vec<_>>(), ["good"]);
        for (name, wanted) in [
            ("missing", "answers 404 Not Found"),
            ("wrong", "EOF while parsing"),
            ("silent", "no answer within 2 s"),
            ("huge", "length limit exceeded"),
            ("closed", "Connection refused"),
        ] {
            let told = &asked.failed[name];
            assert!(told.contains(wanted), "{name}: {told}");
        }
    }
}
