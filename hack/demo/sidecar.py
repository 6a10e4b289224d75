"""An Envoy on a host, by a file of envoy/ as it stands."""

from lib import envoy

WORKERS = 2
# The VMs of an Envoy that fetch snapshots: one of each worker, and one of the main thread.
VMS = WORKERS + 1


class Sidecar(envoy.Sidecar):
    """An Envoy with the filter; where it is both a client's and a server's, it counts as a server's."""

    def __init__(self, demo, host, file, folder):
        super().__init__(demo, host, file, None, concurrency=WORKERS, folder=folder)
        self.role = "outbound" if file.startswith("client") else "inbound"

    def total(self, metric, **labels):
        """Returns the sum of ssa_ROLE_METRIC over what has these labels; `verdict` stands for ssa_verdict."""
        return self.count(f"ssa_{self.role}_{metric}", **labels)

    def installed(self):
        """Returns how many snapshots its VMs have installed."""
        return self.total("snapshots_total", outcome="installed")

    def composed(self, count, log="access.log"):
        """Returns the lines of connections that it composed addresses for, once there are so many."""
        lines = [line for line in self.access_log(log) if line["outcome"] == "composed"]
        return lines if len(lines) >= count else None


def places(addresses):
    """Returns the /84s that addresses are in: what a field of 20 bits after a /64 makes of its inputs."""
    return {int(address) >> 44 for address in addresses}
