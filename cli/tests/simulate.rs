//! `ssa simulate`: known facts of loads, what moves, attacks, pictures, and bad input.

mod support;

use serde_json::Value;
use support::{APL, HASHED, file, ssa, text};

/// Simulates at a fixed time and returns the document.
fn simulate(rule: &str, args: &[&str]) -> Value {
    let run = ssa(&[
        &[
            "simulate",
            "--json",
            "--time",
            "1800000000",
            "--apl",
            APL,
            "--rule",
            rule,
        ],
        args,
    ]
    .concat());
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.is_empty(), "{}", run.stderr);
    run.json()
}

fn real(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The greatest load over the mean, on average over some seeds.
fn fullest(rule: &str, args: &[&str]) -> f64 {
    let seeds = ["1", "2", "3", "4", "5", "6", "7", "8"];
    let sum: f64 = seeds
        .iter()
        .map(|seed| real(&simulate(rule, &[args, &["--seed", seed]].concat())["load"]["max_over_mean"]))
        .sum();
    sum / 8.0
}

#[test]
fn copied_source_bits_reach_2048_of_16384_slices() {
    let document = simulate(
        "v=ssa1; addr=src[0:64]",
        &["--clients", "2000::/3=40000", "--endpoints", "64"],
    );
    assert_eq!(document["slices"], 16384);
    assert_eq!(document["slices_reached"], 2048);
    let one = simulate(
        "v=ssa1; addr=src[0:64]",
        &["--clients", "2a00::/14=1000", "--endpoints", "64"],
    );
    assert_eq!(one["slices_reached"], 1, "all clients of one /14 share one slice");
    assert_eq!(one["load"]["idle"], 63);
}

#[test]
fn few_clients_load_the_fullest_with_4_times_the_mean_and_replicas_halve_it() {
    let clients = ["--clients", "2001:db8::/32=100", "--endpoints", "100"];
    let alone = fullest(HASHED, &clients);
    assert!((3.6..=5.0).contains(&alone), "{alone}");
    let four = fullest("v=ssa1; addr=hash(src/64):20 rand:44; replicas=4", &clients);
    assert!((0.4..=0.65).contains(&(four / alone)), "{four} of {alone}");
}

#[test]
fn hashed_clients_pass_chi_square_and_copied_ones_do_not() {
    let even = simulate(HASHED, &["--clients", "2001:db8::/32=30000", "--endpoints", "128"]);
    let chi = &even["load"]["chi_square"];
    assert_eq!(chi["degrees_of_freedom"], 127);
    assert!(
        real(&chi["p_value"]) > 1e-3 && (0.6..1.5).contains(&real(&chi["normalised"])),
        "{chi}"
    );
    assert!(real(&even["load"]["p99_over_mean"]) <= real(&even["load"]["max_over_mean"]));
    let copied = simulate(
        "v=ssa1; addr=src[0:64]",
        &["--clients", "2000::/3=30000", "--endpoints", "128"],
    );
    assert!(real(&copied["load"]["chi_square"]["p_value"]) < 1e-6);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let args = ["--clients", "2001:db8::/32=20000", "--endpoints", "50"];
    assert_eq!(simulate(HASHED, &args), simulate(HASHED, &args));
    assert_ne!(
        simulate(HASHED, &args),
        simulate(HASHED, &[&args[..], &["--seed", "2"]].concat())
    );
}

#[test]
fn weights_and_names_are_kept_to() {
    let document = simulate(
        HASHED,
        &[
            "--clients",
            "2001:db8::/32=20000",
            "--endpoints",
            "big=3,small",
            "--then",
            "big=3,small,new=4",
        ],
    );
    let hottest = document["load"]["hottest"].as_array().unwrap();
    let big = hottest.iter().find(|hot| hot["endpoint"] == "big").unwrap();
    assert_eq!(big["slices"], 12288);
    assert!((0.73..0.77).contains(&real(&big["share"])), "{big}");
    assert_eq!(
        document["then"]["slices_moved"], 8192,
        "the new one takes its half, and nothing else moves"
    );
    assert_eq!(document["then"]["slices_lower_bound"], 8192);
    assert!((0.48..0.52).contains(&real(&document["then"]["connections_moved_share"])));
    assert_eq!(document["then"]["load"]["endpoints"], 3);
}

#[test]
fn one_endpoint_more_of_10_moves_an_eleventh() {
    let document = simulate(
        HASHED,
        &["--clients", "2001:db8::/32=1000", "--endpoints", "10", "--then", "11"],
    );
    assert_eq!(document["then"]["slices_moved"], 16384 / 11);
    let fewer = simulate(
        HASHED,
        &["--clients", "2001:db8::/32=1000", "--endpoints", "10", "--then", "9"],
    );
    assert_eq!(fewer["then"]["slices_moved"], 1638);
}

#[test]
fn objects_and_chunks_are_placed() {
    let rule = "v=ssa1; addr=hash(obj,chunk):14 const(0):50; replicas=2";
    let document = simulate(rule, &["--objects", "2000", "--chunks", "5", "--endpoints", "20"]);
    assert_eq!(document["clients"], 10000);
    assert_eq!(
        document["load"]["connections"], 20000,
        "each chunk once for each replica"
    );
    let keys = file("simulate-objects", "a\nb\r\n\nc\n");
    let listed = simulate(
        "v=ssa1; addr=hash(obj):14 const(0):50",
        &["--objects", text(&keys), "--endpoints", "2"],
    );
    assert_eq!(listed["distinct_destinations"]["count"], 3);
    let blocks = simulate(
        "v=ssa1; addr=obj[80:128] const(0):16",
        &["--objects", "1000", "--endpoints", "4"],
    );
    assert_eq!(
        blocks["slices_reached"], 1,
        "numbers that are counted up share their leading bits"
    );
    let both = simulate(
        "v=ssa1; addr=hash(obj):14 hash(src/64):50",
        &["--objects", "50", "--clients", "2001:db8::/32=5000", "--endpoints", "4"],
    );
    assert!(both["slices_reached"].as_u64() <= Some(50));
}

#[test]
fn clients_come_from_files_too() {
    let path = file(
        "simulate-clients",
        "# two kinds\n2001:db8:1::1\n2001:db8:2::/48=99 # an office\n",
    );
    let document = simulate(HASHED, &["--clients-file", text(&path), "--endpoints", "4"]);
    assert_eq!(document["clients"], 100);
    assert_eq!(document["distinct_destinations"]["count"], 100);
    let bad = file("simulate-clients-bad", "2001:db8:1::1\nnonsense\n2001:db8::/32\n");
    let run = ssa(&[
        "simulate",
        "--apl",
        APL,
        "--rule",
        HASHED,
        "--clients-file",
        text(&bad),
        "--endpoints",
        "4",
    ])
    .exits(2);
    run.tells(&["line 2", "nonsense"]);
}

#[test]
fn every_record_of_the_specification_runs() {
    for (rule, args) in [
        ("v=ssa1; addr=rand:64", &["--clients", "2001:db8::/32=500"][..]),
        (
            "v=ssa1; addr=hash(src/48):20 rand:44; pow=14",
            &["--clients", "2001:db8::/32=500"],
        ),
        (
            "v=ssa1; addr=mac(src/64,time/30):64; key=k1; skew=5",
            &["--clients", "2001:db8::/32=500"],
        ),
        (
            "v=ssa1; addr=hash(src/64):20 mac(src/64,time/3600):44; key=k1; kdf=src/48",
            &["--clients", "2001:db8::/32=500"],
        ),
        (
            "v=ssa1; addr=hash(src/128):20 rand:44; replicas=4",
            &["--clients", "2001:db8:1::/64=500"],
        ),
    ] {
        let document = simulate(rule, &[args, &["--endpoints", "10"]].concat());
        assert_eq!(document["clients"], 500);
        assert_eq!(document["failures"], Value::Array(Vec::new()), "{rule}");
    }
    let list = "2:2001:db8:5::1/128 2:2001:db8:5::2/128 2:2001:db8:5::3/128";
    let args = [
        "simulate",
        "--json",
        "--apl",
        list,
        "--rule",
        "v=ssa1; addr=-; item=rand",
        "--clients",
        "2001:db8::/32=300",
        "--endpoints",
        "3",
    ];
    let document = ssa(&args).exits(0).json();
    assert_eq!(
        (&document["slices"], &document["load"]["idle"]),
        (&Value::from(3), &Value::from(0))
    );
}

#[test]
fn clients_that_cannot_compose_are_told() {
    let rule = "v=ssa1; addr=obj[80:128] const(0):16";
    let keys = file("simulate-words", "7\nword\n");
    let args = [
        "simulate",
        "--json",
        "--apl",
        APL,
        "--rule",
        rule,
        "--objects",
        text(&keys),
        "--endpoints",
        "2",
    ];
    let document = ssa(&args).exits(1).json();
    assert_eq!(document["failures"][0]["connections"], 1, "{document}");
}

#[test]
fn an_attacker_of_a_48_is_counted_exactly() {
    let attack = simulate(
        HASHED,
        &["--endpoints", "100", "--attack", "2001:db8::/48", "--budget", "500"],
    )["attack"]
        .clone();
    assert_eq!(
        (&attack["inputs_tried"], &attack["exact"]),
        (&Value::from(65536), &Value::from(true))
    );
    let hits = real(&attack["hits"]);
    assert!((655.0..=800.0).contains(&hits), "{hits}");
    assert!((real(&attack["tries_per_hit"]) - 65536.0 / hits).abs() < 1e-6);
    let shares = attack["shares"].as_array().unwrap();
    let last = shares.last().unwrap();
    assert_eq!(last["sources"], 500);
    assert!(
        (real(&last["searched"]) - 1.0).abs() < 1e-9 && real(&last["unsearched"]) < 0.013,
        "{last}"
    );
}

#[test]
fn what_raises_the_price_of_an_attack_does() {
    let attack = |rule: &str| simulate(rule, &["--endpoints", "100", "--attack", "2001:db8::/48"])["attack"].clone();
    let coarse = attack("v=ssa1; addr=hash(src/48):20 rand:44");
    assert_eq!(
        (&coarse["inputs_tried"], &coarse["endpoints_reached"]),
        (&Value::from(1), &Value::from(1))
    );
    let open = attack("v=ssa1; addr=rand:64");
    assert_eq!(
        (&open["free"], &open["endpoints_reached"]),
        (&Value::from(true), &Value::from(100))
    );
    let pow = attack("v=ssa1; addr=hash(src/64):20 rand:44; pow=14");
    assert_eq!(
        (&pow["pow_tries"], &pow["pow_serves_seconds"]),
        (&Value::from(16384), &Value::from(80))
    );
    let mac = attack("v=ssa1; addr=hash(src/64):20 mac(src/64,time/3600):44; key=k1");
    assert_eq!(mac["mac_bits"], 44);
    let object = attack("v=ssa1; addr=hash(obj):14 hash(src/64):50");
    assert_eq!(object["free"], true, "a verifier at layer 4 does not see the key");
    let replicas = attack("v=ssa1; addr=hash(src/48):20 rand:44; replicas=4");
    assert_eq!(replicas["endpoints_reached"], 4);
}

#[test]
fn a_large_prefix_is_sampled() {
    let attack = simulate(
        HASHED,
        &["--endpoints", "10", "--attack", "2001:db8::/32", "--sample", "20000"],
    )["attack"]
        .clone();
    assert_eq!(
        (&attack["exact"], &attack["inputs_log2"]),
        (&Value::from(false), &Value::from(32))
    );
    assert!((9.5..10.5).contains(&real(&attack["tries_per_hit"])), "{attack}");
}

#[test]
fn the_attack_is_told_in_words() {
    let args = [
        "simulate",
        "--apl",
        APL,
        "--rule",
        HASHED,
        "--endpoints",
        "10",
        "--attack",
        "2001:db8::/48",
    ];
    ssa(&args).exits(0).prints(&[
        "attack from 2001:db8::/48",
        "65,536 (src/64), all tried",
        "src/48",
        "pow=14",
        "salt",
        "mac",
    ]);
}

#[test]
fn one_of_a_kind_is_told_as_one() {
    let args = [
        "simulate",
        "--apl",
        APL,
        "--rule",
        HASHED,
        "--clients",
        "2001:db8::/32=1",
        "--endpoints",
        "1",
        "--bits",
        "0",
        "--then",
        "1",
    ];
    let run = ssa(&args).exits(0).prints(&[
        "clients       1, 1 connection each",
        "reached       1 slice, 1 distinct destination\n",
        "load of 1 endpoint\n",
        ": 1 connection (100.00 %), 1.00 × the mean, 1 slice, weight 1",
        "then, 1 endpoint\n",
        "0 of 1 slice (0.00 %)",
        "0 connections (0.00 %)",
    ]);
    assert!(!run.stdout.contains("1 endpoints"), "{}", run.stdout);
}

#[test]
fn weighted_endpoints_are_told_against_their_fair_share() {
    let args = [
        "simulate",
        "--apl",
        APL,
        "--rule",
        HASHED,
        "--clients",
        "2001:db8::/32=100000",
        "--endpoints",
        "big=4,small-1,small-2",
    ];
    let run = ssa(&args)
        .exits(0)
        .prints(&["max/share", "is fair), 1.0", "× its fair share"]);
    assert!(
        !run.stdout.contains("× the mean") && !run.stdout.contains("max/mean"),
        "{}",
        run.stdout
    );
    let json = ssa(&[&args[..], &["--json"]].concat()).exits(0).json();
    let hottest = json["load"]["hottest"].as_array().unwrap();
    let big = hottest.iter().find(|hot| hot["endpoint"] == "big").unwrap();
    let near = |key: &str| (real(&big[key]) - 4.0 / 6.0).abs() < 0.01;
    assert!(near("share") && near("fair_share"), "{big}");
    let picture = file("simulate-weighted.svg", "");
    ssa(&[&args[..], &["--svg", text(&picture)]].concat()).exits(0);
    let svg = std::fs::read_to_string(&picture).unwrap();
    assert!(
        svg.contains("times the fair share") && !svg.contains("times the mean"),
        "{svg}"
    );
}

#[test]
fn a_picture_that_cannot_be_written_leaves_what_is_there() {
    let kept = file("simulate-kept.svg", "kept");
    let args = [
        "simulate",
        "--apl",
        APL,
        "--rule",
        HASHED,
        "--clients",
        "2001:db8::/32=10",
        "--svg",
        text(&kept),
    ];
    ssa(&[&args[..], &["--endpoints", "0"]].concat()).exits(2);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "kept");
    let new = kept.with_file_name("simulate-new.svg");
    let args = [
        "simulate",
        "--apl",
        APL,
        "--rule",
        HASHED,
        "--clients",
        "2001:db8::/32=10",
        "--svg",
        text(&new),
    ];
    ssa(&[&args[..], &["--endpoints", "0"]].concat()).exits(2);
    assert!(!new.exists());
}

#[test]
fn pictures_are_well_formed() {
    for (name, rule, endpoints) in [
        ("few", "v=ssa1; addr=hash(src/64):20 rand:44; x-a=<&>\"'", "7"),
        ("many", "v=ssa1; addr=src[0:64]", "900"),
    ] {
        let path = file(&format!("simulate-{name}.svg"), "");
        let args = [
            "simulate",
            "--apl",
            APL,
            "--rule",
            rule,
            "--clients",
            "2000::/3=2000",
            "--endpoints",
            endpoints,
            "--then",
            "8",
            "--svg",
            text(&path),
        ];
        ssa(&args)
            .exits(0)
            .prints(&["max/mean", "p99/mean", "chi-square", "hottest", "moved"]);
        let svg = std::fs::read_to_string(&path).unwrap();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let root = document.root_element();
        assert_eq!((root.tag_name().name(), root.has_attribute("viewBox")), ("svg", true));
        let of = |name: &'static str| {
            document
                .descendants()
                .filter(move |node| node.has_tag_name(("http://www.w3.org/2000/svg", name)))
        };
        let texts: Vec<&str> = of("text").filter_map(|node| node.text()).collect();
        for wanted in ["load (times the mean)", "endpoints by load, the fullest first"] {
            assert!(texts.contains(&wanted), "{texts:?}");
        }
        assert!(texts.iter().any(|text| text.starts_with("p99")) && texts.iter().any(|text| text.starts_with("mean")));
        let bars = of("rect").filter(|node| node.attribute("class") == Some("bar")).count();
        let outlines = of("path").count();
        assert_eq!((bars, outlines), if name == "few" { (15, 0) } else { (8, 1) });
        for attribute in document.descendants().flat_map(|node| node.attributes()) {
            assert!(
                !attribute.value().contains("NaN") && !attribute.value().contains("inf"),
                "{attribute:?}"
            );
        }
        assert!(
            !svg.contains("http://") || svg.matches("http://").count() == 1,
            "nothing is loaded from elsewhere"
        );
    }
}

#[test]
fn bad_input_exits_2() {
    for (args, wanted) in [
        ("--clients 2001:db8::/32=10", "--endpoints"),
        ("--endpoints 5", "--clients"),
        ("--endpoints 0 --clients 2001:db8::/32=10", "1 to 65536"),
        ("--endpoints a,a --clients 2001:db8::/32=10", "duplicate endpoint a"),
        (
            "--endpoints 5 --then a=0 --clients 2001:db8::/32=10",
            "no endpoint has weight",
        ),
        ("--endpoints 5 --clients 2001:db8::/32", "needs a count"),
        ("--endpoints 5 --clients 2001:db8::/32=100000001", "100000000"),
        (
            "--endpoints 5 --clients 2001:db8::/32=100000000 --clients 2001:db9::/32=1",
            "exceed",
        ),
        (
            "--endpoints 5 --clients 2001:db8::/32=100000000 --connections 11",
            "exceed",
        ),
        ("--endpoints 5 --clients 2001:db8::/126=5", "4 addresses"),
        ("--endpoints 5 --objects 5", "does not look at objects"),
        ("--endpoints 5 --objects /no/such/file", "/no/such/file"),
        ("--endpoints 5 --clients-file /no/such/file", "/no/such/file"),
        ("--endpoints 5 --attack 192.0.2.0/24", "not an IPv6 prefix"),
        ("--endpoints 5 --attack 2001:db8::1/48", "write 2001:db8::/48"),
        ("--endpoints 5 --attack 2001:db8::/48 --sample 15", "16 to 1048576"),
        ("--endpoints 5 --bits 21 --clients 2001:db8::/32=10", "0 to 20"),
        (
            "--endpoints 5 --svg /tmp/x.svg --attack 2001:db8::/48",
            "nothing to draw",
        ),
        (
            "--endpoints 5 --svg /no/such/folder/x.svg --clients 2001:db8::/32=10",
            "--svg",
        ),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        ssa(&[&["simulate", "--apl", APL, "--rule", HASHED], &args[..]].concat())
            .exits(2)
            .tells(&[wanted]);
    }
}

#[test]
fn records_that_do_not_go_with_the_load_exit_2() {
    for (apl, rule, args, wanted) in [
        (
            APL,
            "v=ssa1; addr=hash(obj):14 rand:50",
            "--clients 2001:db8::/32=10",
            "--objects",
        ),
        (
            APL,
            "v=ssa1; addr=hash(obj,src/64):14 rand:50",
            "--objects 5",
            "--clients",
        ),
        (APL, "v=ssa1; addr=rand:65", "--clients 2001:db8::/32=10", "65"),
        (
            "2:2001:db8:5::/120",
            "v=ssa1; addr=hash(src/64):8",
            "--bits 9 --clients 2001:db8::1",
            "exceeds the item's 8",
        ),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        let all = [
            &["simulate", "--apl", apl, "--rule", rule, "--endpoints", "5"],
            &args[..],
        ]
        .concat();
        ssa(&all).exits(2).tells(&[wanted]);
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let args = [
        "simulate",
        "--json",
        "--apl",
        "x",
        "--rule",
        HASHED,
        "--endpoints",
        "0",
        "--clients",
        "y",
        "--seed",
        "-",
        "--bits",
        "99",
    ];
    let faults = ssa(&args).exits(2).json()["error"]["faults"].as_array().map(Vec::len);
    assert_eq!(faults, Some(5));
}

#[test]
fn a_record_that_is_not_in_force_is_told() {
    let args = [
        "simulate",
        "--apl",
        APL,
        "--rule",
        "v=ssa1; addr=rand:64; from=99",
        "--time",
        "7",
        "--endpoints",
        "5",
        "--clients",
        "2001:db8::1",
    ];
    ssa(&args).exits(1).tells(&["none is in force at 7"]);
}
