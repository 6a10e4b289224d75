"""A pod of the cluster: what it runs, dials, counts and logs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from . import timeouts
from .claims import Answer, Broken, find
from .metered import Metered

if TYPE_CHECKING:
    from .cluster import Cluster

# Istio's access log, from the upstream's address on; the same for HTTP and TCP.
LINE = re.compile(
    r'^\[\S+\] "(?P<request>[^"]*)" (?P<code>\d+) (?P<flags>\S+) .*? "(?P<failure>[^"]*)" .*'
    r'"(?P<upstream>[^"]*)" (?P<cluster>\S+) \S+ \[(?P<destination>[0-9a-f:]+)\]:(?P<port>\d+) '
    r"\[(?P<source>[0-9a-f:]+)\]:\d+ \S+ \S+$"
)
# What the chart's inbound.accessLog has for addresses.
ADDRESS = re.compile(r"\[([0-9a-f:]+)\]:(\d+)")


class Pod(Metered):
    """One pod; `name`, `address` and `node` are those of Kubernetes."""

    def __init__(self, stage: Cluster, told: Any) -> None:
        """`told` is Kubernetes' object."""
        self.stage = stage
        self.name = told["metadata"]["name"]
        self.node = told["spec"]["nodeName"]
        self.uid = told["metadata"]["uid"]
        self.address = next(one["ip"] for one in told["status"]["podIPs"] if ":" in one["ip"])
        volumes = {one["name"]: one for one in told["spec"]["volumes"]}
        # The ConfigMap that its shim reads, if it has one.
        self.resolver = volumes.get("ssa-config", {}).get("configMap", {}).get("name")
        self.read_to: dict[str, int] = {}

    def __repr__(self) -> str:
        return self.name

    # ---- running

    def attempt(
        self, *command: object, container: str = "app", reads: str | None = None, timeout: float = timeouts.IN_POD
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in a container, and returns its returncode, stdout and stderr."""
        arguments = ["exec", *(["-i"] if reads is not None else []), self.name, "-c", container, "--", *command]
        return self.stage.attempt(*arguments, reads=reads, timeout=timeout)

    def run(self, *command: object, **options: Any) -> str:
        """Runs a command, which must succeed, and returns its output."""
        done = self.attempt(*command, **options)
        if done.returncode != 0:
            words = " ".join(map(str, command))
            raise Broken(f"{self.name}: {words} exited with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def logs(self, container: str = "istio-proxy") -> str:
        """Returns the log of a container."""
        return self.stage.kubectl("logs", self.name, "-c", container)

    def now(self) -> Any:
        """Returns Kubernetes' object as it is now."""
        return json.loads(self.stage.kubectl("get", "pod", self.name, "-o", "json"))

    def is_ready(self) -> bool:
        """Whether it is ready."""
        conditions = self.now()["status"].get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def restarts(self, container: str | None = None) -> int:
        """Returns how often a container restarted, or all of them together."""
        status = self.now()["status"]
        states = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
        return sum(one["restartCount"] for one in states if container in (None, one["name"]))

    # ---- dialling

    def http(
        self,
        host: str,
        port: int = 8080,
        at: object = None,
        path: str = "/",
        timeout: float = timeouts.EXCHANGE,
        headers: Sequence[str] = (),
        flags: Sequence[str] = (),
    ) -> Answer:
        """Sends an HTTP request over its own connection; `at` is an address to dial instead of resolving the name."""
        command: list[object] = ["curl", "-s", "-m", timeout, "-w", "\n%{http_code}\n%{errormsg}", *flags]
        if at:
            command += ["--resolve", f"{host}:{port}:[{at}]"]
        for header in headers:
            command += ["-H", header]
        host = f"[{host}]" if ":" in str(host) else host
        done = self.attempt(*command, f"http://{host}:{port}{path}", timeout=timeout + timeouts.EXEC)
        body, code, error = ["", "", *done.stdout.rsplit("\n", 2)][-3:]
        if done.returncode == 0 and code == "200":
            return Answer("served", body.strip())
        kind = {7: "unreachable", 28: "silent"}.get(done.returncode, "refused")
        return Answer(kind, f"{code} {body} {error}".strip())

    def tcp(self, host: str, port: int = 9001, at: object = None, timeout: float = timeouts.EXCHANGE) -> Answer:
        """Says `ping` to the application's server-first port; returns the outcome."""
        # It does not end its half before the answer: Istio's inspection of first octets takes that for the end.
        talk = 'exec 3<>"/dev/tcp/$0/$1" && echo ping >&3 && cat <&3'
        done = self.attempt(
            "timeout", f"{timeout:.0f}", "bash", "-c", talk, at or host, port, timeout=timeout + timeouts.EXEC
        )
        text = " ".join(done.stdout.split())
        if text:
            return Answer("served", text)
        if "connect:" in done.stderr:
            return Answer("unreachable", done.stderr.strip())
        # busybox' timeout ends by 143.
        return Answer("silent" if done.returncode in (124, 143) else "refused", done.stderr.strip())

    # ---- looking

    def admin(self, path: str, method: str = "GET") -> str:
        """Asks Envoy's admin interface."""
        return self.run(
            "curl", "-s", "-m", timeouts.ADMIN, "-X", method, f"localhost:15000/{path}", container="istio-proxy"
        )

    @staticmethod
    def label(value: str) -> str:
        """Returns a label's value as the chart's relabelling leaves it."""
        return re.sub(r"\W", "_", value)

    def metrics(self) -> list[tuple[str, dict[str, str], int]]:
        """Returns the filter's metrics as Prometheus has them by the chart's relabelling: (name, labels, value)."""
        return list(self.stage.relabelled(self.admin("stats/prometheus?filter=ssa_")))

    def installed(self, role: str) -> int:
        """Returns how many snapshots its VMs have taken."""
        return self.count(f"ssa_{role}_snapshots_total", outcome="installed")

    def shim(self, metric: str, **labels: str) -> int:
        """Returns the sum of one of the shim's metrics."""
        text = self.run("curl", "-s", "-m", timeouts.ADMIN, "localhost:9467/metrics", container="istio-proxy")
        found = 0.0
        for name, own, value in samples(text):
            if name == metric and all(own.get(label) == wanted for label, wanted in labels.items()):
                found += value
        return int(found)

    def has_filter(self, role: str) -> bool:
        """Whether some chain begins with the filter, and ECDS has delivered its module."""
        name = f"ssa-{role}.{self.stage.name}.ssa"
        return any(chain["filters"][0]["name"] == name for chain in self.chains()) and any(
            one["ecds_filter"]["name"] == name and one["ecds_filter"]["typed_config"]["@type"].endswith("wasm.v3.Wasm")
            for one in self._extensions()
        )

    def chains(self) -> Iterator[dict[str, Any]]:
        """Returns the filter chains of all listeners, each with its listener's name under `listener`."""
        for one in self._dump("dynamic_listeners"):
            listener = one.get("active_state", {}).get("listener", {})
            for chain in listener.get("filter_chains", []):
                yield {"listener": listener["name"], **chain}

    def updated(self) -> Any:
        """Returns when Envoy last received its filters by ECDS and the inbound listener."""
        filters = {one["ecds_filter"]["name"]: one["last_updated"] for one in self._extensions()}
        (inbound,) = (one for one in self._dump("dynamic_listeners") if one["name"] == "virtualInbound")
        return {**filters, "virtualInbound": inbound["active_state"]["last_updated"]}

    def _extensions(self) -> list[Any]:
        """Returns what ECDS has delivered. Asked for that alone, Envoy shows one kind of filters: those of requests."""
        told = json.loads(self.admin("config_dump")).get("configs", [])
        return [one for part in told for one in part.get("ecds_filters", [])]

    def _dump(self, resource: str) -> Any:
        # Where there is none Envoy says so in words.
        text = self.admin(f"config_dump?resource={resource}")
        return json.loads(text).get("configs", []) if text.startswith("{") else []

    def access_log(self) -> list[dict[str, Any]]:
        """Returns Istio's lines: the named groups of LINE; `failure` is that of TLS to the upstream."""
        found = (LINE.match(line) for line in self.logs().splitlines())
        return [match.groupdict() for match in found if match]

    def verdicts(self) -> list[dict[str, Any]]:
        """Returns the lines of the chart's inbound.accessLog: source, destination, port, and the filter's findings."""
        lines = []
        for line in self.logs().splitlines():
            if line.startswith('{"') and '"ssa"' in line:
                told = json.loads(line)
                state = dict(pair.split("=", 1) for pair in (told.pop("ssa") or "").split() if "=" in pair)
                destination, port = find(ADDRESS, told["destination"]).groups()
                source = find(ADDRESS, told["source"])[1]
                lines.append(
                    {**dict.fromkeys(("service", "verdict", "part", "outcome")), **told, **state}
                    | {"source": source, "destination": destination, "port": int(port)}
                )
        return lines

    def mark(self, log: str = "access_log") -> None:
        """Skips the current lines of a log: `access_log` or `verdicts`."""
        self.read_to[log] = len(getattr(self, log)())

    def logged(
        self, count: int = 1, log: str = "access_log", seconds: float = timeouts.SOON, **wanted: Any
    ) -> list[dict[str, Any]]:
        """Waits until a log has so many lines with these values since mark(), and returns them."""

        def new() -> list[dict[str, Any]] | None:
            lines = getattr(self, log)()[self.read_to.get(log, 0) :]
            lines = [line for line in lines if all(line[name] == value for name, value in wanted.items())]
            return lines if len(lines) >= count else None

        return self.stage.wait(seconds, f"{self.name} has {count} lines with {wanted} in its {log}", new)


def samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Reads what Prometheus scrapes: (name, labels, value)."""
    for line in text.splitlines():
        match = re.match(r"([a-z]\w*)(?:\{(.*)\})? (\S+)$", line)
        if match:
            yield match.group(1), dict(re.findall(r'(\w+)="([^"]*)"', match.group(2) or "")), float(match.group(3))
