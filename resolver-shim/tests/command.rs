//! The command as it is typed: what it checks, what it prints, how it ends, and what it never prints.

use std::{
    env, fs,
    io::Write,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

const KEY: &str = "00112233445566778899aabbccddeeff";

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("ssa-resolver-command-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ssa-resolver"));
    command.env_clear();
    command
}

/// Returns how it ended, and everything that it printed.
fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn check(json: &str, more: &[&str]) -> (Option<i32>, String) {
    let mut child = command()
        .args(["--check", "--config", "-"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(json.as_bytes()).unwrap();
    told(&child.wait_with_output().unwrap())
}

/// A daemon that ends with its test.
struct Daemon(Child);

impl Daemon {
    fn start(config: &Path, log: &Path) -> Self {
        let log = fs::File::create(log).unwrap();
        Self(command().arg("--config").arg(config).stderr(log).spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill").args([name, &self.0.id().to_string()]).status();
        assert!(done.unwrap().success());
    }

    fn ended(&mut self) -> i32 {
        let mut code = None;
        wait("the daemon ends", || {
            code = self.0.try_wait().unwrap();
            code.is_some()
        });
        code.unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[allow(clippy::disallowed_methods, reason = "between two looks at what it waits for")]
fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "not so in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_check_ends_by_what_it_found() {
    assert_eq!(check("{}", &[]), (Some(0), "0 services\n".into()));
    let (code, text) = check(
        r#"{"servises": [], "off": 1, "services": [{"name": "a", "allowed": [1]}]}"#,
        &[],
    );
    assert_eq!(code, Some(1), "{text}");
    for wanted in [
        "standard input: servises: unknown field",
        "standard input: off: must be true or false, not 1 (line 1, column 25)",
        "standard input: services[0].allowed[0]: must be a string, not 1 (line 1, column",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    let (code, text) = check("", &[]);
    assert_eq!(
        (code, text.as_str()),
        (
            Some(2),
            "standard input: cannot be read: is empty, or was read before\n"
        )
    );
    let (code, text) = told(
        &command()
            .args(["--check", "--config", "/none/x.json"])
            .output()
            .unwrap(),
    );
    assert_eq!(code, Some(2), "{text}");
    let (code, text) = told(&command().args(["--without-keys", "--config", "-"]).output().unwrap());
    assert_eq!(code, Some(2), "{text}");
}

#[test]
fn a_check_finds_records_that_are_not_usable_and_keys_that_are_missing() {
    let folder = Folder::new("check");
    let service = |rule: &str| {
        format!(
            r#"{{"services": [{{"name": "a", "allowed": ["2001:db8:5::/48"], "static": {{"apl": "2:2001:db8:5::/64",
                "rules": ["{rule}"]}}, "inbound": {{"ports": [80], "secrets": "{}/keys"}}}}]}}"#,
            folder.0.display()
        )
    };
    let keyed = service("v=ssa1; addr=mac(src/64):64; key=k1");
    let (code, text) = check(&keyed, &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("services[0].inbound.secrets: cannot be read"), "{text}");
    assert!(
        text.contains("services[0].static.rules[0]: unusable for verifiers: the secret k1"),
        "{text}"
    );
    assert_eq!(check(&keyed, &["--without-keys"]), (Some(0), "1 service\n".into()));
    let (code, text) = check(&service("v=ssa1; addr=rand:63"), &["--without-keys"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("services[0].static.rules[0]: unusable for verifiers"),
        "{text}"
    );
    folder.write("keys/k1", KEY);
    assert_eq!(check(&keyed, &[]).0, Some(0));
}

#[test]
fn no_key_is_printed_wherever_it_was_written() {
    let folder = Folder::new("keys");
    folder.write(&format!("keys/{KEY}"), "k1");
    folder.write("keys/k1", &KEY[..31]);
    let base64 = "ABEiM0RVZneImaq7zN3u/w==";
    let service = |text: &str| {
        format!(
            r#"{{"services": [{{"name": "a", "allowed": ["2001:db8::/32"], "inbound": {{"ports": [80]}}, {text}}}]}}"#
        )
    };
    let keys = folder.0.join("keys");
    let configurations = [
        format!(r#"{{"{KEY}": 1}}"#),
        format!(r#"{{"off": "{KEY}"}}"#),
        format!(r#"{{"off": "{base64}"}}"#),
        format!(
            r#"{{"admin": "{KEY}", "socket": {{"mode": "{KEY}", "path": "{KEY}"}}, "dns": {{"servers": ["{KEY}", "::1#{KEY}"]}}}}"#
        ),
        format!(r#"{{"admin": "{}{KEY}"}}"#, "x".repeat(50)),
        service(&format!(r#""domain": "{KEY}""#)),
        service(&format!(
            r#""static": {{"rules": ["v=ssa1; addr=rand:64; key={KEY}", "{KEY}"], "apl": "2:{KEY}/64"}}"#
        )),
        service(r#""domain": "a""#).replace(r#""name": "a""#, &format!(r#""name": "{KEY}""#)),
        service(r#""domain": "a""#).replace("2001:db8::/32", KEY),
        service(r#""domain": "a""#).replace(
            r#""ports": [80]"#,
            &format!(r#""ports": [80], "secrets": "{}""#, keys.display()),
        ),
        service(r#""domain": "a""#).replace(
            r#""ports": [80]"#,
            &format!(r#""ports": [80], "secrets": "/none/{KEY}""#),
        ),
        service(r#""domain": "a""#).replace(
            r#""ports": [80]"#,
            &format!(r#""ports": [80], "policy": {{"{KEY}": "deny"}}"#),
        ),
    ];
    let tells = |text: &str| text.contains(&KEY[..12]) || text.contains(&KEY[20..]) || text.contains(&base64[..12]);
    for json in &configurations {
        let (code, text) = check(json, &[]);
        assert_eq!(code, Some(1), "{json}: {text}");
        assert!(!tells(&text), "{json}: {text}");
        // And as the daemon says it.
        let file = folder.write("c.json", json);
        if json.contains("secrets") {
            continue;
        }
        let (_, text) = told(&command().arg("--config").arg(&file).output().unwrap());
        assert!(!tells(&text), "{json}: {text}");
    }
    for arguments in [
        vec!["--server", KEY],
        vec!["--admin", KEY],
        vec!["--log-level", KEY],
        vec!["--log-format", KEY],
        vec![KEY],
        vec!["--config", KEY],
        vec!["--forget", KEY, "--config", KEY],
        vec!["--check", "--config", KEY],
    ] {
        let (code, text) = told(&command().args(&arguments).output().unwrap());
        assert_eq!(code, Some(2), "{text}");
        assert!(!tells(&text), "{arguments:?}: {text}");
    }
    for (variable, value) in [
        ("SSA_RESOLVER_SERVERS", KEY),
        ("SSA_RESOLVER_ADMIN", KEY),
        ("SSA_RESOLVER_CONFIG", KEY),
    ] {
        let (_, text) = told(&command().env(variable, value).output().unwrap());
        assert!(!tells(&text), "{variable}: {text}");
    }
}

#[test]
fn a_state_file_s_keys_and_what_lies_in_its_way_are_neither_told_nor_waited_for() {
    let folder = Folder::new("state");
    let state = folder.write("state.json", &format!(r#"{{"version": 2, "saved": "{KEY}"}}"#));
    let victim = folder.write("victim", "of another");
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    let socket = folder.0.join("s.sock");
    let json = format!(
        r#"{{"socket": {{"path": "{}", "mode": "666"}}, "state": "{}"}}"#,
        socket.display(),
        state.display()
    );
    let config = folder.write("c.json", &json);
    let log = folder.0.join("log");
    for what in ["pipes", "links"] {
        for beside in ["state.json.new", "s.sock.new"] {
            let path = folder.0.join(beside);
            if what == "links" {
                symlink(&victim, path).unwrap();
            } else {
                assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
            }
        }
        let mut daemon = Daemon::start(&config, &log);
        wait("it serves", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o666);
        daemon.signal("-TERM");
        assert_eq!(daemon.ended(), 0, "{what}");
        assert!(!fs::read_to_string(&log).unwrap().contains(&KEY[..12]), "{what}");
        assert!(fs::read_to_string(&state).unwrap().contains(r#""version":2"#));
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "of another");
    assert_eq!(fs::metadata(&victim).unwrap().permissions().mode() & 0o777, 0o600);
    // A link in the place of the state is not followed either, nor a state that others can write.
    fs::remove_file(&state).unwrap();
    symlink(&victim, &state).unwrap();
    let mut daemon = Daemon::start(&config, &log);
    wait("the link is told", || {
        fs::read_to_string(&log).unwrap().contains("is a symbolic link")
    });
    daemon.signal("-TERM");
    assert_eq!(daemon.ended(), 0);
}

#[test]
fn a_configuration_that_is_a_pipe_is_refused_at_once() {
    let folder = Folder::new("pipe");
    let path = folder.0.join("c.json");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let (code, text) = told(&command().arg("--config").arg(&path).output().unwrap());
    assert_eq!(code, Some(2));
    assert!(text.contains("is not a regular file"), "{text}");
}

#[test]
fn the_running_daemon_forgets_on_demand() {
    let folder = Folder::new("forget");
    let socket = folder.0.join("s.sock");
    let json = |rule: &str| {
        format!(
            r#"{{"socket": {{"path": "{}"}}, "sources": false, "services": [{{"name": "web", "allowed": ["2001:db8:5::/48"],
                "inbound": {{"ports": [80]}}, "static": {{"apl": "2:2001:db8:5::/64", "rules": ["{rule}"]}}}}]}}"#,
            socket.display()
        )
    };
    let config = folder.write("c.json", &json("v=ssa1; addr=rand:64"));
    let log = folder.0.join("log");
    let forget = |service: &str| {
        told(
            &command()
                .args(["--forget", service, "--config"])
                .arg(&config)
                .output()
                .unwrap(),
        )
    };
    let (code, text) = forget("web");
    assert_eq!(code, Some(2), "{text}");
    let daemon = Daemon::start(&config, &log);
    wait("it serves", || {
        fs::read_to_string(&log).unwrap().contains("published a new snapshot")
    });
    assert_eq!(forget("web"), (Some(0), "0 forgotten\n".into()));
    folder.write("c.json", &json("v=ssa1; addr=hash(src/64):20 rand:44"));
    daemon.signal("-HUP");
    wait("it reloads", || {
        fs::read_to_string(&log)
            .unwrap()
            .contains("keeping what is gone from the DNS")
    });
    assert_eq!(forget("web"), (Some(0), "1 forgotten\n".into()));
    assert_eq!(forget("web"), (Some(0), "0 forgotten\n".into()));
    let (code, text) = forget("nobody");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("there is no such service"), "{text}");
}

/// Makes a version of a folder as the kubelet makes it of a `ConfigMap`, and turns the folder to it.
fn mount(folder: &Path, version: &str, files: &[(&str, &str)]) {
    let inner = folder.join(version);
    fs::create_dir_all(&inner).unwrap();
    for (name, text) in files {
        fs::write(inner.join(name), text).unwrap();
    }
    symlink(version, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    for (name, _) in files {
        let path = folder.join(name);
        if fs::symlink_metadata(&path).is_err() {
            symlink(Path::new("..data").join(name), path).unwrap();
        }
    }
}

#[test]
fn a_configuration_is_taken_as_kubernetes_and_editors_change_it() {
    const ANCHOR: &str = "demo.test. 60 IN DNSKEY 257 3 13 \
                          mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==\n";
    let folder = Folder::new("mounted");
    let (mounted, log) = (folder.0.join("mounted"), folder.0.join("log"));
    fs::create_dir(&mounted).unwrap();
    let json = |more: &str| {
        format!(
            r#"{{"socket": {{"path": "{0}/run/x.sock"}}, "dns": {{"servers": ["127.0.0.1:9"], "dnssec": "validate",
                "trust_anchors": "{0}/mounted/anchors"}}{more}}}"#,
            folder.0.display()
        )
    };
    let version = |number: usize, config: &str, anchors: &str| {
        mount(
            &mounted,
            &format!("..{number}"),
            &[("x.json", config), ("anchors", anchors)],
        );
    };
    version(1, &json(""), ANCHOR);
    let mut daemon = Daemon::start(&mounted.join("x.json"), &log);
    let lines = |what: &str| {
        let text = fs::read_to_string(&log).unwrap();
        text.lines().filter(|line| line.contains(what)).count()
    };
    let (taken, refused) = ("the configuration is reloaded", "the configuration is rejected");
    let told = |taken_times: usize, refused_times: usize| {
        wait("it is told", || {
            (lines(taken), lines(refused)) == (taken_times, refused_times)
        });
    };
    wait("it starts", || lines("started") == 1);
    // The kubelet swaps the whole folder.
    version(2, &json(r#", "off": true"#), ANCHOR);
    told(1, 0);
    // One at fault is told once, whole or in what it names, and the last one stays.
    version(3, &json(r#", "of": true"#), ANCHOR);
    told(1, 1);
    version(4, &json(""), "nothing");
    told(1, 2);
    // Then a good one is taken; what it names is mended by itself.
    fs::write(mounted.join("..4/anchors"), ANCHOR).unwrap();
    told(2, 2);
    // An editor replaces a file, or empties and fills it.
    let path = mounted.join("x.json");
    fs::write(mounted.join("beside"), json(r#", "off": true"#)).unwrap();
    fs::rename(mounted.join("beside"), &path).unwrap();
    told(3, 2);
    fs::write(&path, json("")).unwrap();
    told(4, 2);
    // So are trust anchors alone.
    fs::write(mounted.join("anchors"), format!("{ANCHOR}; renewed\n")).unwrap();
    told(5, 2);
    daemon.signal("-HUP");
    told(6, 2);
    assert!(daemon.0.try_wait().unwrap().is_none());
    daemon.signal("-TERM");
    assert_eq!(daemon.ended(), 0);
    assert_eq!((lines(taken), lines(refused)), (6, 2));
}

#[test]
fn a_socket_whose_folder_is_replaced_is_served_again() {
    let folder = Folder::new("replaced");
    let (run, socket) = (folder.0.join("run"), folder.0.join("run/x.sock"));
    let config = folder.write(
        "x.json",
        &format!(r#"{{"socket": {{"path": "{}"}}}}"#, socket.display()),
    );
    let mut daemon = Daemon::start(&config, &folder.0.join("log"));
    let answers = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
    wait("it starts", answers);
    fs::rename(&run, folder.0.join("old")).unwrap();
    wait("it is served in a folder of its own", answers);
    fs::remove_dir_all(&run).unwrap();
    fs::create_dir(&run).unwrap();
    wait("it is served in the folder of another", answers);
    // Who was led to the old folder is not served there, and nothing is left of it.
    assert!(!folder.0.join("old/x.sock").exists());
    daemon.signal("-TERM");
    assert_eq!(daemon.ended(), 0);
    assert!(!socket.exists());
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let folder = Folder::new("full");
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let bad = folder.write("bad.json", r#"{"services": 1, "admin": 2}"#);
    let checked = command()
        .args(["--check", "--config"])
        .arg(&bad)
        .stderr(full())
        .status()
        .unwrap();
    assert_eq!(checked.code(), Some(1));
    let socket = folder.0.join("run").join("snapshot.sock");
    let good = folder.write(
        "good.json",
        &format!(r#"{{"socket": {{"path": "{}"}}}}"#, socket.display()),
    );
    let daemon = command().arg("--config").arg(&good).stderr(full()).spawn().unwrap();
    let mut daemon = Daemon(daemon);
    wait("the socket", || socket.exists());
    daemon.signal("-HUP");
    daemon.signal("-TERM");
    assert_eq!(daemon.ended(), 0);
}

#[test]
fn no_key_is_told_wherever_it_was_given() {
    const HEX: &str = "5c1e9d0b7a3f48e2960d4b8f1a27c3e5";
    let folder = Folder::new("misplaced");
    let pairs: Vec<&str> = (0..32).step_by(2).filter_map(|at| HEX.get(at..at + 2)).collect();
    for key in [
        HEX.to_owned(),
        HEX.to_uppercase(),
        pairs.join(":"),
        pairs.join("-"),
        pairs.join(" "),
        "XB6dC3o-SOKWDUuPGifD5Q==".to_owned(),
        "XB6dC3o_SOKWDUuPGifD5Q".to_owned(),
    ] {
        let config = folder.write("x.json", r#"{"socket": {"path": "/none/x.sock"}}"#);
        let config = config.to_str().unwrap();
        let flag = format!("--{key}");
        for args in [
            &["--check", "--config", &key][..],
            &["--config", &key],
            &["--config", config, "--admin", &key],
            &["--config", config, "--server", &key],
            &["--config", config, "--log-level", &key],
            &["--config", config, "--log-format", &key],
            &["--config", config, "--forget", &key],
            &["--config", config, "--socket", &key, "--forget", "a"],
            &["--config", config, &key],
            &["--config", config, &flag],
        ] {
            let (code, text) = told(&command().args(args).output().unwrap());
            assert!(matches!(code, Some(1 | 2)) && !text.is_empty(), "{args:?}: {text}");
            assert!(
                !text.contains(&key[..12]) && !text.contains("os error"),
                "{args:?}: {text}"
            );
        }
        for variable in [
            "SSA_RESOLVER_ADMIN",
            "SSA_RESOLVER_SERVERS",
            "SSA_RESOLVER_LOG_LEVEL",
            "SSA_RESOLVER_LOG_FORMAT",
        ] {
            let output = command()
                .args(["--check", "--config", config])
                .env(variable, &key)
                .output();
            let (code, text) = told(&output.unwrap());
            assert!(code == Some(2) && !text.is_empty(), "{variable}: {text}");
            assert!(
                !text.contains(&key[..12]) && !text.contains("expected"),
                "{variable}: {text}"
            );
        }
        // What was written to the file of a key is told by its length at most.
        let keys = folder.write("keys/k1", &format!("{key} x"));
        let secrets = keys.parent().unwrap().to_str().unwrap();
        let service = format!(
            r#"{{"services": [{{"name": "a", "allowed": ["2001:db8:5::/48"], "inbound": {{"ports": [80], "secrets": "{secrets}"}}}}]}}"#
        );
        let (code, text) = check(&service, &[]);
        assert!(
            code == Some(1) && text.contains("inbound.secrets: k1: must be 32 hex digits"),
            "{text}"
        );
        assert!(!text.contains(&key[..12]), "{text}");
    }
}

#[test]
fn nothing_that_is_told_steers_a_terminal_or_forges_a_line() {
    let folder = Folder::new("control");
    let plain = |text: &str| {
        let control = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("INFO")), "{text}");
        assert!(text.contains("forged"), "{text}");
    };
    let escaped = r"a\u001b[31mb\u009b\u0000\nINFO forged";
    let raw = "a\u{1b}[31mb\u{9b}\nINFO forged";
    for json in [
        format!(r#"{{"{escaped}": 1}}"#),
        format!(r#"{{"services": [{{"name": "{escaped}", "{escaped}": 1}}]}}"#),
        format!(
            r#"{{"services": [{{"name": "a", "domain": "a.test", "allowed": ["2001:db8::/32"], "inbound": {{"ports": [80], "secrets": "/none/{escaped}"}}}}], "{escaped}": 1}}"#
        ),
    ] {
        plain(&check(&json, &[]).1);
        for format in ["text", "json"] {
            let file = folder.write("c.json", &json);
            let run = command().args(["--log-format", format, "--config"]).arg(&file).output();
            let (code, text) = told(&run.unwrap());
            assert_eq!(code, Some(2), "{text}");
            plain(&text);
        }
    }
    let config = folder.write("x.json", "{}");
    let config = config.to_str().unwrap();
    for args in [
        &["--check", "--config", raw][..],
        &["--config", raw],
        &["--config", config, "--admin", raw],
        &["--config", config, "--server", raw],
        &["--config", config, "--log-level", raw],
        &["--config", config, "--log-format", raw],
        &["--config", config, "--socket", raw, "--forget", raw],
        &["--config", config, raw],
    ] {
        plain(&told(&command().args(args).output().unwrap()).1);
    }
    let (_, help) = told(
        &command()
            .arg("--help")
            .env("SSA_RESOLVER_CONFIG", raw)
            .output()
            .unwrap(),
    );
    plain(&help);
    // And as the running daemon says it.
    let socket = folder.0.join("run").join("snapshot.sock");
    let good = format!(r#"{{"socket": {{"path": "{}"}}}}"#, socket.display());
    let (config, log) = (folder.write("daemon.json", &good), folder.0.join("log"));
    let mut daemon = Daemon::start(&config, &log);
    wait("the socket", || socket.exists());
    fs::write(&config, format!(r#"{{"{escaped}": 1}}"#)).unwrap();
    daemon.signal("-HUP");
    wait("the fault", || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains("forged"))
    });
    daemon.signal("-TERM");
    assert_eq!(daemon.ended(), 0);
    plain(&fs::read_to_string(&log).unwrap());
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let folder = Folder::new("mark");
    let key = folder.write("keys/k1", &format!("\u{feff}{KEY}\n"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let secrets = key.parent().unwrap().display();
    let json = format!(
        "\u{feff}{{\"services\": [{{\"name\": \"a\", \"domain\": \"a.test\", \"allowed\": [\"2001:db8:5::/48\"], \"inbound\": {{\"ports\": [80], \"secrets\": \"{secrets}\"}}}}]}}"
    );
    assert_eq!(check(&json, &[]), (Some(0), "1 service\n".into()));
}

/// Runs the command as a user until it says that it cannot start, or until its socket is there.
fn started(user: u32, program: &Path, config: &Path, socket: &Path) -> (Option<i32>, String) {
    let mut child = Command::new(program)
        .env_clear()
        .uid(user)
        .gid(user)
        .arg("--config")
        .arg(config)
        .current_dir("/")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait("it starts or does not", || {
        child.try_wait().unwrap().is_some() || std::os::unix::net::UnixStream::connect(socket).is_ok()
    });
    if child.try_wait().unwrap().is_none() {
        let done = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(done.unwrap().success());
    }
    told(&child.wait_with_output().unwrap())
}

/// What other users can replace on the way to the socket and the state is neither used nor changed.
#[test]
fn folders_that_others_rule_over_are_refused() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped: only root has other users to meet");
        return;
    }
    let (shim, other) = (1338, 1001);
    let folder = Folder::new("others");
    let program = folder.0.join("ssa-resolver");
    // Whatever this process writes, a child of another test could still hold open for writing.
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_ssa-resolver"))
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    let at = |name: &str| folder.0.join(name);
    for name in ["open/inner", "of-root", "of-other"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    fs::set_permissions(at("open"), fs::Permissions::from_mode(0o777)).unwrap();
    chown(at("open/inner"), Some(shim), Some(shim)).unwrap();
    // Another user turns a link in a folder of its own to one of root.
    symlink(at("of-root"), at("of-other/sub")).unwrap();
    chown(at("of-other"), Some(other), Some(other)).unwrap();
    fs::write(at("of-root/state.json"), "of root").unwrap();
    let config = |socket: &str, more: &str| {
        let json = format!(r#"{{"socket": {{"path": "{}"}}{more}}}"#, at(socket).display());
        folder.write("config.json", &json)
    };
    let shared = r#", "shared_folders": true"#;
    for (user, socket, more, whose) in [
        // Somebody could rename it, and put another in its place.
        (0, "open/inner/s.sock", "", "open, which has mode 777"),
        (0, "open/inner/s.sock", shared, "open, which has mode 777"),
        (shim, "open/inner/s.sock", "", "open, which has mode 777"),
        // It is missing, and would be made there.
        (0, "open/missing/s.sock", "", "open, which has mode 777"),
        (shim, "open/missing/s.sock", "", "open, which has mode 777"),
        (
            0,
            "of-other/sub/s.sock",
            "",
            "of-other on its path belongs to user 1001",
        ),
        (
            shim,
            "of-other/sub/s.sock",
            shared,
            "of-other on its path belongs to user 1001",
        ),
    ] {
        let (code, text) = started(user, &program, &config(socket, more), &at(socket));
        assert_eq!(code, Some(2), "{user} {socket}: {text}");
        assert!(text.contains(whose), "{whose} in {text}");
    }
    assert!(!at("open/missing").exists());
    for socket in ["open/inner/s.sock", "open/s.sock", "open/missing/s.sock"] {
        let (code, text) = started(shim, &program, &config(socket, shared), &at(socket));
        assert_eq!(code, Some(0), "{socket}: {text}");
    }
    let state = format!(r#", "state": "{}""#, at("of-other/sub/state.json").display());
    let (code, text) = started(0, &program, &config("s.sock", &state), &at("s.sock"));
    assert_eq!(code, Some(0), "{text}");
    for wanted in [
        "the state is not used",
        "the state cannot be written",
        "belongs to user 1001",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert_eq!(fs::read_to_string(at("of-root/state.json")).unwrap(), "of root");
}

/// A check tells what stands for the same place, flags included, and each fault of a record once.
/// In a user namespace every user that it does not map is shown as one and the same: folders of that one are of anybody.
#[test]
fn folders_of_users_that_are_not_mapped_are_refused() {
    let folder = Folder::new("unmapped");
    let socket = folder.0.join("snapshot.sock");
    let config = folder.write(
        "x.json",
        &format!(r#"{{"socket": {{"path": "{}"}}}}"#, socket.display()),
    );
    let within = |program: &str| {
        let mut command = Command::new("unshare");
        command.env_clear().args(["--user", program]);
        command
    };
    if !within("/bin/true").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: folders of users that are not mapped: no user namespace can be made here");
        return;
    }
    let mut command = within(env!("CARGO_BIN_EXE_ssa-resolver"));
    let log = fs::File::create(folder.0.join("log")).unwrap();
    let mut daemon = Daemon(command.arg("--config").arg(&config).stderr(log).spawn().unwrap());
    assert_eq!(daemon.ended(), 2);
    let text = fs::read_to_string(folder.0.join("log")).unwrap();
    assert!(
        text.contains("who stands for all users that this user namespace does not map"),
        "{text}"
    );
}

#[test]
fn a_check_tells_what_collides() {
    let folder = Folder::new("collisions");
    let inner = folder.0.canonicalize().unwrap().join("inner");
    fs::create_dir(&inner).unwrap();
    let path = inner.join("x");
    let json = format!(r#"{{"state": "{}"}}"#, path.display());
    let (code, text) = check(&json, &["--socket", &format!("{}/../x", inner.join(".").display())]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = check(&json, &["--socket", path.to_str().unwrap()]);
    assert_eq!(
        (code, &*text),
        (Some(1), "standard input: state: conflicts with socket.path\n")
    );
    let rule = "v=ssa1; addr=src[0:64] rand:70; unknown=1";
    let fixed = format!(r#"{{"apl": "2:2001:db8:5::/64", "rules": ["{rule}"]}}"#);
    let (code, text) = check(
        &format!(
            r#"{{"services": [{{"name": "a", "allowed": ["2001:db8::/32"], "static": {fixed}, "inbound": {{"ports": [1]}}}}]}}"#
        ),
        &[],
    );
    assert_eq!((code, text.lines().count()), (Some(1), 1), "{text}");
    assert!(
        text.contains("services[0].static.rules[0]: unusable for verifiers: ") && text.contains("; "),
        "{text}"
    );
}
