//! How evenly a load lies on endpoints.

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::endpoints::Held;

/// How evenly a load lies. Loads are relative to an endpoint's fair share, its weight's part of the whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// Connections in all.
    pub(crate) connections: u64,
    /// Endpoints with weight.
    pub(crate) endpoints: usize,
    /// Whether all endpoints have the same weight: then the mean is the fair share of each.
    #[serde(skip)]
    pub(crate) even: bool,
    /// Connections that an endpoint has on average.
    pub(crate) mean: f64,
    /// The fullest endpoint's load over its fair share.
    pub(crate) max_over_mean: f64,
    /// The load that 99 of 100 endpoints do not exceed, over the fair share.
    pub(crate) p99_over_mean: f64,
    /// The emptiest endpoint's load over its fair share.
    pub(crate) min_over_mean: f64,
    /// Endpoints without any connection.
    pub(crate) idle: usize,
    /// Against loads that follow the weights.
    pub(crate) chi_square: Option<ChiSquare>,
    /// Against loads that follow the slices held: what is left when the rounding to slices is taken out.
    pub(crate) chi_square_by_slices: Option<ChiSquare>,
    /// Loads over fair shares, the greatest first.
    #[serde(skip)]
    pub(crate) ratios: Vec<f64>,
    /// The fullest endpoints, the fullest first, by their numbers.
    #[serde(skip)]
    pub(crate) order: Vec<usize>,
}

/// Pearson's chi-square, with its degrees of freedom.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct ChiSquare {
    pub(crate) statistic: f64,
    pub(crate) degrees_of_freedom: u64,
    /// The statistic over its degrees of freedom: near 1 for independent, even connections.
    pub(crate) normalised: f64,
    /// How likely independent, even connections give at least this; nothing where fewer than 5 are expected at an
    /// endpoint, which the distribution does not bear.
    pub(crate) p_value: Option<f64>,
}

/// Turns a count into a real number. Counts here stay below 2⁵³.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of connections, endpoints and slices stay far below 2^53"
)]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

/// Turns a number of things into a real number.
pub(crate) fn size(count: usize) -> f64 {
    real(u64::try_from(count).unwrap_or(u64::MAX))
}

fn chi_square(held: &[Held], connections: u64, share: impl Fn(&Held) -> f64) -> Option<ChiSquare> {
    let total: f64 = held.iter().map(&share).sum();
    let expected = |held: &Held| real(connections) * share(held) / total;
    let counted: Vec<&Held> = held.iter().filter(|held| share(held) > 0.0).collect();
    let degrees_of_freedom = u64::try_from(counted.len())
        .ok()?
        .checked_sub(1)
        .filter(|degrees| *degrees > 0)?;
    if connections == 0 {
        return None;
    }
    let statistic: f64 = counted
        .iter()
        .map(|held| (real(held.load) - expected(held)).powi(2) / expected(held))
        .sum();
    let least = counted.iter().map(|held| expected(held)).fold(f64::INFINITY, f64::min);
    let distribution = ChiSquared::new(real(degrees_of_freedom)).ok().filter(|_| least >= 5.0);
    Some(ChiSquare {
        statistic,
        degrees_of_freedom,
        normalised: statistic / real(degrees_of_freedom),
        p_value: distribution.map(|distribution| distribution.sf(statistic)),
    })
}

impl Spread {
    /// Names what loads are relative to.
    pub(crate) fn unit(&self) -> &'static str {
        if self.even { "mean" } else { "fair share" }
    }

    /// Measures loads; `held` goes by the endpoints' numbers.
    pub(crate) fn new(held: &[Held]) -> Self {
        let connections: u64 = held.iter().map(|held| held.load).sum();
        let weights: f64 = held.iter().map(|held| f64::from(held.weight)).sum();
        let ratio = |held: &Held| {
            let fair = real(connections) * f64::from(held.weight) / weights;
            if fair > 0.0 { real(held.load) / fair } else { 0.0 }
        };
        let mut order: Vec<usize> = (0..held.len()).filter(|index| held[*index].weight > 0).collect();
        // The sort is stable: of equals, the first in the list comes first.
        order.sort_by(|one, other| ratio(&held[*other]).total_cmp(&ratio(&held[*one])));
        let ratios: Vec<f64> = order.iter().map(|index| ratio(&held[*index])).collect();
        let endpoints = order.len();
        let weight_of = |index: &usize| held.get(*index).map(|held| held.weight);
        let even = order
            .iter()
            .all(|index| weight_of(index) == order.first().and_then(weight_of));
        // The nearest rank: at most one endpoint in a hundred is above it.
        let above = endpoints / 100;
        let at = |place: usize| ratios.get(place).copied().unwrap_or(0.0);
        Self {
            connections,
            endpoints,
            even,
            mean: if endpoints == 0 {
                0.0
            } else {
                real(connections) / size(endpoints)
            },
            max_over_mean: at(0),
            p99_over_mean: at(above.min(endpoints.saturating_sub(1))),
            min_over_mean: at(endpoints.saturating_sub(1)),
            idle: held.iter().filter(|held| held.weight > 0 && held.load == 0).count(),
            chi_square: chi_square(held, connections, |held| f64::from(held.weight)),
            chi_square_by_slices: chi_square(held, connections, |held| real(held.slices)),
            ratios,
            order,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(loads: &[u64]) -> Vec<Held> {
        loads
            .iter()
            .map(|load| Held {
                weight: 1,
                slices: 1,
                load: *load,
            })
            .collect()
    }

    #[test]
    fn the_textbook_die_has_its_chi_square() {
        // 60 throws of a die: 5, 8, 9, 8, 10, 20 give 13.4 at 5 degrees of freedom, p = 0.0199.
        let spread = Spread::new(&held(&[5, 8, 9, 8, 10, 20]));
        let chi = spread.chi_square.unwrap();
        assert!((chi.statistic - 13.4).abs() < 1e-9 && chi.degrees_of_freedom == 5);
        assert!((chi.p_value.unwrap() - 0.0199).abs() < 1e-4);
        assert!((spread.max_over_mean - 2.0).abs() < 1e-9 && (spread.mean - 10.0).abs() < 1e-9);
    }

    #[test]
    fn weights_make_unequal_loads_fair() {
        let weighted = [
            Held {
                weight: 3,
                slices: 3,
                load: 300,
            },
            Held {
                weight: 1,
                slices: 1,
                load: 100,
            },
        ];
        let spread = Spread::new(&weighted);
        assert!((spread.max_over_mean - 1.0).abs() < 1e-9 && spread.chi_square.unwrap().statistic.abs() < 1e-9);
    }

    #[test]
    fn the_99th_of_100_is_exceeded_by_one() {
        let loads: Vec<u64> = (1..=100).collect();
        let spread = Spread::new(&held(&loads));
        assert!((spread.p99_over_mean - 99.0 / 50.5).abs() < 1e-9);
        assert!((spread.max_over_mean - 100.0 / 50.5).abs() < 1e-9);
    }

    #[test]
    fn nothing_and_one_are_measured_without_a_test() {
        let spread = Spread::new(&held(&[0, 0]));
        assert!(spread.chi_square.is_none() && spread.max_over_mean.abs() < f64::EPSILON && spread.idle == 2);
        assert!(Spread::new(&held(&[7])).chi_square.is_none());
        assert!(Spread::new(&[]).ratios.is_empty());
    }

    #[test]
    fn few_expected_give_no_p() {
        assert_eq!(Spread::new(&held(&[3, 4])).chi_square.unwrap().p_value, None);
    }
}
