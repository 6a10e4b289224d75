//! Which ends of connections are worth a question.
//!
//! At the end of a connection the proxy can tell from which source its upstream connection went, or that there was none.
//! The question costs about as much as everything else that the filter does at an end, so it is asked where the answer
//! is likely to be news.

/// After so many answers in a row that were no news, one end of as many is asked.
const PATIENCE: u32 = 16;

/// What the end of a connection told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing: the proxy knows neither a source nor a failure.
    Nothing,
    /// It was connected from the source that the destination was composed for.
    AsComposed,
    /// It was connected from another source, or not at all.
    News,
}

/// Which ends to ask.
///
/// - Under the HTTP connection manager requests share upstream connections, and no end tells anything.
/// - Under `tcp_proxy` a connection whose client finished first has hardly ever failed to connect; what it can tell is
///   its source, which changes for all connections or for none. Where the proxy closed first, it may have failed to
///   connect: such an end is always asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    nothing: Sampler,
    as_composed: Sampler,
}

impl Ends {
    /// Says whether to ask at this end; `finished` says whether the client sent its FIN before.
    pub(super) const fn worth_asking(&mut self, finished: bool) -> bool {
        if self.nothing.samples() {
            self.nothing.due()
        } else {
            !finished || self.as_composed.due()
        }
    }

    /// Notes what the end that was asked told.
    pub(super) fn note(&mut self, told: Told) {
        match told {
            Told::Nothing => self.nothing.expected(),
            Told::AsComposed => {
                self.nothing = Sampler::default();
                self.as_composed.expected();
            }
            Told::News => *self = Self::default(),
        }
    }
}

/// Takes all of the first, then one of [`PATIENCE`], for as long as the answers are the expected ones.
#[derive(Clone, Copy, Debug, Default)]
struct Sampler {
    /// How many were as expected, up to [`PATIENCE`]; beyond that, how many passed since the last one that was taken.
    count: u32,
}

impl Sampler {
    const fn samples(self) -> bool {
        self.count >= PATIENCE
    }

    const fn due(&mut self) -> bool {
        if self.samples() {
            self.count = self.count.saturating_add(1);
        }
        !self.samples() || self.count >= PATIENCE.saturating_mul(2)
    }

    const fn expected(&mut self) {
        self.count = match self.count {
            count if count < PATIENCE => count.saturating_add(1),
            _ => PATIENCE,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns at which of so many ends it asks, if each tells the same.
    fn asked(ends: &mut Ends, count: usize, finished: bool, told: Told) -> Vec<usize> {
        (0..count)
            .filter(|_| {
                let asks = ends.worth_asking(finished);
                if asks {
                    ends.note(told);
                }
                asks
            })
            .collect()
    }

    /// The first 16, then one in 16.
    fn sparse(count: usize) -> Vec<usize> {
        (0..16).chain((31..count).step_by(16)).collect()
    }

    #[test]
    fn ends_that_tell_nothing_are_asked_now_and_then() {
        for finished in [false, true] {
            let mut ends = Ends::default();
            assert_eq!(asked(&mut ends, 64, finished, Told::Nothing), sparse(64));
            assert_eq!(
                asked(&mut ends, 1_000_000, finished, Told::Nothing).len(),
                1_000_000 / 16
            );
        }
    }

    #[test]
    fn an_end_that_tells_its_source_has_all_asked_again() {
        let mut ends = Ends::default();
        asked(&mut ends, 1000, true, Told::Nothing);
        while !ends.worth_asking(true) {}
        ends.note(Told::AsComposed);
        assert_eq!(asked(&mut ends, 64, true, Told::AsComposed), {
            // One of the first 16 was asked above.
            let mut rest = sparse(65);
            rest.remove(0);
            rest.into_iter().map(|end| end - 1).collect::<Vec<_>>()
        });
    }

    #[test]
    fn where_the_client_finished_first_the_expected_source_is_asked_now_and_then() {
        let mut ends = Ends::default();
        assert_eq!(asked(&mut ends, 64, true, Told::AsComposed), sparse(64));
    }

    #[test]
    fn where_the_proxy_closed_first_every_end_is_asked() {
        let mut ends = Ends::default();
        asked(&mut ends, 1000, true, Told::AsComposed);
        assert_eq!(
            asked(&mut ends, 100, false, Told::AsComposed),
            (0..100).collect::<Vec<_>>()
        );
    }

    #[test]
    fn news_has_all_asked_again_for_as_long_as_it_lasts() {
        let mut ends = Ends::default();
        asked(&mut ends, 1000, true, Told::AsComposed);
        while !ends.worth_asking(true) {}
        ends.note(Told::News);
        assert_eq!(asked(&mut ends, 100, true, Told::News), (0..100).collect::<Vec<_>>());
        assert_eq!(asked(&mut ends, 64, true, Told::AsComposed), sparse(64));
    }
}
