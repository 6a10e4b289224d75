//! Callbacks in every order that Envoy may call them in.
//!
//! The SDK traps at a context that Envoy never created, at one that is gone, and at an answer that nobody asked for.

use std::collections::BTreeMap;

use ssa_testing::Draw;

use crate::{
    host::{ROOT, Trap, Vm},
    scenario::NOW,
    scripts::{INBOUND, OUTBOUND, SERVERS, SUBSCRIBED_IN, SUBSCRIBED_OUT},
    world::{HttpResponse, World},
};

/// Addresses of which inbound refuses some and outbound composes some, and what is none.
const DESTINATIONS: [&str; 5] = [
    "[2001:db8:6::1]:80",
    "[2001:db8:6::2]:80",
    "[2001:db8:5::7]:80",
    "[2001:db8:9::9]:25",
    "nowhere",
];

/// Calls back in an order made of a number, and says what came of it.
fn shuffle(configuration: &str, number: u64) -> Result<(), Trap> {
    let mut draws = Draw::seeded(number);
    let mut vm = Vm::new(World::at(NOW))?;
    vm.configure(configuration)?;
    // Contexts of connections, and whether each may have data: Envoy does not read from closed ones.
    let mut open: BTreeMap<u32, bool> = BTreeMap::new();
    for _ in 0..60 {
        let any = open.keys().copied().nth(draws.index(open.len().max(1)));
        match (draws.index(8), any) {
            (0 | 1, _) => {
                let destination = DESTINATIONS[draws.index(DESTINATIONS.len())];
                let context = vm.connect("[2001:db8::7]:40000", destination)?;
                open.insert(context, true);
            }
            (2 | 3, Some(context)) => {
                if !vm.connection(context).closed {
                    vm.data(context)?;
                }
            }
            (4, Some(context)) => {
                open.remove(&context);
                vm.close(context)?;
            }
            (5, _) => {
                let token = vm.world().http_calls.first().map(|call| call.token);
                if let Some(token) = token {
                    let status = ["200", "304", "503", "x"][draws.index(4)];
                    let body = ["{}", SERVERS, ""][draws.index(3)];
                    let response = HttpResponse {
                        headers: vec![(":status".to_owned(), status.into())],
                        body: body.into(),
                    };
                    vm.respond(token, (draws.index(4) > 0).then_some(response))?;
                }
            }
            (6, _) if draws.index(4) == 0 => {
                vm.reconfigure(configuration)?;
            }
            // Backwards too.
            (7, _) if draws.index(4) == 0 => vm.world().time = draws.index(4) as u64 * 1_000_000_000_000_000_000,
            _ => vm.tick([0, 20, 1000, 60_000][draws.index(4)])?,
        }
    }
    for context in open.into_keys() {
        vm.close(context)?;
    }
    vm.call("proxy_on_delete", &[ROOT]).map(drop)
}

#[test]
fn callbacks_in_any_order_trap_nothing() {
    for configuration in [INBOUND, OUTBOUND, SUBSCRIBED_IN, SUBSCRIBED_OUT, "{"] {
        for number in 0..300 {
            if let Err(Trap(trap)) = shuffle(configuration, number << 20) {
                panic!("order {number}: {trap}: {configuration}");
            }
        }
    }
}

#[test]
fn a_plugin_without_a_configuration_stops_what_comes() {
    let mut vm = Vm::new(World::at(NOW)).unwrap();
    assert!(!vm.configure("{").unwrap());
    let context = vm.connect("[2001:db8::7]:40000", "[2001:db8:5::7]:80").unwrap();
    assert!(!vm.connection(context).admitted);
    assert!(!vm.data(context).unwrap());
}

#[test]
fn time_may_go_backwards() {
    for (configuration, destination) in [(INBOUND, "[2001:db8:5::7]:80"), (OUTBOUND, "[2001:db8:6::1]:80")] {
        let mut vm = Vm::new(World::at(NOW)).unwrap();
        assert!(vm.configure(configuration).unwrap());
        for time in [1_790_000_000_000_000_000, 1_700_000_000_000_000_000, 0, u64::MAX, 1] {
            vm.world().time = time;
            vm.tick(0).unwrap();
            let context = vm.connect("[2001:db8::7]:5", destination).unwrap();
            assert!(vm.connection(context).admitted, "at {time}");
            vm.close(context).unwrap();
        }
    }
}
