use super::{entry::MAX_ENTRIES, *};
use crate::answers::{Answer, Failure};

const LIST: &str = "2:2001:db8:5::/64 !2:2001:db8:6::/120";
const OTHER: &str = "2:2001:db8:7::/64 !2:2001:db8:6::/120";
const RULE: &str = "v=ssa1; addr=rand:64";
const NEXT: &str = "v=ssa1; addr=hash(src/64):20 rand:44";
/// The longest that a TTL counts.
const MOST: u64 = 10_000;
const PLAIN: &str = "2001:db8:6::1";

pub(super) fn terms() -> Terms<'static> {
    Terms {
        key_of: &|_| Key::None,
        forbidden: &|_| None,
        taken: &|_| None,
        max_ttl: MOST,
    }
}

impl History {
    /// Returns what verifiers are told by the answers alone.
    pub(crate) fn verifier(&mut self, now: Seconds, terms: &Terms<'_>) -> View {
        let judged = self.judge(Party::Verifier, terms);
        self.view_for_verifiers(judged, now, terms)
    }

    /// Returns what clients are told by the answers alone.
    fn client(&self, now: Seconds, stale: u64, terms: &Terms<'_>) -> View {
        let judged = self.judge(Party::Client, terms);
        self.view_for_clients(judged, now, stale, terms.max_ttl)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "answers hold results")]
pub(super) fn answer<T>(value: T, ttl: u64) -> Result<Answer<T>, Failure> {
    Ok(Answer {
        value,
        ttl,
        held: ttl,
        absence: None,
    })
}

fn answers(list: Option<&str>, records: &[&str]) -> Answers {
    Answers {
        list: answer(list.map_or(List::Absent, |text| List::of(&text.parse().unwrap())), 100),
        records: answer(records.iter().map(ToString::to_string).collect(), 100),
        addresses: answer(vec![PLAIN.parse().unwrap()], 100),
    }
}

fn told(history: &mut History, now: u64) -> (State, Vec<String>) {
    let view = history.verifier(now, &terms());
    let published = publishable(&view.pairs);
    let rules = published.apl.into_iter().chain(published.rules).collect();
    (view.standing.state, rules)
}

#[test]
fn nothing_is_known_before_the_first_answer() {
    let mut history = History::default();
    assert_eq!(told(&mut history, 1), (State::Pending, vec![]));
    assert_eq!(history.client(1, 9, &terms()).standing.state, State::Pending);
    assert!(!history.is_known());
}

#[test]
fn verifiers_keep_what_is_gone_for_its_ttl_and_a_minute() {
    let mut history = History::default();
    history.take(answers(Some(LIST), &[RULE]), 1000);
    assert_eq!(
        told(&mut history, 1000),
        (State::Usable, vec![LIST.into(), RULE.into()])
    );
    history.take(answers(Some(LIST), &[RULE, &format!("{NEXT}; from=1200")]), 1080);
    assert_eq!(told(&mut history, 1080).1.len(), 3);
    history.take(answers(Some(LIST), &[&format!("{NEXT}; from=1200")]), 1300);
    let both = vec![LIST.to_owned(), format!("{NEXT}; from=1200"), RULE.to_owned()];
    assert_eq!(told(&mut history, 1300), (State::Usable, both.clone()));
    let view = history.verifier(1459, &terms());
    assert_eq!((view.pairs.len(), view.until), (2, Some(1460)));
    assert_eq!(told(&mut history, 1460), (State::Usable, both[..2].to_vec()));
    // Clients never see what is gone.
    assert_eq!(history.client(1300, 9, &terms()).pairs.len(), 1);
}

#[test]
fn a_longer_ttl_of_the_past_counts() {
    let mut history = History::default();
    let mut long = answers(Some(LIST), &[RULE]);
    long.records = answer(vec![RULE.into()], 5000);
    history.take(long, 1000);
    told(&mut history, 1000);
    history.take(answers(Some(LIST), &[RULE]), 1100);
    told(&mut history, 1100);
    history.take(answers(Some(LIST), &[NEXT]), 1200);
    told(&mut history, 1200);
    // It may have been met again, by a cache that did not say so.
    assert_eq!(told(&mut history, 1200 + 5000 + GRACE - 1).1.len(), 3);
    assert_eq!(told(&mut history, 1200 + 5000 + GRACE).1.len(), 2);
}

/// An alias or a record that others hold for longer than the answer says: they come by what is gone for as long.
#[test]
fn what_others_hold_for_longer_is_kept_for_longer() {
    let mut history = History::default();
    let mut found = answers(Some(LIST), &[RULE]);
    found.records = found.records.map(|records| Answer { held: 300, ..records });
    history.take(found, 1000);
    assert_eq!(told(&mut history, 1000).1.len(), 2);
    // The answer itself is good for its own time alone.
    assert_eq!(history.fresh_until(MOST), 1100);
    history.take(answers(Some(LIST), &[NEXT]), 1050);
    let kept = |history: &mut History, now| history.verifier(now, &terms()).pairs.len();
    assert_eq!(kept(&mut history, 1050), 2);
    assert_eq!(kept(&mut history, 1050 + 300 + GRACE - 1), 2);
    assert_eq!(kept(&mut history, 1050 + 300 + GRACE), 1);
}

#[test]
fn a_ttl_counts_no_longer_than_the_operator_lets_it() {
    let mut history = History::default();
    let week = |records: &[&str]| {
        let mut answers = answers(Some(LIST), records);
        answers.records = answer(records.iter().map(ToString::to_string).collect(), 7 * 86_400);
        answers
    };
    history.take(week(&[RULE]), 1000);
    let view = history.verifier(1000, &terms());
    assert!(
        view.standing
            .reason
            .unwrap()
            .contains("604800 s exceeds dns.max_ttl_s, 10000 s")
    );
    history.take(answers(Some(LIST), &[NEXT]), 1100);
    let kept = history.verifier(1100, &terms()).kept;
    assert_eq!(
        (kept.records, kept.lists, kept.until),
        (1, 0, Some(1100 + MOST + GRACE))
    );
    // Over a restart, and by a lower bound that a reload brings.
    let json = serde_json::to_string(&history).unwrap();
    let mut history: History = serde_json::from_str(&json).unwrap();
    assert_eq!(history.verifier(1200, &terms()).pairs.len(), 2);
    let less = Terms {
        max_ttl: 300,
        ..terms()
    };
    assert_eq!(history.verifier(1100 + 300 + GRACE - 1, &less).pairs.len(), 2);
    assert_eq!(history.verifier(1100 + 300 + GRACE, &less).pairs.len(), 1);
}

#[test]
fn a_ttl_that_a_cache_tells_only_with_the_successor_counts() {
    let mut history = History::default();
    let mut left = answers(Some("2:2001:db8:5::/64 2:2001:db8:7::/64"), &[RULE]);
    left.list = left.list.map(|list| Answer {
        ttl: 7,
        held: 7,
        ..list
    });
    history.take(left, 1000);
    told(&mut history, 1000);
    let mut fresh = answers(Some("2:2001:db8:5::/64"), &[RULE]);
    fresh.list = fresh.list.map(|list| Answer {
        ttl: 150,
        held: 150,
        ..list
    });
    history.take(fresh, 1006);
    let lists = |history: &mut History, now| history.verifier(now, &terms()).pairs.len();
    assert_eq!(lists(&mut history, 1006), 2);
    assert_eq!(lists(&mut history, 1006 + 150 + GRACE - 1), 2);
    assert_eq!(lists(&mut history, 1006 + 150 + GRACE), 1);
}

#[test]
fn what_is_kept_is_forgotten_on_demand() {
    let mut history = History::default();
    history.take(answers(Some(LIST), &[RULE]), 1000);
    told(&mut history, 1000);
    history.take(answers(Some(LIST), &[NEXT]), 1001);
    assert_eq!(told(&mut history, 1001).1.len(), 3);
    history.forget();
    assert_eq!(told(&mut history, 1001).1, [LIST, NEXT]);
    // What no answer says any more, too.
    history.take(answers(Some(LIST), &[]), 1002);
    assert_eq!(told(&mut history, 1002).0, State::Kept);
    history.forget();
    assert_eq!(told(&mut history, 1002), (State::Absent, vec![]));
}

#[test]
fn every_state_but_usable_has_a_reason() {
    let mut history = History::default();
    let failed = Answers::failed(&Failure::new("timeout", "no answer"));
    let absent = answers(Some(LIST), &[]);
    let no_address = Answers {
        addresses: answer(Vec::new(), 9),
        ..answers(Some(LIST), &[RULE])
    };
    let mut met = std::collections::BTreeSet::new();
    for (now, answers) in [None, Some(absent.clone()), Some(no_address), Some(absent), Some(failed)]
        .into_iter()
        .enumerate()
    {
        let now = 1000 + u64::try_from(now).unwrap();
        if let Some(answers) = answers {
            history.take(answers, now);
        }
        for now in [now, now + 1000] {
            for standing in [
                history.verifier(now, &terms()).standing,
                history.client(now, 9, &terms()).standing,
            ] {
                let has_reason = standing.reason.as_ref().is_some_and(|reason| !reason.is_empty());
                assert!(standing.state == State::Usable || has_reason, "{standing:?}");
                met.insert(standing.state);
            }
        }
    }
    assert!(met.len() >= 4, "{met:?}");
}

#[test]
fn a_record_replaced_in_place_stands_beside_its_successor() {
    let mut history = History::default();
    history.take(answers(Some(LIST), &[RULE]), 1000);
    told(&mut history, 1000);
    history.take(answers(Some(LIST), &[NEXT]), 1001);
    let (state, rules) = told(&mut history, 1001);
    assert_eq!(state, State::Usable);
    assert_eq!(rules, [LIST.to_owned(), NEXT.to_owned(), format!("{RULE}; from=1")]);
}

#[test]
fn an_earlier_list_is_kept_with_every_record() {
    let mut history = History::default();
    history.take(answers(Some(LIST), &[RULE]), 1000);
    told(&mut history, 1000);
    history.take(answers(Some(OTHER), &[RULE]), 1001);
    let (state, rules) = told(&mut history, 1001);
    assert_eq!(state, State::Usable);
    assert_eq!(
        rules,
        [format!("{RULE}; apl={OTHER}"), format!("{RULE}; from=1; apl={LIST}")]
    );
    assert_eq!(told(&mut history, 2000).1, [OTHER, RULE]);
}

#[test]
fn the_width_changes_through_own_lists() {
    let mut history = History::default();
    let old = format!("{RULE}; apl={LIST}");
    let new = "v=ssa1; addr=rand:64 rand:16; from=1500; apl=2:2001:db8:5::/48 !2:2001:db8:6::/120";
    history.take(answers(Some(LIST), &[&old]), 1000);
    told(&mut history, 1000);
    history.take(answers(None, &[&old]), 1200);
    assert_eq!(told(&mut history, 1200).1, [LIST, RULE]);
    history.take(answers(None, &[&old, new]), 1300);
    let (_, rules) = told(&mut history, 1300);
    assert_eq!(rules, [old.clone(), new.to_owned()]);
    // The old list, still kept, does not fit the new record: that record is not lost for it.
    assert_eq!(rules.len(), 2);
    history.take(answers(None, &[new]), 1400);
    assert_eq!(told(&mut history, 1400).1.len(), 2);
    assert_eq!(
        told(&mut history, 1400 + 100 + GRACE).1.len(),
        2,
        "its list, and itself"
    );
}

#[test]
fn without_a_usable_record_verifiers_keep_the_last_and_clients_do_not() {
    for bad in [
        answers(Some(LIST), &[]),
        answers(Some(LIST), &["v=ssa1; addr=rand:63"]),
        answers(Some(LIST), &[RULE, "v=ssa1; addr=hash(src/64):64"]),
        answers(Some("!2:2001:db8:5::/64"), &[RULE]),
        answers(None, &[RULE]),
        Answers {
            list: answer(List::faulty("x"), 9),
            ..answers(None, &[RULE])
        },
    ] {
        let mut history = History::default();
        history.take(answers(Some(LIST), &[RULE]), 1000);
        told(&mut history, 1000);
        history.take(bad.clone(), 1001);
        for now in [1001, 1 << 40] {
            assert_eq!(
                told(&mut history, now),
                (State::Kept, vec![LIST.into(), RULE.into()]),
                "{bad:?}"
            );
        }
        let client = history.client(1001, 9, &terms());
        assert!(client.pairs.is_empty());
        assert!(matches!(client.standing.state, State::Absent | State::Unusable));
    }
}

#[test]
fn failures_leave_verifiers_and_for_a_time_clients_what_they_had() {
    let mut history = History::default();
    history.take(answers(Some(LIST), &[RULE]), 1000);
    told(&mut history, 1000);
    history.take(Answers::failed(&Failure::new("timeout", "no answer")), 1090);
    assert_eq!(
        told(&mut history, 1 << 40),
        (State::Stale, vec![LIST.into(), RULE.into()])
    );
    let client = history.client(1100 + 49, 50, &terms());
    assert_eq!((client.standing.state, client.until), (State::Stale, Some(1150)));
    assert_eq!(client.standing.reason.as_deref(), Some("timeout: no answer"));
    assert_eq!(client.pairs.len(), 1);
    let client = history.client(1150, 50, &terms());
    assert_eq!((client.standing.state, client.pairs.len()), (State::Expired, 0));
    history.take(answers(Some(LIST), &[RULE]), 2000);
    assert_eq!(history.client(2000, 50, &terms()).standing.state, State::Usable);
}

#[test]
fn what_must_not_be_is_refused_and_the_last_kept() {
    let mut history = History::default();
    history.take(answers(Some(LIST), &[RULE]), 1000);
    told(&mut history, 1000);
    history.take(answers(Some(OTHER), &[RULE]), 1001);
    let seven: Ipv6Net = "2001:db8:7::/48".parse().unwrap();
    let forbidden = |prefix: Ipv6Net| seven.contains(&prefix).then(|| format!("{prefix} is not allowed"));
    let terms = Terms {
        key_of: &|_| Key::None,
        forbidden: &forbidden,
        taken: &|_| None,
        max_ttl: MOST,
    };
    let view = history.verifier(1001, &terms);
    assert_eq!(view.standing.state, State::Kept);
    assert_eq!(
        view.standing.reason.as_deref(),
        Some("records[0]: 2001:db8:7::/64 is not allowed")
    );
    assert_eq!(view.pairs.len(), 1);
    assert_eq!(history.client(1001, 9, &terms).standing.state, State::Refused);
    let mut fresh = History::default();
    fresh.take(answers(Some(OTHER), &[RULE]), 1001);
    assert_eq!(fresh.verifier(1001, &terms).standing.state, State::Refused);
}

#[test]
fn plain_addresses_lie_in_the_list() {
    let mut history = History::default();
    let mut foreign = answers(Some(LIST), &[RULE]);
    foreign.addresses = answer(vec![PLAIN.parse().unwrap(), "2001:db8:f::1".parse().unwrap()], 9);
    history.take(foreign.clone(), 1);
    let client = history.client(1, 9, &terms());
    assert_eq!(client.addresses, [PLAIN.parse::<Ipv6Addr>().unwrap()]);
    assert!(client.standing.reason.unwrap().contains("2001:db8:f::1"));
    foreign.addresses = answer(vec!["2001:db8:f::1".parse().unwrap()], 9);
    history.take(foreign, 2);
    assert_eq!(history.client(2, 9, &terms()).standing.state, State::Refused);
}

#[test]
fn without_a_plain_address_the_rules_stand_for_the_front_alone() {
    let mut history = History::default();
    let mut alone = answers(Some(LIST), &[RULE]);
    alone.addresses = answer(vec![], 9);
    history.take(alone, 1);
    let client = history.client(1, 9, &terms());
    assert_eq!((client.standing.state, client.pairs.len()), (State::Absent, 1));
    assert!(client.addresses.is_empty());
    history.take(Answers::failed(&Failure::new("timeout", "no answer")), 2);
    let client = history.client(2, 9, &terms());
    assert_eq!((client.standing.state, client.pairs.len()), (State::Stale, 1));
}

#[test]
fn a_secret_that_comes_later_makes_the_record_usable() {
    let mut history = History::default();
    history.take(answers(Some(LIST), &["v=ssa1; addr=mac(src/128):64; key=k1"]), 1);
    let lacking = history.verifier(1, &terms());
    assert_eq!(lacking.standing.state, State::Unusable);
    assert_eq!(
        lacking.standing.reason.as_deref(),
        Some("records[0]: the secret k1 is not available")
    );
    let key = Key::Secret(ssa_rules::Secret::new([7; 16]));
    let given = Terms {
        key_of: &|_| key,
        forbidden: &|_| None,
        taken: &|_| None,
        max_ttl: MOST,
    };
    let view = history.verifier(1, &given);
    assert_eq!(view.standing.state, State::Usable);
    assert_eq!(view.pairs[0].key.as_ref().unwrap().as_str(), "k1");
    // Clients need no secret for a record to be usable, only to use it.
    assert_eq!(history.client(1, 9, &terms()).standing.state, State::Usable);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut history = History::default();
    for number in 0..100 {
        let list = format!("2:2001:db8:5:{number:x}::/64");
        let rule = format!("v=ssa1; addr=rand:64; salt=s{number}");
        history.take(answers(Some(&list), &[&rule]), 1000);
        let (_, rules) = told(&mut history, 1000);
        assert!(rules.len() <= 5, "{rules:?}");
        assert!(
            rules.iter().any(|rule| rule.contains(&format!("salt=s{number}"))),
            "{rules:?}"
        );
    }
    assert!(history.past_records.len() <= MAX_ENTRIES && history.past_lists.len() <= MAX_ENTRIES);
    assert!(history.verifier(1000, &terms()).standing.reason.is_some());
}

#[test]
fn long_lists_are_united() {
    // With a list of its own and a `from` it is too long, even without blanks.
    const RULE: &str = "v=ssa1; addr=rand:48; skew=9";
    let list = |of: u16| -> String {
        let items: Vec<String> = (0..32)
            .map(|n| format!("2:2001:db8:a123:{of:x}0{n:02x}:8000::/80"))
            .collect();
        items.join(" ")
    };
    let mut history = History::default();
    history.take(answers(Some(&list(5)), &[RULE]), 1000);
    told(&mut history, 1000);
    history.take(answers(Some(&list(6)), &[RULE]), 1001);
    let view = history.verifier(1001, &terms());
    let published = publishable(&view.pairs);
    assert_eq!(published.rules, [RULE.to_owned(), format!("{RULE}; from=1")]);
    assert_eq!(space_of(&published.apl.unwrap()).unwrap().positive().len(), 64);
    // With more than 64 items there is no union: what stands counts.
    history.take(answers(Some(&list(7)), &[RULE]), 1002);
    let published = publishable(&history.verifier(1002, &terms()).pairs);
    assert_eq!((published.rules.len(), published.dropped), (1, 2));
    assert!(published.apl.unwrap().contains("2001:db8:a123:7000:"));
}

#[test]
fn memories_are_stored() {
    let mut history = History::default();
    history.take(answers(Some(LIST), &[RULE]), 1000);
    told(&mut history, 1000);
    history.take(answers(Some(OTHER), &[NEXT]), 1001);
    told(&mut history, 1001);
    let json = serde_json::to_string(&history).unwrap();
    let stored: History = serde_json::from_str(&json).unwrap();
    assert_eq!(stored, history);
}
