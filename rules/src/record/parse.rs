//! The grammar of the record (docs/spec.md §2), read so that every fault is found in one pass.

use alloc::{string::String, vec::Vec};
use core::str::FromStr;

use super::{
    BitRange, Field, Input, Inputs, ItemChoice, MAX_FIELDS, MAX_POW, MAX_RECORD_BYTES, MAX_REPLICAS, MAX_SKEW,
    MAX_SKEW_WITH_POW, MAX_TEMPLATE_BITS, MAX_TIME_STEP, MIN_MAC_BITS, MIN_VALUES_PER_REPLICA, POW_MARGIN_BITS, Record,
    Salt, Template,
    fault::{Location, Problem, RecordError, RecordFault},
    piece::Piece,
    print::default_skew,
};
use crate::{
    apl::{AddressSpace, Apl, SpaceFault},
    http::KeySources,
    text::BLANKS,
    types::{KeyId, SourceBits, ValidFrom},
};

impl FromStr for Record {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        Self::from_bytes(text.as_bytes())
    }
}

impl Record {
    /// Returns whether a TXT record is an SSA record at all: its first tag is `v` with the value `ssa1`. Others are
    /// ignored.
    ///
    /// ```
    /// assert!(ssa_rules::Record::counts(b"v = ssa1;oops"));
    /// assert!(!ssa_rules::Record::counts(b"v=spf1 -all"));
    /// ```
    #[must_use]
    pub fn counts(txt: &[u8]) -> bool {
        let first = txt.split(|byte| *byte == b';').next().unwrap_or_default();
        Piece::whole(&ascii(first)).is_version()
    }

    /// Parses the concatenated strings of one TXT record.
    ///
    /// # Errors
    ///
    /// [`RecordError`] with every fault, its place and what is allowed there.
    pub fn from_bytes(txt: &[u8]) -> Result<Self, RecordError> {
        let text = ascii(txt);
        let whole = Piece::whole(&text);
        let mut parser = Parser::default();
        if txt.len() > MAX_RECORD_BYTES {
            parser.fault("", whole, Problem::TooLong { bytes: txt.len() });
        }
        parser.faults.extend(not_ascii(txt).take(MAX_NOT_ASCII));
        parser.tags(whole);
        let record = parser.finish(whole);
        parser.faults.retain(|fault| !follows_from_not_ascii(fault, txt));
        record
            .filter(|_| parser.faults.is_empty())
            .ok_or(RecordError { faults: parser.faults })
    }
}

/// The most stretches outside ASCII that are told of one record: whoever wrote it in another script knows by then.
const MAX_NOT_ASCII: usize = 16;

/// Returns a fault for each stretch of bytes that are not ASCII.
fn not_ascii(txt: &[u8]) -> impl Iterator<Item = RecordFault> {
    // `chunk_by` would do it, but what the filter is made of has no code that panics.
    let mut after_ascii = true;
    txt.iter().enumerate().filter_map(move |(offset, byte)| {
        let begins = after_ascii && !byte.is_ascii();
        after_ascii = byte.is_ascii();
        if !begins {
            return None;
        }
        let location = Location {
            tag: String::new(),
            field: None,
            offset,
            length: txt.iter().skip(offset).take_while(|byte| !byte.is_ascii()).count(),
        };
        let problem = Problem::NotAscii { byte: *byte };
        Some(RecordFault { location, problem })
    })
}

/// Returns whether a fault repeats a text that is not ASCII, of which that is reported already.
fn follows_from_not_ascii(fault: &RecordFault, txt: &[u8]) -> bool {
    let Location { offset, length, .. } = fault.location;
    fault.problem.repeats_text() && txt.iter().skip(offset).take(length).any(|byte| !byte.is_ascii())
}

/// Returns the text with a control character in place of every byte that is not ASCII, so that offsets stay.
fn ascii(txt: &[u8]) -> String {
    txt.iter()
        .map(|byte| if byte.is_ascii() { char::from(*byte) } else { '\u{1a}' })
        .collect()
}

/// The tags by name, as far as they parsed, and the faults found.
#[derive(Default)]
pub(super) struct Parser<'a> {
    faults: Vec<RecordFault>,
    /// The names of the tags so far, and where their values are.
    seen: Vec<(&'a str, Piece<'a>)>,
    template: Option<(Vec<Field>, Piece<'a>)>,
    /// Whether a field was left out because it is faulty.
    fields_missing: bool,
    item: Option<ItemChoice>,
    salt: Option<Salt>,
    replicas: Option<(u8, Piece<'a>)>,
    pow: Option<(u8, Piece<'a>)>,
    key: Option<KeyId>,
    kdf: Option<SourceBits>,
    skew: Option<(u16, Piece<'a>)>,
    from: Option<ValidFrom>,
    keys: KeySources,
    apl: Option<(Apl, Piece<'a>)>,
}

impl<'a> Parser<'a> {
    pub(super) fn fault(&mut self, tag: &str, at: Piece<'_>, problem: Problem) {
        self.fault_in(tag, None, at, problem);
    }

    pub(super) fn fault_in(&mut self, tag: &str, field: Option<usize>, at: Piece<'_>, problem: Problem) {
        let location = Location {
            tag: tag.into(),
            field,
            offset: at.offset,
            length: at.text.len(),
        };
        self.faults.push(RecordFault { location, problem });
    }

    fn has_tag(&self, name: &str) -> bool {
        self.seen.iter().any(|(tag, _)| *tag == name)
    }

    fn tags(&mut self, whole: Piece<'a>) {
        let mut pieces: Vec<Piece<'a>> = whole.split(|c| c == ';').collect();
        // One semicolon may stand at the end.
        if pieces.len() > 1 && pieces.last().is_some_and(|last| last.trim().text.is_empty()) {
            pieces.pop();
        }
        for (index, piece) in pieces.into_iter().enumerate() {
            if index == 0 && !piece.is_version() {
                self.fault("", piece.trim(), Problem::Version);
                // Whatever the first tag is, it is judged as a tag too, unless it is a version of something else.
                if piece
                    .text
                    .split('=')
                    .next()
                    .is_some_and(|name| name.trim_matches(BLANKS) == "v")
                {
                    self.seen.push(("v", piece));
                    continue;
                }
            }
            self.tag(piece);
        }
    }

    fn tag(&mut self, piece: Piece<'a>) {
        let piece = piece.trim();
        if piece.text.is_empty() {
            return self.fault("", piece, Problem::EmptyTag);
        }
        let Some((name, value)) = piece.split_once('=') else {
            return self.fault("", piece, Problem::MissingEquals);
        };
        let (name, value) = (name.trim(), value.trim());
        if name.text.starts_with("x-") {
            return;
        }
        let known = [
            "v", "addr", "item", "salt", "replicas", "pow", "key", "kdf", "skew", "from", "obj", "chunk", "apl",
        ];
        if !known.contains(&name.text) {
            return self.fault(name.text, name, Problem::UnknownTag);
        }
        if self.has_tag(name.text) {
            return self.fault(name.text, piece, Problem::RepeatedTag);
        }
        self.seen.push((name.text, value));
        match name.text {
            "addr" => {
                let fields = self.fields(value);
                self.template = Some((fields, value));
            }
            "item" => self.item = self.item_choice(value),
            "salt" => self.salt = self.salt(value),
            "replicas" => {
                let replicas = self.number("replicas", None, value, 1, MAX_REPLICAS.into());
                self.replicas = replicas.map(|replicas| (replicas, value));
            }
            "pow" => self.pow = self.number("pow", None, value, 1, MAX_POW.into()).map(|n| (n, value)),
            "key" => match value.text.parse() {
                Ok(key) => self.key = Some(key),
                Err(_) => self.name("key", value, "1 to 32 of a-z A-Z 0-9 - _"),
            },
            "kdf" => match value.strip_prefix("src/") {
                Some(bits) => self.kdf = self.source_bits("kdf", None, bits),
                None => self.fault(
                    "kdf",
                    value,
                    Problem::Kdf {
                        text: value.text.into(),
                    },
                ),
            },
            "skew" => self.skew = self.number("skew", None, value, 0, MAX_SKEW.into()).map(|n| (n, value)),
            "from" => {
                self.from = self
                    .number("from", None, value, 0, i64::MAX.unsigned_abs())
                    .map(ValidFrom);
            }
            "obj" => self.keys.object = self.object_sources(value),
            "chunk" => self.keys.chunk = self.chunk_source(value),
            "apl" => self.apl = self.apl(value).map(|apl| (apl, value)),
            _ => {} // v, whose value was judged as the first tag's
        }
    }

    fn name(&mut self, tag: &str, value: Piece<'_>, allowed: &'static str) {
        self.fault(
            tag,
            value,
            Problem::Name {
                text: value.text.into(),
                allowed,
            },
        );
    }

    pub(super) fn number<T: TryFrom<u64>>(
        &mut self,
        tag: &str,
        field: Option<usize>,
        value: Piece<'_>,
        min: u64,
        max: u64,
    ) -> Option<T> {
        let number = crate::apl::decimal::<u64>(value.text).filter(|number| (min..=max).contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            self.fault_in(
                tag,
                field,
                value,
                Problem::Number {
                    text: value.text.into(),
                    min,
                    max,
                },
            );
        }
        number
    }

    fn salt(&mut self, value: Piece<'_>) -> Option<Salt> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if matches!(value.text.len(), 1..=32) && value.text.bytes().all(allowed) {
            return Some(Salt(value.text.into()));
        }
        self.name("salt", value, "1 to 32 of a-z A-Z 0-9 - _ .");
        None
    }

    fn apl(&mut self, value: Piece<'_>) -> Option<Apl> {
        let apl: Apl = match value.text.parse() {
            Ok(apl) => apl,
            Err(error) => {
                for fault in error.faults {
                    let item = value.words().nth(fault.item()).unwrap_or(value);
                    self.fault("apl", item, Problem::AplText(fault));
                }
                return None;
            }
        };
        let faults = match AddressSpace::new(&apl) {
            Ok(Some(_)) => return Some(apl),
            Ok(None) => Vec::from([SpaceFault::NoPositiveItem]),
            Err(error) => error.faults,
        };
        for fault in faults {
            self.fault("apl", value, Problem::AplSpace(fault));
        }
        None
    }

    fn item_choice(&mut self, value: Piece<'_>) -> Option<ItemChoice> {
        match value.text {
            "near" => return Some(ItemChoice::Near),
            "rand" => return Some(ItemChoice::Rand),
            _ => {}
        }
        let Some((inputs, "")) = value.bracketed("hash(", ')').map(|(inputs, rest)| (inputs, rest.text)) else {
            self.fault(
                "item",
                value,
                Problem::ItemChoice {
                    text: value.text.into(),
                },
            );
            return None;
        };
        let inputs = self.inputs("item", None, inputs)?;
        if inputs.time_step().is_some() {
            self.fault("item", value, Problem::TimeInItem);
            return None;
        }
        Some(ItemChoice::Hash(inputs))
    }

    /// Reads the template. A faulty field is left out; the record is unusable anyway.
    fn fields(&mut self, value: Piece<'a>) -> Vec<Field> {
        if value.text == "-" {
            return Vec::new();
        }
        let words: Vec<Piece<'a>> = value.words().collect();
        if words.is_empty() {
            self.fault("addr", value, Problem::Field { text: String::new() });
        }
        if words.len() > MAX_FIELDS {
            self.fault("addr", value, Problem::TooManyFields { fields: words.len() });
        }
        let words = words.into_iter().enumerate();
        let fields: Vec<Option<Field>> = words.map(|(index, word)| self.field(index, word)).collect();
        self.fields_missing = fields.contains(&None);
        fields.into_iter().flatten().collect()
    }

    fn field(&mut self, index: usize, word: Piece<'_>) -> Option<Field> {
        let width_of = |parser: &mut Self, width: Piece<'_>| parser.number::<u8>("addr", Some(index), width, 1, 64);
        if let Some(width) = word.strip_prefix("rand:") {
            return Some(Field::Rand {
                width: width_of(self, width)?,
            });
        }
        if let Some((digits, rest)) = word.bracketed("const(", ')')
            && let Some(width) = rest.strip_prefix(":")
        {
            let value = self.constant(index, digits);
            let width = width_of(self, width)?;
            let value = value?;
            if value & !crate::bits::trailing(width) != 0 {
                self.fault_in("addr", Some(index), digits, Problem::ConstTooWide { value, width });
                return None;
            }
            return Some(Field::Const { value, width });
        }
        for (open, field) in [
            ("src[", Field::Source as fn(BitRange) -> Field),
            ("obj[", Field::Object),
        ] {
            if let Some((range, rest)) = word.bracketed(open, ']')
                && rest.text.is_empty()
            {
                return self.bit_range(index, range).map(field);
            }
        }
        for (open, is_mac) in [("hash(", false), ("mac(", true)] {
            if let Some((inputs, rest)) = word.bracketed(open, ')')
                && let Some(width) = rest.strip_prefix(":")
            {
                let inputs = self.inputs("addr", Some(index), inputs);
                let width = width_of(self, width)?;
                if is_mac && width < MIN_MAC_BITS {
                    self.fault_in("addr", Some(index), word, Problem::NarrowMac { width });
                }
                let inputs = inputs?;
                return Some(if is_mac {
                    Field::Mac { inputs, width }
                } else {
                    Field::Hash { inputs, width }
                });
            }
        }
        self.fault_in("addr", Some(index), word, Problem::Field { text: word.text.into() });
        None
    }

    fn constant(&mut self, index: usize, digits: Piece<'_>) -> Option<u64> {
        let well_formed = digits.text.len() <= 16 && digits.text.bytes().all(|b| b.is_ascii_hexdigit());
        let value = if well_formed {
            u64::from_str_radix(digits.text, 16).ok()
        } else {
            None
        };
        if value.is_none() {
            self.fault_in(
                "addr",
                Some(index),
                digits,
                Problem::ConstDigits {
                    text: digits.text.into(),
                },
            );
        }
        value
    }

    fn bit_range(&mut self, index: usize, range: Piece<'_>) -> Option<BitRange> {
        let bounds = range.split_once(':').and_then(|(start, end)| {
            let (start, end) = (crate::apl::decimal(start.text)?, crate::apl::decimal(end.text)?);
            BitRange::new(start, end)
        });
        if bounds.is_none() {
            self.fault_in(
                "addr",
                Some(index),
                range,
                Problem::BitRange {
                    text: range.text.into(),
                },
            );
        }
        bounds
    }

    fn source_bits(&mut self, tag: &str, field: Option<usize>, bits: Piece<'_>) -> Option<SourceBits> {
        self.number(tag, field, bits, 1, 128).and_then(SourceBits::new)
    }

    fn inputs(&mut self, tag: &str, field: Option<usize>, list: Piece<'_>) -> Option<Inputs> {
        let faults_before = self.faults.len();
        let mut inputs: Vec<Input> = Vec::new();
        let mut kinds: Vec<&'static str> = Vec::new();
        for word in list.split(|c| c == ',') {
            let (kind, input) = self.input(tag, field, word);
            if let Some(kind) = kind {
                if kinds.contains(&kind) {
                    self.fault_in(tag, field, word, Problem::RepeatedInput { kind });
                }
                kinds.push(kind);
            }
            inputs.extend(input);
        }
        (self.faults.len() == faults_before).then_some(Inputs(inputs))
    }

    /// Reads one input: its kind, if it has one, and the input, if all of it is allowed.
    fn input(&mut self, tag: &str, field: Option<usize>, word: Piece<'_>) -> (Option<&'static str>, Option<Input>) {
        let plain = [Input::Object, Input::Chunk, Input::Port];
        if let Some(input) = plain.into_iter().find(|input| input.name() == word.text) {
            return (Some(input.name()), Some(input));
        }
        if let Some(bits) = word.strip_prefix("src/") {
            return (Some("src"), self.source_bits(tag, field, bits).map(Input::Source));
        }
        if let Some(step) = word.strip_prefix("time/") {
            return (
                Some("time"),
                self.number(tag, field, step, 1, MAX_TIME_STEP.into()).map(Input::Time),
            );
        }
        self.fault_in(tag, field, word, Problem::Input { text: word.text.into() });
        (None, None)
    }

    /// Judges the tags against each other and makes the record of them.
    fn finish(&mut self, whole: Piece<'_>) -> Option<Record> {
        let Some((fields, addr)) = self.template.take() else {
            if !self.has_tag("addr") {
                self.fault("", whole, Problem::MissingAddr);
            }
            return None;
        };
        let template = Template(fields);
        self.judge_widths(&template, addr);
        let step = self.judge_time_steps(&template, addr);
        self.judge_key(addr);
        if !self.fields_missing {
            self.judge_pow(&template);
            self.judge_replicas(&template);
        }
        let skew = self.judge_skew(step);

        if let Some((apl, place)) = &self.apl
            && !self.fields_missing
            && let Ok(Some(space)) = AddressSpace::new(apl)
        {
            let place = *place;
            for fault in template.misfits(&space) {
                self.fault("apl", place, Problem::AplFit(fault));
            }
        }
        Some(Record {
            template,
            item: self.item.take().unwrap_or(ItemChoice::Near),
            salt: self.salt.take(),
            replicas: self.replicas.map_or(1, |(replicas, _)| replicas),
            pow: self.pow.map_or(0, |(pow, _)| pow),
            key: self.key.take(),
            kdf: self.kdf,
            skew,
            from: self.from.unwrap_or_default(),
            keys: core::mem::take(&mut self.keys),
            apl: self.apl.take().map(|(apl, _)| apl),
        })
    }

    fn judge_widths(&mut self, template: &Template, addr: Piece<'_>) {
        let bits = template
            .fields()
            .iter()
            .fold(0_u32, |sum, field| sum.saturating_add(field.width().into()));
        if bits > MAX_TEMPLATE_BITS.into() {
            self.fault("addr", addr, Problem::TooWide { bits });
        }
    }

    fn judge_time_steps(&mut self, template: &Template, addr: Piece<'_>) -> Option<u32> {
        let first = template.time_step()?;
        let mut steps = template.fields().iter().filter_map(|field| field.inputs()?.time_step());
        if let Some(other) = steps.find(|step| *step != first) {
            self.fault("addr", addr, Problem::TimeSteps { first, other });
        }
        Some(first)
    }

    fn judge_key(&mut self, addr: Piece<'_>) {
        let has_mac = addr.words().any(|word| word.text.starts_with("mac("));
        if has_mac && !self.has_tag("key") {
            self.fault("addr", addr, Problem::MacWithoutKey);
        }
        for (tag, value) in self.seen.clone() {
            if !has_mac && matches!(tag, "key" | "kdf") {
                self.fault(tag, value, Problem::NeedsMac);
            }
        }
    }

    fn judge_pow(&mut self, template: &Template) {
        let Some((pow, place)) = self.pow else { return };
        let (rand, needed) = (template.rand_bits(), pow.saturating_add(POW_MARGIN_BITS));
        if rand < needed {
            self.fault("pow", place, Problem::PowNeedsRand { rand, needed });
        }
    }

    fn judge_replicas(&mut self, template: &Template) {
        let Some((replicas, place)) = self.replicas.filter(|(replicas, _)| *replicas > 1) else {
            return;
        };
        match template.fields().first() {
            Some(first @ (Field::Source(_) | Field::Object(_) | Field::Hash { .. } | Field::Mac { .. })) => {
                let width = first.width();
                let values = 1_u128.unbounded_shl(width.into());
                if values < u128::from(replicas).saturating_mul(MIN_VALUES_PER_REPLICA.into()) {
                    self.fault("replicas", place, Problem::ReplicasWidth { width, replicas });
                }
            }
            _ => self.fault("replicas", place, Problem::ReplicasFirstField),
        }
    }

    fn judge_skew(&mut self, step: Option<u32>) -> u16 {
        let Some((skew, place)) = self.skew else {
            return default_skew(step);
        };
        if let Some(step) = step
            && u32::from(skew) > step.saturating_mul(2)
        {
            self.fault("skew", place, Problem::SkewPastSteps { skew, step });
        }
        if self.pow.is_some() && skew > MAX_SKEW_WITH_POW {
            self.fault("skew", place, Problem::SkewPastPow { skew });
        }
        skew
    }
}
