//! Inbound: whether a request may come in, on a connection that came in.

use ssa_rules::{Destination, Flow, HttpRequest, Membership, Port, Source, UnixTime, Verdict, http::MAX_OBJECT_BYTES};
use ssa_snapshot::{Finding, Mode};

use super::{Decision, Findings, Inbound, InboundService};
use crate::{endpoint::Endpoint, request};

/// What is to be done with the requests of a connection to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested {
    /// They are judged, each by itself, by this service.
    Judge(usize),
    /// What was decided of the connection holds for them: nothing depends on what they ask for.
    AsConnection,
    /// The proxy does not say what they are.
    Unreadable,
}

/// What an application is told of a request: header fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The object key.
    pub object: Option<Vec<u8>>,
    /// The replica.
    pub replica: Option<String>,
    /// The slice.
    pub slice: Option<Vec<u8>>,
}

impl Inbound {
    /// Returns what is to be done with requests to an address.
    #[must_use]
    pub fn requested(&self, destination: Option<Endpoint>) -> Requested {
        let Some(destination) = destination else {
            return Requested::Unreadable;
        };
        match self.services.owner(destination.address) {
            Some((number, service)) if !self.off && service.judges_requests(destination) => Requested::Judge(number),
            _ => Requested::AsConnection,
        }
    }

    /// Returns whether requests of a service are judged by when their connection was opened.
    #[must_use]
    pub fn needs_opening(&self, service: Option<usize>) -> bool {
        let service = service.and_then(|number| self.services.services().get(number));
        service.is_some_and(InboundService::needs_opening)
    }

    /// Decides on a request of which too little is known.
    #[must_use]
    pub fn unreadable(&self) -> Decision {
        let mut services = self.services.services().iter();
        let enforced = !self.off && services.any(|service| service.mode == Mode::Enforce);
        Decision::general(Finding::Unreadable, !enforced)
    }

    /// Decides on a request by a service, and returns what the application is to be told. The time is when the connection
    /// was opened.
    #[must_use]
    pub fn decide_request(
        &self,
        number: usize,
        source: Endpoint,
        destination: Endpoint,
        opened: UnixTime,
        request: &HttpRequest<'_>,
    ) -> (Decision, Told) {
        let Some(service) = self.services.services().get(number) else {
            return (self.unreadable(), Told::default());
        };
        let mut flow = Flow::new(Source(source.address), Destination(destination.address), opened);
        flow.port = Some(Port(destination.port));
        let (found, told) = service.find_request(&flow, request);
        (service.decision(number, found), told)
    }
}

impl InboundService {
    /// Returns whether requests to this address are judged by what they ask for. One outside or reserved was decided on
    /// with the connection.
    fn judges_requests(&self, to: Endpoint) -> bool {
        let judges = self.mode != Mode::Off && self.ports.contains(&to.port) && self.has_keys();
        judges && matches!(self.service.membership(to.address), Membership::Service(_))
    }

    /// Returns whether any record says where requests have their keys.
    fn has_keys(&self) -> bool {
        self.service.rules.records().any(|(_, keys)| !keys.is_empty())
    }

    fn needs_opening(&self) -> bool {
        let mut records = self.service.rules.records();
        self.mode != Mode::Off
            && self.has_keys()
            && records.any(|(rule, _)| rule.time_step().is_some() || rule.pow() > 0)
    }

    fn find_request(&self, flow: &Flow<'_>, request: &HttpRequest<'_>) -> (Findings, Told) {
        let mut buffer = [0; MAX_OBJECT_BYTES];
        let rules = &self.service.rules;
        let Some(judgement) = rules.verify_request(flow, request, &mut buffer) else {
            return (Finding::NoRule.into(), Told::default());
        };
        let found = Findings::from(judgement.verdict);
        let (Verdict::Conforming(unchecked), Some((rule, keys))) = (judgement.verdict, rules.record(judgement.from))
        else {
            return (found, Told::default());
        };
        let flow = Flow {
            object: keys.find_object(request, &mut buffer),
            chunk: keys.find_chunk(request).ok(),
            ..*flow
        };
        let replica = rule
            .replica(&flow)
            .map(|replica| format!("{}/{}", replica.0, rule.replicas()));
        let slice = rule.placement(flow.destination);
        let told = Told {
            object: flow.object.map(request::encoded),
            replica,
            slice: slice.map(|(value, width)| request::hex(value, u32::from(width).div_ceil(4))),
        };
        let found = if unchecked.is_empty() || keys.is_empty() {
            found
        } else {
            Findings {
                finding: Finding::NoObject,
                ..found
            }
        };
        (found, told)
    }
}
