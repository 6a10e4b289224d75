//! What a shim says by its Unix socket: `GET /v1/outbound`, which waits for a change (docs/resolver.md).

use std::{io, path::Path, path::PathBuf, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    header::{ETAG, HOST, HeaderValue, IF_NONE_MATCH},
};
use hyper_util::rt::TokioIo;
use ssa_rules::{Apl, ItemSource, Key, KeyId};
use ssa_snapshot::{
    KeyMaterial, MAX_BYTES, OutboundService, OutboundSnapshot, Version,
    read::{Document, Fault},
};
use tokio::{net::UnixStream, time::timeout};

use super::Follower;
use crate::{
    keys::Keys,
    state::{MAX_ADDRESSES, Material},
};

/// How long the shim waits for a change, in seconds.
const WAIT_S: u64 = 30;

/// How much longer than that an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The shortest time between two questions.
const LEAST: Duration = Duration::from_millis(200);

/// Why a shim gives no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// It cannot be reached.
    #[error("{0}")]
    Unreachable(#[from] io::Error),
    /// The exchange failed.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// It did not answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// It refused.
    #[error("the shim answers {status}{}", hint(*status))]
    Refused {
        /// Its answer.
        status: StatusCode,
    },
    /// Its answer is too long.
    #[error("the snapshot exceeds {MAX_BYTES} bytes")]
    TooLong,
    /// The snapshot is faulty.
    #[error("snapshot: {}", listed(.0))]
    Faulty(Vec<Fault>),
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::FORBIDDEN => "; socket.peers of its configuration says who may fetch what",
        StatusCode::SERVICE_UNAVAILABLE => "; it has not asked for all services yet",
        _ => "",
    }
}

fn listed(faults: &[Fault]) -> String {
    let texts: Vec<String> = faults.iter().take(8).map(ToString::to_string).collect();
    texts.join("; ")
}

/// What a snapshot says of a service.
pub(super) struct Answer {
    pub(super) material: Material,
    /// The name of the snapshot.
    pub(super) tag: Option<HeaderValue>,
}

/// Asks for the snapshot, and for a change to another one than that of this name.
pub(super) async fn ask(path: &Path, name: &str, known: Option<&HeaderValue>) -> Result<Answer, SocketError> {
    let most = PATIENCE + Duration::from_secs(if known.is_some() { WAIT_S } else { 0 });
    let (tag, json) = timeout(most, fetch(path, known))
        .await
        .unwrap_or(Err(SocketError::Silent(most)))?;
    let material = match json {
        Some(json) => read(&json, name)?,
        None => return Err(SocketError::Silent(most)),
    };
    Ok(Answer { material, tag })
}

/// Fetches a snapshot; nothing where there is no other than the known one.
async fn fetch(path: &Path, known: Option<&HeaderValue>) -> Result<(Option<HeaderValue>, Option<Bytes>), SocketError> {
    let stream = UnixStream::connect(path).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = hyper::Uri::from_static("/v1/outbound");
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_static("ssa-resolver"));
        if let Some(known) = known {
            request.headers_mut().insert(IF_NONE_MATCH, known.clone());
            let wait = HeaderValue::from_str(&format!("wait={WAIT_S}"));
            request.headers_mut().extend(
                wait.ok()
                    .map(|wait| (hyper::header::HeaderName::from_static("prefer"), wait)),
            );
        }
        let response = sender.send_request(request).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok((known.cloned(), None)),
            status => return Err(SocketError::Refused { status }),
        }
        let tag = response.headers().get(ETAG).cloned();
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => SocketError::Http(*error),
            Err(error) => {
                debug_assert!(error.is::<LengthLimitError>(), "{error}");
                SocketError::TooLong
            }
        })?;
        Ok((tag, Some(body.to_bytes())))
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        done = &mut exchange => done,
        ended = &mut connection => {
            ended?;
            exchange.await
        }
    }
}

/// Reads what a snapshot says of a service.
fn read(json: &[u8], name: &str) -> Result<Material, SocketError> {
    let mut document = Document::new(json).map_err(|fault| SocketError::Faulty(vec![fault]))?;
    // Nothing else is known of another version.
    let snapshot: Option<OutboundSnapshot> = document.first::<Version>("version").map(|_| document.read());
    let faults = document.take_faults();
    let Some(snapshot) = snapshot.filter(|_| faults.is_empty()) else {
        return Err(SocketError::Faulty(faults));
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let fault = |fault: &str| Material {
        fault: Some(fault.to_owned()),
        ..Material::default()
    };
    let services = snapshot.services.into_inner();
    let service = services
        .into_iter()
        .find(|service| service.name.eq_ignore_ascii_case(name));
    Ok(match service {
        Some(service) if snapshot.off => Material {
            addresses: addresses(&service),
            ..fault("the shim's services are switched off")
        },
        Some(service) => material(&service),
        None => {
            fault("the shim tells clients of no service of this name: it has no usable record, or is not configured")
        }
    })
}

fn addresses(service: &OutboundService) -> Vec<std::net::Ipv6Addr> {
    service
        .addresses
        .iter()
        .take(MAX_ADDRESSES)
        .map(|address| address.0)
        .collect()
}

fn material(service: &OutboundService) -> Material {
    let mut keys = Keys::default();
    for (name, material) in service.secrets.iter() {
        let key = match material {
            KeyMaterial::Secret(key) => key.expose().parse().map(Key::Secret),
            KeyMaterial::ClientKey(key) => key.expose().parse().map(Key::Client),
        };
        // A key that is none is none: what needs it says so.
        if let (Ok(id), Ok(key)) = (name.parse::<KeyId>(), key) {
            keys.insert(id, key);
        }
    }
    let (apl, fault) = match service.apl.as_deref().map(str::parse::<Apl>).transpose() {
        Ok(apl) => (apl, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let sources = service.sources.iter().map(|own| ItemSource {
        item: own.item.get(),
        source: own.source.0,
    });
    Material {
        apl,
        records: service.rules.iter().map(|record| record.clone().into_bytes()).collect(),
        addresses: addresses(service),
        port: service.port.map(ssa_snapshot::Port::get),
        sources: sources.collect(),
        keys,
        fault,
    }
}

/// Waits for changes, again and again.
pub(super) async fn follow(mut follower: Follower, path: Arc<PathBuf>, name: String, mut tag: Option<HeaderValue>) {
    loop {
        // However quickly it answers.
        let least = tokio::time::Instant::now() + LEAST;
        let most = PATIENCE + Duration::from_secs(WAIT_S);
        let fetched = timeout(most, fetch(&path, tag.as_ref())).await;
        let fetched = fetched.unwrap_or(Err(SocketError::Silent(most)));
        let read = fetched.and_then(|(tag, json)| Ok((tag, json.map(|json| read(&json, &name)).transpose()?)));
        match read {
            Ok((new, Some(material))) => {
                follower.answered(&material, Duration::ZERO);
                tag = new;
                tokio::time::sleep_until(least).await;
            }
            Ok((_, None)) => {
                follower.unchanged();
                tokio::time::sleep_until(least).await;
            }
            Err(error) => {
                let pause = follower.failed(&error);
                follower.wait(pause).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNAPSHOT: &str = r#"{"version": 1, "generation": "g-1", "seed": "s", "services": [{"name": "store.example",
        "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=mac(src/128):64; key=k1; kdf=src/64"],
        "addresses": ["2001:db8::1"], "port": 8080, "secrets": {"k1": {"client_key": "00112233445566778899aabbccddeeff"}},
        "sources": [{"item": "2001:db8:5::/64", "source": "2001:db8:77::7"}]}]}"#;

    #[test]
    fn a_snapshot_says_all_that_is_needed() {
        let material = read(SNAPSHOT.as_bytes(), "Store.Example.").unwrap();
        assert_eq!(
            (material.fault, material.port, material.records.len()),
            (None, Some(8080), 1)
        );
        assert_eq!(material.sources[0].source.to_string(), "2001:db8:77::7");
        assert!(matches!(material.keys.get(&"k1".parse().unwrap()), Key::Client(_)));
    }

    #[test]
    fn a_service_that_is_off_or_unknown_has_no_records() {
        let off = SNAPSHOT.replace(r#""seed": "s""#, r#""off": true"#);
        let material = read(off.as_bytes(), "store.example").unwrap();
        assert_eq!(material.fault.as_deref(), Some("the shim's services are switched off"));
        assert_eq!(material.addresses.len(), 1);
        let material = read(SNAPSHOT.as_bytes(), "other.example").unwrap();
        assert!(
            material
                .fault
                .unwrap()
                .starts_with("the shim tells clients of no service of this name")
        );
    }

    #[test]
    fn a_faulty_snapshot_is_refused_with_all_its_faults() {
        let told = |json: &str| read(json.as_bytes(), "store.example").unwrap_err().to_string();
        assert_eq!(
            told(r#"{"version": 2, "new": 1}"#),
            "snapshot: version: must be 1, not 2"
        );
        let faulty = SNAPSHOT.replace("8080", "0").replace(r#""g-1""#, r#""a b""#);
        assert_eq!(
            told(&faulty),
            "snapshot: generation: must be 1 to 64 of a-z A-Z 0-9 - _ . :, not \"a b\"; services[0].port: must be an \
             integer from 1 to 65535, not 0"
        );
        assert!(told("{").starts_with("snapshot: "));
    }
}
