//! Where the module under test comes from: `SSA_FILTER` names it; else `hack/module.sh` builds it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// Returns the module as it is shipped.
pub(crate) fn shipped() -> &'static [u8] {
    static SHIPPED: OnceLock<Vec<u8>> = OnceLock::new();
    SHIPPED.get_or_init(|| {
        let path = run("hack/module.sh", &[], &target(), &[]);
        read(Path::new(path.trim()))
    })
}

/// A module, and the linker's map of it, which names its functions.
pub(crate) struct Mapped {
    pub(crate) wasm: Vec<u8>,
    pub(crate) map: String,
}

/// Returns the module as it is built here, with its map.
pub(crate) fn mapped() -> &'static Mapped {
    static MAPPED: OnceLock<Mapped> = OnceLock::new();
    MAPPED.get_or_init(|| {
        // With one more wish to the linker. It has a folder of its own, for it runs meanwhile.
        let target = target().join("mapped");
        let folder = target.join("wasm32-unknown-unknown/module");
        let map = folder.join("ssa_filter.map");
        run(
            "hack/module.sh",
            &[&format!("-Clink-arg=-Map={}", map.display())],
            &target,
            &["SSA_FILTER"],
        );
        Mapped {
            wasm: read(&folder.join("ssa_filter.wasm")),
            map: String::from_utf8(read(&map)).expect("a text"),
        }
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the workspace")
}

/// Returns cargo's folder of what it built.
fn target() -> PathBuf {
    // A relative folder counts from where cargo was called, not from here: this test lies in that folder.
    let test = env::current_exe().expect("a test has a path");
    let target = test.ancestors().nth(3).expect("target/PROFILE/deps/TEST");
    env::var_os("CARGO_TARGET_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or(target.to_owned())
}

/// Runs a script of the project without these variables, and returns what it prints.
fn run(script: &str, arguments: &[&str], target: &Path, without: &[&str]) -> String {
    let mut command = Command::new(root().join(script));
    for variable in without {
        command.env_remove(variable);
    }
    let output = command
        .args(arguments)
        .current_dir(root())
        .env("CARGO_TARGET_DIR", target)
        // What cargo told this test of its own build is not for another.
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{script}: {error}"));
    assert!(
        output.status.success(),
        "{script} {}: the module does not build:\n{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("a path")
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
