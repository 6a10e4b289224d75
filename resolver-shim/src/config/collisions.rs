//! Paths and addresses of a configuration that stand for the same place: what is written there would take away the other.

use std::{
    net::SocketAddr,
    path::{Component, Path, PathBuf},
};

use super::{Config, Fault, Keys, Problem};
use crate::files::successor;

/// A place that a field names.
struct Named {
    field: String,
    /// The place itself, and where it leads if it is a link.
    places: Vec<PathBuf>,
}

impl Config {
    /// Returns what collides: the socket and the state, which are written, with each other and with what is read, by
    /// whatever path; and where health and the front listen. `file` is the configuration's own.
    #[must_use]
    pub fn collisions(&self, file: Option<&Path>) -> Vec<Fault> {
        let mut faults = Vec::new();
        let written: Vec<Named> = std::iter::once(("socket.path", &self.socket.path))
            .chain(self.state.iter().map(|path| ("state", path)))
            .map(|(field, path)| Named {
                field: field.to_owned(),
                places: with_successor(path),
            })
            .collect();
        let read = self.read_paths(file);
        for (number, one) in written.iter().enumerate() {
            let others = written.iter().skip(number.saturating_add(1)).chain(&read);
            for other in others.filter(|other| one.meets(other)) {
                faults.push(Fault {
                    place: other.field.clone(),
                    problem: Problem::Collides {
                        with: one.field.clone(),
                    },
                });
            }
        }
        let listens = self.front.iter().flat_map(|front| &front.listen).enumerate();
        let collides = |(_, listen): &(usize, &SocketAddr)| self.admin.is_some_and(|admin| same(&admin, listen));
        faults.extend(listens.filter(collides).map(|(number, _)| Fault {
            place: format!("front.listen[{number}]"),
            problem: Problem::Collides { with: "admin".into() },
        }));
        faults
    }

    /// Returns the files and folders that are read.
    fn read_paths(&self, file: Option<&Path>) -> Vec<Named> {
        let mut all: Vec<(String, &Path)> = Vec::new();
        all.extend(file.map(|path| ("--config".to_owned(), path)));
        all.extend(self.dns.ca.iter().map(|path| ("dns.tls.ca".to_owned(), &**path)));
        let anchors = self.dns.trust_anchors.iter();
        all.extend(anchors.map(|path| ("dns.trust_anchors".to_owned(), &**path)));
        for (number, service) in self.services.iter().enumerate() {
            let of = |field: &str| format!("services[{number}].{field}");
            let secrets = service.inbound.as_ref().and_then(|inbound| inbound.secrets.as_ref());
            all.extend(secrets.map(|path| (of("inbound.secrets"), &**path)));
            match service.outbound.as_ref().and_then(|outbound| outbound.keys.as_ref()) {
                Some(Keys::Secrets(path)) => all.push((of("outbound.secrets"), path)),
                Some(Keys::Client(path)) => all.push((of("outbound.client_keys"), path)),
                None => {}
            }
        }
        let named = |(field, path): (String, &Path)| Named {
            field,
            places: vec![place(path), target(path)],
        };
        all.into_iter().map(named).collect()
    }
}

impl Named {
    /// Returns whether a place is one of another's, or lies in it, or the other way round.
    fn meets(&self, other: &Self) -> bool {
        let mut pairs = self
            .places
            .iter()
            .flat_map(|one| other.places.iter().map(move |other| (one, other)));
        pairs.any(|(one, other)| one.starts_with(other) || other.starts_with(one))
    }
}

/// Returns where a file is written: at its place, and before that beside it.
fn with_successor(path: &Path) -> Vec<PathBuf> {
    let place = place(path);
    let beside = successor(place.as_os_str()).into();
    vec![place, beside]
}

/// Returns where a path leads, but for its last part: a link there is replaced and not followed.
fn place(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => target(folder).join(name),
        _ => target(path),
    }
}

/// Returns where a path leads, as far as there is something.
fn target(path: &Path) -> PathBuf {
    if let Ok(found) = path.canonicalize() {
        return found;
    }
    let mut parts = path.components();
    match parts.next_back() {
        Some(Component::Normal(name)) => target(parts.as_path()).join(name),
        Some(Component::ParentDir) => target(parts.as_path())
            .parent()
            .map(Path::to_path_buf)
            .unwrap_or_default(),
        Some(Component::CurDir) => target(parts.as_path()),
        _ => path.to_path_buf(),
    }
}

/// Returns whether two cannot both be listened at.
fn same(one: &SocketAddr, other: &SocketAddr) -> bool {
    let (ip, of_other) = (one.ip(), other.ip());
    // What listens at all IPv6 addresses does so at those of IPv4 too.
    let covers = |all: std::net::IpAddr, ip: std::net::IpAddr| all.is_unspecified() && (all.is_ipv6() || ip.is_ipv4());
    one.port() == other.port() && (one == other || covers(ip, of_other) || covers(of_other, ip))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::testing::Folder;

    fn told(json: &str, file: Option<&Path>) -> Vec<String> {
        let config = Config::from_json(json.as_bytes()).unwrap();
        let faults = config.collisions(file);
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_written_is_nothing_else() {
        let folder = Folder::new("collisions");
        let root = folder.path().canonicalize().unwrap();
        let at = |path: &str| root.join(path).display().to_string();
        fs::create_dir_all(root.join("a/b")).unwrap();
        symlink(root.join("a"), root.join("link")).unwrap();
        fs::write(root.join("a/ca.pem"), "").unwrap();
        symlink("a/ca.pem", root.join("ca.pem")).unwrap();
        let config = |socket: &str, state: &str| {
            format!(
                r#"{{"socket": {{"path": "{}"}}, "state": "{}"}}"#,
                at(socket),
                at(state)
            )
        };
        for (socket, state) in [
            ("a/x", "a/x"),
            ("a/x", "a/b/../x"),
            ("a/x", "a/./x"),
            ("a/x", "link/x"),
            ("link/b/x", "a/b/x"),
            ("none/y/../x", "none/x"),
            // The one is written beside itself first.
            ("a/x.new", "a/x"),
            ("a/x", "a/x.new"),
            ("a/x", "a/x/state"),
        ] {
            assert_eq!(
                told(&config(socket, state), None),
                ["state: conflicts with socket.path"],
                "{socket} {state}"
            );
        }
        assert_eq!(told(&config("a/x", "a/y"), None), [""; 0]);
        assert_eq!(told(&config("a/x", "a/b/x"), None), [""; 0]);
        let file = root.join("a/config");
        assert_eq!(
            told(&config("x", "link/config"), Some(&file)),
            ["--config: conflicts with state"]
        );
        let reading = format!(
            r#"{{"state": "{0}", "dns": {{"tls": {{"ca": "{1}"}}, "dnssec": "validate", "trust_anchors": "{2}"}},
                "services": [{{"name": "a", "allowed": ["2001:db8::/32"],
                    "inbound": {{"ports": [1], "secrets": "{3}"}}, "outbound": {{"client_keys": "{4}"}}}}]}}"#,
            at("a/ca.pem"),
            at("ca.pem"),
            at("link/ca.pem"),
            at("a"),
            at("a/b")
        );
        assert_eq!(
            told(&reading, None),
            [
                "dns.tls.ca: conflicts with state",
                "dns.trust_anchors: conflicts with state",
                "services[0].inbound.secrets: conflicts with state",
            ]
        );
    }

    #[test]
    fn nothing_listens_where_another_does() {
        let listening = |admin: &str, front: &str| {
            told(
                &format!(r#"{{"admin": "{admin}", "front": {{"listen": ["{front}"], "servers": ["192.0.2.1"]}}}}"#),
                None,
            )
        };
        for (admin, front) in [
            ("[::1]:53", "[::1]:53"),
            ("[::]:53", "[::1]:53"),
            ("[::]:53", "127.0.0.1:53"),
            ("0.0.0.0:53", "127.0.0.1:53"),
            ("[::ffff:127.0.0.1]:53", "127.0.0.1:53"),
        ] {
            assert_eq!(
                listening(admin, front),
                ["front.listen[0]: conflicts with admin"],
                "{admin} {front}"
            );
        }
        for (admin, front) in [
            ("[::1]:54", "[::1]:53"),
            ("0.0.0.0:53", "[::1]:53"),
            ("[::2]:53", "[::1]:53"),
        ] {
            assert_eq!(listening(admin, front), [""; 0], "{admin} {front}");
        }
    }
}
