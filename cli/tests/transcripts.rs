//! The transcripts of docs/cli.md: every command in them prints what stands there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What a block that cannot be run has before it, with the reason.
const NOT_RUN: &str = "<!-- not run: ";

/// A block of commands.
struct Block {
    /// The line that it begins in, from 1.
    line: usize,
    commands: Vec<Step>,
}

/// A command, and what it prints.
struct Step {
    command: String,
    printed: String,
}

/// Returns the blocks of a page that can be run, and how many cannot.
fn blocks(page: &str) -> (Vec<Block>, usize) {
    let (mut found, mut skipped, mut before) = (Vec::new(), 0, "");
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line != "```console" {
            before = if line.is_empty() { before } else { line };
            continue;
        }
        let mut commands: Vec<Step> = Vec::new();
        let mut is_open = false;
        for (_, line) in lines.by_ref().take_while(|(_, line)| *line != "```") {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push(Step {
                    command: command.into(),
                    printed: String::new(),
                }),
                (None, Some(step)) if is_open => step.command.extend(["\n", line]),
                (None, Some(step)) => step.printed.extend([line, "\n"]),
                (None, None) => panic!("line {}: no command comes first", number + 2),
            }
            let goes_on = |step: &Step| step.printed.is_empty() && step.command.ends_with(['\\', '|']);
            is_open = commands.last().is_some_and(goes_on);
        }
        if before.starts_with(NOT_RUN) {
            skipped += 1;
        } else {
            found.push(Block {
                line: number + 1,
                commands,
            });
        }
        before = "";
    }
    (found, skipped)
}

/// Runs a command in a folder by a shell. Returns what it prints, errors where they come, and its exit code if it failed.
fn run(command: &str, folder: &Path) -> String {
    let output = fs::File::create(folder.join(".output")).expect("a file");
    let mut shell = Command::new("sh");
    let program = Path::new(env!("CARGO_BIN_EXE_ssa"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [program.parent().expect("a folder").into()]
        .into_iter()
        .chain(std::env::split_paths(&path).collect::<Vec<PathBuf>>());
    let status = shell
        .args(["-c", command])
        .current_dir(folder)
        .env("PATH", std::env::join_paths(folders).expect("paths"))
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a handle"))
        .stderr(output)
        .status()
        .expect("sh runs");
    let mut printed = fs::read_to_string(folder.join(".output")).expect("text");
    if let Some(code) = status.code().filter(|code| *code != 0) {
        printed.extend(["[exit ", &code.to_string(), "]\n"]);
    }
    printed
}

/// A text without blanks at the ends of its lines, and without blank lines at its end.
fn plain(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// Makes the store that transcripts of `ssa slices` look at: half of the slices are on their way from `e0` to `e1`, and `e2`
/// has nothing. Agents report in an hour, so that they are not silent however long the others take.
#[cfg(target_os = "linux")]
fn make_store(folder: &Path) {
    use serde_json::json;
    use ssa_cluster::{
        objects::{Object, SliceEndpoint, SliceEndpointSpec, SliceMap, SliceMove, SliceMoveSpec, SliceSet, Spec},
        store::{FileStore, Store},
    };

    fn object<S: Spec>(name: &str, spec: serde_json::Value) -> Object<S> {
        Object::new(
            name.parse().expect("a name"),
            serde_json::from_value(spec).expect("a spec"),
        )
    }

    #[expect(clippy::disallowed_methods, reason = "the command looks at the clock too")]
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a time");
    let soon =
        ssa_cluster::objects::Timestamp::from_millis(i64::try_from(now.as_millis()).expect("a time") + 3_600_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let store = Store::new(std::sync::Arc::new(FileStore::open(folder).await.expect("a store")));
        let names = ["e0", "e1", "e2"];
        let entry = |(number, name): (usize, &&str)| json!({"name": name, "address": format!("2001:db8:ffff::{number}1")});
        let list: Vec<_> = names.iter().enumerate().map(entry).collect();
        let set: SliceSet = object(
            "store",
            json!({"service": "store.example", "apl": "2:2001:db8:5::/64", "bits": 8, "endpoints": {"list": list},
                   "placement": {"drained": ["e0"]}}),
        );
        store.create(&set).await.expect("a set");
        let halves = ["2001:db8:5::/65", "2001:db8:5:0:8000::/65"];
        let map: SliceMap = object(
            "store-0",
            json!({"sliceSet": "store", "epoch": 2, "sliceLength": 72, "endpoints": [
                {"name": "e0", "owned": [halves[0]], "standby": [halves[1]]},
                {"name": "e1", "owned": [halves[1]], "standby": [halves[0]]}]}),
        );
        store.create(&map).await.expect("a map");
        let one: SliceMove = object(
            "store-3",
            json!({"sliceSet": "store", "epoch": 3, "from": "e0", "to": "e1", "prefixes": [halves[0]], "reason": "Drain"}),
        );
        let mut one = store.create(&one).await.expect("a move");
        one.status.phase = ssa_cluster::objects::Phase::Drain;
        store.update_status::<SliceMoveSpec>(&one).await.expect("a phase");
        for (number, name) in names.iter().enumerate() {
            let endpoint: SliceEndpoint = object(
                name,
                json!({"sliceSets": ["store"], "address": format!("2001:db8:ffff::{number}1")}),
            );
            let mut endpoint = store.create(&endpoint).await.expect("an endpoint");
            endpoint.status.ready = true;
            endpoint.status.serving = true;
            endpoint.status.renewed_at = Some(soon);
            let observed = json!([{"name": "store-3", "epoch": 3, "phase": "Drain", "flows": (number == 0).then_some(12)}]);
            if number < 2 {
                endpoint.status.moves = serde_json::from_value(observed).expect("a report");
            }
            store.update_status::<SliceEndpointSpec>(&endpoint).await.expect("a status");
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn commands_print_what_stands_in_the_docs() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md")).expect("the page");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("transcripts");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    let vectors =
        r#"[{"op": "parse", "rule": "v=ssa1; addr=rand:65", "apl": "2:2001:db8:5::/64", "expect": "usable"}]"#;
    fs::write(folder.join("mine.json"), format!("{vectors}\n")).expect("a file");
    make_store(&folder.join("store"));
    let (blocks, skipped) = blocks(&page);
    assert!(blocks.len() >= 20, "{} blocks are run, {skipped} are not", blocks.len());
    let mut faults = Vec::new();
    for Block { line, commands } in blocks {
        for step in commands {
            let printed = run(&step.command, &folder);
            if plain(&printed) != plain(&step.printed) {
                let Step { command, printed: told } = step;
                faults.push(format!(
                    "docs/cli.md:{line}: {command}\n--- the page has\n{told}--- it prints\n{printed}"
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn blocks_have_commands_that_go_on_over_lines_and_say_why_they_are_not_run() {
    let page = "a\n```console\n$ one \\\n  more\nprinted\n\nlast\n$ two |\n  three\n```\n<!-- not run: far -->\n\n\
                ```console\n$ four\n```\n";
    let (found, skipped) = blocks(page);
    assert_eq!((found.len(), skipped), (1, 1));
    let steps: Vec<(&str, &str)> = found[0]
        .commands
        .iter()
        .map(|step| (&*step.command, &*step.printed))
        .collect();
    assert_eq!(steps, [("one \\\n  more", "printed\n\nlast\n"), ("two |\n  three", "")]);
    assert_eq!(found[0].line, 2);
}
