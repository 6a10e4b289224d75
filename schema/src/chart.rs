//! The parts of the chart's values.schema.json that are generated: what a filter's and a shim's settings may be.
//!
//! Each definition is one line of that file, so that the rest of it keeps its own layout.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::{filter, resolver};

/// Returns the generated definitions, each with its name.
#[must_use]
pub fn definitions() -> Vec<(&'static str, Value)> {
    let (filter, resolver) = (filter(), resolver());
    let of_filter = |pointer: &str| constraints(filter.pointer(pointer).unwrap_or(&Value::Null));
    let of_resolver = |pointer: &str| constraints(resolver.pointer(pointer).unwrap_or(&Value::Null));
    let subscription = |field: &str| of_filter(&format!("/$defs/Subscription/properties/{field}"));
    let hold = |field: &str| of_filter(&format!("/$defs/Hold/properties/{field}"));
    let findings = resolver["$defs"]["Policy"]["properties"].as_object();
    let findings: Vec<&String> = findings.into_iter().flat_map(Map::keys).collect();
    vec![
        ("portNumber", of_resolver("/$defs/Inbound/properties/ports/items")),
        (
            "hold",
            json!({
                "type": "object", "additionalProperties": false, "required": ["connections", "ms"],
                "properties": { "connections": hold("connections"), "ms": hold("ms") }
            }),
        ),
        ("failureModeAllow", subscription("failure_mode_allow")),
        ("refreshMs", subscription("refresh_ms")),
        ("waitS", subscription("wait_s")),
        ("noMatch", of_filter("/$defs/inbound/properties/no_match")),
        ("pool", of_filter("/$defs/outbound/properties/pool")),
        ("maxPow", or_null(of_filter("/$defs/outbound/properties/max_pow"))),
        (
            "minTimeStepS",
            or_null(of_filter("/$defs/outbound/properties/min_time_step_s")),
        ),
        ("mode", of_resolver("/$defs/Inbound/properties/mode")),
        (
            "policy",
            json!({
                "type": "object", "propertyNames": { "enum": findings },
                "additionalProperties": of_resolver("/$defs/Policy/properties/legacy")
            }),
        ),
        (
            "services",
            json!({
                "type": "array", "maxItems": resolver["properties"]["services"]["maxItems"],
                "items": { "$ref": "#/definitions/service" }
            }),
        ),
    ]
}

/// Returns the constraints of a schema alone, without descriptions and defaults.
fn constraints(schema: &Value) -> Value {
    let choices = |key: &str| schema[key].as_array().into_iter().flatten();
    let words: Vec<&Value> = choices("enum")
        .chain(choices("oneOf").map(|choice| &choice["const"]))
        .collect();
    if !words.is_empty() {
        return json!({ "enum": words });
    }
    let kept = ["type", "minimum", "maximum"];
    let kept = kept.into_iter().filter(|key| !schema[*key].is_null());
    kept.map(|key| (key.to_owned(), schema[key].clone())).collect()
}

/// Returns a schema that allows null, which leaves the setting to its default.
fn or_null(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

/// Returns the chart's schema with its generated definitions up to date; nothing if it lacks one.
#[must_use]
pub fn updated(text: &str) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (name, definition) in definitions() {
        let start = format!("    \"{name}\": ");
        let line = lines.iter_mut().find(|line| line.starts_with(&start))?;
        let comma = if line.ends_with(',') { "," } else { "" };
        *line = format!("{start}{}{comma}", one_line(&definition));
    }
    Some(lines.join("\n") + "\n")
}

/// Writes a value in one line, with blanks as in the rest of the file.
fn one_line(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(fields) => {
            text.push('{');
            for (number, (name, value)) in fields.iter().enumerate() {
                let separator = if number == 0 { "" } else { "," };
                let _ = write!(text, "{separator} \"{name}\": {}", one_line(value));
            }
            text.push_str(" }");
        }
        Value::Array(members) => {
            let members: Vec<String> = members.iter().map(one_line).collect();
            let _ = write!(text, "[{}]", members.join(", "));
        }
        other => text = other.to_string(),
    }
    text
}
