//! What goes on to a third endpoint while the flows of the first drain.

use ssa_slices::handover::{KernelRoute, Phase};

use crate::explore::explore;
use crate::setting::{Begin, Setting};
use crate::state::{Budget, Event, World};
use crate::{HALF, IN_HALF, NO_HARM, REST, WHOLE, WHOLE_TO_B};

/// `a` gave it all to `b` and has flows; `b` gives it on to the third. Nobody stands by.
const ON_TO_THIRD: Begin<'static> = Begin {
    standby: &[],
    goes_on: Some((2, WHOLE)),
    ..WHOLE_TO_B
};

/// The world in which the second handover has just begun, or has come to a phase while the first one drains.
fn chained(begin: &Begin<'_>, phase: Phase) -> (Setting, World) {
    let (mut setting, world) = Setting::new(begin);
    let drains = world.until(&mut setting, |world| world.phase(0) == Some(Phase::Drain));
    let begun = drains.after(Event::GoesOn, &mut setting);
    let world = begun.until(&mut setting, |world| world.phase(1) == Some(phase));
    (setting, world)
}

fn try_from(begin: &Begin<'_>, phase: Phase) {
    let (mut setting, world) = chained(begin, phase);
    let worlds = explore(&mut setting, &world).unwrap();
    println!("{worlds} worlds from {phase}");
}

/// What explores the way from the start does not come far into, it does from a phase in between.
const PHASES: [Phase; 4] = [Phase::Prepare, Phase::Arm, Phase::Announce, Phase::Drain];

#[test]
fn the_flows_of_three_endpoints_are_kept_apart() {
    for phase in PHASES {
        try_from(&ON_TO_THIRD, phase);
    }
}

#[test]
fn a_half_goes_on_and_the_rest_stays() {
    let begin = Begin {
        goes_on: Some((2, HALF)),
        probes: &[IN_HALF, REST],
        ..ON_TO_THIRD
    };
    for phase in PHASES {
        try_from(&begin, phase);
    }
}

#[test]
fn what_goes_on_loses_nothing_beside_a_standby_or_to_one() {
    for (standby, third) in [(2, 3), (3, 3), (1, 3)] {
        let begin = Begin {
            standby: &[(WHOLE, standby)],
            goes_on: Some((third, WHOLE)),
            endpoints: 4,
            ..ON_TO_THIRD
        };
        for phase in PHASES {
            try_from(&begin, phase);
        }
    }
}

#[test]
fn what_goes_on_is_called_off_without_loss() {
    let budget = Budget { cancels: 1, ..NO_HARM };
    for phase in PHASES {
        try_from(&Begin { budget, ..ON_TO_THIRD }, phase);
    }
}

#[test]
fn an_agent_or_a_host_that_dies_while_it_goes_on_costs_no_new_flow_but_its_own() {
    let harm = [
        Budget {
            agent_crashes: 1,
            ..NO_HARM
        },
        Budget {
            host_crashes: 1,
            ..NO_HARM
        },
        Budget {
            false_alarms: 1,
            ..NO_HARM
        },
    ];
    for budget in harm {
        // Somebody stands by: where a host has died, there is another way until others know of it.
        let begin = Begin {
            standby: &[(WHOLE, 2)],
            goes_on: Some((3, WHOLE)),
            endpoints: 4,
            budget,
            ..ON_TO_THIRD
        };
        for phase in PHASES {
            try_from(&begin, phase);
        }
    }
}

#[test]
fn what_is_left_out_of_going_on_is_noticed() {
    type LeaveOut = fn(&mut Setting);
    let all: [(&str, LeaveOut); 4] = [
        ("the flows of the first are not asked for", |setting| {
            setting.rewrite = |mut routes| {
                routes.retain(|route| !matches!(route, KernelRoute::Incoming { from, .. } if from.as_str() == "a"));
                routes
            };
        }),
        ("the handover before is not waited for", |setting| {
            setting.decide = |handover, facts| {
                let before = false;
                ssa_slices::handover::next(handover, &ssa_slices::handover::Facts { before, ..*facts })
            };
        }),
        ("who knows of the handover before is not waited for", |setting| {
            setting.decide = |handover, facts| {
                let joined = true;
                ssa_slices::handover::next(handover, &ssa_slices::handover::Facts { joined, ..*facts })
            };
        }),
        ("the third is not waited for", |setting| {
            setting.decide = |handover, facts| {
                let followed = true;
                ssa_slices::handover::next(handover, &ssa_slices::handover::Facts { followed, ..*facts })
            };
        }),
    ];
    for (what, leave_out) in all {
        let noticed = PHASES.into_iter().any(|phase| {
            let (mut setting, world) = chained(&ON_TO_THIRD, phase);
            leave_out(&mut setting);
            setting.kernel_of.clear();
            explore(&mut setting, &world).is_err()
        });
        assert!(noticed, "{what}, and nothing is lost");
    }
}
