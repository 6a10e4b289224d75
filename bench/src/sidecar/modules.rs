//! Wasm modules to measure: the filter, one of the SDK that does nothing, and written ones that do nothing or one host call.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::error::Error;

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
    /// Where its data lies, and the data. Results go to 0 and 4.
    data: (u16, &'static str),
    /// What is done before it.
    before: &'static str,
}

const PROPERTY: Call = Call {
    name: "",
    import: "proxy_get_property",
    parameters: "i32 i32 i32 i32",
    arguments: "",
    data: (0, ""),
    before: "",
};
const SOURCE: Call = Call {
    name: "get_property source.address",
    arguments: "(i32.const 1024) (i32.const 14) (i32.const 0) (i32.const 4)",
    data: (1024, r"source\00address"),
    ..PROPERTY
};
const DESTINATION: Call = Call {
    name: "get_property destination.address",
    arguments: "(i32.const 1088) (i32.const 19) (i32.const 0) (i32.const 4)",
    data: (1088, r"destination\00address"),
    ..PROPERTY
};
const FLAGS: Call = Call {
    name: "get_property response.flags",
    arguments: "(i32.const 1152) (i32.const 14) (i32.const 0) (i32.const 4)",
    data: (1152, r"response\00flags"),
    ..PROPERTY
};
const NEW_NOTE: Call = Call {
    name: "set_property, a new key each",
    import: "proxy_set_property",
    // The key is one of the digits behind the value.
    arguments: "(i32.const 137{i}) (i32.const 1) (i32.const 1280) (i32.const 74)",
    data: (
        1280,
        "service=web.demo.test verdict=violation part=field_0 outcome=denied gen=07                0123456789",
    ),
    ..PROPERTY
};
const NOTE: Call = Call {
    name: "set_property, the same key",
    arguments: "(i32.const 1370) (i32.const 3) (i32.const 1280) (i32.const 74)",
    ..NEW_NOTE
};
const STATE: Call = Call {
    name: "set_envoy_filter_state, a destination",
    import: "proxy_call_foreign_function",
    parameters: "i32 i32 i32 i32 i32 i32",
    arguments: "(i32.const 1408) (i32.const 22) (i32.const 1430) (i32.const 94) (i32.const 0) (i32.const 4)",
    data: (
        1408,
        r"set_envoy_filter_state\0a\33envoy.network.transport_socket.original_dst_address\12\25[2001:db8:7:1:f28c:1a2b:3c4d:1000]:80\18\02",
    ),
    // One of 256 addresses in turn: the last three digits, counted at 24.
    before: "(i32.store (i32.const 24) (i32.add (i32.load (i32.const 24)) (i32.const 1)))
        (i32.store8 (i32.const 1517) (i32.add (i32.const 48) (i32.and (i32.load (i32.const 24)) (i32.const 7))))
        (i32.store8 (i32.const 1516) (i32.add (i32.const 48)
            (i32.and (i32.shr_u (i32.load (i32.const 24)) (i32.const 3)) (i32.const 7))))
        (i32.store8 (i32.const 1515) (i32.add (i32.const 48)
            (i32.and (i32.shr_u (i32.load (i32.const 24)) (i32.const 6)) (i32.const 3))))",
};
const TIME: Call = Call {
    name: "get_current_time_nanoseconds",
    import: "proxy_get_current_time_nanoseconds",
    parameters: "i32",
    arguments: "(i32.const 0)",
    ..PROPERTY
};
const COUNT: Call = Call {
    name: "increment_metric",
    import: "proxy_increment_metric",
    parameters: "i32 i64",
    arguments: "(i32.load (i32.const 16)) (i64.const 1)",
    ..PROPERTY
};
const RECORD: Call = Call {
    name: "record_metric, a gauge",
    import: "proxy_record_metric",
    parameters: "i32 i64",
    arguments: "(i32.load (i32.const 20)) (i64.const {i})",
    ..PROPERTY
};
const LOG: Call = Call {
    name: "log, below the level that is logged",
    import: "proxy_log",
    parameters: "i32 i32 i32",
    arguments: "(i32.const 0) (i32.const 1280) (i32.const 20)",
    data: NEW_NOTE.data,
    ..PROPERTY
};

/// The same, one of 16 addresses in turn: as many as the filter has in use.
const STATE_OF_FEW: Call = Call {
    before: "(i32.store (i32.const 24) (i32.add (i32.load (i32.const 24)) (i32.const 1)))
        (i32.store8 (i32.const 1517) (i32.add (i32.const 48) (i32.and (i32.load (i32.const 24)) (i32.const 7))))
        (i32.store8 (i32.const 1516) (i32.add (i32.const 48)
            (i32.and (i32.shr_u (i32.load (i32.const 24)) (i32.const 3)) (i32.const 1))))",
    ..STATE
};

/// What is measured one by one.
pub(crate) const HOST_CALLS: [Call; 10] = [
    SOURCE,
    DESTINATION,
    FLAGS,
    NEW_NOTE,
    NOTE,
    STATE,
    TIME,
    COUNT,
    RECORD,
    LOG,
];

/// What a module does in a callback.
pub(crate) type Deed<'a> = (&'a str, &'a [Call]);

/// The host calls that the filter makes for a connection that it lets in.
pub(crate) const INBOUND_CALLS: [Deed<'_>; 1] = [(NEW_CONNECTION, &[SOURCE, DESTINATION, TIME, COUNT, NOTE])];

/// The host calls that the filter makes for a connection that it rewrites. It makes another, for the upstream address, at
/// one in 16 ends of connections whose clients finish first, as those of the bench do.
pub(crate) const OUTBOUND_CALLS: [Deed<'_>; 1] = [(NEW_CONNECTION, &[DESTINATION, TIME, STATE, COUNT, NOTE])];

/// The number of the variant whose addresses [`REDIRECTING`] sets.
pub(crate) const REDIRECTED: u16 = 1;

/// The fewest host calls by which any Wasm filter can send a connection elsewhere, by where it was going.
pub(crate) const REDIRECTING: [Deed<'_>; 1] = [(NEW_CONNECTION, &[DESTINATION, STATE_OF_FEW])];

/// The fewest by which any can judge a connection by its ends.
pub(crate) const JUDGING: [Deed<'_>; 1] = [(NEW_CONNECTION, &[SOURCE, DESTINATION])];

const NEW_CONNECTION: &str = "proxy_on_new_connection";

/// What every module that is measured must have to see connections at all.
pub(crate) const LEAST: [&str; 2] = ["proxy_on_context_create", NEW_CONNECTION];

/// Writes a module that exports these callbacks and does nothing in them but these calls, and traps when one fails;
/// unknown callbacks are left out.
pub(crate) fn write<'a>(
    callbacks: impl IntoIterator<Item = &'a str>,
    deeds: &[Deed<'_>],
    into: &Path,
) -> Result<(), Error> {
    let callbacks = callbacks.into_iter().collect();
    let binary = wat::parse_str(text(&callbacks, deeds)).map_err(|fault| Error::Module {
        path: into.into(),
        fault: fault.to_string(),
    })?;
    fs::write(into, binary).map_err(Error::io("write", into))
}

/// Returns a module in the text format of WebAssembly.
fn text(callbacks: &BTreeSet<&str>, deeds: &[Deed<'_>]) -> String {
    let calls = || deeds.iter().flat_map(|(_, calls)| *calls);
    let imports: BTreeMap<_, _> = calls().map(|call| (call.import, call.parameters)).collect();
    let data: BTreeMap<_, _> = calls().map(|call| call.data).collect();
    let mut lines: Vec<String> = imports
        .into_iter()
        .map(|(name, parameters)| {
            format!(r#"(import "env" "{name}" (func ${name} (param {parameters}) (result i32)))"#)
        })
        .collect();
    let mut configure = "";
    if !deeds.is_empty() {
        lines
            .push(r#"(import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))"#.into());
        lines.push(r#"(data (i32.const 2048) "bench_counterbench_gauge")"#.into());
        configure = "(drop (call $define (i32.const 0) (i32.const 2048) (i32.const 13) (i32.const 16)))
                     (drop (call $define (i32.const 1) (i32.const 2061) (i32.const 11) (i32.const 20)))";
    }
    lines.extend(
        data.into_iter()
            .map(|(place, data)| format!(r#"(data (i32.const {place}) "{data}")"#)),
    );
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
        let done = deeds
            .iter()
            .filter(|(callback, _)| callback == name)
            .flat_map(|(_, calls)| *calls);
        let calls: Vec<String> = done
            .enumerate()
            .map(|(i, call)| {
                let Call { import, before, .. } = call;
                let arguments = call.arguments.replace("{i}", &i.to_string());
                format!("{before} (if (call ${import} {arguments}) (then unreachable))")
            })
            .collect();
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

    fn written(name: &str, deeds: &[Deed<'_>]) -> Vec<String> {
        let path = env::temp_dir().join(format!("ssa-bench-{name}-{}.wasm", std::process::id()));
        write(LEAST, deeds, &path).unwrap();
        let exports = exports(&path).unwrap();
        fs::remove_file(&path).unwrap();
        exports
    }

    #[test]
    fn exports_are_read_back() {
        let exports = written("idle", &[]);
        assert!(LEAST.iter().all(|wanted| exports.iter().any(|name| name == wanted)));
        assert!(!exports.iter().any(|name| name == "proxy_on_log"));
    }

    #[test]
    fn every_call_makes_a_module() {
        for call in HOST_CALLS {
            written("call", &[(NEW_CONNECTION, &[call])]);
        }
        written("inbound", &INBOUND_CALLS);
        written("outbound", &OUTBOUND_CALLS);
        written("redirecting", &REDIRECTING);
        written("judging", &JUDGING);
    }
}
