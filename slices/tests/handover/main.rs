//! Handovers in a network where everything that can happen does, in every order: [`world`].

mod chain;
mod explore;
mod leader;
mod lease;
mod packets;
mod setting;
mod state;
mod world;

use ssa_slices::handover::{Facts, KernelRoute, Ownership, next};

use explore::explore;
use setting::{Begin, Setting};
use state::Budget;

const WHOLE: &str = "2001:db8::/64";
const HALF: &str = "2001:db8::/65";
const IN_HALF: &str = "2001:db8::1";
const REST: &str = "2001:db8:0:0:8000::1";

const NO_HARM: Budget = Budget {
    host_crashes: 0,
    agent_crashes: 0,
    false_alarms: 0,
    cancels: 0,
};

/// `a` owns it all, `s` stands by, and half of it goes to `b`.
const HALF_TO_B: Begin<'static> = Begin {
    ownership: Ownership::Available,
    owned: &[(WHOLE, 0)],
    standby: &[(WHOLE, 2)],
    handovers: &[(Some(0), 1, HALF)],
    goes_on: None,
    probes: &[IN_HALF, REST],
    endpoints: 3,
    budget: NO_HARM,
};

fn try_all(begin: &Begin<'_>) -> usize {
    let (mut setting, world) = Setting::new(begin);
    let worlds = explore(&mut setting, &world).unwrap();
    println!("{worlds} worlds");
    worlds
}

#[test]
fn a_handover_loses_nothing() {
    try_all(&HALF_TO_B);
}

#[test]
fn a_handover_to_the_standby_loses_nothing() {
    try_all(&Begin {
        standby: &[(WHOLE, 1)],
        endpoints: 2,
        ..HALF_TO_B
    });
}

#[test]
fn a_handover_that_is_cancelled_at_any_moment_loses_nothing() {
    let budget = Budget { cancels: 1, ..NO_HARM };
    try_all(&Begin { budget, ..HALF_TO_B });
}

/// The same, with all that `a` has: nothing is split, so that more harm can be tried.
const WHOLE_TO_B: Begin<'static> = Begin {
    handovers: &[(Some(0), 1, WHOLE)],
    probes: &[IN_HALF],
    ..HALF_TO_B
};

#[test]
fn an_agent_that_dies_at_any_moment_costs_nothing() {
    let budget = Budget {
        agent_crashes: 1,
        ..NO_HARM
    };
    try_all(&Begin { budget, ..WHOLE_TO_B });
}

#[test]
fn a_host_that_dies_at_any_moment_costs_no_new_flow_but_its_own() {
    let budget = Budget {
        host_crashes: 1,
        ..NO_HARM
    };
    try_all(&Begin { budget, ..WHOLE_TO_B });
}

#[test]
fn a_false_alarm_at_any_moment_costs_no_new_flow() {
    let budget = Budget {
        false_alarms: 1,
        ..NO_HARM
    };
    try_all(&Begin { budget, ..WHOLE_TO_B });
}

/// What exclusive endpoints may suffer while they never accept two at a time: hosts that die, agents that die, and being cut
/// off from the store while clients still come.
const EXCLUSIVE: [Budget; 3] = [
    Budget {
        host_crashes: 1,
        ..NO_HARM
    },
    Budget {
        agent_crashes: 1,
        ..NO_HARM
    },
    Budget {
        false_alarms: 1,
        ..NO_HARM
    },
];

#[test]
fn exclusive_endpoints_never_accept_two_at_a_time() {
    for budget in EXCLUSIVE {
        try_all(&Begin {
            ownership: Ownership::Exclusive,
            budget,
            ..WHOLE_TO_B
        });
    }
}

#[test]
fn exclusive_endpoints_fail_over_and_never_accept_two_at_a_time() {
    for budget in EXCLUSIVE {
        try_all(&Begin {
            ownership: Ownership::Exclusive,
            standby: &[(WHOLE, 1)],
            handovers: &[],
            endpoints: 2,
            budget,
            ..WHOLE_TO_B
        });
    }
}

/// `a` owns it all and `s` stands by; two parts of it go to `b` and to `s` at once.
fn two_at_once(ownership: Ownership, first: &str, second: &str) {
    try_all(&Begin {
        ownership,
        handovers: &[(Some(0), 1, first), (Some(0), 2, second)],
        probes: &["2001:db8::1", "2001:db8:0:0:4000::1", REST],
        ..HALF_TO_B
    });
}

#[test]
fn neighbours_are_handed_over_at_once() {
    for ownership in [Ownership::Available, Ownership::Exclusive] {
        two_at_once(ownership, "2001:db8::/66", "2001:db8:0:0:4000::/66");
        two_at_once(ownership, "2001:db8::/66", "2001:db8:0:0:8000::/65");
    }
}

/// Each of these leaves out one thing that a handover needs, and has to be noticed.
#[test]
fn what_is_left_out_is_noticed() {
    type LeaveOut = fn(&mut Setting);
    let all: [(&str, LeaveOut); 4] = [
        ("old flows are not sent back", |setting| {
            setting.rewrite = |mut routes| {
                routes.retain(|route| !matches!(route, KernelRoute::Incoming { .. }));
                routes
            };
        }),
        ("new flows are not sent on", |setting| {
            setting.rewrite = |mut routes| {
                routes.retain(|route| !matches!(route, KernelRoute::Outgoing { .. }));
                routes
            };
        }),
        ("routers are not waited for", |setting| {
            setting.decide = |handover, facts| {
                let converged = true;
                next(handover, &Facts { converged, ..*facts })
            };
        }),
        ("flows are not waited for", |setting| {
            setting.decide = |handover, facts| {
                let drained = true;
                next(handover, &Facts { drained, ..*facts })
            };
        }),
    ];
    for (what, leave_out) in all {
        let (mut setting, world) = Setting::new(&HALF_TO_B);
        leave_out(&mut setting);
        assert!(explore(&mut setting, &world).is_err(), "{what}, and nothing is lost");
    }
}
