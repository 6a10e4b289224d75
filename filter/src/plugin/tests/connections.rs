//! What becomes of a connection.

use std::collections::BTreeMap;

use super::*;

#[test]
fn conforming_connections_pass_with_one_property_and_one_count() {
    let table = Table::new(SOURCE, "[2001:db8:5::7]:80");
    assert_eq!(run(INBOUND, &table), Action::Continue);
    assert_eq!(
        *table.recorded.borrow(),
        ["property ssa: service=web verdict=conforming outcome=allowed generation=-"]
    );
    let name = "ssa_inbound_connections_total.service.web.verdict.conforming.outcome.allowed";
    assert_eq!(*table.metrics.borrow(), BTreeMap::from([(name.to_owned(), 1)]));
}

#[test]
fn violations_are_closed_logged_and_counted_with_their_part() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    assert_eq!(run(INBOUND, &table), Action::Pause);
    assert_eq!(table.calls("close").len(), 1);
    assert_eq!(
        table.calls("property"),
        [
            "property ssa: service=web verdict=violation part=field_0 outcome=denied generation=-",
            "property ssa_outcome: denied",
        ]
    );
    assert_eq!(
        table.calls("log"),
        ["log denied: violation of field_0: service web: [2001:db8::7]:40000 to [2001:db8:5::8]:80"]
    );
    assert_eq!(table.count("ssa_inbound_violations_total.service.web.part.field_0"), 1);
}

#[test]
fn unchecked_parts_are_logged_one_by_one() {
    let config = INBOUND.replace("addr=src[64:128]", "addr=hash(obj):20 hash(src/64,chunk):44");
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    assert_eq!(run(&config, &table), Action::Continue);
    let property = "property ssa: service=web verdict=unchecked unchecked=field_0,field_1 outcome=allowed generation=-";
    assert_eq!(table.calls("property"), [property]);
}

#[test]
fn demoted_connections_use_the_other_cluster() {
    let table = Table::new(SOURCE, "[2001:db8:6::1]:80");
    assert_eq!(run(INBOUND, &table), Action::Continue);
    assert_eq!(table.calls("set_cluster"), ["set_cluster slow"]);
    assert_eq!(table.calls("property")[1], "property ssa_outcome: demoted");
    let failing = Table::new(SOURCE, "[2001:db8:6::1]:80").failing("set_cluster");
    assert_eq!(run(INBOUND, &failing), Action::Pause);
}

#[test]
fn nothing_unread_passes_whatever_call_fails() {
    for failing in [
        "time",
        "source",
        "destination",
        "time source destination property counter",
    ] {
        let table = Table::new(SOURCE, "[2001:db8:5::7]:80").failing(failing);
        assert_eq!(run(INBOUND, &table), Action::Pause, "{failing}");
    }
    for failing in ["property", "counter", "increment", "property counter shared share"] {
        let good = Table::new(SOURCE, "[2001:db8:5::7]:80").failing(failing);
        assert_eq!(run(INBOUND, &good), Action::Continue, "{failing}");
        let bad = Table::new(SOURCE, "[2001:db8:5::8]:80").failing(failing);
        assert_eq!(run(INBOUND, &bad), Action::Pause, "{failing}");
    }
    for odd in ["", "/run/x", "envoy://internal", "[::1]"] {
        assert_eq!(run(INBOUND, &Table::new(SOURCE, odd)), Action::Pause, "{odd:?}");
    }
}

#[test]
fn outbound_sets_the_composed_destination() {
    let table = Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80");
    assert_eq!(run(OUTBOUND, &table), Action::Continue);
    assert_eq!(table.calls("set_destination"), ["set_destination [2001:db8:5::7]:80"]);
    assert_eq!(
        table.calls("property"),
        ["property ssa: service=web outcome=composed generation=-"]
    );
}

#[test]
fn outbound_passes_whatever_call_fails() {
    for failing in [
        "time",
        "source",
        "destination",
        "set_destination",
        "property",
        "counter",
        "increment",
        "shared",
        "share",
        "tick",
    ] {
        let table = Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80").failing(failing);
        assert_eq!(run(OUTBOUND, &table), Action::Continue, "{failing}");
    }
}

#[test]
fn log_lines_are_limited_and_report_how_many_were_suppressed() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(INBOUND, &table);
    for number in 2..27 {
        plugin.on_new_connection(ContextId(number), &table);
    }
    assert_eq!(table.calls("log").len(), 10);
    table.advance(1000);
    plugin.on_new_connection(ContextId(30), &table);
    let lines = table.calls("log");
    assert_eq!(lines.len(), 12);
    assert_eq!(lines[10], "log 15 similar messages suppressed");
}

#[test]
fn connections_of_no_service_have_a_counter_of_their_own() {
    let table = Table::new(SOURCE, "[2001:db8:9::1]:9");
    assert_eq!(run(INBOUND, &table), Action::Pause);
    let name = "ssa_inbound_connections_total.service.-.verdict.no_match.outcome.denied";
    assert_eq!(table.count(name), 1);
}

#[test]
fn lines_of_every_kind_share_one_limit() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(INBOUND, &table);
    for number in 2..42 {
        table.failing.replace(if number % 2 == 0 { "source" } else { "" });
        plugin.on_new_connection(ContextId(number), &table);
    }
    assert_eq!(table.calls("log").len(), 10);
    table.advance(1000);
    plugin.on_new_connection(ContextId(50), &table);
    assert_eq!(table.calls("log").len(), 12, "the next second has lines of its own");
}

#[test]
fn addresses_that_failed_are_avoided_where_the_rule_leaves_another() {
    for (rule, seconds, differs) in [
        ("addr=hash(src/128):20 const(0):44; replicas=2", 0, true),
        ("addr=hash(src/128):20 const(0):44; replicas=2", 30, false),
        ("addr=hash(src/128):20 const(0):44", 0, false),
    ] {
        let table = Table {
            failed_upstream: true,
            ..Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80")
        };
        let mut plugin = plugin(&OUTBOUND.replace("addr=src[64:128]", rule), &table);
        plugin.on_new_connection(ONE, &table);
        plugin.on_delete(ONE, false, &table);
        table.advance(seconds * 1000);
        for number in 3..43 {
            plugin.on_new_connection(ContextId(number), &table);
        }
        let calls = table.calls("set_destination");
        let again = calls[1..].contains(&calls[0]);
        assert_eq!(again, !differs, "{rule} after {seconds} s");
        assert_eq!(table.count("ssa_outbound_connect_failures_total.service.web"), 1);
    }
}

#[test]
fn other_sources_than_the_one_composed_for_are_counted() {
    for (upstream_source, count) in [("[2001:db8::7]:5", 0), ("[2001:db8::8]:5", 1), ("", 0)] {
        let table = Table {
            upstream_source,
            ..Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80")
        };
        let mut plugin = plugin(OUTBOUND, &table);
        plugin.on_new_connection(ONE, &table);
        plugin.on_delete(ONE, false, &table);
        plugin.on_delete(ONE, false, &table);
        let name = "ssa_outbound_source_mismatches_total.service.web";
        assert_eq!(table.count(name), count, "{upstream_source:?}");
    }
}

#[test]
fn ends_of_clients_that_closed_first_are_seldom_queried_until_one_differs() {
    let (expected, other) = ("[2001:db8::7]:5", "[2001:db8::8]:5");
    let mut table = Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80");
    let mut plugin = plugin(OUTBOUND, &table);
    let mut queried = |upstream_source, finished| {
        table.upstream_source = upstream_source;
        table.queried.set(0);
        for number in 2..1002 {
            plugin.on_new_connection(ContextId(number), &table);
            plugin.on_delete(ContextId(number), finished, &table);
        }
        let mismatches = table.count("ssa_outbound_source_mismatches_total.service.web");
        (table.queried.get(), mismatches)
    };
    assert_eq!(queried(expected, false), (1000, 0));
    let (few, none) = queried(expected, true);
    assert!((50..80).contains(&few), "{few}");
    assert_eq!(none, 0);
    // From the first mismatch that is found, each is counted.
    let (many, mismatches) = queried(other, true);
    assert!((980..=1000).contains(&many), "{many}");
    assert_eq!(mismatches, many);
}

#[test]
fn ends_without_answers_are_seldom_queried() {
    let table = Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80");
    let mut plugin = plugin(OUTBOUND, &table);
    let mut end = |table: &Table, number| {
        plugin.on_new_connection(ContextId(number), table);
        plugin.on_delete(ContextId(number), false, table);
    };
    for number in 2..1002 {
        end(&table, number);
    }
    assert!(
        (16..=16 + 1000 / 16).contains(&table.queried.get()),
        "{}",
        table.queried.get()
    );
    // What fails after that is learned all the same.
    let table = Table {
        failed_upstream: true,
        ..table
    };
    for number in 1002..1018 {
        end(&table, number);
    }
    assert_ne!(table.count("ssa_outbound_connect_failures_total.service.web"), 0);
}
