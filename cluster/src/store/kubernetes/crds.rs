//! Custom resource definitions, made from the types.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::objects::{Kind, SliceEndpointSpec, SliceMapSpec, SliceMoveSpec, SliceNodeSpec, SliceSetSpec, Spec};

/// Returns the definitions of the project's own kinds.
#[must_use]
pub fn crds() -> Vec<Value> {
    let column = |name: &str, kind: &str, path: &str| json!({"name": name, "type": kind, "jsonPath": path});
    let age = column("Age", "date", ".metadata.creationTimestamp");
    vec![
        crd::<SliceSetSpec>(
            &["sset"],
            "A service whose addresses are spread over endpoints. A user writes the spec, the leader the status.",
            &[
                column("Service", "string", ".spec.service"),
                column("Slices", "integer", ".status.slices"),
                column("Endpoints", "integer", ".status.endpoints"),
                column("Ready", "integer", ".status.readyEndpoints"),
                column("Wanted", "integer", ".status.wantedEndpoints"),
                column("Moves", "integer", ".status.openMoves"),
                column("Permille", "integer", ".status.imbalancePermille"),
                column("Epoch", "integer", ".status.epoch"),
                age.clone(),
            ],
        ),
        crd::<SliceMapSpec>(
            &["smap"],
            "Which endpoint owns which prefix, and which stands by for it. The leader writes it.",
            &[
                column("Set", "string", ".spec.sliceSet"),
                column("Epoch", "integer", ".spec.epoch"),
                column("Part", "integer", ".spec.part"),
                column("Parts", "integer", ".spec.parts"),
                age.clone(),
            ],
        ),
        crd::<SliceMoveSpec>(
            &["smove"],
            "Prefixes on their way from one endpoint to another. The leader writes it.",
            &[
                column("Set", "string", ".spec.sliceSet"),
                column("From", "string", ".spec.from"),
                column("To", "string", ".spec.to"),
                column("Reason", "string", ".spec.reason"),
                column("Phase", "string", ".status.phase"),
                column("Epoch", "integer", ".spec.epoch"),
                column("Since", "date", ".status.phaseSince"),
                json!({"name": "Message", "type": "string", "jsonPath": ".status.message", "priority": 1}),
                age.clone(),
            ],
        ),
        crd::<SliceEndpointSpec>(
            &["sep"],
            "An endpoint. The leader writes the spec, the endpoint's own agent the status.",
            &[
                column("Address", "string", ".spec.address"),
                column("Node", "string", ".spec.node"),
                column("Domain", "string", ".spec.domain"),
                column("Weight", "integer", ".spec.weight"),
                column("Ready", "boolean", ".status.ready"),
                column("Drained", "boolean", ".spec.drained"),
                column("Since", "date", ".status.readySince"),
                age.clone(),
            ],
        ),
        crd::<SliceNodeSpec>(
            &["snode"],
            "A host that routes prefixes to its endpoints, and says when its FIB has followed. It writes all of it.",
            &[
                column("Ready", "boolean", ".status.ready"),
                column("Since", "date", ".status.readySince"),
                age,
            ],
        ),
    ]
}

fn crd<S: Spec>(short: &[&str], description: &str, columns: &[Value]) -> Value {
    let kind = S::KIND;
    let singular = kind.name().to_lowercase();
    let mut properties = json!({
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": structural(generator().into_root_schema_for::<S>().to_value()),
    });
    let mut subresources = Map::new();
    if kind.has_status() {
        properties["status"] = structural(generator().into_root_schema_for::<S::Status>().to_value());
        subresources.insert("status".into(), json!({}));
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", kind.plural(), kind.group())},
        "spec": {
            "group": kind.group(),
            "names": {
                "kind": kind.name(),
                "listKind": format!("{}List", kind.name()),
                "plural": kind.plural(),
                "singular": singular,
                "shortNames": short,
                "categories": ["ssa"],
            },
            "scope": "Namespaced",
            "versions": [{
                "name": kind.version(),
                "served": true,
                "storage": true,
                "subresources": subresources,
                "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "description": description,
                    "required": ["spec"],
                    "properties": properties,
                    "x-kubernetes-validations": [{
                        "rule": format!("size(self.metadata.name) <= {}", S::MAX_NAME),
                        "message": format!("the name of a {} has at most {} bytes", kind.name(), S::MAX_NAME),
                    }],
                }},
            }],
        },
    })
}

/// Generates schemas without references, which definitions may not have.
fn generator() -> SchemaGenerator {
    SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .into_generator()
}

/// Makes of a schema one that is structural as Kubernetes wants it.
fn structural(schema: Value) -> Value {
    let Value::Object(mut object) = schema else {
        return schema;
    };
    for field in ["$schema", "title", "additionalProperties"] {
        // A map says of what; an object alone that nothing else may be there, which pruning sees to.
        if field != "additionalProperties" || object.get(field).is_none_or(Value::is_boolean) {
            object.remove(field);
        }
    }
    // A field that may be absent is absent, and not null.
    object.remove("nullable");
    if let Some(Value::Array(kinds)) = object.get("type") {
        let only = kinds.iter().find(|kind| **kind != "null").cloned();
        object.insert("type".into(), only.unwrap_or(Value::Null));
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(format) = object.get("format").and_then(Value::as_str) {
        match format {
            "uint8" | "uint16" => object.insert("format".into(), "int32".into()),
            "uint32" | "uint64" | "uint" => object.insert("format".into(), "int64".into()),
            "date-time" => None,
            // Others say what a text is about; Kubernetes knows none of them for these.
            _ if object.get("type") == Some(&json!("string")) => object.remove("format"),
            _ => None,
        };
    }
    // Words each with its meaning.
    if let Some(Value::Array(choices)) = object.remove("oneOf").or_else(|| object.remove("anyOf")) {
        let (mut words, mut meanings) = (Vec::new(), Vec::new());
        let mut rest = None;
        for choice in choices {
            let meaning = choice["description"].as_str().unwrap_or_default().to_owned();
            let word = choice
                .get("const")
                .cloned()
                .or_else(|| match choice["enum"].as_array().map(Vec::as_slice) {
                    Some([word]) => Some(word.clone()),
                    _ => None,
                });
            match word {
                Some(Value::Null) => {}
                Some(word) => {
                    meanings.push(format!("{}: {meaning}", word.as_str().unwrap_or_default()));
                    words.push(word);
                }
                None if choice["type"] == "null" => {}
                None => rest = Some(choice),
            }
        }
        if let Some(Value::Object(rest)) = rest {
            for (field, value) in rest {
                object.entry(field).or_insert(value);
            }
            return structural(Value::Object(object));
        }
        object.insert("type".into(), "string".into());
        object.insert("enum".into(), words.into());
        let own = object.get("description").and_then(Value::as_str).unwrap_or_default();
        object.insert(
            "description".into(),
            format!("{own} {}", meanings.join(" ")).trim().into(),
        );
    }
    object
        .into_iter()
        .map(|(field, value)| {
            let value = match (field.as_str(), value) {
                ("properties", Value::Object(fields)) => fields
                    .into_iter()
                    .map(|(name, schema)| (name, structural(schema)))
                    .collect(),
                ("items" | "additionalProperties", value) => structural(value),
                (_, value) => value,
            };
            (field, value)
        })
        .collect()
}

/// The kinds that are the project's own, all of them.
const _: fn(Kind) -> bool = |kind| match kind {
    Kind::SliceSet | Kind::SliceMap | Kind::SliceMove | Kind::SliceEndpoint | Kind::SliceNode => true,
    Kind::Lease => false,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &Value, path: &str) {
        let fields = schema.as_object().unwrap();
        let kind = fields.get("type").and_then(Value::as_str);
        assert!(kind.is_some() && kind != Some("null"), "{path}: has no type: {schema}");
        for forbidden in [
            "$ref",
            "$defs",
            "$schema",
            "oneOf",
            "anyOf",
            "allOf",
            "nullable",
            "title",
            "const",
            "definitions",
        ] {
            assert!(!fields.contains_key(forbidden), "{path}: {forbidden}");
        }
        let format = fields.get("format").and_then(Value::as_str);
        assert!(
            matches!(format, None | Some("int32" | "int64" | "date-time")),
            "{path}: {format:?}"
        );
        for (name, field) in fields
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            check(field, &format!("{path}.{name}"));
        }
        for below in ["items", "additionalProperties"] {
            if let Some(schema) = fields.get(below) {
                check(schema, &format!("{path}[]"));
            }
        }
    }

    #[test]
    fn schemas_are_structural_and_say_what_fields_are() {
        let all = crds();
        assert_eq!(all.len(), 5);
        for definition in &all {
            let version = &definition["spec"]["versions"][0];
            let schema = &version["schema"]["openAPIV3Schema"];
            check(schema, definition["metadata"]["name"].as_str().unwrap());
            for column in version["additionalPrinterColumns"].as_array().unwrap() {
                let path = column["jsonPath"].as_str().unwrap();
                let mut at = schema;
                for step in path.split('.').skip(1).filter(|_| !path.starts_with(".metadata")) {
                    at = &at["properties"][step];
                }
                assert!(at["type"].is_string(), "{path}");
            }
        }
        let phase =
            &all[2]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["phase"];
        assert_eq!(phase["enum"][0], "Prepare");
        assert!(phase["description"].as_str().unwrap().contains("Drain: "), "{phase}");
        let spec = &all[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        assert_eq!(spec["properties"]["bits"]["maximum"], 20);
        assert_eq!(spec["properties"]["endpoints"]["properties"]["list"]["maxItems"], 4096);
    }
}
