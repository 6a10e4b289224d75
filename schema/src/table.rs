//! Tables of fields in Markdown.

use std::fmt::Write;

use serde_json::Value;

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    name: String,
    kind: String,
    default: String,
    what: String,
}

/// Returns a table of the fields of an object, which stand behind this prefix: those that it needs first. Fields of objects
/// in it stand behind a dot.
#[must_use]
pub fn table(root: &Value, object: &Value, prefix: &str) -> String {
    written(&rows(root, object, prefix))
}

/// Returns a table of the fields of two objects, one for each role: what one of them has alone says of which role it is.
#[must_use]
pub fn table_by_role(root: &Value, inbound: &Value, outbound: &Value) -> String {
    let (inbound, outbound) = (rows(root, inbound, ""), rows(root, outbound, ""));
    let of = |role: &str, row: &Row| Row {
        what: format!("{role}: {}", row.what),
        ..row.clone()
    };
    let mut all = Vec::new();
    for row in &inbound {
        let other = outbound.iter().find(|other| other.name == row.name);
        if other == Some(row) {
            all.push(row.clone());
        } else {
            all.push(of("inbound", row));
            all.extend(other.map(|other| of("outbound", other)));
        }
    }
    let only = outbound
        .iter()
        .filter(|row| inbound.iter().all(|other| other.name != row.name));
    all.extend(only.map(|row| of("outbound", row)));
    written(&all)
}

/// Returns a table of what is found, with what is done by default, if a policy speaks of it.
#[must_use]
pub fn findings(findings: &Value, policy: &Value) -> String {
    let mut text = String::from("| finding | default action | when |\n| --- | --- | --- |\n");
    for finding in findings["oneOf"].as_array().into_iter().flatten() {
        let name = finding["const"].as_str().unwrap_or_default();
        let action = policy["properties"][name]["default"].as_str().unwrap_or_default();
        let when = line(finding["description"].as_str().unwrap_or_default());
        let _ = writeln!(text, "| `{name}` | {action} | {when} |");
    }
    text
}

fn written(rows: &[Row]) -> String {
    let mut text = String::from("| field | type, range | default | what |\n| --- | --- | --- | --- |\n");
    for Row {
        name,
        kind,
        default,
        what,
    } in rows
    {
        let _ = writeln!(text, "| `{name}` | {kind} | {default} | {what} |");
    }
    text
}

fn rows(root: &Value, object: &Value, prefix: &str) -> Vec<Row> {
    let Some(properties) = object["properties"].as_object() else {
        return Vec::new();
    };
    let required = |name: &str| {
        let mut names = object["required"].as_array().into_iter().flatten();
        names.any(|required| required == name)
    };
    let mut fields: Vec<(&String, &Value)> = properties.iter().collect();
    fields.sort_by_key(|(name, _)| !required(name));
    let mut rows = Vec::new();
    for (name, field) in fields {
        let whole = resolved(root, field);
        let what = field["description"].as_str().or(whole["description"].as_str());
        rows.push(Row {
            name: format!("{prefix}{name}"),
            kind: kind(root, field, unit(name)),
            default: if required(name) {
                "required".into()
            } else {
                default(field)
            },
            what: line(what.unwrap_or_default()),
        });
        if whole["properties"].is_object() {
            rows.extend(self::rows(root, whole, &format!("{prefix}{name}.")));
        }
    }
    rows
}

/// Returns what a reference stands for, and of what may be null the other.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(pointer) = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'))
    {
        return root.pointer(pointer).unwrap_or(schema);
    }
    match schema["anyOf"].as_array().map(Vec::as_slice) {
        Some([one, null]) if null["type"] == "null" => resolved(root, one),
        _ => schema,
    }
}

fn default(field: &Value) -> String {
    match &field["default"] {
        Value::Null | Value::Object(_) => String::new(),
        Value::Array(members) if members.is_empty() => "none".into(),
        Value::String(text) if text.is_empty() => "empty".into(),
        Value::String(text) => format!("`{text}`"),
        Value::Bool(flag) => format!("`{flag}`"),
        other => other.to_string(),
    }
}

/// Returns the unit of a number, by the end of its field's name.
fn unit(name: &str) -> &'static str {
    match name.rsplit_once('_').map_or(name, |(_, end)| end) {
        "ms" => " ms",
        "s" => " s",
        _ => "",
    }
}

fn kind(root: &Value, field: &Value, unit: &str) -> String {
    let schema = resolved(root, field);
    if let Some(title) = schema["title"].as_str().filter(|_| schema["properties"].is_null()) {
        return title.to_owned();
    }
    let words = words(schema);
    if !words.is_empty() {
        return words.join(", ");
    }
    let is = |wanted: &str| match &schema["type"] {
        Value::Array(types) => types.iter().any(|kind| kind == wanted),
        kind => kind == wanted,
    };
    if is("integer") {
        let (min, max) = (&schema["minimum"], &schema["maximum"]);
        return match (min.as_u64(), max.as_u64()) {
            (Some(min), Some(max)) if min == max => min.to_string(),
            (Some(min), Some(max)) => format!("{min} to {max}{unit}"),
            _ => "integer".into(),
        };
    }
    if is("array") {
        let items = &schema["items"];
        let of = match resolved(root, items)["properties"].as_object() {
            // Services have a table of their own.
            Some(fields) if fields.contains_key("name") => "objects".to_owned(),
            Some(fields) => {
                let names: Vec<String> = fields.keys().map(|name| format!("`{name}`")).collect();
                format!("objects of {}", names.join(", "))
            }
            None => kind(root, items, ""),
        };
        return match (schema["minItems"].as_u64().unwrap_or(0), schema["maxItems"].as_u64()) {
            (0, Some(max)) => format!("list, at most {max}: {of}"),
            (min, Some(max)) => format!("list, {min} to {max}: {of}"),
            (_, None) => format!("list: {of}"),
        };
    }
    for (name, word) in [("boolean", "`true`, `false`"), ("string", "text"), ("object", "object")] {
        if is(name) {
            return word.into();
        }
    }
    String::new()
}

/// Returns the words that a value may be.
fn words(schema: &Value) -> Vec<String> {
    let constants = |choices: &Value| -> Vec<String> {
        let choices = choices.as_array().into_iter().flatten();
        let words = choices.filter_map(|choice| choice["const"].as_str().or(choice.as_str()));
        words.map(|word| format!("`{word}`")).collect()
    };
    if let Some(word) = schema["const"].as_str() {
        return vec![format!("`{word}`")];
    }
    [constants(&schema["enum"]), constants(&schema["oneOf"])].concat()
}

/// Returns a text on one line, as a cell of a table has it.
fn line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}
