//! Writes the files that follow from the types anew.

use std::{fs, path::Path, process::ExitCode};

use ssa_schema::files::files;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match write(&root) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(root: &Path) -> std::io::Result<()> {
    for file in files(root)? {
        if file.found != file.wanted {
            fs::write(root.join(&file.path), &file.wanted)?;
            println!("{}: written", file.path);
        }
    }
    Ok(())
}
