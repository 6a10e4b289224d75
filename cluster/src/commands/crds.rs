//! `ssa-cluster crds`.

use ssa_cluster::{
    store::{Identities, crds, policies},
    yaml,
};

/// What to print
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the admission policies instead, which bind each agent's token to its own objects
    #[arg(long, requires = "controller")]
    policies: bool,
    /// With --policies: the controller's service account
    #[arg(long, value_name = "NAMESPACE:NAME", value_parser = account)]
    controller: Option<Identities>,
}

fn account(text: &str) -> Result<Identities, String> {
    let is_name = |text: &str| ssa_cluster::objects::Name::new(text).is_ok();
    match text.split_once(':') {
        Some((namespace, name)) if is_name(namespace) && is_name(name) => Ok(Identities {
            namespace: namespace.to_owned(),
            controller: name.to_owned(),
        }),
        _ => Err("must be NAMESPACE:NAME".into()),
    }
}

/// Returns the YAML.
pub(crate) fn run(args: &Args) -> String {
    match &args.controller {
        Some(identities) if args.policies => yaml::documents(&policies(identities)),
        _ => yaml::documents(&crds()),
    }
}
