//! `ssa key new`.

use serde_json::json;
use ssa_rules::Secret;

use super::made::{IntoArgs, Made};
use crate::{
    Outcome,
    failure::{Failure, Faults},
    input::key_name,
    output::Output,
};

const EXAMPLES: &str = "\
Prints a line NAME=HEX, as --secret-file reads it: 16 random bytes of the system. A record names it by its tag key.

Examples:
  (umask 077; ssa key new > keys.txt)
  ssa key new k2 --into secrets

Exit codes: 0 made; 2 usage or bad input.";

/// Draws a secret
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The secret's name: 1 to 32 of a-z A-Z 0-9 - _
    #[arg(value_name = "NAME", default_value = "k1")]
    name: String,
    #[command(flatten)]
    into: IntoArgs,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Outcome, Failure> {
    let mut faults = Faults::default();
    let id = faults.take("NAME", key_name(&args.name));
    args.into.check(id.as_ref(), &mut faults);
    faults.check()?;
    let Some(id) = id else {
        return Err(Failure::input("command line", "incomplete"));
    };
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::input("random bits of the system", error))?;
    let made = Made::secret(id, &Secret::new(bytes));
    args.into.hand_out(&[made], json!({}), out)?;
    Ok(Outcome::Fine)
}
