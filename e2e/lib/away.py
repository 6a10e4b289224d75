"""Endpoints with heartbeats and real controllers: a host dies and comes back, the store and its controllers are away.

server1 … server3   agents with heartbeats, BIRD without BFD, an application
router              BIRD without BFD; two controllers
"""

from __future__ import annotations

import signal
import subprocess
import time
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

from . import timeouts
from .bird import Birds
from .crash import ATTEMPT
from .fleet import Fleet, owner_of
from .slices import interrupt
from .stage import Stage
from .takeover import key

PORT = 80
# After so long without a report a leader gives an endpoint up: less than in production, so that a scenario is short.
LOST_AFTER = 6


class Cluster:
    """All of it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.client = stage.net.stranger("client", "2001:db8:0:1::10")
        self.fleet = Fleet(stage, "web", "2001:db8:5:1::/64", handover={"drainSeconds": 600, "parallel": 64})
        self.names = [f"server{number}" for number in range(1, 4)]
        places = enumerate(self.names, 101)
        self.hosts = [stage.net.host(name, f"2001:db8:0:{place}::1") for place, name in places]
        self.applications = {host.name: stage.application(host, "::", PORT) for host in self.hosts}
        self.flags: list[object] = ["--probe", f"tcp:[::1]:{PORT}", "--heartbeat-key", key(stage)]
        self.fleet.join(*self.hosts, flags=dict.fromkeys(self.names, self.flags))
        self.birds = Birds(stage, self.hosts, bfd=0)
        self.lead()
        self.fleet.settled(self.names)
        self.addresses = [prefix[number] for number in range(1, 9) for prefix in self.fleet.item.subnets(4)]
        router = stage.net.router
        router.run("nft add table ip6 cut")
        for chain in ("forward", "input", "output"):
            router.run(f"nft add chain ip6 cut {chain} {{ type filter hook {chain} priority 0; }}")
        stage.wait_steady(timeouts.RETRIED, "everybody answers", self.answered)

    def lead(self) -> None:
        """Starts two controllers."""
        for number in (1, 2):
            self.fleet.lead(f"controller-{number}", self.stage.net.router, "--lost-after-seconds", LOST_AFTER)

    def answered(self) -> bool:
        """Whether the owner of each slice answers new connections."""
        owners = self.fleet.owners()
        return all(self.ask(one) == owner_of(owners, one) for one in self.addresses[:16])

    def ask(self, address: IPv6Address) -> str:
        """Who answers a new connection."""
        return self.stage.dial(self.client, address, PORT, timeout=ATTEMPT).text

    def die(self, name: str, owners: dict[IPv6Network, str]) -> float:
        """A host dies. Returns after how many ms another one answers in its place; `owners` are those of the map."""
        address = next(one for one in self.addresses if owner_of(owners, one) == name)
        ways = (("forward", "iifname"), ("forward", "oifname"), ("input", "iifname"), ("output", "oifname"))
        script = "; ".join(f"add rule ip6 cut {chain} {way} to-{name} drop" for chain, way in ways)
        agent = self.fleet.agents[name]
        self.stage.forget(agent)
        began = time.monotonic()
        with self.stage.net.router:
            subprocess.run(["nft", script], check=True)
        agent.kill()
        self.stage.wait(
            timeouts.RETRIED,
            f"another one answers for {name}",
            lambda: self.ask(address) not in ("", name),
            pause=0.005,
        )
        elapsed = 1000 * (time.monotonic() - began)
        agent.wait()
        return elapsed

    def come_back(self, name: str) -> None:
        """The host starts again: its kernel knows nothing."""
        host = self.fleet.hosts[name]
        host.run(f"{self.stage.tools['cluster']} agent --cleanup")
        self.stage.net.router.run("nft flush table ip6 cut")
        self.fleet.start(name, *self.flags)

    def moves(self) -> dict[str, dict[str, Any]]:
        """All moves that there are, by name."""
        return {one["metadata"]["name"]: one["spec"] for one in self.fleet.moves(all_of_them=True)}


def led(stage: Stage) -> None:
    """A host dies; standbys take over at once, the leader makes that the map's; the host comes back as a newcomer."""
    cluster = Cluster(stage)
    others = [name for name in cluster.names if name != "server2"]
    stays = stage.load(
        cluster.client,
        destinations=[one for one in cluster.addresses if owner_of(cluster.fleet.owners(), one) != "server2"],
        count=60,
        hold=True,
        at_once=64,
    )
    stage.claim("connections to others that stay", 60, stays.settled()["held"])
    elapsed = cluster.die("server2", cluster.fleet.owners())
    stage.note(f"host dead: new connections again after {elapsed:.0f} ms")
    stage.claim("connections to others that stay and answer", 60, stays.check())
    # What moves to spread slices evenly waits for flows, and these would last.
    stays.end()
    taken = [one["metadata"]["name"] for one in cluster.fleet.get("sliceendpoints") if one["status"].get("taken")]
    stage.note(f"taken over by {', '.join(taken)}")
    cluster.fleet.settled(others, timeouts.ROLLED_OUT)
    stage.wait_steady(timeouts.RETRIED, "the others answer for all slices", cluster.answered)
    left = {one["metadata"]["name"]: one["status"].get("taken") for one in cluster.fleet.get("sliceendpoints")}
    stage.claim("what is taken once the map says so", {name: [] for name in others}, {n: left[n] for n in others})
    cluster.come_back("server2")
    cluster.fleet.settled(cluster.names, timeouts.ROLLED_OUT)
    stage.wait_steady(timeouts.RETRIED, "all three answer", cluster.answered)


def away(stage: Stage, seconds: int) -> None:
    """Store and controllers are away: nothing fails, a host that dies is taken over, nothing moves without need."""
    cluster = Cluster(stage)
    fleet = cluster.fleet
    folder = Path(fleet.store)
    elsewhere = folder.with_name("away")
    stays = stage.load(cluster.client, destinations=cluster.addresses, count=200, hold=True, at_once=64)
    stage.claim("connections that stay", 200, stays.settled()["held"])
    load = stage.load(cluster.client, destinations=cluster.addresses, rate=50)
    before = cluster.moves()
    # One controller is killed. The other goes on, and must not take the time without a store for silence of endpoints.
    leader = fleet.leader()
    follower = next(name for name in fleet.controllers if name != leader)
    interrupt(stage, fleet.controllers[follower], signal.SIGKILL)
    folder.rename(elsewhere)
    pause(stage, seconds, "the store is away")
    stage.claim("connections that stay and answer without a store", 200, stays.check())
    elsewhere.rename(folder)
    renewed = {one["metadata"]["name"]: one["status"]["renewedAt"] for one in fleet.get("sliceendpoints")}
    stage.wait(
        timeouts.INTERVAL,
        "all endpoints report again",
        lambda: all(
            one["status"]["renewedAt"] != renewed[one["metadata"]["name"]] for one in fleet.get("sliceendpoints")
        ),
    )
    stage.wait(timeouts.RETRIED, "a controller leads again", lambda: fleet.leader() == leader)
    pause(stage, 2 * LOST_AFTER, "the leader has had time to move something")
    stage.claim("moves after that", sorted(before), sorted(cluster.moves()))
    told = load.end()
    stage.claim("new connections without an answer", [], told["samples"])
    stage.claim("connections that stay and answer with a store again", 200, stays.check())
    stays.end()

    stage.note("both are away, and a host dies")
    interrupt(stage, fleet.controllers[leader], signal.SIGKILL)
    owners = fleet.owners()
    mine = {prefix for prefix, owner in owners.items() if owner == "server2"}
    folder.rename(elsewhere)
    elapsed = cluster.die("server2", owners)
    stage.note(f"host dead, without controller and store: new connections again after {elapsed:.0f} ms")
    elsewhere.rename(folder)
    cluster.lead()
    others = [name for name in cluster.names if name != "server2"]
    fleet.settled(others, timeouts.ROLLED_OUT)
    new = [spec for name, spec in cluster.moves().items() if name not in before]
    failures = [spec for spec in new if spec["from"] == "server2"]
    moved = [prefix for spec in failures for prefix in spec["prefixes"]]
    stage.claim_between("prefixes moved from the host that died", len(mine), 16, len(moved))
    stage.claim("reasons of other moves", [], [s for s in new if s not in failures and s["reason"] != "Scale"])


def pause(stage: Stage, seconds: float, what: str) -> None:
    """Lets time pass, which is what the scenario is about."""
    until = time.monotonic() + seconds
    stage.wait(seconds + timeouts.SOON, f"{what} for {seconds:.0f} s", lambda: time.monotonic() >= until)
