//! What was answered for a name, how long it holds, and what went wrong since.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};
use ssa_dns::Absence;
use ssa_rules::{Apl, AplItem, AplPrefix, Record, apl::MAX_ITEMS, published::MAX_RECORDS, record::MAX_RECORD_BYTES};

use ssa_input::secrets::concealed;

/// The most plain addresses kept of an answer.
pub const MAX_ADDRESSES: usize = 64;

/// The maximum TTL kept of an answer. How much of it counts is [`crate::config::Dns::max_ttl`].
pub use crate::config::MAX_TTL;

/// The maximum number of characters kept of a reason.
const MAX_REASON: usize = 300;

pub use crate::clock::Seconds;

/// How long verifiers keep what is gone, beyond its TTL, in seconds.
pub const GRACE: u64 = 60;

/// The address list of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "StoredList", try_from = "StoredList")]
pub enum List {
    /// There are no APL records, or none with items of family 2.
    Absent,
    /// The items of family 2.
    Items(Apl),
    /// APL records that do not decode.
    Faulty(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredList {
    Absent,
    Items(String),
    Faulty(String),
}

impl From<List> for StoredList {
    fn from(list: List) -> Self {
        match list {
            List::Absent => Self::Absent,
            List::Items(apl) => Self::Items(apl.to_string()),
            List::Faulty(reason) => Self::Faulty(reason),
        }
    }
}

impl TryFrom<StoredList> for List {
    type Error = ssa_rules::apl::TextError;

    fn try_from(stored: StoredList) -> Result<Self, Self::Error> {
        Ok(match stored {
            StoredList::Absent => Self::Absent,
            StoredList::Items(text) => Self::of(&text.parse()?),
            StoredList::Faulty(reason) => Self::Faulty(shortened(&reason)),
        })
    }
}

impl List {
    /// Keeps the items of family 2: as many as are allowed, and one more to tell that there are too many.
    #[must_use]
    pub fn of(apl: &Apl) -> Self {
        let is_v6 = |item: &&AplItem| matches!(item.prefix, AplPrefix::V6(_));
        let kept = MAX_ITEMS.saturating_add(1);
        let mut items: Vec<AplItem> = apl.items().iter().filter(is_v6).take(kept).cloned().collect();
        // Servers rotate records.
        items.sort_by_key(|item| match &item.prefix {
            AplPrefix::V6(prefix) => (*prefix, item.negated),
            AplPrefix::V4(_) | AplPrefix::Other(_) => (ipnet::Ipv6Net::default(), item.negated),
        });
        if items.is_empty() {
            Self::Absent
        } else {
            Self::Items(items.into_iter().collect())
        }
    }

    /// Reports that records do not decode.
    #[must_use]
    pub fn faulty(reason: &str) -> Self {
        Self::Faulty(shortened(reason))
    }
}

/// Keeps the texts that count as SSA records: as many as are allowed, and one more; what is too long stays too long.
#[must_use]
pub fn records(texts: impl IntoIterator<Item = Vec<u8>>) -> Vec<String> {
    let most = MAX_RECORD_BYTES.saturating_add(1);
    let counting = texts.into_iter().filter(|text| Record::counts(text));
    let text = |mut text: Vec<u8>| {
        text.truncate(most);
        // What is no ASCII is unusable, and stays so.
        String::from_utf8_lossy(&text).into_owned()
    };
    counting.take(MAX_RECORDS.saturating_add(1)).map(text).collect()
}

/// Why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its stable name.
    pub kind: &'static str,
    /// What happened.
    pub reason: String,
}

impl Failure {
    /// Takes the name of a kind, and a reason that is truncated.
    #[must_use]
    pub fn new(kind: &'static str, reason: &str) -> Self {
        Self {
            kind,
            reason: shortened(reason),
        }
    }
}

/// Cuts a reason short, and leaves no line breaks in it.
fn shortened(reason: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    // If a key is cut in two nobody would see that it is one.
    let reason = concealed(reason);
    reason.chars().take(MAX_REASON).map(plain).collect()
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// What it says.
    pub value: T,
    /// How long it holds, in seconds.
    pub ttl: u64,
    /// How long others may hold it or a part of it, in seconds.
    pub held: u64,
    /// Why there are no records, where there are none. The TTL of an absence is another thing.
    pub absence: Option<Absence>,
}

impl<T> Answer<T> {
    /// Puts another value in.
    #[must_use]
    pub fn with<V>(self, value: V) -> Answer<V> {
        Answer {
            value,
            ttl: self.ttl,
            held: self.held,
            absence: self.absence,
        }
    }
}

/// The answers to all questions of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// The address list.
    pub list: Result<Answer<List>, Failure>,
    /// The rule records.
    pub records: Result<Answer<Vec<String>>, Failure>,
    /// The plain addresses.
    pub addresses: Result<Answer<Vec<Ipv6Addr>>, Failure>,
}

impl Answers {
    /// All questions failed alike.
    #[must_use]
    pub fn failed(failure: &Failure) -> Self {
        Self {
            list: Err(failure.clone()),
            records: Err(failure.clone()),
            addresses: Err(failure.clone()),
        }
    }

    /// Returns the first failure.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        let failures = [
            self.list.as_ref().err(),
            self.records.as_ref().err(),
            self.addresses.as_ref().err(),
        ];
        failures.into_iter().flatten().next()
    }
}

/// What is known of one question: its last answer, and the failure since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot<T> {
    /// The last answer.
    pub value: Option<T>,
    /// How long it holds, in seconds.
    pub ttl: u64,
    /// How long others may hold it or a part of it, in seconds.
    #[serde(default)]
    pub held: u64,
    /// When it came.
    pub at: Seconds,
    /// The greatest TTL of records met lately.
    #[serde(default)]
    pub greatest: Greatest,
    /// The same of their absence.
    #[serde(default)]
    pub greatest_absent: Greatest,
    /// Why there were no records, where there were none. Whoever starts anew asks anew.
    #[serde(skip)]
    pub absence: Option<Absence>,
    /// What became of the last question, if not an answer.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            value: None,
            ttl: 0,
            held: 0,
            at: 0,
            greatest: Greatest::default(),
            greatest_absent: Greatest::default(),
            absence: None,
            failure: None,
        }
    }
}

impl<T: PartialEq> Slot<T> {
    /// Takes what became of a question, and returns whether that changes what is known.
    pub fn take(&mut self, answer: Result<Answer<T>, Failure>, now: Seconds) -> bool {
        match answer {
            Ok(answer) => {
                let changed = self.value.as_ref() != Some(&answer.value) || self.failure.is_some();
                let ttl = answer.ttl.min(MAX_TTL);
                let greatest = if answer.absence.is_none() {
                    &mut self.greatest
                } else {
                    &mut self.greatest_absent
                };
                let held = answer.held.min(MAX_TTL).max(ttl);
                greatest.meet(held, now);
                self.held = held;
                self.value = Some(answer.value);
                self.absence = answer.absence;
                self.ttl = ttl;
                self.at = now;
                self.failure = None;
                changed
            }
            Err(failure) => {
                self.interrupt();
                let changed = self.failure.as_ref().map(|failure| failure.kind) != Some(failure.kind);
                self.failure = Some(failure);
                changed
            }
        }
    }

    /// Records that answers may have been missed.
    pub fn interrupt(&mut self) {
        self.greatest.interrupt();
        self.greatest_absent.interrupt();
    }

    /// Remembers no greater TTL than that of the last answer.
    pub fn forget(&mut self) {
        self.greatest = Greatest::default();
        self.greatest_absent = Greatest::default();
        self.greatest.meet(self.held.max(self.ttl), self.at);
    }

    /// Moves what is known to another time.
    pub fn shift(&mut self, moved: impl Fn(Seconds) -> Seconds) {
        self.at = moved(self.at);
        self.interrupt();
    }

    /// Returns when the answer expires, where a TTL counts for so long at most.
    #[must_use]
    pub fn expires(&self, max_ttl: u64) -> Seconds {
        self.at.saturating_add(self.ttl.min(max_ttl))
    }

    /// Returns until when a client may live on the answer: without end, unless the last question failed.
    #[must_use]
    pub fn good_until(&self, stale: u64, max_ttl: u64) -> Option<Seconds> {
        self.failure.as_ref()?;
        Some(self.expires(max_ttl).saturating_add(stale))
    }
}

/// The most TTLs remembered of a record set.
const MAX_MET: usize = 16;

/// The greatest TTL of a record set met lately.
///
/// A cache on the way tells what is left of a TTL, and others may hold the records for all of it. So a TTL is remembered
/// until answers without a break have told less for as long as it lasts, and [`GRACE`] more: a cache that had the
/// records under it must have asked again meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greatest(Vec<Met>);

/// A TTL that was met, greater than all that were met since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Met {
    ttl: u64,
    /// Since when all answers have told less.
    less_since: Option<Seconds>,
}

impl Greatest {
    /// Takes the TTL of an answer.
    pub fn meet(&mut self, ttl: u64, now: Seconds) {
        self.0.retain_mut(|met| {
            let since = *met.less_since.get_or_insert(now);
            met.ttl > ttl && now < since.saturating_add(met.ttl).saturating_add(GRACE)
        });
        let is_full = self.0.len() >= MAX_MET;
        match self.0.last_mut() {
            // Rather too long than too short.
            Some(least) if is_full => least.less_since = None,
            _ => self.0.push(Met { ttl, less_since: None }),
        }
    }

    /// Records that answers may have been missed: what was met before says nothing of what comes.
    pub fn interrupt(&mut self) {
        self.0.iter_mut().for_each(|met| met.less_since = None);
    }

    /// Returns it, in seconds.
    #[must_use]
    pub fn ttl(&self) -> u64 {
        self.0.first().map_or(0, |met| met.ttl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_ttl_is_remembered_until_less_was_told_for_as_long() {
        let mut greatest = Greatest::default();
        let mut met = |ttl, now| {
            greatest.meet(ttl, now);
            greatest.ttl()
        };
        assert_eq!(met(7, 0), 7);
        assert_eq!(met(150, 7), 150);
        // A cache counts down, and asks again.
        for (ttl, now) in [(20, 137), (1, 156), (149, 158), (10, 300), (150, 311)] {
            assert_eq!(met(ttl, now), 150);
        }
        // The publisher lowers it.
        for (ttl, now) in [(20, 330), (12, 400), (30, 330 + 209)] {
            assert_eq!(met(ttl, now), 150);
        }
        assert_eq!(met(5, 330 + 150 + GRACE), 30);
        assert_eq!((met(5, 629), met(5, 540 + 30 + GRACE)), (30, 5));
        for ttl in (0..1000).rev() {
            greatest.meet(ttl, 2000);
        }
        assert_eq!((greatest.ttl(), greatest.0.len()), (999, MAX_MET));
    }

    #[test]
    fn a_break_in_the_answers_starts_the_count_again() {
        let mut greatest = Greatest::default();
        greatest.meet(150, 0);
        greatest.meet(5, 10);
        greatest.interrupt();
        greatest.meet(7, 10_000);
        assert_eq!(greatest.ttl(), 150);
        greatest.meet(7, 10_000 + 150 + GRACE);
        assert_eq!(greatest.ttl(), 7);
    }

    #[test]
    fn lists_are_bounded_and_in_order() {
        let list = |text: &str| List::of(&text.parse().unwrap());
        assert_eq!(list("1:192.0.2.0/24"), List::Absent);
        assert_eq!(
            list("2:2001:db8:6::/64 !2:2001:db8:5::/64 1:192.0.2.0/24"),
            list("!2:2001:db8:5::/64 2:2001:db8:6::/64")
        );
        let many: Vec<String> = (0..200).map(|n| format!("2:2001:db8:{n:x}::/64")).collect();
        let List::Items(apl) = list(&many.join(" ")) else {
            panic!()
        };
        assert_eq!(apl.items().len(), 65);
    }

    #[test]
    fn lists_are_stored_as_text() {
        for list in [
            List::Absent,
            List::of(&"2:2001:db8:6::/64 !2:2001:db8:6:0:f000::/80".parse().unwrap()),
            List::faulty("apl[0] at byte 0: 4 bytes needed, 1 left"),
        ] {
            let json = serde_json::to_string(&list).unwrap();
            assert_eq!(serde_json::from_str::<List>(&json).unwrap(), list);
        }
        assert!(serde_json::from_str::<List>(r#"{"items": "2:x"}"#).is_err());
    }

    #[test]
    fn records_are_bounded() {
        let texts = |count: usize, length: usize| {
            let text = format!("v=ssa1; x-a={}", "a".repeat(length)).into_bytes();
            records(vec![text; count])
        };
        assert_eq!(texts(60, 1).len(), 5);
        assert_eq!(texts(1, 60_000)[0].len(), MAX_RECORD_BYTES + 1);
        assert!(Record::from_bytes(texts(1, 60_000)[0].as_bytes()).is_err());
        assert!(records([b"v=spf1 -all".to_vec()]).is_empty());
        let bad = records([b"v=ssa1; addr=rand:64; x-a=\xff".to_vec()]);
        assert!(Record::from_bytes(bad[0].as_bytes()).is_err());
    }

    #[test]
    fn slots_keep_the_last_answer_through_failures() {
        let mut slot = Slot::default();
        let answer = |value, ttl| {
            Ok(Answer {
                value,
                ttl,
                held: ttl,
                absence: None,
            })
        };
        assert!(slot.take(answer(1, 30), 100));
        assert!(!slot.take(answer(1, 40), 110));
        assert_eq!(slot.good_until(5, 99), None);
        assert!(slot.take(Err(Failure::new("timeout", "no answer\nfrom x")), 150));
        assert!(!slot.take(Err(Failure::new("timeout", "no answer from y")), 160));
        assert_eq!(slot.good_until(5, 99), Some(110 + 40 + 5));
        assert_eq!(slot.good_until(5, 10), Some(110 + 10 + 5));
        assert_eq!(slot.value, Some(1));
        assert!(slot.take(answer(1, u64::MAX), 170));
        assert_eq!(slot.ttl, MAX_TTL);
    }

    #[test]
    fn reasons_are_one_short_line() {
        let failure = Failure::new("malformed", &"x\n".repeat(1000));
        assert_eq!(failure.reason.len(), MAX_REASON);
        assert!(!failure.reason.contains('\n'));
        let cut = Failure::new(
            "malformed",
            &format!("{}{}", "x".repeat(MAX_REASON - 20), "0123456789abcdef".repeat(2)),
        );
        assert!(!cut.reason.contains("0123"), "{}", cut.reason);
    }
}
