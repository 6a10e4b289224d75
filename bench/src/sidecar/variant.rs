//! What Envoys are measured: their configurations, shaped like those in envoy/ but with the service in themselves.

use std::{
    net::{Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use ssa_rules::{AddressSpace, Apl, Destination, Key, Record, Request, Rule, Source};

use super::network::{APPLICATION, CLIENT, MARK, PORT, SIDECAR, Shape, composed, inbound, listener, published};

/// What both services publish.
pub(crate) const RULE: &str = "v=ssa1; addr=hash(src/128):20 rand:44";

/// The Wasm filter of a variant.
#[derive(Clone, Debug)]
pub(crate) enum Filter {
    /// None: Envoy alone.
    None,
    /// One that needs no configuration.
    Idle(PathBuf),
    /// Ours.
    Ssa(PathBuf),
}

/// What an Envoy does with the bytes of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    /// `tcp_proxy`: each connection has its own upstream, as in `envoy/client.yaml` and `envoy/server.yaml`.
    Tcp,
    /// The HTTP connection manager, as in `envoy/client-http.yaml`; the Envoy before the application serves what the one
    /// behind the client sends.
    Http,
}

/// An Envoy that is measured.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) protocol: Protocol,
    pub(crate) filter: Filter,
    /// How many filters of it there are in a row.
    pub(crate) copies: u16,
    pub(crate) access_log: bool,
    /// How many addresses clients connect to, in turn.
    pub(crate) addresses: u32,
}

impl Variant {
    /// The addresses that clients connect to: as the rule makes them, inbound and outbound, for what an address costs
    /// depends on how long its text is.
    pub(crate) fn destinations(&self, number: u16) -> Vec<SocketAddr> {
        let rule = conforming(match self.shape {
            Shape::Inbound => inbound(number),
            Shape::Outbound => published(number),
        });
        let mut bits = fastrand::Rng::with_seed(number.into());
        let mut random = || bits.u64(..);
        let source = Request::new(Source(CLIENT));
        (0..self.addresses)
            .map(|_| {
                let Destination(address) = rule.compose(&source, &mut random).expect("the record composes");
                SocketAddr::from((address, PORT))
            })
            .collect()
    }

    /// The first address of the /64 that the service has.
    fn space(&self, number: u16) -> Ipv6Addr {
        match (self.shape, self.protocol) {
            (Shape::Inbound, Protocol::Tcp) => inbound(number),
            (Shape::Outbound, _) | (_, Protocol::Http) => composed(number),
        }
    }

    fn plugin(&self, number: u16) -> Option<(&Path, Value)> {
        match (&self.filter, self.shape) {
            (Filter::None, _) => None,
            (Filter::Idle(module), _) => Some((module, json!({}))),
            (Filter::Ssa(module), Shape::Inbound) => Some((
                module,
                json!({
                    "role": "inbound",
                    "demote_cluster": "application_demoted",
                    "services": [{
                        "name": "web.demo.test",
                        "apl": format!("2:{}/64 !2:2001:db8:66::/120", self.space(number)),
                        "rules": [RULE],
                        "ports": [PORT],
                        "mode": "enforce",
                        "policy": {
                            "conforming": "allow",
                            "legacy": "demote",
                            "violation": "deny",
                            "unchecked": "allow",
                            "outside": "deny",
                            "other_port": "deny",
                            "no_rule": "deny"
                        }
                    }],
                    "exempt": [{ "sources": ["2001:db8:0:f::/64"], "ports": [PORT] }],
                    "no_match": "deny"
                }),
            )),
            (Filter::Ssa(module), Shape::Outbound) => Some((
                module,
                json!({
                    "role": "outbound",
                    "source": SIDECAR.to_string(),
                    "seed": "client",
                    "services": [{
                        "name": "web.demo.test",
                        "apl": format!("2:{}/64 !2:2001:db8:66::/120", self.space(number)),
                        "rules": [RULE],
                        "addresses": self.destinations(number).iter().map(|to| to.ip().to_string()).collect::<Vec<_>>(),
                        "ports": [PORT]
                    }]
                }),
            )),
        }
    }

    /// Returns the whole configuration of Envoy.
    pub(crate) fn configuration(&self, number: u16, folder: &Path) -> Value {
        let plugin = self.plugin(number);
        let mut filters = Vec::new();
        for (copy, (module, plugin)) in (0..self.copies).zip(plugin.iter().cycle()) {
            filters.push(json!({
                "name": "wasm",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm",
                    "config": {
                        "name": format!("measured{copy}"),
                        "vm_config": {
                            "vm_id": "measured",
                            "runtime": "envoy.wasm.runtime.v8",
                            "code": { "local": { "filename": module } }
                        },
                        "configuration": {
                            "@type": "type.googleapis.com/google.protobuf.StringValue",
                            "value": plugin.to_string()
                        }
                    }
                }
            }));
        }
        filters.push(self.terminal(folder));
        json!({
            "node": { "id": "bench", "cluster": "bench" },
            "admin": { "address": { "pipe": { "path": folder.join("admin.sock"), "mode": 0o600 } } },
            // As rarely as can be: no part of what a connection costs.
            "stats_flush_interval": "299s",
            "static_resources": {
                "listeners": [{
                    "name": "measured",
                    "address": { "socket_address": { "address": "::", "port_value": listener(self.shape, number) } },
                    "listener_filters": [{
                        "name": "original_dst",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"
                        }
                    }],
                    "filter_chains": [{ "filters": filters }]
                }],
                "clusters": [self.upstream()]
            }
        })
    }

    /// The last filter, which connects upstream.
    fn terminal(&self, folder: &Path) -> Value {
        let format = match self.protocol {
            Protocol::Tcp => {
                "%START_TIME% %DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% \
                 %FILTER_STATE(wasm.ssa:PLAIN)% %BYTES_SENT%\n"
            }
            Protocol::Http => {
                "%START_TIME% %DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %UPSTREAM_HOST% \
                 %FILTER_STATE(wasm.ssa:PLAIN)% %RESPONSE_FLAGS% %RESPONSE_CODE%\n"
            }
        };
        let file = json!({
            "name": "file",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                "path": folder.join("access.log"),
                "log_format": { "text_format_source": { "inline_string": format } }
            }
        });
        let access_log = if self.access_log { json!([file]) } else { json!([]) };
        match self.protocol {
            Protocol::Tcp => json!({
                "name": "tcp_proxy",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                    "stat_prefix": "measured",
                    "cluster": "upstream",
                    "access_log": access_log
                }
            }),
            Protocol::Http => {
                let ages = match (&self.filter, self.shape) {
                    // A connection's address is composed once: under rules with time it must not grow old.
                    (Filter::Ssa(_), Shape::Outbound) => json!({ "max_connection_duration": "6s" }),
                    _ => json!({}),
                };
                json!({
                    "name": "http",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.\
                                  HttpConnectionManager",
                        "stat_prefix": "measured",
                        "common_http_protocol_options": ages,
                        "drain_timeout": "1s",
                        "generate_request_id": false,
                        "server_header_transformation": "PASS_THROUGH",
                        "http_protocol_options": { "accept_http_10": true },
                        "upgrade_configs": [{ "upgrade_type": "websocket" }],
                        "route_config": { "virtual_hosts": [{
                            "name": "all",
                            "domains": ["*"],
                            "routes": [{
                                "match": { "prefix": "/" },
                                "route": { "cluster": "upstream", "timeout": "0s" }
                            }]
                        }] },
                        "http_filters": [{
                            "name": "router",
                            "typed_config": {
                                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                                "suppress_envoy_headers": true
                            }
                        }],
                        "access_log": access_log
                    }
                })
            }
        }
    }

    /// The cluster that everything goes to.
    fn upstream(&self) -> Value {
        let limits = json!({ "thresholds": [{
            "max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000
        }] });
        let mut upstream = match self.shape {
            Shape::Inbound => json!({
                "name": "upstream",
                "type": "STATIC",
                "connect_timeout": "5s",
                "circuit_breakers": limits,
                "load_assignment": {
                    "cluster_name": "upstream",
                    "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": {
                        "socket_address": { "address": "::1", "port_value": APPLICATION }
                    } } }] }]
                }
            }),
            Shape::Outbound => json!({
                "name": "upstream",
                "type": "ORIGINAL_DST",
                "lb_policy": "CLUSTER_PROVIDED",
                "connect_timeout": "5s",
                "cleanup_interval": "60s",
                "circuit_breakers": limits,
                "upstream_bind_config": {
                    "source_address": { "address": SIDECAR.to_string(), "port_value": 0 },
                    // SO_MARK of SOL_SOCKET.
                    "socket_options": [{ "level": 1, "name": 36, "int_value": MARK, "state": "STATE_PREBIND" }]
                }
            }),
        };
        if (self.shape, self.protocol) == (Shape::Outbound, Protocol::Http) {
            upstream["typed_extension_protocol_options"] = json!({
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "common_http_protocol_options": { "idle_timeout": "30s" },
                    "use_downstream_protocol_config": { "http_protocol_options": {}, "http2_protocol_options": {} }
                }
            });
        }
        upstream
    }
}

fn conforming(prefix: Ipv6Addr) -> Rule {
    let record: Record = RULE.parse().expect("the record parses");
    let apl: Apl = format!("2:{prefix}/64").parse().expect("its list parses");
    let space = AddressSpace::new(&apl).expect("its list is an address space");
    Rule::prepare(&record, space.as_ref(), &Key::None).expect("they go together")
}
