//! What the linter finds: a stable code, how bad it is, what, why, and what to write instead.

use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// The service does not work like this.
    Error,
    /// It works, and not as well or as safely as it seems.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// Returns the name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Its stable code.
    pub(crate) code: &'static str,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// Where: `apl`, `rule`, `rule addr[1]`, `aaaa`.
    pub(crate) place: String,
    /// What is found.
    pub(crate) what: String,
    /// Why that matters, with the number.
    pub(crate) why: String,
    /// What to write instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instead: Option<String>,
    /// Whether that is a whole record, which may be taken as it stands.
    #[serde(skip)]
    pub(crate) is_record: bool,
}

impl Finding {
    /// Makes a finding without advice.
    pub(crate) fn new(
        code: Code,
        severity: Severity,
        place: &str,
        what: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self {
            code: code.name(),
            severity,
            place: place.into(),
            what: what.into(),
            why: why.into(),
            instead: None,
            is_record: false,
        }
    }

    /// Adds what to do instead, in words.
    pub(crate) fn instead(mut self, instead: impl Into<String>) -> Self {
        self.instead = Some(instead.into());
        self
    }

    /// Adds what to do instead, in words, if there is something.
    pub(crate) fn maybe(mut self, instead: Option<String>) -> Self {
        self.instead = instead;
        self
    }

    /// Adds the record to write instead, if there is one.
    pub(crate) fn record(mut self, instead: Option<String>) -> Self {
        self.is_record = instead.is_some();
        self.instead = instead;
        self
    }

    /// Adds what to do instead, in words, where there is no record to write.
    pub(crate) fn or(mut self, instead: impl FnOnce() -> String) -> Self {
        self.instead.get_or_insert_with(instead);
        self
    }
}

macro_rules! codes {
    ($($code:ident $name:literal $summary:literal;)*) => {
        /// The codes of all findings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code { $($code),* }

        impl Code {
            /// Every code.
            pub(crate) const ALL: &[Self] = &[$(Self::$code),*];

            /// Returns the stable name.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$code => $name),* }
            }

            /// Returns in short what it is about.
            pub(crate) const fn summary(self) -> &'static str {
                match self { $(Self::$code => $summary),* }
            }
        }
    };
}

codes! {
    AplSyntax "apl-syntax" "an item of the list is malformed";
    AplSpace "apl-space" "the list describes no address space";
    AplAbsent "apl-absent" "the list has no item of family 2 and counts as absent";
    NoAddresses "no-addresses" "neither an APL record nor a tag apl";
    RecordFault "record-fault" "the record is unusable";
    RecordMissing "record-missing" "no rule record is published";
    RecordUncounted "record-uncounted" "the record does not start with v=ssa1";
    ItemLength "item-length" "a positive item is not 128-W bits long";
    LockedOut "locked-out" "a negated item that some sources or objects cannot escape";
    TooManyRecords "too-many-records" "more than 4 records stand together";
    EqualFrom "equal-from" "two records have the same from";
    WidthsDiffer "widths-differ" "records of different W while an APL record stands";
    OwnAplIgnored "own-apl-ignored" "a tag apl beside an APL record";
    NoneInForce "none-in-force" "no record may be used yet";
    FromSoon "from-soon" "a from less than a TTL ahead";
    FromFar "from-far" "a from more than a year ahead";
    Superseded "superseded" "an old record that may be removed";
    RecordLong "record-long" "a record near its limits";
    NotCanonical "not-canonical" "a record that could be written plainer";
    AaaaOutside "aaaa-outside" "an AAAA record outside all items";
    AaaaRefused "aaaa-refused" "an AAAA record that the rule refuses";
    AaaaOpen "aaaa-open" "an AAAA record among the service's own addresses";
    LegacyMissing "legacy-missing" "no address for devices that know nothing of SSA";
    LegacyLarge "legacy-large" "negated items take much of the space";
    ItemEmpty "item-empty" "negated items take all of a positive item";
    AplMulticast "apl-multicast" "an item inside multicast";
    AplUnroutable "apl-unroutable" "an item that is never routed";
    AplIpv4Mapped "apl-ipv4-mapped" "an item of IPv4-mapped addresses";
    AplTranslated "apl-translated" "an item of a translation or tunnel prefix";
    AplUniqueLocal "apl-unique-local" "an item of unique local addresses";
    AplDocumentation "apl-documentation" "an item of documentation addresses";
    AplUnallocated "apl-unallocated" "an item outside 2000::/3";
    AplOtherFamily "apl-other-family" "an item that SSA ignores";
    AplDuplicate "apl-duplicate" "duplicate item";
    LeadingBitsShared "leading-bits-shared" "placement by source bits that clients share";
    LeadingObjectBits "leading-object-bits" "placement by object bits that objects share";
    FirstFieldSame "first-field-same" "the first field is the same for everyone";
    FewSlices "few-slices" "too few slices for the endpoints";
    PublicHash "public-hash" "a public hash of the source that can be searched";
    SaltMissing "salt-missing" "a hash of the source without a salt to change";
    SaltUnused "salt-unused" "a salt that nothing uses";
    SourceCoarse "source-coarse" "a source prefix that many clients share";
    TemporaryAddresses "temporary-addresses" "source bits past /64, which temporary addresses change";
    SourceMustSurvive "source-must-survive" "NAT and translators between client and cluster";
    FewChoices "few-choices" "few clients with one address each";
    NearUneven "near-uneven" "clients that are not spread over near items";
    ReplicasPastEndpoints "replicas-past-endpoints" "more replicas than endpoints";
    HotObjects "hot-objects" "objects without replicas";
    ChunkWithoutObject "chunk-without-object" "chunks of all objects in one place";
    ManyAddresses "many-addresses" "more distinct addresses by content than Envoy bears";
    DrawnAddresses "drawn-addresses" "ever new addresses, drawn at random";
    UncheckedAtLayer4 "unchecked-at-layer-4" "fields that only a layer-7 filter can check";
    WideAtLayer7 "wide-at-layer-7" "more distinct addresses by content than connections bear";
    ObjectWithTime "object-with-time" "a field of both an object and the time";
    SourceNever "source-never" "a source of the object key that another one swallows";
    PatternNever "pattern-never" "a pattern that no path matches";
    SourcesUnused "sources-unused" "a tag obj or chunk that nothing uses";
    KeySpelling "key-spelling" "keys that clients may spell differently";
    PortInput "port-input" "a port that later fragments lack";
    OpenToAny "open-to-any" "a rule that leaves every address open";
    MacNarrow "mac-narrow" "a mac that can be guessed";
    MacUnchecked "mac-unchecked" "a mac that only a layer-7 filter can check";
    MacWithoutSource "mac-without-source" "a token that anyone can replay";
    MacSourceCoarse "mac-source-coarse" "a token for a large source prefix";
    MacWithoutTime "mac-without-time" "a token for ever";
    MacWindowLong "mac-window-long" "a token for long";
    KdfPastMac "kdf-past-mac" "keys for longer prefixes than the mac names";
    KdfCoarse "kdf-coarse" "one key for a large source prefix";
    KdfTemporary "kdf-temporary" "keys that end with temporary addresses";
    KdfMissing "kdf-missing" "all clients hold the service's secret";
    SkewTight "skew-tight" "little room for clocks";
    TimeMovesPlacement "time-moves-placement" "all clients move at each time step";
    PowReusable "pow-reusable" "how long a solution serves";
    PowWeak "pow-weak" "a proof of work that costs nothing";
    PowHeavy "pow-heavy" "a proof of work that honest clients feel";
    ProxyProtocol "proxy-protocol" "a listener of Envoy that takes sources from the PROXY protocol";
    PluginConfiguration "plugin-configuration" "a configuration that the module refuses";
    NotAnIdentity "not-an-identity" "a verdict is about addresses";
}
