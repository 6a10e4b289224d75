//! A connection and what is known of it: `--source`, `--object`, `--chunk`, `--port`, `--time`, `--request`.

use std::{
    ffi::OsString,
    time::{SystemTime, UNIX_EPOCH},
};

use ssa_rules::{Chunk, Port, Record, Source, UnixTime};

use super::{
    address, never_a_source, number,
    request::{Found, Request, RequestArgs},
};
use crate::{failure::Faults, output::Output};

/// What is known of a connection.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct FlowArgs {
    /// The source address that the connection really uses: IPv6
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) source: Option<String>,
    /// The object key, bytes exactly as the application names it
    #[arg(long, value_name = "KEY")]
    pub(crate) object: Option<OsString>,
    /// The chunk number, 0 to 2^64-1
    #[arg(long, value_name = "N")]
    pub(crate) chunk: Option<String>,
    /// The destination port, 0 to 65535
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<String>,
    /// The time in seconds since 1970 (UTC) [default: now]
    #[arg(long, value_name = "UNIX")]
    pub(crate) time: Option<String>,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
}

/// The same, read.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    pub(crate) source: Option<Source>,
    pub(crate) object: Option<Vec<u8>>,
    pub(crate) chunk: Option<Chunk>,
    pub(crate) port: Option<Port>,
    pub(crate) time: UnixTime,
    /// The request in which each record finds object key and chunk by itself.
    pub(crate) request: Option<Request>,
}

impl FlowArgs {
    /// Reads the flags, recording every fault.
    pub(crate) fn read(&self, faults: &mut Faults) -> Inputs {
        let source = self
            .source
            .as_deref()
            .and_then(|text| address("--source", text, faults))
            .filter(|source| match never_a_source(&(*source).into()) {
                Some(why) => {
                    faults.push("--source", format!("{source} is {why}"));
                    false
                }
                None => true,
            })
            .map(Source);
        let chunk = self
            .chunk
            .as_deref()
            .and_then(|text| number("--chunk", text, 0, u64::MAX, faults))
            .map(Chunk);
        let port = self
            .port
            .as_deref()
            .and_then(|text| number("--port", text, 0, u16::MAX, faults))
            .map(Port);
        let time = match &self.time {
            Some(text) => number("--time", text, 0, u64::MAX, faults).map_or(UnixTime(0), UnixTime),
            None => now(),
        };
        Inputs {
            source,
            object: self.object.clone().map(OsString::into_encoded_bytes),
            chunk,
            port,
            time,
            request: self.request.read(faults),
        }
    }

    /// Reads the flags and insists on a source.
    pub(crate) fn read_with_source(&self, faults: &mut Faults) -> Inputs {
        if self.source.is_none() {
            faults.push("--source", "missing; give the address that the connection really uses");
        }
        self.read(faults)
    }
}

impl Inputs {
    /// Returns the inputs with what a record finds in the request, if there is one, and what that is.
    pub(crate) fn by(&self, record: &Record) -> (Self, Option<Found>) {
        let found = self.request.as_ref().map(|request| request.find(record));
        let mut inputs = self.clone();
        if let Some(found) = &found {
            inputs.object.clone_from(&found.object);
            inputs.chunk = found.chunk;
        }
        (inputs, found)
    }

    /// Warns of a source that no other machine, or no other link, sees.
    pub(crate) fn warn(&self, out: &mut Output) {
        let Some(Source(source)) = self.source else { return };
        let why = if source.is_loopback() {
            "the loopback address: it is the source of connections within one machine alone"
        } else if source.is_unicast_link_local() {
            "link-local: it is the source of connections within one link alone"
        } else {
            return;
        };
        out.warn(format_args!("--source: {source} is {why}"));
    }
}

/// The time of this machine's clock.
#[allow(clippy::disallowed_methods, reason = "the command's one look at the clock")]
pub(crate) fn now() -> UnixTime {
    // A clock before 1970 reads as 1970.
    UnixTime(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
    )
}
