//! Finds out whether the servers that the shim asks lead back to its own front: then the front's composed addresses would
//! be taken for published ones.
//!
//! The shim asks for a name that nobody knows, below the service's own so that it goes the way of the service's. The
//! front answers no such question but notes it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ssa_dns::{Name, Servers};

use crate::random;

/// What the first label of such a name begins with; what nobody can guess follows.
const PREFIX: &str = "_ssa-loop-";

/// The questions under way, and whether the front has met them.
#[derive(Debug, Default)]
pub struct Probe(Mutex<HashMap<String, bool>>);

impl Probe {
    fn pending(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a question, in wire format from its name on, is one of these, and notes it.
    pub fn meets(&self, question: &[u8]) -> bool {
        let label = question
            .split_first()
            .and_then(|(length, rest)| rest.get(..usize::from(*length)))
            .and_then(|label| std::str::from_utf8(label).ok());
        // Queriers and forwarders change the case of letters.
        let Some(label) = label.map(str::to_ascii_lowercase) else {
            return false;
        };
        if !label.starts_with(PREFIX) {
            return false;
        }
        self.pending().get_mut(&label).is_some_and(|met| {
            *met = true;
            true
        })
    }

    /// Returns whether a question about a name leads to the front.
    pub async fn leads_back(&self, servers: &Servers, name: &Name) -> bool {
        let Asked { label, .. } = &self.ask();
        let Ok(question) = name.prepend_label(label.as_str()) else {
            return false;
        };
        let _ = ssa_dns::texts(servers, &question).await;
        self.pending().get(label).copied().unwrap_or(false)
    }

    fn ask(&self) -> Asked<'_> {
        let label = format!("{PREFIX}{}", random::name());
        self.pending().insert(label.clone(), false);
        Asked { probe: self, label }
    }
}

/// A question under way, until this goes.
struct Asked<'a> {
    probe: &'a Probe,
    label: String,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.probe.pending().remove(&self.label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(label: &str) -> Vec<u8> {
        let mut bytes = vec![u8::try_from(label.len()).unwrap()];
        bytes.extend_from_slice(label.as_bytes());
        bytes.extend_from_slice(b"\x03web\x04test\0\0\x10\0\x01");
        bytes
    }

    #[test]
    fn questions_under_way_are_known_and_no_others() {
        let probe = Probe::default();
        let asked = probe.ask();
        let label = asked.label.clone();
        assert!(!probe.meets(&question("_ssa-loop-0000000000000000")));
        assert!(!probe.meets(&question("web")));
        for odd in [&b""[..], b"\x3f_ssa-loop-", b"\xff"] {
            assert!(!probe.meets(odd));
        }
        assert!(!probe.pending()[&label]);
        assert!(probe.meets(&question(&label.to_ascii_uppercase())));
        assert!(probe.pending()[&label]);
        drop(asked);
        assert!(!probe.meets(&question(&label)));
        assert!(probe.pending().is_empty());
    }
}
