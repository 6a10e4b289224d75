"""The stage of hack/demo.sh: hosts, DNS, sidecars, shims, and claims that are printed as they are counted.

    client 2001:db8:0:1::10 ──┐            ┌── server1 2001:db8:0:101::1
    rogue  2001:db8:0:2::66 ──┤            │
    legacy 2001:db8:0:3::1  ──┼── router ──┤
    dns    2001:db8:0:53::53 ─┘            └── server2 2001:db8:0:102::1  … up to server4

Servers answer for all addresses of all services (AnyIP); the router has a route for each slice, through a server's own
address: no address of a service is on any link.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib import net, timeouts
from lib.planned import Planned
from lib.resolver import NameServer
from shim import Shim
from sidecar import VMS, Sidecar, Standing
from telling import Teller
from traffic import CURL, Answers

if TYPE_CHECKING:
    from lib.net import Host
    from services import Service

# In memory, and seen in these namespaces alone.
WORK = Path("/run/ssa-demo")
DNS = "2001:db8:0:53::53"
# What changes in the DNS is to be seen soon.
TTL = 5
# What ends a curl that was refused: no answer, or a reset.
REFUSED = (52, 56)


class Demo(Teller):
    """The story does everything through this."""

    def __init__(self, tools: dict[str, Path]) -> None:
        super().__init__(tools, WORK)
        # The sidecar that stands for each host now.
        self.standing: dict[str, Sidecar] = {}
        self.shims: dict[str, Shim] = {}
        self.servers: list[Host] = []
        self.services: list[Service] = []
        self.read_to: Counter[str] = Counter()
        # Connections that last, of those that the client's sidecar has composed addresses for.
        self.lasting = 0
        self.plan: dict[Service, Planned] = {}

    # ---- doing

    def run(self, host: Host, *command: object) -> tuple[int, str]:
        """Runs a program on a host; returns its exit status and what it prints."""
        with host:
            words = [str(part) for part in command]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return done.returncode, done.stdout

    def ask_ssa(self, *arguments: object) -> Any:
        """Runs `ssa` on the client, and returns what it prints."""
        with self.client:
            return self.ssa.run(*arguments)

    # ---- the datacenter

    def lay_network(self, services: list[Service], servers: int) -> None:
        """Makes the hosts; there are no routes to the services yet."""
        self.services = services
        net.own_etc(self.work, DNS)
        self.client = self.net.client()
        self.rogue = self.net.host("rogue", "2001:db8:0:2::66")
        self.legacy = self.net.host("legacy", "2001:db8:0:3::1")
        for number in range(servers):
            self.add_server(number + 1)
        for service in services:
            self.net.route(service.plain_item, self.servers[0])

    def add_server(self, number: int) -> Host:
        """Adds a host with the application."""
        prefixes = [prefix for service in self.services for prefix in service.prefixes]
        host = self.net.server(number, prefixes)
        self.servers.append(host)
        self.application(host)
        return host

    def start_standing(self, *files: tuple[Host, str]) -> list[Sidecar]:
        """Starts Envoys and shims by files of envoy/ as they stand, in place of what hosts had: (host, file) each.

        Returns the Envoys, once they have their services from the shims.
        """
        self._take(*(Standing(self, host, file) for host, file in files))
        self.wait_informed(*(host for host, _ in files))
        return [self.standing[host.name] for host, _ in files]

    def start_sidecars(self, *hosts: Host) -> None:
        """Starts an Envoy on each host, replacing what it had; it learns its services once there is a shim."""
        self._take(
            *(Sidecar(self, host, "client.yaml" if host is self.client else "server.yaml", host.name) for host in hosts)
        )

    def _take(self, *sidecars: Sidecar) -> None:
        """Starts sidecars at once, and has them stand for their hosts."""
        self.standing.update({sidecar.host.name: sidecar for sidecar in sidecars})
        self.begin(*sidecars)

    def start_shims(self, *hosts: Host) -> None:
        """Starts a shim beside the sidecar of each host, and waits until the sidecars know their services."""
        for host in hosts:
            self.shims[host.name] = Shim(self, self.standing[host.name])
        self.wait_informed(*hosts)

    def wait_informed(self, *hosts: Host) -> None:
        """Waits until each VM of the sidecars of hosts has a snapshot."""
        for host in hosts:
            self.wait(timeouts.SOON, f"{host.name} has a snapshot", lambda: self.standing[host.name].installed() >= VMS)

    def spread(self, service: Service, servers: list[Host], bits: int = 4) -> Any:
        """Plans a service's slices over servers, moving as few as can be, and routes them so; returns the plan."""
        if service not in self.plan:
            self.plan[service] = Planned(self, service.name, f"2:{service.items[0]}", bits)
        plan = self.plan[service].wanted(servers)
        self.plan[service].lead(plan)
        return plan.told

    def server_of(self, service: Service, address: str | IPv6Address) -> str:
        """Returns which server the router leads an address to."""
        return self.plan[service].owner(address)

    # ---- what is published, mounted and configured

    def start_dns(self) -> None:
        """Starts it with the services' current records, and waits until it answers."""
        self.dns = NameServer(self, self.net.host("dns", DNS))
        self.publish()

    def resolve(self, service: Service) -> Any:
        """Returns what `ssa resolve` prints for a service on the client."""
        return self.ask_ssa("resolve", service.domain, "--timeout", 2)

    def publish(self, *services: Service) -> None:
        """Publishes the services' current records, and returns when all shims know those of these services."""
        self.dns.publish("".join(service.records(TTL) for service in self.services))
        for name, shim in self.shims.items():
            for service in services:
                self.wait(timeouts.SOON, f"the shim of {name} knows {service.domain}", lambda: shim.knows(service))

    def mount_keys(self) -> None:
        """Mounts the services' keys as they are now beside each shim."""
        for shim in self.shims.values():
            shim.mount()

    def configure(self, off: bool = False) -> None:
        """Updates the shims' configuration, and returns when each sidecar has the changes."""
        before = {name: self.standing[name].installed() for name in self.shims}
        changed = [name for name, shim in self.shims.items() if shim.configure(off)]
        for name in changed:
            installed = before[name] + VMS
            self.wait(timeouts.SOON, f"{name} has the snapshot", lambda: self.standing[name].installed() >= installed)

    def join_servers(self, *numbers: int) -> None:
        """Starts more servers, configured as the others are; they have no slices yet."""
        hosts = [self.add_server(number) for number in numbers]
        self.start_sidecars(*hosts)
        self.start_shims(*hosts)

    # ---- asking

    def ask(self, host: Host, service: Service, count: int) -> Answers:
        """Sends requests, each over a connection of its own; returns how many each server answered."""
        return Answers(
            self.run(host, *CURL, "--max-time", timeouts.MANY_EXCHANGES, f"{service.url}?[1-{count}]")[1].split()
        )

    def try_once(self, host: Host, url: str) -> str:
        """Returns the outcome of one request: served, refused, or curl's error."""
        status, _ = self.run(host, *CURL, "--max-time", timeouts.EXCHANGE, url)
        return "served" if status == 0 else "refused" if status in REFUSED else f"curl's error {status}"

    def compose(self, service: Service, source: str, rule: str | None = None, **inputs: Any) -> IPv6Address:
        """Returns the address that an application with this source composes itself."""
        published = {**service.published, "rules": [rule or service.rules[0]]}
        return self.ssa.compose(published, source, port=80, **inputs)[0]

    # ---- looking

    def inbound(self, service: Service, **labels: str) -> int:
        """Returns how many connections to a service all servers counted with these labels."""
        sidecars = [self.standing[server.name] for server in self.servers]
        return sum(sidecar.inbound(service=service.domain, **labels) for sidecar in sidecars)

    def conforming(self, service: Service) -> int:
        return self.inbound(service, verdict="conforming", outcome="allowed")

    def others(self, service: Service) -> int:
        """Returns how many connections to a service all servers found other than conforming, such as legacy ones. A
        plain address that is no service's counts for each service of its port, and is left out.
        """
        # By one look at each server: between two of them a connection may come.
        found = [one for server in self.servers for one in self.standing[server.name].metrics()]
        return sum(
            value
            for name, labels, value in found
            if name == "ssa_inbound_connections_total"
            and labels["ssa_service"] == service.domain
            and labels["ssa_verdict"] not in ("conforming", "outside")
        )

    def mark(self, host: Host) -> None:
        """Skips what the servers have logged of a host so far."""
        self.read_to[host.name] = len(self._lines_of(host))

    def logged(self, host: Host, count: int = 1) -> list[dict[str, Any]]:
        """Returns what the servers have logged of a host since the mark: so many lines at least, oldest first."""

        def new() -> list[dict[str, Any]] | None:
            lines = self._lines_of(host)[self.read_to[host.name] :]
            return lines if len(lines) >= count else None

        return self.wait(timeouts.SOON, f"the servers have logged {count} connections more of {host.name}", new)

    def _lines_of(self, host: Host) -> list[dict[str, Any]]:
        lines = [
            {**line, "on": server.name} for server in self.servers for line in self.standing[server.name].access_log()
        ]
        return sorted((line for line in lines if host.address in line["source"]), key=lambda line: line["time"])

    def composed(self, service: Service, since: int = 0) -> list[dict[str, Any]]:
        """Returns the client's connections to a service that its sidecar composed addresses for, from a line on."""
        sidecar = self.standing["client"]
        # Connections that last are logged when they end.
        counted = sidecar.outbound(outcome="composed") - self.lasting
        lines = self.wait(timeouts.SOON, "the client's access log is whole", lambda: sidecar.composed(counted))
        return [line for line in lines if line["service"] == service.domain][since:]

    def peers(self, service: Service) -> list[str]:
        """Returns the addresses of a service that the client's sidecar has connections to, one for each."""
        found = re.findall(r"\[([^\]]*)\]:80\s*$", self.client.run("ss -Htn state established"), re.MULTILINE)
        return [address for address in found if IPv6Address(address) in IPv6Network(service.items[0])]
