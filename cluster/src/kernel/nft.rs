//! Tables of `nft` that are ours: each says so in its comment, and one of the same name without it is somebody else's.

use std::io;
use std::process::Stdio;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_netfilter::nftables::{GenAttribute, GenMessage, NfTablesMessage};
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::Error;
use super::netlink::{ANSWER, shorten};

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Table {
    /// Its family: `ip` or `ip6`.
    pub(super) family: &'static str,
    /// Its name.
    pub(super) name: &'static str,
    /// Its comment.
    pub(super) comment: &'static str,
}

impl Table {
    /// Lists the table without the elements of its sets; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignTable`] if it is not ours; what `nft` says.
    pub(super) async fn listing(self) -> Result<Option<String>, Error> {
        let told = run("list the tables", &["list", "tables", self.family], "").await?;
        let named = format!("table {} {}", self.family, self.name);
        if !String::from_utf8_lossy(&told).lines().any(|line| line.trim() == named) {
            return Ok(None);
        }
        let listed = ["-s", "-t", "list", "table", self.family, self.name];
        let told = run("list the ruleset", &listed, "").await?;
        let told = String::from_utf8_lossy(&told).into_owned();
        let comment = format!("comment {:?}", self.comment);
        // The first line is the table's name, and its comment comes before all that is in it.
        if told.lines().nth(1).map(str::trim) != Some(&comment) {
            return Err(Error::ForeignTable {
                family: self.family,
                name: self.name,
                comment: self.comment,
            });
        }
        Ok(Some(told))
    }

    /// Runs a script of `nft`, in one step of the kernel.
    pub(super) async fn run(self, what: &'static str, script: &str) -> Result<(), Error> {
        run(what, &["-f", "-"], script).await.map(drop)
    }

    /// Removes the table.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignTable`] if it is not ours: then it stays.
    pub(super) async fn remove(self) -> Result<(), Error> {
        if self.listing().await?.is_none() {
            return Ok(());
        }
        let script = format!("delete table {} {}\n", self.family, self.name);
        self.run("remove the ruleset", &script).await
    }

    /// Lists the elements of a set.
    pub(super) async fn elements(self, set: &str) -> Result<Vec<Value>, Error> {
        let told = run("list a set", &["-j", "list", "set", self.family, self.name, set], "").await?;
        let told: Value = serde_json::from_slice(&told).map_err(|error| Error::Nft {
            what: "list a set",
            message: error.to_string(),
        })?;
        let objects = told.get("nftables").and_then(Value::as_array);
        let elements = objects
            .into_iter()
            .flatten()
            .find_map(|one| one.pointer("/set/elem")?.as_array());
        Ok(elements.cloned().unwrap_or_default())
    }
}

/// A ruleset that does not change, with one set `allowed`.
#[derive(Debug)]
pub(super) struct Installed {
    table: Table,
    script: String,
    /// What `nft` lists of it, but for the elements of sets.
    expected: String,
    allowed: Vec<Value>,
}

impl Installed {
    /// Sets it, in place of an earlier one.
    pub(super) async fn install(table: Table, script: String) -> Result<Self, Error> {
        table.listing().await?;
        table.run("set the ruleset", &script).await?;
        Ok(Self {
            table,
            script,
            expected: table.listing().await?.unwrap_or_default(),
            allowed: table.elements("allowed").await?,
        })
    }

    /// Looks whether it is as it was set, and sets it again if it is not. Says whether that was so.
    pub(super) async fn verify(&self) -> Result<bool, Error> {
        let listing = self.table.listing().await?;
        if listing.as_ref() == Some(&self.expected) && self.table.elements("allowed").await? == self.allowed {
            return Ok(false);
        }
        self.table.run("set the ruleset", &self.script).await?;
        Ok(true)
    }
}

/// Runs `nft` and returns what it prints.
async fn run(what: &'static str, arguments: &[&str], script: &str) -> Result<Vec<u8>, Error> {
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::NoNft)?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it ends before it has read everything, its exit status says why.
        let _ = stdin.write_all(script.as_bytes()).await;
    }
    let done = child.wait_with_output().await.map_err(Error::NoNft)?;
    if !done.status.success() || done.stdout.len() > ANSWER {
        return Err(Error::Nft {
            what,
            message: shorten(&done.stderr),
        });
    }
    Ok(done.stdout)
}

/// The generation of all rulesets of this network namespace: it changes with each of anybody's changes.
pub(super) struct Generation {
    socket: Socket,
    request: Vec<u8>,
}

impl Generation {
    /// Opens a socket to ask for it.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0);
        let message = NetfilterMessage::new(header, NfTablesMessage::GetGen(GenMessage { attributes: Vec::new() }));
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
        packet.finalize();
        let mut request = vec![0; packet.buffer_len()];
        packet.serialize(&mut request);
        Ok(Self { socket, request })
    }

    /// Asks for it.
    pub(super) fn read(&self) -> io::Result<u32> {
        self.socket.send(&self.request, 0)?;
        let (bytes, _) = self.socket.recv_from_full()?;
        let message = NetlinkMessage::<NetfilterMessage>::deserialize(&bytes).map_err(io::Error::other)?;
        match message.payload {
            NetlinkPayload::InnerMessage(NetfilterMessage {
                inner: NetfilterMessageInner::NfTables(NfTablesMessage::NewGen(told)),
                ..
            }) => told
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    GenAttribute::Id(number) => Some(*number),
                    _ => None,
                })
                .ok_or_else(|| io::Error::other("the kernel tells no generation of its rulesets")),
            NetlinkPayload::Error(error) => Err(error.to_io()),
            _ => Err(io::Error::other("the kernel tells no generation of its rulesets")),
        }
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation").finish_non_exhaustive()
    }
}
