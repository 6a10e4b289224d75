"""A pod of the cluster: what it runs, dials, counts and logs."""

import json
import re

from . import timeouts
from .claims import Answer, Broken, find
from .metered import Metered

# Istio's access log, from the upstream's address on; the same for HTTP and TCP.
LINE = re.compile(
    r'^\[\S+\] "(?P<request>[^"]*)" (?P<code>\d+) (?P<flags>\S+) .*? "(?P<failure>[^"]*)" .*'
    r'"(?P<upstream>[^"]*)" (?P<cluster>\S+) \S+ \[(?P<destination>[0-9a-f:]+)\]:(?P<port>\d+) '
    r"\[(?P<source>[0-9a-f:]+)\]:\d+ \S+ \S+$"
)
# What the chart's inbound.accessLog has for addresses.
ADDRESS = re.compile(r"\[([0-9a-f:]+)\]:(\d+)")


class Pod(Metered):
    """One pod; `name`, `address` and `node` are as Kubernetes tells."""

    def __init__(self, stage, told):
        """`told` is Kubernetes' object."""
        self.stage = stage
        self.name = told["metadata"]["name"]
        self.node = told["spec"]["nodeName"]
        self.uid = told["metadata"]["uid"]
        self.address = next(one["ip"] for one in told["status"]["podIPs"] if ":" in one["ip"])
        volumes = {one["name"]: one for one in told["spec"]["volumes"]}
        # The ConfigMap that its shim reads, if it has one.
        self.resolver = volumes.get("ssa-config", {}).get("configMap", {}).get("name")
        self.read_to = {}

    def __repr__(self):
        return self.name

    # ---- running

    def attempt(self, *command, container="app", reads=None, timeout=timeouts.IN_POD):
        """Runs a command in a container, and returns its returncode, stdout and stderr."""
        arguments = ["exec", *(["-i"] if reads is not None else []), self.name, "-c", container, "--", *command]
        return self.stage.attempt(*arguments, reads=reads, timeout=timeout)

    def run(self, *command, **options):
        """Runs a command, which must succeed, and returns its output."""
        done = self.attempt(*command, **options)
        if done.returncode != 0:
            words = " ".join(map(str, command))
            raise Broken(f"{self.name}: {words} exited with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def logs(self, container="istio-proxy"):
        """Returns the log of a container."""
        return self.stage.kubectl("logs", self.name, "-c", container)

    def now(self):
        """Returns Kubernetes' object as it is now."""
        return json.loads(self.stage.kubectl("get", "pod", self.name, "-o", "json"))

    def is_ready(self):
        """Whether it is ready."""
        conditions = self.now()["status"].get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def restarts(self, container=None):
        """Returns how often a container was started again, or all of them together."""
        status = self.now()["status"]
        states = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
        return sum(one["restartCount"] for one in states if container in (None, one["name"]))

    # ---- dialling

    def http(self, host, port=8080, at=None, path="/", timeout=10, headers=(), flags=()):
        """Asks by HTTP over a connection of its own; `at` is the address to dial in place of what the name gives."""
        command = ["curl", "-s", "-m", timeout, "-w", "\n%{http_code}\n%{errormsg}", *flags]
        if at:
            command += ["--resolve", f"{host}:{port}:[{at}]"]
        for header in headers:
            command += ["-H", header]
        host = f"[{host}]" if ":" in str(host) else host
        done = self.attempt(*command, f"http://{host}:{port}{path}", timeout=timeout + 20)
        body, code, error = ["", "", *done.stdout.rsplit("\n", 2)][-3:]
        if done.returncode == 0 and code == "200":
            return Answer("served", body.strip())
        kind = {7: "unreachable", 28: "silent"}.get(done.returncode, "refused")
        return Answer(kind, f"{code} {body} {error}".strip())

    def tcp(self, host, port=9001, at=None, timeout=10):
        """Says `ping` to the application's port that speaks first; returns what came."""
        # It does not end its half before the answer: Istio's inspection of first octets takes that for the end.
        talk = 'exec 3<>"/dev/tcp/$0/$1" && echo ping >&3 && cat <&3'
        done = self.attempt("timeout", timeout, "bash", "-c", talk, at or host, port, timeout=timeout + 20)
        text = " ".join(done.stdout.split())
        if text:
            return Answer("served", text)
        if "connect:" in done.stderr:
            return Answer("unreachable", done.stderr.strip())
        # busybox' timeout ends by 143.
        return Answer("silent" if done.returncode in (124, 143) else "refused", done.stderr.strip())

    # ---- looking

    def admin(self, path, method="GET"):
        """Asks Envoy's admin interface."""
        return self.run("curl", "-s", "-m", 10, "-X", method, f"localhost:15000/{path}", container="istio-proxy")

    @staticmethod
    def label(value):
        """Returns a label's value as the chart's relabelling leaves it."""
        return re.sub(r"\W", "_", value)

    def metrics(self):
        """Returns the filter's metrics as Prometheus has them by the chart's relabelling: (name, labels, value)."""
        return list(self.stage.relabelled(self.admin("stats/prometheus?filter=ssa_")))

    def installed(self, role):
        """Returns how many snapshots its VMs have taken."""
        return self.count(f"ssa_{role}_snapshots_total", outcome="installed")

    def shim(self, metric, **labels):
        """Returns the sum of one of the shim's metrics."""
        text = self.run("curl", "-s", "-m", 10, "localhost:9467/metrics", container="istio-proxy")
        found = 0
        for name, own, value in samples(text):
            if name == metric and all(own.get(label) == wanted for label, wanted in labels.items()):
                found += value
        return found

    def has_filter(self, role):
        """Tells whether some chain begins with the filter, and ECDS brought its module."""
        name = f"ssa-{role}.{self.stage.name}.ssa"
        return any(chain["filters"][0]["name"] == name for chain in self.chains()) and any(
            one["ecds_filter"]["name"] == name and one["ecds_filter"]["typed_config"]["@type"].endswith("wasm.v3.Wasm")
            for one in self._dump("ecds_filters")
        )

    def chains(self):
        """Returns the filter chains of all listeners, each with its listener's name under `listener`."""
        for one in self._dump("dynamic_listeners"):
            listener = one.get("active_state", {}).get("listener", {})
            for chain in listener.get("filter_chains", []):
                yield {"listener": listener["name"], **chain}

    def updated(self):
        """Returns when Envoy was last given its filters by ECDS and the listener of all that comes in."""
        filters = {one["ecds_filter"]["name"]: one["last_updated"] for one in self._dump("ecds_filters")}
        (inbound,) = (one for one in self._dump("dynamic_listeners") if one["name"] == "virtualInbound")
        return {**filters, "virtualInbound": inbound["active_state"]["last_updated"]}

    def _dump(self, resource):
        # Where there is none Envoy says so in words.
        text = self.admin(f"config_dump?resource={resource}")
        return json.loads(text).get("configs", []) if text.startswith("{") else []

    def access_log(self):
        """Returns Istio's lines: the named groups of LINE; `failure` is that of TLS to the upstream."""
        found = (LINE.match(line) for line in self.logs().splitlines())
        return [match.groupdict() for match in found if match]

    def verdicts(self):
        """Returns the lines of the chart's inbound.accessLog: source, destination, port, and what the filter found."""
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

    def mark(self, log="access_log"):
        """Skips the current lines of a log: `access_log` or `verdicts`."""
        self.read_to[log] = len(getattr(self, log)())

    def logged(self, count=1, log="access_log", seconds=timeouts.SOON, **wanted):
        """Waits until a log has so many lines with these values since mark(), and returns them."""

        def new():
            lines = getattr(self, log)()[self.read_to.get(log, 0) :]
            lines = [line for line in lines if all(line[name] == value for name, value in wanted.items())]
            return lines if len(lines) >= count else None

        return self.stage.wait(seconds, f"{self.name} has {count} lines with {wanted} in its {log}", new)


def samples(text):
    """Reads what Prometheus scrapes: (name, labels, value)."""
    for line in text.splitlines():
        match = re.match(r"([a-z]\w*)(?:\{(.*)\})? (\S+)$", line)
        if match:
            yield match.group(1), dict(re.findall(r'(\w+)="([^"]*)"', match.group(2) or "")), float(match.group(3))
