//! The program `ssa-cluster`.

mod commands;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ssa_input::{text::clean, usage::cleaned};

/// Moves slices between endpoints: the agent beside each endpoint, the node's part of it, and the controller
#[derive(Debug, Parser)]
#[command(name = "ssa-cluster", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keeps an endpoint's routes as the store says, in the endpoint's network namespace
    Agent(commands::Agent),
    /// Keeps a host's routes to its endpoints as the store says, in the host's network namespace
    Node,
    /// Decides which endpoint owns which slice, and leads slices from one to another
    Controller(commands::Controller),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&cleaned(error)),
    };
    let name = match arguments.command {
        Command::Agent(agent) => return finish(agent.run()),
        Command::Node => "node",
        Command::Controller(controller) => return finish(controller.run()),
    };
    eprintln!("error: ssa-cluster {name} is not built yet");
    ExitCode::from(2)
}

/// Runs a subcommand to its end, and says why it failed.
fn finish(command: impl Future<Output = Result<(), Box<dyn Error>>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(command))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", clean(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong with flags, or what was asked for: help and version.
fn explain(error: &clap::Error) -> ExitCode {
    let told = error.render().to_string();
    let lines = told.trim_end().lines().map(clean);
    if error.use_stderr() {
        lines.for_each(|line| eprintln!("{line}"));
        return ExitCode::from(2);
    }
    lines.for_each(|line| println!("{line}"));
    ExitCode::SUCCESS
}
