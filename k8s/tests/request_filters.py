"""Services with requests: true: the filter of requests, where the mesh's own configuration lets it work."""

import json
from typing import Any

from checks import Checks, patches, plugin, run

STORE: dict[str, Any] = {
    "name": "store.example",
    "allowed": ["2001:db8:5::/48"],
    "ports": [{"number": 8080, "protocol": "HTTP"}, {"number": 9000, "protocol": "TCP"}],
    "requests": True,
    "inbound": {},
    "outbound": {},
}
OTHER: dict[str, Any] = {
    "name": "other.example",
    "allowed": ["2001:db8:7::/48"],
    "ports": [{"number": 8080, "protocol": "HTTP"}, {"number": 8081, "protocol": "GRPC"}],
    "inbound": {},
    "outbound": {},
}
WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
CONNECTIONS, REQUESTS = "ssa-{}.shop.ssa", "ssa-{}-requests.shop.ssa"


class RequestFilters(Checks):
    """Services with requests: true: the filter of requests, where the mesh's own configuration lets it work."""

    def _filters(self, *services: dict[str, Any], **values: Any) -> dict[str, Any]:
        objects = self.helm.objects("-f", self._values(list(services), **values))
        return {role: objects["EnvoyFilter", f"ssa-{role}"] for role in ("inbound", "outbound")}

    def filters_of_connections_and_of_requests_share_what_they_know(self) -> None:
        for role, filter_ in self._filters(STORE, OTHER).items():
            extensions = [one["patch"]["value"] for one in patches(filter_, "EXTENSION_CONFIG")]
            assert [one["name"] for one in extensions] == [CONNECTIONS.format(role), REQUESTS.format(role)]
            connections, requests = (one["typed_config"] for one in extensions)
            assert requests["@type"] == WASM and "network" in connections["@type"]
            # One name and one configuration are one root context, with one snapshot.
            assert requests["config"] == connections["config"]
            assert json.loads(requests["config"]["configuration"]["value"])["filter"] == "both"
        without = self._filters({**STORE, "requests": False}, OTHER)
        assert all(len(patches(filter_, "EXTENSION_CONFIG")) == 1 for filter_ in without.values())
        assert not any(patches(filter_, "HTTP_FILTER") for filter_ in without.values())
        assert all("filter" not in json.loads(plugin(filter_)) for filter_ in without.values())

    def a_port_has_one_filter_of_requests_and_its_codec_is_last(self) -> None:
        filter_ = self._filters(STORE, {**OTHER, "requests": True})["outbound"]
        found: dict[int, list[str]] = {}
        for one in patches(filter_, "HTTP_FILTER"):
            chain = one["match"]["listener"]["filterChain"]["filter"]
            assert chain["subFilter"]["name"] == "envoy.filters.http.router"
            found.setdefault(one["match"]["listener"]["portNumber"], []).append(one["patch"]["operation"])
        # Two that merge into one router would leave the codec in the middle.
        assert found == {8080: ["INSERT_BEFORE", "MERGE"], 8081: ["INSERT_BEFORE", "MERGE"]}, found
        for one in patches(filter_, "HTTP_FILTER"):
            value = one["patch"]["value"]
            if one["patch"]["operation"] == "MERGE":
                before, codec = value["typed_config"]["upstream_http_filters"]
                assert codec["typed_config"]["@type"].endswith("upstream_codec.v3.UpstreamCodec")
                value = before
            assert value["name"] == REQUESTS.format("outbound") and value["disabled"] is True
            # Where the module cannot be fetched, requests are denied.
            assert value["config_discovery"]["type_urls"] == [WASM, WASM.replace("wasm.v3.Wasm", "rbac.v3.RBAC")]

    def it_is_switched_on_for_the_services_of_the_port_alone(self) -> None:
        filter_ = self._filters(STORE, OTHER)["outbound"]
        hosts = {}
        for one in patches(filter_, "VIRTUAL_HOST"):
            assert one["patch"]["operation"] == "MERGE"
            value, match = one["patch"]["value"], one["match"]["routeConfiguration"]
            config = value["typed_per_filter_config"][REQUESTS.format("outbound")]
            assert config["is_optional"] is True and config["config"] == {"@type": WASM}
            hosts[match["name"], match["vhost"]["name"]] = value.get("domains")
        # The other one is on the same port, where no filter of connections may set an address.
        assert hosts == {("8080", "store.example:8080"): None, ("8080", "other.example:8080"): None}, hosts
        alone = self._filters({**STORE, "outbound": {"hosts": ["store.internal", "*.store.internal"]}})["outbound"]
        (host,) = patches(alone, "VIRTUAL_HOST")
        assert host["patch"]["value"]["domains"] == ["store.internal", "*.store.internal"]
        self._told({**STORE, "requests": False, "outbound": {"hosts": ["x"]}}, "outbound.hosts is for services with")
        self._told({**STORE, "ports": STORE["ports"][1:]}, "store.example: requests are those of HTTP, HTTP2 and GRPC")

    def no_filter_of_connections_stands_before_requests(self) -> None:
        filter_ = self._filters(STORE, OTHER)["outbound"]
        places = {}
        for one in patches(filter_, "NETWORK_FILTER"):
            listener = one["match"]["listener"]
            before = listener.get("filterChain", {}).get("filter", {}).get("name")
            places[listener["portNumber"]] = (one["patch"]["operation"], before)
        assert places == {
            8080: ("INSERT_BEFORE", "envoy.filters.network.tcp_proxy"),
            8081: ("INSERT_FIRST", None),
            9000: ("INSERT_FIRST", None),
        }, places
        # Routes by what a filter of connections has said are for ports that have one.
        routes = {one["match"]["routeConfiguration"]["name"] for one in self._led(filter_)}
        assert routes == {"8081"}, routes

    def inbound_both_filters_judge(self) -> None:
        filter_ = self._filters(STORE, OTHER)["inbound"]
        (one,) = patches(filter_, "HTTP_FILTER")
        listener = one["match"]["listener"]
        assert (listener["name"], listener["portNumber"]) == ("virtualInbound", 8080)
        assert one["patch"]["operation"] == "INSERT_BEFORE" and "disabled" not in one["patch"]["value"]
        ports = [one["match"]["listener"].get("portNumber") for one in patches(filter_, "NETWORK_FILTER")]
        assert set(ports) >= {8080, 8081, 9000}
        demoted = {
            (one["match"]["routeConfiguration"]["name"], one["patch"]["value"]["match"]["filter_state"][0]["key"])
            for one in patches(filter_, "HTTP_ROUTE")
        }
        assert demoted == {
            ("inbound|8080||", "wasm.ssa_outcome"),
            ("inbound|8080||", "wasm.ssa_request_outcome"),
            ("inbound|8081||", "wasm.ssa_outcome"),
        }, demoted

    def how_requests_are_sent_is_the_filters_configuration(self) -> None:
        requests = {"order": "least", "hedgeMs": 200, "miss": [404, 410], "noObject": "deny", "replicaHeader": True}
        filter_ = self._filters(STORE, outbound={"requests": requests})["outbound"]
        extension = patches(filter_, "EXTENSION_CONFIG")[0]["patch"]["value"]
        text = extension["typed_config"]["config"]["configuration"]["value"]
        assert json.loads(text)["requests"] == {
            "order": "least",
            "hedge_ms": 200,
            "miss": [404, 410],
            "no_object": "deny",
            "replica_header": True,
        }
        # As the filter's own check takes it.
        file = self.folder / "envoy.json"
        file.write_text(json.dumps({"static_resources": {"listeners": [extension["typed_config"]]}}))
        record = "v=ssa1; addr=hash(obj):10 const(0):54; replicas=2; obj=path:/cas/{obj}"
        code, found = self._lint(file, record)
        assert code in (0, 1) and "plugin" not in found, found
        file.write_text(file.read_text().replace("least", "most"))
        code, found = self._lint(file, record)
        assert "requests.order" in found, found

    def _lint(self, file: Any, record: str) -> tuple[int, str]:
        return run(self.options.ssa, "lint", "--rule", record, "--apl", "2:2001:db8:5::/64", "--envoy", file)

    def _told(self, service: dict[str, Any], why: str) -> None:
        code, text = self.helm.template("-f", self._values([service]))
        assert code != 0 and why in text, text

    def _led(self, filter_: dict[str, Any]) -> list[Any]:
        return [one for one in patches(filter_, "HTTP_ROUTE") if one["patch"]["operation"] == "INSERT_FIRST"]
