//! Wasm modules to measure: the filter, one of the SDK that does nothing, and written ones that do nothing or one host call.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::error::Error;

/// How often a module of [`Call`] makes its call on each new connection.
pub(crate) const CALLS: u32 = 10;

/// What Envoy may call: its type, and what it returns where it does nothing.
const CALLBACKS: [(&str, &str, &str); 14] = [
    ("proxy_on_vm_start", "(param i32 i32) (result i32)", "i32.const 1"),
    ("proxy_on_tick", "(param i32)", ""),
    ("proxy_on_queue_ready", "(param i32 i32)", ""),
    ("proxy_on_http_call_response", "(param i32 i32 i32 i32 i32)", ""),
    ("proxy_on_foreign_function", "(param i32 i32 i32)", ""),
    ("proxy_on_context_create", "(param i32 i32)", ""),
    ("proxy_on_new_connection", "(param i32) (result i32)", "i32.const 0"),
    (
        "proxy_on_downstream_data",
        "(param i32 i32 i32) (result i32)",
        "i32.const 0",
    ),
    (
        "proxy_on_upstream_data",
        "(param i32 i32 i32) (result i32)",
        "i32.const 0",
    ),
    ("proxy_on_downstream_connection_close", "(param i32 i32)", ""),
    ("proxy_on_upstream_connection_close", "(param i32 i32)", ""),
    ("proxy_on_done", "(param i32) (result i32)", "i32.const 1"),
    ("proxy_on_log", "(param i32)", ""),
    ("proxy_on_delete", "(param i32)", ""),
];

/// A host call to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// What the table calls it.
    pub(crate) name: &'static str,
    import: &'static str,
    parameters: &'static str,
    /// The arguments; `{i}` is the number of the call on this connection.
    arguments: &'static str,
    data: &'static str,
}

/// The data lies from 1024 on; results go to 0, a metric's number is at 16.
pub(crate) const HOST_CALLS: [Call; 9] = [
    Call {
        name: "get_property source.address",
        import: "proxy_get_property",
        parameters: "i32 i32 i32 i32",
        arguments: "(i32.const 1024) (i32.const 14) (i32.const 0) (i32.const 4)",
        data: r"source\00address",
    },
    Call {
        name: "get_property destination.address",
        import: "proxy_get_property",
        parameters: "i32 i32 i32 i32",
        arguments: "(i32.const 1024) (i32.const 19) (i32.const 0) (i32.const 4)",
        data: r"destination\00address",
    },
    Call {
        name: "set_property, a new key each",
        import: "proxy_set_property",
        parameters: "i32 i32 i32 i32",
        arguments: "(i32.const 110{i}) (i32.const 1) (i32.const 1024) (i32.const 74)",
        data: "service=web.demo.test verdict=violation part=field_0 outcome=denied gen=07  0123456789",
    },
    Call {
        name: "set_property, the same key",
        import: "proxy_set_property",
        parameters: "i32 i32 i32 i32",
        arguments: "(i32.const 1100) (i32.const 3) (i32.const 1024) (i32.const 74)",
        data: "service=web.demo.test verdict=violation part=field_0 outcome=denied gen=07  ssa",
    },
    Call {
        name: "set_envoy_filter_state, a destination",
        import: "proxy_call_foreign_function",
        parameters: "i32 i32 i32 i32 i32 i32",
        arguments: "(i32.const 1024) (i32.const 22) (i32.const 1046) (i32.const 75) (i32.const 0) (i32.const 4)",
        data: r"set_envoy_filter_state\0a\33envoy.network.transport_socket.original_dst_address\12\12[2001:db8:7::1]:80\18\02",
    },
    Call {
        name: "get_current_time_nanoseconds",
        import: "proxy_get_current_time_nanoseconds",
        parameters: "i32",
        arguments: "(i32.const 0)",
        data: "",
    },
    Call {
        name: "increment_metric",
        import: "proxy_increment_metric",
        parameters: "i32 i64",
        arguments: "(i32.load (i32.const 16)) (i64.const 1)",
        data: "",
    },
    Call {
        name: "record_metric, a gauge",
        import: "proxy_record_metric",
        parameters: "i32 i64",
        arguments: "(i32.load (i32.const 20)) (i64.const {i})",
        data: "",
    },
    Call {
        name: "log, below the level that is logged",
        import: "proxy_log",
        parameters: "i32 i32 i32",
        arguments: "(i32.const 0) (i32.const 1024) (i32.const 20)",
        data: "nobody reads this line",
    },
];

/// What every module that is measured must have to see connections at all.
pub(crate) const LEAST: [&str; 2] = ["proxy_on_context_create", "proxy_on_new_connection"];

/// Writes a module that exports these callbacks and does nothing in them; unknown ones are left out.
pub(crate) fn idle<'a>(callbacks: impl IntoIterator<Item = &'a str>, into: &Path) -> Result<(), Error> {
    write(&callbacks.into_iter().collect(), None, into)
}

/// Writes a module that makes one call [`CALLS`] times on each new connection, and traps when it fails.
pub(crate) fn calling(call: &Call, into: &Path) -> Result<(), Error> {
    write(&LEAST.into(), Some(call), into)
}

fn write(callbacks: &BTreeSet<&str>, call: Option<&Call>, into: &Path) -> Result<(), Error> {
    let binary = wat::parse_str(text(callbacks, call)).map_err(|fault| Error::Module {
        path: into.into(),
        fault: fault.to_string(),
    })?;
    fs::write(into, binary).map_err(Error::io("write", into))
}

/// Returns a module in the text format of WebAssembly.
fn text(callbacks: &BTreeSet<&str>, call: Option<&Call>) -> String {
    let mut lines = Vec::new();
    let mut configure = "";
    if let Some(call) = call {
        lines.push(format!(
            r#"(import "env" "{}" (func $call (param {}) (result i32)))"#,
            call.import, call.parameters
        ));
        lines
            .push(r#"(import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))"#.into());
        lines.push(format!(
            r#"(data (i32.const 1024) "{}") (data (i32.const 2048) "bench_counterbench_gauge")"#,
            call.data
        ));
        configure = "(drop (call $define (i32.const 0) (i32.const 2048) (i32.const 13) (i32.const 16)))
                     (drop (call $define (i32.const 1) (i32.const 2061) (i32.const 11) (i32.const 20)))";
    }
    // A fixed place is enough for whatever Envoy hands over: nothing of it is read.
    lines.push(
        r#"(memory (export "memory") 2)
           (func (export "proxy_abi_version_0_2_1"))
           (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 65536)"#
            .into(),
    );
    lines.push(format!(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) {configure} i32.const 1)"#
    ));
    for (name, signature, result) in CALLBACKS.iter().filter(|(name, ..)| callbacks.contains(name)) {
        let calls: Vec<String> = match call {
            Some(call) if *name == "proxy_on_new_connection" => (0..CALLS)
                .map(|i| {
                    let arguments = call.arguments.replace("{i}", &i.to_string());
                    format!("(if (call $call {arguments}) (then unreachable))")
                })
                .collect(),
            _ => Vec::new(),
        };
        let calls = calls.join("\n");
        lines.push(format!(r#"(func (export "{name}") {signature} {calls} {result})"#));
    }
    format!("(module {})", lines.join("\n"))
}

/// Returns the names of the functions and memories that a module exports.
pub(crate) fn exports(path: &Path) -> Result<Vec<String>, Error> {
    let module = fs::read(path).map_err(Error::io("read", path))?;
    read_exports(&module).ok_or_else(|| Error::Module {
        path: path.into(),
        fault: "its exports cannot be read".into(),
    })
}

/// Reads the section of exports, which is number 7: a count, then name, kind and index of each.
fn read_exports(module: &[u8]) -> Option<Vec<String>> {
    let mut rest = module.strip_prefix(b"\0asm")?.get(4..)?;
    while let Some((section, after)) = rest.split_first() {
        rest = after;
        let length = leb128(&mut rest)?;
        let (mut content, after) = rest.split_at_checked(length)?;
        rest = after;
        if *section == 7 {
            let count = leb128(&mut content)?;
            return (0..count)
                .map(|_| {
                    let length = leb128(&mut content)?;
                    let (name, after) = content.split_at_checked(length)?;
                    content = after.get(1..)?;
                    leb128(&mut content)?;
                    String::from_utf8(name.into()).ok()
                })
                .collect();
        }
    }
    Some(Vec::new())
}

fn leb128(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let (byte, after) = bytes.split_first()?;
        *bytes = after;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The root of the repository that this was built from.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Runs a script of the repository that prints the path of what it finds, installs or builds.
pub(crate) fn scripted(script: &str) -> Result<PathBuf, Error> {
    eprintln!("running {script}");
    Error::check(&mut Command::new(repository().join(script))).map(PathBuf::from)
}

/// Builds a crate for wasm32 and returns the path of its module.
pub(crate) fn build(package: &str) -> Result<PathBuf, Error> {
    eprintln!("building {package} for wasm32");
    let script = repository().join("hack/wasm-cargo.sh");
    let mut command = Command::new(&script);
    command.args(["build", "--quiet", "--release", "--locked", "-p", package]);
    Error::check(&mut command)?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    Ok(target
        .join("wasm32-unknown-unknown/release")
        .join(format!("{}.wasm", package.replace('-', "_"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_read_back() {
        let folder = env::temp_dir().join(format!("ssa-bench-exports-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("idle.wasm");
        idle(LEAST, &path).unwrap();
        let exports = exports(&path).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert!(LEAST.iter().all(|wanted| exports.iter().any(|name| name == wanted)));
        assert!(!exports.iter().any(|name| name == "proxy_on_log"));
    }

    #[test]
    fn every_call_makes_a_module() {
        for call in HOST_CALLS {
            let path = env::temp_dir().join(format!("ssa-bench-{}-{}.wasm", call.import, std::process::id()));
            calling(&call, &path).unwrap();
            fs::remove_file(&path).unwrap();
        }
    }
}
