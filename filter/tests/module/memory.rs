//! Memory does not grow with connections, clients and snapshots; and the largest that may come fits.

use std::time::Instant;

use crate::{
    host::{ROOT, Vm},
    scenario::NOW,
    scripts::{CONFORMING, INBOUND, OUTBOUND, SERVERS, SOURCE, SUBSCRIBED_IN},
    world::{HttpResponse, World},
};

/// Octets of a page of memory.
const PAGE: usize = 65_536;

fn vm(configuration: &str) -> Vm {
    let mut vm = Vm::new(World::at(NOW)).unwrap();
    vm.world().forgetful = true;
    assert!(vm.configure(configuration).unwrap());
    vm
}

/// Makes connections of ever new clients to ever new addresses, and returns the pages of memory after the first
/// thousand and after the last.
fn grow(configuration: &str, connections: u32) -> (usize, usize) {
    let mut vm = vm(configuration);
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
    (early / PAGE, vm.memory() / PAGE)
}

fn check(connections: u32) {
    for (role, configuration) in [("inbound", INBOUND), ("outbound", OUTBOUND)] {
        let began = Instant::now();
        let (early, late) = grow(configuration, connections);
        let seconds = began.elapsed().as_secs();
        println!("{role}: {early} pages after 1000 connections, {late} after {connections}, {seconds} s");
        assert_eq!(early, late, "{role}");
    }
}

#[test]
fn memory_stays_as_it_is_after_a_thousand_connections() {
    check(20_000);
}

#[test]
#[ignore = "takes minutes: cargo test -p ssa-filter --test module -- --ignored million"]
fn memory_stays_as_it_is_over_a_million_connections() {
    check(1_000_000);
}

/// Has the plugin ask for a snapshot, and answers.
fn install(vm: &mut Vm, body: Vec<u8>) {
    vm.tick(1000).unwrap();
    let token = vm.world().http_calls[0].token;
    let headers = vec![(":status".to_owned(), b"200".into())];
    vm.respond(token, Some(HttpResponse { headers, body })).unwrap();
}

fn count(vm: &mut Vm, outcome: &str) -> u64 {
    let name = format!("ssa_inbound_snapshots_total.outcome.{outcome}");
    let mut metrics = vm.world().metrics.iter();
    metrics
        .find(|metric| metric.name == name)
        .map_or(0, |metric| metric.value)
}

/// Returns a snapshot with so many services.
fn services(generation: u32, count: u32) -> Vec<u8> {
    let service = |number: u32| {
        format!(
            r#"{{"name": "service-{number}.example", "apl": "2:2001:db8:{number:x}::/64", "ports": [80],
                "rules": ["v=ssa1; addr=mac(src/128,time/30):20 rand:44; key=k1; skew=30"],
                "secrets": {{"k1": {{"secret": "00112233445566778899aabbccddee{:02x}"}}}}}}"#,
            generation % 256
        )
    };
    let services: Vec<String> = (0..count).map(service).collect();
    let services = services.join(",");
    format!(r#"{{"version": 1, "generation": "{generation}", "services": [{services}]}}"#).into()
}

#[test]
fn memory_stays_over_many_snapshots() {
    let mut vm = vm(SUBSCRIBED_IN);
    let mut early = 0;
    for generation in 0..300 {
        install(&mut vm, services(generation, 20 + generation % 7));
        if generation == 30 {
            early = vm.memory() / PAGE;
        }
    }
    let late = vm.memory() / PAGE;
    println!("{early} pages after 30 snapshots, {late} after 300");
    assert_eq!(count(&mut vm, "installed"), 300);
    // Snapshots of other sizes leave gaps: two pages in 3000 were seen. Each leaves less than half a kilobyte.
    assert!(late <= early + 2, "{early} pages after 30 snapshots, {late} after 300");
}

#[test]
fn the_largest_snapshot_fits_and_no_larger_one_is_taken() {
    let mut vm = vm(SUBSCRIBED_IN);
    install(&mut vm, services(1, 1024));
    assert_eq!(count(&mut vm, "installed"), 1);
    println!("{} pages after a snapshot of 1024 services", vm.memory() / PAGE);
    let padded = |length: usize| {
        let mut body = SERVERS.as_bytes().to_vec();
        body.resize(length, b' ');
        body
    };
    install(&mut vm, padded((16 << 20) + 1));
    assert_eq!(count(&mut vm, "refused"), 1);
    install(&mut vm, padded(16 << 20));
    assert_eq!(count(&mut vm, "installed"), 2);
    println!("{} pages after one of 16 MiB", vm.memory() / PAGE);
    let context = vm.connect(SOURCE, CONFORMING).unwrap();
    assert!(vm.connection(context).admitted);
}

/// The stack is a part of the memory with a size of its own.
#[test]
fn the_deepest_json_fits_the_stack() {
    for (start, end) in [("[", "]"), (r#"{"role":"#, "}")] {
        for depth in [100, 127, 128, 129, 100_000] {
            let json = format!("{}0{}", start.repeat(depth), end.repeat(depth));
            let mut vm = vm(SUBSCRIBED_IN);
            install(&mut vm, json.clone().into());
            assert_eq!(count(&mut vm, "refused"), 1, "{start} {depth} deep");
            assert!(!vm.reconfigure(&json).unwrap());
            vm.tick(0).unwrap();
            vm.call("proxy_on_delete", &[ROOT]).unwrap();
        }
    }
}
