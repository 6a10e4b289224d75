//! What is read: files, standard input, JSON and sources, and in which words their faults are told.

mod support;

use serde_json::{Value, json};
use ssa_input::testing::{library_word, paths};
use support::{APL, DESTINATION, HASHED, MACED, SECRET_HEX, SOURCE, file, ssa, ssa_reading, text};

/// Insists that bad input is refused, with something told and nothing of it in words of a library.
#[track_caller]
fn refused(args: &[&str], path: &str) -> String {
    let run = ssa(args).exits(2);
    assert!(run.stderr.starts_with("error: "), "{args:?}: {}", run.stderr);
    let told = run.stderr.replace(path, "");
    assert_eq!(library_word(&told), None, "{args:?}: {told}");
    told
}

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
        r#"[{"name": "a", "name": "b"}]"#,
        "{}",
        r#"{"endpoints": 7}"#,
        "",
        "[",
        "\u{0}",
        r#"{"endpoints": [{"name": "a", "prefixes": ["x"]}]}"#,
        r#"{"endpoints": [{"name": "a", "share": "x"}]}"#,
        r#"{"endpoints": [], "bits": 300}"#,
        r#"{"cases": 7}"#,
        r#"[{"op": 7}]"#,
        r#"[{"op": "parse", "expect": 1, "records": [7]}]"#,
        r#"[{"op": "verify", "expect": 1, "port": 70000}]"#,
    ];
    let plan = ["slices", "plan", "--apl", APL, "--bits", "4"];
    for (index, json) in texts.iter().enumerate() {
        let path = file(&format!("usage_json_{index}"), json);
        let path = text(&path);
        refused(&[&plan[..], &["--endpoints", path]].concat(), path);
        refused(&[&plan[..], &["--endpoint", "a", "--current", path]].concat(), path);
        refused(&["vectors", path], path);
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
    ] {
        refused(&["resolve", name, "--server", "127.0.0.1:9", "--timeout", "1"], name);
    }
}

#[test]
fn every_value_of_a_document_of_another_type_is_told_by_its_path() {
    let plan = ["slices", "plan", "--apl", APL, "--bits", "2"];
    let endpoints = json!([{"name": "a", "weight": 2, "domain": "d", "via": "2001:db8::1"}]);
    let first = file("fields_endpoints", &endpoints.to_string());
    let made = ssa(&[&plan[..], &["--endpoints", text(&first), "--json"]].concat())
        .exits(0)
        .json();
    for (flag, document) in [("--endpoints", endpoints), ("--current", made)] {
        let all = paths(&document);
        assert!(all.len() > 4, "{document}");
        for (pointer, way) in all {
            let other = match document.pointer(&pointer) {
                Some(Value::Null) | None => continue,
                Some(Value::String(_)) => json!(7),
                Some(Value::Array(_)) => json!({}),
                Some(Value::Object(_)) => json!([]),
                Some(Value::Number(_) | Value::Bool(_)) => json!("x"),
            };
            let mut changed = document.clone();
            *changed.pointer_mut(&pointer).expect("it is there") = other;
            let path = file("fields_changed", &changed.to_string());
            let mut args = [&plan[..], &[flag, text(&path)]].concat();
            if flag == "--current" {
                args.extend(["--endpoint", "a"]);
            }
            let told = refused(&args, text(&path));
            assert!(
                told.contains(&way) && told.contains("(line 1, column "),
                "{way}: {told}"
            );
        }
    }
    let fields = [
        ("records", json!([7])),
        ("source", json!("x")),
        ("chunk", json!(-1)),
        ("port", json!(70000)),
        ("secrets", json!([])),
        ("unchecked", json!(7)),
    ];
    for (key, value) in fields {
        let case = json!([{"op": "parse", "expect": 1, key: value}]);
        let path = file("fields_vectors", &case.to_string());
        let told = refused(&["vectors", text(&path)], text(&path));
        assert!(told.contains(&format!("[0].{key}")), "{key}: {told}");
    }
    for (line, wanted) in [
        (
            r#"{"source": 7, "destination": "2001:db8::1"}"#,
            "source: must be a string",
        ),
        (
            r#"{"source": "2001:db8::1"}"#,
            "neither destination nor downstream_local_address is present",
        ),
        (
            r#"{"source": "2001:db8::1", "source": "2001:db8::2"}"#,
            "duplicate field `source`",
        ),
        ("{", "the document ends within an object"),
        ("{x", "a key must be a string in double quotes"),
    ] {
        let path = file("fields_batch", line);
        let args = ["verify", "--apl", APL, "--rule", HASHED, "--batch", text(&path)];
        let run = ssa(&args).exits(2).tells(&["line 1", wanted]);
        let told = run.stderr.replace(text(&path), "");
        assert_eq!(library_word(&told), None, "{told}");
    }
}

#[cfg(unix)]
#[test]
fn nothing_is_written_to_what_is_no_file_and_no_reader_is_waited_for() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("outputs");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    let pipe = folder.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let socket = folder.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let simulate = |path: &str| {
        ssa(&[
            "simulate",
            "--apl",
            APL,
            "--rule",
            HASHED,
            "--clients",
            "2001:db8::/32=10",
            "--endpoints",
            "5",
            "--svg",
            path,
        ])
    };
    simulate(text(&pipe))
        .exits(2)
        .tells(&["--svg", "is a pipe; a file is wanted, or - for standard output"]);
    simulate(text(&socket))
        .exits(2)
        .tells(&["--svg", "is a socket; a file is wanted"]);
    simulate(text(&folder))
        .exits(2)
        .tells(&["--svg", "is a directory; a file is wanted"]);
    simulate("/dev/null").exits(0);
    // Standard output is a pipe here, and open.
    assert!(simulate("/dev/stdout").exits(0).stdout.contains("<svg"));
    for path in [text(&socket), text(&folder)] {
        let rule = ["--apl", APL, "--rule", HASHED];
        let plan = ["slices", "plan", "--apl", APL, "--bits", "4"];
        for args in [
            [&["verify", "--batch", path][..], &rule].concat(),
            [&["compose", "--source", SOURCE, "--secret-file", path][..], &rule].concat(),
            [&["simulate", "--endpoints", "5", "--clients-file", path][..], &rule].concat(),
            [&["simulate", "--endpoints", "5", "--objects", path][..], &rule].concat(),
            [&plan[..], &["--endpoints", path]].concat(),
            [&plan[..], &["--endpoint", "a", "--current", path]].concat(),
            vec!["lint", "--envoy", path],
            vec!["vectors", path],
        ] {
            let told = refused(&args, path);
            assert!(told.contains("; a file is wanted"), "{args:?}: {told}");
        }
    }
    // A pipe that is written is read.
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, "k1=5c1e9d0b7a3f48e2960d4b8f1a27c3e5\n")
    });
    ssa(&[
        "compose",
        "--apl",
        APL,
        "--rule",
        MACED,
        "--source",
        SOURCE,
        "--secret-file",
        text(&pipe),
    ])
    .exits(0);
    writer.join().expect("it ends").expect("it is written");
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
