//! Models of a few services, and what they tell.

mod exchange;

use std::fmt::Write;

use ssa_filter::config::Snapshot;

use super::*;
use ssa_testing::Draw;

use crate::{answers::Failure, snapshot::Publisher, testing::Folder};

fn model(services: &str) -> Model {
    let json = format!(r#"{{"services": [{services}]}}"#);
    let mut model = Model::new(Config::from_json(json.as_bytes()).unwrap(), BTreeMap::new(), 1000);
    model.source_of = |_, item| Some(item.network());
    model
}

fn service(name: &str) -> String {
    format!(
        r#"{{"name": "{name}", "allowed": ["2001:db8::/32"], "inbound": {{"ports": [80]}}, "outbound": {{"ports": [80]}}}}"#
    )
}

fn answers(list: &str, records: &[&str], addresses: &[&str]) -> Answers {
    let answer = Answer {
        value: (),
        ttl: 100,
        held: 100,
        absence: None,
    };
    Answers {
        list: Ok(answer.clone().with(List::of(&list.parse().unwrap()))),
        records: Ok(answer.clone().with(records.iter().map(ToString::to_string).collect())),
        addresses: Ok(answer.with(addresses.iter().map(|text| text.parse().unwrap()).collect())),
    }
}

/// Builds, has the filters read it, and returns what they know: names and numbers of rules.
fn read(model: &mut Model, now: Seconds) -> [Vec<(String, usize)>; 2] {
    let built = model.build(now);
    let mut publisher = Publisher::default();
    let mut json = |role, entries| {
        publisher.publish(role, false, entries).unwrap();
        publisher.latest(role).borrow().clone().unwrap().json()
    };
    let inbound = Snapshot::inbound(json(Role::Inbound, &built.inbound).as_bytes()).unwrap();
    let outbound = Snapshot::outbound(json(Role::Outbound, &built.outbound).as_bytes()).unwrap();
    let known = |service: &ssa_filter::service::Service| (service.name.clone(), service.rules.rules().len());
    [
        inbound
            .services
            .services()
            .iter()
            .map(|service| known(&service.service))
            .collect(),
        outbound
            .services
            .services()
            .iter()
            .map(|service| known(&service.service))
            .collect(),
    ]
}

fn known(name: &str, rules: usize) -> (String, usize) {
    (name.to_owned(), rules)
}

const LIST: &str = "2:2001:db8:5::/64 !2:2001:db8:6::/120";
const RULE: &str = "v=ssa1; addr=rand:64";

#[test]
fn filters_read_what_is_known() {
    let mut model = model(&service("web"));
    assert!(!model.is_complete());
    assert_eq!(read(&mut model, 1000), [vec![known("web", 0)], vec![]]);
    assert!(!model.is_usable());
    assert!(model.take("web", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000));
    assert_eq!(read(&mut model, 1000), [vec![known("web", 1)], vec![known("web", 1)]]);
    assert!(model.is_complete() && model.is_usable());
    assert!(!model.take("web", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1001));
    assert!(!model.take("nobody", answers(LIST, &[RULE], &[]), 1001));
}

#[test]
fn nobody_captures_the_addresses_of_another() {
    for order in [["web", "evil"], ["evil", "web"]] {
        let mut model = model(&order.map(service).join(","));
        model.take("web", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000);
        read(&mut model, 1000);
        for (list, addresses) in [
            ("2:2001:db8:5::/64", &["2001:db8:5::1"][..]),
            ("2:2001:db8:7::/64 !2:2001:db8::/33", &["2001:db8:6::1"]),
            ("2:2001:db8:7::/64 !2:2001:db8:6::1/128", &["2001:db8:6::1"]),
        ] {
            model.take("evil", answers(list, &[RULE], addresses), 1001);
            let [mut inbound, outbound] = read(&mut model, 1001);
            inbound.sort_unstable();
            assert_eq!(inbound, [known("evil", 0), known("web", 1)], "{list}");
            assert_eq!(outbound, [known("web", 1)], "{list}");
            let refused = model
                .statuses()
                .into_iter()
                .find(|status| &*status.service == "evil")
                .unwrap();
            assert_eq!(refused.state, "refused");
            assert!(refused.reason.unwrap().contains("shares addresses with web"));
        }
        // A restart changes nothing about it.
        let stored = model.to_store();
        let mut again = Model::new(model.config().clone(), stored, 1002);
        again.source_of = |_, _| None;
        assert_eq!(read(&mut again, 1002)[1], [known("web", 1)]);
    }
}

#[test]
fn what_one_leaves_another_may_take_at_once() {
    let mut model = model(&["old", "new"].map(service).join(","));
    model.take("old", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000);
    model.take("new", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000);
    assert_eq!(read(&mut model, 1000)[1], [known("old", 1)]);
    let config = Config::from_json(format!(r#"{{"services": [{}]}}"#, service("new")).as_bytes()).unwrap();
    model.configure(config, 1001);
    assert_eq!(read(&mut model, 1001)[1], [known("new", 1)]);
}

#[test]
fn addresses_outside_the_allowed_prefixes_are_refused() {
    let narrow = service("web").replace("2001:db8::/32", "2001:db8:5::/48");
    let mut model = model(&narrow);
    model.take("web", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000);
    assert_eq!(read(&mut model, 1000), [vec![known("web", 0)], vec![]]);
    let reason = model.statuses().first().unwrap().reason.clone().unwrap();
    assert_eq!(reason, "records[0]: 2001:db8:6::/120 lies in no allowed prefix");
}

#[test]
fn a_service_without_a_usable_rule_is_told_as_one_that_has_none() {
    let mut model = model(&service("web"));
    let built = model.build(1000);
    let Entries::Inbound(services) = &built.inbound else {
        panic!("{built:?}")
    };
    assert!(services[0].rules.is_empty() && services[0].apl.is_none());
    assert!(serde_json::to_string(&built.inbound).unwrap().contains(r#""rules":[]"#));
    // Filters take it as it is, and have nothing to tell.
    let mut publisher = Publisher::default();
    publisher.publish(Role::Inbound, false, &built.inbound).unwrap();
    let json = publisher.latest(Role::Inbound).borrow().clone().unwrap().json();
    let read = Snapshot::inbound(json.as_bytes()).unwrap();
    assert!(read.unusable.is_empty() && read.services.services()[0].service.rules.rules().is_empty());
}

#[test]
fn secrets_go_where_they_are_named_and_nowhere_else() {
    let folder = Folder::new("model");
    for (place, name, digit) in [("m", "k1", "1"), ("m", "unused", "2"), ("c", "k1", "3")] {
        std::fs::create_dir_all(folder.path().join(place)).unwrap();
        std::fs::write(folder.path().join(place).join(name), digit.repeat(32)).unwrap();
    }
    let path = folder.path().display();
    let json = service("web")
        .replace(r#""inbound": {"#, &format!(r#""inbound": {{"secrets": "{path}/m", "#))
        .replace(
            r#""outbound": {"#,
            &format!(r#""outbound": {{"client_keys": "{path}/c", "#),
        );
    let mut model = model(&json);
    let rule = "v=ssa1; addr=mac(src/128):64; key=k1; kdf=src/64";
    model.take("web", answers(LIST, &[rule], &["2001:db8:6::1"]), 1000);
    assert_eq!(read(&mut model, 1000), [vec![known("web", 1)], vec![known("web", 1)]]);
    let built = model.build(1000);
    let text = |entries| serde_json::to_string(entries).unwrap();
    let (inbound, outbound) = (text(&built.inbound), text(&built.outbound));
    assert!(
        inbound.contains(&format!(r#""k1":{{"secret":"{}"}}"#, "1".repeat(32))),
        "{inbound}"
    );
    assert!(
        outbound.contains(&format!(r#""k1":{{"client_key":"{}"}}"#, "3".repeat(32))),
        "{outbound}"
    );
    assert!(!inbound.contains("2222") && !inbound.contains("3333") && !outbound.contains("1111"));
    let stored = serde_json::to_string(&model.to_store()).unwrap();
    let told = format!("{stored} {:?} {built:?}", model.statuses());
    assert!(!told.contains("1111") && !told.contains("3333"), "{told}");
}

#[test]
fn records_in_the_configuration_need_no_dns() {
    let fixed = r#"{"name": "fixed", "allowed": ["2001:db8::/32"], "outbound": {},
        "static": {"apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=rand:64"], "addresses": ["2001:db8:5::1"]}}"#;
    let mut model = model(fixed);
    assert!(model.is_complete());
    assert_eq!(read(&mut model, 1000)[1], [known("fixed", 1)]);
}

/// Docs/spec.md §5.10: where no legacy traffic is meant to be, no AAAA record is published.
#[test]
fn a_service_without_a_plain_address_is_the_fronts_alone() {
    let json = format!(
        r#"{{"services": [{}], "front": {{"listen": ["[::1]:53"]}}}}"#,
        service("web.demo.test")
    );
    let mut model = Model::new(Config::from_json(json.as_bytes()).unwrap(), BTreeMap::new(), 1000);
    model.source_of = |_, item| Some(item.network());
    model.take("web.demo.test", answers(LIST, &[RULE], &[]), 1000);
    let built = model.build(1000);
    let name = front::key(&ssa_dns::name("web.demo.test").unwrap());
    assert_eq!(built.compose_entries[&name].rules.len(), 1);
    assert_eq!(read(&mut model, 1000)[1], []);
    assert!(model.is_usable());
    model.take("web.demo.test", answers(LIST, &[], &[]), 1001);
    assert!(model.build(1001).compose_entries.is_empty());
    assert!(!read(&mut model, 1001)[0].is_empty());
}

#[test]
fn sources_are_told_item_by_item() {
    let mut model = model(&service("web"));
    model.take(
        "web",
        answers("2:2001:db8:5::/64 2:2001:db8:7::/64", &[RULE], &["2001:db8:5::1"]),
        1000,
    );
    let built = model.build(1000);
    let json = serde_json::to_string(&built.outbound).unwrap();
    assert!(
        json.contains(r#""sources":[{"item":"2001:db8:5::/64","source":"2001:db8:5::"},{"item":"2001:db8:7::/64","#),
        "{json}"
    );
}

#[test]
fn filters_read_whatever_the_dns_says() {
    let mut random = Draw::seeded(104);
    let names = ["a", "b", "c"];
    let mut model = model(&names.map(service).join(","));
    let rules = [
        RULE,
        "v=ssa1; addr=rand:64; from=1500",
        "v=ssa1; addr=hash(src/64):20 rand:44; from=1200",
        "v=ssa1; addr=rand:64 rand:16; apl=2:2001:db8:8::/48",
        "v=ssa1; addr=rand:64; apl=2:2001:db8:9::/64 !2:2001:db8:9:0:1::/80",
        "v=ssa1; addr=rand:64; item=hash(src/64)",
        "v=ssa1; addr=mac(src/64):64; key=k1",
        "v=ssa1; addr=rand:63",
        "v=ssa1",
    ];
    let lists = [
        LIST,
        "1:192.0.2.0/24",
        "2:2001:db8:7::/64 2:2001:db8:a::/64",
        "!2:2001:db8:7::/64",
        "2:2001:db8::/32",
        "2:2001:db8:8::/48 !2:2001:db8:8:1::/64",
        "2:2001:db8:7::/64 !2:2001:db8:7::/64",
    ];
    let addresses = ["2001:db8:6::1", "2001:db8:7::1", "2001:db8:8::1", "2001:db8:f::1"];
    let mut now = 1000;
    let mut served = 0;
    for step in 0..3000 {
        let mut pick = |from: &[&'static str], most: u64| -> Vec<&'static str> {
            let count = random.below(most + 1);
            let count = usize::try_from(count).unwrap();
            let length = u64::try_from(from.len()).unwrap();
            (0..count)
                .map(|_| from[usize::try_from(random.below(length)).unwrap()])
                .collect()
        };
        let (list, records, plain) = (
            pick(&lists, 2).join(" "),
            pick(&rules, if step % 9 == 0 { 6 } else { 2 }),
            pick(&addresses, 3),
        );
        let name = names[step % 3];
        let found = if step % 7 == 0 {
            Answers::failed(&Failure::new("timeout", ""))
        } else {
            answers(&list, &records, &plain)
        };
        model.take(name, found, now);
        let [inbound, outbound] = read(&mut model, now);
        assert_eq!(inbound.len(), 3);
        served += outbound.len();
        now += random.below(90);
    }
    assert!(served > 60, "{served}");
}

#[test]
fn a_thousand_services_fit_one_snapshot() {
    let mut all = String::new();
    for number in 0..1024 {
        let _ = write!(
            all,
            "{}{}",
            if number > 0 { "," } else { "" },
            service(&format!("s{number}.demo.test"))
        );
    }
    let mut model = model(&all);
    for number in 0..1024 {
        let list = format!("2:2001:db8:{number:x}::/64 !2:2001:db8:{number:x}:1::/120");
        let plain = format!("2001:db8:{number:x}:1::1");
        model.take(
            &format!("s{number}.demo.test"),
            answers(&list, &[RULE], &[&plain]),
            1000,
        );
    }
    let [inbound, outbound] = read(&mut model, 1000);
    assert_eq!((inbound.len(), outbound.len()), (1024, 1024));
}

/// A configuration of one service.
fn config(service: &str) -> Config {
    Config::from_json(format!(r#"{{"services": [{service}]}}"#).as_bytes()).unwrap()
}

fn reason(model: &Model) -> String {
    let status = model.statuses().into_iter().next().unwrap();
    format!("{}: {}", status.state, status.reason.unwrap_or_default())
}

#[test]
fn another_domain_name_takes_over_when_it_answers() {
    let domain = |domain: &str| service("web").replace(r#""allowed""#, &format!(r#""domain": "{domain}", "allowed""#));
    let fixed = service("web").replace(
        r#""allowed""#,
        &format!(r#""static": {{"apl": "{LIST}", "rules": ["{RULE}"], "addresses": ["2001:db8:6::1"]}}, "allowed""#),
    );
    let next = "v=ssa1; addr=hash(src/64):20 rand:44";
    let moved = || answers(LIST, &[next], &["2001:db8:6::1"]);
    for (before, after) in [(domain("a.test"), domain("b.test")), (fixed.clone(), domain("b.test"))] {
        let mut model = model(&before);
        if before != fixed {
            model.take("web", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000);
        }
        let all = [vec![known("web", 1)], vec![known("web", 1)]];
        assert_eq!(read(&mut model, 1000), all);
        model.configure(config(&after), 1001);
        assert_eq!(read(&mut model, 1001), all);
        assert!(
            reason(&model).contains("until what the configuration says now is answered"),
            "{}",
            reason(&model)
        );
        // Half an answer is none.
        let half = Answers {
            records: Err(Failure::new("timeout", "no answer")),
            ..answers("2:2001:db8:7::/64", &[], &[])
        };
        model.take("web", half, 1002);
        assert_eq!(read(&mut model, 1002), all);
        assert!(reason(&model).contains("timeout: no answer"), "{}", reason(&model));
        // Over a restart too.
        let mut model = Model::new(config(&after), model.to_store(), 1003);
        model.source_of = |_, item| Some(item.network());
        assert_eq!(read(&mut model, 1003), all);
        // What it said before stands beside what it says now for its TTL.
        model.take("web", moved(), 1004);
        assert_eq!(read(&mut model, 1004), [vec![known("web", 2)], vec![known("web", 1)]]);
        let later = 1004 + if before == fixed { FIXED_TTL } else { 100 } + GRACE;
        assert_eq!(read(&mut model, later), all);
    }
    // Records in the configuration need no answer.
    let mut model = model(&domain("a.test"));
    model.take("web", answers(LIST, &[next], &["2001:db8:6::1"]), 1000);
    read(&mut model, 1000);
    model.configure(config(&fixed), 1001);
    assert_eq!(read(&mut model, 1001), [vec![known("web", 2)], vec![known("web", 1)]]);
}

#[test]
fn a_service_that_is_renamed_keeps_its_rules() {
    let named = |name: &str| service(name).replace(r#""allowed""#, r#""domain": "a.test", "allowed""#);
    let mut model = model(&named("old"));
    model.take("old", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000);
    read(&mut model, 1000);
    model.configure(config(&named("new")), 1001);
    assert_eq!(read(&mut model, 1001), [vec![known("new", 1)], vec![known("new", 1)]]);
    // Also where the configuration changed while the daemon was down.
    let mut again = Model::new(config(&named("newer")), model.to_store(), 1002);
    again.source_of = |_, _| None;
    assert_eq!(read(&mut again, 1002)[1], [known("newer", 1)]);
}

#[test]
fn services_that_exchange_their_domain_names_keep_their_rules() {
    let named = |name: &str, domain: &str| {
        service(name).replace(r#""allowed""#, &format!(r#""domain": "{domain}", "allowed""#))
    };
    let both = |first: &str, second: &str| format!("{},{}", named("x", first), named("y", second));
    let of = |number: u8| answers(&format!("2:2001:db8:{number}::/64"), &[RULE], &[]);
    let addressed = |number: u8| Answers {
        addresses: Ok(Answer {
            value: vec![format!("2001:db8:{number}::1").parse().unwrap()],
            ..of(number).addresses.unwrap()
        }),
        ..of(number)
    };
    let mut model = model(&both("a.test", "b.test"));
    model.take("x", addressed(1), 1000);
    model.take("y", addressed(2), 1000);
    let all = [vec![known("x", 1), known("y", 1)], vec![known("x", 1), known("y", 1)]];
    assert_eq!(read(&mut model, 1000), all);
    model.configure(config(&both("b.test", "a.test")), 1001);
    assert_eq!(read(&mut model, 1001), all);
    model.take("x", addressed(2), 1002);
    model.take("y", addressed(1), 1002);
    assert_eq!(read(&mut model, 1002), all);
    // One moves on, and another takes its place.
    model.configure(config(&both("c.test", "b.test")), 1003);
    model.take("y", addressed(2), 1004);
    model.take("x", addressed(3), 1004);
    assert_eq!(read(&mut model, 1004), all);
}

#[test]
fn a_service_that_comes_back_is_known() {
    let mut model = model(&service("web"));
    model.take("web", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000);
    read(&mut model, 1000);
    model.configure(Config::from_json(b"{}").unwrap(), 1001);
    assert_eq!(read(&mut model, 1001), [vec![], vec![]]);
    model.configure(config(&service("web")), 1050);
    assert_eq!(read(&mut model, 1050)[0], [known("web", 1)]);
    // What nobody can use any more is forgotten.
    model.configure(Config::from_json(b"{}").unwrap(), 1051);
    model.configure(config(&service("web")), 1_000_000);
    assert_eq!(read(&mut model, 1_000_010)[0], [known("web", 0)]);
}

#[test]
fn verifiers_are_told_of_a_new_service_when_it_is_answered_or_after_a_time() {
    let mut model = model(&service("web"));
    model.take("web", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000);
    let both = format!("{}, {}", service("web"), service("new"));
    model.configure(config(&both), 1000);
    assert_eq!(read(&mut model, 1000)[0], [known("web", 1)]);
    assert_eq!(model.build(1000).until, Some(1000 + QUIET));
    assert_eq!(read(&mut model, 1000 + QUIET)[0], [known("web", 1), known("new", 0)]);
    model.configure(config(&both.replace("\"new\"", "\"newer\"")), 2000);
    model.take("newer", answers("2:2001:db8:7::/64", &[RULE], &[]), 2001);
    assert_eq!(read(&mut model, 2001)[0], [known("web", 1), known("newer", 1)]);
}

#[test]
fn narrower_prefixes_and_other_ports_and_policies_count_at_once() {
    let mut model = model(&service("web"));
    model.take("web", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000);
    read(&mut model, 1000);
    let other = service("web").replace(
        r#""inbound": {"ports": [80]}"#,
        r#""inbound": {"ports": [81], "mode": "shadow"}"#,
    );
    model.configure(config(&other), 1001);
    let json = serde_json::to_string(&model.build(1001).inbound).unwrap();
    assert!(json.contains(r#""ports":[81],"mode":"shadow""#), "{json}");
    model.configure(config(&other.replace("2001:db8::/32", "2001:db8:5::/48")), 1002);
    assert_eq!(read(&mut model, 1002), [vec![known("web", 0)], vec![]]);
}

#[test]
fn what_is_kept_is_told_counted_and_forgotten() {
    let mut model = model(&service("web"));
    model.take("web", answers(LIST, &[RULE], &["2001:db8:6::1"]), 1000);
    read(&mut model, 1000);
    let next = "v=ssa1; addr=hash(src/64):20 rand:44";
    model.take("web", answers(LIST, &[next], &["2001:db8:6::1"]), 1001);
    assert_eq!(read(&mut model, 1001)[0], [known("web", 2)]);
    let status = model.statuses().into_iter().next().unwrap();
    assert_eq!(
        (status.kept, status.kept_until, model.kept()),
        (1, Some(1001 + 100 + GRACE), 1)
    );
    assert_eq!(
        reason(&model),
        "usable: gone from the DNS and kept until 1161: records 1, lists 0"
    );
    assert_eq!(model.forget("nobody"), None);
    assert_eq!(model.forget("web"), Some(1));
    assert_eq!(read(&mut model, 1001)[0], [known("web", 1)]);
    assert_eq!((reason(&model), model.kept()), ("usable: ".to_owned(), 0));
}

#[test]
fn macs_that_filters_cannot_check_are_noted_for_their_service() {
    let folder = Folder::new("unchecked");
    std::fs::write(folder.path().join("k1"), "1".repeat(32)).unwrap();
    let secrets = format!(r#""inbound": {{"secrets": "{}", "#, folder.path().display());
    let json = service("web").replace(r#""inbound": {"#, &secrets);
    for (rule, noted) in [
        ("v=ssa1; addr=hash(obj):20 mac(src/64,obj):44; key=k1", true),
        ("v=ssa1; addr=hash(obj):20 mac(src/64,chunk):44; key=k1", true),
        ("v=ssa1; addr=hash(obj):20 mac(src/64):44; key=k1", false),
        (RULE, false),
    ] {
        let mut model = model(&json);
        model.take("web", answers(LIST, &[rule], &["2001:db8:6::1"]), 1000);
        model.build(1000);
        let unchecked = model.services[0].unchecked.as_deref();
        assert_eq!(unchecked, noted.then_some(rule), "{rule}");
    }
}
