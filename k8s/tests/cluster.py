"""Slices that move by themselves: agent, controller and node."""

import base64
import json
import os
import re
import subprocess
from typing import Any

from checks import K8S, VALUES, Checks, Skipped, all_of, must, run

ON = ("-f", VALUES, "--set", "cluster.enabled=true,cluster.image=c:1,cluster.node.bird.image=b:1")
SERVER = {"ssa-inbound": "enabled"}


class Cluster(Checks):
    """Slices that move by themselves: agent, controller and node."""

    def _template(self, *flags: str) -> Any:
        data = self.helm.objects(*ON, *flags)["ConfigMap", "ssa-injection"]["data"]
        (values,) = self.helm.read([data["istiod-values.yaml"]])
        return values["sidecarInjectorWebhook"]["templates"]["ssa"]

    def nothing_of_the_cluster_is_rendered_unless_enabled(self) -> None:
        more = set(self.helm.objects(*ON)) - set(self.all)
        kinds = sorted(kind for kind, _ in more)
        for kind, count in {"CustomResourceDefinition": 5, "ValidatingAdmissionPolicy": 4, "DaemonSet": 1}.items():
            assert kinds.count(kind) == count, kinds
        assert "ssa-agent" not in json.dumps(self.helm.inject(self.template, SERVER, {}, True))
        fewer = "cluster.definitions=false,cluster.policies=false,cluster.node.enabled=false"
        left = set(self.helm.objects(*ON, "--set", fewer)) - set(self.all)
        assert {kind for kind, _ in left} == {
            "ServiceAccount",
            "Role",
            "RoleBinding",
            "Secret",
            "ClusterRole",
            "ClusterRoleBinding",
            "Deployment",
            "PodDisruptionBudget",
            "PodMonitor",
        }, left

    def an_image_is_required_if_enabled(self) -> None:
        self._refused(["--set", "cluster.enabled=true"], "/cluster/image")
        self._refused(["--set", "cluster.agent.forwarding=Maybe"], "/cluster/agent/forwarding")
        self._refused(["--set", "cluster.agent.probe=udp:x"], "/cluster/agent/probe")
        self._refused(["--set", "cluster.node.bird.as=0"], "/cluster/node/bird/as")
        self._refused(["--set", "cluster.agent.heartbeatIntervalMs=19"], "/cluster/agent/heartbeatIntervalMs")
        self._refused(["--set", "cluster.agent.heartbeatMissing=1"], "/cluster/agent/heartbeatMissing")
        self._refused(["--set", "cluster.agent.heartbeatSecret=My_Secret"], "/cluster/agent/heartbeatSecret")

    def a_server_gets_an_agent_and_goes_on_while_others_get_its_slices(self) -> None:
        own = {"exec": {"command": ["true"]}}
        containers = [{"Name": "app"}, {"Name": "waits", "Lifecycle": {"PreStop": own}}]
        spec = self.helm.inject(self._template(), SERVER, {}, True, {"Containers": containers})
        inits = {one["name"]: one for one in spec["initContainers"]}
        assert list(inits) == ["istio-proxy", "ssa-network", "ssa-agent", "ssa-resolver"], list(inits)
        assert spec["containers"] == [{"name": "app", "lifecycle": {"preStop": {"sleep": {"seconds": 15}}}}]
        agent = inits["ssa-agent"]
        assert agent["restartPolicy"] == "Always"
        assert agent["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
        assert agent["securityContext"]["runAsGroup"] == 1337, "what it asks Kubernetes would be captured"
        assert "privileged" not in agent["securityContext"]
        # A token bound to the pod, by which policies know it, even where the pod mounts none.
        (token,) = [one for one in spec["volumes"] if one["name"] == "ssa-token"]
        assert [next(iter(one)) for one in token["projected"]["sources"]] == [
            "serviceAccountToken",
            "configMap",
            "downwardAPI",
        ]
        assert agent["command"] == ["ssa-cluster", "agent"]
        flags = dict(zip(agent["args"][::2], agent["args"][1::2], strict=True))
        assert flags["--heartbeat-key"] == "/etc/ssa/heartbeat/key"
        assert (flags["--heartbeat-interval"], flags["--heartbeat-missing"]) == ("50", "3")
        # Where the controller asks for load: it finds the port by its name, and the agent listens there.
        assert agent["ports"] == [{"name": "ssa-agent", "containerPort": 9476, "protocol": "TCP"}]
        assert flags["--listen"] == "[::]:9476"
        off = self._template("--set", "cluster.agent.heartbeats=false")
        assert "--heartbeat-key" not in str(self.helm.inject(off, SERVER, {}, True))
        (secret,) = [one for one in spec["volumes"] if one["name"] == "ssa-heartbeat"]
        assert secret["secret"] == {"secretName": "ssa-heartbeat", "defaultMode": 0o400}
        key = base64.b64decode(self.helm.objects(*ON)["Secret", "ssa-heartbeat"]["data"]["key"])
        assert re.fullmatch(rb"[0-9a-f]{64}", key), "no key of heartbeats"
        theirs = ("--set", "cluster.agent.heartbeatSecret=mine")
        assert ("Secret", "ssa-heartbeat") not in self.helm.objects(*ON, *theirs)
        spec_of = self.helm.inject(self._template(*theirs), SERVER, {}, True)
        (secret,) = [one for one in spec_of["volumes"] if one["name"] == "ssa-heartbeat"]
        assert secret["secret"] == {"secretName": "mine", "defaultMode": 0o400}
        (allowed,) = [one for one in agent["env"] if one["name"] == "SSA_ALLOWED"]
        assert allowed["valueFrom"]["configMapKeyRef"] == {"name": "ssa-allowed", "key": "prefixes"}
        without = self.helm.inject(self._template(), SERVER, {"ssa-slices": "none"}, True, {"Containers": containers})
        assert "ssa-agent" not in json.dumps(without) and "containers" not in without
        client = self.helm.inject(self._template(), {"ssa-outbound": "enabled"}, {}, True, {"Containers": containers})
        assert "NET_ADMIN" not in json.dumps(client) and "containers" not in client

    def forwarding_is_turned_on_as_configured(self) -> None:
        tproxy = {"sidecar.istio.io/interceptionMode": "TPROXY"}

        def network(how: str, annotations: dict[str, str]) -> Any:
            spec = self.helm.inject(
                self._template("--set", f"cluster.agent.forwarding={how}"), SERVER, annotations, True
            )
            found = [one for one in spec["initContainers"] if one["name"] == "ssa-network"]
            return spec.get("securityContext"), found[0] if found else None

        sysctls, container = network("InitContainer", {})
        assert sysctls is None and container["securityContext"]["privileged"] and "ip6tables" not in str(container)
        sysctls, container = network("Sysctl", {})
        assert sysctls == {"sysctls": [{"name": "net.ipv6.conf.all.forwarding", "value": "1"}]} and container is None
        assert network("None", {}) == (None, None)
        _, container = network("InitContainer", tproxy)
        assert "forwarding" in str(container["command"]) and "ip6tables -t mangle" in str(container["command"])
        _, container = network("None", tproxy)
        assert "forwarding" not in str(container["command"]) and "privileged" not in container["securityContext"]

    def roles_grant_no_more_than_what_each_part_does(self) -> None:
        objects = self.helm.objects(*ON)
        for name in ("controller", "node", "agent"):
            rules = objects["Role", f"ssa-{name}"]["rules"]
            assert "*" not in list(all_of(rules)), rules
            writes = {
                (resource, verb)
                for rule in rules
                for resource in rule["resources"]
                for verb in rule["verbs"]
                if verb not in ("get", "list", "watch")
            }
            if name == "agent":
                assert writes == {("sliceendpoints/status", "patch"), ("leases", "patch")}, writes
            if name == "node":
                assert {resource.partition("/")[0] for resource, _ in writes} == {"slicenodes"}, writes
            assert not {"secrets", "configmaps", "pods/exec"} & {resource for resource, _ in writes}
        (rule,) = objects["ClusterRole", "ssa-nodes.shop.ssa"]["rules"]
        assert (rule["resources"], rule["verbs"]) == (["nodes"], ["get"])

    def policies_hold_in_the_releases_namespace_for_its_controller(self) -> None:
        for (kind, name), item in self.helm.objects(*ON).items():
            if kind != "ValidatingAdmissionPolicy":
                continue
            assert name.endswith(".shop"), name
            selector = item["spec"]["matchConstraints"]["namespaceSelector"]["matchLabels"]
            assert selector == {"kubernetes.io/metadata.name": "shop"}
            assert "system:serviceaccount:shop:ssa-controller" in json.dumps(item)
            assert "@" not in json.dumps(item), "a mark is left"

    def bird_has_a_session_to_every_other_node_and_takes_the_configuration(self) -> None:
        template = self.folder / "bird.conf"
        objects = self.helm.objects(*ON)
        template.write_text(objects["ConfigMap", "ssa-bird"]["data"]["bird.conf"])
        allowed = objects["ConfigMap", "ssa-allowed"]["data"]["prefixes"].split()
        patterns = ", ".join(f"{prefix}+" for prefix in allowed)
        assert allowed and f"net !~ [ {patterns} ]" in template.read_text(), "a node may announce what is no service's"
        done = subprocess.run([K8S.parent / "hack/bird.sh"], capture_output=True, text=True)
        if done.returncode == 77:
            raise Skipped(done.stdout.strip())
        bird = done.stdout.strip().splitlines()[-1]
        kept = self.folder / "bird"
        nodes = "".join(f"fd00::{number} STREAM\\nfd00::{number} DGRAM\\n" for number in (1, 2, 3))
        fakes = self._stand_in("getent", f"#!/bin/sh\nprintf '{nodes}'\n")
        # It says what it was given, and checks it.
        (fakes / "bird").write_text(f'#!/bin/sh\ncat "$3"; exec {bird} -p -c "$3"\n')
        (fakes / "bird").chmod(0o755)
        script = K8S / "images/bird/ssa-bird"
        path = f"{fakes}:{os.environ['PATH']}"
        told = must("env", f"PATH={path}", f"SSA_BIRD_RUN={kept}", script, template, "nodes", "fd00::1")
        lines = [line for line in told.splitlines() if line.startswith("protocol bgp")]
        assert [line.split("neighbor ")[1].split()[0] for line in lines] == ["fd00::2", "fd00::3"], told
        assert "@" not in told, told
        assert run("env", f"PATH={path}", f"SSA_BIRD_RUN={kept}", script)[0] != 0
