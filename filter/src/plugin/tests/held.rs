//! Connections that wait.

use super::*;

#[test]
fn a_connection_that_cannot_be_closed_stays_stopped_until_it_can() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80").failing("close");
    let mut plugin = plugin(INBOUND, &table);
    assert_eq!(plugin.on_new_connection(ONE, &table), Action::Pause);
    assert_eq!(plugin.on_downstream_data(ONE), Action::Pause);
    plugin.on_tick(&table);
    assert_eq!(plugin.on_downstream_data(ONE), Action::Pause);
    table.failing.replace("");
    plugin.on_tick(&table);
    assert_eq!(table.calls("close"), ["close 2"]);
    assert_eq!(plugin.on_downstream_data(ONE), Action::Continue);
    assert!(table.calls("resume").is_empty());
}

#[test]
fn connections_wait_for_the_first_snapshot_and_are_then_judged() {
    let rule = "v=ssa1; addr=mac(src/128):64; key=k1";
    let client = Table::new("[2001:db8::1]:5", "[2001:db8:6::1]:80");
    let mut outbound = plugin(SUBSCRIBED_OUT, &client);
    assert_eq!(outbound.on_new_connection(ONE, &client), Action::Pause);
    assert_eq!(outbound.on_downstream_data(ONE), Action::Pause);
    outbound.on_tick(&client);
    assert_eq!(client.calls("fetch"), ["fetch shim /v1/outbound - 0"]);
    assert_eq!(client.count("ssa_outbound_held_connections"), 1);
    respond(&mut outbound, &client, 200, &outbound_snapshot("g1", rule));
    assert_eq!(client.calls("resume"), ["resume 2"]);
    assert_eq!(outbound.on_downstream_data(ONE), Action::Continue);
    let calls = client.calls("set_destination");
    let destination = calls[0].strip_prefix("set_destination ").unwrap();

    let server = Table::new(SOURCE, destination);
    let mut inbound = plugin(SUBSCRIBED_IN, &server);
    assert_eq!(inbound.on_new_connection(ONE, &server), Action::Pause);
    inbound.on_tick(&server);
    respond(&mut inbound, &server, 200, &inbound_snapshot("g1", ""));
    assert_eq!(server.calls("resume"), ["resume 2"]);
    server.destination.replace("[2001:db8:5::8]:80".to_owned());
    assert_eq!(inbound.on_new_connection(ContextId(3), &server), Action::Pause);
    assert!(
        server
            .calls("property")
            .iter()
            .any(|property| property.ends_with("generation=g1"))
    );
    // The held one is gone from the gauge with the next tick.
    inbound.on_tick(&server);
    assert_eq!(server.count("ssa_inbound_held_connections"), 0);
}

#[test]
fn held_connections_that_do_not_conform_are_closed() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    assert_eq!(plugin.on_new_connection(ONE, &table), Action::Pause);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g1", ""));
    assert_eq!(table.calls("close"), ["close 2"]);
    assert!(table.calls("resume").is_empty());
}

#[test]
fn holding_is_bounded_in_number_and_time() {
    let released = SUBSCRIBED_IN.replace(r#""shim""#, r#""shim", "failure_mode_allow": true"#);
    for (config, call) in [(SUBSCRIBED_IN, "close"), (&released, "resume")] {
        let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
        let mut plugin = plugin(config, &table);
        for number in 2..6 {
            assert_eq!(plugin.on_new_connection(ContextId(number), &table), Action::Pause);
        }
        assert!(table.calls(call).is_empty());
        plugin.on_tick(&table);
        assert_eq!(
            table.calls(call),
            [format!("{call} 2")],
            "the oldest makes room for a fourth"
        );
        table.advance(499);
        plugin.on_tick(&table);
        assert_eq!(table.calls(call).len(), 1);
        table.advance(1);
        plugin.on_tick(&table);
        assert_eq!(table.calls(call).len(), 4);
        let properties = table.calls("property ssa:");
        assert_eq!(properties.len(), 4);
        assert!(
            properties
                .iter()
                .all(|property| property.contains("verdict=no_snapshot"))
        );
    }
}

/// Fills the places of a plugin for connections of these networks, in this order.
fn filled(places: usize, networks: &[&'static str]) -> (Plugin, Table) {
    let places = format!(r#""connections": {places}"#);
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(&SUBSCRIBED_IN.replace(r#""connections": 3"#, &places), &table);
    for (number, source) in (2..).zip(networks) {
        let next = plugin.on_new_connection(ContextId(number), &Table::new(source, "[2001:db8:5::8]:80"));
        assert_eq!(next, Action::Pause);
    }
    (plugin, table)
}

const A: &str = "[2001:db8:0:a::1]:1";
const B: &str = "[2001:db8:0:b::1]:1";
const C: &str = "[2001:db8:0:c::1]:1";
const D: &str = "[2001:db8:0:d::1]:1";

#[test]
fn clients_that_left_unnoticed_lock_nobody_out() {
    // Their clients are gone, of which the proxy tells nothing.
    let (mut plugin, table) = filled(1024, &[A; 1024]);
    for (number, source) in [(2000, B), (2001, A)] {
        let next = plugin.on_new_connection(ContextId(number), &Table::new(source, "[2001:db8:5::8]:80"));
        assert_eq!(next, Action::Pause);
    }
    plugin.on_tick(&table);
    assert_eq!(table.calls("close"), ["close 2", "close 3"]);
    for number in [2000, 2001] {
        assert!(plugin.held().contains(&ContextId(number)));
    }
    assert_eq!(plugin.held().len(), 1024);
}

#[test]
fn the_network_with_the_most_makes_room_and_of_equals_the_oldest() {
    let (mut plugin, table) = filled(5, &[A, B, C, B, "[2001:db8:0:b:2::9]:1"]);
    // B has three, then two, and then one as all others.
    for (number, closed) in [(10, "close 3"), (11, "close 5"), (12, "close 2")] {
        let newcomer = if number == 10 { D } else { "[2001:db8:0:e::1]:1" };
        let newcomer = if number == 12 { "[2001:db8:0:f::1]:1" } else { newcomer };
        plugin.on_new_connection(ContextId(number), &Table::new(newcomer, "[2001:db8:5::8]:80"));
        plugin.on_tick(&table);
        assert_eq!(table.calls("close").last().unwrap(), closed);
    }
    // Networks of IPv4 are distinguished by 24 bits.
    let (mut plugin, table) = filled(3, &["192.0.2.1:1", "198.51.100.1:1", "198.51.100.2:1"]);
    plugin.on_new_connection(ContextId(10), &Table::new("203.0.113.1:1", "[2001:db8:5::8]:80"));
    plugin.on_tick(&table);
    assert_eq!(table.calls("close"), ["close 3"]);
}

#[test]
fn room_is_made_for_no_more_than_one_callback_closes() {
    let (mut plugin, table) = filled(300, &[A; 300]);
    for number in 1000..1256 {
        assert_eq!(plugin.on_new_connection(ContextId(number), &table), Action::Pause);
    }
    assert!(table.calls("close").is_empty());
    assert_eq!(plugin.held().len(), 556);
    plugin.on_new_connection(ContextId(2000), &table);
    assert_eq!(table.calls("close").len(), 1, "the next one is refused at once");
    plugin.on_tick(&table);
    assert_eq!(table.calls("close").len(), 257);
    assert_eq!(plugin.held().len(), 300);
}

#[test]
fn outbound_releases_by_default_and_refuses_on_demand() {
    let table = Table::new(SOURCE, "[2001:db8:6::1]:80");
    let none = SUBSCRIBED_OUT.replace(r#""connections": 3"#, r#""connections": 0"#);
    assert_eq!(run(&none, &table), Action::Continue);
    assert_eq!(
        table.calls("property"),
        ["property ssa: service=- outcome=no_snapshot generation=-"]
    );
    let refused = none.replace(r#""wait_s""#, r#""failure_mode_allow": false, "wait_s""#);
    let table = Table::new(SOURCE, "[2001:db8:6::1]:80");
    assert_eq!(run(&refused, &table), Action::Pause);
    assert_eq!(
        table.count("ssa_outbound_connections_total.service.-.outcome.refused"),
        1
    );
}

#[test]
fn many_held_connections_are_let_go_bit_by_bit() {
    let config = SUBSCRIBED_IN.replace(r#""connections": 3"#, r#""connections": 1000"#);
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(&config, &table);
    for number in 2..702 {
        assert_eq!(plugin.on_new_connection(ContextId(number), &table), Action::Pause);
    }
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g1", ""));
    assert_eq!(table.calls("close").len(), 256);
    plugin.on_tick(&table);
    plugin.on_tick(&table);
    assert_eq!(table.calls("close").len(), 700);
}

#[test]
fn one_callback_closes_a_bounded_number_whatever_is_due() {
    let config = SUBSCRIBED_IN.replace(r#""connections": 3"#, r#""connections": 1000"#);
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80").failing("close");
    let mut plugin = plugin(&config, &table);
    for number in 2..402 {
        plugin.on_new_connection(ContextId(number), &table);
    }
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 200, &inbound_snapshot("g1", ""));
    // 256 of them wait for being closed again, 144 for being judged: all of it is due.
    table.failing.replace("");
    plugin.on_tick(&table);
    assert_eq!(table.calls("close").len(), 256);
    plugin.on_tick(&table);
    assert_eq!(table.calls("close").len(), 400);
}

#[test]
fn a_clock_set_back_holds_no_connection_longer() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    plugin.on_tick(&table);
    respond(&mut plugin, &table, 503, "");
    plugin.on_new_connection(ONE, &table);
    table.time.set(table.time.get() - 3600 * NS_PER_S);
    plugin.on_tick(&table);
    assert_eq!(table.calls("close"), ["close 2"]);
    assert_eq!(table.calls("fetch").len(), 2);
}

#[test]
fn held_connections_that_leave_are_forgotten() {
    let table = Table::new(SOURCE, "[2001:db8:5::8]:80");
    let mut plugin = plugin(SUBSCRIBED_IN, &table);
    plugin.on_new_connection(ONE, &table);
    plugin.on_delete(ONE, false, &table);
    table.advance(5000);
    plugin.on_tick(&table);
    assert!(table.calls("close").is_empty());
}
