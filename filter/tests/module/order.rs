//! Callbacks in an order that no proxy should call them in.

use crate::{
    host::{ROOT, Trap, Vm},
    scenario::NOW,
    scripts::{INBOUND, OUTBOUND},
    world::{Connection, HttpResponse, World},
};

/// Callbacks, each with how many numbers it takes.
const CALLBACKS: [(&str, usize); 11] = [
    ("_initialize", 0),
    ("proxy_abi_version_0_2_1", 0),
    ("proxy_on_memory_allocate", 1),
    ("proxy_on_context_create", 2),
    ("proxy_on_vm_start", 2),
    ("proxy_on_configure", 2),
    ("proxy_on_tick", 1),
    ("proxy_on_new_connection", 1),
    ("proxy_on_downstream_data", 3),
    ("proxy_on_http_call_response", 5),
    ("proxy_on_delete", 1),
];

/// A connection that inbound refuses and outbound composes.
fn violation() -> Connection {
    let mut connection = Connection::default();
    connection
        .properties
        .insert("source.address".to_owned(), b"[2001:db8::7]:40000".into());
    connection
        .properties
        .insert("destination.address".to_owned(), b"[2001:db8:6::1]:80".into());
    connection
}

/// Calls back in an order made of a number, and says what came of it.
fn shuffle(configuration: &str, mut number: u64) -> Result<(), Trap> {
    let mut draw = move |below: u64| {
        // SplitMix64, so that orders are the same in every run.
        number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    };
    let mut vm = Vm::new(World::at(NOW))?;
    vm.world().configuration = configuration.into();
    vm.world().http_response = Some(HttpResponse {
        headers: vec![(":status".to_owned(), b"200".into())],
        body: b"{}".into(),
    });
    if draw(4) > 0 {
        vm.configure(configuration)?;
    }
    for _ in 0..40 {
        let callback = usize::try_from(draw(CALLBACKS.len() as u64)).unwrap();
        let (name, arity) = CALLBACKS[callback];
        let mut arguments: Vec<u32> = Vec::new();
        for place in 0..arity {
            // Few contexts, so that they meet; the plugin's among them. Sizes and tokens may be anything.
            let context = u32::try_from(draw(4)).unwrap();
            let odd = [0, 1, 2, 65_536, u32::MAX][usize::try_from(draw(5)).unwrap()];
            arguments.push(if place == 0 || name == "proxy_on_context_create" {
                context
            } else {
                odd
            });
        }
        if name == "proxy_on_memory_allocate" {
            arguments = vec![u32::try_from(draw(100_000)).unwrap()];
        }
        for context in [2, 3] {
            vm.world().connections.entry(context).or_insert_with(violation);
        }
        vm.world().time = draw(4) * 1_000_000_000_000_000_000;
        vm.call(name, &arguments)?;
    }
    Ok(())
}

#[test]
fn callbacks_in_any_order_trap_nothing() {
    for configuration in [INBOUND, OUTBOUND, "{"] {
        for number in 0..500 {
            if let Err(Trap(trap)) = shuffle(configuration, number << 20) {
                panic!("order {number}: {trap}: {configuration}");
            }
        }
    }
}

#[test]
fn what_is_not_known_is_stopped() {
    let mut vm = Vm::new(World::at(NOW)).unwrap();
    assert!(vm.configure(INBOUND).unwrap());
    // Never made, made and deleted, and the plugin itself.
    vm.call("proxy_on_context_create", &[3, ROOT]).unwrap();
    vm.call("proxy_on_delete", &[3]).unwrap();
    vm.call("proxy_on_delete", &[3]).unwrap();
    for context in [2, 3, ROOT] {
        vm.world().connections.insert(context, violation());
        assert_eq!(
            vm.call("proxy_on_new_connection", &[context]).unwrap(),
            Some(1),
            "{context}"
        );
    }
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
