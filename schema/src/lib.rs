//! Documents generated from the types that read them: JSON Schemas, the tables of the documentation, and the parts of the
//! chart's schema for the same fields.
//!
//! `cargo run -p ssa-schema` writes them; a test compares the files of the tree with them.

pub mod chart;
pub mod files;
mod table;

use schemars::schema_for;
use serde_json::{Map, Value, json};
use ssa_snapshot::{InboundSnapshot, OutboundSnapshot, plugin};

pub use table::{findings, table, table_by_role};

/// The JSON Schemas, each with the name of its file in docs/schema/.
#[must_use]
pub fn schemas() -> [(&'static str, Value); 3] {
    [
        ("filter.schema.json", filter()),
        ("snapshot.schema.json", snapshot()),
        ("resolver.schema.json", resolver()),
    ]
}

/// The plugin's configuration.
#[must_use]
pub fn filter() -> Value {
    let mut inbound = never_null(schema_for!(plugin::Inbound).to_value());
    let mut outbound = never_null(schema_for!(plugin::Outbound).to_value());
    for (schema, service) in [(&mut inbound, "InboundService"), (&mut outbound, "OutboundService")] {
        schema["oneOf"] = json!([{"required": ["services"]}, {"required": ["snapshot"]}]);
        // Everybody can read this configuration, and every record of it must be usable.
        let service = &mut schema["$defs"][service];
        if let Some(properties) = service["properties"].as_object_mut() {
            properties.remove("secrets");
        }
        service["properties"]["rules"]["minItems"] = json!(1);
        if let Some(definitions) = schema["$defs"].as_object_mut() {
            definitions.remove("KeyMaterial");
        }
    }
    either("The configuration of the plugin ssa_filter.wasm", inbound, outbound)
}

/// Snapshots, as resolvers serve them.
#[must_use]
pub fn snapshot() -> Value {
    let inbound = never_null(schema_for!(InboundSnapshot).to_value());
    let outbound = never_null(schema_for!(OutboundSnapshot).to_value());
    either(
        "A snapshot for the filters of servers, or of clients",
        inbound,
        outbound,
    )
}

/// The shim's configuration.
#[must_use]
pub fn resolver() -> Value {
    ssa_resolver::config::schema().to_value()
}

/// Returns a schema of what is one thing or another.
fn either(title: &str, inbound: Value, outbound: Value) -> Value {
    let mut definitions = Map::new();
    for (name, mut schema) in [("inbound", inbound), ("outbound", outbound)] {
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("$schema");
            schema.remove("title");
            if let Some(Value::Object(own)) = schema.remove("$defs") {
                definitions.extend(own);
            }
        }
        definitions.insert(name.to_owned(), schema);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "anyOf": [{"$ref": "#/$defs/inbound"}, {"$ref": "#/$defs/outbound"}],
        "$defs": definitions,
    })
}

/// Takes `null` out of a schema: fields of these types are absent or have a value.
fn never_null(schema: Value) -> Value {
    match schema {
        Value::Object(mut object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice["type"] != "null");
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    object.extend(only);
                }
            }
            if object.get("default") == Some(&Value::Null) {
                object.remove("default");
            }
            Value::Object(
                object
                    .into_iter()
                    .map(|(key, value)| (key, never_null(value)))
                    .collect(),
            )
        }
        Value::Array(members) => Value::Array(members.into_iter().map(never_null).collect()),
        other => other,
    }
}
