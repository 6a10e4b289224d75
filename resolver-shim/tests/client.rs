//! The client library at the daemon's socket: it learns of services, keys and sources, follows changes, and outlives the daemon.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use ssa_client::{Options, Order, Resolver, Service, Want};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

const KEY: &str = "00112233445566778899aabbccddeeff";

struct Shim {
    folder: PathBuf,
    child: Child,
}

impl Shim {
    fn start(name: &str, rule: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("ssa-client-socket-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("keys")).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.join("keys/k1"), KEY).unwrap();
        configure(&folder, rule);
        let child = launch(&folder);
        Self { folder, child }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("snapshot.sock")
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn configure(folder: &Path, rule: &str) {
    let folder_of = |name: &str| folder.join(name).display().to_string();
    let config = serde_json::json!({
        "socket": {"path": folder_of("snapshot.sock")},
        "sources": false,
        "services": [{
            "name": "store.example",
            "allowed": ["2001:db8:5::/48"],
            "outbound": {"port": 8080, "client_keys": folder_of("keys")},
            "static": {"rules": [rule], "apl": "2:2001:db8:5::/64", "addresses": ["2001:db8:5::1"]},
        }],
    });
    fs::write(folder.join("new.json"), config.to_string()).unwrap();
    fs::rename(folder.join("new.json"), folder.join("config.json")).unwrap();
}

fn launch(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ssa-resolver"))
        .env_clear()
        .arg("--config")
        .arg(folder.join("config.json"))
        .stdin(Stdio::null())
        .stderr(fs::File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap()
}

/// Asks until the daemon is ready.
async fn service(resolver: &Resolver, name: &str) -> Service {
    let asked = async {
        loop {
            match resolver.service(name).await {
                Ok(service) => return service,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("the daemon answers")
}

fn source() -> Options {
    Options::default().with_source("2001:db8:77::7".parse().unwrap())
}

fn first(service: &Service) -> String {
    let plan = service.plan(
        &Want::port(80).object(b"x").time(1_800_000_000).order(Order::Fixed),
        &mut ssa_client::random,
    );
    plan.map_or_else(|error| error.to_string(), |plan| plan.first().address.to_string())
}

/// Waits until the first target is the expected one.
async fn follows(service: &Service, expected: &str, what: &str) {
    let mut changes = service.changes();
    let followed = async {
        while first(service) != expected {
            changes.changed().await;
        }
    };
    tokio::time::timeout(PATIENCE, followed).await.expect(what);
}

#[tokio::test]
async fn services_keys_and_ports_come_by_the_socket_and_changes_are_followed() {
    let macs = "v=ssa1; addr=hash(obj):10 mac(src/64):54; key=k1; kdf=src/64";
    let mut shim = Shim::start("follow", macs);
    let resolver = Resolver::socket(shim.socket()).with_options(source());
    let service = service(&resolver, "store.example").await;
    // The same as by hand, with the shim's key and at the shim's port.
    let by_hand = |rule: &str| {
        let keys = ssa_client::Keys::default().with_client_key("k1", KEY).unwrap();
        let service = Service::fixed(
            "store.example",
            Some("2:2001:db8:5::/64"),
            &[rule],
            source().with_keys(keys),
        )
        .unwrap();
        first(&service).replace("]:80", "]:8080")
    };
    assert_eq!(first(&service), by_hand(macs));
    assert!(first(&service).ends_with("]:8080"));
    let other = resolver.service("other.example").await.unwrap();
    assert!(
        other
            .faults()
            .starts_with("the shim tells clients of no service of this name"),
        "{}",
        other.faults()
    );

    let plain = "v=ssa1; addr=hash(obj):12 const(0):52";
    configure(&shim.folder, plain);
    let expected = by_hand(plain);
    follows(&service, &expected, "the change is followed").await;

    // Another daemon in its place: what is known stays meanwhile, and its changes are followed too.
    shim.stop();
    assert_eq!(first(&service), expected);
    configure(&shim.folder, macs);
    shim.child = launch(&shim.folder);
    let expected = by_hand(macs);
    follows(&service, &expected, "the next daemon is followed").await;
}

#[tokio::test]
async fn a_missing_socket_is_told_with_its_path() {
    let resolver = Resolver::socket("/no/such/socket");
    let error = resolver.service("store.example").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "/no/such/socket: No such file or directory (os error 2)"
    );
}
