//! Keys that were made, and where they go: the one place of the command that shows key material.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use ssa_rules::{ClientKey, KeyId, Secret};

use crate::{
    failure::{Failure, Faults},
    input::files,
    output::Output,
};

/// Where keys go.
#[derive(Debug, clap::Args)]
pub(super) struct IntoArgs {
    /// Writes each key into a file of this directory in place of printing it: NAME, mode 0600, as ssa-resolver reads
    /// `secrets` and `client_keys`. A file that exists is left alone
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

/// A key that was made. It has no `Debug`: its digits are for the user alone.
pub(super) struct Made {
    id: KeyId,
    digits: String,
}

impl Made {
    pub(super) fn secret(id: KeyId, secret: &Secret) -> Self {
        let digits = hex(secret.expose());
        Self { id, digits }
    }

    pub(super) fn client_key(id: KeyId, key: &ClientKey) -> Self {
        let digits = hex(key.expose());
        Self { id, digits }
    }
}

fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}

impl IntoArgs {
    /// Notes, before any key is made, why keys of these names could not be written.
    pub(super) fn check<'a>(&self, names: impl IntoIterator<Item = &'a KeyId>, faults: &mut Faults) {
        let Some(folder) = &self.into else { return };
        if !folder.is_dir() {
            let what = if folder.exists() {
                "is not a directory"
            } else {
                "there is no such directory; make it first"
            };
            return faults.push("--into", format!("{}: {what}", folder.display()));
        }
        for name in names {
            let path = folder.join(name.as_str());
            if path.exists() {
                faults.push("--into", exists(&path));
            } else if let Err(reason) = files::check_writable(&path) {
                faults.push("--into", format!("{}: {reason}", path.display()));
            }
        }
    }

    /// Hands the keys out: prints them, or writes them into files and prints the paths. All of them or, where a file
    /// cannot be written, none.
    ///
    /// `more` is added to the JSON document.
    pub(super) fn hand_out(&self, keys: &[Made], more: Value, out: &mut Output) -> Result<(), Failure> {
        let files = match &self.into {
            Some(folder) => Some(write_all(folder, keys)?),
            None => None,
        };
        out.show_keys();
        let mut document = more;
        let shown = keys.iter().enumerate().map(|(index, made)| {
            let name = made.id.as_str();
            match files.as_ref().and_then(|files| files.get(index)) {
                Some(file) => (file.display().to_string(), json!({ "name": name, "file": file })),
                None => (
                    format!("{name}={}", made.digits),
                    json!({ "name": name, "key": made.digits }),
                ),
            }
        });
        let (lines, values): (Vec<String>, Vec<Value>) = shown.unzip();
        if out.is_json() {
            document["keys"] = values.into();
            out.json(&document);
        } else {
            for line in lines {
                out.line(line);
            }
        }
        Ok(())
    }
}

fn exists(path: &Path) -> String {
    format!(
        "{} exists and is left alone; a new key takes a new name",
        path.display()
    )
}

/// Writes a file for each key; tells every one that cannot be written, and then takes back the others.
fn write_all(folder: &Path, keys: &[Made]) -> Result<Vec<PathBuf>, Failure> {
    let mut faults = Faults::default();
    let mut written = Vec::new();
    for made in keys {
        let path = folder.join(made.id.as_str());
        match write(&path, &made.digits) {
            Ok(()) => written.push(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => faults.push("--into", exists(&path)),
            Err(error) => faults.push(
                "--into",
                format!("{}: {}", path.display(), files::reason(&path, &error)),
            ),
        }
    }
    if !faults.0.is_empty() {
        for path in &written {
            let _ = fs::remove_file(path);
        }
    }
    faults.check()?;
    Ok(written)
}

/// Writes a new file that its owner alone can read.
fn write(path: &Path, digits: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{digits}").inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}
