//! A snapshot: the services of a role at one moment, with their secrets.

use ssa_snapshot::{
    List, MAX_BYTES, MAX_SERVICES, Version,
    read::{Document, Value},
};

use super::{
    ConfigError, check_addresses,
    checker::Checker,
    fault::{Fault, Problem},
    service::{self, Kind, Origin},
};
use crate::{inbound::InboundService, outbound::OutboundService, table::Table};

/// The services of a role at one moment, prepared from [`ssa_snapshot::Snapshot`].
#[derive(Clone, Debug)]
pub struct Snapshot<T> {
    /// Its name in logs: 1 to 64 characters.
    pub generation: String,
    /// A seed for the random bits of the filters that read it.
    pub seed: Vec<u8>,
    /// Whether all services are off.
    pub off: bool,
    /// The services.
    pub services: Table<T>,
    /// Why some of their records are skipped.
    pub unusable: Vec<Fault>,
}

impl Snapshot<InboundService> {
    /// Reads a snapshot for an inbound filter.
    ///
    /// # Errors
    ///
    /// All of its faults. An unusable record is not a fault: it is skipped.
    pub fn inbound(json: &[u8]) -> Result<Self, ConfigError> {
        read(json, |_, _| ())
    }
}

impl Snapshot<OutboundService> {
    /// Reads a snapshot for an outbound filter.
    ///
    /// # Errors
    ///
    /// As for [`Snapshot::inbound`].
    pub fn outbound(json: &[u8]) -> Result<Self, ConfigError> {
        read(json, check_addresses)
    }
}

fn read<T: Kind<Raw: Value>>(json: &[u8], check: fn(&mut Checker, &Table<T>)) -> Result<Snapshot<T>, ConfigError> {
    if json.len() > MAX_BYTES {
        return Err(ConfigError::whole(Problem::TooLong {
            max: MAX_BYTES,
            found: json.len(),
        }));
    }
    let mut checker = Checker::new(Document::new(json)?);
    let snapshot = read_by(&mut checker, check);
    checker.finish(snapshot)
}

fn read_by<T: Kind<Raw: Value>>(checker: &mut Checker, check: fn(&mut Checker, &Table<T>)) -> Option<Snapshot<T>> {
    // Nothing else is known of another version.
    checker.first::<Version>("version")?;
    let raw: ssa_snapshot::Snapshot<List<T::Raw, 0, MAX_SERVICES>> = checker.whole();
    let mut unusable = Vec::new();
    let services = service::read_all(checker, raw.services.into_inner(), &mut Origin::Snapshot(&mut unusable))?;
    check(checker, &services);
    Some(Snapshot {
        generation: raw.generation.into(),
        seed: raw.seed.into_bytes(),
        off: raw.off,
        services,
        unusable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MAX_SNAPSHOT;

    const SERVICE: &str = r#"{"name": "web", "apl": "2:2001:db8:5::/64",
        "rules": ["v=ssa1; addr=mac(src/128):64; key=k1", "v=ssa1; addr=mac(src/128):64; key=k2; from=9"],
        "secrets": {"k1": {"secret": "00112233445566778899aabbccddeeff"}}, "ports": [80]}"#;

    fn snapshot(extra: &str, services: &str) -> Result<Snapshot<InboundService>, ConfigError> {
        let json = format!(r#"{{"version": 1, "generation": "7"{extra}, "services": [{services}]}}"#);
        Snapshot::inbound(json.as_bytes())
    }

    #[test]
    fn records_without_their_secret_are_skipped_and_reported() {
        let snapshot = snapshot("", SERVICE).unwrap();
        assert_eq!(snapshot.services.services()[0].service.rules.rules().len(), 1);
        let reported: Vec<String> = snapshot.unusable.iter().map(ToString::to_string).collect();
        assert_eq!(reported, ["services[0].rules[1]: the secret k2 is not available"]);
    }

    #[test]
    fn snapshots_may_be_empty_on_purpose() {
        assert!(snapshot("", "").unwrap().services.services().is_empty());
    }

    #[test]
    fn faults_are_reported_at_once_and_without_secrets() {
        let service = SERVICE
            .replace("00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeefg")
            .replace("[80]", "[0]");
        let error = snapshot(r#", "off": 1, "of": true"#, &service).unwrap_err().to_string();
        assert_eq!(
            error,
            "of: unknown field; off: must be true or false; services[0].ports[0]: must be an integer from 1 to 65535, \
             not 0; services[0].secrets.k1.secret: key material is 32 hex digits (16 bytes); these 32 characters are not"
        );
        for (secret, fault) in [
            (
                "{}",
                "services[0].secrets.k1: exactly one of secret and client_key is required",
            ),
            (
                r#""00112233445566778899aabbccddeeff""#,
                "services[0].secrets.k1: must be an object",
            ),
            (r#"{"secret": 7}"#, "services[0].secrets.k1.secret: must be a string"),
        ] {
            let service = SERVICE.replace(r#"{"secret": "00112233445566778899aabbccddeeff"}"#, secret);
            assert_eq!(snapshot("", &service).unwrap_err().to_string(), fault);
        }
    }

    #[test]
    fn another_version_is_refused() {
        let error = Snapshot::inbound(br#"{"version": 2, "new": 1}"#).unwrap_err();
        assert_eq!(error.to_string(), "version: must be 1, not 2");
    }

    #[test]
    fn generations_are_short_names() {
        for generation in ["", "a b", &"x".repeat(65)] {
            let json = format!(r#"{{"version": 1, "generation": "{generation}", "services": []}}"#);
            assert!(Snapshot::inbound(json.as_bytes()).is_err(), "{generation:?}");
        }
    }

    #[test]
    fn size_is_bounded() {
        let error = Snapshot::inbound(&vec![b' '; MAX_SNAPSHOT + 1]).unwrap_err();
        assert_eq!(error.to_string(), "16777217 bytes exceed 16777216");
    }
}
