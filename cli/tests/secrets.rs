//! Keys in the wrong place: none is ever told.

mod support;

use std::path::Path;

use ssa_input::secrets::concealed;
use support::{APL, DESTINATION, HASHED, SOURCE, file, ssa, text};

/// A key in every writing that people and tools have for it.
fn written() -> Vec<String> {
    const HEX: &str = "5c1e9d0b7a3f48e2960d4b8f1a27c3e5";
    let grouped = |size: usize, separator: &str| {
        let groups: Vec<&str> = (0..32).step_by(size).filter_map(|at| HEX.get(at..at + size)).collect();
        groups.join(separator)
    };
    let octets = |before: &str, separator: &str| format!("{before}{}", grouped(2, &format!("{separator}{before}")));
    let escapes: Vec<String> = HEX.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    vec![
        HEX.to_owned(),
        HEX.to_uppercase(),
        grouped(2, ":"),
        grouped(2, "-").to_uppercase(),
        grouped(4, " "),
        "XB6dC3o/SOKWDUuPGifD5Q==".to_owned(),
        "XB6dC3o/SOKWDUuPGifD5Q".to_owned(),
        "XB6dC3o_SOKWDUuPGifD5Q".to_owned(),
        // As Kubernetes writes a Secret that holds the hex digits.
        "NWMxZTlkMGI3YTNmNDhlMjk2MGQ0YjhmMWEyN2MzZTU=".to_owned(),
        escapes.concat(),
        octets("0x", ", "),
        octets("\\x", ""),
    ]
}

/// Insists that a run ends without the key, and without what it stands for.
#[track_caller]
fn hides(args: &[&str], key: &str) {
    let run = ssa(args);
    let told = format!("{}{}", run.stdout, run.stderr).to_lowercase();
    assert!(
        run.code.is_some_and(|code| code <= 2) && !told.contains("panicked"),
        "{args:?}: {told}"
    );
    assert!(!told.contains(&key[..12].to_lowercase()), "{args:?}: {told}");
    assert!(!told.contains("5c1e9d0b7a3f"), "{args:?}: {told}");
}

/// Returns the lines of a crate's sources that are no tests, with those that a backslash continues as one.
fn sources(folder: &Path, lines: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" {
                sources(&path, lines);
            }
        } else if path.extension().is_some_and(|end| end == "rs") && name != "tests.rs" {
            let source = std::fs::read_to_string(&path).unwrap();
            let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let mut line = String::new();
            for part in code.lines() {
                line.push_str(part.trim());
                if line.ends_with('\\') {
                    line.pop();
                } else {
                    lines.push((path.display().to_string(), std::mem::take(&mut line)));
                }
            }
        }
    }
}

#[test]
fn no_message_has_an_example_that_would_be_hidden() {
    let mut lines = Vec::new();
    for part in ["cli", "resolver-shim", "dns", "rules", "input", "slices"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(part).join("src");
        sources(&folder, &mut lines);
    }
    assert!(
        lines
            .iter()
            .any(|(_, line)| line.contains("such as k1= and 32 hex digits"))
    );
    // Octets of a program are no text that anybody is told.
    for (path, line) in lines.into_iter().filter(|(_, line)| !line.contains("b\"")) {
        assert_eq!(concealed(&line), line, "{path}");
    }
    let told = ssa(&[
        "compose", "--apl", APL, "--rule", HASHED, "--source", SOURCE, "--secret", "k1",
    ])
    .exits(2);
    assert!(!told.stderr.contains("(hidden)"), "{}", told.stderr);
}

#[test]
fn no_key_is_told_that_was_given_for_something_else() {
    for key in written() {
        let flag = format!("--{key}");
        let named = format!("{key}=k1");
        let wrong = format!("k1={key}x");
        let field = format!("v=ssa1; addr={key}");
        let tag = format!("v=ssa1; addr=mac(src/64):64; key={key}");
        let strange = format!("v=ssa1; addr=rand:64; {key}=1");
        let rule = ["--apl", APL, "--rule", HASHED];
        let plan = ["slices", "plan", "--apl", APL, "--bits", "4"];
        let maced = [
            "compose",
            "--apl",
            APL,
            "--rule",
            "v=ssa1; addr=mac(src/64):64; key=k1",
            "--source",
            SOURCE,
        ];
        for args in [
            vec!["compose", "--source", SOURCE, "--apl", &key, "--rule", HASHED],
            vec!["compose", "--source", SOURCE, "--apl", APL, "--rule", &key],
            vec!["compose", "--source", SOURCE, "--apl", APL, "--rule", &field],
            vec!["compose", "--source", SOURCE, "--apl", APL, "--rule", &tag],
            vec!["compose", "--source", SOURCE, "--apl", APL, "--rule", &strange],
            [&["compose", "--source", &key][..], &rule].concat(),
            [&["compose", "--source", SOURCE, "--chunk", &key][..], &rule].concat(),
            [&["compose", "--source", SOURCE, "--port", &key][..], &rule].concat(),
            [&["compose", "--source", SOURCE, "--time", &key][..], &rule].concat(),
            [&["compose", "--source", SOURCE, &key][..], &rule].concat(),
            [&["compose", "--source", SOURCE, &flag][..], &rule].concat(),
            [&maced[..], &["--secret", &key]].concat(),
            [&maced[..], &["--secret", &named]].concat(),
            [&maced[..], &["--secret", &wrong]].concat(),
            [&maced[..], &["--secret", &wrong, "--json"]].concat(),
            [&maced[..], &["--client-key", &key]].concat(),
            [&maced[..], &["--client-key", &wrong]].concat(),
            [&maced[..], &["--secret-file", &key]].concat(),
            [&maced[..], &["--secret-file", &named]].concat(),
            [&["verify", "--source", SOURCE, "--destination", &key][..], &rule].concat(),
            [&["verify", "--batch", &key][..], &rule].concat(),
            vec!["resolve", &key, "--server", "127.0.0.1:9", "--timeout", "1"],
            vec!["resolve", "a.example", "--server", &key],
            vec!["explain", &key],
            vec!["explain", DESTINATION, "--apl", APL, "--rule", &key],
            vec!["lint", &key, "--server", "127.0.0.1:9", "--timeout", "1"],
            vec!["lint", "--envoy", &key],
            [&["lint", "--aaaa", &key][..], &rule].concat(),
            [&["lint", "--clients", &key][..], &rule].concat(),
            [&["simulate", "--endpoints", "5", "--clients", &key][..], &rule].concat(),
            [&["simulate", "--endpoints", "5", "--clients-file", &key][..], &rule].concat(),
            [&["simulate", "--endpoints", "5", "--objects", &key][..], &rule].concat(),
            [&plan[..], &["--endpoint", &key]].concat(),
            [&plan[..], &["--endpoint", "a", "--current", &key]].concat(),
            [&plan[..], &["--endpoints", &key]].concat(),
            vec!["vectors", &key],
            vec!["completions", &key],
            vec!["key", "new", &key],
            vec![&key],
            vec!["--color", &key, "lint"],
            vec!["--json", "vectors", &key],
        ] {
            hides(&args, &key);
        }
    }
}

#[test]
fn no_key_is_told_that_stands_in_a_file() {
    for (index, key) in written().iter().enumerate() {
        let rule = ["--apl", APL, "--rule", HASHED];
        let plan = ["slices", "plan", "--apl", APL, "--bits", "4"];
        for (number, content) in [
            format!("{key}\n"),
            format!("k1 {key}\n"),
            format!("k1={key}x\n{key}=k1\n"),
            format!(r#"{{"source": "{key}", "destination": "{key}"}}"#),
            format!(r#"["{key}"]"#),
            format!(r#"[{{"name": "{key}", "{key}": 1, "weight": "{key}"}}]"#),
            format!(r#"{{"endpoints": [{{"name": "a", "prefixes": ["{key}"], "via": "{key}"}}]}}"#),
            format!("static_resources:\n  {key}: {key}\n  - {key}\n"),
        ]
        .iter()
        .enumerate()
        {
            let path = file(&format!("secrets_{index}_{number}"), content);
            let path = text(&path);
            for args in [
                [&["compose", "--source", SOURCE, "--secret-file", path][..], &rule].concat(),
                [&["verify", "--batch", path][..], &rule].concat(),
                [&["simulate", "--endpoints", "5", "--clients-file", path][..], &rule].concat(),
                [&plan[..], &["--endpoints", path]].concat(),
                [&plan[..], &["--endpoint", "a", "--current", path]].concat(),
                vec!["lint", "--envoy", path],
            ] {
                hides(&args, key);
            }
        }
    }
}

#[test]
fn what_people_have_to_read_is_told() {
    for (args, wanted) in [
        (
            &[
                "compose",
                "--apl",
                "2:2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff/64",
                "--rule",
                HASHED,
                "--source",
                SOURCE,
            ][..],
            "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff",
        ),
        (
            &[
                "compose",
                "--apl",
                APL,
                "--rule",
                "v=ssa1; addr=rand:65; salt=00112233445566778899aabbccddeeff",
                "--source",
                SOURCE,
            ],
            "salt=00112233445566778899aabbccddeeff",
        ),
        (
            &[
                "vectors",
                "/none/kubelet/pods/0b1c9e52-6f0a-4d7e-9a41-3f2b8c7d6e5f/volumes/kubernetes.io~secret/masters",
            ],
            "/none/kubelet/pods/0b1c9e52-6f0a-4d7e-9a41-3f2b8c7d6e5f/volumes/kubernetes.io~secret/masters",
        ),
        (
            &[
                "resolve",
                "ec2-203-0-113-25.compute-1.amazonaws.com..",
                "--server",
                "127.0.0.1:9",
            ],
            "ec2-203-0-113-25.compute-1.amazonaws.com",
        ),
    ] {
        let run = ssa(args).exits(2);
        assert!(run.stderr.contains(wanted), "{wanted}: {}", run.stderr);
    }
}
