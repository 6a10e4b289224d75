//! What of a configuration does not have the shape that is foreseen: every field of it, and where it stands.

use ssa_input::json::{self, Document, MAX_FAULTS};

use super::{
    fault::{Fault, Problem},
    raw,
};

/// A configuration as it is written, except services with faults of shape.
pub(super) struct Shaped {
    /// All but the services.
    pub(super) config: raw::Config,
    /// The services, in their places.
    pub(super) services: Vec<Option<raw::Service>>,
    /// What is wrong.
    pub(super) faults: Vec<Fault>,
}

/// Reads a configuration.
///
/// # Errors
///
/// Every fault, where it is not JSON or nothing of it can be read.
pub(super) fn read(json: &[u8]) -> Result<Shaped, Vec<Fault>> {
    let mut document = Document::new(json).map_err(|fault| vec![shape(&fault)])?;
    let members = document.take_members("services");
    let mut faults = Vec::new();
    let config = document.read::<raw::Config>(&mut faults);
    let mut services = Vec::new();
    for (number, member) in members.iter().enumerate() {
        let before = faults.len();
        let way = ["services".into(), json::Step::At(number)];
        let service = document.part::<raw::Service>(member, &way, &mut faults);
        services.push(service.filter(|_| faults.len() == before));
        if faults.len() >= MAX_FAULTS {
            break;
        }
    }
    let faults = faults.iter().map(shape).collect();
    match config {
        Some(config) => Ok(Shaped {
            config,
            services,
            faults,
        }),
        None => Err(faults),
    }
}

fn shape(fault: &json::Fault) -> Fault {
    Fault {
        place: fault.path.clone(),
        problem: Problem::Shape { reason: fault.reason() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_shape_is_told_with_its_place() {
        let json = br#"{
            "servises": [], "dns": {"timeout_ms": "fast", "ttl": 1}, "off": 1,
            "services": [
                {"name": "a", "allowed": ["2001:db8::/32"], "inbound": {"ports": [80, "http", true]}},
                {"name": "b", "allowed": "2001:db8::/32", "outbound": {}, "mode": "off"},
                7,
                {"allowed": [], "inbound": {"ports": [1], "mode": "on"}}
            ]}"#;
        let Ok(shaped) = read(json) else {
            panic!("nothing is read")
        };
        let told: Vec<String> = shaped.faults.iter().map(ToString::to_string).collect();
        let wanted = [
            ("servises: unknown field; allowed: socket", "(line 2, column 25)"),
            (
                "dns.timeout_ms: must be an integer from 100 to 30000, not a string",
                "(line 2, column 51)",
            ),
            ("dns.ttl: unknown field", "(line 2, column"),
            ("off: must be true or false, not 1", "(line 2, column"),
            (
                "services[0].inbound.ports[1]: must be an integer from 0 to 65535, not a string",
                "(line 4,",
            ),
            (
                "services[0].inbound.ports[2]: must be an integer from 0 to 65535, not true",
                "(line 4,",
            ),
            ("services[1].allowed: must be a list, not a string", "(line 5,"),
            ("services[1].mode: unknown field", "(line 5,"),
            ("services[2]: must be an object, not 7", "(line 6,"),
            (
                "services[3].inbound.mode: must be one of enforce, shadow, off",
                "(line 7,",
            ),
            ("services[3].name: missing", "(line 7,"),
        ];
        for (what, place) in wanted {
            let found = told.iter().any(|told| told.starts_with(what) && told.contains(place));
            assert!(found, "{what} {place} in {told:#?}");
        }
        assert_eq!(told.len(), wanted.len(), "{told:#?}");
        assert_eq!(shaped.services.len(), 4);
    }

    #[test]
    fn what_is_no_json_is_told_once() {
        for (json, wanted) in [
            ("{\n\"off\": }", "line 2, column 8"),
            ("[]", "must be an object, not a list"),
            (r#"{"off": true, "off": true}"#, "duplicate field `off`"),
        ] {
            let Err(faults) = read(json.as_bytes()) else {
                panic!("{json}")
            };
            assert!(
                faults.len() == 1 && faults[0].to_string().contains(wanted),
                "{faults:?}"
            );
        }
    }
}
