//! A service as sidecars know it.

use alloc::string::String;

use crate::{Address, List, Mode, Policy, Port, Prefix, Secrets, ServiceName, read::object};

/// The maximum number of members of a service's lists.
const MAX_MEMBERS: usize = 65_535;

object! {
    /// A service as its servers know it.
    pub struct InboundService {
        /// The name used in metrics and logs; unique.
        required name: ServiceName,
        /// The union of the APL records, such as `2:2001:db8:5::/64 !2:2001:db8:6::/120`; without it, the lists in the records.
        optional apl: Option<String>,
        /// The TXT records at `_ssa`, at most 4. If empty, no rule was ever usable, and the policy for `no_rule` applies to its
        /// traffic.
        required rules: List<String, 0, MAX_MEMBERS>,
        /// The ports it serves.
        required ports: List<Port, 1, MAX_MEMBERS>,
        /// Whether the policy is enforced.
        default mode: Mode,
        /// The action for each finding.
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
        /// The name used in metrics and logs; unique.
        required name: ServiceName,
        /// The union of the APL records, such as `2:2001:db8:5::/64 !2:2001:db8:6::/120`; without it, the lists in the records.
        optional apl: Option<String>,
        /// The TXT records at `_ssa`, at most 4.
        required rules: List<String, 1, MAX_MEMBERS>,
        /// The plain addresses that represent it: its AAAA records.
        required addresses: List<Address, 1, MAX_MEMBERS>,
        /// The ports whose connections are rewritten; if empty, all ports.
        #[serde(skip_serializing_if = "List::is_empty")]
        default ports: List<Port, 0, MAX_MEMBERS>,
        /// The port to connect to instead of the one dialled.
        optional port: Option<Port>,
        /// Key material by the name of its key.
        #[serde(skip_serializing_if = "Secrets::is_empty")]
        default secrets: Secrets,
        /// The source address that connections to an item use, if it is not the plugin's `source`; set by the shim.
        #[serde(skip_serializing_if = "List::is_empty")]
        default sources: List<ItemSource, 0, MAX_MEMBERS>,
    }
}

object! {
    /// The source address that connections to an item use.
    #[derive(Copy)]
    pub struct ItemSource {
        /// The item.
        required item: Prefix,
        /// The source.
        required source: Address,
    }
}
