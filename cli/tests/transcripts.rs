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

#[cfg(unix)]
#[test]
fn commands_print_what_stands_in_the_docs() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md")).expect("the page");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("transcripts");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    let vectors =
        r#"[{"op": "parse", "rule": "v=ssa1; addr=rand:65", "apl": "2:2001:db8:5::/64", "expect": "usable"}]"#;
    fs::write(folder.join("mine.json"), format!("{vectors}\n")).expect("a file");
    let (blocks, skipped) = blocks(&page);
    assert!(blocks.len() >= 15, "{} blocks are run, {skipped} are not", blocks.len());
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
