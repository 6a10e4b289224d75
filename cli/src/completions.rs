//! `ssa completions`: scripts that complete commands in a shell.

use crate::{Outcome, failure::Failure, output::Output};

const EXAMPLES: &str = "\
Examples:
  ssa completions bash > ~/.local/share/bash-completion/completions/ssa
  ssa completions zsh > ~/.zfunc/_ssa
  ssa completions fish > ~/.config/fish/completions/ssa.fish";

/// Prints a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args, mut command: clap::Command, out: &mut Output) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "ssa", &mut script);
    let script = String::from_utf8(script).map_err(|error| Failure::input("completions", error))?;
    if out.is_json() {
        out.json(&serde_json::json!({ "shell": args.shell.to_string(), "script": script }));
    } else {
        out.put(script);
    }
    Ok(Outcome::Fine)
}
