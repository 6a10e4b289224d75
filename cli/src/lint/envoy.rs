//! `ssa lint --envoy`: what in a configuration of Envoy takes away what rules stand on.
//!
//! It is looked at line by line, as YAML or as JSON, such as a `config_dump`: comments tell nothing.

use std::{fs::File, io::Read, path::Path};

use super::finding::{Code::ProxyProtocol, Finding, Severity::Warning};
use crate::failure::Faults;

/// The most bytes of a configuration.
const MAX_BYTES: u64 = 64 << 20;

/// The type of the listener filter, wherever it stands.
const PROXY_PROTOCOL: &str = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";

/// Reads configurations, and tells what is in them.
pub(super) fn check_all(paths: &[std::path::PathBuf], faults: &mut Faults) -> Vec<Finding> {
    let mut found = Vec::new();
    for path in paths {
        let place = format!("--envoy {}", path.display());
        if let Some(text) = faults.take(&place, read(path)) {
            found.extend(check(&path.display().to_string(), &text));
        }
    }
    found
}

fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("more than {MAX_BYTES} bytes"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn check(name: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().zip(1_usize..);
    let uses = lines.filter(|(line, _)| !line.trim_start().starts_with('#') && line.contains(PROXY_PROTOCOL));
    let finding = |(_, number): (&str, usize)| {
        let what = "a listener takes the source from the PROXY protocol";
        let why = "whoever can connect to it writes any source there: that of an exempt prober, or of a client whose \
                   addresses it has seen";
        let advice = "a firewall or a network policy that lets the load balancer alone connect to this listener";
        Finding::new(ProxyProtocol, Warning, &format!("{name}:{number}"), what, why).instead(advice)
    };
    uses.map(finding).collect()
}
