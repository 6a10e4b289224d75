"""What moving slices costs, and what a user of Envoy's load balancers gets: measure.py ENVOY SSA CLUSTER.

Runs in namespaces that end with it; prints tables. It measures, and claims nothing but that it could.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import statistics
import sys
import time
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from lib import net, timeouts
from lib.fleet import Fleet, owner_of
from lib.stage import ROOT, Stage

if TYPE_CHECKING:
    from lib.net import Host
    from lib.stage import Program

WORK = Path("/run/ssa-bench")
PROBE = ["--probe", "tcp:[::1]:80"]
# How long the idle cluster is watched, in seconds.
IDLE = 30
KEYS, CONNECTIONS = 4000, 200
POLICIES = {"MAGLEV": "Maglev", "RING_HASH": "ring hash"}


def say(text: str) -> None:
    print(text, flush=True)


def endpoints(stage: Stage, count: int) -> list[Host]:
    """Makes hosts with servers, which the router follows."""
    hosts = [stage.net.host(f"e{number}", f"2001:db8:0:{100 + number}::1") for number in range(1, count + 1)]
    for host in hosts:
        stage.application(host, "::", 80)
    stage.follow(*hosts)
    return hosts


def idle(stage: Stage, what: str, programs: dict[str, Program]) -> None:
    """Measures what programs cost while nothing moves."""
    before = {name: program.cpu_seconds() for name, program in programs.items()}
    began = time.monotonic()
    stage.wait(2 * IDLE, "nothing happens for a while", lambda: time.monotonic() >= began + IDLE, pause=1)
    elapsed = time.monotonic() - began
    cpu = [100 * (program.cpu_seconds() - before[name]) / elapsed for name, program in programs.items()]
    memory = [program.resident_kb() / 1000 for program in programs.values()]
    say(
        f"| {what} | {len(programs)} | {statistics.median(cpu):.2f} %, {max(cpu):.2f} % at most "
        f"| {statistics.median(memory):.1f} MB, {max(memory):.1f} at most |"
    )


def slices(stage: Stage) -> None:
    """Sixteen endpoints at rest, then from 4 to 5 with connections that stay."""
    hosts = endpoints(stage, 16)
    fleet = Fleet(stage, "web", "2001:db8:5:1::/64", bits=8, handover={"drainSeconds": 600, "parallel": 64})
    fleet.join(*hosts[:4], flags={host.name: PROBE for host in hosts})
    for number in (1, 2):
        fleet.lead(f"controller-{number}", stage.net.router)
    names = [host.name for host in hosts]
    fleet.settled(names[:4])
    client = stage.net.stranger("client", "2001:db8:0:1::10")
    before = fleet.owners()
    space = list(fleet.item.subnets(8))
    addresses = [space[number * 37 % 256][number + 1] for number in range(CONNECTIONS)]
    stays = stage.load(client, destinations=addresses, count=CONNECTIONS, hold=True)
    stays.settled()
    fleet.join(hosts[4], flags={"e5": PROBE})
    fleet.spread(names[:5])
    after = fleet.takers()
    moved = sum(owner_of(before, prefix[0]) != owner_of(after, prefix[0]) for prefix in space)
    row("slices", moved / len(space), CONNECTIONS - stays.check(), "none")
    stays.end()
    fleet.settled(names[:5])
    fleet.join(*hosts[5:], flags={host.name: PROBE for host in hosts})
    fleet.settled(names, timeouts.LASTING)
    say("")
    say("| at rest, 16 endpoints | programs | CPU of a core | resident |")
    say("| --- | --- | --- | --- |")
    idle(stage, "agent, a probe every 50 ms", {name: fleet.agents[name] for name in names})
    leader = fleet.leader()
    idle(stage, "controller that leads", {leader: fleet.controllers[leader]})
    idle(stage, "controller that waits", {name: one for name, one in fleet.controllers.items() if name != leader})


def row(what: str, moved: float | None, reset: int, hop: str) -> None:
    """Prints a row; `moved` is absent where nothing has."""
    share = "" if moved is None else f"{100 * moved:.1f} %"
    say(f"| {what} | {share} | {reset} of {CONNECTIONS} | {hop} |")


class Balancer:
    """An Envoy with one policy."""

    def __init__(self, stage: Stage, host: Host, policy: str) -> None:
        self.stage = stage
        self.host = host
        self.folder = stage.work / policy.lower()
        self.folder.mkdir()
        self.set_endpoints(4)
        text = (ROOT / "bench/cluster/envoy.yaml").read_text()
        for name, value in {"POLICY": policy, "REQUESTS": 8000, "CONNECTIONS": 8001, "FOLDER": self.folder}.items():
            text = text.replace(name, str(value))
        (self.folder / "envoy.yaml").write_text(text)
        self.process = self.start()
        self.members(4)

    def start(self) -> Program:
        """Starts Envoy."""
        command = [self.stage.tools["envoy"], "-c", "envoy.yaml", "--concurrency", 1, "--disable-hot-restart"]
        process = self.stage.start(
            self.host, f"{self.folder.name}/output", [*command, "-l", "warning"], cwd=self.folder
        )
        self.stage.wait(timeouts.STARTED, "Envoy listens", lambda: self.host.listens("*", 8001))
        return process

    def restart(self) -> None:
        """Puts another proxy of the same tier in its place, as when ECMP leads elsewhere: it knows no connection."""
        self.stage.stop(self.process)
        self.process = self.start()

    def set_endpoints(self, count: int) -> None:
        """Tells Envoy its endpoints by EDS."""
        hosts = [
            {"endpoint": {"address": {"socket_address": {"address": "::1", "port_value": 9000 + number}}}}
            for number in range(1, count + 1)
        ]
        assignment = {
            "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": "application",
            "endpoints": [{"lb_endpoints": hosts}],
        }
        new = self.folder / "new"
        new.write_text(json.dumps({"resources": [assignment]}))
        os.replace(new, self.folder / "eds.json")

    def members(self, count: int) -> None:
        """Waits until Envoy has so many endpoints."""

        def there() -> bool:
            told = self.ask(9901, "/stats?filter=cluster.application.membership_total", {})
            return told.strip().endswith(f": {count}")

        self.stage.wait(timeouts.SOON, f"Envoy has {count} endpoints", there)

    def ask(self, port: int, path: str, headers: dict[str, str]) -> str:
        """Sends one request."""
        with self.host:
            connection = http.client.HTTPConnection("::1", port, timeout=timeouts.ADMIN)
            connection.connect()
        connection.request("GET", path, headers=headers)
        return connection.getresponse().read().decode()

    def served(self) -> list[str]:
        """Returns who answers each key."""
        with self.host:
            connection = http.client.HTTPConnection("::1", 8000, timeout=timeouts.ADMIN)
            connection.connect()
        found = []
        for key in range(KEYS):
            connection.request("GET", "/", headers={"x-key": f"key-{key}"})
            found.append(connection.getresponse().read().decode().strip())
        return found

    def hold(self) -> list[socket.socket]:
        """Opens connections, each from an address of its own."""
        opened = []
        for number in range(CONNECTIONS):
            with self.host:
                one = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            one.settimeout(timeouts.EXCHANGE)
            one.bind((str(IPv6Address("2001:db8:7::1") + number), 0))
            one.connect(("::1", 8001))
            opened.append(one)
        return opened


def alive(connections: list[socket.socket]) -> int:
    """Counts those that echo."""
    count = 0
    for one in connections:
        try:
            one.sendall(b"still\n")
            count += one.recv(100) == b"still\n"
        except OSError:
            pass
    return count


def balancers(stage: Stage) -> None:
    """Envoy's consistent hashing, from 4 to 5 endpoints by EDS."""
    for policy, name in POLICIES.items():
        host = stage.net.stranger(f"lb-{policy.lower().replace('_', '-')}", f"2001:db8:0:{len(stage.net.hosts) + 2}::1")
        host.ip("route add local 2001:db8:7::/64 dev lo")
        host.sysctl(ipv6__ip_nonlocal_bind=1)
        for number in range(1, 6):
            stage.application(host, "::1", 9000 + number, f"{policy.lower()}-{number}")
        balancer = Balancer(stage, host, policy)
        before, held = balancer.served(), balancer.hold()
        assert alive(held) == CONNECTIONS
        balancer.set_endpoints(5)
        balancer.members(5)
        after = balancer.served()
        moved = sum(old != new for old, new in zip(before, after, strict=True))
        row(f"Envoy, {name}, EDS", moved / KEYS, CONNECTIONS - alive(held), "a proxy in between")
        balancer.restart()
        row(f"Envoy, {name}, another proxy takes over", None, CONNECTIONS - alive(held), "a proxy in between")
        stage.stop(balancer.process)


def main() -> None:
    os.umask(0o077)
    net.raise_file_limit()
    net.keep_to_memory()
    WORK.mkdir()
    envoy, ssa, cluster = map(Path, sys.argv[1:])
    stage = Stage({"root": ROOT, "envoy": envoy, "ssa": ssa, "cluster": cluster}, WORK)
    say("| 4 → 5 endpoints | keys that moved (20 % is the fewest) | connections reset | for each packet |")
    say("| --- | --- | --- | --- |")
    balancers(stage)
    slices(stage)


if __name__ == "__main__":
    main()
