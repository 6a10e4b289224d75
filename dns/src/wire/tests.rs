//! Octets, and what is made of them. Tests of a clause of an RFC have its number.

use super::*;
use crate::testing::{APL, ID, NAME, answer, list, message, query, record};

fn decoded(octets: &[u8], kind: u16) -> Result<Message, Unfit> {
    decode(octets, ID, &query(kind))
}

fn stray(octets: &[u8]) -> bool {
    matches!(decoded(octets, APL), Err(Unfit::Stray(_)))
}

#[test]
fn rfc1035_7_3_what_answers_another_question_is_none() {
    let good = answer(APL, &[list()]);
    assert_eq!(decoded(&good, APL).unwrap().answers.len(), 1);
    let with = |at: usize, octet: u8| {
        let mut octets = good.clone();
        octets[at] = octet;
        octets
    };
    assert!(stray(&with(0, 0)), "another number");
    assert!(stray(&with(2, 0x04)), "a query");
    assert!(stray(&with(2, 0xac)), "opcode UPDATE");
    assert!(stray(&with(2, 0xa4)), "opcode NOTIFY");
    assert!(stray(&with(14, b'x')), "another name");
    let type_at = HEADER + NAME.len();
    assert!(stray(&with(type_at + 1, 16)), "another type");
    assert!(stray(&with(type_at + 3, 3)), "class CH");
    assert!(stray(&good[..11]), "half a header");
    assert!(stray(&[]));
}

#[test]
fn rfc1034_3_1_names_are_compared_without_case() {
    let mut octets = answer(APL, &[list()]);
    octets[13] = b'W';
    octets[19] = b'M';
    assert_eq!(decoded(&octets, APL).unwrap().answers.len(), 1);
}

#[test]
fn rfc2181_9_nothing_of_a_truncated_answer_counts() {
    let whole = message(0x8600, APL, [1, 1, 0, 0], &[list()]);
    for end in HEADER..=whole.len() {
        assert_eq!(decoded(&whole[..end], APL).unwrap_err(), Unfit::Truncated, "{end}");
    }
    assert!(stray(&message(0x8600, 16, [1, 0, 0, 0], &[])));
}

#[test]
fn answers_that_break_off_are_malformed() {
    let whole = answer(APL, &[list(), list()]);
    for end in HEADER..whole.len() {
        assert!(matches!(decoded(&whole[..end], APL), Err(Unfit::Malformed(_))), "{end}");
    }
    assert!(matches!(
        decoded(&message(0x8400, APL, [1, 9, 0, 0], &[]), APL),
        Err(Unfit::Malformed(_))
    ));
    let cut = message(0x8400, APL, [1, 0, 1, 0], &[b"\x00\x00\x06".to_vec()]);
    assert!(matches!(decoded(&cut, APL), Err(Unfit::Malformed(_))));
}

#[test]
fn what_breaks_off_behind_the_answers_costs_none_of_them() {
    let answers = [list(), b"\x00\x00\x29\x04".to_vec()];
    for counts in [[1, 1, 0, 1], [1, 1, 1, 0], [1, 1, 7, 7]] {
        let found = decoded(&message(0x8400, APL, counts, &answers), APL).unwrap();
        assert_eq!(found.answers.len(), 1);
    }
    let mut trailing = answer(APL, &[list()]);
    trailing.extend([0xff; 40]);
    assert_eq!(decoded(&trailing, APL).unwrap().answers.len(), 1);
}

#[test]
fn rfc3123_4_a_record_without_items_costs_no_other() {
    let found = decoded(&answer(APL, &[record(NAME, APL, 1, 9, b""), list()]), APL).unwrap();
    let lengths: Vec<usize> = found
        .answers
        .iter()
        .map(|record| match &record.data {
            RData::Unknown { rdata, .. } => rdata.anything.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lengths, [0, 6]);
    assert_eq!(found.answers[0].record_type(), RecordType::from(APL));
}

#[test]
fn records_of_other_types_that_do_not_decode_cost_no_other() {
    let odd = [
        record(NAME, 1, 1, 9, b"\x01"),
        record(NAME, 28, 1, 9, b""),
        record(NAME, 16, 1, 9, b"\x09x"),
        record(NAME, 5, 1, 9, b"\xc0\xff"),
        record(NAME, 15, 1, 9, b"\x00"),
        record(NAME, 46, 1, 9, b"\x00\x01"),
        record(NAME, 47, 1, 9, b""),
        record(NAME, 65, 1, 9, b"\x00\x01\x00\xff"),
        record(NAME, 0xfff0, 1, 9, b"\x00"),
        record(NAME, 250, 1, 9, b"\x00"),
        record(NAME, 251, 1, 9, b"\x00"),
    ];
    for one in &odd {
        let found = decoded(&answer(APL, &[one.clone(), list()]), APL).unwrap();
        let lists = found
            .answers
            .iter()
            .filter(|record| u16::from(record.record_type()) == APL);
        assert_eq!(lists.count(), 1, "{one:?}");
        let behind = message(0x8400, APL, [1, 1, 1, 1], &[list(), one.clone(), one.clone()]);
        assert_eq!(decoded(&behind, APL).unwrap().answers.len(), 1, "{one:?}");
    }
}

#[test]
fn rfc1035_3_2_4_records_of_other_classes_answer_nothing() {
    let foreign = record(NAME, APL, 3, 9, b"\x00\x02\x40\x02\x20\x01");
    assert_eq!(
        decoded(&answer(APL, std::slice::from_ref(&foreign)), APL).unwrap_err(),
        Unfit::OffTopic
    );
    assert_eq!(decoded(&answer(APL, &[foreign, list()]), APL).unwrap().answers.len(), 1);
}

#[test]
fn rfc2181_8_a_ttl_with_the_uppermost_bit_is_zero() {
    for (sent, counts) in [
        (0, 0),
        (9, 9),
        (0x7fff_ffff, 0x7fff_ffff),
        (0x8000_0000, 0),
        (u32::MAX, 0),
    ] {
        let found = decoded(&answer(28, &[record(NAME, 28, 1, sent, &[1; 16])]), 28).unwrap();
        assert_eq!(found.answers[0].ttl, counts);
    }
}

#[test]
fn rfc6891_6_1_3_the_response_code_has_upper_bits() {
    let options = record(b"\x00", 41, 1232, 0x0100_0000, b"");
    let found = decoded(&message(0x8400, APL, [1, 0, 0, 1], std::slice::from_ref(&options)), APL).unwrap();
    assert!(may_be_for_edns(&found.metadata));
    let none = record(b"\x00", 41, 1232, 0, b"");
    let twice = message(0x8400, APL, [1, 1, 0, 2], &[list(), none.clone(), none]);
    assert_eq!(decoded(&twice, APL).unwrap().answers.len(), 1);
    let misplaced = message(0x8400, APL, [1, 2, 0, 0], &[options, list()]);
    assert_eq!(decoded(&misplaced, APL).unwrap().answers.len(), 1);
}

#[test]
fn rfc6891_7_errors_may_lack_the_question() {
    let bare = message(0x8401, APL, [0, 0, 0, 0], &[]);
    assert!(may_be_for_edns(&decoded(&bare, APL).unwrap().metadata));
    let nothing = message(0x8400, APL, [0, 0, 0, 0], &[]);
    assert!(may_be_for_edns(&decoded(&nothing, APL).unwrap().metadata));
    let absent = message(0x8403, APL, [0, 0, 1, 0], &[record(NAME, 2, 1, 9, NAME)]);
    assert!(stray(&absent), "an absence needs its question");
    let found = message(0x8400, APL, [0, 1, 0, 0], &[list()]);
    assert_eq!(decoded(&found, APL).unwrap().answers.len(), 1);
}

#[test]
fn names_may_be_compressed_and_may_not_loop() {
    let pointed = record(b"\xc0\x0c", APL, 1, 9, b"\x00\x02\x40\x02\x20\x01");
    let found = decoded(&answer(APL, &[pointed]), APL).unwrap();
    assert_eq!(found.answers[0].name, *query(APL).name());
    let at = u16::try_from(answer(APL, &[]).len()).unwrap() | 0xc000;
    let looping = record(&at.to_be_bytes(), APL, 1, 9, b"");
    assert!(matches!(
        decoded(&answer(APL, &[looping]), APL),
        Err(Unfit::Malformed(_))
    ));
}
