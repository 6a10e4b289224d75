//! Proof of work: solved in steps of a bounded number of tries, verified with one hash a minute.

use super::{ComposeError, ItemIndex, Request, Rule, context::Context};
use crate::{
    hash::{self, Message},
    record::MAX_POW,
    types::Destination,
};

/// An address under search: it becomes final once it carries its proof of work.
///
/// It is plain data that holds nothing of the rule or the request, so a caller can put it away between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    pub(super) item: ItemIndex,
    pub(super) candidate: u128,
    pub(super) tries: u64,
}

/// How far a search came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The address.
    Found(Destination),
    /// The tries of this step are used up.
    More,
}

impl Search {
    /// Returns the item that the address is composed in.
    #[must_use]
    pub fn item(&self) -> ItemIndex {
        self.item
    }

    /// Returns the address that is tried next: by a rule without a proof of work, the final one.
    #[must_use]
    pub fn candidate(&self) -> Destination {
        Destination(self.candidate.into())
    }

    /// Returns how many addresses were tried.
    #[must_use]
    pub fn tries(&self) -> u64 {
        self.tries
    }
}

impl Rule {
    /// Goes on with a search for at most `tries` addresses. Rule and request must be those that it started with.
    ///
    /// A rule without a proof of work needs one try.
    ///
    /// # Errors
    ///
    /// [`ComposeError::PowExhausted`] after 64·2ᵈ tries in all; otherwise what the request lacks.
    pub fn advance(
        &self,
        search: &mut Search,
        request: &Request<'_>,
        tries: u32,
        random: &mut impl FnMut() -> u64,
    ) -> Result<Progress, ComposeError> {
        let derived = self.derived_key(u128::from(request.source.0));
        let context = self.context(request, derived.as_ref())?;
        self.advance_with(search, &context, request, tries, random)
    }

    pub(super) fn advance_with(
        &self,
        search: &mut Search,
        context: &Context<'_>,
        request: &Request<'_>,
        tries: u32,
        random: &mut impl FnMut() -> u64,
    ) -> Result<Progress, ComposeError> {
        let minute = request.time.map_or(0, |time| minute(time.0));
        let port = request.port.map_or(0, |port| port.0);
        let limit = 64_u64.saturating_mul(1_u64.unbounded_shl(self.pow.min(MAX_POW).into()));
        for _ in 0..tries {
            if search.tries >= limit {
                return Err(ComposeError::PowExhausted { tries: search.tries });
            }
            search.tries = search.tries.saturating_add(1);
            let candidate = search.candidate;
            let worked = self.pow == 0 || self.work(context.source, candidate, port, minute) >= self.pow;
            if worked && self.escapes_negated(candidate) {
                return Ok(Progress::Found(Destination(candidate.into())));
            }
            search.candidate = self.draw(search.item, context, request.replica, random)?;
        }
        Ok(Progress::More)
    }

    /// Returns how many bits of work an address carries in a minute, at most 64.
    pub(super) fn work(&self, source: u128, destination: u128, port: u16, minute: u64) -> u8 {
        // 03 ‖ u16 length ‖ salt ‖ …, the length at most 32.
        let length = self.salt_length.min(32);
        let mut message = Message::new([3, 0]);
        message.put8(length);
        self.salt
            .iter()
            .take(length.into())
            .for_each(|byte| message.put8(*byte));
        message.put128(source);
        message.put128(destination);
        message.put16(port);
        message.put64(minute);
        u8::try_from(message.hash(&hash::PUBLIC_KEY).leading_zeros()).unwrap_or(64)
    }
}

/// Returns the number of the minute that a second lies in.
pub(super) const fn minute(seconds: u64) -> u64 {
    seconds.div_euclid(60)
}
