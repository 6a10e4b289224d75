//! What the holder of one prefix can aim at one endpoint.
//!
//! The holder owns every source of the prefix and searches, before sending anything, for those whose addresses lie
//! at one endpoint. The search composes with the rule itself, for every distinct input or a sample of them.

use ipnet::Ipv6Net;
use serde::Serialize;
use ssa_rules::{
    Chunk, ItemIndex, ItemSet, Port, Progress, Record, Replica, Request, Rule, Source, UnixTime,
    record::{Field, ItemChoice},
};
use ssa_slices::SliceSpace;

use super::{
    endpoints::Fleet,
    placement::Placement,
    random::{Seeded, Shuffle},
    spread::real,
};

/// Up to here all inputs are tried, past it a sample of as many.
pub(crate) const MAX_INPUTS: u64 = 1 << 20;

/// The maximum number of steps of an enumeration.
const MAX_STEPS: u64 = 1 << 24;

/// Who attacks whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attack<'a> {
    pub(crate) record: &'a Record,
    /// The record without its proof of work, which does not move anything.
    pub(crate) rule: &'a Rule,
    pub(crate) space: &'a SliceSpace,
    pub(crate) fleet: &'a Fleet,
    pub(crate) prefix: Ipv6Net,
    /// How many sources the attacker sends from.
    pub(crate) budget: u64,
    /// How many inputs are tried at most.
    pub(crate) sample: u64,
    pub(crate) port: Port,
    pub(crate) time: UnixTime,
    pub(crate) seed: u64,
}

/// What an attacker achieves.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Findings {
    /// The attacker's prefix.
    pub(crate) prefix: Ipv6Net,
    /// How much of a source decides where it goes, in bits; 0 is nothing.
    pub(crate) source_bits: u8,
    /// Distinct inputs that the prefix holds: 2 to this.
    pub(crate) inputs_log2: u8,
    /// Inputs that were tried, and whether these are all.
    pub(crate) inputs_tried: u64,
    pub(crate) exact: bool,
    /// Of a slice's bits, those that the attacker draws, those that only an object key decides, and those under a mac.
    pub(crate) bits_drawn: u32,
    pub(crate) bits_by_object: u32,
    pub(crate) bits_secret: u32,
    /// The endpoint that most inputs reach.
    pub(crate) target: String,
    /// Inputs tried that reach it.
    pub(crate) hits: u64,
    /// Endpoints with weight.
    pub(crate) endpoints: usize,
    /// Endpoints that any input reaches.
    pub(crate) endpoints_reached: usize,
    /// Endpoints that one input reaches on average.
    pub(crate) endpoints_per_input: f64,
    /// Sources to search for one that hits; nothing where none does.
    pub(crate) tries_per_hit: Option<f64>,
    /// The part of an attack from this many sources that reaches the target, searched and not searched.
    pub(crate) shares: Vec<Share>,
    /// Bits of proof of work, the hashes that they take on average, and the seconds that a solution serves.
    pub(crate) pow: u8,
    pub(crate) pow_tries: u64,
    pub(crate) pow_serves_seconds: u64,
    /// Bits of macs: without the key, one address in 2 to this conforms.
    pub(crate) mac_bits: u32,
    /// Whether any source can aim at any endpoint without a search.
    pub(crate) free: bool,
}

/// The part of an attack that reaches the target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Share {
    /// Sources that the attacker sends from.
    pub(crate) sources: u64,
    /// Of these, the part that reaches the target after a search.
    pub(crate) searched: f64,
    /// The same without a search.
    pub(crate) unsearched: f64,
    /// Hashes that the search takes on average.
    pub(crate) search_hashes: f64,
}

impl Attack<'_> {
    /// Tries the attack.
    pub(crate) fn run(&self) -> Findings {
        let slice_bits = self.space.bits().get();
        let placement = Placement::of(self.record, slice_bits);
        let inputs_log2 = placement.source_bits.saturating_sub(self.prefix.prefix_len());
        let all = 1_u64.checked_shl(inputs_log2.into());
        let per_input = self.steps_per_input(placement);
        let most = (MAX_STEPS / per_input).clamp(16, MAX_INPUTS).min(self.sample);
        let tried = all.unwrap_or(u64::MAX).min(most);
        let hits = self.hits(placement, inputs_log2, tried);

        let (target, best) = hits
            .iter()
            .enumerate()
            .max_by_key(|(index, hits)| (**hits, usize::MAX - index))
            .unwrap_or((0, &0));
        let sum: u64 = hits.iter().sum();
        let exact = all == Some(tried);
        let part = if exact {
            real(*best)
        } else {
            self.cautious(target, *best, sum, tried)
        } / real(tried.max(1));
        let tries_per_hit = (part > 0.0).then(|| 1.0 / part);
        let per_input_reached = real(sum) / real(tried.max(1));
        // Whoever does not search chooses among what an input reaches as any client does.
        let unsearched = if per_input_reached > 0.0 {
            part / per_input_reached
        } else {
            0.0
        };
        let mut budgets = vec![1, 10, 100, 1000, self.budget];
        budgets.retain(|budget| *budget <= self.budget);
        budgets.dedup();
        let inputs = 2_f64.powi(inputs_log2.into());
        let unbound = placement.free().count_ones() >= u32::from(slice_bits) && self.chooses_item();
        let everywhere = sum == tried.saturating_mul(u64::try_from(self.fleet.active()).unwrap_or(u64::MAX));
        let free = unbound || everywhere && self.fleet.active() > 1;
        let shares = budgets.iter().map(|sources| {
            let usable = if inputs_log2 == 0 && *best > 0 {
                f64::INFINITY
            } else {
                (part * inputs).floor()
            };
            let searched = (usable / real(*sources)).min(1.0);
            let hashes = tries_per_hit.map_or(inputs, |tries| (tries * real(*sources)).min(inputs));
            let search_hashes = if free { 0.0 } else { hashes };
            Share {
                sources: *sources,
                searched,
                unsearched,
                search_hashes,
            }
        });
        let pow = self.record.pow();
        let macs = self
            .record
            .template()
            .fields()
            .iter()
            .filter(|field| matches!(field, Field::Mac { .. }));
        Findings {
            prefix: self.prefix,
            source_bits: placement.source_bits,
            inputs_log2,
            inputs_tried: tried,
            exact,
            bits_drawn: placement.drawn.count_ones(),
            bits_by_object: placement.object.count_ones(),
            bits_secret: placement.secret.count_ones(),
            target: self
                .fleet
                .endpoints
                .get(target)
                .map_or(String::new(), |(name, _)| name.clone()),
            hits: *best,
            endpoints: self.fleet.active(),
            endpoints_reached: hits.iter().filter(|hits| **hits > 0).count(),
            endpoints_per_input: per_input_reached,
            tries_per_hit,
            shares: shares.collect(),
            pow,
            pow_tries: 1 << pow,
            pow_serves_seconds: 60 + 2 * u64::from(self.record.skew()),
            mac_bits: macs.map(|field| u32::from(field.width())).sum(),
            free,
        }
    }

    /// The hits that a sample bears out: the fullest of many endpoints is so by chance too.
    fn cautious(&self, target: usize, best: u64, sum: u64, tried: u64) -> f64 {
        let weight = |(_, weight): &(String, u32)| f64::from(*weight);
        let weights: f64 = self.fleet.endpoints.iter().map(weight).sum();
        let of_target = self.fleet.endpoints.get(target).map_or(0.0, weight);
        let fair = real(sum) * of_target / weights.max(1.0);
        let deviation = (real(best) * (1.0 - real(best) / real(tried.max(1)))).sqrt();
        (real(best) - 3.0 * deviation).max(fair).min(real(best))
    }

    fn steps_per_input(&self, placement: Placement) -> u64 {
        let items = if self.chooses_item() {
            self.rule.positive_items().count()
        } else {
            1
        };
        let drawn = 1_u64 << placement.free().count_ones();
        let items = u64::try_from(items).unwrap_or(64);
        items
            .saturating_mul(u64::from(self.rule.replicas()))
            .saturating_mul(drawn.max(1))
    }

    /// The items that a verifier lets a client choose.
    fn chooses_item(&self) -> bool {
        !matches!(self.record.item(), ItemChoice::Hash(_))
    }

    /// Counts, for each endpoint, the inputs that reach it.
    fn hits(&self, placement: Placement, inputs_log2: u8, tried: u64) -> Vec<u64> {
        let mut hits = vec![0_u64; self.fleet.endpoints.len()];
        let mut last = vec![0_u64; hits.len()];
        let mut random = Seeded::new(self.seed, 1 << 62);
        let shuffle = Shuffle::new(inputs_log2, &mut random);
        let base = u128::from(self.prefix.network());
        let below = 128_u32.saturating_sub(placement.source_bits.max(self.prefix.prefix_len()).into());
        for input in 0..tried {
            let number = shuffle.at(u128::from(input)).checked_shl(below).unwrap_or(0);
            let source = Source((base | number).into());
            self.reach(placement, source, &mut random, |endpoint| {
                if let (Some(last), Some(hits)) = (last.get_mut(endpoint), hits.get_mut(endpoint))
                    && *last != input + 1
                {
                    *last = input + 1;
                    *hits += 1;
                }
            });
        }
        hits
    }

    /// Lists every endpoint that a source reaches, more than once perhaps.
    fn reach(&self, placement: Placement, source: Source, random: &mut Seeded, mut tell: impl FnMut(usize)) {
        let request = Request {
            source,
            object: Some(b"0"),
            chunk: Some(Chunk(0)),
            port: Some(self.port),
            time: Some(self.time),
            replica: Replica(0),
        };
        let chosen: Vec<ItemIndex> = if self.chooses_item() {
            self.rule.positive_items().map(|(index, _)| index).collect()
        } else {
            self.rule
                .choose_item(&request, ItemSet::EMPTY, &mut || random.next())
                .into_iter()
                .collect()
        };
        let free = placement.free();
        for item in chosen {
            for replica in 0..self.rule.replicas() {
                let request = Request {
                    replica: Replica(replica),
                    ..request
                };
                let Some(slice) = self.slice_in(item, &request, random) else {
                    continue;
                };
                // All subsets of the bits that are free, from all of them down to none.
                let mut subset = free;
                loop {
                    let reached = slice & !free | subset;
                    let endpoint = self
                        .fleet
                        .plan
                        .assignment
                        .get(usize::try_from(reached).unwrap_or(usize::MAX));
                    if let Some(endpoint) = endpoint.and_then(|endpoint| usize::try_from(endpoint.get()).ok()) {
                        tell(endpoint);
                    }
                    if subset == 0 {
                        break;
                    }
                    subset = (subset - 1) & free;
                }
            }
        }
    }

    fn slice_in(&self, item: ItemIndex, request: &Request<'_>, random: &mut Seeded) -> Option<u32> {
        let mut draw = || random.next();
        let mut search = self.rule.search_in(item, request, &mut draw).ok()?;
        match self.rule.advance(&mut search, request, 1, &mut draw).ok()? {
            Progress::Found(destination) => self.space.slice_of(destination.0).map(ssa_slices::SliceId::get),
            Progress::More => None,
        }
    }
}

impl Findings {
    /// Says, sentence by sentence, what this means and what raises the price.
    pub(crate) fn sentences(&self, record: &Record, slice_bits: u8) -> Vec<String> {
        let mut told = Vec::new();
        if self.free && self.bits_by_object == 0 {
            told.push("the attacker draws the bits that choose the slice: any source can aim at any endpoint".into());
        } else if self.bits_by_object > 0 {
            told.push(format!(
                "{} of the {slice_bits} bits that choose the slice come from the object key, which a verifier at layer 4 \
                 does not see: there they are free; at layer 7 the attacker asks for objects that hash to the target",
                self.bits_by_object
            ));
        }
        if self.bits_secret > 0 {
            told.push(format!(
                "{} of the bits that choose the slice are under a mac: without the key no search is possible, and the \
                 figures above hold for a client that has it",
                self.bits_secret
            ));
        }
        if self.mac_bits > 0 {
            told.push(format!(
                "without the key, one address in 2^{} conforms; {}",
                self.mac_bits,
                match record.kdf() {
                    Some(bits) => format!("with kdf=src/{bits} a client's key serves no source outside its /{bits}"),
                    None => "every client holds the same secret: kdf=src/48 gives each its own".into(),
                }
            ));
        }
        if self.source_bits > 48 && self.prefix.prefix_len() < self.source_bits && !self.free {
            let kept = match 48_u8.saturating_sub(self.prefix.prefix_len()) {
                0 => "one input".to_string(),
                bits => format!("2^{bits} inputs"),
            };
            told.push(format!(
                "src/48 in place of src/{} leaves this prefix {kept} instead of 2^{}",
                self.source_bits, self.inputs_log2
            ));
        }
        let (tries, seconds) = (self.pow_tries, self.pow_serves_seconds);
        if self.pow > 0 {
            told.push(format!(
                "pow={}: each source and destination costs {tries} hashes on average and then serves {seconds} s (60 + \
                 2·skew); solutions can be computed ahead",
                self.pow
            ));
        } else if record.template().rand_bits() >= 22 {
            told.push(format!(
                "pow=14 would cost 16384 hashes for each source and destination, again every {seconds} s"
            ));
        } else {
            told.push("pow=14 would need at least 22 rand bits; it costs 16384 hashes for each source".into());
        }
        let searchable = self.source_bits > self.prefix.prefix_len() && self.bits_secret == 0 && !self.free;
        if searchable
            && record
                .template()
                .fields()
                .iter()
                .any(|field| matches!(field, Field::Hash { .. }))
        {
            let searched = format!("2^{} hashes", self.inputs_log2);
            told.push(match record.salt() {
                Some(_) => format!("a changed salt voids what was found: the search starts again, {searched} for all"),
                None => format!(
                    "there is no salt to change: what was found, with {searched} at most, remains valid forever"
                ),
            });
        }
        if self.mac_bits == 0 {
            told.push("a mac of 32 bits or more shuts out whoever is not a known client".into());
        }
        told
    }
}
