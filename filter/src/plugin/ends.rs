//! Whether the ends of connections are worth questions.

/// After so many ends in a row that told nothing, one of as many is still asked.
const PATIENCE: u32 = 16;

/// How many ends in a row told nothing.
///
/// Under `tcp_proxy` a connection has its upstream connection, and at its end Envoy tells from which source it went, or
/// that there was no way. Under the HTTP connection manager requests share upstream connections, and the end of the
/// client's tells neither; the questions are the larger part of what such an end costs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    silent: u32,
}

impl Ends {
    /// Says whether to ask at this end.
    pub(super) const fn worth_asking(&mut self) -> bool {
        if self.silent < PATIENCE {
            return true;
        }
        // From here on it counts the ends since the last one that was asked.
        self.silent = self.silent.saturating_add(1);
        self.silent >= PATIENCE.saturating_mul(2)
    }

    /// Notes whether the end that was asked told anything.
    pub(super) const fn note(&mut self, told: bool) {
        self.silent = match self.silent {
            _ if told => 0,
            silent if silent < PATIENCE => silent.saturating_add(1),
            _ => PATIENCE,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns at which of so many ends it asks, if none tells anything.
    fn asked(ends: &mut Ends, count: usize) -> Vec<usize> {
        (0..count)
            .filter(|_| {
                let asks = ends.worth_asking();
                if asks {
                    ends.note(false);
                }
                asks
            })
            .collect()
    }

    #[test]
    fn ends_that_tell_nothing_are_asked_now_and_then() {
        let mut ends = Ends::default();
        let expected: Vec<usize> = (0..16).chain([31, 47, 63]).collect();
        assert_eq!(asked(&mut ends, 64), expected);
        assert_eq!(asked(&mut ends, 1_000_000).len(), 1_000_000 / 16);
    }

    #[test]
    fn one_end_that_tells_something_has_all_asked_again() {
        let mut ends = Ends::default();
        asked(&mut ends, 1000);
        while !ends.worth_asking() {}
        ends.note(true);
        assert_eq!(asked(&mut ends, 17), (0..16).collect::<Vec<_>>());
    }
}
