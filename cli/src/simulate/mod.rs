//! `ssa simulate`: how a record spreads clients over endpoints.

use crate::{Outcome, failure::Failure, output::Output};

/// Arguments of `ssa simulate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: Args, _out: &mut Output) -> Result<Outcome, Failure> {
    Ok(Outcome::Fine)
}
