//! Calls to etcd.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::stream::{self, StreamExt};
use prost::Message;
use tonic::{
    Code, Request, Status, Streaming,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_prost::ProstCodec;

use super::messages::{AuthenticateRequest, AuthenticateResponse, WatchRequest, WatchResponse};
use crate::{objects::MAX_BYTES, store::StoreError};

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait for a connection, and for an answer to a ping of one on which nothing else comes.
const CONNECT: Duration = Duration::from_secs(5);

/// How many objects are listed at once.
pub(super) const PAGE: u16 = 32;

/// The largest message: a page of the largest objects, and some more.
const MAX_MESSAGE: usize = (32 + 8) * MAX_BYTES;

/// Where an etcd is, and who asks it.
#[derive(Clone, Default)]
pub struct EtcdOptions {
    /// The members: `http://ADDRESS:PORT` or `https://NAME:PORT`, at least one.
    pub endpoints: Vec<String>,
    /// What all keys begin with; [`EtcdOptions::PREFIX`] where it is empty.
    pub prefix: String,
    /// The certificates of authorities to trust, in PEM; those of the system where absent.
    pub ca: Option<Vec<u8>>,
    /// The client's certificate and its key, in PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The user and the password.
    pub user: Option<(String, String)>,
}

impl EtcdOptions {
    /// What all keys begin with by default.
    pub const PREFIX: &str = "/ssa.dev.example/";
}

/// Keys and passwords are not told.
impl fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdOptions")
            .field("endpoints", &self.endpoints)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

pub(super) struct Client {
    channel: Channel,
    name: String,
    user: Option<(String, String)>,
    token: Mutex<Option<MetadataValue<Ascii>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Takes the options; connects when it is first asked.
    pub(super) fn new(options: &EtcdOptions) -> Result<Self, StoreError> {
        let name = format!("etcd {}", options.endpoints.join(","));
        let denied = |reason: String| StoreError::Denied {
            store: name.clone(),
            reason,
        };
        let mut endpoints = Vec::new();
        for address in &options.endpoints {
            let wrong = |error: tonic::transport::Error| denied(format!("{address}: {}", reasons(&error)));
            let mut endpoint = Endpoint::from_shared(address.clone()).map_err(wrong)?;
            match endpoint.uri().scheme_str() {
                Some("http") => {}
                Some("https") => {
                    let mut tls = match &options.ca {
                        Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
                        None => ClientTlsConfig::new().with_native_roots(),
                    };
                    if let Some((certificate, key)) = &options.identity {
                        tls = tls.identity(Identity::from_pem(certificate, key));
                    }
                    endpoint = endpoint.tls_config(tls).map_err(wrong)?;
                }
                _ => return Err(denied(format!("{address}: must begin with http:// or https://"))),
            }
            endpoints.push(
                endpoint
                    .connect_timeout(CONNECT)
                    .http2_keep_alive_interval(CONNECT)
                    .keep_alive_timeout(CONNECT)
                    .keep_alive_while_idle(true),
            );
        }
        let channel = match endpoints.as_slice() {
            [] => return Err(denied("no endpoint is given".into())),
            [only] => only.connect_lazy(),
            _ => Channel::balance_list(endpoints.into_iter()),
        };
        Ok(Self {
            channel,
            name,
            user: options.user.clone(),
            token: Mutex::default(),
        })
    }

    pub(super) fn unavailable(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Unavailable {
            store: self.name.clone(),
            reason: reason.into(),
        }
    }

    fn failed(&self, status: &Status) -> StoreError {
        let reason = match status.message().trim_start_matches("etcdserver: ") {
            "" => status.code().description().to_lowercase(),
            message => message.to_owned(),
        };
        match status.code() {
            Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument | Code::Unimplemented => {
                StoreError::Denied {
                    store: self.name.clone(),
                    reason,
                }
            }
            _ => self.unavailable(match std::error::Error::source(status) {
                Some(source) => format!("{reason}: {}", reasons(source)),
                None => reason,
            }),
        }
    }

    fn grpc(&self) -> Grpc<Channel> {
        Grpc::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &*self.token.lock().unwrap_or_else(PoisonError::into_inner) {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }

    /// Asks once.
    async fn ask<Q, A>(&self, path: &'static str, question: Q) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let asked = async {
            let mut grpc = self.grpc();
            grpc.ready()
                .await
                .map_err(|error| Status::unavailable(reasons(&error)))?;
            let codec = ProstCodec::<Q, A>::default();
            let answer = grpc
                .unary(self.request(question), PathAndQuery::from_static(path), codec)
                .await?;
            Ok(answer.into_inner())
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded(format!(
                "no answer in {} s",
                PATIENCE.as_secs()
            )))
        })
    }

    /// Asks, as the user that was given.
    pub(super) async fn call<Q, A>(&self, path: &'static str, question: &Q) -> Result<A, StoreError>
    where
        Q: Message + Clone + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        self.log_in().await?;
        let answer = match self.ask(path, question.clone()).await {
            // The token has ended: etcd forgets them after some minutes, and when it starts again.
            Err(status) if self.user.is_some() && is_of_token(&status) => {
                *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
                self.log_in().await?;
                self.ask(path, question.clone()).await
            }
            answer => answer,
        };
        answer.map_err(|status| self.failed(&status))
    }

    async fn log_in(&self) -> Result<(), StoreError> {
        let Some((name, password)) = &self.user else {
            return Ok(());
        };
        if self.token.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let question = AuthenticateRequest {
            name: name.clone(),
            password: password.clone(),
        };
        let answer: Result<AuthenticateResponse, Status> = self.ask("/etcdserverpb.Auth/Authenticate", question).await;
        let token = answer.map_err(|status| self.failed(&status))?.token;
        let token = token
            .parse()
            .map_err(|_| self.unavailable("the token that it gives is no text"))?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(())
    }

    /// Begins to watch. The stream ends when the server has no leader any more.
    pub(super) async fn watch(&self, order: WatchRequest) -> Result<Streaming<WatchResponse>, StoreError> {
        self.log_in().await?;
        let begun = async {
            let mut grpc = self.grpc();
            grpc.ready()
                .await
                .map_err(|error| Status::unavailable(reasons(&error)))?;
            // What is sent stays open for as long as what comes back is read.
            let orders = stream::once(std::future::ready(order)).chain(stream::pending());
            let mut request = self.request(orders);
            request
                .metadata_mut()
                .insert("hasleader", MetadataValue::from_static("true"));
            let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
            let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
            Ok(grpc.streaming(request, path, codec).await?.into_inner())
        };
        let begun = tokio::time::timeout(PATIENCE, begun).await;
        begun
            .unwrap_or_else(|_| {
                Err(Status::deadline_exceeded(format!(
                    "no answer in {} s",
                    PATIENCE.as_secs()
                )))
            })
            .map_err(|status| self.failed(&status))
    }

    /// Waits for what a watch tells next.
    pub(super) async fn told(&self, watch: &mut Streaming<WatchResponse>) -> Result<WatchResponse, StoreError> {
        match watch.message().await {
            Ok(Some(told)) => Ok(told),
            Ok(None) => Err(self.unavailable("it ended the watch")),
            Err(status) => Err(self.failed(&status)),
        }
    }
}

/// Says whether it is for the token that a call failed.
fn is_of_token(status: &Status) -> bool {
    status.code() == Code::Unauthenticated
        || ["user name is empty", "revision in header is old"]
            .iter()
            .any(|text| status.message().contains(text))
}

/// Returns what an error says, and what each of its causes adds.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !told.contains(&more) {
            told = format!("{told}: {more}");
        }
        cause = error.source();
    }
    told
}
