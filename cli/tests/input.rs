//! What is read: files, standard input, JSON and sources, and in which words their faults are told.

mod support;

use support::{APL, DESTINATION, HASHED, MACED, SECRET_HEX, SOURCE, file, ssa, ssa_reading, text};

#[test]
fn no_type_of_rust_is_in_an_error() {
    let texts = [
        "x",
        "7",
        "[7]",
        "[[1]]",
        r#"[{"nam": "a"}]"#,
        r#"[{"name": 7}]"#,
        r#"[{"name": "a", "weight": -1}]"#,
        r#"[{"name": "a", "weight": 1.5}]"#,
        r#"[{"name": "a", "via": "x"}]"#,
        "{}",
        r#"{"endpoints": 7}"#,
        "",
        r#"{"endpoints": [{"name": "a", "prefixes": ["x"]}]}"#,
        r#"{"endpoints": [{"name": "a", "share": "x"}]}"#,
        r#"{"endpoints": [], "bits": 300}"#,
        r#"{"cases": 7}"#,
        r#"[{"op": 7}]"#,
        r#"[{"op": "parse", "expect": 1, "records": [7]}]"#,
        r#"[{"op": "verify", "expect": 1, "port": 70000}]"#,
    ];
    let words = [
        "struct", "enum", "variant", "u8", "u16", "u32", "u64", "usize", "f64", "EOF", "os error", "Err(", "Errors",
        "Some(", "sequence", "a map",
    ];
    for (index, json) in texts.iter().enumerate() {
        let path = file(&format!("usage_json_{index}"), json);
        let path = text(&path);
        for args in [
            &["slices", "plan", "--apl", APL, "--bits", "4", "--endpoints", path][..],
            &[
                "slices",
                "plan",
                "--apl",
                APL,
                "--bits",
                "4",
                "--endpoint",
                "a",
                "--current",
                path,
            ],
            &["vectors", path],
        ] {
            let run = ssa(args);
            for word in words {
                assert!(!run.stderr.replace(path, "").contains(word), "{json}: {}", run.stderr);
            }
        }
    }
    let long = "a".repeat(64);
    for name in [
        "a..b",
        "x_\u{fc}.example",
        "\u{200d}",
        "a b",
        "-",
        &long,
        "xn--a.example",
        ".",
    ] {
        let run = ssa(&["resolve", name, "--server", "127.0.0.1:9", "--timeout", "1"]);
        for word in words {
            assert!(!run.stderr.contains(word), "{name}: {}", run.stderr);
        }
    }
}

#[test]
fn files_that_cannot_be_read_or_written_are_told_apart() {
    let rule = ["--apl", APL, "--rule", HASHED];
    let load = ["--clients", "2001:db8::/32=10", "--endpoints", "5"];
    for (args, wanted) in [
        (
            &["compose", "--source", SOURCE, "--secret-file", "/no/such/file"][..],
            "the directory /no/such does not exist",
        ),
        (
            &["compose", "--source", SOURCE, "--secret-file", "/no-such-file"],
            "there is no such file",
        ),
        (&["compose", "--source", SOURCE, "--secret-file", "/"], "is a directory"),
        (&["verify", "--batch", "/dev/null/x"], "not a directory"),
        (
            &["simulate", "--endpoints", "5", "--clients-file", "/"],
            "is a directory",
        ),
        (
            &["simulate", "--endpoints", "5", "--objects", "/no/such"],
            "the directory /no does not exist",
        ),
    ] {
        ssa(&[args, &rule[..]].concat()).exits(2).tells(&[wanted]);
    }
    for (path, wanted) in [
        ("/no/such/x.svg", "the directory /no/such does not exist"),
        ("/", "is a directory"),
    ] {
        // Found before the work, with all other faults.
        ssa(&[&["simulate", "--svg", path, "--time", "x"], &rule[..], &load].concat())
            .exits(2)
            .tells(&["--svg", wanted, "--time"]);
    }
    ssa(&[
        "slices",
        "plan",
        "--bits",
        "4",
        "--endpoint",
        "a",
        "--apl",
        "2:2001:db8:5::/64 2:2001:db8:6::/65",
    ])
    .exits(2)
    .tells(&["--apl: items[1]"]);
}

#[test]
fn standard_input_is_a_file_too() {
    let args = [
        "compose",
        "--apl",
        APL,
        "--rule",
        MACED,
        "--source",
        SOURCE,
        "--secret-file",
        "-",
    ];
    ssa_reading(&args, &format!("k1={SECRET_HEX}\n")).exits(0);
    ssa(&[&args[..], &["--secret-file", "-"]].concat())
        .exits(2)
        .tells(&["standard input is read already"]);
    let simulate = [
        "simulate",
        "--apl",
        APL,
        "--rule",
        HASHED,
        "--endpoints",
        "5",
        "--clients-file",
        "-",
    ];
    let run = ssa_reading(&[&simulate[..], &["--svg", "-"]].concat(), "2001:db8::/32=10\n").exits(0);
    assert!(
        run.stdout.starts_with("<?xml") && run.stdout.trim_end().ends_with("</svg>"),
        "{}",
        run.stdout
    );
    ssa_reading(
        &[&simulate[..], &["--svg", "-", "--json"]].concat(),
        "2001:db8::/32=10\n",
    )
    .exits(2);
}

#[test]
fn a_source_that_no_connection_has_is_refused() {
    let service = ["--apl", APL, "--rule", HASHED];
    for (source, wanted) in [
        ("::", "the unspecified address"),
        ("ff02::1", "multicast"),
        ("::ffff:192.0.2.7", "IPv4-mapped"),
    ] {
        for args in [
            &["compose"][..],
            &["verify", "--destination", DESTINATION],
            &["explain", DESTINATION],
        ] {
            ssa(&[args, &service[..], &["--source", source]].concat())
                .exits(2)
                .tells(&["--source: ", wanted]);
        }
        let client = format!("{source}=1");
        ssa(&[&["simulate", "--endpoints", "5", "--clients", &client], &service[..]].concat())
            .exits(2)
            .tells(&[wanted]);
        ssa(&[
            "key",
            "derive",
            "--secret",
            &format!("k1={SECRET_HEX}"),
            "--kdf",
            "src/48",
            "--source",
            source,
        ])
        .exits(2)
        .tells(&[wanted]);
    }
    for (source, wanted) in [("::1", "loopback"), ("fe80::1", "link-local")] {
        ssa(&[&["compose"], &service[..], &["--source", source]].concat())
            .exits(0)
            .tells(&["warning: --source: ", wanted]);
    }
    let run = ssa(&[&["compose"], &service[..], &["--source", SOURCE]].concat()).exits(0);
    assert_eq!(run.stderr, "");
}
