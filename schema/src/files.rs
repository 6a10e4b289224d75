//! The generated files of the tree.

use std::{fs, io, path::Path};

use schemars::schema_for;
use serde_json::{Value, json};
use ssa_cluster::objects::{
    Condition, EndpointEntry, LeaseSpec, MapEndpoint, ObservedMove, SliceEndpointSpec, SliceEndpointStatus,
    SliceMapSpec, SliceMoveSpec, SliceMoveStatus, SliceNodeStatus, SliceSetSpec, SliceSetStatus,
};
use ssa_cluster::{
    store::{Identities, crds, policies},
    yaml,
};
use ssa_snapshot::Finding;

use crate::{chart, filter, findings, never_null, resolver, schemas, snapshot, table, table_by_role};

/// A file that is generated, in whole or in part.
#[derive(Debug)]
pub struct File {
    /// Its path in the tree.
    pub path: String,
    /// Its content now.
    pub found: String,
    /// Its content as generated.
    pub wanted: String,
}

/// Reads the generated files of a tree.
///
/// # Errors
///
/// A file cannot be read, or has no place for a generated part.
pub fn files(root: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    for (name, schema) in schemas() {
        let path = format!("docs/schema/{name}");
        files.push(whole(root, path, format!("{schema:#}\n"))?);
    }
    for (page, tables) in pages() {
        let path = format!("docs/{page}");
        let found = fs::read_to_string(root.join(&path))?;
        let mut wanted = found.clone();
        for (name, table) in tables {
            wanted = replaced(&wanted, name, &table)
                .ok_or_else(|| io::Error::other(format!("{path} has no place for the table {name}")))?;
        }
        files.push(File { path, found, wanted });
    }
    // Names of a release stand in place of these words.
    let identities = Identities {
        namespace: "@NAMESPACE@".to_owned(),
        controller: "@CONTROLLER@".to_owned(),
    };
    for (name, wanted) in [
        ("definitions.yaml", yaml::documents(&crds())),
        ("policies.yaml", yaml::documents(&policies(&identities))),
    ] {
        let path = format!("k8s/chart/files/{name}");
        files.push(whole(root, path, wanted)?);
    }
    let path = "k8s/chart/values.schema.json".to_owned();
    let found = fs::read_to_string(root.join(&path))?;
    let wanted = chart::updated(&found)
        .ok_or_else(|| io::Error::other(format!("{path} lacks the line of a generated definition")))?;
    files.push(File { path, found, wanted });
    Ok(files)
}

/// Reads a file that is generated as a whole, and may be missing.
fn whole(root: &Path, path: String, wanted: String) -> io::Result<File> {
    let found = match fs::read_to_string(root.join(&path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    Ok(File { path, found, wanted })
}

/// Returns the pages with their tables, by the name of their place.
fn pages() -> [(&'static str, Vec<(&'static str, String)>); 3] {
    let (filter, snapshot, resolver) = (filter(), snapshot(), resolver());
    let of = |root: &Value, name: &str| table(root, &root["$defs"][name], "");
    let by_role =
        |root: &Value, one: &str, other: &str| table_by_role(root, &root["$defs"][one], &root["$defs"][other]);
    // Services, policies and the front have tables of their own.
    let without = |object: &Value, fields: &[&str]| {
        let mut object = object.clone();
        if let Some(properties) = object["properties"].as_object_mut() {
            properties.retain(|name, _| !fields.contains(&name.as_str()));
        }
        object
    };
    let mut services = snapshot.clone();
    for service in ["InboundService", "OutboundService"] {
        services["$defs"][service]["properties"]["policy"] = json!({"type": "object", "description": POLICY});
    }
    let services = by_role(&services, "InboundService", "OutboundService");
    [
        (
            "filter.md",
            vec![
                ("configuration", by_role(&filter, "inbound", "outbound")),
                ("service", services),
                ("snapshot", of(&snapshot, "inbound")),
                (
                    "findings",
                    findings(&schema_for!(Finding).to_value(), &snapshot["$defs"]["Policy"]),
                ),
            ],
        ),
        (
            "resolver.md",
            vec![
                ("configuration", table(&resolver, &without(&resolver, &["front"]), "")),
                ("service", service_of(&resolver)),
                ("front", table(&resolver, &resolver["$defs"]["Front"], "front.")),
            ],
        ),
        ("cluster.md", objects()),
    ]
}

/// Returns the tables of the objects that agents, nodes and controllers share.
fn objects() -> Vec<(&'static str, String)> {
    let whole = |schema: schemars::Schema, prefix: &str| {
        let schema = never_null(schema.to_value());
        table(&schema, &schema, prefix)
    };
    vec![
        ("sliceset-spec", whole(schema_for!(SliceSetSpec), "spec.")),
        ("sliceset-endpoint", whole(schema_for!(EndpointEntry), "")),
        ("sliceset-status", whole(schema_for!(SliceSetStatus), "status.")),
        ("slicemap-spec", whole(schema_for!(SliceMapSpec), "spec.")),
        ("slicemap-endpoint", whole(schema_for!(MapEndpoint), "")),
        ("slicemove-spec", whole(schema_for!(SliceMoveSpec), "spec.")),
        ("slicemove-status", whole(schema_for!(SliceMoveStatus), "status.")),
        ("sliceendpoint-spec", whole(schema_for!(SliceEndpointSpec), "spec.")),
        (
            "sliceendpoint-status",
            whole(schema_for!(SliceEndpointStatus), "status."),
        ),
        ("observed-move", whole(schema_for!(ObservedMove), "")),
        ("slicenode-status", whole(schema_for!(SliceNodeStatus), "status.")),
        ("condition", whole(schema_for!(Condition), "")),
        ("lease-spec", whole(schema_for!(LeaseSpec), "spec.")),
    ]
}

/// Returns the table of a service in the shim's configuration.
fn service_of(resolver: &Value) -> String {
    let mut resolver = resolver.clone();
    resolver["$defs"]["Inbound"]["properties"]["policy"] = json!({"type": "object", "description": POLICY});
    table(&resolver, &resolver["$defs"]["Service"], "")
}

/// What the field `policy` is, where its own fields stand elsewhere.
const POLICY: &str =
    "What is done with each finding: an action by the finding's name; see [findings](filter.md#what-inbound-does).";

/// Returns a page with another table between `<!-- table: NAME -->` and `<!-- end -->`.
fn replaced(page: &str, name: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(&format!("<!-- table: {name} -->\n"))?;
    let (_, after) = rest.split_once("<!-- end -->")?;
    Some(format!("{before}<!-- table: {name} -->\n{table}<!-- end -->{after}"))
}
