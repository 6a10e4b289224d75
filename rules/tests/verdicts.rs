//! What is said of verdicts: names that are stable, and texts that hold no token.

use ssa_rules::{
    AddressSpace, Apl, Chunk, Destination, Expected, Flow, Key, Membership, Part, Port, Record, Request, Rule, Secret,
    Source, SourceBits, UnixTime, Verdict, Violation,
    record::{Field, Input},
    rule::ItemIndex,
    verdict::FieldKind,
};

const SOURCE: &str = "2001:db8:77::1";

fn prepare(record: &str, apl: &str) -> Rule {
    let record: Record = record.parse().unwrap();
    let apl: Apl = apl.parse().unwrap();
    Rule::prepare(
        &record,
        AddressSpace::new(&apl).unwrap().as_ref(),
        &Key::Secret(Secret::new([7; 16])),
    )
    .unwrap()
}

fn verify(rule: &Rule, destination: &str, object: Option<&[u8]>, port: Option<Port>) -> Verdict {
    let flow = Flow::new(
        Source(SOURCE.parse().unwrap()),
        Destination(destination.parse().unwrap()),
        UnixTime(0),
    );
    rule.verify(&Flow { object, port, ..flow }).unwrap()
}

#[test]
fn verdicts_have_stable_names_and_say_the_rest() {
    let rule = prepare(
        "v=ssa1; addr=src[0:32] hash(obj):16 const(5):16",
        "2:2001:db8:5::/64 !2:2001:db8:6::/48",
    );
    let right = "2001:db8:5:0:2001:db8:0:5";
    let cases = [
        (
            verify(&rule, right, None, None),
            "conforming",
            "conforming (unchecked: field_1)",
        ),
        (verify(&rule, "2001:db8:6::1", None, None), "legacy", "legacy"),
        (verify(&rule, "2001:db8:7::1", None, None), "outside", "outside"),
        (
            verify(&rule, "2001:db8:5:0:2001:db9::5", None, None),
            "violation",
            "violation of field_0 (src): expected 0x20010db8, found 0x20010db9",
        ),
        (
            verify(&rule, "2001:db8:5:0:2001:db8:0:6", None, None),
            "violation",
            "violation of field_2 (const): expected 0x5, found 0x6",
        ),
    ];
    for (verdict, name, text) in cases {
        assert_eq!(verdict.name(), name);
        assert_eq!(verdict.to_string(), text);
        assert_eq!(verdict.violation().is_some(), name == "violation");
    }
}

#[test]
fn nothing_unchecked_is_said_where_all_is_checked() {
    let rule = prepare("v=ssa1; addr=src[0:32] const(5):32", "2:2001:db8:5::/64");
    let verdict = verify(&rule, "2001:db8:5:0:2001:db8:0:5", None, None);
    assert_eq!(verdict.to_string(), "conforming");
    assert!(matches!(verdict, Verdict::Conforming(unchecked) if unchecked.is_empty()));
}

#[test]
fn what_is_unchecked_is_listed_in_order() {
    let record = "v=ssa1; addr=hash(obj):20 hash(chunk,port):4 rand:40; item=hash(obj); pow=1";
    let rule = prepare(record, "2:2001:db8:5::/64");
    let Verdict::Conforming(unchecked) = verify(&rule, "2001:db8:5::1", None, None) else {
        panic!("conforming")
    };
    assert_eq!(unchecked.to_string(), "item, field_0, field_1, pow");
    assert_eq!(
        unchecked.parts().collect::<Vec<_>>(),
        [Part::Item, Part::Field(0), Part::Field(1), Part::Pow]
    );
    assert_eq!((unchecked.count(), unchecked.is_empty()), (4, false));
    assert_eq!(Part::Field(15).to_string(), "field_15");
    assert_eq!(Part::Field(16).name(), "field");
}

#[test]
fn a_token_is_not_in_what_is_said_of_it() {
    let rule = prepare("v=ssa1; addr=mac(src/64):64; key=k1", "2:2001:db8:5::/64");
    let verdict = verify(&rule, "2001:db8:5::1", None, None);
    assert_eq!(
        verdict.to_string(),
        "violation of field_0 (mac): expected (hidden), found 0x1"
    );
    let Some(Violation::Field {
        kind: FieldKind::Mac,
        expected: Expected::Hidden(hidden),
        ..
    }) = verdict.violation()
    else {
        panic!("a mac: {verdict:?}")
    };
    let Destination(right) = rule
        .compose(&Request::new(Source(SOURCE.parse().unwrap())), &mut || 0)
        .unwrap();
    assert_eq!(u128::from(hidden.reveal()), u128::from(right) & u128::from(u64::MAX));
    let debug = format!("{verdict:?} {rule:?}");
    assert!(debug.contains("(hidden)"));
    assert!(!debug.contains(&hidden.reveal().to_string()), "{debug}");
    assert!(!debug.contains("7, 7, 7"), "{debug}");
    assert_eq!(format!("{rule:?}"), "Rule { from: 0, items: 1, fields: 1, .. }");
}

#[test]
fn other_violations_say_what_is_needed() {
    let rule = prepare("v=ssa1; addr=hash(src/64):64", "2:2001:db8:5::/64");
    let verdict = verify(&rule, "2001:db8:5::1", None, None);
    assert!(
        verdict
            .to_string()
            .starts_with("violation of field_0 (hash): expected 0x"),
        "{verdict}"
    );
    let kinds = [
        FieldKind::Const,
        FieldKind::Source,
        FieldKind::Object,
        FieldKind::Hash,
        FieldKind::Mac,
    ];
    assert_eq!(kinds.map(FieldKind::name), ["const", "src", "obj", "hash", "mac"]);

    let rule = prepare("v=ssa1; addr=obj[64:128]", "2:2001:db8:5::/64");
    let verdict = verify(&rule, "2001:db8:5::1", Some(b"a file"), None);
    assert_eq!(
        verdict.to_string(),
        "violation of field_0 (obj): expected a numeric object key, found 0x1"
    );

    let rule = prepare("v=ssa1; addr=rand:64; pow=24", "2:2001:db8:5::/64");
    let verdict = verify(&rule, "2001:db8:5::1", None, Some(Port(443)));
    let Some(Violation::Pow { needed: 24, found }) = verdict.violation() else {
        panic!("work is lacking: {verdict:?}")
    };
    assert_eq!(
        verdict.to_string(),
        format!("violation of pow: 24 bits needed, {found} found")
    );

    let rule = prepare(
        "v=ssa1; addr=rand:64; item=hash(src/64)",
        "2:2001:db8:5::/64 2:2001:db8:6::/64",
    );
    let item = |address| match rule.membership(address) {
        Membership::Service(item) => item,
        other => panic!("in the service: {other:?}"),
    };
    let Destination(right) = rule
        .compose(&Request::new(Source(SOURCE.parse().unwrap())), &mut || 0)
        .unwrap();
    let [(_, five), (_, six)] = rule.positive_items().collect::<Vec<_>>()[..] else {
        panic!("two items")
    };
    let (winner, loser) = if item(right) == five { (five, six) } else { (six, five) };
    let verdict = verify(&rule, &loser.addr().to_string(), None, None);
    assert_eq!(
        verdict.to_string(),
        format!("violation of item: expected {winner}, found {loser}")
    );
}

#[test]
fn fields_and_inputs_have_stable_names() {
    let text = "v=ssa1; addr=src[0:8] hash(obj):8 const(1):8 rand:8 obj[0:8] mac(src/64,obj,chunk,time/30,port):16 rand:9; \
                key=k";
    let record: Record = text.parse().unwrap();
    let names: Vec<&str> = record.template().fields().iter().map(Field::name).collect();
    assert_eq!(names, ["src", "hash", "const", "rand", "obj", "mac", "rand"]);
    let inputs = record
        .template()
        .fields()
        .iter()
        .find_map(|field| field.inputs()?.has_kind(Input::Port).then_some(field));
    let inputs = inputs.and_then(Field::inputs).unwrap();
    let names: Vec<&str> = inputs.as_slice().iter().map(|input| input.name()).collect();
    assert_eq!(names, ["src", "obj", "chunk", "time", "port"]);
    assert_eq!(
        (
            record.template().rand_bits(),
            record.template().width(),
            record.template().item_length()
        ),
        (17, 65, 63)
    );
    assert_eq!(inputs.to_string(), "src/64,obj,chunk,time/30,port");
}

#[test]
fn a_rule_tells_what_it_was_prepared_of() {
    let record =
        "v=ssa1; addr=hash(obj):14 mac(src/64):34 rand:16; key=k1; kdf=src/48; replicas=3; pow=4; from=9; skew=7";
    let rule = prepare(
        record,
        "2:2001:db8:6::/64 2:2001:db8:5::/64 !2:2001:db8::/32 !2:2001:db8:5::/126",
    );
    assert_eq!((rule.from().0, rule.skew(), rule.replicas(), rule.pow()), (9, 7, 3, 4));
    assert_eq!(rule.kdf(), SourceBits::new(48));
    let items: Vec<(u8, String)> = rule
        .positive_items()
        .map(|(index, item)| (index.get(), item.to_string()))
        .collect();
    assert_eq!(items, [(0, "2001:db8:5::/64".into()), (1, "2001:db8:6::/64".into())]);
    let membership = |address: &str| rule.membership(address.parse().unwrap());
    assert_eq!(
        membership("2001:db8:5::4"),
        Membership::Service("2001:db8:5::/64".parse().unwrap())
    );
    assert_eq!(
        membership("2001:db8:5::3"),
        Membership::Legacy("2001:db8:5::/126".parse().unwrap())
    );
    assert_eq!(
        membership("2001:db8::"),
        Membership::Legacy("2001:db8::/32".parse().unwrap())
    );
    assert_eq!(membership("2001:db9::"), Membership::Outside);
    let index: Option<ItemIndex> = rule.positive_items().map(|(index, _)| index).next();
    assert_eq!(index.map(ItemIndex::get), Some(0));
    assert!(rule.can_verify());
    assert_eq!(Chunk(3).to_string(), "3");
}
