//! `ssa slices`: how the cluster spreads a service's addresses over its endpoints.

mod address;
mod drain;
mod endpoints;
mod moves;
mod plan;
mod read;
mod routes;
mod status;
mod stored;
mod watch;

use clap::Subcommand;

use crate::{Outcome, failure::Failure, output::Output};

/// Plans which endpoint every slice is routed to, and shows and directs the slices of a running cluster
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(plan::Args),
    Status(status::Args),
    Explain(address::Args),
    Drain(drain::DrainArgs),
    Undrain(drain::UndrainArgs),
    Move(moves::Args),
    Watch(watch::Args),
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Outcome, Failure> {
    match &args.command {
        Command::Plan(args) => plan::run(args, out),
        Command::Status(args) => status::run(args, out),
        Command::Explain(args) => address::run(args, out),
        Command::Drain(args) => drain::drain(args, out),
        Command::Undrain(args) => drain::undrain(args, out),
        Command::Move(args) => moves::run(args, out),
        Command::Watch(args) => watch::run(args, out),
    }
}
