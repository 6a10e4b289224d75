//! Runs a committed corpus of a fuzz target through the target's own body.

use std::path::{Path, PathBuf};

/// Names the input that a body panics on.
struct Named<'a>(&'a Path);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input is {}", self.0.display());
        }
    }
}

/// Runs the corpus of a target, and checks that it has inputs of both kinds, accepted and refused.
///
/// # Panics
///
/// Where it cannot be read, has inputs of one kind alone, or holds one that the body panics on, which is named then.
pub fn replay(target: &str, body: fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder's entry").path())
        .collect();
    files.sort();
    let accepted = files.iter().filter(|file| {
        let _named = Named(file);
        body(&std::fs::read(file).expect("a file of the corpus"))
    });
    let accepted = accepted.count();
    assert!(
        accepted > 0 && accepted < files.len(),
        "{accepted} of {} inputs of {target} accepted",
        files.len()
    );
}
