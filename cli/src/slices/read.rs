//! Documents in files.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{failure::Faults, input::files};

/// Reads a JSON file, noting what is wrong with it.
pub(super) fn json<T: DeserializeOwned>(place: &str, path: &Path, faults: &mut Faults) -> Option<T> {
    let text = faults.take(place, files::read(path))?;
    match ssa_input::json::read(&text) {
        Ok(read) => Some(read),
        Err(wrong) => {
            for fault in wrong {
                let within = if fault.path.is_empty() { "" } else { " " };
                faults.push(format!("{place}{within}{}", fault.path), fault.reason());
            }
            None
        }
    }
}
