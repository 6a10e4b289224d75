//! What remains valid forevery subcommand: help, errors as JSON, no secret in any output, readers that leave.

mod support;

use std::{
    io::Read,
    process::{Command, Stdio},
};

use support::{APL, DESTINATION, HASHED, MACED, Run, SECRET_HEX, SOURCE, file, ssa, text};

const SUBCOMMANDS: [&[&str]; 18] = [
    &["compose"],
    &["mint"],
    &["verify"],
    &["resolve"],
    &["explain"],
    &["lint"],
    &["simulate"],
    &["slices", "plan"],
    &["slices", "status"],
    &["slices", "explain"],
    &["slices", "drain"],
    &["slices", "undrain"],
    &["slices", "move"],
    &["slices", "watch"],
    &["key", "new"],
    &["key", "derive"],
    &["vectors"],
    &["completions"],
];

#[test]
fn every_subcommand_has_help_with_examples() {
    for subcommand in SUBCOMMANDS {
        for flag in ["--help", "-h"] {
            let run = ssa(&[subcommand, &[flag]].concat()).exits(0);
            let wide = run
                .lines()
                .into_iter()
                .find(|line| line.chars().count() > 100 || line.trim() == "\\");
            assert_eq!(wide, None);
            // An example that the help wraps cannot be copied.
            let lines = run.lines();
            let broken = lines.iter().zip(lines.iter().skip(1)).find(|(line, next)| {
                line.starts_with("  ssa ")
                    && !line.ends_with('\\')
                    && next.starts_with("  ")
                    && !next.starts_with("  ssa ")
            });
            assert_eq!(broken, None);
            run.prints(&["Usage: ssa", "Example", &format!("ssa {}", subcommand.join(" "))]);
        }
    }
    ssa(&["--help"]).exits(0).prints(&["Exit codes"]);
    ssa(&["--version"]).exits(0).prints(&["ssa "]);
}

#[test]
fn usage_errors_exit_2() {
    for args in [
        &["ponder"][..],
        &[],
        &["compose", "--no-such-flag"],
        &["completions", "tcsh"],
        &["resolve"],
    ] {
        let run = ssa(args).exits(2);
        assert_ne!(run.stderr, "");
    }
}

#[test]
fn flags_that_would_do_nothing_are_refused() {
    let service = ["--apl", APL, "--rule", HASHED];
    let by_flags: [(&[&str], &[&str]); 5] = [
        (&["compose", "--source", SOURCE], &[]),
        (&["verify", "--source", SOURCE, "--destination", DESTINATION], &[]),
        (&["explain"], &[]),
        (&["lint"], &["--no-notes"]),
        (&["simulate", "--clients", "2001:db8::/32=10", "--endpoints", "5"], &[]),
    ];
    for (command, more) in by_flags {
        let dns = ["--server", "192.0.2.53", "--timeout", "1"];
        ssa(&[command, &service, more, &dns].concat())
            .exits(2)
            .tells(&["--server: goes with a NAME", "--timeout: goes with a NAME"]);
    }
    for flag in ["--budget", "--sample"] {
        ssa(&[
            &[
                "simulate",
                "--clients",
                "2001:db8::/32=10",
                "--endpoints",
                "5",
                flag,
                "100",
            ],
            &service[..],
        ]
        .concat())
        .exits(2)
        .tells(&["--attack <PREFIX>"]);
    }
}

#[test]
fn with_json_errors_are_one_json_document() {
    for args in [
        &["compose", "--json"][..],
        &["--json", "compose", "--no-such-flag"],
        &["verify", "--json", "--rule", "v=ssa1; addr=rand:65"],
        &["resolve", "--json", "a..b"],
        &["explain", "--json"],
        &["slices", "plan", "--bits", "99", "--json"],
        &["key", "derive", "--json"],
        &["vectors", "/no/such/file", "--json"],
    ] {
        let run = ssa(args).exits(2);
        let faults = run.json()["error"]["faults"]
            .as_array()
            .cloned()
            .expect("there are faults");
        assert!(!faults.is_empty());
        assert!(
            faults
                .iter()
                .all(|fault| fault["place"].is_string() && fault["message"].is_string()),
            "{faults:?}"
        );
        assert_eq!(run.stderr, "", "{args:?}");
    }
    let rule = ["verify", "--json", "--rule", "v=ssa1; addr=rand:65"];
    let json = ssa(&rule).exits(2).json();
    let faults = json["error"]["faults"].as_array().unwrap().clone();
    let fault = faults
        .iter()
        .find(|fault| fault["place"] == "--rule addr[0]")
        .expect("the field is named");
    assert_eq!(
        (&fault["text"], &fault["offset"], &fault["length"]),
        (&rule[3].into(), &18.into(), &2.into())
    );
}

#[test]
fn faults_are_told_up_to_a_bound() {
    let emoji = "\u{1f980}".repeat(200);
    let salted = format!("v=ssa1; addr=rand:64; salt={emoji}");
    let run = ssa(&["explain", "--rule", &salted]).exits(2);
    assert!(run.stderr.matches("error: ").count() <= 3, "{}", run.stderr);
    let lint = ssa(&["lint", "--json", "--apl", APL, "--rule", &salted])
        .exits(1)
        .json();
    assert!(lint["errors"].as_u64().is_some_and(|errors| errors <= 3), "{lint}");
    // A fault for each of very many words.
    let words = format!("v=ssa1; addr={}", "x ".repeat(400));
    ssa(&["explain", "--rule", &words]).exits(2).tells(&["more, not shown"]);
    let json = ssa(&["explain", "--json", "--rule", &words]).exits(2).json();
    assert_eq!(json["error"]["faults"].as_array().map(Vec::len), Some(50));
    assert!(json["error"]["more"].as_u64().is_some_and(|more| more >= 350), "{json}");
    let lint = ssa(&["lint", "--json", "--apl", APL, "--rule", &words]).exits(1).json();
    assert!(lint["errors"].as_u64().is_some_and(|errors| errors < 60), "{lint}");
    // The list is bounded too.
    let list = "x ".repeat(400);
    ssa(&["explain", "--rule", HASHED, "--apl", &list])
        .exits(2)
        .tells(&["more, not shown"]);
}

#[test]
fn negative_numbers_are_told_by_what_is_allowed() {
    let service = ["--apl", APL, "--rule", HASHED];
    for (args, wanted) in [
        (&["lint", "--ttl", "-1"][..], "--ttl: `-1` is not a number from 0"),
        (
            &["compose", "--source", SOURCE, "--count", "-5"],
            "--count: `-5` is not a number from 1",
        ),
        (&["verify", "--port", "-1"], "--port: `-1` is not a number"),
        (&["simulate", "--seed", "-1"], "--seed: `-1` is not a number"),
    ] {
        ssa(&[args, &service[..]].concat()).exits(2).tells(&[wanted]);
    }
    for args in [
        &["compose", "--no-such-flag"][..],
        &["vectors", "-x"],
        &["resolve", "--bad", "--json"],
    ] {
        let run = ssa(args).exits(2);
        assert!(
            !format!("{}{}", run.stdout, run.stderr).contains("as a value"),
            "{run:?}"
        );
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        ssa(&["completions", shell]).exits(0).prints(&["ssa", "compose"]);
    }
}

#[test]
fn no_secret_is_ever_printed() {
    let keys = file(
        "usage_keys.txt",
        &format!("k1={SECRET_HEX}\nbroken {SECRET_HEX}\n{SECRET_HEX}=k1\nk1={SECRET_HEX}ff\n"),
    );
    let good = format!("k1={SECRET_HEX}");
    let swapped = format!("{SECRET_HEX}=k1");
    let short = format!("k1={}", &SECRET_HEX[..31]);
    let secrets: [&[&str]; 7] = [
        &["--secret", &good],
        &["--secret", &swapped],
        &["--secret", SECRET_HEX],
        &["--secret", &short],
        &["--client-key", &swapped],
        &["--secret-file", text(&keys)],
        &["--secret", &good, "--client-key", "k1=ffffffffffffffffffffffffffffffff"],
    ];
    for secret in secrets {
        for subcommand in [
            &["compose"][..],
            &["verify", "--destination", DESTINATION],
            &["explain", DESTINATION],
        ] {
            for json in [&[][..], &["--json"]] {
                let args = ["--apl", APL, "--rule", MACED, "--source", SOURCE];
                let run = ssa(&[subcommand, &args, secret, json].concat());
                for output in [&run.stdout, &run.stderr] {
                    assert!(
                        !output.contains(&SECRET_HEX[..16]),
                        "{subcommand:?} {secret:?}: {output}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_not_printed() {
    let stray = format!("k1={SECRET_HEX}");
    for args in [
        &["compose", "--source", SOURCE, "--secret", "k1=", SECRET_HEX][..],
        &["compose", "--source", SOURCE, &stray],
        &["compose", "name.example", &stray],
        &["resolve", &stray],
        &["--json", "compose", "name.example", &stray],
        &["explain", &stray],
        &["completions", &stray],
        &["vectors", &stray],
        &["compose", "name.example", "--secret-file", &stray],
        &[
            "compose",
            "--source",
            &stray,
            "--rule",
            "v=ssa1; addr=rand:64",
            "--apl",
            "2:2001:db8::/64",
        ],
        &[
            "compose",
            "--source",
            SOURCE,
            "--rule",
            &stray,
            "--apl",
            "2:2001:db8::/64",
        ],
        &[
            "--json", "compose", "--source", SOURCE, "--rule", &stray, "--apl", &stray,
        ],
    ] {
        let run = ssa(args);
        assert!(matches!(run.code, Some(2)), "{args:?}: {run:?}");
        assert!(
            !run.stderr.contains(SECRET_HEX) && !run.stdout.contains(SECRET_HEX),
            "{run:?}"
        );
    }
}

#[test]
fn a_secret_that_is_taken_for_a_record_or_a_file_is_hidden() {
    let stray = format!("k1={SECRET_HEX}");
    // Read and judged, and shown without it.
    for rule in [format!("v=ssa1; addr=mac(src/64):64; key={SECRET_HEX}"), stray.clone()] {
        for args in [
            &["lint", "--rule", &rule, "--apl", APL][..],
            &["explain", "--rule", &rule],
            &["lint", "--rule", &rule, "--json"],
        ] {
            let run = ssa(args);
            assert!(!format!("{}{}", run.stdout, run.stderr).contains(SECRET_HEX), "{run:?}");
        }
    }
    let named = file(SECRET_HEX, &format!("k1={SECRET_HEX}\n"));
    let run = compose_by(text(&named));
    assert!(!format!("{}{}", run.stdout, run.stderr).contains(SECRET_HEX), "{run:?}");
}

#[test]
fn a_salt_of_hex_digits_is_printed() {
    for salt in ["8d3f0c51e2a94b76c0d1e5f28a63b947", "x-0c51e2a94b76c0d1e5f28a63b947"] {
        let rule = format!("v=ssa1; addr=hash(src/64):20 rand:44; salt={salt}");
        for args in [
            &["explain", "--rule", &rule, "--apl", APL][..],
            &["explain", "--rule", &rule, "--apl", APL, "--json"],
        ] {
            let run = ssa(args);
            assert!(run.stdout.contains(&rule), "{run:?}");
        }
    }
}

#[test]
fn a_secret_in_place_of_other_things_is_not_printed() {
    let stray = format!("k1={SECRET_HEX}");
    let swapped = format!("{SECRET_HEX}=k1");
    for args in [
        &["verify", "--rule", HASHED, "--apl", APL, "--batch", &stray][..],
        &[
            "verify",
            "--rule",
            HASHED,
            "--apl",
            APL,
            "--source",
            SOURCE,
            "--destination",
            &stray,
        ],
        &[
            "compose", "--rule", HASHED, "--apl", APL, "--source", SOURCE, "--time", &stray, "--port", &stray,
            "--chunk", &stray,
        ],
        &["compose", "name.example", "--server", &stray, "--timeout", &stray],
        &[
            "lint",
            "--rule",
            HASHED,
            "--clients",
            &stray,
            "--aaaa",
            &stray,
            "--endpoints",
            &stray,
        ],
        &[
            "simulate",
            "--rule",
            HASHED,
            "--apl",
            APL,
            "--clients",
            &stray,
            "--endpoints",
            &stray,
            "--then",
            &stray,
            "--objects",
            &stray,
        ],
        &[
            "simulate",
            "--rule",
            HASHED,
            "--apl",
            APL,
            "--clients-file",
            &stray,
            "--attack",
            &stray,
        ],
        &[
            "slices",
            "plan",
            "--apl",
            APL,
            "--bits",
            &stray,
            "--endpoint",
            &stray,
            "--current",
            &stray,
        ],
        &[
            "slices",
            "plan",
            "--apl",
            APL,
            "--bits",
            "4",
            "--endpoint",
            "a",
            "--local",
            &stray,
            "--endpoints",
            &stray,
        ],
        &["key", "new", SECRET_HEX],
        &["key", "new", "--into", &stray],
        &["key", "derive", "--kdf", &stray, "--source", &stray],
        &["key", "derive", "--rule", &stray, "--secret", &swapped],
        &["--color", &stray, "compose"],
    ] {
        let run = ssa(args);
        assert!(matches!(run.code, Some(2)), "{args:?}: {run:?}");
        assert!(
            !run.stderr.contains(SECRET_HEX) && !run.stdout.contains(SECRET_HEX),
            "{run:?}"
        );
    }
}

/// Composes by a rule with a mac and the secrets of a file.
fn compose_by(file: &str) -> Run {
    let service = ["compose", "--apl", APL, "--rule", MACED, "--source", SOURCE];
    ssa(&[&service[..], &["--secret-file", file]].concat())
}

#[test]
fn every_fault_of_a_secret_file_is_told_with_its_line() {
    let keys = file("usage_bad_keys.txt", "# fine\nbroken\nk 1=00\nk2=00\n");
    compose_by(text(&keys)).exits(2).tells(&[
        "line 2: not NAME=HEX",
        "line 3: a key name is",
        "line 3: key material",
        "line 4: key",
    ]);
    compose_by("/no/such/file")
        .exits(2)
        .tells(&["--secret-file /no/such/file"]);
}

#[cfg(unix)]
#[test]
fn a_secret_file_that_all_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let keys = file("usage_open_keys.txt", &format!("k1={SECRET_HEX}\n"));
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).unwrap();
    compose_by(text(&keys))
        .exits(0)
        .tells(&["warning", "every user of this machine can read it"]);
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(compose_by(text(&keys)).exits(0).stderr, "");
}

#[test]
fn a_reader_that_leaves_causes_no_panic() {
    let commands: [&[&str]; 5] = [
        &[
            "compose", "--apl", APL, "--rule", HASHED, "--source", SOURCE, "--count", "1000000",
        ],
        &["explain", "--rule", HASHED],
        &["completions", "bash"],
        &["--help"],
        &["compose", "--json"],
    ];
    for args in commands {
        let mut child = support::command(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let mut stdout = child.stdout.take().expect("its output is a pipe");
        let _ = stdout.read(&mut [0; 16]).expect("it is read");
        drop(stdout);
        let output = child.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            !stderr.contains("panicked") && output.status.code().is_some(),
            "{args:?}: {stderr}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_is_full_is_an_error() {
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("/dev/full is there")
    };
    let mut command: Command = support::command(&["explain", "--rule", HASHED]);
    let output = command.stdout(full()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output"));
    let both = support::command(&["compose"])
        .stdout(full())
        .stderr(full())
        .status()
        .expect("it runs");
    assert_eq!(both.code(), Some(2));
}

#[test]
fn arguments_that_are_no_text_cause_no_panic() {
    let odd = [
        "\u{7}",
        "v=ssa1; addr=\u{1b}[31m",
        "é",
        "",
        " ",
        "=",
        "v=ssa1;;;",
        "2:::/0",
        "!",
    ];
    for text in odd {
        for flag in [
            "--apl", "--rule", "--source", "--object", "--secret", "--time", "--server",
        ] {
            for subcommand in ["compose", "verify", "explain"] {
                let run = ssa(&[subcommand, flag, text]);
                assert!(
                    matches!(run.code, Some(0..=2)) && !run.stderr.contains("panicked"),
                    "{}",
                    run.stderr
                );
                assert!(
                    !run.stderr.contains('\u{1b}') && !run.stdout.contains('\u{1b}'),
                    "{}",
                    run.stderr
                );
            }
        }
    }
}
