//! What a command tells on standard error: each thing once, and when it is over.

use ssa_input::text::clean;

/// What has been told, so that it is not told again.
#[derive(Debug)]
pub(crate) struct News<W> {
    out: W,
    /// What is wrong with objects.
    faults: Vec<String>,
    /// Why the store does not answer.
    away: Option<String>,
}

impl<W: FnMut(&str)> News<W> {
    /// Takes what writes a line.
    pub(crate) const fn new(out: W) -> Self {
        Self {
            out,
            faults: Vec::new(),
            away: None,
        }
    }

    /// Tells what has happened.
    pub(crate) fn tell(&mut self, line: &str) {
        (self.out)(&clean(line));
    }

    /// Tells what is wrong, if it was not told before, and what is not any more.
    pub(crate) fn faults(&mut self, now: &[String]) {
        let before = std::mem::replace(&mut self.faults, now.to_vec());
        for fault in now.iter().filter(|fault| !before.contains(fault)) {
            self.tell(fault);
        }
        for fault in before.iter().filter(|fault| !now.contains(fault)) {
            self.tell(&format!("no longer: {fault}"));
        }
    }

    /// Notes that the store has answered, or why it has not.
    pub(crate) fn store(&mut self, answered: Result<(), String>) {
        match answered {
            Ok(()) if self.away.take().is_some() => self.tell("the store answers again"),
            Ok(()) => {}
            Err(why) => {
                if self.away.as_ref() != Some(&why) {
                    self.tell(&format!("{why}; it is tried again until it answers"));
                    self.away = Some(why);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn everything_is_told_once_and_when_it_is_over() {
        let lines = RefCell::new(Vec::new());
        let mut news = News::new(|line: &str| lines.borrow_mut().push(line.to_owned()));
        let (away, other) = ("etcd: refused".to_owned(), "etcd: no route".to_owned());
        for answered in [
            Ok(()),
            Err(away.clone()),
            Err(away.clone()),
            Err(other),
            Ok(()),
            Ok(()),
            Err(away),
        ] {
            news.store(answered);
        }
        news.faults(&["a".to_owned()]);
        news.faults(&["a".to_owned(), "b".to_owned()]);
        news.faults(&["b".to_owned()]);
        let wanted = [
            "etcd: refused; it is tried again until it answers",
            "etcd: no route; it is tried again until it answers",
            "the store answers again",
            "etcd: refused; it is tried again until it answers",
            "a",
            "b",
            "no longer: a",
        ];
        assert_eq!(*lines.borrow(), wanted);
    }
}
