//! Snapshots, and configurations pushed anew.

use super::{table::crc, *};

#[test]
fn the_kill_switch_applies_without_a_restart() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g1", ""));
    assert_eq!(plugin.on_new_connection(ONE, &table), Action::Pause);
    table.advance(2000);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g2", r#", "off": true"#));
    assert_eq!(plugin.on_new_connection(ContextId(3), &table), Action::Continue);
    assert_eq!(
        table.calls("property").last().unwrap(),
        "property ssa: service=web verdict=unverified outcome=allowed generation=g2"
    );
}

#[test]
fn invalid_snapshots_change_nothing() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g1", ""));
    for (status, body) in [(200, "{"), (200, r#"{"version": 2}"#), (500, ""), (204, ""), (200, "")] {
        table.advance(2000);
        plugin.on_tick(&table);
        respond(&mut plugin, &table, status, body);
    }
    table.advance(2000);
    plugin.on_tick(&table);
    // Asked for by the name of the bad one: it is not fetched again and again.
    assert_eq!(
        *table.calls("fetch").last().unwrap(),
        format!("fetch shim /v1/inbound {:x} 30", crc(""))
    );
    respond(&mut plugin, &table, 304, "");
    table.advance(2000);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g1", ""));
    assert_eq!(plugin.on_new_connection(ONE, &table), Action::Pause);
    for (outcome, count) in [("installed", 1), ("refused", 4), ("failed", 2), ("unchanged", 1)] {
        let name = format!("ssa_inbound_snapshots_total.outcome.{outcome}");
        assert_eq!(table.count(&name), count, "{outcome}");
    }
    let refused = table.calls("log inbound snapshot refused");
    assert_eq!(
        refused,
        ["log inbound snapshot refused: not JSON at line 1, column 1"],
        "one line for all"
    );
}

#[test]
fn snapshots_are_requested_by_their_tag_and_seldom() {
    let table = Table::new(SOURCE, "[2001:db8:6::1]:80");
    let mut plugin = plugin(SUBSCRIBED_OUT, &table);
    plugin.on_tick(&table);
    plugin.on_tick(&table);
    assert_eq!(table.calls("fetch").len(), 1, "one question at a time");
    let body = outbound_snapshot("g1", "v=ssa1; addr=rand:64");
    respond(&mut plugin, &table, 200, &body);
    table.advance(999);
    plugin.on_tick(&table);
    assert_eq!(table.calls("fetch").len(), 1);
    table.advance(1);
    plugin.on_tick(&table);
    assert_eq!(
        table.calls("fetch")[1],
        format!("fetch shim /v1/outbound {:x} 5", crc(&body))
    );
    table.advance(7000);
    plugin.on_tick(&table);
    assert_eq!(table.count("ssa_outbound_snapshot_age_max_seconds"), 8);
}

#[test]
fn responses_that_were_not_requested_change_nothing() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    table
        .answer
        .replace(Some((200, inbound_snapshot("g1", r#", "off": true"#))));
    plugin.on_http_call_response(Call(9), true, &table);
    assert_eq!(plugin.on_new_connection(ONE, &table), Action::Pause);
    assert!(table.calls("property").is_empty());
}

#[test]
fn a_request_that_the_proxy_cannot_make_is_repeated() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80").failing("fetch");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    plugin.on_tick(&table);
    assert_eq!(
        table.calls("log"),
        ["log no inbound snapshot: the proxy cannot ask its cluster"]
    );
    table.failing.replace("");
    table.advance(100);
    plugin.on_tick(&table);
    assert_eq!(table.calls("fetch").len(), 1);
}

#[test]
fn gauges_are_over_all_vms_of_a_process() {
    let table = Table::new(SOURCE, "[2001:db8:5::7]:80");
    let mut vms = [plugin(SUBSCRIBED_IN, &table), plugin(SUBSCRIBED_IN, &table)];
    for (vm, number) in vms.iter_mut().zip(2..) {
        vm.on_new_connection(ContextId(number), &table);
        vm.on_tick(&table);
    }
    assert_eq!(table.count("ssa_inbound_held_connections"), 2);
    respond(&mut vms[1], &table, 200, &inbound_snapshot("g1", ""));
    table.advance(5000);
    for vm in &mut vms {
        vm.on_tick(&table);
    }
    assert_eq!(table.count("ssa_inbound_held_connections"), 0);
    // Neither heard more since.
    assert_eq!(table.count("ssa_inbound_snapshot_age_max_seconds"), 5);
}

#[test]
fn a_pushed_configuration_keeps_the_draws() {
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
        met.extend(table.calls("set_destination"));
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
        table.advance(1000);
    }
    assert_eq!(
        table.calls("set_destination"),
        ["set_destination [2001:db8:5::7]:80"; 2]
    );
    assert_eq!(table.count("ssa_outbound_snapshots_total.outcome.unchanged"), 1);
}
