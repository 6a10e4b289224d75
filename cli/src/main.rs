//! `ssa`: Structured Service Addressing from the command line.
//!
//! Exit codes: 0 conforming or fine, 1 not, 2 usage, bad input, or no answer to be had.

mod completions;
mod compose;
mod counts;
mod explain;
mod failure;
mod input;
mod key;
mod lint;
mod mint;
mod outcome;
mod output;
mod published;
mod random;
mod resolve;
mod simulate;
mod slices;
mod style;
mod vectors;
mod verify;

use std::{io::Write, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use ssa_input::{files::reason, secrets::concealed, usage::cleaned};

use failure::{Failure, Fault, Kind};
use outcome::Outcome;
use output::{Colour, Output};

/// Structured Service Addressing: an address is a template, and this reads, fills and checks it.
///
/// A service publishes its address space as a DNS APL record and a rule as a TXT record at `_ssa.`; clients compose
/// addresses by it and the cluster verifies them.
#[derive(Debug, Parser)]
#[command(name = "ssa", version, propagate_version = true, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    /// Prints one JSON document on standard output, errors too ({"error": {"faults": [...]}})
    #[arg(long, global = true, help_heading = "Output")]
    json: bool,
    /// When to colour; `NO_COLOR` is respected
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Output"
    )]
    color: Colour,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 conforming or fine; 1 not; 2 usage, bad input, or no answer to be had.";

#[derive(Debug, Subcommand)]
enum Command {
    Compose(compose::Args),
    Mint(mint::Args),
    Verify(verify::Args),
    Resolve(resolve::Args),
    Explain(explain::Args),
    Lint(lint::Args),
    Simulate(simulate::Args),
    Slices(slices::Args),
    Key(key::Args),
    Vectors(vectors::Args),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    let mut command = numbers_are_values(Cli::command());
    let parsed = command.try_get_matches_from_mut(std::env::args_os());
    let cli = match parsed.and_then(|mut found| Cli::from_arg_matches_mut(&mut found)) {
        Ok(cli) => cli,
        Err(error) => return usage(&cleaned(error)),
    };
    let mut out = Output::new(cli.json, cli.color);
    let result = match cli.command {
        Command::Compose(args) => compose::run(&args, &mut out),
        Command::Mint(args) => mint::run(&args, &mut out),
        Command::Verify(args) => verify::run(&args, &mut out),
        Command::Resolve(args) => resolve::run(&args, &mut out),
        Command::Explain(args) => explain::run(args, &mut out),
        Command::Lint(args) => lint::run(args, &mut out),
        Command::Simulate(args) => simulate::run(args, &mut out),
        Command::Slices(args) => slices::run(&args, &mut out),
        Command::Key(args) => key::run(&args, &mut out),
        Command::Vectors(args) => vectors::run(args, &mut out),
        Command::Completions(args) => completions::run(&args, Cli::command(), &mut out),
    };
    let code = match result {
        Ok(Outcome::Fine) => 0,
        Ok(Outcome::NotFine) => 1,
        Ok(Outcome::BadInput) => 2,
        Err(Failure { faults, kind }) => {
            out.faults(&faults);
            if kind == Kind::NotFine { 1 } else { 2 }
        }
    };
    match out.finish() {
        Ok(()) => ExitCode::from(code),
        Err(error) => {
            Output::new(false, Colour::Auto).faults(&[Fault::new("standard output", reason(&error))]);
            ExitCode::from(2)
        }
    }
}

/// Lets negative numbers be values, so that what is said of them is what is allowed.
fn numbers_are_values(command: clap::Command) -> clap::Command {
    let takes_numbers = |arg: clap::Arg| {
        let takes_values = arg.get_action().takes_values();
        if takes_values {
            arg.allow_negative_numbers(true)
        } else {
            arg
        }
    };
    command.mut_args(takes_numbers).mut_subcommands(numbers_are_values)
}

/// Leaves out the tip to write `--` before what is no flag: no value here begins with a hyphen.
fn without_hyphen_tip(text: &str) -> String {
    let is_tip = |line: &str| line.contains("tip:") && line.contains("as a value, use");
    let mut kept: Vec<&str> = Vec::new();
    for line in text.lines().filter(|line| !is_tip(line)) {
        if !(line.is_empty() && kept.last().is_some_and(|last| last.is_empty())) {
            kept.push(line);
        }
    }
    kept.join("\n") + "\n"
}

/// Prints what clap found: help and version as they are, errors of usage as JSON where that is wanted.
fn usage(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|arg| arg == "--json");
    if json && error.use_stderr() {
        let mut out = Output::new(true, Colour::Never);
        let text = without_hyphen_tip(&error.render().to_string());
        let message = text.trim().trim_start_matches("error: ");
        out.faults(&[Fault::new("command line", message)]);
        let _ = out.finish();
    } else if error.use_stderr() {
        // A reader that left is no one to tell.
        let rendered = without_hyphen_tip(&error.render().ansi().to_string());
        let _ = write!(anstream::stderr(), "{}", concealed(&rendered));
    } else {
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
