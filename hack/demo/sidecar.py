"""An Envoy on a host: its life, its metrics and its access log."""

import http.client
import json
import re
import shutil
import socket
from ipaddress import IPv6Address
from pathlib import Path

ENVOYS = Path(__file__).resolve().parent.parent.parent / "envoy"
WORKERS = 2
# The VMs of an Envoy that fetch snapshots: one of each worker, and one of the main thread.
VMS = WORKERS + 1


class Sidecar:
    """An Envoy on a host, by a file of envoy/ as it stands."""

    def __init__(self, demo, host):
        self.demo = demo
        self.host = host
        self.kind = "client" if host.name == "client" else "server"
        self.role = {"client": "outbound", "server": "inbound"}[self.kind]
        self.folder = demo.work / host.name
        self.folder.mkdir()
        (self.folder / "ssa_filter.wasm").symlink_to(demo.module)
        self.process = None

    def start(self, file):
        """Starts it by another file."""
        shutil.copy(ENVOYS / file, self.folder)
        command = [self.demo.envoy, "-c", file, "--concurrency", str(WORKERS), "--disable-hot-restart"]
        command += ["--file-flush-interval-msec", "50", "--log-level", "warning"]
        self.process = self.demo.start(self.host, f"{self.host.name}/envoy", command, cwd=self.folder)

    def wait_ready(self):
        self.demo.wait(60, f"the Envoy of {self.host.name} is ready", lambda: self.admin("ready") == "LIVE\n")

    def stop(self):
        """Ends it, and forgets what it logged."""
        self.demo.stop(self.process)
        for log in self.folder.glob("*.log"):
            log.unlink()

    def admin(self, path):
        """Asks the admin interface; empty when it does not answer."""
        connection = http.client.HTTPConnection("admin", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.sock.settimeout(10)
            connection.sock.connect(str(self.folder / "admin.sock"))
            connection.request("GET", f"/{path}")
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()

    def stat(self, name):
        """Returns the sum of Envoy's own counters whose name is this regular expression."""
        found = re.findall(r": (\d+)$", self.admin(f"stats?filter=^{name}$"), re.MULTILINE)
        return sum(map(int, found))

    def metrics(self):
        """Returns the filter's metrics as Prometheus sees them, line by line."""
        return [line for line in self.admin("stats/prometheus?filter=ssa_").splitlines() if line.startswith("ssa_")]

    def count(self, metric, **labels):
        """Returns the sum of ssa_ROLE_METRIC over what has these labels; `verdict` stands for ssa_verdict."""
        wanted = [f'ssa_{label}="{value}"' for label, value in labels.items()]
        lines = (line for line in self.metrics() if re.match(rf"ssa_{self.role}_{metric}\b", line))
        return sum(int(line.split()[-1]) for line in lines if all(label in line for label in wanted))

    def log(self, name="access.log"):
        """Returns the lines of an access log, each with what the filter found of the connection."""
        path = self.folder / name
        whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
        lines = []
        for text in whole.splitlines():
            found = json.loads(text)
            state = dict(pair.split("=", 1) for pair in (found["ssa"] or "").split())
            lines.append({"part": "-", **found, **state, "text": text, "on": self.host.name})
        return lines

    def composed(self, count, name="access.log"):
        """Returns the lines of connections that it composed addresses for, once there are so many."""
        lines = [line for line in self.log(name) if line.get("outcome") == "composed"]
        return lines if len(lines) >= count else None

    def installed(self):
        """Returns how many snapshots its VMs have installed."""
        return self.count("snapshots_total", outcome="installed")


def address_of(line):
    """Returns the address that a line of the client's access log says was connected to."""
    return line["destination"].rpartition(":")[0].strip("[]")


def places(addresses):
    """Returns the /84s that addresses are in: what a field of 20 bits after a /64 makes of its inputs."""
    return {int(IPv6Address(address)) >> 44 for address in addresses}
