//! Whether the proxy is asked about the upstream connection when a connection ends.
//!
//! It can say from which source that was made, or that it could not be made. A query costs about as much as everything
//! else that the filter does at an end, so it is made where its answer is likely to be unexpected.

/// After so many answers in a row that were expected, one end of as many is queried.
const PATIENCE: u32 = 16;

/// The answer to a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The proxy knows neither a source nor a failure.
    None,
    /// It was connected from the source that the destination was composed for.
    Expected,
    /// It was connected from another source, or not at all.
    Unexpected,
}

/// Which ends are queried.
///
/// - Under the HTTP connection manager requests share upstream connections, and no query is answered.
/// - Under `tcp_proxy` a connection whose client sent its FIN first has hardly ever failed to connect; what can be
///   unexpected is its source, which changes for all connections or for none. Where the proxy closed first, it may have
///   failed to connect: such an end is always queried.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UpstreamQueries {
    unanswered: Sampler,
    expected: Sampler,
}

impl UpstreamQueries {
    /// Returns whether to query at this end; `half_closed` says whether the client had sent its FIN.
    pub(super) const fn are_due(&mut self, half_closed: bool) -> bool {
        if self.unanswered.is_sampling() {
            self.unanswered.is_due()
        } else {
            !half_closed || self.expected.is_due()
        }
    }

    /// Records the answer to a query.
    pub(super) fn record(&mut self, answer: Answer) {
        match answer {
            Answer::None => self.unanswered.record(),
            Answer::Expected => {
                self.unanswered = Sampler::default();
                self.expected.record();
            }
            Answer::Unexpected => *self = Self::default(),
        }
    }
}

/// Takes all of the first, then one of [`PATIENCE`], for as long as the answers are the same.
#[derive(Clone, Copy, Debug, Default)]
struct Sampler {
    /// How many answers were the same, up to [`PATIENCE`]; beyond that, how many ends passed since the last query.
    count: u32,
}

impl Sampler {
    const fn is_sampling(self) -> bool {
        self.count >= PATIENCE
    }

    const fn is_due(&mut self) -> bool {
        if self.is_sampling() {
            self.count = self.count.saturating_add(1);
        }
        !self.is_sampling() || self.count >= PATIENCE.saturating_mul(2)
    }

    const fn record(&mut self) {
        self.count = match self.count {
            count if count < PATIENCE => count.saturating_add(1),
            _ => PATIENCE,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns at which of so many ends it queries, if each answer is the same.
    fn due(queries: &mut UpstreamQueries, count: usize, half_closed: bool, answer: Answer) -> Vec<usize> {
        (0..count)
            .filter(|_| {
                let due = queries.are_due(half_closed);
                if due {
                    queries.record(answer);
                }
                due
            })
            .collect()
    }

    /// The first 16, then one in 16.
    fn sparse(count: usize) -> Vec<usize> {
        (0..16).chain((31..count).step_by(16)).collect()
    }

    #[test]
    fn unanswered_queries_are_repeated_now_and_then() {
        for half_closed in [false, true] {
            let mut queries = UpstreamQueries::default();
            assert_eq!(due(&mut queries, 64, half_closed, Answer::None), sparse(64));
            assert_eq!(
                due(&mut queries, 1_000_000, half_closed, Answer::None).len(),
                1_000_000 / 16
            );
        }
    }

    #[test]
    fn one_answer_makes_every_end_worth_a_query_again() {
        let mut queries = UpstreamQueries::default();
        due(&mut queries, 1000, true, Answer::None);
        while !queries.are_due(true) {}
        queries.record(Answer::Expected);
        assert_eq!(due(&mut queries, 64, true, Answer::Expected), {
            // One of the first 16 was queried above.
            let mut others = sparse(65);
            others.remove(0);
            others.into_iter().map(|end| end - 1).collect::<Vec<_>>()
        });
    }

    #[test]
    fn where_the_client_closed_first_the_expected_source_is_queried_now_and_then() {
        let mut queries = UpstreamQueries::default();
        assert_eq!(due(&mut queries, 64, true, Answer::Expected), sparse(64));
    }

    #[test]
    fn where_the_proxy_closed_first_every_end_is_queried() {
        let mut queries = UpstreamQueries::default();
        due(&mut queries, 1000, true, Answer::Expected);
        assert_eq!(
            due(&mut queries, 100, false, Answer::Expected),
            (0..100).collect::<Vec<_>>()
        );
    }

    #[test]
    fn unexpected_answers_make_every_end_worth_a_query_for_as_long_as_they_last() {
        let mut queries = UpstreamQueries::default();
        due(&mut queries, 1000, true, Answer::Expected);
        while !queries.are_due(true) {}
        queries.record(Answer::Unexpected);
        assert_eq!(
            due(&mut queries, 100, true, Answer::Unexpected),
            (0..100).collect::<Vec<_>>()
        );
        assert_eq!(due(&mut queries, 64, true, Answer::Expected), sparse(64));
    }
}
