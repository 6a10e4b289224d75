//! `ssa key`: new secrets, and client keys derived from them.

mod support;

use std::{fs, path::PathBuf};

use support::{APL, MACED, Run, SECRET_HEX, SOURCE, file, ssa, text, verify};

/// The record, the secret, the source and the client's key of docs/spec-examples.md, 9.11.
const RULE: &str = "v=ssa1; addr=hash(src/64):20 mac(src/64,time/3600):44; key=k1; kdf=src/48";
const MASTER: &str = "k1=000102030405060708090a0b0c0d0e0f";
const CLIENT: &str = "2001:db8:77:1::7";
const CLIENT_KEY: &str = "k1=b1d7b7ef9470d8fe502685b8a2e25ac0\n";

/// An empty directory of a name that no other test uses.
fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).expect("the directory is made");
    path
}

fn derive(more: &[&str]) -> Run {
    ssa(&[&["key", "derive"], more].concat())
}

#[test]
fn a_new_secret_is_a_line_of_a_secret_file() {
    let made = ssa(&["key", "new"]).exits(0);
    let digits = made.stdout.strip_prefix("k1=").and_then(|rest| rest.strip_suffix('\n'));
    assert!(digits.is_some_and(|digits| digits.len() == 32 && digits.parse::<ssa_rules::Secret>().is_ok()));
    assert_eq!(made.stderr, "");
    let keys = file("key_new.txt", &made.stdout);
    let compose = ["compose", "--apl", APL, "--rule", MACED, "--source", SOURCE];
    let address = ssa(&[&compose[..], &["--secret-file", text(&keys)]].concat())
        .exits(0)
        .stdout;
    verify(MACED, address.trim(), &["--secret", made.stdout.trim()]).exits(0);
}

#[test]
fn every_new_secret_differs() {
    let made: std::collections::BTreeSet<String> = (0..20).map(|_| ssa(&["key", "new"]).exits(0).stdout).collect();
    assert_eq!(made.len(), 20);
}

#[test]
fn a_new_secret_has_the_name_that_is_given() {
    assert!(ssa(&["key", "new", "k-2"]).exits(0).stdout.starts_with("k-2="));
    let json = ssa(&["key", "new", "k2", "--json"]).exits(0).json();
    assert_eq!(json["keys"][0]["name"], "k2");
    assert_eq!(json["keys"][0]["key"].as_str().map(str::len), Some(32));
    ssa(&["key", "new", "k.2"])
        .exits(2)
        .tells(&["NAME: a key name is 1 to 32 of"]);
}

#[test]
fn a_derived_key_is_that_of_the_specification() {
    let by_kdf = ["--secret", MASTER, "--kdf", "src/48", "--source"];
    let by_rule = ["--secret", MASTER, "--rule", RULE, "--source"];
    for by in [by_kdf, by_rule] {
        for source in [CLIENT, "2001:db8:77::/48", "2001:db8:77:ffff::/64"] {
            assert_eq!(
                derive(&[&by[..], &[source]].concat()).exits(0).stdout,
                CLIENT_KEY,
                "{source}"
            );
        }
        assert_ne!(
            derive(&[&by[..], &["2001:db8:78::7"]].concat()).exits(0).stdout,
            CLIENT_KEY
        );
    }
    let json = derive(&[&by_kdf[..], &[CLIENT, "--json"]].concat()).exits(0).json();
    assert_eq!(
        json,
        serde_json::json!({
            "source": "2001:db8:77::/48",
            "keys": [{ "name": "k1", "key": CLIENT_KEY[3..].trim() }],
        })
    );
}

#[test]
fn a_derived_key_composes_what_the_master_verifies() {
    let master = format!("k1={SECRET_HEX}");
    let own = derive(&["--secret", &master, "--rule", RULE, "--source", SOURCE])
        .exits(0)
        .stdout;
    let time = ["--time", "1790000000"];
    let compose = [
        "compose",
        "--apl",
        APL,
        "--rule",
        RULE,
        "--source",
        SOURCE,
        "--client-key",
        own.trim(),
    ];
    let address = ssa(&[&compose[..], &time].concat()).exits(0).stdout;
    let by = |secret: &str| verify(RULE, address.trim(), &[&["--secret", secret], &time[..]].concat());
    by(&master).exits(0);
    by(MASTER).exits(1);
}

#[test]
fn each_secret_gives_a_key_and_a_record_asks_for_one() {
    let keys = file("key_two.txt", &format!("{MASTER}\nk2={SECRET_HEX}\n"));
    let all = derive(&["--secret-file", text(&keys), "--kdf", "src/48", "--source", CLIENT]).exits(0);
    assert_eq!(all.lines().len(), 2);
    assert!(all.stdout.starts_with(CLIENT_KEY) && all.lines()[1].starts_with("k2="));
    let one = derive(&["--secret-file", text(&keys), "--rule", RULE, "--source", CLIENT]).exits(0);
    assert_eq!(one.stdout, CLIENT_KEY);
}

#[test]
fn keys_go_into_files_of_their_own() {
    let secrets = folder("key_masters");
    let file = secrets.join("k3");
    let run = ssa(&["key", "new", "k3", "--into", text(&secrets)]).exits(0);
    assert_eq!(run.stdout, format!("{}\n", text(&file)));
    let digits = fs::read_to_string(&file).unwrap();
    assert!(digits.trim().parse::<ssa_rules::Secret>().is_ok());

    let clients = folder("key_clients");
    let by = [
        "--secret",
        MASTER,
        "--kdf",
        "src/48",
        "--source",
        CLIENT,
        "--into",
        text(&clients),
    ];
    let json = derive(&[&by[..], &["--json"]].concat()).exits(0).json();
    assert_eq!(
        json["keys"][0],
        serde_json::json!({ "name": "k1", "file": clients.join("k1") })
    );
    assert_eq!(fs::read_to_string(clients.join("k1")).unwrap(), CLIENT_KEY[3..]);
}

#[cfg(unix)]
#[test]
fn the_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let keys = folder("key_modes");
    ssa(&["key", "new", "k3", "--into", text(&keys)]).exits(0);
    let by = ["--secret", MASTER, "--kdf", "src/48", "--source", CLIENT];
    derive(&[&by[..], &["--into", text(&keys)]].concat()).exits(0);
    for name in ["k1", "k3"] {
        let mode = fs::metadata(keys.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_file_that_exists_is_left_alone() {
    let secrets = folder("key_existing");
    fs::write(secrets.join("k2"), "as it was").unwrap();
    let new = ssa(&["key", "new", "k2", "--into", text(&secrets)]).exits(2);
    assert_eq!(new.tells(&["--into: ", "k2 exists and is left alone"]).stdout, "");
    // Of two keys none is written where one cannot be.
    let keys = file("key_existing.txt", &format!("{MASTER}\nk2={SECRET_HEX}\n"));
    let by = ["--secret-file", text(&keys), "--kdf", "src/48", "--source", CLIENT];
    derive(&[&by[..], &["--into", text(&secrets)]].concat())
        .exits(2)
        .tells(&["k2 exists"]);
    assert_eq!(fs::read_to_string(secrets.join("k2")).unwrap(), "as it was");
    assert!(!secrets.join("k1").exists());
    ssa(&["key", "new", "--into", "/no/such/directory"])
        .exits(2)
        .tells(&["--into: /no/such/directory: there is no such directory"]);
    ssa(&["key", "new", "--into", "/dev/null"])
        .exits(2)
        .tells(&["--into: /dev/null: is not a directory"]);
    // Told with all other faults, before any key is made.
    ssa(&["key", "derive", "--kdf", "src/129", "--into", "/no/such/directory"])
        .exits(2)
        .tells(&["--kdf: ", "--source: missing", "--into: "]);
}

#[test]
fn faults_of_a_derivation_are_told_at_once() {
    derive(&[]).exits(2).tells(&[
        "--kdf: missing; give --kdf src/L, or the record by --rule",
        "--source: missing",
        "--secret: missing; give --secret-file FILE",
    ]);
    let told = |kdf: &str, source: &str, text: &str| {
        let run = derive(&["--secret", MASTER, "--kdf", kdf, "--source", source]).exits(2);
        assert_eq!(run.tells(&[text]).stdout, "");
    };
    told(
        "src/48",
        "192.0.2.1",
        "--source: `192.0.2.1` is not an IPv6 address or prefix",
    );
    told("src/48", "2001:db8::/129", "--source: `2001:db8::/129` is not");
    told(
        "src/48",
        "2001:db8:77::7/64",
        "a bit of 2001:db8:77::7/64 past its length is set; write 2001:db8:77::/64",
    );
    told(
        "src/48",
        "2001:db8::/47",
        "--source: the length of 2001:db8::/47 is below 48",
    );
    told("48", CLIENT, "--kdf: `48` is not src/L, such as src/48");
    told("src/0", CLIENT, "--kdf: `0` is not a number from 1 to 128");
    told("src/129", CLIENT, "--kdf: `129` is not a number from 1 to 128");
}

#[test]
fn a_record_has_to_say_how_and_by_which_key() {
    let by = |rule: &str, secret: &str| derive(&["--rule", rule, "--source", CLIENT, "--secret", secret]).exits(2);
    by(MACED, MASTER).tells(&["--rule: the record has no tag kdf"]);
    by("v=ssa1; addr=rand:65", MASTER).tells(&["--rule addr[0]: `65`"]);
    by(RULE, &format!("k2={SECRET_HEX}")).tells(&["--secret: missing; k1 is needed, k2 was given"]);
    // A fault of the secret is one fault, and shows nothing of it.
    let run = by(RULE, &format!("k1={SECRET_HEX}0"));
    assert!(
        !run.stderr.contains("needed") && !run.stderr.contains(&SECRET_HEX[..16]),
        "{}",
        run.stderr
    );
    derive(&["--rule", RULE, "--kdf", "src/48"])
        .exits(2)
        .tells(&["cannot be used with"]);
}
