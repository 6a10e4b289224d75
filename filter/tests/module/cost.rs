//! What callbacks cost, in the module's instructions as wasmtime counts them.

use crate::{host::Vm, scenario::NOW, scripts::OUTBOUND, world::World};

/// An outbound plugin that holds so many connections, which wait for a proof of work, and their contexts.
fn holding(count: usize) -> (Vm, Vec<u32>) {
    let mut vm = Vm::new(World::at(NOW)).unwrap();
    let hold = r#""hold": {"connections": 4096, "ms": 30000}, "services""#;
    assert!(vm.configure(&OUTBOUND.replace(r#""services""#, hold)).unwrap());
    // Each look at the clock is a millisecond later: a slice of work ends before it begins.
    vm.world().clock_step = 1_000_000;
    let held: Vec<u32> = (0..count)
        .map(|_| vm.connect("[2001:db8::1]:5", "[2001:db8:6::4]:80").unwrap())
        .collect();
    vm.world().clock_step = 0;
    (vm, held)
}

/// What each of the callbacks costs while so many connections are held.
fn costs(count: usize) -> Vec<(&'static str, u64)> {
    let (mut vm, held) = holding(count);
    let middle = held[count / 2];
    assert!(!vm.connection(middle).admitted);
    assert!(!vm.data(middle).unwrap());
    let mut costs = vec![("data of a held connection", vm.spent())];
    let passing = vm.connect("[2001:db8::1]:5", "[2001:db8:6::1]:80").unwrap();
    assert!(vm.connection(passing).admitted);
    costs.push(("a connection that is not held", vm.spent()));
    assert!(vm.data(passing).unwrap());
    costs.push(("its data", vm.spent()));
    vm.close(passing).unwrap();
    costs.push(("its end", vm.spent()));
    vm.close(middle).unwrap();
    costs.push(("the end of a held connection", vm.spent()));
    costs
}

#[test]
fn callbacks_cost_the_same_however_many_connections_are_held() {
    let few = costs(16);
    let many = costs(4096);
    println!("{few:?}\n{many:?}");
    for ((what, few), (_, many)) in few.into_iter().zip(many) {
        // A binary search takes eight more steps.
        assert!(
            many < few + 400,
            "{what}: {few} instructions, {many} when 4096 are held"
        );
    }
}
