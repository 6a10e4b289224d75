//! DNS over TLS (RFC 7858): whom to trust, and connections that are used again.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hickory_resolver::{
    net::{
        BufDnsStreamHandle,
        runtime::{RuntimeProvider, TokioRuntimeProvider},
        tls::{TlsClientStream, default_provider, tls_client_connect},
    },
    proto::op::Message,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{
        CertificateDer, InvalidDnsNameError, ServerName,
        pem::{self, PemObject},
    },
};

use crate::{stream::converse, tls_error::reason, transport::ExchangeError};

/// How many connections to a server are kept open while nobody uses them.
const MAX_IDLE: usize = 8;

/// Whose signatures on certificates are trusted.
#[derive(Clone, Copy, Debug)]
pub enum Roots<'a> {
    /// Those that the system trusts.
    System,
    /// These alone: certificates as PEM.
    Pem(&'a [u8]),
}

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// No certificates are there to trust.
    #[error("no certificates to trust: {0}")]
    NoRoots(#[source] RootsError),
    /// A text is not the name of a server.
    #[error("`{name}` is not a valid server name")]
    BadName {
        /// The text.
        name: String,
        /// What the library says.
        source: InvalidDnsNameError,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {}", reason(.0))]
    Setup(#[source] rustls::Error),
}

/// Why there are no certificates to trust.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The system has none.
    #[error("the system has none{}; give a file of them", unread(*.0))]
    System(
        /// How many of its files cannot be read.
        usize,
    ),
    /// A part of the file is not PEM.
    #[error("block {number} of the file is not PEM (RFC 7468)")]
    NotPem {
        /// Which of its blocks.
        number: usize,
        /// What the library says.
        source: pem::Error,
    },
    /// A certificate of the file cannot be used.
    #[error("certificate {number} of the file cannot be used as a trust anchor")]
    Unusable {
        /// Which of its certificates.
        number: usize,
        /// What the library says.
        source: rustls::Error,
    },
    /// The file has none.
    #[error("the file has no certificate as PEM")]
    Empty,
}

fn unread(files: usize) -> String {
    match files {
        0 => String::new(),
        count => format!(", for {count} of its files cannot be read"),
    }
}

type Stream = TlsClientStream<<TokioRuntimeProvider as RuntimeProvider>::Tcp>;

/// A server's name, and the connections with it that nobody uses just now.
pub(crate) struct Tls {
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    idle: Mutex<Vec<(Stream, BufDnsStreamHandle)>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Returns how connections are made with all servers.
pub(crate) fn configuration(roots: Roots<'_>) -> Result<Arc<ClientConfig>, TrustError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::System => {
            let found = rustls_native_certs::load_native_certs();
            // One that nobody can read does not take the others away.
            store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                return Err(TrustError::NoRoots(RootsError::System(found.errors.len())));
            }
        }
        Roots::Pem(pem) => {
            for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(pem)) {
                let certificate = certificate.map_err(|source| RootsError::NotPem { number, source });
                let certificate = certificate.map_err(TrustError::NoRoots)?;
                let added = store.add(certificate);
                added.map_err(|source| TrustError::NoRoots(RootsError::Unusable { number, source }))?;
            }
            if store.is_empty() {
                return Err(TrustError::NoRoots(RootsError::Empty));
            }
        }
    }
    let versions =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let versions = versions.map_err(TrustError::Setup)?;
    let mut config = versions.with_root_certificates(store).with_no_client_auth();
    config.alpn_protocols = vec![b"dot".to_vec()];
    Ok(Arc::new(config))
}

impl Tls {
    pub(crate) fn new(name: &str, config: Arc<ClientConfig>) -> Result<Self, TrustError> {
        let name = ServerName::try_from(name.to_owned()).map_err(|source| TrustError::BadName {
            name: name.to_owned(),
            source,
        })?;
        Ok(Self {
            name,
            config,
            idle: Mutex::default(),
        })
    }

    /// Asks over a connection that is open, or over a new one.
    pub(crate) async fn ask(
        &self,
        (server, wait): (SocketAddr, Duration),
        question: &Message,
    ) -> Result<Message, ExchangeError> {
        let answer = tokio::time::timeout(wait, self.try_all(server, question)).await;
        answer.unwrap_or_else(|_| {
            // The others lead to the same silence.
            self.idle().clear();
            Err(ExchangeError::Silent)
        })
    }

    async fn try_all(&self, server: SocketAddr, question: &Message) -> Result<Message, ExchangeError> {
        loop {
            let open = self.idle().pop();
            let fresh = open.is_none();
            let (mut stream, mut sender) = if let Some(open) = open {
                open
            } else {
                let (connect, sender) = tls_client_connect(
                    server,
                    self.name.clone(),
                    self.config.clone(),
                    TokioRuntimeProvider::new(),
                );
                (connect.await?, sender)
            };
            match converse(&mut stream, &mut sender, server, question).await {
                // The server has closed it meanwhile.
                Err(ExchangeError::Net(_)) if !fresh => {}
                Err(error) => return Err(error),
                Ok(answer) => {
                    let mut idle = self.idle();
                    if idle.len() < MAX_IDLE {
                        idle.push((stream, sender));
                    }
                    return Ok(answer);
                }
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Stream, BufDnsStreamHandle)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_that_are_none_are_told() {
        for pem in [
            "",
            "nothing",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
        ] {
            let reason = configuration(Roots::Pem(pem.as_bytes()));
            let Err(error @ TrustError::NoRoots(_)) = reason else {
                panic!("{pem}")
            };
            assert!(std::error::Error::source(&error).is_some());
            assert!(
                error.to_string().contains("of the file") || error.to_string().contains("as PEM"),
                "{error}"
            );
        }
    }

    #[test]
    fn names_are_those_of_certificates() {
        let versions = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = versions.with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(
            config
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth(),
        );
        for name in ["dns.example.net", "2001:db8::53"] {
            assert!(Tls::new(name, config.clone()).is_ok(), "{name}");
        }
        for name in ["", "a b", "dns..example"] {
            assert!(Tls::new(name, config.clone()).is_err(), "{name}");
        }
    }
}
