//! `ssa slices plan` on good and bad input.

mod support;

use serde_json::{Value, json};
use support::{APL, Run, file, ssa, ssa_reading, text};

fn plan(bits: &str, more: &[&str]) -> Run {
    ssa(&[&["slices", "plan", "--apl", APL, "--bits", bits], more].concat())
}

fn slices_of(plan: &Value) -> Vec<u64> {
    plan["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|endpoint| endpoint["slices"].as_u64().unwrap())
        .collect()
}

#[test]
fn shares_follow_weights() {
    let json = plan(
        "4",
        &["--endpoint", "a", "--endpoint", "b=2", "--endpoint", "c=1@r1", "--json"],
    )
    .exits(0)
    .json();
    assert_eq!(slices_of(&json), [4, 8, 4]);
    assert_eq!(json["endpoints"][2]["domain"], "r1");
    assert_eq!(json["report"]["slices"], 16);
    assert_eq!(json["items"], json!(["2001:db8:5::/64"]));
}

#[test]
fn planning_again_from_a_plan_moves_nothing() {
    let more = ["--endpoint", "a", "--endpoint", "b=2", "--endpoint", "c"];
    let first = plan("10", &[&more[..], &["--json"]].concat()).exits(0);
    let path = file("slices_again.json", &first.stdout);
    let second = plan("10", &[&more[..], &["--current", text(&path), "--json"]].concat())
        .exits(0)
        .json();
    assert_eq!(second["report"]["moves"], 0);
    assert_eq!(second["moves"], json!([]));
    let endpoint = |plan: &Value, index: usize| plan["endpoints"][index]["prefixes"].clone();
    assert_eq!(endpoint(&first.json(), 1), endpoint(&second, 1));
}

#[test]
fn a_newcomer_takes_its_share_and_nothing_else_moves() {
    let first = plan("8", &["--endpoint", "a", "--endpoint", "b", "--json"])
        .exits(0)
        .stdout;
    let more = [
        "--endpoint",
        "a",
        "--endpoint",
        "b",
        "--endpoint",
        "c",
        "--current",
        "-",
        "--json",
    ];
    let args = [&["slices", "plan", "--apl", APL, "--bits", "8"], &more[..]].concat();
    let json = ssa_reading(&args, &first).exits(0).json();
    assert!(
        json["moves"].as_array().unwrap().iter().all(|one| one["to"] == "c"),
        "{json}"
    );
    assert_eq!(json["report"]["moves"], slices_of(&json)[2]);
    assert_eq!(json["report"]["lower_bound"], json["report"]["moves"]);
}

#[test]
fn an_endpoint_that_is_no_longer_wanted_leaves() {
    let current = json!({ "endpoints": [
        { "name": "a", "prefixes": ["2001:db8:5::/65"] },
        { "name": "gone", "prefixes": ["2001:db8:5:0:8000::/65"] },
    ] });
    let path = file("slices_leaving.json", &current.to_string());
    let more = ["--endpoint", "a", "--endpoint", "b", "--current", text(&path), "--json"];
    let json = plan("4", &more).exits(0).json();
    assert_eq!(slices_of(&json), [8, 8, 0]);
    assert_eq!(json["endpoints"][2]["name"], "gone");
    assert_eq!(json["endpoints"][2]["moves_out"], 8);
    assert_eq!(
        json["moves"],
        json!([{ "from": "gone", "to": "b", "slices": 8, "prefixes": ["2001:db8:5:0:8000::/65"] }])
    );
}

#[test]
fn a_coarser_plan_can_be_cut_finer() {
    let first = plan("1", &["--endpoint", "a", "--endpoint", "b", "--json"])
        .exits(0)
        .stdout;
    let path = file("slices_coarse.json", &first);
    let more = ["--endpoint", "a", "--endpoint", "b", "--current", text(&path), "--json"];
    assert_eq!(plan("6", &more).exits(0).json()["report"]["moves"], 0);
    let fine = plan("6", &["--endpoint", "a", "--endpoint", "b=62", "--json"])
        .exits(0)
        .stdout;
    let path = file("slices_fine.json", &fine);
    let more = ["--endpoint", "a", "--endpoint", "b", "--current", text(&path)];
    plan("1", &more)
        .exits(2)
        .tells(&["is smaller than a slice of /65; more --bits are needed"]);
}

#[test]
fn replicas_of_a_record_are_kept_apart() {
    let rule = "v=ssa1; addr=hash(obj):20 const(0):44; replicas=2";
    let more = [
        "--rule",
        rule,
        "--endpoint",
        "a@r1",
        "--endpoint",
        "b@r1",
        "--endpoint",
        "c@r2",
        "--endpoint",
        "d@r2",
    ];
    let json = plan("6", &[&more[..], &["--json"]].concat()).exits(0).json();
    assert_eq!(json["replicas"], 2);
    assert_eq!(
        (
            &json["report"]["endpoint_conflicts"],
            &json["report"]["domain_conflicts"]
        ),
        (&0.into(), &0.into())
    );
    plan("6", &more)
        .exits(0)
        .prints(&["0 pairs of siblings on one endpoint, 0 in one domain"]);
    let by_numbers = [
        "--replicas",
        "2",
        "--first-field",
        "20",
        "--endpoint",
        "a",
        "--endpoint",
        "b",
        "--json",
    ];
    assert_eq!(plan("6", &by_numbers).exits(0).json()["replicas"], 2);
}

#[test]
fn the_table_names_every_endpoint() {
    let run = plan("4", &["--endpoint", "alpha@r1", "--endpoint", "beta=3", "-v"]).exits(0);
    let run = run.prints(&[
        "endpoint",
        "alpha",
        "beta",
        "r1",
        "16 of /68",
        "nobody -> beta: 12 slices",
    ]);
    assert!(run.lines().iter().all(|line| line.len() <= 80), "{}", run.stdout);
}

#[test]
fn routes_come_before_stale_ones_go() {
    let first = plan(
        "4",
        &[
            "--endpoint",
            "a,via=2001:db8:1::a",
            "--endpoint",
            "b,via=2001:db8:1::b",
            "--json",
        ],
    )
    .exits(0)
    .stdout;
    let path = file("slices_routes.json", &first);
    let more = ["--endpoint", "b", "--current", text(&path), "--format", "ip-route"];
    let run = plan("4", &more).exits(0);
    let expected = [
        "ip -6 route replace 2001:db8:5::/64 via 2001:db8:1::b",
        "ip -6 route del 2001:db8:5::/65 via 2001:db8:1::a",
        "ip -6 route del 2001:db8:5:0:8000::/65 via 2001:db8:1::b",
    ];
    assert_eq!(run.lines(), expected);
    let local = plan("4", &[&more[..], &["--local", "b"]].concat()).exits(0);
    let expected = [
        "ip -6 route replace local 2001:db8:5::/64 dev lo",
        "ip -6 route del local 2001:db8:5:0:8000::/65 dev lo",
    ];
    assert_eq!(local.lines(), expected);
    let json = plan("4", &[&more[..], &["--json"]].concat()).exits(0).json();
    assert_eq!(json["commands"].as_array().unwrap().len(), 3);
}

#[test]
fn endpoints_come_from_a_file_too() {
    let list = json!([{ "name": "a", "weight": 3, "via": "2001:db8:1::a" }, { "name": "b", "domain": "r1" }]);
    let path = file("slices_endpoints.json", &list.to_string());
    let json = plan("4", &["--endpoints", text(&path), "--json"]).exits(0).json();
    assert_eq!(slices_of(&json), [12, 4]);
}

#[test]
fn every_fault_is_told_at_once() {
    let path = file("slices_bad.json", r#"[{ "name": "x", "wait": 3 }]"#);
    let more = [
        "--endpoint",
        "a=x",
        "--endpoint",
        "b",
        "--endpoint",
        "b",
        "--endpoint",
        "c d",
        "--endpoints",
    ];
    plan("21", &[&more[..], &[text(&path)]].concat()).exits(2).tells(&[
        "--bits: `21` is not a number from 0 to 20",
        "--endpoint a=x: weight `x`",
        "the endpoint b is given twice",
        "name `c d` is not",
        "wait: unknown field",
    ]);
    plan("4", &[]).exits(2).tells(&["--endpoint: missing"]);
    ssa(&["slices", "plan", "--bits", "4", "--endpoint", "a"])
        .exits(2)
        .tells(&["--apl: missing"]);
    plan("4", &["--endpoint", "a=0"]).exits(2).tells(&["plan:"]);
    plan("4", &["--endpoint", "a", "--format", "ip-route"])
        .exits(2)
        .tells(&["no next hop"]);
    plan("4", &["--endpoint", "a", "--local", "a"])
        .exits(2)
        .tells(&["goes with --format ip-route"]);
    let unknown = ["--endpoint", "a", "--format", "ip-route", "--local", "z"];
    plan("4", &unknown)
        .exits(2)
        .tells(&["`z` is not an endpoint of the plan; allowed: a"]);
}

#[test]
fn a_slice_of_two_endpoints_is_a_fault_of_the_current_plan() {
    let current = json!({ "endpoints": [
        { "name": "a", "prefixes": ["2001:db8:5::/64"] },
        { "name": "b", "prefixes": ["2001:db8:5:0:8000::/65"] },
    ] });
    let path = file("slices_twice.json", &current.to_string());
    let more = ["--endpoint", "a", "--endpoint", "b", "--current", text(&path)];
    plan("4", &more)
        .exits(2)
        .tells(&["endpoint b: 2001:db8:5:0:8000::/65 is another endpoint's too"]);
}

#[test]
fn the_plan_of_another_service_is_no_current_plan() {
    let of = |name: &str, prefixes: &[&str]| {
        let current = json!({ "endpoints": [{ "name": "a", "prefixes": prefixes }] });
        let path = file(&format!("slices_{name}.json"), &current.to_string());
        plan("4", &["--endpoint", "a", "--current", text(&path), "--json"])
    };
    let told = of("other", &["2001:db8:6::/64"]).exits(2).json()["error"].to_string();
    assert!(told.contains("it is the plan of another service"), "{told}");
    // An item that is gone takes its slices with it, and who had none has none.
    let gone = of("gone", &["2001:db8:6::/64", "2001:db8:5::/65"]);
    assert_eq!(gone.exits(0).json()["report"]["moves"], 8);
    assert_eq!(of("empty", &[]).exits(0).json()["report"]["moves"], 16);
}

#[test]
fn one_slice_is_told_as_one() {
    plan("0", &["--endpoint", "a", "-v"])
        .exits(0)
        .prints(&["nobody -> a: 1 slice\n", "1 slice; at least 1 in any such plan"]);
}

#[test]
fn beside_a_list_without_ipv6_the_records_own_counts() {
    let rule = format!("v=ssa1; addr=rand:64; apl={APL}");
    let args = [
        "slices",
        "plan",
        "--apl",
        "1:192.0.2.0/24",
        "--bits",
        "4",
        "--endpoint",
        "a",
    ];
    let json = ssa(&[&args[..], &["--rule", &rule, "--json"]].concat()).exits(0).json();
    assert_eq!(json["items"], json!(["2001:db8:5::/64"]));
    ssa(&args).exits(2).tells(&["--apl: no item of family 2"]);
}

#[test]
fn a_link_local_next_hop_is_refused() {
    let run = ssa(&[
        "slices",
        "plan",
        "--apl",
        "2:2001:db8:5::/64",
        "--bits",
        "1",
        "--endpoint",
        "a,via=fe80::a",
    ]);
    run.exits(2).tells(&["fe80::a after via= is link-local"]);
}
