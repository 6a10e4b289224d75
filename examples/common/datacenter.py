"""What examples stand on: a service in the DNS, endpoints with its application, clients, and a sidecar beside each.

    client  2001:db8:0:1::10 ──┐            ┌── server1 2001:db8:0:101::1 ── its slices
    …                          ├── router ──┤
    dns     2001:db8:0:53::53 ─┘            └── server2 2001:db8:0:102::1 ── its slices

Each host is a network namespace with an Envoy and a resolver shim, which asks the DNS what the service publishes. The
router leads each slice to an endpoint; nobody else knows where slices are.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib import net, timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.planned import Plan, Planned
from lib.resolver import ZONE, NameServer, Shim, configured
from lib.stage import Program

if TYPE_CHECKING:
    from lib.net import Host
    from lib.stage import Stage

DNS = "2001:db8:0:53::53"
# A sidecar's VMs that fetch snapshots: of each worker, and of the main thread.
WORKERS = 1
VMS = WORKERS + 1
# The application of an endpoint, behind its sidecar.
PORT = 8080


class Endpoint:
    """A host of the service: its application, its sidecar, and a folder for what it keeps."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self.name = host.name
        self.folder = folder
        self.application: Program | None = None
        self.sidecar: Sidecar | None = None
        self.local: set[IPv6Network] = set()


class Datacenter:
    """A service with endpoints and clients."""

    def __init__(
        self, stage: Stage, files: Files, start: Callable[[Stage, Endpoint], Program], port: int | None = None
    ) -> None:
        """`files` are those of the example: `zone` has the service, `client.json` and `endpoint.json` the plugin
        configurations, and `endpoint-outbound.json`, if there is one, that of endpoints as clients of each other.
        `start` starts the application of an endpoint, which listens at [::1]:8080. `port` is the service's, if not 80.
        """
        self.stage, self.files, self.start_application = stage, files, start
        (self.service,) = files.published().values()
        self.service.ports = [port] if port else self.service.ports
        self.domain = f"{self.service.name}.{ZONE}"
        self.width = first_width(self.service.rules[0])
        item = f"2:{self.service.items[0]}"
        self.slices = Planned(stage, self.service.name, item, self.width, self.service.rules)
        self.endpoints: dict[str, Endpoint] = {}
        self.clients: dict[str, Sidecar] = {}
        net.own_etc(stage.work, DNS)
        dns = NameServer(stage, stage.net.host("dns", DNS))
        dns.publish(files.text("zone"))

    # ---- hosts

    def join(self, *numbers: int) -> list[Endpoint]:
        """Adds endpoints `serverN`, which have no slices yet."""
        joined = []
        for number in numbers:
            host = self.stage.net.server(number, [])
            host.capture("OUTPUT -p tcp -o lo ! -d ::1 -m mark --mark 1337 -j REDIRECT --to-ports 15006")
            if self._both:
                self.stage.net.capture_outbound(host)
            folder = self.stage.work / f"{host.name}-data"
            folder.mkdir()
            endpoint = Endpoint(host, folder)
            self.endpoints[host.name] = endpoint
            joined.append(endpoint)
            endpoint.application = self.start_application(self.stage, endpoint)
        for endpoint in joined:
            self.stage.wait(
                timeouts.SOON, f"the application of {endpoint.name} listens", lambda: self._listens(endpoint)
            )
        self._sidecars([endpoint.host for endpoint in joined])
        return joined

    def _listens(self, endpoint: Endpoint) -> bool:
        return endpoint.host.listens("::1", PORT)

    def client(self, *names: str) -> list[Host]:
        """Adds clients, each with a sidecar."""
        first = len(self.clients)
        numbers = [1, *range(3, 50)]
        addresses = [f"2001:db8:0:{numbers[first + place]:x}::10" for place in range(len(names))]
        hosts = [self.stage.net.client(*one) for one in zip(names, addresses, strict=True)]
        self._sidecars(hosts)
        return hosts

    def _sidecars(self, hosts: list[Host]) -> None:
        made = [self._sidecar(host) for host in hosts]
        self.stage.begin(*made)
        for host, sidecar in zip(hosts, made, strict=True):
            Shim(self.stage, host, configured([self._entry(host)], [DNS]), sidecar.folder / "resolver.sock")
            if host.name in self.endpoints:
                self.endpoints[host.name].sidecar = sidecar
            else:
                self.clients[host.name] = sidecar
        for host, sidecar in zip(hosts, made, strict=True):
            for role in self._roles(host):
                self.stage.wait(
                    timeouts.STARTED, f"the sidecar of {host.name} knows the service", lambda: informed(sidecar, role)
                )

    def _roles(self, host: Host) -> list[str]:
        if host.name not in self.endpoints:
            return ["outbound"]
        return ["inbound", "outbound"] if self._both else ["inbound"]

    @property
    def _both(self) -> bool:
        return (self.files.folder / "endpoint-outbound.json").exists()

    def _sidecar(self, host: Host) -> Sidecar:
        options: dict[str, Any] = {"concurrency": WORKERS, "folder": f"{host.name}-sidecar"}
        if host.name not in self.endpoints:
            client = {**self.files.json("client.json"), "source": host.address, "seed": host.name}
            return Sidecar(self.stage, host, "client-requests.yaml", client, **options)
        inbound = self.files.json("endpoint.json")
        if not self._both:
            return Sidecar(self.stage, host, "server-http.yaml", inbound, **options)
        outbound = {**self.files.json("endpoint-outbound.json"), "source": host.address, "seed": host.name}
        return Sidecar(self.stage, host, "both-requests.yaml", [inbound, outbound], **options)

    def _entry(self, host: Host) -> dict[str, Any]:
        roles = {role: {"ports": self.service.ports} for role in self._roles(host)}
        return {"name": self.domain, "allowed": self.service.prefixes, **roles}

    def kill(self, *names: str) -> None:
        """Kills endpoints: whoever asks one is refused by its host."""
        for name in names:
            endpoint = self.endpoints.pop(name)
            assert endpoint.sidecar and endpoint.application, "it runs"
            for process in (endpoint.sidecar.process, endpoint.application):
                self.stage.stop(process, signal.SIGKILL)

    # ---- slices

    def plan(self, *names: str) -> Plan:
        """Plans the slices over these endpoints, or over all that there are."""
        return self.slices.wanted([self.endpoints[name].host for name in names or self.endpoints])

    def plan_as(self, shares: dict[str, list[str]]) -> Plan:
        """Plans these slices for each endpoint, by their names."""
        length = IPv6Network(self.service.items[0]).prefixlen + self.width
        prefixes = {name: [f"{self.address(one)}/{length}" for one in slices] for name, slices in shares.items()}
        return self.slices.given([self.endpoints[name].host for name in shares], prefixes)

    def lead(self, plan: Plan) -> None:
        """Has the router lead each slice to its endpoint, and endpoints take what is theirs."""
        wanted = {name: set(plan.prefixes(name)) for name in self.endpoints}
        for name, endpoint in self.endpoints.items():
            self._local(endpoint, "add", wanted[name] - endpoint.local)
        self.slices.lead(plan)
        for name, endpoint in self.endpoints.items():
            gone = endpoint.local - wanted[name]
            self._local(endpoint, "del", gone)
            if gone:
                # Connections of a host to itself would go on: what is redirected follows no route.
                endpoint.host.run(f"ss -K -Htn dst {' or dst '.join(map(str, sorted(gone)))}")
            endpoint.local = wanted[name]
        first = next(iter(self.endpoints.values()))
        self.stage.net.route(self.service.plain_item, first.host)
        first.host.ip(f"route replace local {self.service.plain_item} dev lo")

    def _local(self, endpoint: Endpoint, what: str, prefixes: set[IPv6Network]) -> None:
        if prefixes:
            endpoint.host.ip(*(f"route {what} local {prefix} dev lo" for prefix in sorted(prefixes)))

    def moves(self, plan: Plan) -> list[tuple[str, str, str]]:
        """Returns the slices that a plan moves: each one's name as in the header ssa-slice, from where, to where."""
        names = [f"{number:0{(self.width + 3) // 4}x}" for number in range(1 << self.width)]
        owners = [(name, self.slices.owner(self.address(name)), plan.owner(self.address(name))) for name in names]
        return [(name, old, new) for name, old, new in owners if old != new]

    def address(self, slice_: str) -> IPv6Address:
        """Returns the first address of a slice, by its name."""
        item = IPv6Network(self.service.items[0])
        return IPv6Address(int(item.network_address) + (int(slice_, 16) << (128 - item.prefixlen - self.width)))

    # ---- looking

    def owners(self, client: Host, name: str, **inputs: Any) -> list[str]:
        """Returns which endpoints have the replicas of an object, as the command composes their addresses."""
        flags = {"object": name, "replica": "all", **inputs}
        addresses = self.stage.ssa.compose(self.service.published, client.address, **flags)
        return [self.slices.owner(address) for address in addresses]

    def misdirected(self) -> int:
        """Returns how many requests the endpoints have refused because they were for another one."""
        sidecars = [one.sidecar for one in self.endpoints.values() if one.sidecar]
        return sum(one.count("ssa_inbound_requests_total", outcome="denied") for one in sidecars)

    def composed(self) -> int:
        """Returns how many requests the clients' sidecars have sent to the address of what they ask for."""
        return sum(one.count("ssa_outbound_requests_total", outcome="composed") for one in self.clients.values())

    def requests(self, name: str) -> int:
        """Returns how many requests an endpoint was sent."""
        sidecar = self.endpoints[name].sidecar
        return sidecar.count("ssa_inbound_requests_total") if sidecar else 0


def informed(sidecar: Sidecar, role: str) -> bool:
    """Whether each VM of a sidecar has a snapshot for a role."""
    return sidecar.count(f"ssa_{role}_snapshots_total", outcome="installed") >= VMS


def first_width(rule: str) -> int:
    """Returns the width of a template's first field, in bits."""
    return int(rule.partition("addr=")[2].partition(";")[0].split()[0].rpartition(":")[2])
