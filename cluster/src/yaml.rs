//! Values as YAML, for people and for `kubectl apply -f -`.

use std::fmt::Write;

use serde_json::Value;

/// Writes values as documents of a stream. Texts that could be taken for something else are quoted as JSON quotes them,
/// which YAML 1.2 reads as the same.
#[must_use]
pub fn documents(values: &[Value]) -> String {
    let mut text = String::new();
    for (number, value) in values.iter().enumerate() {
        if number > 0 {
            text.push_str("---\n");
        }
        block(&mut text, value, 0);
    }
    text
}

/// Writes a value on lines of its own, or a scalar on what is left of one.
fn block(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                indent(text, depth);
                field(text, name, value, depth);
            }
        }
        Value::Array(members) if !members.is_empty() => {
            for member in members {
                indent(text, depth);
                text.push('-');
                match member {
                    Value::Object(fields) if !fields.is_empty() => {
                        text.push(' ');
                        for (number, (name, value)) in fields.iter().enumerate() {
                            if number > 0 {
                                indent(text, depth + 1);
                            }
                            field(text, name, value, depth + 1);
                        }
                    }
                    Value::Array(inner) if !inner.is_empty() => {
                        text.push('\n');
                        block(text, member, depth + 1);
                    }
                    scalar => {
                        text.push(' ');
                        block(text, scalar, depth);
                    }
                }
            }
        }
        Value::String(word) if is_plain(word) => {
            let _ = writeln!(text, "{word}");
        }
        scalar => {
            let _ = writeln!(text, "{scalar}");
        }
    }
}

fn field(text: &mut String, name: &str, value: &Value, depth: usize) {
    match value {
        _ if !is_plain(name) => {
            let _ = write!(text, "{}:", Value::from(name));
        }
        _ => {
            let _ = write!(text, "{name}:");
        }
    }
    let is_block = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(members) => !members.is_empty(),
        _ => false,
    };
    if is_block {
        text.push('\n');
        block(text, value, depth + 1);
    } else {
        text.push(' ');
        block(text, value, depth);
    }
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// Says whether a text is read as that text without quotes, by readers of YAML 1.1 too.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let lower = text.to_ascii_lowercase();
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
        && !WORDS.contains(&lower.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let value = json!({
            "apiVersion": "v1", "words": ["a", "yes", "1", "", "a: b", "größe"], "number": 7, "none": null, "flag": true,
            "empty": {}, "nothing": [], "nested": [[1, 2], {"a": 1, "b": {"c": "d"}}], "a b": "x"
        });
        let wanted = "\"a b\": x
apiVersion: v1
empty: {}
flag: true
nested:
  -
    - 1
    - 2
  - a: 1
    b:
      c: d
none: null
nothing: []
number: 7
words:
  - a
  - \"yes\"
  - \"1\"
  - \"\"
  - \"a: b\"
  - \"größe\"
";
        assert_eq!(documents(std::slice::from_ref(&value)), wanted);
        assert_eq!(documents(&[json!(1), json!("a")]), "1\n---\na\n");
        // Another reader takes it for what it is.
        ssa_input::yaml::read(wanted).unwrap();
    }
}
