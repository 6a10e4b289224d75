"""Several services in one release, each with its own pods: what each pod is configured with."""

import json
from typing import Any

from checks import K8S, VALUES, Checks, patches, run
from lib.helm import kubernetes_version  # after checks, which sets the path

# Services, the workloads that serve them, and their ports.
SERVICES = (
    ("store.example", ["store"], 8080),
    ("vault.example", ["vault", "both"], 50051),
    ("index.example", ["both"], 9000),
    ("plain.example", None, 7000),
)
PORTS = {"store": [8080], "vault": [50051], "both": [50051, 9000], "enabled": [7000]}


class Workloads(Checks):
    """Several services in one release, each with its own pods: what each pod is configured with."""

    def _several(self, *flags: str) -> dict[tuple[str, str], Any]:
        """Returns what a release of SERVICES renders."""
        services = []
        for number, (name, workloads, port) in enumerate(SERVICES, 1):
            space = f"2001:db8:{number}::/64"
            services.append(
                {
                    "name": name,
                    "allowed": [space],
                    "addresses": [space],
                    "ports": [{"number": port, "protocol": "TCP"}],
                    "inbound": {"workloads": workloads} if workloads else {},
                    "outbound": {},
                }
            )
        return self._release(services, *flags)

    def _release(self, services: list[dict[str, Any]], *flags: str) -> dict[tuple[str, str], Any]:
        return self.helm.objects("-f", self._values(services), *flags)

    @staticmethod
    def _named(workload: str) -> str:
        return "ssa-inbound" if workload == "enabled" else f"ssa-inbound-{workload}"

    def a_pod_is_verified_only_on_the_ports_of_its_services(self) -> None:
        objects = self._several("--set", "inbound.mtls=STRICT,inbound.principals[0]=cluster.local/ns/shop/sa/a")
        found = {name for kind, name in objects if kind == "EnvoyFilter"}
        assert found == {self._named(workload) for workload in PORTS} | {"ssa-outbound", "ssa-closed"}, found
        for workload, ports in PORTS.items():
            name, labels = self._named(workload), {"ssa-inbound": workload}
            filter_ = objects["EnvoyFilter", name]
            assert filter_["spec"]["workloadSelector"]["labels"] == labels
            on = [
                patch["match"]["listener"]["portNumber"]
                for patch in patches(filter_, "NETWORK_FILTER")
                if patch["patch"]["operation"] == "INSERT_FIRST"
            ]
            # One fixes where connections end, one judges them.
            assert on[::2] == on[1::2] == ports, (workload, on)
            service = objects["Service", name]["spec"]
            assert service["selector"] == labels and [port["port"] for port in service["ports"]] == ports
            for kind in ("PeerAuthentication", "AuthorizationPolicy"):
                assert objects[kind, name]["spec"]["selector"]["matchLabels"] == labels
            (rule,) = objects["AuthorizationPolicy", name]["spec"]["rules"]
            assert rule["to"] == [{"operation": {"ports": [str(port) for port in ports]}}]

    def a_shim_is_configured_for_its_pods_services_by_the_template(self) -> None:
        objects = self._several()
        for workload in PORTS:
            serves = sorted(name for name, workloads, _ in SERVICES if workload in (workloads or ["enabled"]))
            for labels, every in (({}, []), ({"ssa-outbound": "enabled"}, [name for name, *_ in SERVICES])):
                spec = self.helm.inject(self.template, {"ssa-inbound": workload, **labels}, {}, True)
                told = json.loads(objects["ConfigMap", self._configuration(spec)]["data"]["resolver.json"])
                inbound = sorted(one["name"] for one in told["services"] if "inbound" in one)
                outbound = sorted(one["name"] for one in told["services"] if "outbound" in one)
                assert (inbound, outbound) == (serves, sorted(every)), (workload, inbound, outbound)
                self._checked(told)

    def an_unknown_label_selects_no_configuration(self) -> None:
        known = {name for kind, name in self._several() if kind == "ConfigMap"}
        wrong = (
            {"ssa-inbound": "stroe"},
            {"ssa-inbound": "disabled"},
            {"ssa-outbound": "enabeld"},
            {"ssa-inbound": "store", "ssa-outbound": "enabeld"},
        )
        for labels in wrong:
            spec = self.helm.inject(self.template, labels, {}, True)
            assert self._configuration(spec) not in known, labels
        # Nor does a server where the release has none: it would be one without a filter.
        clients = self._release(
            [
                {
                    "name": "a.example",
                    "allowed": ["2001:db8:1::/64"],
                    "addresses": ["2001:db8:1::/64"],
                    "ports": [{"number": 80, "protocol": "TCP"}],
                    "outbound": {},
                }
            ]
        )
        for labels in ({"ssa-inbound": "enabled"}, {"ssa-inbound": "enabled", "ssa-outbound": "enabled"}):
            spec = self.helm.inject(self.template, labels, {}, True)
            assert ("ConfigMap", self._configuration(spec)) not in clients, labels
        spec = self.helm.inject(self.template, {"ssa-outbound": "enabled"}, {}, True)
        assert ("ConfigMap", self._configuration(spec)) in clients

    def a_namespace_of_clients_gets_nothing_for_servers(self) -> None:
        objects = self._release(
            [
                {
                    "name": "a.example",
                    "allowed": ["2001:db8:1::/64"],
                    "addresses": ["2001:db8:1::/64"],
                    "ports": [{"number": 80, "protocol": "HTTP"}],
                    "outbound": {},
                }
            ]
        )
        found = {(kind, name) for kind, name in objects if "inbound" in name}
        assert not found, found
        assert {kind for kind, _ in objects} >= {"EnvoyFilter", "ServiceEntry", "DestinationRule", "ConfigMap"}

    def only_separate_workloads_may_use_a_port_with_different_protocols(self) -> None:
        space = {"allowed": ["2001:db8:1::/64"], "addresses": ["2001:db8:1::/64"]}

        def pair(one: list[str], other: list[str]) -> list[dict[str, Any]]:
            return [
                {
                    "name": "a.example",
                    **space,
                    "ports": [{"number": 80, "protocol": "HTTP"}],
                    "inbound": {"workloads": one},
                },
                {
                    "name": "b.example",
                    **space,
                    "ports": [{"number": 80, "protocol": "TCP"}],
                    "inbound": {"workloads": other},
                },
            ]

        objects = self._release(pair(["a"], ["b"]))
        names = [objects["Service", f"ssa-inbound-{one}"]["spec"]["ports"][0]["name"] for one in "ab"]
        assert names == ["http-80", "tcp-80"], names
        try:
            self._release(pair(["a"], ["b", "a"]))
        except AssertionError as refused:
            assert "80 is TCP, and HTTP at services[0].ports[0]" in str(refused), refused
        else:
            raise AssertionError("one pod's port has two protocols")

    def invalid_workload_names_are_rejected(self) -> None:
        for name in ("Store", "a_b", "a.b", "-a", "x" * 41):
            self._refused(["--set", f"services[0].inbound.workloads[0]={name}"], "/services/0/inbound/workloads/0")
        self._refused(["--set", "services[0].inbound.workloads={a,a}"], "/services/0/inbound/workloads")
        chart = [
            self.options.helm,
            "template",
            "r" * 20,
            K8S / "chart",
            "--kube-version",
            kubernetes_version(),
            "-f",
            VALUES,
        ]
        code, text = run(*chart, "--set", f"services[0].inbound.workloads[0]={'x' * 40}")
        assert code != 0 and "of 69 characters; 63 are allowed" in text, text

    @staticmethod
    def _configuration(spec: dict[str, Any]) -> str:
        (name,) = [volume["configMap"]["name"] for volume in spec["volumes"] if volume["name"] == "ssa-config"]
        return name
