//! `ssa key`: draws secrets, and derives the keys of single clients from them.

mod derive;
mod made;
mod new;

use clap::Subcommand;

use crate::{Outcome, failure::Failure, output::Output};

/// Makes keys: secrets of services, and of each client its own
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::Args),
    Derive(derive::Args),
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Outcome, Failure> {
    match &args.command {
        Command::New(args) => new::run(args, out),
        Command::Derive(args) => derive::run(args, out),
    }
}
