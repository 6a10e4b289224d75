//! Snapshots, and configurations pushed anew.

use super::{table::crc, *};

#[test]
fn kill_switch_works_on_what_runs() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g1", ""));
    assert_eq!(plugin.on_new_connection(ONE, &table), Action::Pause);
    table.pass(2000);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g2", r#", "off": true"#));
    assert_eq!(plugin.on_new_connection(ContextId(3), &table), Action::Continue);
    assert_eq!(
        table.told("note").last().unwrap(),
        "note ssa: service=web verdict=unverified outcome=allowed generation=g2"
    );
}

#[test]
fn what_is_no_snapshot_changes_nothing() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g1", ""));
    for (status, body) in [(200, "{"), (200, r#"{"version": 2}"#), (500, ""), (204, ""), (200, "")] {
        table.pass(2000);
        plugin.on_tick(&table);
        respond(&mut plugin, &table, status, body);
    }
    table.pass(2000);
    plugin.on_tick(&table);
    // Asked for by the name of the bad one: it is not fetched again and again.
    assert_eq!(
        *table.told("fetch").last().unwrap(),
        format!("fetch shim /v1/inbound {:x} 30", crc(""))
    );
    respond(&mut plugin, &table, 304, "");
    table.pass(2000);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g1", ""));
    assert_eq!(plugin.on_new_connection(ONE, &table), Action::Pause);
    for (outcome, count) in [("installed", 1), ("refused", 4), ("failed", 2), ("unchanged", 1)] {
        let name = format!("ssa_inbound_snapshots_total.outcome.{outcome}");
        assert_eq!(table.count(&name), count, "{outcome}");
    }
    let refused = table.told("log inbound snapshot refused");
    assert_eq!(
        refused,
        ["log inbound snapshot refused: not JSON at line 1, column 1"],
        "one line for all"
    );
}

#[test]
fn snapshots_are_asked_for_by_their_name_and_seldom() {
    let table = Table::new(SOURCE, "[2001:db8:6::1]:80");
    let mut plugin = plugin(SUBSCRIBED_OUT, &table);
    plugin.on_tick(&table);
    plugin.on_tick(&table);
    assert_eq!(table.told("fetch").len(), 1, "one question at a time");
    let body = outbound_snapshot("g1", "v=ssa1; addr=rand:64");
    respond(&mut plugin, &table, 200, &body);
    table.pass(999);
    plugin.on_tick(&table);
    assert_eq!(table.told("fetch").len(), 1);
    table.pass(1);
    plugin.on_tick(&table);
    assert_eq!(
        table.told("fetch")[1],
        format!("fetch shim /v1/outbound {:x} 5", crc(&body))
    );
    table.pass(7000);
    plugin.on_tick(&table);
    assert_eq!(table.count("ssa_outbound_snapshot_age_max_seconds"), 8);
}

#[test]
fn answers_that_nobody_asked_for_change_nothing() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    table
        .answer
        .replace(Some((200, inbound_snapshot("g1", r#", "off": true"#))));
    plugin.on_http_call_response(Call(9), true, &table);
    assert_eq!(plugin.on_new_connection(ONE, &table), Action::Pause);
    assert!(table.told("note").is_empty());
}

#[test]
fn a_proxy_that_cannot_ask_is_asked_again() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80").failing("fetch");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    plugin.on_tick(&table);
    assert_eq!(
        table.told("log"),
        ["log no inbound snapshot: the proxy cannot ask its cluster"]
    );
    table.failing.replace("");
    table.pass(100);
    plugin.on_tick(&table);
    assert_eq!(table.told("fetch").len(), 1);
}

#[test]
fn vms_of_a_process_know_each_other() {
    let table = Table::new(SOURCE, "[2001:db8:5::7]:80");
    let mut vms = [plugin(SUBSCRIBED_IN, &table), plugin(SUBSCRIBED_IN, &table)];
    for (vm, number) in vms.iter_mut().zip(2..) {
        vm.on_new_connection(ContextId(number), &table);
        vm.on_tick(&table);
    }
    assert_eq!(table.count("ssa_inbound_held_connections"), 2);
    respond(&mut vms[1], &table, 200, &inbound_snapshot("g1", ""));
    table.pass(5000);
    for vm in &mut vms {
        vm.on_tick(&table);
    }
    assert_eq!(table.count("ssa_inbound_held_connections"), 0);
    // Neither heard more since.
    assert_eq!(table.count("ssa_inbound_snapshot_age_max_seconds"), 5);
}

#[test]
fn a_pushed_configuration_goes_on_with_the_same_draws() {
    let table = Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80");
    let mut known: Option<Plugin> = None;
    let mut met = std::collections::BTreeSet::new();
    for push in 0..5 {
        let config = Config::from_json(SUBSCRIBED_OUT.as_bytes()).unwrap();
        let mut plugin = Plugin::new(config, &table, ROOT, known.as_ref().map(Plugin::identity));
        plugin.on_tick(&table);
        let seed = format!(r#""version": 1, "seed": "{push}""#);
        let body = outbound_snapshot("g1", "v=ssa1; addr=rand:64").replace(r#""version": 1"#, &seed);
        respond(&mut plugin, &table, 200, &body);
        for number in 2..2000 {
            plugin.on_new_connection(ContextId(number), &table);
        }
        met.extend(table.told("set_destination"));
        known = Some(plugin);
    }
    assert!(met.len() <= 256, "{} addresses", met.len());
}

#[test]
fn a_snapshot_of_the_same_generation_changes_nothing() {
    let table = Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80");
    let mut plugin = plugin(SUBSCRIBED_OUT, &table);
    for rule in ["v=ssa1; addr=src[64:128]", "v=ssa1; addr=src[0:64]"] {
        plugin.on_tick(&table);
        respond(&mut plugin, &table, 200, &outbound_snapshot("g1", rule));
        plugin.on_new_connection(ONE, &table);
        table.pass(1000);
    }
    assert_eq!(table.told("set_destination"), ["set_destination [2001:db8:5::7]:80"; 2]);
    assert_eq!(table.count("ssa_outbound_snapshots_total.outcome.unchanged"), 1);
}
