//! Plugins under a proxy of tables.

mod connections;
mod held;
mod requests;
mod sent;
mod snapshots;
mod table;
mod work;

use self::table::Table;
use super::*;
use crate::host::{NS_PER_MS, NS_PER_S};

const INBOUND: &str = r#"{"role": "inbound", "demote_cluster": "slow", "services": [{"name": "web",
    "apl": "2:2001:db8:5::/64 !2:2001:db8:6::/120", "rules": ["v=ssa1; addr=src[64:128]"], "ports": [80]}]}"#;
const OUTBOUND: &str = r#"{"role": "outbound", "source": "2001:db8::7", "services": [{"name": "web",
    "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=src[64:128]"], "addresses": ["2001:db8:6::1"]}]}"#;
const SOURCE: &str = "[2001:db8::7]:40000";

const ROOT: ContextId = ContextId(1);
const ONE: ContextId = ContextId(2);

fn plugin(config: &str, table: &Table) -> Plugin {
    Plugin::new(Config::from_json(config.as_bytes()).unwrap(), table, ROOT, None)
}

impl Plugin {
    /// Returns the connections that are held, the oldest first.
    fn held(&self) -> Vec<ContextId> {
        each!(&self.0, filter => filter.queue.iter().map(|held| held.connection).collect())
    }
}

fn run(config: &str, table: &Table) -> Action {
    plugin(config, table).on_new_connection(ONE, table)
}

/// The configurations above with a snapshot instead of services.
const SUBSCRIBED_IN: &str =
    r#"{"role": "inbound", "snapshot": {"cluster": "shim"}, "hold": {"connections": 3, "ms": 500}}"#;
const SUBSCRIBED_OUT: &str = r#"{"role": "outbound", "source": "2001:db8::7", "snapshot": {"cluster": "shim",
    "wait_s": 5}, "hold": {"connections": 3, "ms": 500}}"#;

fn snapshot(generation: &str, rule: &str, extra: &str) -> String {
    format!(
        r#"{{"version": 1, "generation": "{generation}"{extra}, "services": [{{"name": "web",
            "apl": "2:2001:db8:5::/64 !2:2001:db8:6::/120", "rules": ["{rule}"],
            "secrets": {{"k1": {{"secret": "00112233445566778899aabbccddeeff"}}}}, OWN}}]}}"#
    )
}

/// Answers the question that is on its way.
fn respond(plugin: &mut Plugin, table: &Table, status: u16, body: &str) {
    table.answer.replace(Some((status, body.to_owned())));
    plugin.on_http_call_response(Call(table.requests.get()), true, table);
}

fn inbound_snapshot(generation: &str, extra: &str) -> String {
    snapshot(generation, "v=ssa1; addr=mac(src/128):64; key=k1", extra).replace("OWN", r#""ports": [80]"#)
}

fn outbound_snapshot(generation: &str, rule: &str) -> String {
    snapshot(generation, rule, "").replace("OWN", r#""addresses": ["2001:db8:6::1"]"#)
}
