//! A client of all endpoints of a service.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddrV6,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::try_join_all;
use tokio::sync::OnceCell;

use super::{
    commands::{Keys, hash_tag, keys_of},
    pipe::Pipe,
    value::{Value, ValueError, encode},
};
use crate::{
    connect::ConnectError,
    error::PlanError,
    plan::{Order, Target, Want},
    service::Service,
};

/// The most connections, one for each address in use. The template's width says how many that can be.
const MAX_CONNECTIONS: usize = 4096;

/// A client of all endpoints of a service. Clones share its connections.
///
/// A key is at replica 0 of its hash tag, whatever failed: where there are several replicas, keep them alike by
/// [`write_to_all`](crate::write_to_all).
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    service: Service,
    port: u16,
    /// Commands that each connection begins with, written out.
    setup: Vec<Vec<u8>>,
    connections: Mutex<HashMap<SocketAddrV6, Arc<OnceCell<Pipe>>>>,
}

/// Does not print what connections begin with, such as a password.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("service", &self.0.service.name())
            .field("port", &self.0.port)
            .finish_non_exhaustive()
    }
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum RespError {
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// No connection is made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The command has no key, so it belongs to no endpoint.
    #[error("{0}: has no key, so no endpoint can be chosen for it")]
    NoKey(String),
    /// Keys that have to be together are not.
    #[error("{command}: its keys are at {endpoints} endpoints; keys with the same {{hash tag}} are at one")]
    Apart {
        /// The command.
        command: String,
        /// How many endpoints they are at.
        endpoints: usize,
    },
    /// A value is missing behind a key.
    #[error("{0}: keys and values must come in turn")]
    Pairs(String),
    /// The endpoint refuses what the connection begins with.
    #[error("{address}: what the connection begins with is refused: {reply}")]
    Setup {
        /// The endpoint.
        address: SocketAddrV6,
        /// What it says.
        reply: String,
    },
    /// The connection is lost; the command may have been carried out.
    #[error("{address}: the connection is lost{}", reason(cause.as_ref()))]
    Lost {
        /// The endpoint.
        address: SocketAddrV6,
        /// Why, as far as it is known.
        cause: Option<Arc<ValueError>>,
    },
    /// The reply is another than the command has.
    #[error("{command}: {address} replies {reply}")]
    Reply {
        /// The command.
        command: String,
        /// The endpoint.
        address: SocketAddrV6,
        /// What it replied, in short.
        reply: String,
    },
}

fn reason(cause: Option<&Arc<ValueError>>) -> String {
    cause.map_or_else(String::new, |cause| format!(": {cause}"))
}

fn name(args: &[&[u8]]) -> String {
    let name = args.first().copied().unwrap_or_default();
    let name: String = name.escape_ascii().to_string().chars().take(32).collect();
    if name.is_empty() {
        "an empty command".into()
    } else {
        name
    }
}

impl Client {
    /// Makes a client of the endpoints of a service at a port. It connects when it has something to send.
    #[must_use]
    pub fn new(service: Service, port: u16) -> Self {
        Self(Arc::new(Shared {
            service,
            port,
            setup: Vec::new(),
            connections: Mutex::default(),
        }))
    }

    /// Begins each connection with a command, such as `AUTH`. One that is refused is an error of the command that the
    /// connection was made for.
    #[must_use]
    pub fn with_setup(self, args: &[impl AsRef<[u8]>]) -> Self {
        let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
        let mut bytes = Vec::new();
        encode(&args, &mut bytes);
        let mut setup = self.0.setup.clone();
        setup.push(bytes);
        Self(Arc::new(Shared {
            service: self.0.service.clone(),
            port: self.0.port,
            setup,
            connections: Mutex::default(),
        }))
    }

    /// Returns where a key is.
    ///
    /// # Errors
    ///
    /// Why no address can be composed.
    pub fn target(&self, key: &[u8]) -> Result<Target, PlanError> {
        let want = Want::port(self.0.port)
            .object(hash_tag(key))
            .replica(0)
            .order(Order::Fixed);
        Ok(self.0.service.plan(&want, &mut crate::random)?.first())
    }

    /// Sends a command to the endpoint that has its key. `MGET`, `MSET`, `DEL`, `UNLINK`, `EXISTS` and `TOUCH` of keys at
    /// several endpoints are sent to each with its own keys, all at once, and their replies put together: each part is carried
    /// out by itself, so that a reader may see some parts of an `MSET` and not others. An error of the store is a
    /// [`Value::Error`].
    ///
    /// # Errors
    ///
    /// [`RespError`].
    pub async fn command<A: AsRef<[u8]>>(&self, args: &[A]) -> Result<Value, RespError> {
        let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
        let no_key = || RespError::NoKey(name(&args));
        let keys = match keys_of(&args) {
            Keys::None => return Err(no_key()),
            Keys::One(at) => args.get(at..=at),
            Keys::Together(from, to) => args.get(from..to),
            Keys::PairsTogether => return self.together(&args, args[1..].iter().step_by(2)).await,
            Keys::Counted => return self.fan_out(&args, Shape::Count).await,
            Keys::Listed => return self.fan_out(&args, Shape::List).await,
            Keys::Pairs => return self.fan_out(&args, Shape::Status).await,
        };
        let keys = keys.filter(|keys| !keys.is_empty()).ok_or_else(no_key)?;
        self.together(&args, keys.iter()).await
    }

    /// Sends a command whose keys are together.
    async fn together<'k>(&self, args: &[&[u8]], keys: impl Iterator<Item = &'k &'k [u8]>) -> Result<Value, RespError> {
        let targets: Result<Vec<Target>, PlanError> = keys.map(|key| self.target(key)).collect();
        let mut targets = targets?;
        targets.sort_unstable();
        targets.dedup();
        match *targets {
            [target] => self.send(target, args).await,
            _ => Err(RespError::Apart {
                command: name(args),
                endpoints: targets.len(),
            }),
        }
    }

    /// Sends a command in parts, each with the keys of one endpoint.
    async fn fan_out(&self, args: &[&[u8]], shape: Shape) -> Result<Value, RespError> {
        let (first, rest) = args.split_first().ok_or_else(|| RespError::NoKey(name(args)))?;
        if rest.len() % shape.step() != 0 {
            return Err(RespError::Pairs(name(args)));
        }
        let mut parts: Vec<Part<'_>> = Vec::new();
        let mut places: HashMap<Target, usize> = HashMap::new();
        for (number, group) in rest.chunks(shape.step()).enumerate() {
            let target = self.target(group[0])?;
            let place = *places.entry(target).or_insert_with(|| {
                parts.push(Part {
                    target,
                    args: vec![first],
                    keys: Vec::new(),
                });
                parts.len() - 1
            });
            parts[place].args.extend(group);
            parts[place].keys.push(number);
        }
        let replies = try_join_all(parts.iter().map(|part| self.send(part.target, &part.args))).await?;
        // An error of one part is the whole command's.
        if let Some(error) = replies.iter().find(|reply| matches!(reply, Value::Error(_))) {
            return Ok(error.clone());
        }
        shape.join(&name(args), &parts, replies)
    }

    /// Sends a command to a target.
    ///
    /// # Errors
    ///
    /// [`RespError`].
    pub async fn send(&self, target: Target, args: &[&[u8]]) -> Result<Value, RespError> {
        let mut bytes = Vec::new();
        encode(args, &mut bytes);
        let pipe = self.pipe(target).await?;
        settled(target, pipe.send(bytes).await)
    }

    /// Returns the connection to a target, which is made once.
    async fn pipe(&self, target: Target) -> Result<Pipe, RespError> {
        let cell = {
            let mut connections = self.0.connections.lock().unwrap_or_else(PoisonError::into_inner);
            let is_lost = |cell: &Arc<OnceCell<Pipe>>| cell.get().is_some_and(Pipe::is_closed);
            if connections.get(&target.address).is_some_and(is_lost) {
                connections.remove(&target.address);
            }
            if connections.len() >= MAX_CONNECTIONS && !connections.contains_key(&target.address) {
                connections.retain(|_, cell| !is_lost(cell));
                // One must go: it closes once its commands are answered.
                let any = connections.keys().next().copied();
                if let Some(any) = any.filter(|_| connections.len() >= MAX_CONNECTIONS) {
                    connections.remove(&any);
                }
            }
            connections.entry(target.address).or_default().clone()
        };
        let connect = async || {
            let connected = self.0.service.connect_to([target]).await?;
            let pipe = Pipe::new(connected.stream);
            for bytes in &self.0.setup {
                if let Value::Error(reply) = settled(target, pipe.send(bytes.clone()).await)? {
                    return Err(RespError::Setup {
                        address: target.address,
                        reply,
                    });
                }
            }
            Ok(pipe)
        };
        cell.get_or_try_init(connect).await.cloned()
    }
}

fn settled(target: Target, sent: Option<Result<Value, Arc<ValueError>>>) -> Result<Value, RespError> {
    let lost = |cause| RespError::Lost {
        address: target.address,
        cause,
    };
    match sent {
        Some(Ok(value)) => Ok(value),
        Some(Err(cause)) => Err(lost(Some(cause))),
        None => Err(lost(None)),
    }
}

/// The part of a command that one endpoint has.
struct Part<'a> {
    target: Target,
    args: Vec<&'a [u8]>,
    /// The numbers of its keys in the whole command.
    keys: Vec<usize>,
}

/// What the replies to the parts of a command are, and what they are together.
#[derive(Clone, Copy)]
enum Shape {
    /// Numbers, which are added up.
    Count,
    /// Values, one for each key.
    List,
    /// `OK`, for keys with values.
    Status,
}

impl Shape {
    /// How many arguments belong to a key.
    const fn step(self) -> usize {
        match self {
            Self::Count | Self::List => 1,
            Self::Status => 2,
        }
    }

    /// Puts the replies together.
    fn join(self, command: &str, parts: &[Part<'_>], replies: Vec<Value>) -> Result<Value, RespError> {
        let mut sum = 0_i64;
        let mut values = vec![Value::Null; parts.iter().map(|part| part.keys.len()).sum()];
        for (part, reply) in parts.iter().zip(replies) {
            match (self, reply) {
                (Self::Count, Value::Integer(count)) => sum = sum.saturating_add(count),
                (Self::Status, Value::Status(_)) => {}
                (Self::List, Value::Array(found)) if found.len() == part.keys.len() => {
                    for (place, value) in part.keys.iter().zip(found) {
                        values[*place] = value;
                    }
                }
                (_, other) => {
                    return Err(RespError::Reply {
                        command: command.to_owned(),
                        address: part.target.address,
                        reply: other.to_string().chars().take(64).collect(),
                    });
                }
            }
        }
        Ok(match self {
            Self::Count => Value::Integer(sum),
            Self::List => Value::Array(values),
            Self::Status => Value::Status("OK".into()),
        })
    }
}
