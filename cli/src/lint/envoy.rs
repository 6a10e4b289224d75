//! `ssa lint --envoy`: what in a configuration of Envoy takes away what rules stand on.
//!
//! It is read as YAML, of which JSON, such as a `config_dump`, is a part: comments tell nothing, and neither does a text
//! that only mentions a type. A configuration within another document, as in a `ConfigMap`, is read too.

use std::path::{Path, PathBuf};

use ssa_input::yaml::{self, Node};

use super::finding::{Code::ProxyProtocol, Finding, Severity::Warning};
use crate::{failure::Faults, input::files};

/// What types of Envoy begin with.
const TYPES: &str = "type.googleapis.com/envoy.";

/// The type of the listener filter, whatever its version.
const PROXY_PROTOCOL: &str = "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.";

/// The name of the same, by which older configurations have it without a type.
const NAMES: [&str; 2] = ["envoy.filters.listener.proxy_protocol", "envoy.listener.proxy_protocol"];

/// Keys of which a configuration has at least one at its top: of a bootstrap, of a dump, of an answer of an xDS server, and
/// of a listener.
const KEYS: [&str; 8] = [
    "static_resources",
    "dynamic_resources",
    "layered_runtime",
    "admin",
    "configs",
    "resources",
    "filter_chains",
    "listener_filters",
];

/// So deep are configurations read that lie in texts of others.
const MAX_NESTING: usize = 3;

/// Reads configurations, and tells what is in them.
pub(super) fn check_all(paths: &[PathBuf], faults: &mut Faults) -> Vec<Finding> {
    let mut found = Vec::new();
    for path in paths {
        let place = format!("--envoy {}", path.display());
        if let Some(lines) = faults.take(&place, read(path)) {
            let name = path.display().to_string();
            found.extend(lines.into_iter().map(|line| finding(&name, line)));
        }
    }
    found
}

fn read(path: &Path) -> Result<Vec<usize>, String> {
    let text = files::read_text(path)?;
    let documents = yaml::read(&text).map_err(|fault| fault.to_string())?;
    let mut seen = Seen::default();
    for document in &documents {
        seen.look(document, 0, MAX_NESTING);
    }
    if seen.is_envoys {
        seen.lines.sort_unstable();
        seen.lines.dedup();
        Ok(seen.lines)
    } else {
        Err(format!(
            "is not a configuration of Envoy: it has no \"@type\" of {TYPES}…, and at its top none of {}",
            KEYS.join(", ")
        ))
    }
}

/// What is met in documents.
#[derive(Default)]
struct Seen {
    is_envoys: bool,
    /// Lines of the filter that is looked for.
    lines: Vec<usize>,
}

impl Seen {
    /// Looks through a document whose lines are counted from so many before it.
    fn look(&mut self, document: &Node, before: usize, nesting: usize) {
        self.is_envoys |= KEYS.iter().any(|key| document.get(key).is_some());
        document.visit(&mut |node| {
            let of = |key| node.get(key).and_then(|value| Some((value.text()?, value.line)));
            if let Some((text, line)) = of("@type") {
                self.is_envoys |= text.starts_with(TYPES);
                if text.starts_with(PROXY_PROTOCOL) {
                    self.lines.push(before + line);
                }
            } else if let Some((_, line)) = of("name").filter(|(name, _)| NAMES.contains(name)) {
                let typed = node
                    .get("typed_config")
                    .is_some_and(|config| config.get("@type").is_some());
                if !typed {
                    self.lines.push(before + line);
                }
            }
            // A text of several lines may be a configuration itself, which begins on the text's own first line.
            if let Some(text) = node.text().filter(|text| nesting > 0 && text.contains('\n')) {
                for inner in yaml::read(text).unwrap_or_default() {
                    self.look(&inner, before + node.line.saturating_sub(1), nesting - 1);
                }
            }
        });
    }
}

fn finding(name: &str, line: usize) -> Finding {
    let what = "a listener takes the source from the PROXY protocol";
    let why = "whoever can connect to it writes any source there: that of an exempt prober, or of a client whose \
               addresses it has seen";
    let advice = "a firewall or a network policy that lets the load balancer alone connect to this listener";
    Finding::new(ProxyProtocol, Warning, &format!("{name}:{line}"), what, why).instead(advice)
}
