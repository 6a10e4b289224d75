//! Memory does not grow with connections and clients.

use crate::{
    host::Vm,
    scenario::{INBOUND, OUTBOUND, Scenario},
};

/// Makes connections of ever new clients to ever new addresses, and returns the size of memory after the first
/// thousand and after the last.
fn grow(configuration: &str, connections: u32) -> (usize, usize) {
    let mut vm = Vm::new(Scenario::world()).unwrap();
    vm.world().forgetful = true;
    assert!(vm.configure(configuration).unwrap());
    let mut early = 0;
    for number in 0..connections {
        let (high, low) = (number >> 16, number & 0xffff);
        let source = format!("[2001:db8:{high:x}:{low:x}::7]:{}", 1 + number % 65_535);
        let destination = match number % 8 {
            0 => "[2001:db8:6::1]:80".to_owned(),
            1 => "[2001:db8:6::2]:80".to_owned(),
            2 => format!("[2001:db8:9:{high:x}:{low:x}::]:80"),
            3 => format!("{low}.{high}.example:80"),
            _ => format!("[2001:db8:5::{high:x}:{low:x}]:80"),
        };
        let context = vm.connect(&source, &destination).unwrap();
        vm.world().time += 1_000_000;
        vm.world().log.clear();
        if number % 100 == 0 {
            vm.tick(0).unwrap();
        }
        vm.close(context).unwrap();
        if number == 1000 {
            early = vm.memory();
        }
    }
    (early, vm.memory())
}

fn check(connections: u32) {
    for (role, configuration) in [("inbound", INBOUND), ("outbound", OUTBOUND)] {
        let (early, late) = grow(configuration, connections);
        println!("{role}: {early} octets after 1000 connections, {late} after {connections}");
        assert_eq!(early, late, "{role}");
    }
}

#[test]
fn memory_stays_as_it_is_after_a_thousand_connections() {
    check(20_000);
}

#[test]
#[ignore = "takes minutes: cargo test -p ssa-filter --test module --release -- --ignored million"]
fn memory_stays_as_it_is_over_a_million_connections() {
    check(1_000_000);
}
