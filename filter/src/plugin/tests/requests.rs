//! Inbound: requests, on connections that came in.

use ssa_rules::{AddressSpace, Key, Record, Replica, Request, Rule, Source, UnixTime};

use super::{table::START, *};

const STORE: &str = r#"{"role": "inbound", "filter": "both", "services": [{"name": "store", "apl": "2:2001:db8:5::/64",
    "rules": ["RULE"], "ports": [80], EXTRA}]}"#;
const RULE: &str = "v=ssa1; addr=hash(obj):10 const(0):54; replicas=2; obj=path:/cas/{obj}";

fn store(rule: &str, extra: &str) -> String {
    let extra = if extra.is_empty() {
        r#""mode": "enforce""#
    } else {
        extra
    };
    STORE.replace("RULE", rule).replace("EXTRA", extra)
}

fn rule(text: &str) -> Rule {
    let record: Record = text.parse().unwrap();
    let space = AddressSpace::new(&"2:2001:db8:5::/64".parse().unwrap()).unwrap();
    Rule::prepare(&record, space.as_ref(), &Key::None).unwrap()
}

/// The address of an object's replica, with port 80.
fn address(text: &str, object: &str, replica: u8, time: u64) -> String {
    let request = Request {
        object: Some(object.as_bytes()),
        replica: Replica(replica),
        time: Some(UnixTime(time)),
        ..Request::new(Source("2001:db8::7".parse().unwrap()))
    };
    format!("[{}]:80", rule(text).compose(&request, &mut || 0).unwrap())
}

/// Plays a request, and returns whether it goes on, with the fields that it goes on with.
fn ask(plugin: &mut Plugin, table: &Table, path: &str, fields: &[(&str, &str)]) -> (Action, Vec<(String, String)>) {
    let all = [(":method", "GET"), (":path", path)];
    let all = all.iter().chain(fields).filter(|(_, value)| *value != "absent");
    let all = all.map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    table.fields.replace(all.collect());
    let action = plugin.on_request_headers(ONE, table);
    let fields = table.fields.borrow();
    let own = fields.iter().filter(|(name, _)| name.starts_with("ssa-"));
    let own = own.map(|(name, value)| (name.clone(), String::from_utf8(value.clone()).unwrap()));
    (action, own.collect())
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

#[test]
fn requests_for_what_is_here_pass_and_their_application_is_told() {
    for replica in [0, 1] {
        let table = Table::new(SOURCE, &address(RULE, "a b", replica, 0));
        let mut plugin = plugin(&store(RULE, ""), &table);
        let lies = [("ssa-object", "other"), ("ssa-replica", "7/9"), ("ssa-anything", "x")];
        let (action, told) = ask(&mut plugin, &table, "/cas/a%20b?x=1", &lies);
        let (slice, _) = rule(RULE).placement(ssa_rules::Destination(own(&table))).unwrap();
        let (of, slice) = (format!("{replica}/2"), format!("{slice:03x}"));
        assert_eq!(action, Action::Continue);
        assert_eq!(
            told,
            pairs(&[("ssa-object", "a%20b"), ("ssa-replica", &of), ("ssa-slice", &slice)])
        );
        let line = "property ssa_request: service=store verdict=conforming outcome=allowed generation=-";
        assert_eq!(table.calls("property"), [line]);
    }
}

fn own(table: &Table) -> std::net::Ipv6Addr {
    crate::endpoint::Endpoint::parse(table.destination.borrow().as_bytes())
        .unwrap()
        .address
}

#[test]
fn a_request_for_another_endpoint_is_misdirected_and_the_next_one_passes() {
    let table = Table::new(SOURCE, &address(RULE, "here", 0, 0));
    let mut plugin = plugin(&store(RULE, ""), &table);
    assert_eq!(ask(&mut plugin, &table, "/cas/elsewhere", &[]).0, Action::Pause);
    assert_eq!(table.calls("respond"), ["respond 421 ssa-verdict: violation"]);
    assert!(table.calls("close").is_empty(), "the connection stays");
    assert_eq!(ask(&mut plugin, &table, "/cas/here", &[]).0, Action::Continue);
    let count = |labels: &str| table.count(&format!("ssa_inbound_requests_total.service.store.{labels}"));
    assert_eq!(count("verdict.violation.outcome.denied"), 1);
    assert_eq!(count("verdict.conforming.outcome.allowed"), 1);
}

#[test]
fn what_is_done_without_an_object_key_is_the_policys_to_say() {
    for (extra, action, outcome) in [
        ("", Action::Continue, "allowed"),
        (r#""policy": {"no_object": "deny"}"#, Action::Pause, "denied"),
        (r#""policy": {"no_object": "demote"}"#, Action::Continue, "demoted"),
        (
            r#""policy": {"no_object": "deny"}, "mode": "shadow""#,
            Action::Continue,
            "shadow_denied",
        ),
    ] {
        let table = Table::new(SOURCE, &address(RULE, "x", 0, 0));
        let mut plugin = plugin(&store(RULE, extra), &table);
        for path in [
            "/",
            "/cas/",
            "/cas/../x",
            "*",
            "absent",
            &format!("/cas/{}", "x".repeat(1025)),
        ] {
            table.recorded.borrow_mut().clear();
            let (found, told) = ask(&mut plugin, &table, path, &[]);
            assert_eq!(found, action, "{extra} {path}");
            // What the address says is told, and no object.
            assert!(told.iter().all(|(name, _)| name == "ssa-slice"), "{told:?}");
            let answered = table.calls("respond") == ["respond 421 ssa-verdict: no_object"];
            assert_eq!(answered, action == Action::Pause, "{extra} {path}");
            let marked = table.calls(&format!("property ssa_request_outcome: {outcome}")).len();
            assert_eq!(marked, usize::from(outcome != "allowed"));
            assert_eq!(table.calls("route").len(), usize::from(outcome == "demoted"));
        }
        let name = format!("ssa_inbound_requests_total.service.store.verdict.no_object.outcome.{outcome}");
        assert_eq!(table.count(&name), 6);
    }
}

#[test]
fn chunks_are_judged_too() {
    let text = "v=ssa1; addr=hash(obj,chunk):10 const(0):54; obj=path:/{obj}; chunk=range:10";
    let request = Request {
        object: Some(b"f"),
        chunk: Some(ssa_rules::Chunk(2)),
        ..Request::new(Source("2001:db8::7".parse().unwrap()))
    };
    let to = format!("[{}]:80", rule(text).compose(&request, &mut || 0).unwrap());
    let table = Table::new(SOURCE, &to);
    let mut plugin = plugin(&store(text, r#""policy": {"no_object": "deny"}"#), &table);
    for (fields, action) in [
        (&[("range", "bytes=20-29")][..], Action::Continue),
        (&[("range", "bytes=30-39")], Action::Pause),
        (&[("range", "bytes=20-30")], Action::Pause),
        (&[("range", "bytes=20-29"), ("range", "bytes=20-29")], Action::Pause),
        (&[("range", "bytes=20-29,30-39")], Action::Pause),
        (&[("content-range", "bytes 20-29/100")], Action::Continue),
        (&[], Action::Pause),
    ] {
        assert_eq!(ask(&mut plugin, &table, "/f", fields).0, action, "{fields:?}");
    }
}

#[test]
fn fields_with_time_are_judged_by_when_the_connection_was_opened() {
    let text = "v=ssa1; addr=hash(obj,time/60):10 const(0):54; obj=path:/{obj}";
    let table = Table::new(SOURCE, &address(text, "x", 0, START));
    let mut plugin = plugin(&store(text, ""), &table);
    assert_eq!(plugin.on_new_connection(ContextId(7), &table), Action::Continue);
    assert_eq!(table.own.borrow()["ssa_opened"], START.to_string());
    table.advance(3_600_000);
    assert_eq!(ask(&mut plugin, &table, "/x", &[]).0, Action::Continue);
    // Where the connection's filter did not say, the time of the request counts.
    table.own.borrow_mut().clear();
    assert_eq!(ask(&mut plugin, &table, "/x", &[]).0, Action::Pause);
}

#[test]
fn connections_that_were_decided_on_otherwise_have_requests_that_pass() {
    let rule = "v=ssa1; addr=hash(src/128):20 rand:44";
    for (config, destination) in [
        (store(rule, ""), "[2001:db8:5::7]:80"),
        (store(RULE, r#""mode": "off""#), "[2001:db8:5::7]:80"),
        (store(RULE, ""), "[2001:db8:5::7]:81"),
        (store(RULE, ""), "[2001:db8:9::7]:80"),
    ] {
        let table = Table::new(SOURCE, destination);
        let mut plugin = plugin(&config, &table);
        let (action, told) = ask(&mut plugin, &table, "/cas/x", &[("ssa-object", "a lie")]);
        assert_eq!((action, told), (Action::Continue, Vec::new()), "{config} {destination}");
        assert!(table.calls("property").is_empty());
    }
}

#[test]
fn a_request_that_the_proxy_does_not_show_does_not_pass() {
    for failing in ["headers", "source", "destination", "time"] {
        let to = address(RULE, "x", 0, 0);
        let table = Table::new(SOURCE, &to);
        let mut plugin = plugin(&store(RULE, ""), &table);
        table.failing.replace(failing);
        assert_eq!(ask(&mut plugin, &table, "/cas/x", &[]).0, Action::Pause, "{failing}");
        assert_eq!(table.calls("respond"), ["respond 503 ssa-verdict: unreadable"]);
    }
    // One that would be demoted goes nowhere if the proxy does not look for another route.
    let table = Table::new(SOURCE, &address(RULE, "x", 0, 0)).failing("route");
    let mut plugin = plugin(&store(RULE, r#""policy": {"no_object": "demote"}"#), &table);
    assert_eq!(ask(&mut plugin, &table, "/", &[]).0, Action::Pause);
}

#[test]
fn requests_wait_for_the_first_snapshot_and_no_longer() {
    let body = snapshot("g1", RULE, "").replace("OWN", r#""ports": [80]"#);
    let table = Table::new(SOURCE, &address(RULE, "x", 0, 0));
    let mut held = plugin(SUBSCRIBED_IN, &table);
    held.on_tick(&table);
    for request in 2..6 {
        let all = [(":path", "/cas/x")].map(|(name, value)| (name.to_owned(), value.into()));
        table.fields.replace(all.to_vec());
        let action = held.on_request_headers(ContextId(request), &table);
        assert_eq!(action, Action::Pause, "the last one finds no room");
    }
    assert_eq!(table.calls("respond"), ["respond 503 ssa-verdict: no_snapshot"]);
    // Its client leaves.
    held.on_request_delete(ContextId(3));
    respond(&mut held, &table, 200, &body);
    assert_eq!(table.calls("go_on"), ["go_on 2", "go_on 4"]);
    assert_eq!(table.calls("respond").len(), 1);

    for (config, passes) in [
        (SUBSCRIBED_IN.to_owned(), false),
        (
            SUBSCRIBED_IN.replace(r#""shim""#, r#""shim", "failure_mode_allow": true"#),
            true,
        ),
    ] {
        let table = Table::new(SOURCE, &address(RULE, "x", 0, 0));
        let mut late = plugin(&config, &table);
        late.on_tick(&table);
        assert_eq!(ask(&mut late, &table, "/cas/x", &[]).0, Action::Pause);
        table.advance(499);
        late.on_tick(&table);
        assert!(table.calls("go_on").is_empty() && table.calls("respond").is_empty());
        table.advance(1);
        late.on_tick(&table);
        assert_eq!(table.calls("go_on").len(), usize::from(passes), "{config}");
        assert_eq!(table.calls("respond").len(), usize::from(!passes), "{config}");
    }
}
