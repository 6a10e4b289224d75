//! YAML, and JSON with it: a tree whose values know their lines.

use std::fmt;

use saphyr_parser::{Event, Parser};

/// So deep lists and mappings may lie in each other.
const MAX_DEPTH: usize = 128;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its first line, from 1.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text, a number, or anything else without parts.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping: keys and values in their order.
    Mapping(Vec<(Node, Node)>),
    /// The value of an anchor, which stands elsewhere in the document.
    Alias,
}

/// Why a text is not YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// What stands there fits nothing that YAML allows.
    Syntax,
    /// Lists and mappings lie in each other deeper than is read.
    Depth,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, problem } = self;
        match problem {
            Problem::Syntax => write!(f, "is neither YAML nor JSON (line {line}, column {column})"),
            Problem::Depth => write!(
                f,
                "lists and mappings lie in each other more than {MAX_DEPTH} deep (line {line}, column {column})"
            ),
        }
    }
}

impl std::error::Error for Fault {}

impl Node {
    /// Returns the value of a key, if this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Kind::Mapping(entries) = &self.kind else {
            return None;
        };
        let is_key = |node: &Self| matches!(&node.kind, Kind::Scalar(text) if text == key);
        entries.iter().find(|(node, _)| is_key(node)).map(|(_, value)| value)
    }

    /// Returns the text, if it has one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// Calls a function with this value and all in it.
    pub fn visit<'a>(&'a self, each: &mut impl FnMut(&'a Self)) {
        each(self);
        match &self.kind {
            Kind::List(members) => members.iter().for_each(|member| member.visit(each)),
            Kind::Mapping(entries) => entries.iter().for_each(|(key, value)| {
                key.visit(each);
                value.visit(each);
            }),
            Kind::Scalar(_) | Kind::Alias => {}
        }
    }
}

/// A value that has begun.
struct Open {
    line: usize,
    is_mapping: bool,
    parts: Vec<Node>,
}

impl Open {
    fn close(self) -> Node {
        let kind = if self.is_mapping {
            let mut entries = Vec::with_capacity(self.parts.len() / 2);
            let mut parts = self.parts.into_iter();
            while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
                entries.push((key, value));
            }
            Kind::Mapping(entries)
        } else {
            Kind::List(self.parts)
        };
        Node { line: self.line, kind }
    }
}

/// Reads the documents of a text.
///
/// # Errors
///
/// Where it stops to be YAML, or is deeper than anything is.
pub fn read(text: &str) -> Result<Vec<Node>, Fault> {
    let mut documents = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Fault {
            line: error.marker().line(),
            column: error.marker().col() + 1,
            problem: Problem::Syntax,
        })?;
        let line = span.start.line();
        let begun = |is_mapping| Open {
            line,
            is_mapping,
            parts: Vec::new(),
        };
        let whole = match event {
            Event::MappingStart(..) | Event::SequenceStart(..) if open.len() == MAX_DEPTH => {
                return Err(Fault {
                    line,
                    column: span.start.col() + 1,
                    problem: Problem::Depth,
                });
            }
            Event::MappingStart(..) => {
                open.push(begun(true));
                None
            }
            Event::SequenceStart(..) => {
                open.push(begun(false));
                None
            }
            Event::MappingEnd | Event::SequenceEnd => open.pop().map(Open::close),
            Event::Scalar(text, ..) => Some(Node {
                line,
                kind: Kind::Scalar(text.into_owned()),
            }),
            Event::Alias(_) => Some(Node {
                line,
                kind: Kind::Alias,
            }),
            _ => None,
        };
        if let Some(node) = whole {
            match open.last_mut() {
                Some(outer) => outer.parts.push(node),
                None => documents.push(node),
            }
        }
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_are_trees_with_lines() {
        for text in [
            "# a comment: x\na: 1\nb:\n  - c\n  - d: \"e # f\"\n",
            "{\"a\": 1,\n\"b\":\n\n[\"c\",\n{\"d\": \"e # f\"}]}",
        ] {
            let documents = read(text).unwrap();
            let [whole] = &documents[..] else {
                panic!("{documents:?}")
            };
            assert_eq!(whole.get("a").and_then(Node::text), Some("1"));
            let Kind::List(members) = &whole.get("b").unwrap().kind else {
                panic!("{whole:?}")
            };
            assert_eq!(members[1].get("d").and_then(Node::text), Some("e # f"));
            assert_eq!(members[1].line, 5);
            let mut texts = Vec::new();
            whole.visit(&mut |node| texts.extend(node.text()));
            assert_eq!(texts, ["a", "1", "b", "c", "d", "e # f"]);
        }
        let documents = read("a: &x {b: 1}\nc: *x\n---\nd\n---\n").unwrap();
        assert_eq!(documents.len(), 3);
        assert_eq!(documents[0].get("c").unwrap().kind, Kind::Alias);
        assert_eq!((documents[1].text(), documents[1].line), (Some("d"), 4));
    }

    #[test]
    fn what_is_not_yaml_is_told_with_its_line() {
        for (text, line) in [("a: [1\nb: 2", 2), ("a: b: c", 1), ("a:\n\t- b", 2), ("\"x", 1)] {
            let fault = read(text).unwrap_err();
            assert_eq!((fault.line, fault.problem), (line, Problem::Syntax), "{text}: {fault}");
            assert!(fault.to_string().contains("neither YAML nor JSON (line "), "{fault}");
        }
        let fault = read(&"[".repeat(MAX_DEPTH + 1)).unwrap_err();
        assert_eq!(fault.problem, Problem::Depth);
    }
}
