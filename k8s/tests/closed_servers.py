"""Servers that no service verifies are closed; the filter that verifies them opens them again."""

import json
from typing import Any

from checks import VALUES, Checks, patches

IMAGE = ("--set", "resolver.image=registry.example/ssa-resolver:test")
INBOUND: dict = {"context": "SIDECAR_INBOUND", "listener": {"name": "virtualInbound"}}


class ClosedServers(Checks):
    """Servers that no service verifies are closed; the filter that verifies them opens them again."""

    def _without_inbound(self) -> dict[tuple[str, str], Any]:
        """Returns what is rendered when the last service with servers was removed."""
        values = self.folder / "clients.json"
        services = json.loads(json.dumps(self.helm.read([VALUES.read_text()])[0]["services"]))
        for service in services:
            service.pop("inbound", None)
            service.setdefault("outbound", {})
        values.write_text(json.dumps({"services": services}))
        return self.helm.objects("-f", VALUES, "-f", values)

    def without_services_only_servers_sidecars_are_patched(self) -> None:
        objects = self.helm.objects(*IMAGE)
        kinds = {kind for kind, _ in objects}
        assert kinds == {"ConfigMap", "Pod", "EnvoyFilter"}, kinds
        selected = {
            name: item["spec"]["workloadSelector"]["labels"]
            for (kind, name), item in objects.items()
            if kind == "EnvoyFilter"
        }
        assert selected == {"ssa-closed": {"ssa-server-of": "ssa"}, "ssa-closed-enabled": {"ssa-inbound": "enabled"}}, (
            selected
        )
        kinds = {kind for kind, _ in self.helm.objects(*IMAGE, "--set", "inbound.withoutServices=open")}
        assert kinds == {"ConfigMap", "Pod"}, kinds

    def servers_whose_last_service_was_removed_are_closed_on_all_ports(self) -> None:
        objects = self._without_inbound()
        assert ("EnvoyFilter", "ssa-inbound") not in objects and ("EnvoyFilter", "ssa-closed-enabled") not in self.all
        enabled = objects["EnvoyFilter", "ssa-closed-enabled"]["spec"]
        assert enabled["workloadSelector"] == self.inbound["spec"]["workloadSelector"]
        for closed in (enabled, objects["EnvoyFilter", "ssa-closed"]["spec"]):
            assert len(closed["configPatches"]) == 2
            for patch in closed["configPatches"]:
                # Of all ports: which ones were the services' nobody knows any more.
                assert patch["match"] == INBOUND and patch["patch"]["operation"] == "INSERT_FIRST"

    def a_server_with_any_label_names_its_release(self) -> None:
        for labels, annotations, wanted in (
            ({"ssa-inbound": "enabled"}, {}, "ssa"),
            ({"ssa-inbound": "vault", "ssa-outbound": "enabled"}, {"ssa-release": "blue"}, "blue"),
            ({"ssa-inbound": "vault"}, {}, "ssa"),
            ({"ssa-outbound": "enabled"}, {}, None),
        ):
            metadata = self.helm.pod(self.template, labels, annotations, True).get("metadata", {})
            assert metadata.get("labels", {}).get("ssa-server-of") == wanted, (labels, metadata)

    def the_filter_that_verifies_a_server_removes_the_one_that_closes_it(self) -> None:
        closed = self.all["EnvoyFilter", "ssa-closed"]["spec"]
        assert closed["workloadSelector"]["labels"] == {"ssa-server-of": "ssa"}
        put = [
            patch["patch"]["value"]["name"]
            for patch in patches(self.all["EnvoyFilter", "ssa-closed"], "NETWORK_FILTER")
        ]
        # istiod takes patches by priority: what is to be removed has to be there.
        assert closed["priority"] < self.inbound["spec"]["priority"]
        removed = [
            patch["match"]
            for patch in patches(self.inbound, "NETWORK_FILTER")
            if patch["patch"] == {"operation": "REMOVE"}
        ]
        wanted = [
            {**INBOUND, "listener": {**INBOUND["listener"], "filterChain": {"filter": {"name": name}}}} for name in put
        ]
        assert removed == wanted, removed

    def servers_that_may_be_open_are_not_patched(self) -> None:
        objects = self.helm.objects("-f", VALUES, "--set", "inbound.withoutServices=open")
        assert {name for kind, name in objects if kind == "EnvoyFilter"} == {"ssa-inbound", "ssa-outbound"}
        assert "ssa-closed" not in json.dumps(objects["EnvoyFilter", "ssa-inbound"])
