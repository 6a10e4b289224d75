//! Envoys: their configurations, as in envoy/client.yaml and envoy/server.yaml but with the service in themselves, their
//! processes and their CPU time.

use std::{
    fs,
    net::{Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use ssa_rules::{AddressSpace, Apl, Destination, Key, Record, Request, Rule, Source};

use super::{
    error::Error,
    network::{APPLICATION, CLIENT, FOLDER, MARK, PORT, SIDECAR, composed, inbound, listener, published},
};

/// What both services publish.
pub(crate) const RULE: &str = "v=ssa1; addr=hash(src/128):20 rand:44";

/// Which side of a connection an Envoy is on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// Before an application on loopback: a static cluster.
    Inbound,
    /// Behind a client: an `ORIGINAL_DST` cluster, its source pinned.
    Outbound,
}

/// The Wasm filter of a variant.
#[derive(Clone, Debug)]
pub(crate) enum Filter {
    /// None: `tcp_proxy` alone.
    None,
    /// One that needs no configuration.
    Idle(PathBuf),
    /// Ours.
    Ssa(PathBuf),
}

/// An Envoy that is measured.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) shape: Shape,
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
        let mut random = splitmix(u64::from(number));
        let source = Request::new(Source(CLIENT));
        (0..self.addresses)
            .map(|_| {
                let Destination(address) = rule.compose(&source, &mut random).expect("the record composes");
                SocketAddr::from((address, PORT))
            })
            .collect()
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
                        "apl": format!("2:{}/64 !2:2001:db8:66::/120", inbound(number)),
                        "rules": [RULE],
                        "ports": [PORT],
                        "mode": "enforce",
                        "policy": {
                            "conforming": "allow",
                            "legacy": "demote",
                            "violation": "deny",
                            "outside": "deny",
                            "other_port": "deny",
                            "no_rule": "deny"
                        }
                    }],
                    "exempt": [{ "sources": ["2001:db8:0:f::/64"], "ports": [PORT] }],
                    "unclaimed": "deny"
                }),
            )),
            (Filter::Ssa(module), Shape::Outbound) => Some((
                module,
                json!({
                    "role": "outbound",
                    "source": SIDECAR.to_string(),
                    "seed": "client",
                    "pool": 256,
                    "services": [{
                        "name": "web.demo.test",
                        "apl": format!("2:{}/64 !2:2001:db8:66::/120", composed(number)),
                        "rules": [RULE],
                        "addresses": self.destinations(number).iter().map(|to| to.ip().to_string()).collect::<Vec<_>>(),
                        "ports": [PORT]
                    }]
                }),
            )),
        }
    }

    fn configuration(&self, number: u16, folder: &Path) -> Value {
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
        let access_log = json!([{
            "name": "file",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                "path": folder.join("access.log"),
                "log_format": { "text_format_source": {
                    "inline_string": "%START_TIME% %DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% \
                                      %FILTER_STATE(wasm.ssa:PLAIN)% %BYTES_SENT%\n"
                } }
            }
        }]);
        filters.push(json!({
            "name": "tcp_proxy",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                "stat_prefix": "measured",
                "cluster": "upstream",
                "access_log": if self.access_log { access_log } else { json!([]) }
            }
        }));
        let limits = json!({ "thresholds": [{ "max_connections": 20000, "max_pending_requests": 20000 }] });
        let upstream = match self.shape {
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
        json!({
            "node": { "id": "bench", "cluster": "bench" },
            "admin": { "address": { "pipe": { "path": folder.join("admin.sock"), "mode": 0o600 } } },
            // As rarely as can be: no part of what a connection costs.
            "stats_flush_interval": "299s",
            "static_resources": {
                "listeners": [{
                    "name": "measured",
                    "address": { "socket_address": { "address": "::", "port_value": listener(number) } },
                    "listener_filters": [{
                        "name": "original_dst",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"
                        }
                    }],
                    "filter_chains": [{ "filters": filters }]
                }],
                "clusters": [upstream]
            }
        })
    }
}

fn conforming(prefix: Ipv6Addr) -> Rule {
    let record: Record = RULE.parse().expect("the record parses");
    let apl: Apl = format!("2:{prefix}/64").parse().expect("its list parses");
    let space = AddressSpace::new(&apl).expect("its list is an address space");
    Rule::prepare(&record, space.as_ref(), &Key::None).expect("they go together")
}

fn splitmix(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }
}

/// A running Envoy; it ends with this value.
#[derive(Debug)]
pub(crate) struct Envoy {
    process: Child,
    folder: PathBuf,
}

impl Envoy {
    /// Starts the Envoy of a variant; it may not serve yet.
    pub(crate) fn start(program: &Path, variant: &Variant, number: u16, workers: u16) -> Result<Self, Error> {
        let folder = Path::new(FOLDER).join(number.to_string());
        fs::create_dir_all(&folder).map_err(Error::io("make", &folder))?;
        let configuration = folder.join("envoy.json");
        let text = variant.configuration(number, &folder).to_string();
        fs::write(&configuration, text).map_err(Error::io("write", &configuration))?;
        let log = folder.join("envoy.log");
        let output = fs::File::create(&log).map_err(Error::io("write", &log))?;
        let errors = output.try_clone().map_err(Error::io("write", &log))?;
        let process = Command::new(program)
            .args(["--disable-hot-restart", "--log-level", "warn", "--concurrency"])
            .arg(workers.to_string())
            .arg("-c")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(Error::io("run", program))?;
        Ok(Self { process, folder })
    }

    /// Returns the end of what it logged.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("envoy.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// Whether its process has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(Some(_)))
    }

    /// Returns the CPU time of all its threads, in user space and in the kernel.
    ///
    /// This is the sum that `/proc/PID/stat` splits into utime and stime and rounds to ticks; here in nanoseconds.
    pub(crate) fn cpu_time(&self) -> Result<Duration, Error> {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.process.id()));
        let mut total = 0;
        for task in fs::read_dir(&tasks).map_err(Error::io("read", &tasks))? {
            let path = task.map_err(Error::io("read", &tasks))?.path().join("schedstat");
            let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
            total += text
                .split(' ')
                .next()
                .and_then(|first| first.parse::<u64>().ok())
                .unwrap_or(0);
        }
        Ok(Duration::from_nanos(total))
    }

    /// Returns utime and stime of `/proc/PID/stat`, in ticks.
    pub(crate) fn ticks(&self) -> Result<[f64; 2], Error> {
        let path = PathBuf::from(format!("/proc/{}/stat", self.process.id()));
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        // Fields 14 and 15; the second, a name in brackets, may hold blanks.
        let mut fields = text
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(11)
            .map(|field| field.parse().unwrap_or(0.0));
        Ok([fields.next().unwrap_or(0.0), fields.next().unwrap_or(0.0)])
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
