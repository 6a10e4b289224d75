//! `ssa slices`: how the cluster spreads a service's addresses over its endpoints.

mod endpoints;
mod plan;
mod read;
mod routes;

use clap::Subcommand;

use crate::{Outcome, failure::Failure, output::Output};

/// Plans which endpoint every slice of the addresses is routed to
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(plan::Args),
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Outcome, Failure> {
    match &args.command {
        Command::Plan(args) => plan::run(args, out),
    }
}
