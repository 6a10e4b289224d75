//! `ssa lint --envoy`: what in a configuration of Envoy takes away what rules stand on, or is refused by the module.
//!
//! It is read as YAML, of which JSON, such as a `config_dump`, is a part: comments tell nothing, and neither does a text
//! that only mentions a type. A configuration within another document, as in a `ConfigMap`, is read too.

use std::path::{Path, PathBuf};

use ssa_input::yaml::{self, Kind, Node};

use super::{
    finding::{Code::ProxyProtocol, Finding, Severity::Warning},
    plugin::{self, Plugin},
};
use crate::{
    failure::Faults,
    input::files::{self, FileError},
};

/// What types of Envoy begin with.
const TYPES: &str = "type.googleapis.com/envoy.";

/// What the listener filter's type has in its name, whatever its version.
const PROXY_PROTOCOL: &str = ".filter.listener.proxy_protocol.";

/// Keys that name the type of a value: of an `Any`, of a `TypedStruct` in it, and the types that a value discovered later
/// may have. JSON has the names of Protobuf's fields in both ways.
const TYPE_KEYS: [&str; 5] = ["@type", "type_url", "typeUrl", "type_urls", "typeUrls"];

/// The deprecated field of a filter chain that puts the listener filter before it.
const FLAGS: [&str; 2] = ["use_proxy_proto", "useProxyProto"];

/// What YAML may have for true.
const TRUE: [&str; 4] = ["true", "yes", "on", "y"];

/// The name of the same, by which older configurations have it without a type.
const NAMES: [&str; 2] = ["envoy.filters.listener.proxy_protocol", "envoy.listener.proxy_protocol"];

/// Keys of which a configuration has at least one at its top: of a bootstrap, of a dump, of an answer of an xDS server, and
/// of a listener. Each with whether it is a list.
const KEYS: [(&str, bool); 8] = [
    ("static_resources", false),
    ("dynamic_resources", false),
    ("layered_runtime", false),
    ("admin", false),
    ("configs", true),
    ("resources", true),
    ("filter_chains", true),
    ("listener_filters", true),
];

/// So deep are configurations read that lie in texts of others.
const MAX_NESTING: usize = 3;

/// Reads configurations, and tells what is in them.
pub(super) fn check_all(paths: &[PathBuf], faults: &mut Faults) -> Vec<Finding> {
    let mut found = Vec::new();
    for path in paths {
        let place = format!("--envoy {}", path.display());
        if let Some(seen) = faults.take(&place, read(path)) {
            let name = path.display().to_string();
            found.extend(seen.lines.into_iter().map(|line| finding(&name, line)));
            let plugins = seen.plugins.iter();
            found.extend(plugins.flat_map(|(before, plugin)| plugin.findings(&name, *before)));
        }
    }
    found
}

/// Why a file is not checked.
#[derive(Debug, thiserror::Error)]
enum EnvoyError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not YAML.
    #[error(transparent)]
    Yaml(#[from] yaml::Fault),
    /// It is for another program.
    #[error(
        "is not a configuration of Envoy: it has no \"@type\" of {TYPES}…, and at its top none of {}",
        KEYS.map(|(key, _)| key).join(", ")
    )]
    NotEnvoys,
    /// A field has another type.
    #[error("{key}: must be {wanted} (line {line})")]
    Type {
        key: &'static str,
        wanted: &'static str,
        line: usize,
    },
}

fn read(path: &Path) -> Result<Seen, EnvoyError> {
    let text = files::read_text(path)?;
    let documents = yaml::read(&text)?;
    let mut seen = Seen::default();
    for document in &documents {
        check_types(document)?;
        seen.look(document, 0, MAX_NESTING);
    }
    if seen.is_envoys {
        seen.lines.sort_unstable();
        seen.lines.dedup();
        Ok(seen)
    } else {
        Err(EnvoyError::NotEnvoys)
    }
}

/// Checks what stands at the top of a configuration.
fn check_types(document: &Node) -> Result<(), EnvoyError> {
    for (key, is_list) in KEYS {
        let Some(value) = document.get(key) else { continue };
        let (fits, wanted) = match &value.kind {
            Kind::Alias => continue,
            kind if is_list => (matches!(kind, Kind::List(_)), "a list"),
            kind => (matches!(kind, Kind::Mapping(_)), "an object"),
        };
        if !fits {
            let line = value.line;
            return Err(EnvoyError::Type { key, wanted, line });
        }
    }
    Ok(())
}

/// What is met in documents.
#[derive(Default)]
struct Seen {
    is_envoys: bool,
    /// Lines of the filter that is looked for.
    lines: Vec<usize>,
    /// Configurations of the module with faults, each with the lines before its document.
    plugins: Vec<(usize, Plugin)>,
}

impl Seen {
    /// Looks through a document whose lines are counted from so many before it.
    fn look(&mut self, document: &Node, before: usize, nesting: usize) {
        self.is_envoys |= KEYS.iter().any(|(key, _)| document.get(key).is_some());
        document.visit(&mut |node| {
            let types = types(node);
            self.plugins.extend(plugin::judge(node).map(|plugin| (before, plugin)));
            self.is_envoys |= types.iter().any(|(name, _)| name.starts_with(TYPES));
            let filters = types.iter().filter(|(name, _)| is_proxy_protocol(name));
            self.lines.extend(filters.map(|(_, line)| before + line));
            let scalar = |key: &&str| node.get(key).and_then(|value| Some((value.text()?, value.line)));
            let is_true = |(text, _): &(&str, usize)| TRUE.iter().any(|word| text.eq_ignore_ascii_case(word));
            let flag = FLAGS.iter().find_map(scalar).filter(is_true);
            // A filter that has a type is what the type says.
            let named = scalar(&"name").filter(|(name, _)| NAMES.contains(name) && types.is_empty() && !is_typed(node));
            self.lines
                .extend([flag, named].into_iter().flatten().map(|(_, line)| before + line));
            // A text of several lines may be a configuration itself, which begins on the text's own first line.
            if let Some(text) = node.text().filter(|text| nesting > 0 && text.contains('\n')) {
                for inner in yaml::read(text).unwrap_or_default() {
                    self.look(&inner, before + node.line.saturating_sub(1), nesting - 1);
                }
            }
        });
    }
}

/// Returns the types that a mapping names, each with its line.
fn types(node: &Node) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    for value in TYPE_KEYS.iter().filter_map(|key| node.get(key)) {
        let members = match &value.kind {
            Kind::List(members) => members.as_slice(),
            _ => std::slice::from_ref(value),
        };
        found.extend(members.iter().filter_map(|member| Some((member.text()?, member.line))));
    }
    found
}

/// Returns whether a filter has a type, or will have one of some types once its configuration is there.
fn is_typed(filter: &Node) -> bool {
    let configs = ["typed_config", "typedConfig", "config_discovery", "configDiscovery"];
    configs
        .iter()
        .filter_map(|key| filter.get(key))
        .any(|config| !types(config).is_empty())
}

/// Returns whether a type is the listener filter's. What stands before the last slash tells Envoy nothing.
fn is_proxy_protocol(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    // In `envoy.extensions` the names have `filters`.
    name.starts_with("envoy.") && name.replace(".filters.", ".filter.").contains(PROXY_PROTOCOL)
}

fn finding(name: &str, line: usize) -> Finding {
    let what = "a listener takes the source from the PROXY protocol";
    let why = "whoever can connect to it writes any source there: that of an exempt prober, or of a client whose \
               addresses it has seen";
    let advice = "a firewall or a network policy that lets the load balancer alone connect to this listener";
    Finding::new(ProxyProtocol, Warning, &format!("{name}:{line}"), what, why).instead(advice)
}
