//! What can be said of a configuration before a daemon lives by it.

use std::{collections::BTreeMap, fmt, io, path::Path};

use ssa_input::secrets::concealed;
use ssa_rules::Record;

use crate::{
    answers::Seconds,
    config::{Config, Keys, Origin, Role},
    daemon::unusable_files,
    files::AnchoredPath,
    folders::Missing,
    history::State,
    model::Model,
    secrets::faults_of,
    serve, store,
};

/// A fault, and the field that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, such as `services[3].static`.
    pub place: String,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&concealed(&format!("{}: {}", self.place, self.reason)))
    }
}

/// Returns everything that is wrong with a configuration whose fields are sound: records in it that are not usable or lie
/// where they must not, addresses that two services share, folders of keys and files that cannot be read, keys that
/// records need. Without `with_keys` keys and files are taken for given. Nobody is asked for records in the DNS.
#[must_use]
pub fn faults(mut config: Config, with_keys: bool, now: Seconds) -> Vec<Fault> {
    let mut faults = Vec::new();
    if with_keys {
        faults.extend(unusable_files(&config).map(|(place, reason)| Fault { place, reason }));
        let obstructed = unusable_places(&config).filter(|(_, error)| is_obstructed(error));
        faults.extend(obstructed.map(|((field, path), error)| Fault {
            place: field.to_owned(),
            reason: at(path, &error),
        }));
        for (number, service) in config.services.iter().enumerate() {
            let of = |field: &str, path: &Path| {
                let place = format!("services[{number}].{field}");
                faults_of(path).into_iter().map(move |reason| Fault {
                    place: place.clone(),
                    reason,
                })
            };
            if let Some(path) = service.inbound.as_ref().and_then(|inbound| inbound.secrets.as_ref()) {
                faults.extend(of("inbound.secrets", path));
            }
            match service.outbound.as_ref().and_then(|outbound| outbound.keys.as_ref()) {
                Some(Keys::Secrets(path)) => faults.extend(of("outbound.secrets", path)),
                Some(Keys::Client(path)) => faults.extend(of("outbound.client_keys", path)),
                None => {}
            }
        }
    }
    // The host may be another one.
    config.sources = false;
    let mut model = Model::new(config, BTreeMap::new(), now);
    if !with_keys {
        model.take_keys_for_given();
    }
    model.build(now);
    for (number, role, standing) in model.standings() {
        let is_fixed = model
            .config()
            .services
            .get(number)
            .is_some_and(|service| matches!(service.origin, Origin::Fixed(_)));
        if !is_fixed || (standing.state == State::Usable && standing.reason.is_none()) {
            continue;
        }
        // The front composes for a service that has no plain address.
        if standing.state == State::Absent && role == Role::Outbound && model.config().front.is_some() {
            continue;
        }
        let role = match role {
            Role::Inbound => "verifiers",
            Role::Outbound => "clients",
        };
        let state = standing.state.name();
        let mut tell = |place: String, reason: &str| {
            faults.push(Fault {
                place,
                reason: format!("{state} for {role}: {reason}"),
            });
        };
        // What is one record's fault has its place.
        for (record, reason) in &standing.faults {
            tell(format!("services[{number}].static.rules[{record}]"), reason);
        }
        if standing.faults.is_empty() {
            let reason = standing.reason.as_deref().unwrap_or_default();
            tell(format!("services[{number}].static"), reason);
        }
    }
    faults
}

/// Returns what is no fault of a configuration and yet may not be what is meant: ports that services of different modes
/// share, and macs of rules in it that no filter at layer 4 can check.
#[must_use]
pub fn warnings(config: &Config) -> Vec<Fault> {
    let shared = config.shared_ports().into_iter().map(|shared| Fault {
        place: format!("warning: port {}", shared.port),
        reason: format!("services of different modes share it: {shared}"),
    });
    let mut warnings: Vec<Fault> = shared.collect();
    for (number, service) in config.services.iter().enumerate() {
        let (Origin::Fixed(fixed), Some(_)) = (&service.origin, &service.inbound) else {
            continue;
        };
        for (index, rule) in fixed.rules.iter().enumerate() {
            let macs = rule
                .parse::<Record>()
                .is_ok_and(|record| record.macs_of_objects().next().is_some());
            if macs {
                warnings.push(Fault {
                    place: format!("warning: services[{number}].static.rules[{index}]"),
                    reason: "a mac over obj or chunk: filters at layer 4 cannot check it, and find such connections \
                             `unchecked`"
                        .to_owned(),
                });
            }
        }
    }
    warnings
}

/// Returns why socket and state cannot be made where they are to be, seen from this host and this user; a daemon may run as
/// another user, for whom folders are made.
#[must_use]
pub fn places(config: &Config) -> Vec<Fault> {
    let warned = unusable_places(config).filter(|(_, error)| !is_obstructed(error));
    warned
        .map(|((field, path), error)| Fault {
            place: format!("warning: {field}"),
            reason: at(path, &error),
        })
        .collect()
}

/// Returns whether something else stands at a place, which it does for every user.
fn is_obstructed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AlreadyExists
}

fn at(path: &Path, error: &io::Error) -> String {
    format!("{}: {}", path.display(), ssa_input::files::reason(error))
}

/// Returns the places of socket and state that cannot be used, each with its field.
fn unusable_places(config: &Config) -> impl Iterator<Item = ((&'static str, &Path), io::Error)> {
    let path = &*config.socket.path;
    // The last folder of the socket is made where it is missing.
    let socket = serve::place(&config.socket, config.folders, Missing::Fail).or_else(|error| match path.parent() {
        Some(folder) if error.kind() == io::ErrorKind::NotFound => {
            AnchoredPath::open(folder, config.folders, Missing::Fail)
        }
        _ => Err(error),
    });
    let state = config
        .state
        .as_deref()
        .map(|path| (("state", path), store::place(path, config.folders)));
    let all = [(("socket.path", path), socket)].into_iter().chain(state);
    all.filter_map(|(place, opened)| Some((place, opened.err()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn places_where_nothing_can_be_made_are_warned_of() {
        let folder = Folder::new("check");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let told = |socket: &str, state: &str| {
            let json = format!(
                r#"{{"socket": {{"path": "{}"}}, "state": "{}"}}"#,
                path(socket),
                path(state)
            );
            let warnings = places(&Config::from_json(json.as_bytes()).unwrap());
            warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(told("a.sock", "state").is_empty() && told("made/a.sock", "state").is_empty());
        let warned = told("none/none/a.sock", "none/state");
        assert_eq!(warned.len(), 2, "{warned:?}");
        assert!(warned[0].starts_with("warning: socket.path: ") && warned[0].ends_with("there is no such directory"));
        assert!(warned[1].starts_with("warning: state: ") && warned[1].ends_with("there is no such directory"));
    }

    #[test]
    fn what_stands_where_socket_and_state_are_to_be_is_a_fault() {
        let folder = Folder::new("obstructed");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("key"), "mine").unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        std::os::unix::fs::symlink("elsewhere", at("link")).unwrap();
        for name in ["key", "folder", "link"] {
            let path = at(name).display().to_string();
            for json in [
                format!(r#"{{"socket": {{"path": "{path}"}}}}"#),
                format!(r#"{{"socket": {{"path": "{path}.sock"}}, "state": "{path}"}}"#),
            ] {
                let told = told(&json, true);
                assert!(
                    told.len() == 1 && told[0].contains(&path) && told[0].ends_with(", and is left as it is"),
                    "{told:?}"
                );
                let warnings = places(&Config::from_json(json.as_bytes()).unwrap());
                assert!(warnings.is_empty(), "{warnings:?}");
            }
        }
    }

    fn told(json: &str, with_keys: bool) -> Vec<String> {
        let config = Config::from_json(json.as_bytes()).unwrap();
        faults(config, with_keys, 1000)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn what_may_not_be_meant_is_warned_of_with_its_place() {
        let service = |name: &str, mode: &str, rule: &str| {
            format!(
                r#"{{"name": "{name}", "allowed": ["2001:db8:5::/48"], "inbound": {{"ports": [80], "mode": "{mode}"}},
                    "static": {{"apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=rand:64; from=1", "{rule}"]}}}}"#
            )
        };
        let warned = |[first, second]: [String; 2]| {
            let config = Config::from_json(format!(r#"{{"services": [{first}, {second}]}}"#).as_bytes()).unwrap();
            let told = |warning: &Fault| warning.to_string();
            warnings(&config).iter().map(told).collect::<Vec<_>>()
        };
        let plain = "v=ssa1; addr=mac(src/64):64; key=k1";
        let told = warned([
            service("a", "enforce", "v=ssa1; addr=hash(src/64):20 mac(obj):44; key=k1"),
            service("b", "shadow", plain),
        ]);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("port 80: services of different modes share it: a (enforce), b (shadow)"));
        assert!(told[1].contains("services[0].static.rules[1]: a mac over obj or chunk"));
        let told = warned([
            service("a", "enforce", plain),
            service("b", "enforce", "v=ssa1; addr=hash(obj):64"),
        ]);
        assert!(told.is_empty(), "{told:?}");
    }

    #[test]
    fn every_fault_of_records_is_told_with_its_place() {
        let service = |name: &str, fields: &str, fixed: &str| {
            format!(r#"{{"name": "{name}", "allowed": ["2001:db8:5::/48"], {fields}, "static": {fixed}}}"#)
        };
        let inbound = r#""inbound": {"ports": [80]}"#;
        let good =
            r#"{"apl": "2:2001:db8:5:1::/64", "rules": ["v=ssa1; addr=rand:64"], "addresses": ["2001:db8:5:1::1"]}"#;
        let all = [
            service("good", r#""inbound": {"ports": [80]}, "outbound": {}"#, good),
            service("shared", inbound, good),
            service(
                "bad",
                inbound,
                r#"{"apl": "2:2001:db8:5:2::/64", "rules": ["v=ssa1; addr=rand:63", "v=ssa1; addr=rand:64; from=2"]}"#,
            ),
            service(
                "outside",
                inbound,
                r#"{"apl": "2:2001:db8:6::/64", "rules": ["v=ssa1; addr=rand:64"]}"#,
            ),
            service(
                "keyless",
                inbound,
                r#"{"apl": "2:2001:db8:5:3::/64", "rules": ["v=ssa1; addr=mac(src/64):64; key=k1"]}"#,
            ),
            service(
                "plain",
                r#""outbound": {}"#,
                r#"{"apl": "2:2001:db8:5:4::/64", "rules": ["v=ssa1; addr=rand:64"]}"#,
            ),
        ];
        let told = told(&format!(r#"{{"services": [{}]}}"#, all.join(", ")), true);
        for wanted in [
            "services[1].static.rules[0]: refused for verifiers: 2001:db8:5:1::/64 shares addresses with good",
            "services[2].static.rules[0]: usable for verifiers: ",
            "services[3].static.rules[0]: refused for verifiers: 2001:db8:6::/64 lies in no allowed prefix",
            "services[4].static.rules[0]: unusable for verifiers: the secret k1 is not available",
            "services[5].static: absent for clients: no AAAA record",
        ] {
            assert!(
                told.iter().any(|told| told.starts_with(wanted)),
                "{wanted} in {told:#?}"
            );
        }
        assert_eq!(told.len(), 5, "{told:#?}");
    }

    #[test]
    fn keys_that_are_elsewhere_are_taken_for_given_on_demand() {
        let folder = Folder::new("check");
        let path = folder.path().join("none");
        let json = format!(
            r#"{{"services": [{{"name": "a", "allowed": ["2001:db8:5::/48"], "static": {{"apl": "2:2001:db8:5::/64",
                "rules": ["v=ssa1; addr=mac(src/64):64; key=k1"], "addresses": ["2001:db8:5::1"]}},
                "inbound": {{"ports": [80], "secrets": "{0}"}}, "outbound": {{"client_keys": "{0}"}}}}]}}"#,
            path.display()
        );
        let without = told(&json, true);
        assert_eq!(without.len(), 3, "{without:#?}");
        assert!(
            without[0].starts_with("services[0].inbound.secrets: cannot be read"),
            "{without:#?}"
        );
        assert!(
            without[1].starts_with("services[0].outbound.client_keys: cannot be read"),
            "{without:#?}"
        );
        // What lies in the negated part of a rule with a key is not judged here: the list and the address are.
        assert_eq!(told(&json, false), [""; 0]);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("k1"), "0".repeat(32)).unwrap();
        assert_eq!(told(&json, true), [""; 0]);
    }
}
