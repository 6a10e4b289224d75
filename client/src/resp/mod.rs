//! Key-value stores that speak RESP, such as Redis and Valkey: each command goes to the endpoint that has its key, those of
//! several keys to several endpoints at once.
//!
//! There is no cluster to ask: the record says where a key is, `v=ssa1; addr=hash(obj):10 const(0):54`, and slices move
//! without a redirect. As in a Redis cluster, keys with the same [hash tag](hash_tag) are at the same endpoint.
//!
//! ```no_run
//! # async fn example(service: ssa_client::Service) -> Result<(), Box<dyn std::error::Error>> {
//! use ssa_client::resp::{Client, Value};
//!
//! let client = Client::new(service, 6379);
//! client.command(&["SET", "user:7", "Ada"]).await?;
//! let values = client.command(&["MGET", "user:7", "user:8"]).await?; // of two endpoints
//! assert_eq!(values, Value::Array(vec![Value::Bulk(b"Ada".to_vec()), Value::Null]));
//! # Ok(())
//! # }
//! ```

mod client;
mod commands;
mod pipe;
mod value;

pub use client::{Client, RespError};
pub use commands::{Keys, hash_tag, keys_of};
pub use value::{MAX_BULK_BYTES, MAX_DEPTH, MAX_MEMBERS, Value, ValueError};
