//! Endpoints: names, weights, and which slices the planner gives them.

use std::{collections::BTreeMap, str::FromStr};

use ssa_slices::{Endpoint, EndpointId, MAX_ENDPOINTS, Plan, PlanError, Replicas, SliceSpace, plan};

/// Endpoints as given: a number of them, or `NAME[=WEIGHT],…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoints(pub(crate) Vec<(String, u32)>);

/// Why a text names no endpoints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndpointsError {
    /// The number is out of bounds.
    #[error("`{text}` endpoints are not 1 to {MAX_ENDPOINTS}")]
    Number { text: String },
    /// A name is empty or has a character that it must not have.
    #[error("`{text}` is not a name of 1 to 64 of a-z A-Z 0-9 - _ . : and no number")]
    Name { text: String },
    /// A weight is not a number within the bounds.
    #[error("the weight `{text}` of {name} is not 0 to {}", u32::MAX)]
    Weight { name: String, text: String },
    /// A name is a duplicate.
    #[error("duplicate endpoint {name}")]
    Twice { name: String },
    /// No endpoint has weight.
    #[error("no endpoint has weight")]
    NoWeight,
}

impl FromStr for Endpoints {
    type Err = EndpointsError;

    fn from_str(text: &str) -> Result<Self, EndpointsError> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().ok().filter(|number| (1..=MAX_ENDPOINTS).contains(number));
            let number = number.ok_or_else(|| EndpointsError::Number { text: text.into() })?;
            return Ok(Self((1..=number).map(|number| (format!("ep{number}"), 1)).collect()));
        }
        let mut seen = BTreeMap::new();
        let mut endpoints = Vec::new();
        for word in text.split(',') {
            let (name, weight) = word
                .split_once('=')
                .map_or((word, None), |(name, weight)| (name, Some(weight)));
            let (name, weight) = (name.trim(), weight.map(str::trim));
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
            let digits = name.chars().all(|c| c.is_ascii_digit());
            if digits || name.len() > 64 || !name.chars().all(allowed) {
                return Err(EndpointsError::Name { text: name.into() });
            }
            let weight = weight.map_or(Ok(1), |weight| {
                weight.parse().map_err(|_| EndpointsError::Weight {
                    name: name.into(),
                    text: weight.into(),
                })
            })?;
            if seen.insert(name, ()).is_some() {
                return Err(EndpointsError::Twice { name: name.into() });
            }
            endpoints.push((name.to_string(), weight));
        }
        if endpoints.len() > MAX_ENDPOINTS {
            return Err(EndpointsError::Number {
                text: endpoints.len().to_string(),
            });
        }
        if endpoints.iter().all(|(_, weight)| *weight == 0) {
            return Err(EndpointsError::NoWeight);
        }
        Ok(Self(endpoints))
    }
}

/// Endpoints and the slices that they hold.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    /// Names and weights, by the planner's numbers; those that are gone have no weight.
    pub(crate) endpoints: Vec<(String, u32)>,
    /// The plan.
    pub(crate) plan: Plan,
}

impl Fleet {
    /// Assigns all slices to endpoints that hold none yet.
    pub(crate) fn start(space: &SliceSpace, replicas: Replicas, endpoints: Endpoints) -> Result<Self, PlanError> {
        let current = vec![None; space.count()];
        let plan = plan(space, replicas, &current, &weights(&endpoints.0))?;
        Ok(Self {
            endpoints: endpoints.0,
            plan,
        })
    }

    /// Plans for other endpoints; those of the same name are the same.
    pub(crate) fn then(&self, space: &SliceSpace, replicas: Replicas, wanted: &Endpoints) -> Result<Self, PlanError> {
        let mut wanted_weights: BTreeMap<&str, u32> = BTreeMap::new();
        wanted.0.iter().for_each(|(name, weight)| {
            wanted_weights.insert(name, *weight);
        });
        let kept = self
            .endpoints
            .iter()
            .map(|(name, _)| (name.clone(), wanted_weights.remove(name.as_str())));
        let mut endpoints: Vec<(String, u32)> = kept.map(|(name, weight)| (name, weight.unwrap_or(0))).collect();
        let added = wanted
            .0
            .iter()
            .filter(|(name, _)| wanted_weights.contains_key(name.as_str()));
        endpoints.extend(added.cloned());
        let current: Vec<Option<EndpointId>> = self.plan.assignment.iter().copied().map(Some).collect();
        let plan = plan(space, replicas, &current, &weights(&endpoints))?;
        Ok(Self { endpoints, plan })
    }

    /// Returns the number of endpoints with weight.
    pub(crate) fn active(&self) -> usize {
        self.endpoints.iter().filter(|(_, weight)| *weight > 0).count()
    }

    /// Counts, for each endpoint, its slices and what load falls on them.
    pub(crate) fn loads(&self, per_slice: &[u64]) -> Vec<Held> {
        let mut held: Vec<Held> = self
            .endpoints
            .iter()
            .map(|(_, weight)| Held::of_weight(*weight))
            .collect();
        for (endpoint, load) in self.plan.assignment.iter().zip(per_slice) {
            if let Some(held) = usize::try_from(endpoint.get())
                .ok()
                .and_then(|endpoint| held.get_mut(endpoint))
            {
                held.slices += 1;
                held.load += load;
            }
        }
        held
    }
}

/// What one endpoint holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) weight: u32,
    pub(crate) slices: u64,
    pub(crate) load: u64,
}

impl Held {
    fn of_weight(weight: u32) -> Self {
        Self {
            weight,
            slices: 0,
            load: 0,
        }
    }
}

fn weights(endpoints: &[(String, u32)]) -> Vec<Endpoint> {
    endpoints
        .iter()
        .map(|(_, weight)| Endpoint::of_weight(*weight))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_a_number_or_names_with_weights() {
        let three: Endpoints = "3".parse().unwrap();
        assert_eq!(
            three.0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["ep1", "ep2", "ep3"]
        );
        let named: Endpoints = "a=2, b,c=0".parse().unwrap();
        assert_eq!(named.0, [("a".into(), 2), ("b".into(), 1), ("c".into(), 0)]);
        for bad in [
            "0",
            "65537",
            "",
            "a,,b",
            "a=x",
            "a=-1",
            "a,a",
            "a=0",
            "ä",
            "a,7",
            "99999999999999999999",
        ] {
            assert!(bad.parse::<Endpoints>().is_err(), "{bad}");
        }
    }
}
