//! What the fuzz targets of the resolver shim do with an input.

use std::{collections::BTreeMap, sync::LazyLock};

use ssa_filter::config::Snapshot;
use ssa_resolver::{
    clock::Moment,
    config::{Config, Role},
    model::Model,
    snapshot::Publisher,
    store,
};

const NOW: u64 = 1_790_000_000;

/// The configuration that states are read under.
static SERVICES: LazyLock<Config> = LazyLock::new(|| {
    let json = r#"{"sources": false, "front": {"listen": ["[::1]:53"]}, "services": [
        {"name": "web", "domain": "web.demo.test", "allowed": ["2001:db8::/32"], "inbound": {"ports": [80]},
         "outbound": {}},
        {"name": "api", "domain": "api.demo.test", "allowed": ["2001:db8::/32"], "inbound": {"ports": [80]}}]}"#;
    Config::from_json(json.as_bytes()).expect("a configuration")
});

/// Configurations of the shim; of one that is taken the filters read what follows.
pub fn resolver_config(data: &[u8]) -> bool {
    match Config::from_json(data) {
        Ok(mut config) => {
            // What this machine has is no part of the input.
            config.sources = false;
            serve(&mut Model::new(config, BTreeMap::new(), NOW), NOW);
            true
        }
        Err(error) => {
            assert!(!error.faults.is_empty() && !error.to_string().is_empty());
            false
        }
    }
}

/// State files; what is remembered makes snapshots that the filters read, now and later, and a file that is read again.
pub fn resolver_state(data: &[u8]) -> bool {
    let Ok(stored) = store::parse(data, &moment()) else {
        return false;
    };
    let known = stored.len();
    let mut model = Model::new(SERVICES.clone(), stored, NOW);
    for later in [0, 61, 400, 100_000] {
        serve(&mut model, NOW + later);
    }
    let kept = model.to_store();
    assert!(kept.len() <= SERVICES.services.len());
    known > 0
}

/// The moment at which states are read.
fn moment() -> Moment {
    Moment {
        now: NOW,
        system: NOW,
        boot: "this".into(),
        since_boot: 1000,
    }
}

/// Makes snapshots, and has the filters read them.
fn serve(model: &mut Model, now: u64) {
    let built = model.build(now);
    let mut publisher = Publisher::default();
    for (role, entries) in [(Role::Inbound, &built.inbound), (Role::Outbound, &built.outbound)] {
        publisher
            .publish(role, model.config().off, entries)
            .expect("a snapshot of bounded size");
        let latest = publisher.latest(role);
        let json = latest.borrow().clone().expect("what was published").json();
        let error = match role {
            Role::Inbound => Snapshot::inbound(json.as_bytes()).err(),
            Role::Outbound => Snapshot::outbound(json.as_bytes()).err(),
        };
        assert!(error.is_none(), "{error:?}: {json}");
    }
}
