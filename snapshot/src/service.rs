//! A service as sidecars are told of it.

use alloc::string::String;

use crate::{Address, List, Mode, Policy, Port, Prefix, Secrets, ServiceName, read::object};

/// The most members of a service's lists.
const MANY: usize = 65_535;

object! {
    /// A service as its servers know it.
    pub struct InboundService {
        /// What metrics and logs call it; unique.
        required name: ServiceName,
        /// The APL records united, such as `2:2001:db8:5::/64 !2:2001:db8:6::/120`; without it the records' own.
        optional apl: Option<String>,
        /// The TXT records at `_ssa`, at most 4. None: no rule of it was ever usable, and its traffic is treated by the policy
        /// for `no_rule`.
        required rules: List<String, 0, MANY>,
        /// The ports it serves.
        required ports: List<Port, 1, MANY>,
        /// Whether the policy is carried out.
        default mode: Mode,
        /// What is done with each finding.
        #[serde(skip_serializing_if = "Policy::is_default")]
        default policy: Policy,
        /// Key material by the name of its key.
        #[serde(skip_serializing_if = "Secrets::is_empty")]
        default secrets: Secrets,
    }
}

object! {
    /// A service as its clients know it.
    pub struct OutboundService {
        /// What metrics and logs call it; unique.
        required name: ServiceName,
        /// The APL records united, such as `2:2001:db8:5::/64 !2:2001:db8:6::/120`; without it the records' own.
        optional apl: Option<String>,
        /// The TXT records at `_ssa`, at most 4.
        required rules: List<String, 1, MANY>,
        /// The plain addresses that stand for it: its AAAA records.
        required addresses: List<Address, 1, MANY>,
        /// The ports whose connections are rewritten; without any, every port.
        #[serde(skip_serializing_if = "List::is_empty")]
        default ports: List<Port, 0, MANY>,
        /// The port to connect to instead of the one dialled.
        optional port: Option<Port>,
        /// Key material by the name of its key.
        #[serde(skip_serializing_if = "Secrets::is_empty")]
        default secrets: Secrets,
        /// Which source connections to an item really use, where it is not the plugin's `source`; the shim fills it in.
        #[serde(skip_serializing_if = "List::is_empty")]
        default sources: List<ItemSource, 0, MANY>,
    }
}

object! {
    /// The source that connections to an item really use.
    #[derive(Copy)]
    pub struct ItemSource {
        /// The item.
        required item: Prefix,
        /// The source.
        required source: Address,
    }
}
