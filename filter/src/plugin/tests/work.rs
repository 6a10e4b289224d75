//! Proofs of work.

use super::*;
use crate::pow_scheduler::MAX_RUNNING;

#[test]
fn searches_are_bounded_in_number() {
    let services: Vec<String> = (0..=MAX_RUNNING)
        .map(|number| {
            format!(
                r#"{{"name": "s{number}", "apl": "2:2001:db8:{:x}::/64", "rules": ["v=ssa1; addr=rand:64; pow=20"],
                    "addresses": ["2001:db8:6::{number:x}"]}}"#,
                number + 0x1000
            )
        })
        .collect();
    let config = format!(
        r#"{{"role": "outbound", "source": "2001:db8::7", "services": [{}]}}"#,
        services.join(",")
    );
    let table = Table {
        step: NS_PER_MS,
        ..Table::new(SOURCE, "")
    };
    let mut plugin = plugin(&config, &table);
    for number in 0..=MAX_RUNNING {
        table.destination.replace(format!("[2001:db8:6::{number:x}]:80"));
        let next = plugin.on_new_connection(ContextId(u32::try_from(number).unwrap() + 2), &table);
        let expected = if number < MAX_RUNNING {
            Action::Pause
        } else {
            Action::Continue
        };
        assert_eq!(next, expected, "task {number}");
    }
    assert_eq!(table.calls("log"), ["log more than 64 proofs of work at once"]);
}

/// A proxy whose clock moves on a fifth of a millisecond with each look at it: a slice is few steps.
fn busy() -> Table {
    Table {
        step: NS_PER_MS / 5,
        ..Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80")
    }
}

#[test]
fn proof_of_work_is_solved_while_held_and_kept_for_its_minute() {
    let table = busy();
    let config = OUTBOUND.replace("addr=src[64:128]", "addr=hash(src/128):20 rand:44; pow=14");
    let mut plugin = plugin(&config, &table);
    assert_eq!(plugin.on_new_connection(ONE, &table), Action::Pause);
    assert_eq!(plugin.on_new_connection(ContextId(3), &table), Action::Pause);
    assert_eq!(table.calls("tick").last().unwrap(), "tick 1");
    let mut ticks = 0;
    while table.calls("resume").is_empty() {
        plugin.on_tick(&table);
        ticks += 1;
        assert!(ticks < 1000, "no end of work");
    }
    assert!(ticks > 2, "more than a slice's work");
    assert_eq!(table.calls("resume"), ["resume 2", "resume 3"]);
    let calls = table.calls("set_destination");
    assert_eq!(calls[0], calls[1], "one solution for both");
    assert_eq!(plugin.on_new_connection(ContextId(4), &table), Action::Continue);
    assert_eq!(table.calls("set_destination")[2], calls[0], "kept");
    plugin.on_tick(&table);
    assert_eq!(table.calls("tick").last().unwrap(), "tick 0", "no work, no ticks");
    table.advance(60_000);
    plugin.on_new_connection(ContextId(5), &table);
    while table.calls("set_destination").len() < 4 {
        plugin.on_tick(&table);
    }
    assert_ne!(table.calls("set_destination")[3], calls[0], "for its minute alone");
}

/// Holds 700 connections that wait for a proof of work by a snapshot's rule, of which three batches are let go.
fn many_at_work(rule: &str) -> (Plugin, Table) {
    let config = SUBSCRIBED_OUT.replace(r#""connections": 3, "ms": 500"#, r#""connections": 1000, "ms": 30000"#);
    let table = busy();
    let mut plugin = plugin(&config, &table);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &outbound_snapshot("g1", rule));
    for number in 2..702 {
        assert_eq!(plugin.on_new_connection(ContextId(number), &table), Action::Pause);
    }
    (plugin, table)
}

#[test]
fn many_that_wait_for_one_proof_are_released_in_batches() {
    let (mut plugin, table) = many_at_work("v=ssa1; addr=hash(src/128):20 rand:44; pow=14");
    while table.calls("resume").is_empty() {
        plugin.on_tick(&table);
    }
    assert_eq!(table.calls("resume").len(), 256);
    plugin.on_tick(&table);
    plugin.on_tick(&table);
    assert_eq!(
        (table.calls("resume").len(), table.calls("set_destination").len()),
        (700, 700)
    );
    plugin.on_tick(&table);
    assert_eq!(table.calls("resume").len(), 700);
}

#[test]
fn many_that_wait_for_a_proof_are_released_when_none_is_needed_any_more() {
    let (mut plugin, table) = many_at_work("v=ssa1; addr=hash(src/128):20 rand:44; pow=20");
    plugin.on_tick(&table);
    assert_eq!(table.calls("resume").len(), 0);
    table.advance(1000);
    plugin.on_tick(&table);
    let snapshot = outbound_snapshot("g2", "v=ssa1; addr=hash(src/128):20 rand:44");
    respond(&mut plugin, &table, 200, &snapshot);
    assert_eq!(table.calls("resume").len(), 256);
    plugin.on_tick(&table);
    plugin.on_tick(&table);
    assert_eq!(
        (table.calls("resume").len(), table.calls("set_destination").len()),
        (700, 700)
    );
}

#[test]
fn many_that_wait_for_a_proof_that_takes_too_long_are_given_up_in_batches() {
    let (mut plugin, table) = many_at_work("v=ssa1; addr=hash(src/128):20 rand:44; pow=20");
    table.advance(30_000);
    for resumed in [256, 512, 700] {
        plugin.on_tick(&table);
        assert_eq!(table.calls("resume").len(), resumed);
    }
    assert!(table.calls("set_destination").is_empty());
    assert_eq!(
        table.count("ssa_outbound_connections_total.service.web.outcome.failed"),
        700
    );
}

/// Returns what a plugin knows of proofs of work.
fn searches(plugin: &Plugin) -> String {
    let ByRole::Outbound(filter) = &plugin.0 else {
        panic!("outbound")
    };
    format!("{:?}", filter.role.searches)
}

#[test]
fn a_search_is_suspended_while_no_connection_waits_and_resumes_where_it_was() {
    let table = busy();
    let config = OUTBOUND.replace("addr=src[64:128]", "addr=rand:64; pow=20");
    let mut plugin = plugin(&config, &table);
    plugin.on_new_connection(ONE, &table);
    plugin.on_new_connection(ContextId(3), &table);
    plugin.on_tick(&table);
    plugin.on_delete(ONE, false, &table);
    let running = searches(&plugin);
    assert!(running.contains("suspended: []"), "one waits for it still: {running}");
    plugin.on_delete(ContextId(3), false, &table);
    let resting = searches(&plugin);
    assert!(resting.contains("running: []"), "{resting}");
    plugin.on_tick(&table);
    assert_eq!(table.calls("tick").last().unwrap(), "tick 0");
    assert_eq!(searches(&plugin), resting, "no tick works on it");
    assert_eq!(plugin.on_new_connection(ContextId(4), &table), Action::Pause);
    assert_eq!(searches(&plugin), running);
    // Those whose time is up wait no longer either.
    table.advance(3000);
    plugin.on_tick(&table);
    assert!(searches(&plugin).contains("running: []"));
    // What rests ends with its minute.
    table.advance(60_000);
    plugin.on_new_connection(ContextId(5), &table);
    plugin.on_delete(ContextId(5), false, &table);
    plugin.on_tick(&table);
    assert_eq!(searches(&plugin).matches("began").count(), 1);
}

#[test]
fn a_search_whose_connection_finds_no_room_is_suspended() {
    let table = busy();
    let config = OUTBOUND
        .replace("addr=src[64:128]", "addr=rand:64; pow=20")
        .replace(r#""services""#, r#""hold": {"connections": 0}, "services""#);
    let mut plugin = plugin(&config, &table);
    assert_eq!(plugin.on_new_connection(ONE, &table), Action::Continue);
    assert!(searches(&plugin).contains("running: []"));
    assert_eq!(table.calls("tick"), [""; 0]);
}

#[test]
fn a_search_beyond_the_operators_limit_is_not_begun_and_logged() {
    let table = busy();
    let mut plugin = plugin(&OUTBOUND.replace("addr=src[64:128]", "addr=rand:64; pow=21"), &table);
    assert_eq!(plugin.on_new_connection(ONE, &table), Action::Continue);
    assert_eq!(
        table.calls("log"),
        ["log no address of service web: the record asks for pow=21: max_pow is 20"]
    );
    assert_eq!(
        table.count("ssa_outbound_connections_total.service.web.outcome.failed"),
        1
    );
}

#[test]
fn a_search_that_takes_too_long_is_given_up() {
    let table = busy();
    let config = OUTBOUND.replace("addr=src[64:128]", "addr=rand:64; pow=20");
    let mut plugin = plugin(&config, &table);
    assert_eq!(plugin.on_new_connection(ONE, &table), Action::Pause);
    table.advance(3000);
    plugin.on_tick(&table);
    assert_eq!(table.calls("resume"), ["resume 2"]);
    assert!(table.calls("set_destination").is_empty());
    assert_eq!(
        table.count("ssa_outbound_connections_total.service.web.outcome.failed"),
        1
    );
}
