"""The stage of scenarios in the kind cluster: a namespace, a release of the chart, workloads, the zone."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import cluster_logs, service, ssa, timeouts
from .claims import Broken, Claims, T
from .cluster_shared import KIND, ROOT, cache, make_image, run
from .helm import CHART, Helm, relabel
from .pod import Pod, samples

if TYPE_CHECKING:
    from .claims import Answer

HERE = Path(__file__).resolve().parent
NODES = os.environ["SSA_KIND_NODES"].split()
SERVERS, CLIENTS = NODES[1:]
# The routing protocol of slices' routes, as k8s/images/resolver/ssa-routes has it.
PROTOCOL = 199
# The phases of a move in which new flows go to the new owner, and the old one serves those that it has.
DRAINS = ("Drain", "Release", "Withdraw")
APPLICATION = (HERE / "pod/application.sh").read_text()
IDLE = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"


class Service(service.Service):
    """A service of a zone of the cluster: LABEL.example. Its plain addresses lie in its space, in a negated item.

    No two scenarios use the same space.
    """

    def __init__(self, published: service.Service) -> None:
        """`published` is the service of a scenario's zone, named by its label."""
        super().__init__(f"{published.name}.example", published.apl, published.rules, published.plain)
        self.space = self.items[0]


class Cluster(Claims):
    """A scenario does everything in the cluster through one of these."""

    pause = 0.5

    def __init__(self, name: str, tools: dict[str, Path], shared: Any) -> None:
        """`tools` has the paths `root`, `module` and `ssa`; `shared` is what prepare() returned."""
        super().__init__()
        self.name = name
        self.tools = tools
        self.shared = shared
        self.ssa = ssa.Command(tools["ssa"])
        self.since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        # What was installed and published last, even by a run that was killed.
        self.own = cache() / "e2e" / name
        self.rules: list[dict[str, Any]] | None = None

    def wait(self, seconds: float, what: str, condition: Callable[[], T | None], pause: float | None = None) -> T:
        """Polls a condition and returns its first true result; a poll that fails, as on a busy machine, is repeated."""
        reason = None

        def look() -> T | None:
            nonlocal reason
            try:
                return condition()
            except Broken as error:
                reason = error
                return None

        try:
            return super().wait(seconds, what, look, pause)
        except Broken as error:
            raise Broken(f"{error}; {reason}" if reason else str(error)) from None

    # ---- kubectl

    def attempt(
        self,
        *arguments: object,
        reads: str | None = None,
        timeout: float = timeouts.COMMAND,
        program: str | Path = "kubectl",
    ) -> subprocess.CompletedProcess[str]:
        """Runs kubectl in the scenario's namespace, and returns its returncode, stdout and stderr."""
        command = [program, "-n", self.name, *(str(one) for one in arguments)]
        try:
            return subprocess.run(
                command,
                input=reads,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                stdin=subprocess.DEVNULL if reads is None else None,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, "", f"timeout after {timeout} s")

    def kubectl(
        self,
        *arguments: object,
        reads: str | None = None,
        timeout: float = timeouts.COMMAND,
        program: str | Path = "kubectl",
    ) -> str:
        """Runs kubectl, which must succeed, and returns its output."""
        done = self.attempt(*arguments, reads=reads, timeout=timeout, program=program)
        if done.returncode != 0:
            words = " ".join(str(one) for one in arguments)[:300]
            raise Broken(f"{program} {words} exited with {done.returncode}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def rolled_out(self, what: str, *flags: str) -> None:
        """Waits until a Deployment, StatefulSet or DaemonSet is rolled out."""
        within = f"--timeout={timeouts.ROLLED_OUT:.0f}s"
        self.kubectl(*flags, "rollout", "status", what, within, timeout=timeouts.ROLLED_OUT + timeouts.COMMAND)

    def apply(self, *objects: dict[str, Any]) -> str:
        """Applies Kubernetes objects."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        return self.kubectl("apply", "-f", "-", reads=text)

    # ---- the scenario's namespace

    def open(self) -> None:
        """Creates the namespace, after a leftover one is deleted."""
        self.remove(wait=True)
        self.own.mkdir(parents=True)
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": self.name, "labels": {"istio-injection": "enabled"}},
            }
        )

    def close(self) -> None:
        """Ends the scenario, and removes everything unless KEEP is set."""
        if "KEEP" not in os.environ:
            self.remove()

    def remove(self, wait: int | None = False) -> None:
        """Removes everything that the scenario created: its namespace, and the nodes' routes to its services."""
        flags = ["--ignore-not-found", f"--wait={str(wait).lower()}"]
        # What of a release is the cluster's goes with it alone.
        self.attempt("uninstall", "ssa", program="helm", timeout=timeouts.INSTALLED)
        self.kubectl("delete", "namespace", self.name, *flags, timeout=timeouts.INSTALLED)
        spaces = self.own / "spaces"
        for space in set(spaces.read_text().split()) if spaces.exists() else ():
            for node in NODES:
                run("docker", "exec", node, *f"ip -6 route flush root {space} proto {PROTOCOL}".split())
        shutil.rmtree(self.own, ignore_errors=True)

    # ---- services

    def publish(self, records: str) -> None:
        """Publishes these lines of a zone file in the zone, replacing its content."""
        zone = self.own / "zone"
        zone.write_text(records)
        with open(self.own / "spaces", "a") as file:
            file.writelines(f"{one.items[0]}\n" for one in service.Service.of_zone(records).values() if one.items)
        run(KIND / "zone.sh", zone)

    def release(self, text: str, **changes: Any) -> None:
        """Installs or upgrades the chart as release `ssa` with these values, in YAML; `changes` override some."""
        known = {
            "module": {"url": self.shared["url"], "sha256": self.shared["sha256"]},
            "resolver": {"image": self.shared["image"]},
            "slices": {"nodes": True},
            "preflight": False,
        }
        files = {"known.json": json.dumps(known), "values.yaml": text, "changes.json": json.dumps(changes)}
        flags: list[object] = []
        for name, content in files.items():
            (self.own / name).write_text(content)
            flags += ["-f", self.own / name]
        command = ["upgrade", "--install", "ssa", CHART, *flags, "--timeout", "3m"]
        self.kubectl(*command, program="helm", timeout=timeouts.INSTALLED)

    def upgrade(self, pods: list[Pod], text: str, **changes: Any) -> None:
        """Upgrades the release, and waits until the shims of these pods have the new configuration."""
        before = self._resolvers()
        reloads = {pod.name: pod.shim("ssa_resolver_reloads_total", outcome="reloaded") for pod in pods}
        self.release(text, **changes)
        after = self._resolvers()
        concerned = [pod for pod in pods if before[pod.resolver] != after[pod.resolver]]
        if not concerned:
            raise Broken("the upgrade changed nothing that shims read")
        # Changing an annotation makes the kubelet sync ConfigMaps and Secrets now.
        self.look(*concerned)

        def reloaded() -> bool:
            now = {pod.name: pod.shim("ssa_resolver_reloads_total", outcome="reloaded") for pod in concerned}
            return all(count > reloads[name] for name, count in now.items())

        self.wait(timeouts.MOUNTED, "shims have the new configuration", reloaded)

    def _resolvers(self) -> dict[str, str | None]:
        """Returns the shims' configurations, by the name of their ConfigMap."""
        told = json.loads(self.kubectl("get", "configmaps", "-l", "app.kubernetes.io/name=ssa", "-o", "json"))["items"]
        return {one["metadata"]["name"]: one.get("data", {}).get("resolver.json") for one in told}

    def look(self, *pods: Pod) -> None:
        """Makes kubelets sync mounted ConfigMaps and Secrets now."""
        names = [pod.name for pod in pods]
        self.kubectl("annotate", "pod", *names, f"ssa-looked={time.time_ns()}", "--overwrite")

    def slices(self, one: Any, selector: str, bits: int = 2, dns: Any = None) -> None:
        """Distributes a service's slices over the pods with these labels, with k8s/slices/apply.sh.

        The service's list is said, or with `dns`, a pod with a shim, found by the DNS that this pod has.
        """
        command = [ROOT / "k8s/slices/apply.sh", self.name, one.name, "--bits", str(bits), "--selector", selector]
        ssa = self.tools["ssa"]
        if dns:
            # This machine's resolver does not know the cluster's DNS.
            ssa = self.own / "ssa-by-dns"
            there = f"exec kubectl -n {self.name} exec {dns.name} -c ssa-resolver -- ssa"
            ssa.write_text(
                f'#!/bin/sh\nif [ "$1" = resolve ]; then {there} "$@"; fi\nexec "{self.tools["ssa"]}" "$@"\n'
            )
            ssa.chmod(0o755)
        else:
            command += ["--apl", f"2:{one.space}"]
        environment = {**os.environ, "SSA": str(ssa)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeouts.ROLLED_OUT, env=environment)
        if done.returncode != 0:
            raise Broken(f"k8s/slices/apply.sh: {done.stderr.strip()}")
        self.note(f"        {done.stdout.strip()}")

    def spread(self, one: Any, selector: str, bits: int = 2, **spec: Any) -> None:
        """Has a service's slices spread over the pods with these labels, and waits until every slice has its place.

        `spec` are more fields of the slice set, which has the service's first label as its name.
        """
        name = one.name.partition(".")[0]
        labels = dict(pair.split("=") for pair in selector.split(","))
        spec = {"service": one.name, "apl": f"2:{one.space}", "bits": bits, "endpoints": {"selector": labels}, **spec}
        metadata = {"name": name, "namespace": self.name}
        self.apply({"apiVersion": "ssa.dev.example/v1alpha1", "kind": "SliceSet", "metadata": metadata, "spec": spec})
        self.settled(name, selector)

    def settled(self, name: str, selector: str, seconds: float = timeouts.ROLLED_OUT) -> None:
        """Waits until the slices of a set are spread over the pods with these labels, and nothing moves."""

        def even() -> bool:
            pods = {pod.name for pod in self.chosen(selector)}
            moves = self.moves(name)
            # The map names the new owner once the old one's flows have ended.
            taking = {one["spec"]["to"] for one in moves if one["phase"] in DRAINS}
            giving = {one["spec"].get("from") for one in moves if one["phase"] in DRAINS}
            owners = {
                one["name"]
                for part in json.loads(self.kubectl("get", "slicemaps", "-o", "json"))["items"]
                if part["spec"]["sliceSet"] == name
                for one in part["spec"]["endpoints"]
                if one.get("owned")
            }
            early = [one["metadata"]["name"] for one in moves if one["phase"] not in DRAINS]
            if not pods or early or not pods <= owners | taking or not owners - giving <= pods:
                status = json.loads(self.kubectl("get", "sliceset", name, "-o", "json")).get("status", {})
                raise Broken(f"{name}: {sorted(owners | taking)} instead of {sorted(pods)}, {early} move; {status}")
            return True

        self.wait(seconds, f"the slices of {name} are spread", even)

    def moves(self, name: str) -> list[dict[str, Any]]:
        """Returns the open moves of a set, each with its phase under `phase`."""
        told = json.loads(self.kubectl("get", "slicemoves", "-o", "json"))["items"]
        mine = [{**one, "phase": one.get("status", {}).get("phase", "Prepare")} for one in told]
        return [one for one in mine if one["spec"]["sliceSet"] == name and one["phase"] not in ("Done", "Aborted")]

    def chosen(self, selector: str) -> list[Pod]:
        """Returns the pods with these labels that are ready and stay."""
        told = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]

        def serves(one: Any) -> bool:
            conditions = one["status"].get("conditions", [])
            ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
            return ready and "deletionTimestamp" not in one["metadata"]

        return [Pod(self, one) for one in told if serves(one)]

    def serve_module(self, module: Any = None) -> None:
        """Creates or replaces the module in the namespace, for a release that serves it
        (serving)."""
        source = f"--from-file=ssa_filter.wasm={module or self.tools['module']}"
        made = self.kubectl("create", "configmap", "ssa-module", source, "--dry-run=client", "-o", "json")
        self.kubectl("apply", "--server-side", "-f", "-", reads=made)

    @property
    def serving(self) -> dict[str, Any]:
        """Values of a release that serves the module itself."""
        return {"module": {"url": "", "serve": {"enabled": True, "image": self.shared["proxy"]}}}

    @property
    def agents(self) -> dict[str, Any]:
        """Values of a release whose slices move by themselves."""
        return {
            "slices": {"nodes": False},
            "cluster": {
                "enabled": True,
                "image": self.shared["cluster"],
                # All scenarios have the same ones.
                "definitions": False,
                # On a busy machine packets come late, and who is not lost must not be taken for it.
                "node": {"bird": {"image": self.shared["bird"], "bfd": {"enabled": True, "intervalMs": 2000}}},
            },
        }

    def mtls(self, mode: str) -> None:
        """Sets the namespace's mode of mutual TLS: STRICT, PERMISSIVE or DISABLE."""
        self.apply(
            {
                "apiVersion": "security.istio.io/v1",
                "kind": "PeerAuthentication",
                "metadata": {"name": "default", "namespace": self.name},
                "spec": {"mtls": {"mode": mode}},
            }
        )

    def node_routes(self, space: str) -> list[str]:
        """Returns the routes of slices in a space, as each node has them."""
        listed = f"ip -6 route show root {space} proto {PROTOCOL}".split()
        return [run("docker", "exec", node, *listed) for node in NODES]

    def secret(self, name: str, **keys: str) -> None:
        """Creates a Secret with exactly these keys."""
        data = {key: base64.b64encode(text.encode()).decode() for key, text in keys.items()}
        metadata = {"name": name, "namespace": self.name}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})

    # ---- workloads

    def workload(
        self,
        name: str,
        role: str | None = None,
        inject: bool = True,
        replicas: int = 1,
        node: str | None = None,
        secrets: Sequence[str] = (),
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
        command: str | None = None,
        app: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Returns a StatefulSet of the application, or of a script, `command`, with a service account of its name.

        `role` is `server`, `client` or `both`; without one the sidecar is Istio's, and without `inject` there is none.
        A server runs the application and has a Service of Kubernetes, others wait for what `attempt` and its like run
        in them. `app` are more fields of the container, such as probes.
        """
        roles = {"server": ["inbound"], "client": ["outbound"], "both": ["inbound", "outbound"]}.get(role or "", [])
        serves = "inbound" in roles
        its_labels = {"app": name, **{f"ssa-{one}": "enabled" for one in roles}, **(labels or {})}
        its_annotations = {"traffic.sidecar.istio.io/excludeInboundPorts": "9467,9476"}
        if roles:
            its_annotations["inject.istio.io/templates"] = "sidecar,ssa"
        if secrets:
            its_annotations["ssa-secrets"] = ",".join(secrets)
        if not inject:
            its_labels["sidecar.istio.io/inject"] = "false"
        metadata = {"name": name, "namespace": self.name}
        container = {
            "name": "app",
            "image": self.shared["tools"],
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", command or (APPLICATION if serves else IDLE)],
        }
        if serves:
            container["readinessProbe"] = {"tcpSocket": {"port": 9000}, "periodSeconds": 1}
        pod = {
            "serviceAccountName": name,
            "terminationGracePeriodSeconds": 1,
            "containers": [{**container, **(app or {})}],
            "nodeSelector": {"kubernetes.io/hostname": node or (SERVERS if serves else CLIENTS)},
        }
        named = [{"name": word, "port": port} for port, word in ((8080, "http"), (9000, "tcp"), (9001, "tcp-talk"))]
        return [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
            # The way to a server's own addresses, by the mesh: with mutual TLS where that is on.
            *(
                [
                    {
                        "apiVersion": "v1",
                        "kind": "Service",
                        "metadata": metadata,
                        "spec": {"selector": {"app": name}, "ports": named},
                    }
                ]
                if serves
                else []
            ),
            {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": metadata,
                "spec": {
                    "serviceName": name,
                    "replicas": replicas,
                    "podManagementPolicy": "Parallel",
                    "selector": {"matchLabels": {"app": name}},
                    "template": {
                        "metadata": {"labels": its_labels, "annotations": {**its_annotations, **(annotations or {})}},
                        "spec": pod,
                    },
                },
            },
        ]

    def start(self, *workloads: list[dict[str, Any]], seconds: float = timeouts.ROLLED_OUT) -> list[Pod]:
        """Starts workloads together, and returns the first pod of each when all are ready."""
        self.apply(*(one for workload in workloads for one in workload))
        names = [workload[-1]["metadata"]["name"] for workload in workloads]
        until = time.monotonic() + seconds
        for name in names:
            left = max(1, int(until - time.monotonic()))
            self.kubectl("rollout", "status", f"statefulset/{name}", f"--timeout={left}s", timeout=left + 10)
        return [self.pods(name)[0] for name in names]

    def pods(self, name: str) -> list[Pod]:
        """Returns the pods of a workload that are not terminating, by name."""
        told = json.loads(self.kubectl("get", "pods", "-l", f"app={name}", "-o", "json"))["items"]
        kept = [one for one in told if "deletionTimestamp" not in one["metadata"] and one["status"].get("podIPs")]
        return [Pod(self, one) for one in sorted(kept, key=lambda one: one["metadata"]["name"])]

    def image(self, name: str, files: Any) -> str:
        """Makes and loads an image of the cluster's tools and of files, {file here: path in it}; returns its name."""
        return make_image(name, self.shared["tools"], files, self.note)

    # ---- looking

    def claim_answers(self, what: str, kind: str, *answers: Answer) -> None:
        """Counts a claim: all answers are of this kind."""
        self.claim(what, [kind] * len(answers), [one.kind if one.kind == kind else repr(one) for one in answers])

    def wait_filter(self, *pairs: tuple[Pod, str], seconds: float = timeouts.PUSHED) -> None:
        """Waits until each pod has the filter with a snapshot, and its shim all services: pairs of pod and role."""
        for pod, role in pairs:
            self.wait(seconds, f"{pod.name} has the filter {role}", lambda: pod.has_filter(role))
            self.wait(seconds, f"{pod.name} has a snapshot", lambda: pod.installed(role))

            def usable() -> bool:
                states = json.loads(pod.run("curl", "-s", "localhost:9467/status", container="istio-proxy"))
                if any(one["state"] != "usable" for one in states):
                    raise Broken(f"{pod.name}: {states}")
                return True

            self.wait(seconds, f"{pod.name}'s services are usable", usable)

    @contextlib.contextmanager
    def taken(self, *pairs: tuple[Pod, str], seconds: float = timeouts.PUSHED) -> Iterator[None]:
        """On exit, waits until filters have the snapshots that result from the body: pairs of pod and role."""
        before = [pod.installed(role) for pod, role in pairs]
        yield
        for (pod, role), had in zip(pairs, before, strict=True):
            # One VM for each worker, and that of the main thread.
            wanted = had + json.loads(pod.admin("server_info"))["command_line_options"]["concurrency"] + 1
            self.wait(seconds, f"all of {pod.name} has the new snapshot", lambda: pod.installed(role) >= wanted)

    def relabelled(self, text: str) -> Iterator[tuple[str, dict[str, str], int]]:
        """Returns Envoy's metrics after the chart's relabelling: (name, labels, value)."""
        if self.rules is None:
            lines = (CHART / "files/relabel.yaml").read_text().splitlines()
            (told,) = Helm("helm", self.own).read(["rules:\n" + "".join(f"  {line}\n" for line in lines)])
            self.rules = told["rules"]
        for name, labels, value in samples(text):
            told = relabel(self.rules, {"__name__": name, **labels})
            if told:
                yield told.pop("__name__"), told, int(value)

    def nacks(self) -> list[str]:
        """Returns the lines of istiod's log, since the scenario began, about configurations that proxies rejected."""
        log = self.kubectl("logs", "-n", "istio-system", "deploy/istiod", f"--since-time={self.since}")
        return [line for line in log.splitlines() if "ACK ERROR" in line and f".{self.name}-" in line]

    def keep_logs(self, folder: Path) -> None:
        """Saves logs and state to a folder that outlives the scenario."""
        cluster_logs.keep(self, folder)
