"""An owner that is cut off, and does not know: whether two endpoints accept new connections to one address at once.

client              two addresses: by one the router leads to whom endpoints announce, by the other always to the owner
                    that is cut off, as a router would that has not heard of anything
server1 … server3   agents with heartbeats, BIRD without BFD, an application
etcd                the store; router: BIRD without BFD, a controller
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from ipaddress import IPv6Network
from pathlib import Path

from . import etcd, timeouts
from .away import LOST_AFTER, PORT
from .bird import Birds
from .fleet import Fleet, owner_of
from .stage import HERE, Stage
from .takeover import key

ITEM = "2001:db8:5:1::/64"
OWNER = "server2"
WAYS = ("2001:db8:0:1::10", "2001:db8:0:1::11")
# Seven and nine eighths of it are whole seconds.
LEASE = 8
HELD = 20


class Partition:
    """All of it."""

    def __init__(self, stage: Stage, ownership: str) -> None:
        self.stage = stage
        self.client = stage.net.stranger("client", WAYS[0])
        self.client.ip(f"address add {WAYS[1]}/64 dev eth0 nodad")
        store = etcd.start(stage)
        handover = {"drainSeconds": 5, "parallel": 64}
        self.fleet = Fleet(stage, "web", ITEM, store, ownership=ownership, handover=handover)
        self.names = [f"server{number}" for number in range(1, 4)]
        self.hosts = [stage.net.host(name, f"2001:db8:0:{place}::1") for place, name in enumerate(self.names, 101)]
        for host in self.hosts:
            stage.application(host, "::", PORT)
        flags: list[object] = ["--probe", f"tcp:[::1]:{PORT}", "--heartbeat-key", key(stage)]
        flags += ["--lease-seconds", LEASE]
        self.fleet.join(*self.hosts, flags=dict.fromkeys(self.names, flags))
        Birds(stage, self.hosts, bfd=0)
        self.fleet.lead("controller", stage.net.router, "--lost-after-seconds", LOST_AFTER)
        self.fleet.settled(self.names)
        owners = self.fleet.owners()
        addresses = [prefix[number] for number in range(1, 5) for prefix in IPv6Network(ITEM).subnets(4)]
        self.addresses = [str(one) for one in addresses if owner_of(owners, one) == OWNER]
        router = stage.net.router
        router.run("nft add table ip6 cut")
        for chain in ("forward", "input", "output"):
            router.run(f"nft add chain ip6 cut {chain} {{ type filter hook {chain} priority 0; }}")
        # In a table that BIRD does not look at.
        router.run(f"ip -6 route add {ITEM} via {self.fleet.hosts[OWNER].address} table 77")
        router.run(f"ip -6 rule add from {WAYS[1]} to {ITEM} lookup 77 preference 77")
        for way in WAYS:
            stage.wait_steady(timeouts.RETRIED, f"{OWNER} answers {way}", partial(self.answers, way))

    def answers(self, way: str) -> bool:
        """Whether the owner answers new connections to all of its addresses."""
        told = (self.stage.dial(self.client, one, PORT, source=way, timeout=0.4).text for one in self.addresses)
        return all(text == OWNER for text in told)

    def cut(self, *rules: str) -> None:
        """Has the router drop packets from and to the owner, in one step."""
        script = "; ".join(f"add rule ip6 cut {rule} drop" for rule in rules)
        with self.stage.net.router:
            subprocess.run(["nft", script], check=True)


class Seen:
    """What probes have seen."""

    def __init__(self, path: Path) -> None:
        self.probes: list[tuple[float, str, str]] = []
        self.held = -1
        for line in path.read_text().splitlines():
            words = line.split()
            if words[0] == "held":
                self.held = int(words[1])
            elif len(words) == 3:
                self.probes.append((float(words[0]), words[1], words[2]))

    def twice(self) -> list[tuple[float, str, str]]:
        """The probes that two endpoints have accepted."""
        return [one for one in self.probes if "-" not in one[1:] and one[1] != one[2]]


def run(stage: Stage, probes: int, ownership: str = "Exclusive") -> None:
    """Cuts the owner off from the store, then from everything but clients, and lets it come back."""
    partition = Partition(stage, ownership)
    rate = 100 if probes <= 5000 else 200
    options = {"sources": WAYS, "destinations": partition.addresses, "port": PORT, "rate": rate, "held": HELD}
    command = [sys.executable, HERE / "probes.py", json.dumps(options)]
    process = stage.start(partition.client, "probes", command, stdin=subprocess.PIPE)
    path = stage.work / "probes.log"

    def seen(count: int) -> bool:
        return len(Seen(path).probes) >= count

    stage.wait(timeouts.INTERVAL, "probes run", lambda: seen(rate))
    address = partition.fleet.hosts[OWNER].address
    store_cut = time.monotonic()
    partition.cut(
        f"forward ip6 saddr {address} ip6 daddr {etcd.ADDRESS}", f"forward ip6 daddr {address} ip6 saddr {etcd.ADDRESS}"
    )
    begun = len(Seen(path).probes)
    stage.wait(timeouts.INTERVAL, "clients go on meanwhile", lambda: seen(begun + 2 * rate))
    # From everything but clients: what has a slice's address at one end goes on.
    ways = (("forward", "iifname"), ("forward", "oifname"), ("input", "iifname"), ("output", "oifname"))
    partition.cut(*(f"{chain} {way} to-{OWNER} ip6 saddr != {ITEM} ip6 daddr != {ITEM}" for chain, way in ways))

    def taken() -> bool:
        last = Seen(path).probes[-rate:]
        return all(normal not in ("-", OWNER) for _, normal, _ in last)

    stage.wait(timeouts.ROLLED_OUT, "others take new connections", taken)

    def tell(word: str) -> None:
        assert process.stdin, "it is a pipe"
        process.stdin.write(f"{word}\n".encode())
        process.stdin.flush()

    tell("check")
    stage.wait(timeouts.INTERVAL, "connections that stay were asked", lambda: Seen(path).held >= 0)
    stage.net.router.run("nft flush table ip6 cut")
    partition.fleet.settled(partition.names, timeouts.ROLLED_OUT)
    stage.wait(timeouts.LASTING, f"{probes} probes", lambda: seen(probes))
    stage.forget(process)
    tell("end")
    process.wait(timeouts.ENDED)
    told = Seen(path)
    by_others = [began for began, normal, _ in told.probes if normal not in ("-", OWNER)]
    nobody = sum(1 for _, normal, _ in told.probes if normal == "-")
    stage.note(
        f"{ownership}: {len(told.probes)} probes, {len(told.twice())} accepted at both ends; new connections elsewhere "
        f"{by_others[0] - store_cut:.1f} s after the owner was cut off from the store, {nobody} probes unanswered"
    )
    count = len(told.probes)
    stage.claim_between("probes that somebody answered", count // 3, count, count - nobody)
    if ownership == "Exclusive":
        stage.claim("connections that two endpoints accepted", [], told.twice()[:5])
        last = max(began for began, _, old in told.probes if old == OWNER and began < by_others[0])
        elapsed = by_others[0] - last
        stage.claim_between("s from the owner's last to the others' first", LEASE / 8, timeouts.ROLLED_OUT, elapsed)
        stage.claim("connections that stay at the owner and answer", HELD, told.held)
    else:
        stage.claim_between("connections that two endpoints accepted", 1, count, len(told.twice()))
