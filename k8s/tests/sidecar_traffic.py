"""Traffic through an Envoy with what the chart puts into a sidecar: countless addresses, and a module that cannot be
fetched."""

import json
import os
import subprocess
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checks import VALUES, Checks, all_of, extension, patches

# The sidecar as istiod makes it, as far as it is concerned: a port's chain, and its cluster.
TCP_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
ORIGINAL_DST = "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"
RBAC = "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC"
PORT = 9000
FIXTURES = Path(__file__).resolve().parent / "fixtures"


def merge(into: Any, value: Any) -> None:
    """Merges a patch as istiod does."""
    for name, one in value.items():
        if isinstance(one, dict) and isinstance(into.get(name), dict):
            merge(into[name], one)
        else:
            into[name] = one


class SidecarTraffic(Checks):
    """Traffic through an Envoy with what the chart puts into a sidecar."""

    def every_address_ends_at_one_host(self) -> None:
        told = self._play(1000, "served")
        assert told["answers"] == ["banner"], told
        # Two workers that are the first at the same time each make one.
        assert 1 <= told["stats"]["cluster.inbound|9000||.membership_total"] <= 2, told
        assert 1 <= told["stats"]["cluster.ssa_demoted.membership_total"] <= 2, told

    def without_a_fixed_destination_each_address_is_a_host(self) -> None:
        # What the check above is there for: it would see them.
        told = self._play(200, "served", without="ssa-inbound.shop.ssa.destination", listens="::")
        assert told["answers"] == ["banner"] and told["stats"]["cluster.inbound|9000||.membership_total"] > 50, told

    def a_silent_client_gets_nothing_without_the_module(self) -> None:
        told = self._play(20, "refused", module=False)
        assert told["answers"] == [""], told
        assert told["stats"]["listener.[__]_15006.network_extension_config_missing"] == 20, told

    def a_silent_client_reaches_the_server_with_pilot_agents_substitute(self) -> None:
        told = self._play(1, "refused", module=False, types=[RBAC])
        assert told["answers"] == ["banner"], "Envoy's RBAC decides before the client's first octet by now"

    def servers_without_a_service_are_closed(self) -> None:
        told = self._play(20, "refused", services=False)
        assert told["answers"] == [""], told

    def _play(
        self,
        number: int,
        expected: Any,
        without: str | None = None,
        module: bool = True,
        types: Any = (),
        listens: str = "fd00:10:244::7",
        services: bool = True,
    ) -> Any:
        """Dials `number` addresses of the service through the sidecar, every other one legacy, and returns what came of
        it."""
        self._needs_namespaces()
        if os.path.exists(os.path.join(self.folder, "sidecar")):
            subprocess.run(["rm", "-r", os.path.join(self.folder, "sidecar")], check=True)
        folder = self.folder / "sidecar"
        folder.mkdir()
        values = folder / "values.json"
        service = {
            "name": "store.example",
            "allowed": ["2001:db8:5::/64"],
            "addresses": ["2001:db8:5::/64"],
            "ports": [{"number": PORT, "protocol": "TCP"}],
            "static": {
                "apl": "2:2001:db8:5::/64 !2:2001:db8:5:0:ffff::/80",
                "rules": ["v=ssa1; addr=rand:64"],
                "addresses": ["2001:db8:5:0:ffff::1"],
            },
            "inbound": {"mode": "enforce"},
            "outbound": {},
        }
        values.write_text(json.dumps({"services": [service], "inbound": {"demotedConnections": 1000}}))
        objects = self.helm.objects("-f", VALUES, "-f", values)
        filter_ = objects["EnvoyFilter", "ssa-inbound"]
        closed = objects["EnvoyFilter", "ssa-closed"]
        resolver = json.loads(objects["ConfigMap", "ssa-resolver-inbound"]["data"]["resolver.json"])
        # The user of the sidecar is none in this namespace of users.
        resolver["socket"] = {"path": "/run/ssa/snapshot.sock", "peers": [{"uid": 0, "roles": ["inbound"]}]}
        resolver["state"] = "/run/ssa/state.json"
        (folder / "resolver.json").write_text(json.dumps(resolver))
        (folder / "ecds.json").write_text(json.dumps(self._discovered(filter_, module)))
        (folder / "envoy.json").write_text(
            json.dumps(self._bootstrap([closed, *([filter_] if services else [])], folder, without, types))
        )
        env = {**os.environ, "ENVOY": str(self.options.envoy), "RESOLVER": str(self.options.resolver.resolve())}
        env["PATH"] += ":/usr/sbin:/sbin"
        done = subprocess.run(
            ["unshare", "-Urnmpf", "--kill-child", "bash", FIXTURES / "pod_network.sh", str(number), expected, listens],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        logs = "".join((folder / name).read_text(errors="replace")[-2000:] for name in ("resolver.log", "envoy.log"))
        assert done.returncode == 0, f"{done.stdout}{done.stderr}{textwrap.indent(logs, '  ')}"
        return json.loads(done.stdout.splitlines()[-1])

    def _discovered(self, filter_: dict[str, Any], module: bool) -> dict[str, Any]:
        """Returns what pilot-agent makes of the extension: the module as a file, or what it sends where there is
        none."""
        resource = json.loads(json.dumps(extension(filter_)))
        if module:
            code = resource["typed_config"]["config"]["vm_config"]
            code["code"] = {"local": {"filename": str(self.options.module.resolve())}}
        else:
            resource["typed_config"] = {"@type": RBAC, "rules": {}, "stat_prefix": "deny"}
        resource = {"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", **resource}
        return {"version_info": "1", "resources": [resource]}

    def _bootstrap(
        self, envoy_filters: list[Any], folder: Path, without: str | None, types: Sequence[str]
    ) -> dict[str, Any]:
        """Returns the sidecar with the patches of EnvoyFilters, in order."""
        filters = [
            {"name": "tcp", "typed_config": {"@type": TCP_PROXY, "stat_prefix": "tcp", "cluster": f"inbound|{PORT}||"}}
        ]
        for patch in (patch for one in envoy_filters for patch in patches(one, "NETWORK_FILTER")):
            listener = patch["match"]["listener"]
            if patch["patch"]["operation"] == "REMOVE":
                name = listener["filterChain"]["filter"]["name"]
                assert name in [one["name"] for one in filters], name
                filters = [one for one in filters if one["name"] != name]
            elif listener.get("portNumber", PORT) == PORT and not (
                without and patch["patch"]["value"]["name"].endswith(without)
            ):
                filters.insert(0, patch["patch"]["value"])
        for value in all_of(filters):
            if isinstance(value, dict) and "config_source" in value:
                value["config_source"] = {
                    "path_config_source": {"path": str(folder / "ecds.json")},
                    "initial_fetch_timeout": "0s",
                    "resource_api_version": "V3",
                }
                value["type_urls"] += types
        cluster = {
            "name": f"inbound|{PORT}||",
            "type": "ORIGINAL_DST",
            "lb_policy": "CLUSTER_PROVIDED",
            "connect_timeout": "10s",
            "upstream_bind_config": {"source_address": {"address": "::6", "port_value": 0}},
        }
        clusters = [cluster]
        for patch in (patch for one in envoy_filters for patch in patches(one, "CLUSTER")):
            if patch["patch"]["operation"] == "ADD":
                clusters.append(patch["patch"]["value"])
            elif patch["match"]["cluster"]["portNumber"] == PORT:
                merge(cluster, patch["patch"]["value"])
        listener = {
            "name": "virtualInbound",
            "address": {"socket_address": {"address": "::", "port_value": 15006}},
            "listener_filters": [{"name": "original_dst", "typed_config": {"@type": ORIGINAL_DST}}],
            "filter_chains": [{"filter_chain_match": {"destination_port": PORT}, "filters": filters}],
        }
        return {
            "node": {"id": "sidecar", "cluster": "sidecar"},
            "admin": {"address": {"socket_address": {"address": "::1", "port_value": 15000}}},
            "static_resources": {"listeners": [listener], "clusters": clusters},
        }
