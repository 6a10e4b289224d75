"""Servers of HTTP, WebSocket and gRPC whose slices move by themselves, and clients that keep connections to them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import timeouts
from .cluster import CLIENTS
from .cluster_shared import AGENTS
from .programs import workload

if TYPE_CHECKING:
    from .cluster import Cluster, Service
    from .pod import Pod

SELECTOR = "app=web"


@dataclass(frozen=True)
class Servers:
    """What the Deployment of the servers is like."""

    replicas: int = 2
    # How many seconds they say that they are not ready.
    ready_after: int = 0
    # The injection template beside Istio's.
    template: str = AGENTS
    # How Istio captures their connections.
    interception: str = "REDIRECT"
    rolling: dict[str, Any] = field(default_factory=lambda: {"maxSurge": 1, "maxUnavailable": 0})


def web(stage: Cluster, image: str, servers: Servers) -> dict[str, Any]:
    """Returns the Deployment of the servers."""
    container = {
        "name": "app",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/workload", "serve", f"--ready-after={servers.ready_after}s"],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
    }
    annotations = {
        "inject.istio.io/templates": f"sidecar,{servers.template}",
        "sidecar.istio.io/interceptionMode": servers.interception,
        "traffic.sidecar.istio.io/excludeInboundPorts": "9467,9476",
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": stage.name},
        "spec": {
            "replicas": servers.replicas,
            "strategy": {"rollingUpdate": servers.rolling},
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web", "ssa-inbound": "enabled"}, "annotations": annotations},
                "spec": {
                    "terminationGracePeriodSeconds": 90,
                    "topologySpreadConstraints": [spread],
                    "containers": [container],
                },
            },
        },
    }


class Users:
    """The clients, in a pod, until they are ended."""

    def __init__(self, stage: Cluster, pod: Pod, service: Service) -> None:
        self.stage = stage
        self.file = stage.own / f"users-{time.time_ns()}.log"
        counts = ["--http=120", "--websockets=60", "--streams=20", "--rate=50"]
        command = ["kubectl", "-n", stage.name, "exec", "-i", pod.name, "-c", "app", "--"]
        command += ["/opt/workload", "use", f"--host={service.name}", *counts]
        with open(self.file, "wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT)
        used = lambda: all(one["answered"] > 100 for one in self.now().values())  # noqa: E731
        stage.wait(timeouts.PUSHED, "everything is used", used)

    def now(self) -> dict[str, Any]:
        """Returns what became of everything so far."""
        lines = [line for line in self.file.read_text().splitlines() if line.startswith("{")]
        return json.loads(lines[-1]) if lines else {"none": {"answered": 0}}

    def claim(self, what: str, before: dict[str, Any]) -> None:
        """Claims that nothing has failed since."""
        now = self.now()
        for kind, one in now.items():
            since = one["failures"] - before[kind]["failures"]
            answered = one["answered"] - before[kind]["answered"]
            moved = one["moved"] - before[kind]["moved"]
            longest = f"longest {one['longest_ms']} ms so far"
            self.stage.note(f"        {kind}: {answered} answered, {moved} made anew, {longest}")
            told = one["failed"][before[kind]["failures"] :][:5]
            self.stage.claim(f"{what}: failures of {kind}", (0, []), (since, told))

    def end(self) -> None:
        """Ends them."""
        self.process.communicate(timeout=timeouts.COMMAND)


def play(stage: Cluster, service: Service, client: Pod, steps: Mapping[str, Sequence[str]]) -> None:
    """Uses a service while kubectl does these things to its servers; claims that nothing fails in any of them."""
    users = Users(stage, client, service)
    for what, command in steps.items():
        stage.note(what)
        before = users.now()
        stage.kubectl(*command)
        stage.rolled_out("deploy/web")
        gone(stage)
        stage.settled(service.name.partition(".")[0], SELECTOR)
        users.claim(what, before)
    users.end()


def start(stage: Cluster, service: Service, records: str, values: str, servers: Servers) -> Pod:
    """Starts servers and a client with STRICT mutual TLS, and has the slices spread; returns the client."""
    image = stage.image("workload", workload())
    stage.publish(records)
    stage.mtls("STRICT")
    stage.release(values, **stage.agents)
    stage.apply(web(stage, image, servers))
    (client,) = stage.start(stage.workload("client", "client", node=CLIENTS, app={"image": image}))
    stage.rolled_out("deploy/web")
    stage.spread(service, SELECTOR, bits=6)
    stage.wait_filter((client, "outbound"), *((pod, "inbound") for pod in stage.chosen(SELECTOR)))
    return client


def gone(stage: Cluster) -> None:
    """Waits until pods that were told to end have ended."""
    wanted = json.loads(stage.kubectl("get", "deploy/web", "-o", "json"))["spec"]["replicas"]
    names = lambda: stage.kubectl("get", "pods", "-l", SELECTOR, "-o", "name").split()  # noqa: E731
    stage.wait(timeouts.ROLLED_OUT, "no pod ends any more", lambda: len(names()) == wanted)
