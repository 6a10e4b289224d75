"""Values that the schema and the templates reject."""

from checks import VALUES, Checks

# What Istio's sidecar keeps for itself.
RESERVED = [15000, 15001, 15002, 15004, 15006, 15008, 15009, 15020, 15021, 15053, 15090]


class RejectedValues(Checks):
    """Values that the schema and the templates reject."""

    def reserved_ports_are_rejected_everywhere(self) -> None:
        for port in RESERVED:
            self._refused(["--set", f"services[0].ports[0].number={port}"], "/services/0/ports/0/number")
            self._refused(["--set", f"services[0].outbound.port={port}"], "/services/0/outbound/port")
        self._refused(["--set", "inbound.exempt[0].ports[0]=15006"], "/inbound/exempt/0/ports/0")
        self._refused(["--set", "resolver.metricsPort=15090"], "/resolver/metricsPort")
        for port in (0, 65536):
            self._refused(["--set", f"services[0].ports[0].number={port}"], "/services/0/ports/0/number")

    def ports_next_to_reserved_ones_are_accepted(self) -> None:
        for port in (1, 14999, 15003, 15005, 15007, 15022, 15091, 65535):
            code, text = self.helm.template("-f", VALUES, "--set", f"services[0].ports[0].number={port}")
            assert code == 0, text

    def bad_values_are_rejected_with_their_location(self) -> None:
        for setting, place in (
            ("module.sha256=abc", "/module/sha256"),
            ("module.sha256=", "/module/sha256"),
            ("module.serve.enabled=false", "/module"),
            ("module.url=oci://r.example/f:1", "/module"),
            ("module.url=file:///f.wasm", "/module/url"),
            ("services[0].name=Store", "/services/0/name"),
            ("services[0].allowed[0]=2001:db8::/129", "/services/0/allowed/0"),
            ("services[0].allowed=null", "/services/0"),
            ("services[0].allowed[0]=10.0.0.0/8", "/services/0/allowed/0"),
            ("services[0].allowed[0]=::/0", "/services/0/allowed/0"),
            ("services[0].allowed[0]=2001:db8::/15", "/services/0/allowed/0"),
            ("services[0].addresses[0]=10.0.0.0/8", "/services/0/addresses/0"),
            ("services[1].static.apl=nonsense", "/services/1/static/apl"),
            ("services[1].static.apl=2:2001:db8:7::/64 2001:db8:8::/64", "/services/1/static/apl"),
            ("services[1].name=store.example", "services[1].name: store.example is a duplicate of [0]"),
            (
                "services[1].inbound.mode=shadow,services[1].ports[0].protocol=TCP",
                "services[1].ports[0]: 8080 is TCP, and HTTP at services[0].ports[0]",
            ),
            ("resolver.image=", "/resolver/image"),
            ("resolver.image=null", "/resolver"),
            ("slices.allowed[0]=::/0", "/slices/allowed/0"),
            ("inbound.exempt[0].sources[0]=::/0", "inbound.exempt[0].sources[0]: ::/0 is shorter than /48"),
            ("inbound.exempt[0].sources[0]=fd00::/47", "inbound.exempt[0].sources[0]: fd00::/47 is shorter than /48"),
            ("inbound.withoutServices=keep", "/inbound/withoutServices"),
            ("inbound.exempt[0].sources[0]=10.0.0.0/8", "/inbound/exempt/0/sources/0"),
            ("services[0].inbound.mode=sometimes", "/services/0/inbound/mode"),
            ("services[0].inbound.mode=false", "/services/0/inbound/mode"),
            ("services[0].inbound.policy.exempt=allow", "invalid propertyName 'exempt'"),
            ("services[0].inbound.policy.legacy=drop", "/services/0/inbound/policy/legacy"),
            ("services[0].outbound.secrets=both", "/services/0/outbound"),
            ("services[0].outbound.tls=SIMPLE", "/services/0/outbound/tls"),
            ("services[0].static.rules[0]=v=spf1", "/services/0/static/rules/0"),
            ("services[0].colour=red", "/services/0"),
            ("inbound.hold.connections=4097", "/inbound/hold/connections"),
            ("inbound.mtls=DISABLE", "/inbound/mtls"),
            ("inbound.principals[0]=spiffe://cluster.local/x", "/inbound/principals/0"),
            ("outbound.pool=0", "/outbound/pool"),
            ("outbound.maxPow=25", "/outbound/maxPow"),
            ("outbound.minTimeStepS=0", "/outbound/minTimeStepS"),
            ("outbound.cleanupInterval=301s", "/outbound/cleanupInterval"),
            ("outbound.cleanupInterval=0s", "/outbound/cleanupInterval"),
            ("inbound.cleanupInterval=1000000s", "/inbound/cleanupInterval"),
            ("outbound.ndots=16", "/outbound/ndots"),
            ("outbound.source=10.0.0.1", "/outbound/source"),
            ("snapshot.waitS=301", "/snapshot/waitS"),
            ("killSwitch=maybe", "/killSwitch"),
            ("colour=red", "''"),
        ):
            self._refused(["--set", setting], place)

    def wide_exemptions_are_accepted_if_confirmed(self) -> None:
        for setting in (
            "inbound.exempt[0].sources[0]=fd00::/48",
            "inbound.wideExempt=true,inbound.exempt[0].sources[0]=::/0",
        ):
            code, text = self.helm.template("-f", VALUES, "--set", setting)
            assert code == 0, text

    def bits_past_a_length_are_rejected_by_the_schema_or_the_shim(self) -> None:
        def shim(prefix: str) -> tuple[int, str]:
            return self._check({"services": [{"name": "a.example", "allowed": [prefix], "outbound": {}}]})

        taken = (
            "2001:db8::/32 2001:0DB8:0:0:0:0:0:0/32 2001:db8:5::/48 2001:db8:0:1::/64 2001:db8::1:0/112 "
            "2001:db8::1.2.3.4/128"
        )
        for prefix in taken.split():
            assert shim(prefix)[0] == 0, prefix
            code, text = self.helm.template("-f", VALUES, "--set", f"services[0].allowed[0]={prefix}")
            assert code == 0, f"{prefix}: {text}"
        refused = (
            "2001:db8::/16 2001:db8:5::/32 2001:db8:5:1::/48 2001:db8:5:0:1::/64 2001:db8:5::1/64 2001:db8::1:1/112"
        )
        for prefix in refused.split():
            code, text = shim(prefix)
            assert code == 1 and "services[0].allowed[0]" in text, f"{prefix}: {text}"
            self._refused(["--set", f"services[0].allowed[0]={prefix}"], "/services/0/allowed/0")
