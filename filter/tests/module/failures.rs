//! Every host call fails, in every way.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    scenario::{SCENARIOS, Scenario},
    world::{How, Kind, Status, Which},
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

const ODD_NUMBERS: [u64; 3] = [0, 1, u64::MAX];

/// Returns the ways in which a call with this kind of answer goes wrong.
fn ways(kind: Kind) -> Vec<How> {
    let mut ways: Vec<How> = Status::FAILURES.map(How::Status).into();
    match kind {
        Kind::Nothing => {}
        Kind::Number => {
            ways.push(How::Unwritten);
            ways.extend(ODD_NUMBERS.map(How::Number));
        }
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
            let mut world = Scenario::world();
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
    match scenario.play(Scenario::world()) {
        Ok(mut vm) => std::mem::take(&mut vm.world().trace),
        Err(wrong) => {
            wrongs.insert(format!("{}: without a fault: {wrong}", scenario.name), Vec::new());
            Vec::new()
        }
    }
}

#[test]
fn every_scenario_goes_as_it_should() {
    let wrongs: Vec<String> = SCENARIOS
        .iter()
        .filter_map(|scenario| {
            Some(format!(
                "{}: {}",
                scenario.name,
                scenario.play(Scenario::world()).err()?
            ))
        })
        .collect();
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
}

#[test]
fn each_host_call_can_go_wrong_once() {
    let (mut runs, mut wrongs) = (0, Wrongs::new());
    for scenario in SCENARIOS {
        let calls = trace(&scenario, &mut wrongs).into_iter().enumerate();
        let faults: Vec<(Which, How)> = calls
            .flat_map(|(number, (name, kind))| ways(kind).into_iter().map(move |how| (Which::Nth(number, name), how)))
            .collect();
        runs += faults.len();
        play(&scenario, &faults, &mut wrongs);
    }
    report(runs, &wrongs);
}

#[test]
fn each_host_call_can_go_wrong_always() {
    let (mut runs, mut wrongs) = (0, Wrongs::new());
    for scenario in SCENARIOS {
        let calls: BTreeMap<&'static str, Kind> = trace(&scenario, &mut wrongs).into_iter().collect();
        let faults: Vec<(Which, How)> = calls
            .into_iter()
            .flat_map(|(name, kind)| ways(kind).into_iter().map(move |how| (Which::Named(name), how)))
            .collect();
        runs += faults.len();
        play(&scenario, &faults, &mut wrongs);
    }
    report(runs, &wrongs);
}
