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
    Agent(Box<commands::Agent>),
    /// Keeps a host's routes to its endpoints as the store says, in the host's network namespace
    Node(commands::Node),
    /// Decides which endpoint owns which slice, and leads slices from one to another
    Controller(commands::Controller),
    /// Prints the custom resource definitions, for kubectl apply -f -
    #[cfg(feature = "kubernetes")]
    Crds(commands::CrdsArgs),
    /// Writes objects of JSON files to a store: makes them, or replaces their spec
    Apply(commands::ApplyArgs),
    /// Prints objects of a store
    Get(commands::GetArgs),
    /// Deletes an object of a store
    Delete(commands::DeleteArgs),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&cleaned(error)),
    };
    match arguments.command {
        Command::Agent(agent) => finish((*agent).run()),
        Command::Node(node) => finish(node.run()),
        Command::Controller(controller) => finish(controller.run()),
        #[cfg(feature = "kubernetes")]
        Command::Crds(args) => {
            print!("{}", commands::crds(&args));
            ExitCode::SUCCESS
        }
        Command::Apply(args) => ended(commands::apply(&args), |lines| {
            for line in &lines {
                println!("{line}");
            }
        }),
        Command::Get(args) => ended(commands::get(&args), |(text, faults)| {
            print!("{text}");
            for fault in &faults {
                tell(fault);
            }
        }),
        Command::Delete(args) => ended(commands::delete(&args), |line| println!("{line}")),
    }
}

/// Runs a subcommand to its end, and says why it failed.
fn finish(command: impl Future<Output = Result<(), Box<dyn Error>>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(Into::into).and_then(|runtime| {
        let done = runtime.block_on(command);
        // A disk or a probe that hangs is not waited for.
        runtime.shutdown_background();
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", clean(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

/// Does something with a store, and says what came of it.
fn ended<T>(work: impl Future<Output = Result<T, Vec<String>>>, done: impl FnOnce(T)) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(vec![ssa_input::files::reason(&error)]),
    };
    match outcome {
        Ok(outcome) => {
            done(outcome);
            ExitCode::SUCCESS
        }
        Err(faults) => {
            for fault in &faults {
                tell(fault);
            }
            ExitCode::from(2)
        }
    }
}

/// Writes a line to standard error.
fn tell(text: &str) {
    eprintln!("error: {}", clean(text));
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
