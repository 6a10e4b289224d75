"""What the mesh is configured with: HTTP routes, peers by identity, a service's addresses."""

import json
from pathlib import Path
from typing import Any

from checks import VALUES, Checks, patches, plugin

HTTP = ("HTTP", "HTTP2", "GRPC")
PORTS: list[dict] = [{"number": 8000 + number, "protocol": word} for number, word in enumerate((*HTTP, "TCP", "TLS"))]
PEERS = "cluster.local/ns/shop/sa/store"


class Mesh(Checks):
    """What the mesh is configured with: HTTP routes, peers by identity, a service's addresses."""

    def _release(self, *services: dict[str, Any], **values: Any) -> Path:
        base = {"name": "store.example", "allowed": ["2001:db8:5::/48"], "ports": PORTS, "inbound": {}, "outbound": {}}
        return self._values([{**base, **one} for one in services or ({},)], **values)

    def _objects(self, *services: dict[str, Any], **values: Any) -> dict[tuple[str, str], Any]:
        return self.helm.objects("-f", self._release(*services, **values))

    def every_protocol_of_the_schema_is_accepted(self) -> None:
        objects = self._objects()
        wanted = [(port["number"], f"{port['protocol'].lower()}-{port['number']}") for port in PORTS]
        for kind, name in (("Service", "ssa-inbound"), ("ServiceEntry", "ssa-store.example")):
            ports = objects[kind, name]["spec"]["ports"]
            assert [(one.get("port", one.get("number")), one["name"]) for one in ports] == wanted, ports
        schema = json.loads((VALUES.parent.parent / "chart/values.schema.json").read_text())
        port = schema["definitions"]["service"]["properties"]["ports"]["items"]["properties"]["protocol"]
        assert sorted(port["enum"]) == sorted(one["protocol"] for one in PORTS)
        assert "no gRPC" in port["description"]

    def demoted_http_uses_the_demoted_cluster(self) -> None:
        filter_ = self._objects()["EnvoyFilter", "ssa-inbound"]
        routes = patches(filter_, "HTTP_ROUTE")
        led = [
            (one["match"]["routeConfiguration"]["name"], one["patch"]["value"]["route"]["cluster"]) for one in routes
        ]
        assert led == [
            ("inbound|8000||", "ssa_demoted"),
            ("inbound|8001||", "ssa_demoted_http2"),
            ("inbound|8002||", "ssa_demoted_http2"),
        ], led
        for one in routes:
            assert one["match"]["context"] == "SIDECAR_INBOUND" and one["patch"]["operation"] == "INSERT_FIRST"
            (state,) = one["patch"]["value"]["match"]["filter_state"]
            assert state == {"key": "wasm.ssa_outcome", "string_match": {"exact": "demoted"}}
        clusters = {
            one["patch"]["value"]["name"]: one["patch"]["value"]
            for one in patches(filter_, "CLUSTER")
            if one["patch"]["operation"] == "ADD"
        }
        assert set(clusters) == {"ssa_resolver_inbound", "ssa_demoted", "ssa_demoted_http2"}
        assert clusters["ssa_demoted_http2"]["circuit_breakers"]["thresholds"] == [
            {"max_connections": 16, "max_requests": 16}
        ]
        assert "http2_protocol_options" in json.dumps(clusters["ssa_demoted_http2"])
        tcp = self._objects({"ports": PORTS[3:]})["EnvoyFilter", "ssa-inbound"]
        assert not patches(tcp, "HTTP_ROUTE") and "ssa_demoted_http2" not in json.dumps(tcp)
        none = self._objects(inbound={"demotedConnections": 0})["EnvoyFilter", "ssa-inbound"]
        assert not patches(none, "HTTP_ROUTE") and "ssa_demoted" not in json.dumps(none)

    def http_with_an_unknown_host_stays_in_the_mesh(self) -> None:
        filter_ = self._objects()["EnvoyFilter", "ssa-outbound"]
        found: dict[str, dict] = {}
        for one in patches(filter_, "HTTP_ROUTE"):
            match, value = one["match"]["routeConfiguration"], one["patch"]["value"]
            assert one["match"]["context"] == "SIDECAR_OUTBOUND" and one["patch"]["operation"] == "INSERT_FIRST"
            (state,) = value["match"]["filter_state"]
            assert state == {"key": "wasm.ssa", "string_match": {"prefix": "service=store.example "}}
            found.setdefault(match["name"], {})[match["vhost"]["name"]] = value["route"]["cluster"]
        wanted = {
            str(port): dict.fromkeys(("allow_any", "block_all"), f"outbound|{port}||store.example")
            for port in (8000, 8001, 8002)
        }
        assert found == wanted, found

    def peers_are_exempt_by_identity(self) -> None:
        exempt: list[dict] = [
            {"sources": ["fd00:10:244::/56"], "ports": [8003], "principals": [PEERS]},
            {"sources": ["fd00:10:244::1/128"]},
        ]
        objects = self._objects(inbound={"exempt": exempt})
        told = json.loads(plugin(objects["EnvoyFilter", "ssa-inbound"]))
        assert told["exempt"] == [{"sources": exempt[0]["sources"], "ports": [8003]}, exempt[1]], told
        policy = objects["AuthorizationPolicy", "ssa-inbound"]["spec"]
        assert policy["action"] == "DENY"
        (rule,) = policy["rules"]
        assert rule == {
            "from": [{"source": {"ipBlocks": ["fd00:10:244::/56"], "notPrincipals": [PEERS]}}],
            "to": [{"operation": {"ports": ["8003"]}}],
            # Who comes by an address of the service, in the same prefix, is the filter's.
            "when": [{"key": "destination.ip", "notValues": ["2001:db8:5::/48"]}],
        }, rule
        # On a port that a pod does not serve for the release, whoever comes is its own business.
        two = self._objects(
            {"inbound": {"workloads": ["a"]}, "ports": PORTS[3:4]},
            {"name": "b.example", "allowed": ["2001:db8:6::/48"], "inbound": {"workloads": ["b"]}, "ports": PORTS[:1]},
            inbound={"exempt": exempt},
        )
        assert {name for kind, name in two if kind == "AuthorizationPolicy"} == {"ssa-inbound-a"}
        everywhere = self._objects(
            inbound={
                "wideExempt": True,
                "exempt": [{"sources": ["::/0"], "principals": [PEERS]}],
                "principals": ["a/b"],
            }
        )
        first, second = everywhere["AuthorizationPolicy", "ssa-inbound"]["spec"]["rules"]
        ports = [{"operation": {"ports": ["8000", "8001", "8002", "8003", "8004"]}}]
        assert first == {"from": [{"source": {"notPrincipals": ["a/b"]}}], "to": ports}
        assert second["to"] == ports
        assert ("AuthorizationPolicy", "ssa-inbound") not in self._objects(inbound={"exempt": exempt[1:]})

    def addresses_default_to_those_stated_elsewhere(self) -> None:
        static = {
            "apl": "2:2001:db8:5:1::/64 !2:2001:db8:5:2::/112\t1:10.0.0.0/8 2:2001:db8:5:1::/64",
            "rules": ["v=ssa1; addr=rand:64"],
        }
        for service, wanted in (
            ({"addresses": ["2001:db8:5:9::/64"], "static": static}, ["2001:db8:5:9::/64"]),
            ({"static": static}, ["2001:db8:5:1::/64", "2001:db8:5:2::/112"]),
            ({"static": {"rules": ["v=ssa1; addr=rand:64"]}}, ["2001:db8:5::/48"]),
            ({}, ["2001:db8:5::/48"]),
        ):
            entry = self._objects(service)["ServiceEntry", "ssa-store.example"]["spec"]
            assert entry["addresses"] == wanted, (service, entry["addresses"])

    def addresses_shared_by_two_services_are_rejected(self) -> None:
        file = self._release({}, {"name": "vault.example"})
        code, text = self.helm.template("-f", file)
        assert code != 0 and "services[1].addresses: 2001:db8:5::/48 is already of services[0]" in text, text

    def idle_http_connections_are_closed_within_a_minute(self) -> None:
        for told, wanted in (({}, "60s"), ({"idleTimeout": "5s"}, "5s")):
            pool = self._objects({"outbound": told})["DestinationRule", "ssa-store.example"]["spec"]["trafficPolicy"][
                "connectionPool"
            ]
            assert pool == {"tcp": {"maxConnections": 20000}, "http": {"idleTimeout": wanted}}, pool
