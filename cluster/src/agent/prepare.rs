//! What has to be there before an agent can do anything: its endpoint, its address, the kernel.

use std::net::{Ipv6Addr, UdpSocket};

use super::peers::Found;
use super::{Agent, NAMED, tell};
use crate::heartbeat::Beats;
use crate::kernel::{Error, Kernel, Settings, table};

/// What has to be there before the kernel can be used.
pub(super) enum Awaited {
    /// The endpoint's object.
    Endpoint(String),
    /// The endpoint's address, on this host.
    Address(String),
    /// Something of the kernel.
    Kernel(String),
}

impl Agent {
    /// Opens the kernel and begins heartbeats, once that can be; else says what is waited for.
    pub(super) async fn prepare(&mut self) -> Result<Result<(), Awaited>, Error> {
        let name = &self.options.endpoint;
        let Some(endpoint) = self.world.endpoints.get(name) else {
            let mut names = self.world.endpoints.iter().map(|one| one.name().as_str());
            let there: Vec<&str> = names.by_ref().take(NAMED).collect();
            let more = if names.next().is_some() { ", …" } else { "" };
            let there = if there.is_empty() {
                "none".to_owned()
            } else {
                there.join(", ") + more
            };
            let text = format!("--endpoint {name}: the store has no such SliceEndpoint; it has {there}");
            return Ok(Err(Awaited::Endpoint(text)));
        };
        let (address, tunnel) = (endpoint.spec.address, endpoint.spec.tunnel.address);
        let source = tunnel.unwrap_or(address);
        if let Err(error) = UdpSocket::bind((source, 0)) {
            let reason = ssa_input::files::reason(&error);
            let text = format!("--endpoint {name}: its address is {source}, and {reason}");
            return Ok(Err(Awaited::Address(text)));
        }
        for about in ["endpoint", "address"] {
            if self.told_once.remove(about).is_some() {
                tell(&format!(
                    "SliceEndpoint {name} is there now, and its address {source} too"
                ));
            }
        }
        if self.kernel.is_none() {
            let settings = Settings {
                interfaces: self.options.interfaces.clone(),
                tunnel: source,
                allowed: self.options.allowed.clone(),
            };
            let kernel = match Kernel::open(settings).await {
                Ok(kernel) => kernel,
                Err(error) if error.is_final() => return Err(error),
                Err(error) => return Ok(Err(Awaited::Kernel(error.to_string()))),
            };
            let held = match (kernel.held(table::ANNOUNCED).await, kernel.held(table::LOCAL).await) {
                (Ok(announced), Ok(local)) => Found {
                    announced,
                    nothing: local.is_empty(),
                },
                (Err(error), _) | (_, Err(error)) => return Ok(Err(Awaited::Kernel(error.to_string()))),
            };
            if self.told_once.remove("kernel").is_some() {
                tell("the kernel can be used now");
            }
            self.found = Some(held);
            self.kernel = Some(kernel);
        }
        self.beat(address);
        Ok(Ok(()))
    }

    /// Begins heartbeats at an address, unless they are under way.
    fn beat(&mut self, address: Ipv6Addr) {
        let Some(heartbeats) = &self.options.heartbeats else {
            return;
        };
        if self.beats.as_ref().is_some_and(|(at, _)| *at == address) {
            return;
        }
        let (keys, port, pace) = (heartbeats.keys.clone(), heartbeats.port, heartbeats.pace);
        // The one before has the port.
        self.beats = None;
        match Beats::start(
            (self.options.endpoint.clone(), self.number),
            (address, port),
            pace,
            keys,
        ) {
            Ok(beats) => {
                self.heard = Some(beats.heard());
                self.ignored = Some(beats.ignored());
                self.beats = Some((address, beats));
                self.told_once.remove("heartbeats");
            }
            Err(error) => {
                let reason = ssa_input::files::reason(&error);
                self.tell_once(
                    "heartbeats",
                    &format!("heartbeats: UDP port {port} of {address}: {reason}"),
                );
            }
        }
    }
}
