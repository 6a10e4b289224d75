//! Every host call fails, in every way in which Envoy lets it fail.
//!
//! docs/host-calls.md has the statuses that Envoy returns; none of them may trap. At others the SDK traps, and which ones
//! stands there too: a newer SDK that takes one of them shows as a difference.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    requests,
    scenario::{NOW, Scenario},
    scripts, statuses,
    world::{How, Kind, Which, World},
};

/// Octets that no proxy should answer with. None of them is an address that conforms.
const ODD_OCTETS: [&[u8]; 12] = [
    b"",
    b"\0",
    b"\xff\xfe\x80",
    b"[",
    b"[]:",
    b"[::1]",
    b"[::1]:70000",
    b"[2001:db8::7%eth0]:80",
    b"[2001:db8:5::7]:80\xc3",
    b"[[2001:db8:5::7]]:80",
    b"envoy://internal/\xf0\x9f",
    b"{\"version\": 1",
];

/// How many calls of one name in one script fail once, each by itself.
const MOST_ALIKE: usize = 40;

const ODD_NUMBERS: [u64; 3] = [0, 1, u64::MAX];

/// Returns how a call with this kind of result can fail.
fn ways(name: &str, kind: Kind) -> Vec<How> {
    let mut ways: Vec<How> = statuses::returned(name).map(How::Status).collect();
    match kind {
        // The SDK knows requests by their numbers, of which Envoy gives no two the same one.
        Kind::Number if name == "proxy_http_call" => {}
        Kind::Nothing => {}
        Kind::Number => {
            ways.push(How::Unwritten);
            ways.extend(ODD_NUMBERS.map(How::Number));
        }
        Kind::Fields => ways.extend([How::Unwritten, How::Null(0), How::Null(16)]),
        Kind::Octets => {
            ways.extend([How::Unwritten, How::Null(0), How::Null(16), How::Huge]);
            ways.extend(ODD_OCTETS.map(How::Octets));
        }
    }
    ways
}

/// What went wrong, with the ways in which the call did that led to it.
type Wrongs = BTreeMap<String, Vec<How>>;

/// Plays a scenario with each of these faults.
fn play(scenario: &Scenario, faults: &[(Which, How)], wrongs: &mut Wrongs) {
    let next = AtomicUsize::new(0);
    let player = || {
        let mut wrongs = Vec::new();
        while let Some((which, how)) = faults.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
            let mut world = World::at(NOW);
            world.fault = Some((which, how));
            if let Err(wrong) = scenario.play(world) {
                wrongs.push((format!("{}: {which:?}: {wrong}", scenario.name), how));
            }
        }
        wrongs
    };
    let players = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let players: Vec<_> = (0..players).map(|_| scope.spawn(player)).collect();
        for (wrong, how) in players.into_iter().flat_map(|player| player.join().unwrap()) {
            wrongs.entry(wrong).or_default().push(how);
        }
    });
}

/// Returns all scripts.
fn scenarios() -> impl Iterator<Item = Scenario> {
    scripts::SCENARIOS.into_iter().chain(requests::SCENARIOS)
}

fn report(runs: usize, wrongs: &Wrongs) {
    println!("{runs} runs");
    let lines = wrongs
        .iter()
        .map(|(wrong, ways)| format!("\n{wrong}\n    where it answers {ways:?}"));
    assert!(
        wrongs.is_empty(),
        "{} things went wrong:{}",
        wrongs.len(),
        lines.collect::<String>()
    );
}

/// Returns the host calls of a scenario in which all goes well.
fn trace(scenario: &Scenario, wrongs: &mut Wrongs) -> Vec<(&'static str, Kind)> {
    match scenario.play(World::at(NOW)) {
        Ok(mut vm) => std::mem::take(&mut vm.world().trace),
        Err(wrong) => {
            wrongs.insert(format!("{}: without a fault: {wrong}", scenario.name), Vec::new());
            Vec::new()
        }
    }
}

#[test]
fn every_scenario_goes_as_it_should() {
    let wrongs: Vec<String> = scenarios()
        .filter_map(|scenario| Some(format!("{}: {}", scenario.name, scenario.play(World::at(NOW)).err()?)))
        .collect();
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
}

#[test]
fn each_host_call_can_go_wrong_once() {
    let (mut runs, mut wrongs) = (0, Wrongs::new());
    for scenario in scenarios() {
        let calls = trace(&scenario, &mut wrongs);
        let mut met: BTreeMap<&str, usize> = BTreeMap::new();
        let mut faults = Vec::new();
        for (number, (name, kind)) in calls.iter().copied().enumerate() {
            // Of a call that a script repeats many times, such as a look at the clock, the later ones are alike.
            let times = met.entry(name).or_default();
            *times += 1;
            if *times <= MOST_ALIKE {
                faults.extend(ways(name, kind).into_iter().map(|how| (Which::Nth(number, name), how)));
            }
        }
        runs += faults.len();
        play(&scenario, &faults, &mut wrongs);
    }
    report(runs, &wrongs);
}

#[test]
fn each_host_call_can_go_wrong_always() {
    let (mut runs, mut wrongs) = (0, Wrongs::new());
    for scenario in scenarios() {
        let calls: BTreeMap<&'static str, Kind> = trace(&scenario, &mut wrongs).into_iter().collect();
        let faults: Vec<(Which, How)> = calls
            .into_iter()
            .flat_map(|(name, kind)| ways(name, kind).into_iter().map(move |how| (Which::Named(name), how)))
            .collect();
        runs += faults.len();
        play(&scenario, &faults, &mut wrongs);
    }
    report(runs, &wrongs);
}

#[test]
fn statuses_that_envoy_does_not_return_trap_where_it_is_known() {
    let mut trapping: BTreeMap<&'static str, BTreeSet<u32>> = BTreeMap::new();
    for scenario in scenarios() {
        let calls: BTreeSet<&'static str> = trace(&scenario, &mut Wrongs::new())
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        for name in calls {
            let met = trapping.entry(name).or_default();
            for status in statuses::NAMES.map(|(status, _)| status) {
                if met.contains(&status) || statuses::returned(name).any(|returned| returned == status) {
                    continue;
                }
                let mut world = World::at(NOW);
                world.fault = Some((Which::Named(name), How::Status(status)));
                if scenario.play(world).is_err_and(|wrong| wrong.contains("trap: ")) {
                    met.insert(status);
                }
            }
        }
    }
    assert_eq!(
        trapping.keys().copied().collect::<BTreeSet<_>>(),
        statuses::calls(),
        "the calls that are made, and those that docs/host-calls.md has"
    );
    let differences: Vec<String> = trapping
        .into_iter()
        .filter(|(name, met)| *met != statuses::trapping(name).collect())
        .map(|(name, met)| format!("{name} traps at {}", statuses::names(&met)))
        .collect();
    assert!(
        differences.is_empty(),
        "docs/host-calls.md differs:\n{}",
        differences.join("\n")
    );
}
