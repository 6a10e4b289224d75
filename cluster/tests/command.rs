//! The program's commands for people.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// Runs the program: exit code, standard output, standard error.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ssa-cluster"))
        .args(arguments)
        .env_remove("SSA_STORE")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn written(folder: &Path, name: &str, value: &Value) -> String {
    let path = folder.join(name);
    fs::write(&path, value.to_string()).unwrap();
    path.display().to_string()
}

#[test]
fn objects_are_written_read_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store").display().to_string();
    let mut set = json!({
        "apiVersion": "ssa.dev.example/v1alpha1", "kind": "SliceSet", "metadata": {"name": "store"},
        "spec": {"service": "store.example", "apl": "2:2001:db8:5::/64", "endpoints": {"list": []}}
    });
    let file = written(folder.path(), "set.json", &set);
    let apply = || run(&["apply", "--store", &store, &file]);
    assert_eq!(apply(), (Some(0), "SliceSet store is made\n".into(), String::new()));
    assert_eq!(
        apply(),
        (Some(0), "SliceSet store is unchanged\n".into(), String::new())
    );
    set["spec"]["bits"] = 4.into();
    written(folder.path(), "set.json", &set);
    assert_eq!(apply(), (Some(0), "SliceSet store is changed\n".into(), String::new()));
    let (code, out, err) = run(&["get", "slicesets", "store", "--json", "--store", &store]);
    let read: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (
            code,
            &read["spec"]["bits"],
            &read["metadata"]["generation"],
            err.as_str()
        ),
        (Some(0), &json!(4), &json!(2), "")
    );
    let (code, out, _) = run(&["get", "SliceSet", "--store", &store]);
    assert!(
        code == Some(0) && out.contains("  bits: 4\n") && out.contains("kind: SliceSet\n"),
        "{out}"
    );
    set["spec"]["bits"] = 21.into();
    set["spec"]["standby"] = "no".into();
    written(folder.path(), "set.json", &set);
    let (code, out, err) = apply();
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(2), "", 2), "{err}");
    assert!(
        err.starts_with(&format!(
            "error: {file}: spec.bits: must be an integer from 0 to 20, not 21"
        )),
        "{err}"
    );
    let delete = || run(&["delete", "slicesets", "store", "--store", &store]);
    assert_eq!(delete(), (Some(0), "SliceSet store is deleted\n".into(), String::new()));
    assert_eq!(
        delete(),
        (Some(2), String::new(), "error: SliceSet store: there is none\n".into())
    );
}

#[test]
fn what_cannot_be_a_store_or_a_kind_is_told() {
    for (arguments, wanted) in [
        (
            &["get", "slicesets", "--store", ""][..],
            "a store is wanted: a directory, etcd:URL or kubernetes",
        ),
        (
            &["get", "pods", "--store", "x"],
            "must be one of slicesets, slicemaps, slicemoves",
        ),
        (&["get", "slicesets"], "--store <STORE>"),
        (
            &["get", "slicesets", "A", "--store", "x"],
            "must be 1 to 253 of a-z 0-9 - .",
        ),
        #[cfg(feature = "etcd")]
        (&["get", "slicesets", "--store", "etcd:"], "no endpoint is given"),
        #[cfg(feature = "etcd")]
        (
            &["get", "slicesets", "--store", "etcd:ftp://a"],
            "ftp://a: must begin with http:// or https://",
        ),
        #[cfg(feature = "etcd")]
        (
            &["get", "slicesets", "--store", "etcd:https://a", "--store-ca", "/none"],
            "/none: there is no such file",
        ),
        #[cfg(all(feature = "etcd", target_os = "linux"))]
        (
            &[
                "agent",
                "--store",
                "etcd:ftp://a",
                "--endpoint",
                "a",
                "--allowed",
                "2001:db8::/64",
            ],
            "ftp://a: must begin with http:// or https://",
        ),
        #[cfg(target_os = "linux")]
        (
            &["agent", "--store", "x", "--endpoint", "a", "--allowed", "::/0"],
            "'--allowed <PREFIX>': length 0 is less than 16",
        ),
        #[cfg(target_os = "linux")]
        (
            &["agent", "--store", "x", "--endpoint", "a", "--allowed", "10.0.0.0/8"],
            "'--allowed <PREFIX>': is IPv4; slices are IPv6 prefixes",
        ),
        #[cfg(target_os = "linux")]
        (
            &[
                "agent",
                "--store",
                "x",
                "--endpoint",
                "a",
                "--allowed",
                "2001:db8::1/64",
            ],
            "'--allowed <PREFIX>': has bits past its length; 2001:db8::/64 has none",
        ),
        #[cfg(target_os = "linux")]
        (
            &[
                "agent",
                "--store",
                "x",
                "--endpoint",
                "a",
                "--allowed",
                "2001:db8::/64",
                "--interface",
                "eth*",
            ],
            "'--interface <NAME>': must be 1 to 15 of the characters A-Z a-z 0-9 . _ -",
        ),
        #[cfg(feature = "etcd")]
        (
            &["controller", "--store", "etcd:ftp://a", "--identity", "a"],
            "ftp://a: must begin with http:// or https://",
        ),
        (&["controller", "--identity", "a"], "--store <STORE>"),
        (&["agent", "--endpoint", "a"], "--store <STORE>"),
        (&["apply", "--store", "x", "/none"], "/none: there is no such file"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_ssa-cluster"))
            .args(arguments)
            .current_dir(folder.path())
            .env_remove("SSA_STORE")
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && told.contains(wanted),
            "{arguments:?}: {told}"
        );
    }
}

#[cfg(feature = "kubernetes")]
#[test]
fn definitions_and_policies_are_printed() {
    let (code, out, _) = run(&["crds"]);
    assert_eq!(
        (code, out.matches("kind: CustomResourceDefinition").count()),
        (Some(0), 5)
    );
    let (code, out, _) = run(&["crds", "--policies", "--controller", "ssa-system:controller"]);
    assert_eq!(
        (code, out.matches("kind: ValidatingAdmissionPolicyBinding").count()),
        (Some(0), 4)
    );
    assert!(out.contains("system:serviceaccount:ssa-system:controller"), "{out}");
    assert_eq!(run(&["crds", "--policies"]).0, Some(2));
    assert_eq!(run(&["crds", "--policies", "--controller", "a"]).0, Some(2));
}

/// A controller that runs, with the lines that it writes.
struct Running {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Running {
    fn controller(store: &str, more: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ssa-cluster"))
            .args(["controller", "--store", store, "--identity", "one"])
            .args(more)
            .env_remove("SSA_STORE")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        Self { process, lines }
    }

    /// Ends it in order; returns its exit code.
    fn end(mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Who holds the lease, once somebody else than before does.
fn holder(store: &str, before: &str) -> String {
    let began = Instant::now();
    loop {
        let (_, out, _) = run(&["get", "leases", "ssa-controller", "--json", "--store", store]);
        let lease: Value = serde_json::from_str(&out).unwrap_or_default();
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        if !holder.is_empty() && holder != before {
            return holder.to_owned();
        }
        assert!(began.elapsed() < Duration::from_mins(1), "nobody else leads: {lease}");
    }
}

#[test]
fn two_controllers_of_one_name_do_not_both_lead_and_one_that_ends_gives_up_the_lease() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store").display().to_string();
    let first = Running::controller(&store, &[]);
    let leader = holder(&store, "");
    assert!(leader.starts_with("one.") && leader.len() == 20, "{leader}");
    let second = Running::controller(&store, &[]);
    // It waits for the lease as long as the first renews it: only when that has ended in order does it lead.
    let (code, began) = (first.end(), Instant::now());
    assert_eq!(code, Some(0));
    let next = holder(&store, &leader);
    assert!(
        next.starts_with("one.") && began.elapsed() < Duration::from_secs(10),
        "{next}"
    );
    assert_eq!(second.end(), Some(0));
}

#[test]
fn a_controller_tells_once_that_its_store_is_away_and_that_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let mut running = Running::controller(&store.display().to_string(), &["--listen", "[::1]:0"]);
    holder(&store.display().to_string(), "");
    let away = folder.path().join("away");
    fs::rename(store.join("slicesets"), &away).unwrap();
    let line = running.lines.next().unwrap().unwrap();
    assert!(line.ends_with("; it is tried again until it answers"), "{line}");
    fs::rename(&away, store.join("slicesets")).unwrap();
    let line = running.lines.next().unwrap().unwrap();
    assert_eq!(line, "ssa-cluster controller: the store answers again");
    assert_eq!(running.end(), Some(0));
}

#[test]
fn an_address_that_cannot_be_listened_on_and_an_identity_that_is_too_long_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store").display().to_string();
    let controller = |identity: &str, listen: &str| {
        run(&[
            "controller",
            "--store",
            &store,
            "--identity",
            identity,
            "--listen",
            listen,
        ])
    };
    let taken = std::net::TcpListener::bind("[::1]:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, err) = controller("one", &address);
    let wanted = format!("error: --listen {address}: the address is in use\n");
    assert_eq!((code, err), (Some(1), wanted));
    let long = [&*"a".repeat(60); 4].join(".");
    let (code, _, err) = controller(&long, "[::1]:0");
    let wanted = "error: --identity: has 243 bytes; there may be at most 236\n";
    assert_eq!((code, err.as_str()), (Some(1), wanted));
}

/// Whoever may read a directory need not be allowed to write to it. As root everything is allowed, so another user reads.
#[test]
fn who_may_only_read_a_store_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(folder.path(), 0o755);
    let store = folder.path().join("store");
    fs::create_dir(&store).unwrap();
    let is_root = fs::metadata("/proc/self").is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 0);
    if !is_root {
        println!("skipped: needs root, to be another user than the store's");
        return;
    }
    std::os::unix::fs::chown(&store, None, Some(65_534)).unwrap();
    mode(&store, 0o750);
    let set = json!({
        "apiVersion": "ssa.dev.example/v1alpha1", "kind": "SliceSet", "metadata": {"name": "store"},
        "spec": {"service": "store.example", "apl": "2:2001:db8:5::/64", "endpoints": {"list": []}}
    });
    let file = written(folder.path(), "set.json", &set);
    let path = store.display().to_string();
    assert_eq!(run(&["apply", "--store", &path, &file]).0, Some(0));
    for entry in walk(&store) {
        std::os::unix::fs::chown(&entry, None, Some(65_534)).unwrap();
    }
    // Where the build stands others may have no access.
    let program = folder.path().join("ssa-cluster");
    fs::copy(env!("CARGO_BIN_EXE_ssa-cluster"), &program).unwrap();
    mode(&program, 0o755);
    let reader = |arguments: &[&str]| {
        let user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        let output = Command::new("setpriv")
            .args(user)
            .arg(&program)
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, err) = reader(&["get", "slicesets", "--store", &path]);
    assert!(code == Some(0) && out.contains("name: store\n"), "{out}{err}");
    let (code, _, err) = reader(&["delete", "slicesets", "store", "--store", &path]);
    assert!(code == Some(2) && err.contains("permission is denied"), "{err}");
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                [vec![path.clone()], walk(&path)].concat()
            } else {
                vec![path]
            }
        })
        .collect()
}
