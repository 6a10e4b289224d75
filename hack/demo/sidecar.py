"""An Envoy on a host, with an unchanged file of envoy/."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any

from lib import envoy
from lib.stage import Program

if TYPE_CHECKING:
    from lib.net import Host
    from stage import Demo

WORKERS = 2
# The VMs of an Envoy that fetch snapshots: one of each worker, and one of the main thread.
VMS = WORKERS + 1
ROLES = {
    "client.yaml": ["outbound"],
    "client-http.yaml": ["outbound"],
    "server.yaml": ["inbound"],
    "both.yaml": ["inbound", "outbound"],
}


class Sidecar(envoy.Sidecar):
    """An Envoy with the filter; its metrics are those of its first role."""

    def __init__(self, demo: Demo, host: Host, file: str, folder: str) -> None:
        super().__init__(demo, host, file, None, concurrency=WORKERS, folder=folder)
        self.roles = ROLES[file]
        self.role = self.roles[0]

    def total(self, metric: str, **labels: str) -> int:
        """Returns the sum of ssa_ROLE_METRIC over what has these labels; `verdict` stands for ssa_verdict."""
        return self.count(f"ssa_{self.role}_{metric}", **labels)

    def installed(self) -> int:
        """Returns how many snapshots its VMs have installed, of the role with the fewest."""
        return min(self.count(f"ssa_{role}_snapshots_total", outcome="installed") for role in self.roles)

    def composed(self, count: int, log: str = "access.log") -> list[dict[str, Any]] | None:
        """Returns the lines of connections that it composed addresses for, once there are so many."""
        lines = [line for line in self.access_log(log) if line["outcome"] == "composed"]
        return lines if len(lines) >= count else None


class Standing(Sidecar):
    """An Envoy and the shim beside it, both with unchanged files of envoy/."""

    shim: Program

    def __init__(self, demo: Demo, host: Host, file: str) -> None:
        super().__init__(demo, host, file, f"{host.name}-{file.removesuffix('.yaml')}")

    def start(self, epoch: int | None = None) -> Program:
        example = self.stage.tools["root"] / "envoy/resolver.json"
        command = [self.stage.tools["resolver"], "--config", example, "--socket", self.folder / "resolver.sock"]
        self.shim = self.stage.start(self.host, f"{self.folder.name}/resolver", command)
        return super().start(epoch)

    def stop(self) -> int:
        self.stage.stop(self.shim)
        return super().stop()


def places(addresses: Iterable[IPv6Address]) -> set[int]:
    """Returns the /84s that addresses are in: what a field of 20 bits after a /64 makes of its inputs."""
    return {int(address) >> 44 for address in addresses}
