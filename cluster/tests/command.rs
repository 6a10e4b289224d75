//! The program's commands for people.

use std::{fs, path::Path, process::Command};

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
        (Some(0), 3)
    );
    assert!(out.contains("system:serviceaccount:ssa-system:controller"), "{out}");
    assert_eq!(run(&["crds", "--policies"]).0, Some(2));
    assert_eq!(run(&["crds", "--policies", "--controller", "a"]).0, Some(2));
}
