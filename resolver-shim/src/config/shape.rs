//! What of a configuration does not have the shape that is foreseen: every field of it, and where it stands.

use std::fmt::Write;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::{
    fault::{Fault, Problem},
    raw,
};

/// The most faults that are told.
const MAX_FAULTS: usize = 64;

/// A configuration as it is written, but for services whose shape is at fault.
pub(super) struct Shaped {
    /// All but the services.
    pub(super) config: raw::Config,
    /// The services, in their places.
    pub(super) services: Vec<Option<raw::Service>>,
    /// What is wrong.
    pub(super) faults: Vec<Fault>,
}

/// Reads a configuration.
///
/// # Errors
///
/// It is no JSON, or no object.
pub(super) fn read(json: &[u8]) -> Result<Shaped, Fault> {
    let first = match serde_json::from_slice::<raw::Config>(json) {
        Ok(mut config) => {
            let services = std::mem::take(&mut config.services).into_iter().map(Some).collect();
            return Ok(Shaped {
                config,
                services,
                faults: Vec::new(),
            });
        }
        Err(error) => error,
    };
    let whole = |error: &serde_json::Error| Fault {
        place: String::new(),
        problem: Problem::Shape {
            reason: error.to_string(),
        },
    };
    let mut value: Value = serde_json::from_slice(json).map_err(|_| whole(&first))?;
    let mut faults = Vec::new();
    let of_services = value.get_mut("services").filter(|services| services.is_array());
    let of_services = of_services.map_or(Value::Null, Value::take);
    if !of_services.is_null() {
        remove(&mut value, &["services".into()]);
    }
    let members = if let Value::Array(members) = of_services {
        members
    } else {
        Vec::new()
    };
    let config = part::<raw::Config>(&mut value, &[], json, &mut faults);
    let mut services = Vec::new();
    for (number, mut member) in members.into_iter().enumerate() {
        let before = faults.len();
        let service = part::<raw::Service>(&mut member, &["services".into(), Step::At(number)], json, &mut faults);
        services.push(service.filter(|_| faults.len() == before));
    }
    // Such as a field that stands twice, which a value does not show.
    if faults.is_empty() {
        return Err(whole(&first));
    }
    faults.truncate(MAX_FAULTS);
    match config {
        Some(config) => Ok(Shaped {
            config,
            services,
            faults,
        }),
        None => Err(faults.swap_remove(0)),
    }
}

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    At(usize),
}

impl From<&str> for Step {
    fn from(field: &str) -> Self {
        Self::Field(field.to_owned())
    }
}

/// Reads a part of a configuration. What is at fault is told, and left out for the next try.
fn part<T: DeserializeOwned>(value: &mut Value, at: &[Step], json: &[u8], faults: &mut Vec<Fault>) -> Option<T> {
    let mut removed: Vec<Vec<Step>> = Vec::new();
    while faults.len() < MAX_FAULTS {
        let error = match serde_path_to_error::deserialize::<_, T>(&*value) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        let steps = steps(error.path());
        let reason = error.inner().to_string();
        let lacking = reason
            .strip_prefix("missing field `")
            .and_then(|rest| rest.strip_suffix('`'));
        let known = lacking.is_some_and(|field| {
            let way: Vec<Step> = steps.iter().cloned().chain([field.into()]).collect();
            removed.contains(&way)
        });
        if !known {
            let whole: Vec<Step> = at.iter().chain(&steps).cloned().collect();
            let position = position(json, &whole).map(|(line, column)| format!(" (line {line}, column {column})"));
            faults.push(Fault {
                place: written(&whole),
                problem: Problem::Shape {
                    reason: format!("{reason}{}", position.unwrap_or_default()),
                },
            });
        }
        if steps.is_empty() {
            return None;
        }
        remove(value, &steps);
        removed.push(steps);
    }
    None
}

fn steps(path: &Path) -> Vec<Step> {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Step::At(*index)),
        Segment::Map { key } => Some(Step::Field(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().map_while(step).collect()
}

/// Returns a way as it is written, such as `services[3].allowed[0]`.
fn written(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Field(field) if text.is_empty() => text.push_str(field),
            Step::Field(field) => text.extend([".", field]),
            Step::At(index) => {
                let _ = write!(text, "[{index}]");
            }
        }
    }
    text
}

/// Removes what a way leads to; of a list everything, for its members would have other numbers.
fn remove(value: &mut Value, steps: &[Step]) {
    match (value, steps) {
        (Value::Object(fields), [Step::Field(field)]) => {
            fields.remove(field);
        }
        (Value::Object(fields), [Step::Field(field), rest @ ..]) => {
            if let Some(inner) = fields.get_mut(field) {
                remove(inner, rest);
            }
        }
        (Value::Array(members), [Step::At(_)]) => members.clear(),
        (Value::Array(members), [Step::At(index), rest @ ..]) => {
            if let Some(inner) = members.get_mut(*index) {
                remove(inner, rest);
            }
        }
        (value, _) => *value = Value::Null,
    }
}

/// Returns the line and the column, from 1, of what a way leads to in JSON that is sound.
fn position(json: &[u8], steps: &[Step]) -> Option<(usize, usize)> {
    let mut text = Text { json, at: 0 };
    for step in steps {
        text.enter(step)?;
    }
    text.blanks();
    let before = json.get(..text.at)?;
    let line = before.split(|byte| *byte == b'\n').count();
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
    Some((line, column + 1))
}

/// JSON that is walked through.
struct Text<'a> {
    json: &'a [u8],
    at: usize,
}

impl Text<'_> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Goes to the value that a step leads to from the value here.
    fn enter(&mut self, step: &Step) -> Option<()> {
        self.blanks();
        let opened = self.peek()?;
        self.at += 1;
        for number in 0.. {
            self.blanks();
            if matches!(self.peek()?, b']' | b'}') {
                return None;
            }
            let found = match (opened, step) {
                (b'{', Step::Field(wanted)) => {
                    let field = self.text()?;
                    self.blanks();
                    self.at += 1;
                    field == *wanted
                }
                (b'[', Step::At(wanted)) => number == *wanted,
                _ => return None,
            };
            if found {
                return Some(());
            }
            self.skip()?;
            self.blanks();
            if self.peek()? == b',' {
                self.at += 1;
            }
        }
        None
    }

    /// Takes a text.
    fn text(&mut self) -> Option<String> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek()? {
                b'\\' => self.at += 2,
                b'"' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        serde_json::from_slice(self.json.get(start..self.at)?).ok()
    }

    /// Goes past a value.
    fn skip(&mut self) -> Option<()> {
        self.blanks();
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.text()?;
                }
                b'[' | b'{' => {
                    depth += 1;
                    self.at += 1;
                }
                b']' | b'}' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                byte if byte.is_ascii_whitespace() => self.at += 1,
                _ => {
                    // A number, or a word.
                    while self.peek().is_some_and(|byte| !b",:[]{}\" \t\r\n".contains(&byte)) {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_text() {
        let json = br#"{"a \"b": [1, "x,]", {"c": null}],
  "d": {"e": [true, -1.5e3,
    "here"]}}"#;
        let at = |steps: &[Step]| position(json, steps);
        assert_eq!(at(&[]), Some((1, 1)));
        assert_eq!(at(&["a \"b".into(), Step::At(2), "c".into()]), Some((1, 28)));
        assert_eq!(at(&["d".into()]), Some((2, 8)));
        assert_eq!(at(&["d".into(), "e".into(), Step::At(1)]), Some((2, 21)));
        assert_eq!(at(&["d".into(), "e".into(), Step::At(2)]), Some((3, 5)));
        for none in [
            &["f".into()][..],
            &["d".into(), Step::At(0)],
            &["d".into(), "e".into(), Step::At(3)],
        ] {
            assert_eq!(at(none), None);
        }
    }

    #[test]
    fn every_fault_of_shape_is_told_with_its_place() {
        let json = br#"{
            "servises": [], "dns": {"timeout_ms": "fast", "ttl": 1}, "off": 1,
            "services": [
                {"name": "a", "allowed": ["2001:db8::/32"], "inbound": {"ports": [80, "http", true]}},
                {"name": "b", "allowed": "2001:db8::/32", "outbound": {}, "mode": "off"},
                7,
                {"allowed": [], "inbound": {"ports": [1], "mode": "on"}}
            ]}"#;
        let shaped = read(json).unwrap_or_else(|fault| panic!("{fault}"));
        let told: Vec<String> = shaped.faults.iter().map(ToString::to_string).collect();
        let wanted = [
            ("servises: unknown field `servises`", "(line 2, column 25)"),
            (
                "dns.timeout_ms: invalid type: string \"fast\", expected u64",
                "(line 2, column 51)",
            ),
            ("dns.ttl: unknown field `ttl`", "(line 2, column"),
            ("off: invalid type: integer `1`, expected a boolean", "(line 2, column"),
            (
                "services[0].inbound.ports[1]: invalid type: string \"http\", expected u16",
                "(line 4,",
            ),
            ("services[1].allowed: invalid type: string", "(line 5,"),
            ("services[1].mode: unknown field `mode`", "(line 5,"),
            ("services[2]: invalid type: integer `7`", "(line 6,"),
            ("services[3].inbound.mode: unknown variant `on`", "(line 7,"),
            ("services[3]: missing field `name`", "(line 7,"),
        ];
        for (what, place) in wanted {
            let found = told.iter().any(|told| told.starts_with(what) && told.contains(place));
            assert!(found, "{what} {place} in {told:#?}");
        }
        assert_eq!(told.len(), wanted.len(), "{told:#?}");
        assert_eq!(shaped.services.len(), 4);
    }

    #[test]
    fn what_is_no_json_is_told_once() {
        for (json, wanted) in [
            ("{\n\"off\": }", "line 2 column 8"),
            ("[]", ""),
            (r#"{"off": true, "off": true}"#, "duplicate"),
        ] {
            let Err(fault) = read(json.as_bytes()) else {
                panic!("{json}")
            };
            assert!(fault.to_string().contains(wanted), "{fault}");
        }
    }
}
