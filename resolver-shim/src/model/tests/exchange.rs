//! Services that take over addresses from one another, and who must not.

use ssa_rules::record::Tags;

use super::*;

const PLACES: [&str; 3] = ["2:2001:db8:a::/64", "2:2001:db8:b::/64", "2:2001:db8:c::/64"];

/// The longest that something is kept: the TTL of [`answers`] and a minute.
const OVER: Seconds = 161;

/// What becomes of a service.
type Step = (&'static str, fn(&mut Model, Seconds));

/// Returns the lists that verifiers are told by name, those that are kept too.
fn lists(model: &mut Model, now: Seconds) -> BTreeMap<String, Vec<String>> {
    read(model, now);
    let told = serde_json::to_value(model.build(now).inbound).unwrap();
    let of = |entry: &serde_json::Value| {
        let mut own: Vec<String> = entry["apl"].as_str().map(str::to_owned).into_iter().collect();
        for rule in entry["rules"].as_array().unwrap() {
            let tags = Tags::read(rule.as_str().unwrap()).ok();
            own.extend(tags.and_then(|tags| Some(tags.get("apl")?.to_owned())));
        }
        (entry["name"].as_str().unwrap().to_owned(), own)
    };
    told.as_array().unwrap().iter().map(of).collect()
}

fn told(pairs: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let own = |lists: &[&str]| lists.iter().map(ToString::to_string).collect();
    pairs
        .iter()
        .map(|(name, lists)| ((*name).to_owned(), own(lists)))
        .collect()
}

fn publish(model: &mut Model, name: &str, list: &str, now: Seconds) {
    model.take(name, answers(list, &[RULE], &[]), now);
}

fn status(model: &Model, name: &str) -> (String, String) {
    let found = model.statuses();
    let of = |status: &&ServiceStatus| &*status.service == name && status.role == Role::Inbound;
    let status = found.iter().find(of).unwrap();
    (status.state.to_owned(), status.reason.clone().unwrap_or_default())
}

#[test]
fn two_services_exchange_their_lists() {
    for (first, second) in [("web", "vault"), ("vault", "web")] {
        for restarts in [false, true] {
            let mut model = model(&["web", "vault"].map(service).join(","));
            publish(&mut model, "web", PLACES[0], 1000);
            publish(&mut model, "vault", PLACES[1], 1000);
            assert_eq!(
                lists(&mut model, 1000),
                told(&[("web", &PLACES[..1]), ("vault", &PLACES[1..2])])
            );
            let new = |name: &str| if name == "web" { PLACES[1] } else { PLACES[0] };
            publish(&mut model, first, new(first), 1010);
            // Nobody has left it yet.
            assert_eq!(
                lists(&mut model, 1010),
                told(&[("web", &PLACES[..1]), ("vault", &PLACES[1..2])])
            );
            assert_eq!(status(&model, first).0, "kept");
            if restarts {
                model = Model::new(model.config().clone(), model.to_store(), 1011);
                model.source_of = |_, _| None;
            }
            publish(&mut model, second, new(second), 1020);
            assert_eq!(
                lists(&mut model, 1020),
                told(&[("web", &PLACES[1..2]), ("vault", &PLACES[..1])])
            );
            for (name, other) in [("web", "vault"), ("vault", "web")] {
                let (state, reason) = status(&model, name);
                assert_eq!(state, "usable");
                let gives_way = format!("shares addresses with {other}");
                assert!(
                    reason.contains("gives way") && reason.contains(&gives_way),
                    "{name}: {reason}"
                );
            }
            assert_eq!(
                lists(&mut model, 1020 + OVER),
                told(&[("web", &PLACES[1..2]), ("vault", &PLACES[..1])])
            );
            assert_eq!(status(&model, "web"), ("usable".to_owned(), String::new()));
            // And back.
            publish(&mut model, "web", PLACES[0], 1300);
            publish(&mut model, "vault", PLACES[1], 1300);
            assert_eq!(
                lists(&mut model, 1300),
                told(&[("web", &PLACES[..1]), ("vault", &PLACES[1..2])])
            );
        }
    }
}

#[test]
fn services_exchange_their_lists_in_a_circle_and_in_a_row() {
    let names = ["a", "b", "c"];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for is_row in [false, true] {
            let mut model = model(&names.map(service).join(","));
            for number in order {
                publish(&mut model, names[number], PLACES[number], 1000);
            }
            lists(&mut model, 1000);
            // Each takes the place of the next; the last that of the first, or one that nobody had.
            let next = |number: usize| match number {
                2 if is_row => "2:2001:db8:d::/64",
                _ => PLACES[(number + 1) % 3],
            };
            for number in order {
                publish(&mut model, names[number], next(number), 1010);
                lists(&mut model, 1010);
            }
            let mut found = lists(&mut model, 1010);
            // What nobody took is kept.
            let kept = is_row.then(|| found.get_mut("a").unwrap().split_off(1));
            assert_eq!(
                found,
                told(&[("a", &[next(0)]), ("b", &[next(1)]), ("c", &[next(2)])]),
                "{order:?}"
            );
            assert!(kept.is_none_or(|kept| kept == PLACES[..1]), "{order:?}");
        }
    }
}

#[test]
fn what_one_leaves_another_gets_before_it_is_forgotten() {
    let mut model = model(&["old", "new"].map(service).join(","));
    publish(&mut model, "old", PLACES[0], 1000);
    publish(&mut model, "new", PLACES[1], 1000);
    lists(&mut model, 1000);
    publish(&mut model, "old", PLACES[2], 1010);
    let (kept, alone) = ([PLACES[2], PLACES[0]], [PLACES[2]]);
    assert_eq!(lists(&mut model, 1010), told(&[("old", &kept), ("new", &PLACES[1..2])]));
    publish(&mut model, "new", PLACES[0], 1020);
    let mut found = lists(&mut model, 1020);
    assert_eq!(found.remove("old"), told(&[("old", &alone)]).remove("old"));
    assert_eq!(found["new"][0], PLACES[0]);
    assert!(
        status(&model, "old")
            .1
            .contains("2001:db8:a::/64 shares addresses with new")
    );
    // Where the successor leaves it within that time, it is in force again for the rest of it.
    publish(&mut model, "new", PLACES[1], 1030);
    assert_eq!(lists(&mut model, 1030)["old"], kept);
    assert_eq!(lists(&mut model, 1010 + OVER)["old"], alone);
}

/// Whoever publishes another's list gets nothing of it, unless that other has published another list and got it.
#[test]
fn nobody_takes_what_its_holder_has_not_left() {
    let failed = || Answers::failed(&Failure::new("timeout", ""));
    let steps: [Step; 6] = [
        ("publishes it still", |model, now| {
            publish(model, "vault", PLACES[1], now);
        }),
        ("fails", |model, now| {
            model.take("vault", Answers::failed(&Failure::new("timeout", "")), now);
        }),
        ("is absent", |model, now| {
            model.take("vault", answers("1:192.0.2.0/24", &[], &[]), now);
        }),
        ("is unusable", |model, now| {
            model.take("vault", answers(PLACES[0], &["v=ssa1; addr=rand:63"], &[]), now);
        }),
        ("wants what it must not have", |model, now| {
            publish(model, "vault", "2:2001:db9::/64", now);
        }),
        ("wants what a third one has", |model, now| {
            publish(model, "vault", PLACES[2], now);
        }),
    ];
    for order in [["vault", "evil", "third"], ["evil", "third", "vault"]] {
        for (what, step) in steps {
            let mut model = model(&order.map(service).join(","));
            publish(&mut model, "vault", PLACES[1], 1000);
            publish(&mut model, "evil", PLACES[0], 1000);
            publish(&mut model, "third", PLACES[2], 1000);
            lists(&mut model, 1000);
            let expected = told(&[
                ("vault", &PLACES[1..2]),
                ("evil", &PLACES[..1]),
                ("third", &PLACES[2..]),
            ]);
            step(&mut model, 1010);
            for list in [PLACES[1], "2:2001:db8:b::/96", "2:2001:db8:a::/64 2:2001:db8:b::/64"] {
                let width = if list.ends_with("/96") {
                    "v=ssa1; addr=rand:32"
                } else {
                    RULE
                };
                model.take("evil", answers(list, &[width], &[]), 1020);
                assert_eq!(lists(&mut model, 1020), expected, "{what}: {list}");
                assert_eq!(status(&model, "evil").0, "kept", "{what}: {list}");
            }
            // Long after, too, and over a restart.
            let mut again = Model::new(model.config().clone(), model.to_store(), 9000);
            again.source_of = |_, _| None;
            again.take("third", failed(), 9000);
            assert_eq!(lists(&mut again, 9000), expected, "{what}");
        }
    }
}

/// Of two that want the same place, the first in the configuration gets it, unless it could not without the other's place.
#[test]
fn who_does_not_get_a_place_keeps_its_own() {
    let mut model = model(&["a", "b", "c"].map(service).join(","));
    publish(&mut model, "a", PLACES[0], 1000);
    publish(&mut model, "b", PLACES[1], 1000);
    publish(&mut model, "c", PLACES[2], 1000);
    lists(&mut model, 1000);
    // c leaves its place to a and b, and wants that of b: these two can exchange, and a cannot.
    publish(&mut model, "a", PLACES[2], 1010);
    publish(&mut model, "b", PLACES[2], 1010);
    publish(&mut model, "c", PLACES[1], 1010);
    let found = lists(&mut model, 1010);
    assert_eq!(
        found,
        told(&[("a", &PLACES[..1]), ("b", &PLACES[2..]), ("c", &PLACES[1..2])])
    );
    assert_eq!(status(&model, "a").0, "kept");
    // Of what is free a and c want the same, and the first gets it.
    publish(&mut model, "a", "2:2001:db8:d::/64", 1020);
    publish(&mut model, "c", "2:2001:db8:d::/64", 1020);
    let found = lists(&mut model, 1020);
    assert_eq!((&*found["a"][0], &*found["c"][0]), ("2:2001:db8:d::/64", PLACES[1]));
    assert_eq!(status(&model, "c").0, "kept");
}

/// Who wants what two others exchange does not get between them, wherever it stands in the configuration.
#[test]
fn a_third_does_not_hinder_an_exchange() {
    for order in [
        ["evil", "web", "vault"],
        ["web", "evil", "vault"],
        ["vault", "web", "evil"],
    ] {
        let mut model = model(&order.map(service).join(","));
        publish(&mut model, "web", PLACES[0], 1000);
        publish(&mut model, "vault", PLACES[1], 1000);
        publish(&mut model, "evil", PLACES[2], 1000);
        lists(&mut model, 1000);
        for step in [["web", "vault", "evil"], ["evil", "vault", "web"]] {
            for name in step {
                let new = if name == "vault" { PLACES[0] } else { PLACES[1] };
                publish(&mut model, name, new, 1010);
                lists(&mut model, 1010);
            }
            let expected = told(&[("web", &PLACES[1..2]), ("vault", &PLACES[..1]), ("evil", &PLACES[2..])]);
            assert_eq!(lists(&mut model, 1010), expected, "{order:?}");
        }
    }
}

#[test]
fn what_is_not_found_within_bounds_stays_as_it_is() {
    for (rounds, looks, is_found) in [(32, 1 << 16, true), (0, 1 << 16, false), (32, 0, false), (32, 1, false)] {
        let mut model = model(&["web", "vault"].map(service).join(","));
        publish(&mut model, "web", PLACES[0], 1000);
        publish(&mut model, "vault", PLACES[1], 1000);
        let before = lists(&mut model, 1000);
        assert!(model.is_settled);
        model.bounds = views::Bounds { rounds, looks };
        publish(&mut model, "web", PLACES[1], 1010);
        publish(&mut model, "vault", PLACES[0], 1010);
        let after = lists(&mut model, 1010);
        assert_eq!(
            (before != after, model.is_settled),
            (is_found, is_found),
            "{rounds} {looks}"
        );
        // It is found with the next snapshots.
        model.bounds = views::Bounds::default();
        assert_ne!(lists(&mut model, 1010), before);
        assert!(model.is_settled);
    }
}

/// However services publish, no two of them are told the same address as in force, and filters read it.
#[test]
fn no_address_is_ever_of_two() {
    let mut random = Draw::seeded(3);
    let names = ["a", "b", "c", "d"];
    let mut model = model(&names.map(service).join(","));
    let mut now = 1000;
    let mut moved = 0;
    for _ in 0..800 {
        let number = usize::try_from(random.below(4)).unwrap();
        let place = random.below(6);
        let length = [("/64", RULE), ("/80", "v=ssa1; addr=rand:48")][usize::try_from(random.below(2)).unwrap()];
        model.take(
            names[number],
            answers(&format!("2:2001:db8:{place:x}::{}", length.0), &[length.1], &[]),
            now,
        );
        let found = lists(&mut model, now);
        let mut ownership = crate::ownership::Ownership::default();
        for (owner, name) in names.iter().enumerate() {
            for list in &found[*name] {
                let list: Apl = list.parse().unwrap();
                for item in list.items() {
                    let ssa_rules::AplPrefix::V6(prefix) = item.prefix else {
                        panic!()
                    };
                    assert_eq!(ownership.other(prefix, owner), None, "{found:?}");
                    ownership.take(prefix, owner);
                }
            }
        }
        moved += usize::from(status(&model, names[number]).0 == "usable");
        now += random.below(120);
    }
    assert!(moved > 120, "{moved}");
}
