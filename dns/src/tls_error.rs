//! What is wrong with a TLS connection, in words.

use std::{io, sync::Arc};

/// Why no TLS connection comes about.
#[derive(Debug, thiserror::Error)]
#[error("{}", in_words(.0))]
pub struct TlsError(#[source] Arc<io::Error>);

impl From<Arc<io::Error>> for TlsError {
    fn from(error: Arc<io::Error>) -> Self {
        Self(error)
    }
}

/// Returns whether an error is of TLS and not of the connection below it.
pub(crate) fn is_of_tls(error: &io::Error) -> bool {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .is_some()
}

/// Returns in words what is wrong with TLS.
fn in_words(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(error) => reason(error),
        None => ssa_input::files::reason(error),
    }
}

pub(crate) fn reason(error: &rustls::Error) -> String {
    use rustls::{CertificateError as Certificate, Error};
    let words = match error {
        Error::InvalidCertificate(fault) => match fault {
            Certificate::Expired | Certificate::ExpiredContext { .. } => "its certificate has expired",
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => "its certificate is not valid yet",
            Certificate::UnknownIssuer => "no authority that is trusted has signed its certificate",
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "its certificate is for a different name"
            }
            Certificate::Revoked => "its certificate is revoked",
            Certificate::BadEncoding => "its certificate cannot be decoded",
            Certificate::BadSignature => "its certificate's signature is wrong",
            _ => "its certificate cannot be trusted",
        },
        Error::NoCertificatesPresented => "it presents no certificate",
        Error::AlertReceived(_) => "it rejected the connection with a TLS alert",
        Error::PeerIncompatible(_) => "it shares no TLS version or cipher suite with this host",
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => "it does not speak TLS",
        Error::NoApplicationProtocol => "it does not speak DNS over TLS (ALPN dot)",
        _ => "TLS fails",
    };
    words.into()
}
