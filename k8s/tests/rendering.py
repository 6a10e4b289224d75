"""What the chart renders."""

import json
import subprocess
from pathlib import Path
from typing import Any

from checks import VALUES, Checks, all_of, extension, patches, plugin

IMAGE = ("--set", "resolver.image=registry.example/ssa-resolver:test")


class Rendering(Checks):
    """What the chart renders."""

    def lint_finds_nothing(self) -> None:
        values: tuple[str | Path, ...] = ("-f", VALUES)
        for flags in [IMAGE, values]:
            code, text = self.helm.lint(*flags)
            assert code == 0 and "0 chart(s) failed" in text, text

    def metrics_and_modules_are_rendered_only_if_needed(self) -> None:
        module = self.all["NetworkPolicy", "ssa-module"]["spec"]
        assert module["podSelector"] == {
            "matchLabels": self.all["Deployment", "ssa-module"]["spec"]["selector"]["matchLabels"]
        }
        (rule,) = module["ingress"]
        assert rule["ports"] == [{"port": 8080, "protocol": "TCP"}]
        keys = [one["podSelector"]["matchExpressions"] for one in rule["from"]]
        assert keys == [[{"key": f"ssa-{role}", "operator": "Exists"}] for role in ("inbound", "outbound")]
        for role in ("inbound", "outbound"):
            metrics, others = self.all["NetworkPolicy", f"ssa-metrics-{role}"]["spec"]["ingress"]
            assert metrics["ports"] == [{"port": 9467, "protocol": "TCP"}] and len(metrics["from"]) == 1
            ranges = [(one["port"], one["endPort"]) for one in others["ports"] if one["protocol"] == "TCP"]
            assert ranges == [(1, 9466), (9468, 65535)] and "from" not in others
        objects = self.helm.objects(
            "-f", VALUES, "--set-json", "resolver.metricsFrom=[]", "--set", "module.serve.networkPolicy=false"
        )
        assert not [name for kind, name in objects if kind == "NetworkPolicy"]

    def everything_is_in_the_namespace_and_nothing_cluster_wide(self) -> None:
        for (kind, name), item in self.all.items():
            assert item["metadata"].get("namespace") == "shop", (kind, name)
            assert not kind.startswith("Cluster") and kind != "CustomResourceDefinition", kind

    def every_policy_selects_labelled_pods_only(self) -> None:
        wanted = {
            "inbound": {"ssa-inbound": "enabled", "app": "store"},
            "outbound": {"ssa-outbound": "enabled", "app": "client"},
        }
        assert self.inbound["spec"]["workloadSelector"]["labels"] == wanted["inbound"]
        assert self.outbound["spec"]["workloadSelector"]["labels"] == wanted["outbound"]
        for kind in ("PeerAuthentication", "AuthorizationPolicy"):
            assert self.all[kind, "ssa-inbound"]["spec"]["selector"]["matchLabels"] == wanted["inbound"]
        for (kind, _), item in self.all.items():
            if kind in ("ServiceEntry", "DestinationRule"):
                assert item["spec"]["exportTo"] == ["."]
        assert {name for kind, name in self.all if kind == "EnvoyFilter"} == {
            "ssa-inbound",
            "ssa-outbound",
            "ssa-closed",
        }

    def the_filter_comes_first_on_each_port_through_ecds(self) -> None:
        def listeners(filter_: dict[str, Any]) -> Any:
            for patch in patches(filter_, "NETWORK_FILTER"):
                if patch["patch"]["operation"] in ("MERGE", "REMOVE"):
                    continue
                assert patch["patch"]["operation"] == "INSERT_FIRST"
                value = patch["patch"]["value"]
                if value["name"].endswith(".destination"):
                    # Each goes before those that were put in: the filter of the same port follows.
                    before = patch["match"]
                    continue
                assert filter_ is self.outbound or before == patch["match"]
                assert value["name"] == extension(filter_)["name"]
                discovery = value["config_discovery"]
                assert discovery["config_source"]["ads"] == {} and "default_config" not in discovery
                assert discovery["type_urls"] == ["type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm"]
                yield patch["match"]["context"], patch["match"]["listener"]

        assert list(listeners(self.inbound)) == [
            ("SIDECAR_INBOUND", {"name": "virtualInbound", "portNumber": port}) for port in (8080, 9000)
        ]
        assert list(listeners(self.outbound)) == [("SIDECAR_OUTBOUND", {"portNumber": port}) for port in (8080, 9000)]

    def istiod_makes_chains_for_the_ports_with_the_filter(self) -> None:
        service = self.all["Service", "ssa-inbound"]
        assert service["metadata"]["annotations"] == {"networking.istio.io/exportTo": "~"}
        spec = service["spec"]
        assert spec["selector"] == self.inbound["spec"]["workloadSelector"]["labels"]
        assert spec["clusterIP"] == "None"
        assert spec["ports"] == [{"name": "http-8080", "port": 8080}, {"name": "tcp-9000", "port": 9000}]

    def connections_are_logged_if_configured(self) -> None:
        assert not patches(self.inbound, "LISTENER")
        filter_ = self.helm.objects("-f", VALUES, "--set", "inbound.accessLog=/dev/stdout")[
            "EnvoyFilter", "ssa-inbound"
        ]
        (patch,) = patches(filter_, "LISTENER")
        assert patch["match"]["listener"] == {"name": "virtualInbound"} and patch["patch"]["operation"] == "MERGE"
        (log,) = patch["patch"]["value"]["access_log"]
        assert log["typed_config"]["path"] == "/dev/stdout"
        assert "FILTER_STATE(wasm.ssa" in log["typed_config"]["log_format"]["json_format"]["ssa"]

    def _capabilities(self) -> Any:
        """Returns the capabilities that the module uses."""
        program = Path(__file__).resolve().parents[2] / "hack/capabilities.py"
        return set(subprocess.check_output([program, "--list", self.options.module], text=True).split())

    def the_module_is_verified_and_fails_closed(self) -> None:
        for filter_ in (self.inbound, self.outbound):
            value = extension(filter_)
            assert value["typed_config"]["@type"].endswith("filters.network.wasm.v3.Wasm")
            config = value["typed_config"]["config"]
            assert config["failure_policy"] == "FAIL_RELOAD" and config["name"] == value["name"]
            assert config["vm_config"]["vm_id"] == "ssa"
            restriction = config["vm_config"]["capability_restriction_config"]
            assert set(restriction["allowed_capabilities"]) == self._capabilities()
            remote = config["vm_config"]["code"]["remote"]
            assert remote["sha256"] == "0123456789abcdef" * 4
            assert remote["http_uri"]["uri"] == "http://ssa-module.shop.svc:8080/ssa_filter.wasm"
        names = {extension(filter_)["name"] for filter_ in (self.inbound, self.outbound)}
        assert len(names) == 2, names

    def a_module_image_needs_a_digest_and_may_have_a_pull_secret(self) -> None:
        objects = self.helm.objects(
            "-f", VALUES, "--set", "module.serve.enabled=false,module.url=oci://r.example/f:1,module.pullSecret=pull"
        )
        vm = extension(objects["EnvoyFilter", "ssa-inbound"])["typed_config"]["config"]["vm_config"]
        assert vm["code"]["remote"]["http_uri"]["uri"] == "oci://r.example/f:1"
        assert vm["environment_variables"]["key_values"] == {"ISTIO_META_WASM_IMAGE_PULL_SECRET": "shop/pull"}
        assert ("Deployment", "ssa-module") not in objects

    def hosts_for_dialled_addresses_are_removed(self) -> None:
        def merged(filter_: dict[str, Any]) -> Any:
            for patch in patches(filter_, "CLUSTER"):
                if patch["patch"]["operation"] == "MERGE":
                    yield patch["match"]["cluster"], patch["patch"]["value"]

        assert list(merged(self.inbound)) == [
            ({"portNumber": port}, {"cleanup_interval": "60s"}) for port in (8080, 9000)
        ]
        outbound = list(merged(self.outbound))
        assert [cluster for cluster, _ in outbound] == [
            {"service": "store.example", "portNumber": 8080},
            {"service": "store.example", "portNumber": 9000},
            {"service": "other.example", "portNumber": 8080},
        ]
        for _, value in outbound:
            assert value["cleanup_interval"] == "5s"
            assert value["upstream_bind_config"]["source_address"] == {"address": "fd00:10:244::7", "port_value": 0}

    def values_bound_what_records_demand_of_clients(self) -> None:
        assert not {"max_pow", "min_time_step_s"} & set(json.loads(plugin(self.outbound)))
        objects = self.helm.objects("-f", VALUES, "--set", "outbound.maxPow=0,outbound.minTimeStepS=60")
        told = json.loads(plugin(objects["EnvoyFilter", "ssa-outbound"]))
        assert (told["max_pow"], told["min_time_step_s"]) == (0, 60), told

    def a_source_is_pinned_only_if_given(self) -> None:
        objects = self.helm.objects("-f", VALUES, "--set", "outbound.source=")
        filter_ = objects["EnvoyFilter", "ssa-outbound"]
        assert not any("upstream_bind_config" in value for value in all_of(filter_) if isinstance(value, dict))
        assert "source" not in json.loads(plugin(filter_))

    def filters_reach_the_shim_through_its_socket(self) -> None:
        for role, filter_ in (("inbound", self.inbound), ("outbound", self.outbound)):
            (cluster,) = [
                patch["patch"]["value"]
                for patch in patches(filter_, "CLUSTER")
                if patch["patch"]["operation"] == "ADD" and patch["patch"]["value"]["name"].startswith("ssa_resolver")
            ]
            (path,) = [
                value["pipe"]["path"] for value in all_of(cluster) if isinstance(value, dict) and "pipe" in value
            ]
            assert json.loads(plugin(filter_))["snapshot"]["cluster"] == cluster["name"]
            assert self._resolver(role)["socket"]["path"] == path

    def demoted_connections_have_a_cluster_of_their_own(self) -> None:
        named = json.loads(plugin(self.inbound))["demote_cluster"]
        added = [p["patch"]["value"] for p in patches(self.inbound, "CLUSTER") if p["patch"]["operation"] == "ADD"]
        (cluster,) = [value for value in added if value["name"] == named]
        assert cluster["circuit_breakers"]["thresholds"] == [{"max_connections": 16, "max_pending_requests": 16}]
        none = self.helm.objects("-f", VALUES, "--set", "inbound.demotedConnections=0")["EnvoyFilter", "ssa-inbound"]
        assert "demote_cluster" not in json.loads(plugin(none))
        assert "ssa_demoted" not in json.dumps(none)

    def the_mesh_knows_a_service_by_its_prefixes(self) -> None:
        entry = self.all["ServiceEntry", "ssa-store.example"]["spec"]
        assert entry["resolution"] == "NONE" and entry["hosts"] == ["store.example"]
        assert entry["addresses"] == ["2001:db8:5::/64", "2001:db8:6::/120"]
        assert [(port["number"], port["protocol"]) for port in entry["ports"]] == [(8080, "HTTP"), (9000, "TCP")]
        assert entry["subjectAltNames"] == ["spiffe://cluster.local/ns/shop/sa/store"]
        rule = self.all["DestinationRule", "ssa-store.example"]["spec"]["trafficPolicy"]
        assert rule == {
            "tls": {"mode": "ISTIO_MUTUAL"},
            "connectionPool": {"tcp": {"maxConnections": 500}, "http": {"idleTimeout": "60s"}},
        }
        assert self.all["DestinationRule", "ssa-other.example"]["spec"]["trafficPolicy"]["tls"] == {"mode": "DISABLE"}
