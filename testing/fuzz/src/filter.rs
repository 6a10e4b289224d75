//! What the fuzz targets of the filter do with an input.

use std::fmt::Debug;

use ssa_filter::config::{Config, ConfigError, Snapshot};

/// Configurations of the plugin.
pub fn filter_config(data: &[u8]) -> bool {
    read(data, Config::from_json)
}

/// Snapshots, read as those of both roles: none is both.
pub fn filter_snapshot(data: &[u8]) -> bool {
    let inbound = read(data, Snapshot::inbound);
    let outbound = read(data, Snapshot::outbound);
    inbound || outbound
}

/// Reads twice, for it must be the same again, and says whether it was taken.
fn read<T: Debug>(data: &[u8], parse: fn(&[u8]) -> Result<T, ConfigError>) -> bool {
    let (first, again) = (parse(data), parse(data));
    match (&first, &again) {
        (Ok(first), Ok(again)) => {
            let (first, again) = (format!("{first:?}"), format!("{again:?}"));
            assert_eq!(first, again);
            true
        }
        (Err(first), Err(again)) => {
            assert!(!first.faults.is_empty());
            let text = first.to_string();
            assert!(!text.is_empty() && text == again.to_string());
            false
        }
        _ => panic!("taken once and refused once: {first:?}, {again:?}"),
    }
}
