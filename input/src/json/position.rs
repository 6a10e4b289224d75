//! Where in the text of a document a value stands.

use super::Step;

/// Returns the line and the column, from 1, of what a way leads to in JSON that is sound.
pub(super) fn of(json: &[u8], steps: &[Step]) -> Option<(usize, usize)> {
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
                (b'{', Step::Key(wanted)) => {
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
        let at = |steps: &[Step]| of(json, steps);
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
}
