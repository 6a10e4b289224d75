//! What a record may ask of a client.

use ssa_rules::{AddressSpace, Apl, Key, LimitError, Limits, Record, Rule};

fn rule(text: &str) -> Rule {
    let record: Record = format!("v=ssa1; addr={text}").parse().unwrap();
    let apl: Apl = "2:2001:db8:5::/64".parse().unwrap();
    Rule::prepare(&record, AddressSpace::new(&apl).unwrap().as_ref(), &Key::None).unwrap()
}

fn check(max_pow: u8, min_time_step: u32, text: &str) -> Result<(), LimitError> {
    Limits { max_pow, min_time_step }.check(&rule(text))
}

#[test]
fn work_beyond_the_limit_is_refused() {
    let pow = |bits: u8| format!("hash(src/64):20 rand:44; pow={bits}");
    assert_eq!(check(20, 1, &pow(20)), Ok(()));
    assert_eq!(check(20, 1, &pow(21)), Err(LimitError::Pow { pow: 21, max: 20 }));
    assert_eq!(check(0, 1, &pow(1)), Err(LimitError::Pow { pow: 1, max: 0 }));
    assert_eq!(check(0, 1, "hash(src/64):20 rand:44"), Ok(()));
    assert_eq!(
        check(20, 1, &pow(21)).unwrap_err().to_string(),
        "the record asks for pow=21, which exceeds 20"
    );
}

#[test]
fn shorter_time_steps_than_the_limit_are_refused() {
    let step = |step: u32| format!("hash(src/64,time/{step}):20 rand:44");
    assert_eq!(check(0, 30, &step(30)), Ok(()));
    assert_eq!(check(0, 30, &step(29)), Err(LimitError::TimeStep { step: 29, min: 30 }));
    assert_eq!(check(0, Limits::MIN_STEP, &step(1)), Ok(()));
    assert_eq!(check(0, Limits::MAX_STEP, "rand:64"), Ok(()), "no step at all");
    assert_eq!(
        check(0, 30, &step(29)).unwrap_err().to_string(),
        "the record asks for time steps of 29 s, which are below 30 s"
    );
}
