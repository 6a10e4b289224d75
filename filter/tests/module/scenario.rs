//! Scripts of what happens to a plugin, and what must become of each connection.

use crate::{
    host::{Trap, Vm},
    world::World,
};

/// 2026-09-21, in nanoseconds.
pub(crate) const NOW: u64 = 1_790_000_000_000_000_000;

pub(crate) const INBOUND: &str = r#"{"role": "inbound", "demote_cluster": "slow",
    "exempt": [{"sources": ["2001:db8:f::/48"], "ports": [80]}], "services": [
    {"name": "web", "apl": "2:2001:db8:5::/64 !2:2001:db8:6::/120", "rules": ["v=ssa1; addr=src[64:128]"],
     "ports": [80]},
    {"name": "mail", "apl": "2:2001:db8:7::/64", "rules": ["v=ssa1; addr=hash(src/128):20 rand:44"], "ports": [25],
     "mode": "shadow"}]}"#;

pub(crate) const OUTBOUND: &str = r#"{"role": "outbound", "source": "2001:db8::7", "seed": "s", "services": [
    {"name": "web", "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=src[64:128]"],
     "addresses": ["2001:db8:6::1"]},
    {"name": "work", "apl": "2:2001:db8:8::/64", "rules": ["v=ssa1; addr=hash(src/128):20 rand:44; pow=8"],
     "addresses": ["2001:db8:6::2"], "ports": [80], "port": 8080}]}"#;

/// Where `ORIGINAL_DST` clusters look for a destination.
const DESTINATION: &str = "envoy.network.transport_socket.original_dst_address";
/// Where `tcp_proxy` looks for its cluster.
const CLUSTER: &str = "envoy.tcp_proxy.cluster";

/// What must become of a connection while all goes well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Inbound: it comes in.
    Enters,
    /// Inbound: it comes in by the cluster of low priority, else not at all.
    EntersDemoted,
    /// Inbound: it is closed.
    Refused,
    /// Outbound: it goes to an address that begins so.
    Composed(&'static str),
    /// Outbound: it goes where the application wanted.
    Untouched,
}

/// A step of a script.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A connection comes, from and to, and stays.
    Connect(&'static str, &'static str, Fate),
    /// The client of the newest connection sends.
    Data,
    /// The newest connection ends.
    Close,
    /// Milliseconds pass, and the clock ticks.
    Tick(u64),
}

/// A script.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) configuration: &'static str,
    /// Whether the plugin takes its configuration.
    pub(crate) taken: bool,
    pub(crate) steps: &'static [Step],
}

use Fate::{Composed, Enters, EntersDemoted, Refused, Untouched};
use Step::{Close, Connect, Data, Tick};

const SOURCE: &str = "[2001:db8::7]:40000";

pub(crate) const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "inbound: a conforming connection",
        configuration: INBOUND,
        taken: true,
        steps: &[
            Connect(SOURCE, "[2001:db8:5::7]:80", Enters),
            Data,
            Tick(1000),
            Data,
            Close,
        ],
    },
    Scenario {
        name: "inbound: a violation",
        configuration: INBOUND,
        taken: true,
        steps: &[
            Connect(SOURCE, "[2001:db8:5::8]:80", Refused),
            Data,
            Tick(1000),
            Data,
            Close,
        ],
    },
    Scenario {
        name: "inbound: a legacy client",
        configuration: INBOUND,
        taken: true,
        steps: &[
            Connect(SOURCE, "[2001:db8:6::1]:80", EntersDemoted),
            Data,
            Tick(1000),
            Close,
        ],
    },
    Scenario {
        name: "inbound: plain, exempt and shadowed",
        configuration: INBOUND,
        taken: true,
        steps: &[
            Connect(SOURCE, "[2001:db8::99]:80", Refused),
            Data,
            Close,
            Connect("[2001:db8:f::1]:5", "[2001:db8::99]:80", Enters),
            Close,
            Connect(SOURCE, "[2001:db8:7::1]:25", Enters),
            Close,
        ],
    },
    Scenario {
        name: "outbound: composed",
        configuration: OUTBOUND,
        taken: true,
        steps: &[
            Connect("[2001:db8::1]:5", "[2001:db8:6::1]:80", Composed("[2001:db8:5::7]:80")),
            Data,
            Tick(1000),
            Data,
            Close,
        ],
    },
    Scenario {
        name: "outbound: untouched",
        configuration: OUTBOUND,
        taken: true,
        steps: &[
            Connect("[2001:db8::1]:5", "[2001:db8:9::1]:80", Untouched),
            Close,
            Connect("[2001:db8::1]:6", "[2001:db8:5::7]:80", Untouched),
            Close,
            Connect("192.0.2.7:6", "192.0.2.1:80", Untouched),
        ],
    },
    Scenario {
        name: "outbound: proof of work",
        configuration: OUTBOUND,
        taken: true,
        steps: &[
            Connect("[2001:db8::1]:5", "[2001:db8:6::2]:80", Composed("[2001:db8:8:")),
            Tick(10),
            Tick(10),
            Data,
            Close,
        ],
    },
    Scenario {
        name: "a configuration that is none",
        configuration: r#"{"role": "inbound", "services": [{"name": "\ud800", "ports": [1e400]}]"#,
        taken: false,
        steps: &[
            Connect(SOURCE, "[2001:db8:5::7]:80", Refused),
            Data,
            Tick(1000),
            Data,
            Close,
        ],
    },
];

/// What went wrong with a script.
pub(crate) type Wrong = String;

impl Scenario {
    /// Returns the tables that it begins with.
    pub(crate) fn world() -> World {
        World {
            time: NOW,
            ..World::default()
        }
    }

    /// Plays the script with a world in which a host call may go wrong. A fault may only keep connections out, never let
    /// one in that is not to come in; and when it is over, all is as it should be.
    pub(crate) fn play(&self, world: World) -> Result<Vm, Wrong> {
        let faulty = world.fault.is_some();
        let trap = |Trap(trap): Trap| format!("trap: {trap}");
        let mut vm = Vm::new(world).map_err(trap)?;
        let taken = vm.configure(self.configuration).map_err(trap)?;
        if taken != self.taken && !(faulty && self.taken) {
            return Err(format!("configuration taken: {taken}"));
        }
        self.steps(&mut vm, taken, faulty)?;
        vm.world().fault = None;
        // Envoy lets no connection to a plugin that did not start.
        if faulty && taken == self.taken {
            vm.tick(60_000).map_err(trap)?;
            self.steps(&mut vm, taken, false)
                .map_err(|wrong| format!("afterwards: {wrong}"))?;
        }
        Ok(vm)
    }

    fn steps(&self, vm: &mut Vm, taken: bool, faulty: bool) -> Result<(), Wrong> {
        let trap = |Trap(trap): Trap| format!("trap: {trap}");
        let mut newest: Option<(u32, &str, Fate)> = None;
        for step in self.steps {
            match *step {
                Connect(source, destination, fate) => {
                    newest = Some((vm.connect(source, destination).map_err(trap)?, destination, fate));
                }
                Tick(milliseconds) => vm.tick(milliseconds).map_err(trap)?,
                Data | Close => {
                    let Some((context, destination, fate)) = newest else {
                        return Err("a script without a connection".to_owned());
                    };
                    if matches!(step, Data) {
                        // Envoy reads no more of what was closed.
                        if !vm.connection(context).closed {
                            vm.data(context).map_err(trap)?;
                        }
                    } else {
                        let fate = if taken { fate } else { Refused };
                        let judged = judge(vm, context, fate, faulty);
                        judged.map_err(|wrong| {
                            format!("{destination}: {wrong}: notes {:?}", vm.connection(context).notes)
                        })?;
                        vm.close(context).map_err(trap)?;
                        newest = None;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Compares what became of a connection with its fate.
fn judge(vm: &mut Vm, context: u32, fate: Fate, faulty: bool) -> Result<(), &'static str> {
    let connection = vm.connection(context);
    let state = |path: &str| connection.states.get(path).map(|(value, _)| value.as_str());
    if connection.states.values().any(|(_, span)| *span != 2) {
        return Err("a filter state that ends before the connection");
    }
    match fate {
        Enters if !connection.admitted && !faulty => Err("was kept out"),
        EntersDemoted if connection.admitted && state(CLUSTER) != Some("slow") => Err("came in undemoted"),
        EntersDemoted if !connection.admitted && !faulty => Err("was kept out"),
        Refused if connection.admitted => Err("was let in"),
        // Without a plugin there is no one to close it: it stays where it is.
        Refused if !connection.closed && !faulty && !connection.notes.is_empty() => Err("was not closed"),
        Composed(_) | Untouched if !connection.admitted => Err("was held up"),
        Composed(to) => match state(DESTINATION) {
            Some(destination) if !destination.starts_with(to) => Err("went elsewhere"),
            None if !faulty => Err("was not composed"),
            _ => Ok(()),
        },
        Untouched if state(DESTINATION).is_some() => Err("was composed"),
        _ => Ok(()),
    }
}
