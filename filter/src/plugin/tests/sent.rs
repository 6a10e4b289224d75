//! Outbound: requests, and the attempts to send them.

use std::collections::BTreeSet;

use super::{table::START, *};

const STORE: &str = r#"{"role": "outbound", "filter": "http", "source": "2001:db8::7", "requests": {REQUESTS}, "services": [
    {"name": "store", "apl": "2:2001:db8:5::/64", "rules": ["RULE"], "addresses": ["2001:db8:6::1"]}]}"#;
const RULE: &str = "v=ssa1; addr=obj[118:128] const(0):54; replicas=4; obj=path:/cas/{obj}";
const PLAIN: &str = "[2001:db8:6::1]:80";

fn store(rule: &str, requests: &str) -> String {
    STORE.replace("RULE", rule).replace("REQUESTS", requests)
}

/// Plays a request, and returns whether it goes on and where it was sent.
fn send(plugin: &mut Plugin, table: &Table, method: &str, path: &str, more: &[(&str, &str)]) -> (Action, Vec<String>) {
    send_in(plugin, table, ONE, method, path, more)
}

fn send_in(
    plugin: &mut Plugin,
    table: &Table,
    context: ContextId,
    method: &str,
    path: &str,
    more: &[(&str, &str)],
) -> (Action, Vec<String>) {
    table.recorded.borrow_mut().clear();
    table.own.borrow_mut().clear();
    table.attempt.set(None);
    let fields = [(":method", method), (":path", path)];
    let fields = fields.iter().chain(more);
    let fields = fields.map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    table.fields.replace(fields.collect());
    let action = plugin.on_request_headers(context, table);
    (action, table.calls("set_destination"))
}

/// Plays an attempt to send it, and returns where the next one goes.
fn attempt(plugin: &mut Plugin, table: &Table, number: u64) -> Vec<String> {
    table.recorded.borrow_mut().clear();
    table.attempt.set(Some(number));
    assert_eq!(plugin.on_request_headers(ContextId(90), table), Action::Continue);
    table.calls("set_destination")
}

fn field(table: &Table, name: &str) -> Option<String> {
    let fields = table.fields.borrow();
    let field = fields.iter().find(|(own, _)| own == name);
    field.map(|(_, value)| String::from_utf8(value.clone()).unwrap())
}

/// The addresses of object 5's replicas: 5, and as many quarters of 1024 more.
const FIVE: [&str; 4] = [
    "set_destination [2001:db8:5:0:140::]:80",
    "set_destination [2001:db8:5:0:4140::]:80",
    "set_destination [2001:db8:5:0:8140::]:80",
    "set_destination [2001:db8:5:0:c140::]:80",
];

#[test]
fn reads_go_to_a_replica_and_then_to_the_others_one_after_the_other() {
    let table = Table::new("", PLAIN);
    let mut plugin = plugin(&store(RULE, ""), &table);
    let mut firsts = BTreeSet::new();
    for _ in 0..64 {
        let (action, sent) = send(&mut plugin, &table, "GET", "/cas/5", &[]);
        assert_eq!(action, Action::Continue);
        let first = FIVE.iter().position(|address| sent == [*address]).expect("a replica");
        firsts.insert(first);
        assert_eq!(field(&table, "x-envoy-max-retries").unwrap(), "3");
        let on = field(&table, "x-envoy-retry-on").unwrap();
        assert_eq!(on, "connect-failure,refused-stream,reset,retriable-status-codes");
        assert_eq!(field(&table, "x-envoy-retriable-status-codes").unwrap(), "421,503");
        let mut met = BTreeSet::from([FIVE[first].to_owned()]);
        for number in 1..4 {
            met.extend(attempt(&mut plugin, &table, number));
        }
        assert_eq!(met, FIVE.map(ToOwned::to_owned).into(), "each comes once");
        assert!(attempt(&mut plugin, &table, 4).is_empty());
        // What failed counts for a while.
        table.advance(30_000);
    }
    assert_eq!(firsts.len(), 4, "each comes first at times");
    assert_eq!(
        (0..4)
            .map(|replica| table.count(&format!(
                "ssa_outbound_requests_total.service.store.outcome.composed.replica.{replica}"
            )))
            .sum::<u64>(),
        64
    );
    // At the second attempt and after it, the one before has failed.
    assert_eq!(table.count("ssa_outbound_request_failures_total.service.store"), 64 * 3);
}

#[test]
fn what_failed_comes_last_for_a_while() {
    let table = Table::new("", PLAIN);
    let mut plugin = plugin(&store(RULE, r#""order": "fixed""#), &table);
    assert_eq!(send(&mut plugin, &table, "GET", "/cas/5", &[]).1, [FIVE[0]]);
    assert_eq!(attempt(&mut plugin, &table, 1), [FIVE[1]]);
    assert_eq!(attempt(&mut plugin, &table, 2), [FIVE[2]]);
    assert_eq!(attempt(&mut plugin, &table, 3), [FIVE[3]]);
    assert!(attempt(&mut plugin, &table, 4).is_empty(), "there is no fifth");
    assert_eq!(table.count("ssa_outbound_request_failures_total.service.store"), 3);
    // The three that failed come after the one that did not; other objects are as before.
    assert_eq!(send(&mut plugin, &table, "GET", "/cas/5", &[]).1, [FIVE[3]]);
    assert_eq!(attempt(&mut plugin, &table, 1), [FIVE[0]]);
    let six = "set_destination [2001:db8:5:0:180::]:80";
    assert_eq!(send(&mut plugin, &table, "GET", "/cas/6", &[]).1, [six]);
    table.advance(30_000);
    assert_eq!(send(&mut plugin, &table, "GET", "/cas/5", &[]).1, [FIVE[0]]);
}

#[test]
fn the_replica_with_the_fewest_requests_in_flight_comes_first() {
    let table = Table::new("", PLAIN);
    let mut plugin = plugin(&store(RULE, r#""order": "least""#), &table);
    let send_as = |plugin: &mut Plugin, number: u32| {
        let sent = send_in(plugin, &table, ContextId(number), "GET", "/cas/5", &[]).1;
        FIVE.iter().position(|address| sent == [*address]).expect("a replica")
    };
    // Four at once are at all four, and so are the next four.
    let first: Vec<usize> = (100..104).map(|number| send_as(&mut plugin, number)).collect();
    assert_eq!(BTreeSet::from_iter(&first).len(), 4, "{first:?}");
    let next: Vec<usize> = (104..108).map(|number| send_as(&mut plugin, number)).collect();
    assert_eq!(BTreeSet::from_iter(&next).len(), 4, "{next:?}");
    // Where one ends, the next one goes.
    for (number, replica) in (100..104).zip(&first) {
        plugin.on_request_delete(ContextId(number));
        assert_eq!(send_as(&mut plugin, number + 100), *replica);
    }
    // All go on being in flight by turns, however many of one context end.
    for _ in 0..10 {
        plugin.on_request_delete(ContextId(200));
    }
    assert_eq!(send_as(&mut plugin, 300), first[0]);
}

#[test]
fn a_slow_request_is_sent_to_the_next_replica_too_and_is_no_failure() {
    let table = Table::new("", PLAIN);
    let mut plugin = plugin(&store(RULE, r#""order": "fixed", "hedge_ms": 200"#), &table);
    let (timeout, hedge) = (
        "x-envoy-upstream-rq-per-try-timeout-ms",
        "x-envoy-hedge-on-per-try-timeout",
    );
    send(&mut plugin, &table, "PUT", "/cas/5", &[]);
    assert_eq!((field(&table, timeout), field(&table, hedge)), (None, None));
    send(&mut plugin, &table, "GET", "/cas/5", &[]);
    assert_eq!(field(&table, timeout).unwrap(), "200");
    assert_eq!(field(&table, hedge).unwrap(), "true");
    let failures = || table.count("ssa_outbound_request_failures_total.service.store");
    // The first attempt ends early: it has failed. The second one is only slow.
    table.advance(179);
    assert_eq!(attempt(&mut plugin, &table, 2), [FIVE[2]]);
    assert_eq!(failures(), 1);
    table.advance(1);
    assert_eq!(attempt(&mut plugin, &table, 3), [FIVE[3]]);
    assert_eq!(failures(), 1);
    assert_eq!(send(&mut plugin, &table, "GET", "/cas/5", &[]).1, [FIVE[1]]);
}

#[test]
fn of_those_that_failed_the_one_that_failed_first_comes_first() {
    let table = Table::new("", PLAIN);
    let mut plugin = plugin(&store(RULE, r#""order": "fixed""#), &table);
    // Each write fails; after the last replica the first one has its turn again.
    for address in FIVE.iter().chain(&FIVE) {
        assert_eq!(send(&mut plugin, &table, "PUT", "/cas/5", &[]).1, [*address]);
        assert!(attempt(&mut plugin, &table, 1).is_empty());
        assert!(attempt(&mut plugin, &table, 2).is_empty());
        table.advance(1000);
    }
}

#[test]
fn safe_methods_of_webdav_read() {
    let table = Table::new("", PLAIN);
    let mut plugin = plugin(&store(RULE, r#""order": "fixed""#), &table);
    for (method, retries) in [
        ("PROPFIND", "3"),
        ("REPORT", "3"),
        ("SEARCH", "3"),
        ("MKCOL", "1"),
        ("LOCK", "1"),
    ] {
        send(&mut plugin, &table, method, "/cas/5", &[]);
        assert_eq!(field(&table, "x-envoy-max-retries").unwrap(), retries, "{method}");
    }
}

#[test]
fn writes_are_sent_again_to_the_same_address_alone() {
    let table = Table::new("", PLAIN);
    let mut plugin = plugin(&store(RULE, r#""order": "fixed", "miss": [404]"#), &table);
    for method in ["PUT", "POST", "DELETE", "PATCH", "get"] {
        assert_eq!(
            send(&mut plugin, &table, method, "/cas/5", &[]).1,
            [FIVE[0]],
            "{method}"
        );
        let on = field(&table, "x-envoy-retry-on").unwrap();
        assert_eq!(on, "connect-failure,refused-stream,retriable-status-codes");
        assert_eq!(field(&table, "x-envoy-retriable-status-codes").unwrap(), "421");
        assert_eq!(field(&table, "x-envoy-max-retries").unwrap(), "1");
        assert!(attempt(&mut plugin, &table, 1).is_empty());
        assert!(attempt(&mut plugin, &table, 2).is_empty());
        // What failed is known all the same, and stays where it is.
        assert_eq!(send(&mut plugin, &table, method, "/cas/7", &[]).0, Action::Continue);
        table.advance(30_000);
    }
    send(&mut plugin, &table, "HEAD", "/cas/5", &[]);
    assert_eq!(field(&table, "x-envoy-retriable-status-codes").unwrap(), "421,503,404");
}

#[test]
fn an_application_names_a_replica_only_if_it_may() {
    for (requests, replica) in [
        (r#""order": "fixed""#, 0),
        (r#""order": "fixed", "replica_header": true"#, 2),
    ] {
        let table = Table::new("", PLAIN);
        let mut plugin = plugin(&store(RULE, requests), &table);
        let named = [("ssa-replica", "2"), ("ssa-object", "x")];
        assert_eq!(send(&mut plugin, &table, "GET", "/cas/5", &named).1, [FIVE[replica]]);
        assert!(table.fields.borrow().iter().all(|(name, _)| !name.starts_with("ssa-")));
        let next = attempt(&mut plugin, &table, 1).len();
        assert_eq!(next, usize::from(replica == 0), "one that is named is the only one");
        // What is no replica names none.
        for other in ["4", "x", "", "-1", "256"] {
            let sent = send(&mut plugin, &table, "GET", "/cas/5", &[("ssa-replica", other)]).1;
            assert_eq!(sent, [FIVE[0]], "{other}");
        }
    }
}

#[test]
fn requests_without_an_object_key_go_as_dialled_or_are_answered() {
    for (requests, action) in [("", Action::Continue), (r#""no_object": "deny""#, Action::Pause)] {
        let table = Table::new("", PLAIN);
        let mut plugin = plugin(&store(RULE, requests), &table);
        for path in ["/", "/cas/", "/cas/../5", "*"] {
            let (found, sent) = send(&mut plugin, &table, "GET", path, &[]);
            assert_eq!((found, sent.len()), (action, 0), "{path}");
            let answered = table.calls("respond") == ["respond 421 ssa-verdict: no_object"];
            assert_eq!(answered, action == Action::Pause);
        }
        assert_eq!(
            table.count("ssa_outbound_requests_total.service.store.outcome.no_object"),
            4
        );
    }
}

#[test]
fn all_other_requests_go_as_dialled() {
    for (rule, destination, outcome) in [
        (RULE, "[2001:db8:9::1]:80", "service.-.outcome.untouched"),
        (RULE, "[2001:db8:5::1]:80", "service.store.outcome.own"),
        (
            "v=ssa1; addr=obj[118:128] const(0):54; obj=path:/cas/{obj}; from=1900000000",
            PLAIN,
            "service.store.outcome.no_rule",
        ),
        (
            "v=ssa1; addr=obj[118:128] rand:54; obj=path:/cas/{obj}; pow=4",
            PLAIN,
            "service.store.outcome.failed",
        ),
        // An object key that is no number.
        (
            "v=ssa1; addr=obj[118:128] const(0):54; obj=path:/{*}/{obj},header:x",
            PLAIN,
            "service.store.outcome.failed",
        ),
    ] {
        let table = Table::new("", destination);
        let mut plugin = plugin(&store(rule, ""), &table);
        let path = if rule.contains("header:x") { "/cas/x" } else { "/cas/5" };
        let (action, sent) = send(&mut plugin, &table, "GET", path, &[]);
        assert_eq!((action, sent.len()), (Action::Continue, 0), "{rule} {destination}");
        assert_eq!(
            table.count(&format!("ssa_outbound_requests_total.{outcome}")),
            1,
            "{outcome}"
        );
    }
}

#[test]
fn rules_without_objects_have_their_addresses_too() {
    let table = Table::new("", PLAIN);
    let mut plugin = plugin(
        &store("v=ssa1; addr=hash(src/128):10 const(0):54; replicas=2", ""),
        &table,
    );
    let (_, sent) = send(&mut plugin, &table, "GET", "/", &[]);
    assert_eq!(sent.len(), 1);
    let next = attempt(&mut plugin, &table, 1);
    assert!(next.len() == 1 && next != sent);
}

#[test]
fn a_proxy_that_takes_no_destination_sends_requests_as_dialled() {
    let table = Table::new("", PLAIN).failing("set_destination");
    let mut plugin = plugin(&store(RULE, ""), &table);
    assert_eq!(
        send(&mut plugin, &table, "GET", "/cas/5", &[]),
        (Action::Continue, Vec::new())
    );
    assert_eq!(
        table.count("ssa_outbound_requests_total.service.store.outcome.unreadable"),
        1
    );
    // What the filter of attempts cannot read changes nothing.
    for own in ["", "x", "0 - nowhere", "0 -", "0", "0 [2001:db8:5::1]:80 -"] {
        table.failing.replace("");
        table.own.borrow_mut().insert("ssa_next".to_owned(), own.to_owned());
        assert!(attempt(&mut plugin, &table, 2).is_empty(), "{own}");
    }
    assert_eq!(table.time.get(), START * NS_PER_S);
}

#[test]
fn requests_wait_for_the_first_snapshot_or_go_as_dialled() {
    for (config, passes) in [
        (SUBSCRIBED_OUT.to_owned(), true),
        (
            SUBSCRIBED_OUT.replace(r#""wait_s": 5"#, r#""failure_mode_allow": false"#),
            false,
        ),
    ] {
        let table = Table::new("", PLAIN);
        let mut late = plugin(&config, &table);
        late.on_tick(&table);
        assert_eq!(send(&mut late, &table, "GET", "/cas/5", &[]).0, Action::Pause);
        table.advance(500);
        late.on_tick(&table);
        assert_eq!(table.calls("go_on").len(), usize::from(passes), "{config}");
        assert_eq!(table.calls("respond").len(), usize::from(!passes), "{config}");
    }
    let table = Table::new("", PLAIN);
    let mut held = plugin(SUBSCRIBED_OUT, &table);
    held.on_tick(&table);
    assert_eq!(send(&mut held, &table, "GET", "/cas/5", &[]).0, Action::Pause);
    respond(
        &mut held,
        &table,
        200,
        &outbound_snapshot("g1", "v=ssa1; addr=obj[118:128] const(0):54; obj=path:/cas/{obj}"),
    );
    assert_eq!(table.calls("set_destination"), [FIVE[0]]);
    assert_eq!(table.calls("go_on").len(), 1);
}
