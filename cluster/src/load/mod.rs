//! What endpoints say of their load: an agent tells it at `/load`, and the leader asks each ready one.
//!
//! Loads do not go through the store: they change all the time, and nothing is lost when one is missed.
//!
//! ```
//! use ssa_cluster::load::LoadReport;
//!
//! let json = br#"{"prefixes": [{"prefix": "2001:db8:5::/72", "newFlows": 12.5, "bytes": 48000}]}"#;
//! assert_eq!(LoadReport::read(json).unwrap().prefixes[0].new_flows, 12.5);
//! ```

#[cfg(target_os = "linux")]
mod ask;

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
pub use ask::{Asked, ask};

use crate::objects::Prefix;

/// How often endpoints are asked, and slices may move for it.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// The most prefixes of a report.
pub const MAX_PREFIXES: usize = 1 << 14;

/// The largest report, in bytes of its JSON.
pub const MAX_BYTES: usize = 4 << 20;

/// What an endpoint says of its load since it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadReport {
    /// The load of each prefix that it owns, or is about to; those without any may be left out.
    pub prefixes: Vec<PrefixLoad>,
}

/// The load of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrefixLoad {
    /// The prefix: best each slice for itself.
    pub prefix: Prefix,
    /// New flows a second.
    #[serde(default)]
    pub new_flows: f64,
    /// Bytes a second, both ways.
    #[serde(default)]
    pub bytes: f64,
}

impl LoadReport {
    /// Reads a report.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("has {} bytes; a report has at most {MAX_BYTES}", text.len()));
        }
        let report: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if report.prefixes.len() > MAX_PREFIXES {
            let count = report.prefixes.len();
            return Err(format!(
                "prefixes: has {count} members; there may be at most {MAX_PREFIXES}"
            ));
        }
        for (number, one) in report.prefixes.iter().enumerate() {
            for (field, rate) in [("newFlows", one.new_flows), ("bytes", one.bytes)] {
                if !rate.is_finite() || rate < 0.0 {
                    return Err(format!(
                        "prefixes[{number}].{field}: {rate} is no rate; it is 0 or more"
                    ));
                }
            }
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_held_against_its_bounds() {
        for (text, wanted) in [
            ("{", "EOF while parsing an object at line 1 column 1"),
            ("{}", "missing field `prefixes` at line 1 column 2"),
            (
                r#"{"prefixes": [{"prefix": "2001:db8::/64", "bytes": -1}]}"#,
                "prefixes[0].bytes: -1 is no rate; it is 0 or more",
            ),
        ] {
            assert_eq!(LoadReport::read(text.as_bytes()), Err(wanted.to_owned()), "{text}");
        }
        let one = r#"{"prefix": "2001:db8::/64"}"#;
        let many = |count: usize| format!(r#"{{"prefixes": [{}]}}"#, vec![one; count].join(","));
        assert_eq!(
            LoadReport::read(many(MAX_PREFIXES).as_bytes()).unwrap().prefixes.len(),
            MAX_PREFIXES
        );
        let error = LoadReport::read(many(MAX_PREFIXES + 1).as_bytes()).unwrap_err();
        assert_eq!(error, "prefixes: has 16385 members; there may be at most 16384");
        let error = LoadReport::read(&vec![b' '; MAX_BYTES + 1]).unwrap_err();
        assert_eq!(error, "has 4194305 bytes; a report has at most 4194304");
        // What a later version says beside.
        let more = br#"{"prefixes": [], "more": 1}"#;
        assert_eq!(LoadReport::read(more), Ok(LoadReport::default()));
    }
}
