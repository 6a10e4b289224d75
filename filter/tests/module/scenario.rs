//! Plays scripts of what happens to a plugin, and compares what becomes of it.

use std::{collections::BTreeMap, net::SocketAddrV6};

use crate::{
    host::{Trap, Vm},
    scripts::SECRET,
    world::{Connection, How, HttpResponse, Which, World},
};

/// 2026-09-21, in nanoseconds.
pub(crate) const NOW: u64 = 1_790_000_000_000_000_000;

/// Where `ORIGINAL_DST` clusters look for a destination.
const DESTINATION: &str = "envoy.network.transport_socket.original_dst_address";
/// Where `tcp_proxy` looks for its cluster.
const CLUSTER: &str = "envoy.tcp_proxy.cluster";

/// The expected outcome of a connection while no host call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Inbound: it is admitted.
    Admitted,
    /// Inbound: it is admitted to the cluster for demoted connections, or not at all.
    Demoted,
    /// It is closed.
    Closed,
    /// Outbound: it goes to an address that begins so.
    Composed(&'static str),
    /// The same, and not where the last one that was composed went.
    ComposedElsewhere(&'static str),
    /// Outbound: it goes where the application wanted.
    Unchanged,
    /// Its client closes it while it is held.
    ClientCloses,
}

/// A step of a script. Connections are named by letters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A connection comes, from and to.
    Connect(char, &'static str, &'static str),
    /// A request comes, on a connection from and to, with these header fields.
    Request(
        char,
        &'static str,
        &'static str,
        &'static [(&'static str, &'static str)],
    ),
    /// It goes on with these header fields of the filter's, or is answered with one.
    Sees(char, &'static [(&'static str, &'static str)]),
    /// Its client sends.
    Data(char),
    /// It is neither released nor closed.
    Held(char),
    /// What the proxy says of its upstream connection: response flags, and the address that it comes from.
    Upstream(char, i64, &'static str),
    /// A metric shows this now.
    Shown(&'static str, u64),
    /// It ends. What became of it, and the fields in access logs.
    Close(char, Expected, &'static str),
    /// From now on each look at the clock moves it by so many nanoseconds.
    Clock(u64),
    /// The clock ticks so many times, each after so many milliseconds.
    Tick(u32, u64),
    /// The clock ticks every so many milliseconds until it is decided what becomes of the connection.
    Settle(char, u64),
    /// The pending request: its path, the entity tag of the current snapshot, how long the server may wait and how long
    /// the proxy waits for the response.
    Asked(&'static str, Option<&'static str>, &'static str, u32),
    /// The response to it: the status, an entity tag, and a body.
    Answer(&'static str, &'static str, Body),
    /// There is no response in time.
    NoAnswer,
}

/// A body of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    Text(&'static str),
    /// A mebibyte of text that is no JSON.
    Huge,
}

/// A script.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) configuration: &'static str,
    /// Whether the plugin accepts its configuration.
    pub(crate) accepted: bool,
    pub(crate) steps: &'static [Step],
    /// The counters and gauges in the end, all there are: names and values.
    pub(crate) metrics: &'static str,
}

/// What went wrong with a script.
pub(crate) type Wrong = String;

/// A connection of a script.
struct Open {
    context: u32,
    destination: &'static str,
    /// Whether it was held.
    waited: bool,
}

impl Open {
    fn new(context: u32, destination: &'static str, connection: &Connection) -> Self {
        Self {
            context,
            destination,
            waited: !connection.admitted && !connection.closed,
        }
    }
}

/// How a script is played.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Play {
    /// All goes well, and all is compared.
    Well,
    /// A host call may go wrong.
    Faulty,
    /// All goes well again, with a plugin that met a fault before: what becomes of connections is compared.
    Afterwards,
}

impl Scenario {
    /// Plays the script with a world in which a host call may go wrong. A fault may only keep connections out, never let
    /// one in that is not to come in; and when it is over, all is as it should be.
    pub(crate) fn play(&self, world: World) -> Result<Vm, Wrong> {
        let play = if world.fault.is_some() {
            Play::Faulty
        } else {
            Play::Well
        };
        let mut vm = Vm::new(world).map_err(trap)?;
        let accepted = vm.configure(self.configuration).map_err(trap)?;
        if accepted != self.accepted && !(play == Play::Faulty && self.accepted) {
            return Err(format!("configuration accepted: {accepted}"));
        }
        self.steps(&mut vm, accepted, play)?;
        vm.world().clock_step = 0;
        if play == Play::Well {
            self.compare_metrics(&mut vm)?;
        }
        vm.world().fault = None;
        // Envoy lets no connection to a plugin that did not start.
        if play == Play::Faulty && accepted == self.accepted {
            // Pending requests fail, and then there is time for another.
            vm.tick(60_000).map_err(trap)?;
            vm.tick(3_000).map_err(trap)?;
            self.steps(&mut vm, accepted, Play::Afterwards)
                .map_err(|wrong| format!("afterwards: {wrong}"))?;
        }
        if vm.world().texts().any(|text| text.contains(SECRET)) {
            return Err("a secret was written".to_owned());
        }
        Ok(vm)
    }

    fn compare_metrics(&self, vm: &mut Vm) -> Result<(), Wrong> {
        let metrics = vm.world().metrics.iter();
        let metrics: BTreeMap<&str, u64> = metrics.map(|metric| (metric.name.as_str(), metric.value)).collect();
        let lines = self.metrics.lines().filter_map(|line| line.trim().split_once(' '));
        let wanted = lines.map(|(name, value)| (name, value.parse().expect("a number")));
        if metrics == wanted.collect() {
            Ok(())
        } else {
            Err(format!("metrics: {metrics:#?}"))
        }
    }

    fn steps(&self, vm: &mut Vm, accepted: bool, play: Play) -> Result<(), Wrong> {
        let mut open: BTreeMap<char, Open> = BTreeMap::new();
        // Where the last connection that was composed went.
        let mut last = None;
        for step in self.steps {
            match *step {
                Step::Connect(letter, source, destination) => {
                    let context = vm.connect(source, destination).map_err(trap)?;
                    let waited = !vm.connection(context).admitted;
                    let connection = Open {
                        context,
                        destination,
                        waited,
                    };
                    open.insert(letter, connection);
                }
                Step::Data(letter) => {
                    let context = open[&letter].context;
                    // Envoy reads no more of what was closed.
                    if !vm.connection(context).closed {
                        vm.data(context).map_err(trap)?;
                    }
                }
                Step::Request(letter, source, destination, fields) => {
                    let context = vm.request(source, destination, fields).map_err(trap)?;
                    let new = Open::new(context, destination, vm.connection(context));
                    open.insert(letter, new);
                }
                Step::Sees(letter, fields) => {
                    let request = vm.connection(open[&letter].context);
                    compare_fields(request, fields, play).map_err(|own| format!("{letter} sees {own:?}"))?;
                }
                Step::Held(letter) => {
                    let connection = vm.connection(open[&letter].context);
                    if play == Play::Well && (connection.admitted || connection.closed) {
                        return Err(format!("{letter} is not held: {connection:?}"));
                    }
                }
                Step::Shown(name, value) => {
                    let metric = vm.world().metrics.iter().find(|metric| metric.name == name);
                    if play == Play::Well && metric.is_none_or(|metric| metric.value != value) {
                        return Err(format!("{name} shows {metric:?}"));
                    }
                }
                Step::Upstream(letter, flags, source) => {
                    let properties = &mut vm.connection(open[&letter].context).properties;
                    properties.insert("response.flags".to_owned(), flags.to_le_bytes().into());
                    properties.insert("upstream.local_address".to_owned(), source.into());
                }
                Step::Close(letter, expected, fields) => {
                    let closing = open.remove(&letter).expect("a script closes what it opened");
                    let expected = if accepted { expected } else { Expected::Closed };
                    // What waits is decided on in the end.
                    for _ in 0..2 {
                        let connection = vm.connection(closing.context);
                        if play != Play::Well
                            && !connection.admitted
                            && !connection.closed
                            && expected != Expected::ClientCloses
                        {
                            vm.tick(30_000).map_err(trap)?;
                        }
                    }
                    self.judge(vm, &closing, expected, play, &mut last)
                        .and_then(|()| compare_filter_state(vm, &closing, fields, play))
                        .map_err(|wrong| {
                            let connection = vm.connection(closing.context);
                            format!(
                                "{letter} to {}: {wrong}: {:?}",
                                closing.destination, connection.filter_state
                            )
                        })?;
                    vm.close(closing.context).map_err(trap)?;
                }
                Step::Clock(nanoseconds) => vm.world().clock_step = nanoseconds,
                Step::Tick(times, milliseconds) => {
                    for _ in 0..times {
                        vm.tick(milliseconds).map_err(trap)?;
                    }
                }
                Step::Settle(letter, milliseconds) => {
                    let context = open[&letter].context;
                    for _ in 0..1000 {
                        let connection = vm.connection(context);
                        if !connection.admitted && !connection.closed {
                            vm.tick(milliseconds).map_err(trap)?;
                        }
                    }
                }
                Step::Asked(path, etag, wait, timeout_ms) => {
                    if play == Play::Well {
                        compare_request(vm, path, etag, wait, timeout_ms)?;
                    }
                }
                Step::Answer(status, etag, body) => respond(vm, play, Some(response(status, etag, body)))?,
                Step::NoAnswer => respond(vm, play, None)?,
            }
        }
        Ok(())
    }

    /// Compares the outcome of a connection with the expected one.
    fn judge(
        &self,
        vm: &mut Vm,
        closing: &Open,
        expected: Expected,
        play: Play,
        last: &mut Option<String>,
    ) -> Result<(), &'static str> {
        let faulty = play == Play::Faulty;
        // Under a clock that stands still, and where no connection can be shown, those that are held wait without end.
        let stuck = match vm.world().fault {
            Some((Which::Named("proxy_get_current_time_nanoseconds"), how)) => !matches!(how, How::Status(_)),
            Some((Which::Named(name), _)) => name == "proxy_set_effective_context",
            _ => false,
        };
        // Requests to an address of no service were decided on with their connection.
        let odd = match vm.world().fault {
            Some((Which::Nth(_, name) | Which::Named(name), How::Octets(_))) => name == "proxy_get_property",
            _ => false,
        };
        let connection = vm.connection(closing.context);
        let elsewhere = faulty && odd && connection.fields.is_some() && connection.filter_state.is_empty();
        let (admitted, closed) = (connection.admitted, connection.closed);
        let state = |path: &str| connection.states.get(path).map(|(value, _)| value.clone());
        if connection.states.values().any(|(_, span)| *span != 2) {
            return Err("a filter state that ends before the connection");
        }
        match expected {
            Expected::Admitted | Expected::Demoted if !admitted && !faulty => Err("was kept out"),
            Expected::Demoted if admitted && state(CLUSTER).as_deref() != Some("slow") => Err("came in undemoted"),
            Expected::Closed if admitted && !elsewhere => Err("was let in"),
            // Without a plugin there is no one to close it: it stays where it is.
            Expected::Closed if !closed && !faulty && !connection.filter_state.is_empty() => Err("was not closed"),
            // One that was held is closed where the proxy does not let it go.
            Expected::Composed(_) | Expected::ComposedElsewhere(_) | Expected::Unchanged
                if !(admitted || faulty && closing.waited && (closed || stuck)) =>
            {
                Err("was held up")
            }
            Expected::Composed(to) | Expected::ComposedElsewhere(to) => {
                // As the proxy writes it, whatever form the module wrote.
                let destination: Option<SocketAddrV6> = match state(DESTINATION) {
                    Some(text) => Some(text.parse().map_err(|_| "got no address")?),
                    None => None,
                };
                let destination = destination.map(|destination| destination.to_string());
                let again = destination.is_some() && destination == *last;
                match &destination {
                    Some(destination) if !destination.starts_with(to) => return Err("went elsewhere"),
                    None if !faulty => return Err("was not composed"),
                    _ if again && !faulty && matches!(expected, Expected::ComposedElsewhere(_)) => {
                        return Err("went there again");
                    }
                    _ => {}
                }
                *last = destination;
                Ok(())
            }
            // Where a later snapshot did not come, an earlier one is in force.
            Expected::Unchanged if state(DESTINATION).is_some() && !(faulty && self.subscribes()) => {
                Err("was composed")
            }
            Expected::ClientCloses if (admitted || closed) && play == Play::Well => Err("was not held"),
            _ => Ok(()),
        }
    }

    fn subscribes(&self) -> bool {
        self.configuration.contains("snapshot")
    }
}

fn trap(Trap(trap): Trap) -> Wrong {
    format!("trap: {trap}")
}

fn response(status: &str, etag: &str, body: Body) -> HttpResponse {
    let mut headers = vec![(":status".to_owned(), status.into())];
    if !etag.is_empty() {
        headers.push(("etag".to_owned(), etag.into()));
    }
    let body = match body {
        Body::Text(text) => text.into(),
        Body::Huge => vec![b'x'; 1 << 20],
    };
    HttpResponse { headers, body }
}

/// Responds to the pending request.
fn respond(vm: &mut Vm, play: Play, response: Option<HttpResponse>) -> Result<(), Wrong> {
    match vm.world().http_calls.last().map(|call| call.token) {
        Some(token) => vm.respond(token, response).map_err(trap),
        None if play == Play::Faulty => Ok(()),
        None => Err("nothing was asked for".to_owned()),
    }
}

fn compare_request(vm: &mut Vm, path: &str, etag: Option<&str>, wait: &str, timeout_ms: u32) -> Result<(), Wrong> {
    let mut headers = vec![
        (":method", "GET"),
        (":path", path),
        (":authority", "ssa-resolver"),
        ("accept", "application/json"),
    ];
    headers.extend(etag.map(|etag| ("if-none-match", etag)));
    headers.extend((!wait.is_empty()).then_some(("prefer", wait)));
    let headers: Vec<_> = headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    match vm.world().http_calls.as_slice() {
        [call] if call.cluster == "shim" && call.headers == headers && call.timeout_ms == timeout_ms => Ok(()),
        calls => Err(format!("asked: {calls:?}")),
    }
}

/// Compares the header fields of the filter's own that a request goes on with, or the one it is answered with.
fn compare_fields(request: &Connection, fields: &[(&str, &str)], play: Play) -> Result<(), Vec<(String, String)>> {
    let all = request.fields.iter().flatten();
    let own = all.filter(|(name, _)| name.starts_with("ssa-"));
    let mut own: Vec<(String, String)> = own
        .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
        .collect();
    own.extend(
        request
            .answer
            .iter()
            .map(|(_, name, value)| (name.clone(), value.clone())),
    );
    let expected = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let differs = play == Play::Well && own != expected.collect::<Vec<_>>();
    // Whatever goes wrong, nothing that a client says of itself goes on.
    let lies = request.admitted && own.iter().any(|(_, value)| value.contains("lie"));
    if differs || lies { Err(own) } else { Ok(()) }
}

/// Compares what access logs show of a connection.
fn compare_filter_state(vm: &mut Vm, closing: &Open, fields: &str, play: Play) -> Result<(), &'static str> {
    let of_request = vm.connection(closing.context).fields.is_some();
    let own = if of_request { "ssa_request" } else { "ssa" };
    let mut filter_state = BTreeMap::new();
    if !fields.is_empty() {
        filter_state.insert(own.to_owned(), fields.to_owned());
    }
    // Inbound: matchers find the outcome by itself wherever it is another than allowed.
    let outcome = fields.split_once("outcome=").filter(|_| fields.contains("verdict="));
    let outcome = outcome.and_then(|(_, rest)| rest.split(' ').next());
    if let Some(outcome) = outcome.filter(|outcome| *outcome != "allowed") {
        filter_state.insert(format!("{own}_outcome"), outcome.to_owned());
    }
    if play == Play::Well && vm.connection(closing.context).filter_state != filter_state {
        return Err("has other filter state");
    }
    Ok(())
}
