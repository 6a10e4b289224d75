//! `ssa-cluster apply`, `get` and `delete`: objects of any store.

use std::{fs, path::PathBuf};

use serde_json::Value;
use ssa_cluster::{
    objects::{
        Kind, LeaseSpec, Name, Object, SliceEndpointSpec, SliceMapSpec, SliceMoveSpec, SliceNodeSpec, SliceSetSpec,
        Spec,
    },
    store::{Location, Store, StoreError},
    yaml,
};

/// What to write
#[derive(Debug, clap::Args)]
pub(crate) struct ApplyArgs {
    /// Files of JSON, an object each
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    location: Location,
}

/// What to read
#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    /// The kind: slicesets, slicemaps, slicemoves, sliceendpoints, slicenodes or leases
    #[arg(value_parser = kind)]
    kind: Kind,
    /// The object [default: all of the kind]
    name: Option<Name>,
    /// Print JSON instead of YAML
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    location: Location,
}

/// What to delete
#[derive(Debug, clap::Args)]
pub(crate) struct DeleteArgs {
    /// The kind: slicesets, slicemaps, slicemoves, sliceendpoints, slicenodes or leases
    #[arg(value_parser = kind)]
    kind: Kind,
    /// The object
    name: Name,
    #[command(flatten)]
    location: Location,
}

fn kind(text: &str) -> Result<Kind, String> {
    let lower = text.to_ascii_lowercase();
    let is_it = |kind: &Kind| kind.plural() == lower || kind.name().to_ascii_lowercase() == lower;
    Kind::ALL.into_iter().find(is_it).ok_or_else(|| {
        let all: Vec<&str> = Kind::ALL.iter().map(|kind| kind.plural()).collect();
        format!("must be one of {}", all.join(", "))
    })
}

/// Does something for the type of a kind.
macro_rules! of_kind {
    ($kind:expr, $work:ident($($argument:expr),*)) => {
        match $kind {
            Kind::SliceSet => $work::<SliceSetSpec>($($argument),*).await,
            Kind::SliceMap => $work::<SliceMapSpec>($($argument),*).await,
            Kind::SliceMove => $work::<SliceMoveSpec>($($argument),*).await,
            Kind::SliceEndpoint => $work::<SliceEndpointSpec>($($argument),*).await,
            Kind::SliceNode => $work::<SliceNodeSpec>($($argument),*).await,
            Kind::Lease => $work::<LeaseSpec>($($argument),*).await,
        }
    };
}

/// Writes the objects: makes those that are not there, and replaces the spec of those that are. Returns a line for each.
pub(crate) async fn apply(args: &ApplyArgs) -> Result<Vec<String>, Vec<String>> {
    let store = args.location.open().await.map_err(|error| told(&error))?;
    let mut lines = Vec::new();
    for file in &args.files {
        let within = |reason: String| vec![format!("{}: {reason}", file.display())];
        let text = fs::read(file).map_err(|error| within(ssa_input::files::reason(&error)))?;
        let value: Value = serde_json::from_slice(&text).unwrap_or_default();
        let found = value["kind"].as_str().unwrap_or("SliceSet");
        let of = kind(found).map_err(|error| within(format!("kind: {error}")))?;
        let done = of_kind!(of, apply_one(&store, &text));
        lines.push(done.map_err(|faults| faults.into_iter().flat_map(within).collect::<Vec<_>>())?);
    }
    Ok(lines)
}

async fn apply_one<S: Spec>(store: &Store, text: &[u8]) -> Result<String, Vec<String>> {
    let object: Object<S> =
        Object::read(text).map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let name = object.name().clone();
    loop {
        let outcome = match store.get::<S>(&name).await {
            Ok(mut kept) => {
                if kept.spec == object.spec {
                    return Ok(format!("{} {name} is unchanged", S::KIND));
                }
                kept.spec = object.spec.clone();
                store.update(&kept).await.map(|_| "changed")
            }
            Err(StoreError::NotFound { .. }) => store.create(&object).await.map(|_| "made"),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(done) => return Ok(format!("{} {name} is {done}", S::KIND)),
            // Somebody else was first: look again.
            Err(StoreError::Conflict { .. } | StoreError::Exists { .. }) => {}
            Err(error) => return Err(told(&error)),
        }
    }
}

/// Reads objects. Returns them as text, and a line for each that is at fault.
pub(crate) async fn get(args: &GetArgs) -> Result<(String, Vec<String>), Vec<String>> {
    let store = args.location.open().await.map_err(|error| told(&error))?;
    let (values, faults) = of_kind!(args.kind, get_all(&store, args.name.as_ref())).map_err(|error| told(&error))?;
    let text = if args.json {
        let values: Vec<String> = values.iter().map(|value| format!("{value:#}\n")).collect();
        values.concat()
    } else {
        yaml::documents(&values)
    };
    Ok((text, faults))
}

async fn get_all<S: Spec>(store: &Store, name: Option<&Name>) -> Result<(Vec<Value>, Vec<String>), StoreError> {
    if let Some(name) = name {
        return Ok((vec![store.get::<S>(name).await?.to_value()], Vec::new()));
    }
    let listed = store.list::<S>().await?;
    let faults = listed.faulty.iter().flat_map(|faulty| {
        let name = &faulty.name;
        faulty
            .faults
            .iter()
            .map(move |fault| format!("{} {name}: {fault}", S::KIND))
    });
    Ok((listed.objects.iter().map(Object::to_value).collect(), faults.collect()))
}

/// Deletes an object.
pub(crate) async fn delete(args: &DeleteArgs) -> Result<String, Vec<String>> {
    let store = args.location.open().await.map_err(|error| told(&error))?;
    of_kind!(args.kind, delete_one(&store, &args.name)).map_err(|error| told(&error))?;
    Ok(format!("{} {} is deleted", args.kind, args.name))
}

async fn delete_one<S: Spec>(store: &Store, name: &Name) -> Result<(), StoreError> {
    store.delete::<S>(name, None).await
}

fn told(error: &StoreError) -> Vec<String> {
    vec![error.to_string()]
}
