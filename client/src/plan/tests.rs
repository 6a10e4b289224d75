//! Plans beside the vectors of choices, and what a want may say.

use std::collections::BTreeSet;

use serde_json::Value;
use ssa_rules::{AddressSpace, Apl, Destination, ItemSource, Key, KeyId, Record, Secret};

use super::*;
use crate::{PlanError, Service, options::Options};

/// How many plans are made of a case: as many as find every choice that there is.
const PLANS: u64 = 512;

fn prepared(case: &Value) -> (Rule, KeySources) {
    let record: Record = case["rule"].as_str().unwrap().parse().unwrap();
    let apl: Apl = case["apl"].as_str().unwrap().parse().unwrap();
    let key_of = |id: &KeyId| {
        case["secrets"][id.as_str()]
            .as_str()
            .map(|hex| hex.parse::<Secret>().unwrap())
    };
    let key = record.key().and_then(key_of).map_or(Key::None, Key::Secret);
    let rule = Rule::prepare(&record, AddressSpace::new(&apl).unwrap().as_ref(), &key).unwrap();
    (rule, record.keys().clone())
}

/// The first target of a plan is one that the vectors allow, and all that they allow come first in some plan.
#[test]
fn plans_begin_with_what_the_vectors_choose() {
    let (_, file) = ssa_vectors::FILES
        .iter()
        .find(|(name, _)| *name == "choice.json")
        .unwrap();
    let file: Value = serde_json::from_str(file).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() > 40, "{}", cases.len());
    for case in cases {
        let note = &case["note"];
        let (rule, keys) = prepared(case);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let list = |field: &str| case[field].as_array().cloned().unwrap_or_default();
        let sources: Vec<ItemSource> = list("sources")
            .iter()
            .map(|own| ItemSource {
                item: text(&own["item"]).parse().unwrap(),
                source: text(&own["source"]).parse().unwrap(),
            })
            .collect();
        let failed: Vec<Candidate> = list("failed")
            .iter()
            .map(|failed| Candidate {
                item: rule
                    .positive_items()
                    .find(|(_, item)| item.to_string() == failed["item"].as_str().unwrap())
                    .unwrap()
                    .0,
                replica: Replica(u8::try_from(failed["replica"].as_u64().unwrap()).unwrap()),
                address: Destination(text(&failed["address"]).parse().unwrap()),
            })
            .collect();
        let planner = Planner {
            rule: &rule,
            keys: &keys,
            sources: Sources {
                by_item: &sources,
                default: case["source"].as_str().map(|source| source.parse().unwrap()),
            },
            limits: Limits {
                max_pow: 24,
                min_time_step: 1,
            },
            time: UnixTime(case["time"].as_u64().unwrap()),
            port: u16::try_from(case["port"].as_u64().unwrap()).unwrap(),
        };
        let mut want = Want::port(planner.port).targets(1);
        want.object = case["object"].as_str().map(str::as_bytes);
        want.chunk = case["chunk"].as_u64();
        let mut found = BTreeSet::new();
        for seed in 0..PLANS {
            let mut random = fastrand::Rng::with_seed(seed);
            let plan = planner.plan(&want, failed.iter().copied(), |_| None, &mut || random.u64(..));
            found.extend(plan.ok().map(|plan| (*plan.first().address.ip(), plan.first().source)));
        }
        let expected: BTreeSet<(Ipv6Addr, Ipv6Addr)> = case["expect"]
            .as_array()
            .unwrap()
            .iter()
            .map(|expected| {
                (
                    text(&expected["address"]).parse().unwrap(),
                    text(&expected["source"]).parse().unwrap(),
                )
            })
            .collect();
        assert_eq!(found, expected, "{note}");
    }
}

const SOURCE: &str = "2001:db8:77::7";

fn service(record: &str) -> Service {
    let options = Options::default().with_source(SOURCE.parse().unwrap());
    Service::fixed(
        "store.example",
        Some("2:2001:db8:5::/64 2:2001:db8:6::/64"),
        &[record],
        options,
    )
    .unwrap()
}

fn addresses(plan: &Plan) -> Vec<String> {
    plan.targets()
        .iter()
        .map(|target| target.address.ip().to_string())
        .collect()
}

#[test]
fn each_replica_comes_once_in_random_order() {
    let service = service("v=ssa1; addr=hash(obj):10 const(0):54; replicas=4; item=hash(obj)");
    let mut first = BTreeSet::new();
    for _ in 0..200 {
        let plan = service.plan(&Want::port(80).object(b"x"), &mut crate::random).unwrap();
        let replicas: Vec<u8> = plan.targets().iter().map(|target| target.replica).collect();
        assert_eq!(replicas.iter().copied().collect::<BTreeSet<u8>>(), (0..4).collect());
        assert_eq!(addresses(&plan).into_iter().collect::<BTreeSet<_>>().len(), 4);
        first.insert(replicas[0]);
    }
    assert_eq!(first.len(), 4);
    let fixed = Want::port(80).object(b"x").order(Order::Fixed);
    let plan = service.plan(&fixed, &mut crate::random).unwrap();
    assert_eq!(
        plan.targets().iter().map(|target| target.replica).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    let one = service.plan(&fixed.replica(2), &mut crate::random).unwrap();
    assert_eq!(one.targets(), &plan.targets()[2..3]);
    assert_eq!(
        service.plan(&fixed.targets(2), &mut crate::random).unwrap().targets(),
        &plan.targets()[..2]
    );
    assert_eq!(service.plan_all(&fixed, &mut crate::random).unwrap(), plan.targets());
}

#[test]
fn what_failed_comes_last_and_is_forgotten_after_half_a_minute() {
    let service = service("v=ssa1; addr=hash(obj):10 const(0):54; replicas=3; item=hash(obj)");
    let want = Want::port(80).object(b"x").order(Order::Fixed);
    let before = service.plan(&want, &mut crate::random).unwrap();
    service.report_failure(&before.first());
    let replicas = |want: &Want<'_>| {
        let plan = service.plan(want, &mut crate::random).unwrap();
        plan.targets().iter().map(|target| target.replica).collect::<Vec<_>>()
    };
    assert_eq!(replicas(&want), [1, 2, 0]);
    let later = crate::clock::now().0 + 31;
    assert_eq!(replicas(&want.time(later)), [0, 1, 2]);
    // Writers need every replica.
    assert_eq!(service.plan_all(&want, &mut crate::random).unwrap()[0].replica, 0);
}

#[test]
fn other_items_come_after_the_nearest_and_random_addresses_are_several() {
    let near = service("v=ssa1; addr=hash(obj):10 const(0):54");
    assert_eq!(
        near.plan(&Want::port(80).object(b"x"), &mut crate::random)
            .unwrap()
            .targets()
            .len(),
        2
    );
    let random = service("v=ssa1; addr=rand:64");
    assert_eq!(
        random
            .plan(&Want::port(80), &mut crate::random)
            .unwrap()
            .targets()
            .len(),
        3
    );
    assert_eq!(
        random
            .plan(&Want::port(80).targets(99), &mut crate::random)
            .unwrap()
            .targets()
            .len(),
        MAX_TARGETS
    );
    let work = service("v=ssa1; addr=hash(src/64):20 rand:44; pow=6");
    assert_eq!(
        work.plan(&Want::port(80), &mut crate::random).unwrap().targets().len(),
        1
    );
}

#[test]
fn a_request_has_its_key_where_the_record_says() {
    let service =
        service("v=ssa1; addr=hash(obj,chunk):10 const(0):54; obj=path:/f/{obj}; chunk=range:100; item=hash(obj)");
    let fields: [(&[u8], &[u8]); 1] = [(b"range", b"bytes=200-299")];
    let request = HttpRequest::new(Some(b"/f/a%2Fb"), &fields);
    let by_request = service
        .plan(&Want::port(80).request(&request), &mut crate::random)
        .unwrap();
    let by_hand = service
        .plan(&Want::port(80).object(b"a/b").chunk(2), &mut crate::random)
        .unwrap();
    assert_eq!(by_request, by_hand);
    // What is said by hand comes first.
    let other = service
        .plan(&Want::port(80).request(&request).chunk(3), &mut crate::random)
        .unwrap();
    assert_eq!(
        other,
        service
            .plan(&Want::port(80).object(b"a/b").chunk(3), &mut crate::random)
            .unwrap()
    );
}

#[test]
fn faults_say_what_where_and_what_is_allowed() {
    let told = |record: &str, want: Want<'_>| {
        let error: PlanError = service(record).plan(&want, &mut crate::random).unwrap_err();
        error.to_string()
    };
    let by_object = "v=ssa1; addr=hash(obj):10 const(0):54; replicas=2";
    assert_eq!(
        told(by_object, Want::port(80)),
        "store.example: the record needs inputs that are not given: object key"
    );
    assert_eq!(
        told(by_object, Want::port(80).object(b"x").replica(2)),
        "store.example: replica 2 is wanted; the record has 0 to 1"
    );
    assert_eq!(
        told(by_object, Want::port(0).object(b"x")),
        "store.example: port 0 is wanted; allowed are 1 to 65535"
    );
    assert_eq!(
        told("v=ssa1; addr=hash(src/64):20 mac(src/64):44; key=k1", Want::port(80)),
        "store.example: the record has a mac and its secret is not given"
    );
    assert!(told("v=ssa1; addr=hash(src/64):20 rand:44; pow=17", Want::port(80)).contains("16"));
    assert_eq!(
        told("v=ssa1; addr=rand:64; from=2000", Want::port(80).time(1000)),
        "store.example: no usable rule record is in force: the first is in force from 2000, and it is 1000"
    );
}

#[test]
fn the_source_is_the_callers_the_options_or_the_kernels() {
    let service = service("v=ssa1; addr=hash(src/128):10 const(0):54; item=hash(src/128)");
    let own = service.plan(&Want::port(80), &mut crate::random).unwrap().first();
    assert_eq!(own.source.to_string(), SOURCE);
    let other = service
        .plan(
            &Want::port(80).source("2001:db8:78::1".parse().unwrap()),
            &mut crate::random,
        )
        .unwrap()
        .first();
    assert_eq!(other.source.to_string(), "2001:db8:78::1");
    assert_ne!(own.address, other.address);
}

#[test]
fn unusable_records_are_told_and_others_used() {
    let service = Service::fixed(
        "store.example",
        Some("2:2001:db8:5::/64"),
        &["v=ssa1; addr=rand:63", "v=spf1 -all", "v=ssa1; addr=rand:64"],
        Options::default(),
    );
    let faults = service.unwrap().faults();
    assert!(
        faults.starts_with("record[0]: ") && !faults.contains("record[1]"),
        "{faults}"
    );
    let error = Service::fixed(
        "store.example",
        Some("2:2001:db8:5::/64"),
        &["v=spf1 -all"],
        Options::default(),
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "no record is usable: no SSA record is published"
    );
    let error = Service::fixed("store.example", Some("2:2001:db8:5::/129"), &[], Options::default());
    assert!(error.unwrap_err().to_string().starts_with("apl: "));
}
