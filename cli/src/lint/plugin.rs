//! `ssa lint --envoy`: the configurations of the module itself, judged as the module judges them.

use ssa_filter::config::Config;
use ssa_input::{secrets::concealed, yaml::Node};

use super::finding::{
    Code::PluginConfiguration,
    Finding,
    Severity::{Error, Warning},
};

/// What the types of Envoy's Wasm filters end with, whatever they filter.
const WASM: &str = ".wasm.v3.Wasm";

/// The type of a configuration that is a text.
const STRING: &str = "google.protobuf.StringValue";

/// What the module's file and the name of its virtual machine have in them.
const NAMES: [&str; 2] = ["ssa_filter", "ssa-filter"];

/// The name of its virtual machine, in the sample configurations and the chart.
const VM: &str = "ssa";

/// A configuration of the module.
pub(super) struct Plugin {
    /// The line that it begins in.
    line: usize,
    /// What is wrong with it, with its place in it.
    faults: Vec<String>,
    /// Whether it could be read at all.
    is_judged: bool,
}

/// Judges a filter's configuration, if it is that of the module.
pub(super) fn judge(filter: &Node) -> Option<Plugin> {
    let is_wasm = |node: &Node| {
        let name = node.get("@type").and_then(Node::text);
        name.is_some_and(|name| name.ends_with(WASM))
    };
    let config = filter
        .get("config")
        .filter(|config| is_wasm(filter) && is_ours(config))?;
    let Some(configuration) = config.get("configuration") else {
        return Some(Plugin {
            line: config.line,
            faults: vec!["configuration: missing".into()],
            is_judged: true,
        });
    };
    let kind = configuration.get("@type").and_then(Node::text).unwrap_or_default();
    let value = configuration.get("value").and_then(Node::text);
    let Some(value) = value.filter(|_| kind.ends_with(STRING)) else {
        return Some(Plugin {
            line: configuration.line,
            faults: vec![format!("configuration: is not a {STRING}")],
            is_judged: false,
        });
    };
    let faults = match Config::from_json(value.as_bytes()) {
        Ok(_) => return None,
        Err(error) => error.faults.iter().map(ToString::to_string).collect(),
    };
    Some(Plugin {
        line: configuration.line,
        faults,
        is_judged: true,
    })
}

/// Returns whether the module is ours, by the names of its virtual machine and of its file.
fn is_ours(config: &Node) -> bool {
    let Some(vm) = config.get("vm_config").or_else(|| config.get("vmConfig")) else {
        return false;
    };
    let id = vm.get("vm_id").or_else(|| vm.get("vmId")).and_then(Node::text);
    let mut is_named = id == Some(VM);
    if let Some(code) = vm.get("code") {
        code.visit(&mut |node| {
            let text = node.text().unwrap_or_default();
            is_named |= NAMES.iter().any(|name| text.contains(name));
        });
    }
    is_named
}

impl Plugin {
    /// Returns what is found in it; `before` lines come before the document.
    pub(super) fn findings(&self, name: &str, before: usize) -> impl Iterator<Item = Finding> {
        let place = format!("{name}:{}", before + self.line);
        let (severity, why) = if self.is_judged {
            (
                Error,
                "the module refuses such a configuration, and Envoy closes the connections of its listener",
            )
        } else {
            (
                Warning,
                "the module takes JSON, and what is in another type is not judged here",
            )
        };
        self.faults.iter().map(move |fault| {
            let what = concealed(fault).into_owned();
            Finding::new(PluginConfiguration, severity, &place, what, why)
        })
    }
}
