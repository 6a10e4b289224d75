"""A host is gone, and its standby takes over by itself: no router has BFD, and no leader runs.

a, b   endpoints with agents and BIRD, each the other's standby; heartbeats every 50 ms
router BIRD without BFD: sessions end after 9 s, and until then it leads to whoever announces the best metric
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import time

from . import timeouts
from .bird import Birds
from .crash import ATTEMPT, PORT
from .follow import ANNOUNCED
from .net import Host
from .slices import Slices, interrupt
from .stage import Program, Stage

# Until routers without BFD end a session: what is measured without heartbeats is of this size.
HOLD = 9


class Pair:
    """Two endpoints, of which one owns everything."""

    def __init__(self, stage: Stage, heartbeats: bool = True, probed: int = PORT) -> None:
        self.stage = stage
        self.client: Host = stage.net.stranger("client", "2001:db8:0:1::10")
        self.slices = Slices(stage, "ab", bits=4)
        self.flags: list[object] = ["--probe", f"tcp:[::1]:{probed}"]
        if heartbeats:
            self.flags += ["--heartbeat-key", key(stage)]
        # What answers probes.
        self.probed: dict[str, Program] = {}
        for name, one in self.slices.endpoints.items():
            for port in dict.fromkeys((PORT, probed)):
                self.probed[name] = stage.application(one.host, "::", port)
            one.start(*self.flags)
        self.owner, self.standby = "a", "b"
        self.give()
        self.birds = Birds(stage, self.slices.hosts(), bfd=0)
        self.address = self.slices.all[3][99]
        router = stage.net.router
        router.run("nft add table ip6 cut")
        for chain in ("forward", "input", "output"):
            router.run(f"nft add chain ip6 cut {chain} {{ type filter hook {chain} priority 0; }}")
        self.led(self.owner)

    def give(self) -> None:
        """Writes the map."""
        everything = self.slices.all
        self.slices.give(dict.fromkeys(everything, self.owner), dict.fromkeys(everything, self.standby))

    def led(self, name: str) -> None:
        """Waits until the router leads everything to an endpoint, and both sessions are up."""
        via = f"via {self.slices[name].host.address} "

        def leads() -> bool:
            lines = self.stage.net.router.run("ip -6 route show root 2001:db8:5::/48").splitlines()
            return len(lines) == len(self.slices.all) and all(via in line for line in lines) and self.birds.up() == 2

        self.stage.wait_steady(timeouts.RETRIED, f"the router leads to {name}", leads)

    def steady(self, name: str) -> None:
        """Waits until new connections to all prefixes are answered by an endpoint, time and again."""
        addresses = [prefix[98] for prefix in self.slices.all]

        def answer() -> bool:
            return all(self.stage.dial(self.client, one, PORT, timeout=ATTEMPT).text == name for one in addresses)

        self.stage.wait_steady(timeouts.RETRIED, f"{name} answers everything", answer)

    def cut(self, name: str) -> None:
        """Cuts a host off, both ways."""
        router = self.stage.net.router
        ways = (("forward", "iifname"), ("forward", "oifname"), ("input", "iifname"), ("output", "oifname"))
        # In one step.
        script = "; ".join(f"add rule ip6 cut {chain} {way} to-{name} drop" for chain, way in ways)
        with router:
            subprocess.run(["nft", script], check=True)

    def mend(self) -> None:
        """Ends all cuts."""
        self.stage.net.router.run("nft flush table ip6 cut")

    def answers(self) -> str:
        """Who answers a new connection."""
        return self.stage.dial(self.client, self.address, PORT, timeout=ATTEMPT).text

    def until(self, name: str, cut: str | None = None) -> float:
        """Cuts a host off, if it is said, and waits until an endpoint answers; returns after how many ms."""
        began = time.monotonic()
        if cut:
            self.cut(cut)
        self.stage.wait(timeouts.RETRIED, f"{name} answers", lambda: self.answers() == name, pause=0.005)
        return 1000 * (time.monotonic() - began)

    def metrics(self, name: str) -> set[int]:
        """The metrics by which an endpoint announces."""
        return {metric for _, metric in self.slices[name].table(ANNOUNCED)}

    def swap(self) -> None:
        """Does what the leader does after a takeover: the map names the one that has taken over."""
        self.owner, self.standby = self.standby, self.owner
        self.give()

        def applied(name: str) -> bool:
            return any(one["epoch"] == self.slices.epoch for one in self.slices[name].status().get("maps", []))

        self.stage.wait(timeouts.SOON, "both follow the map", lambda: all(applied(name) for name in "ab"))


def key(stage: Stage) -> object:
    """Makes the key of heartbeats."""
    path = stage.work / "heartbeat.key"
    if not path.exists():
        path.write_text(os.urandom(32).hex())
        path.chmod(0o600)
    return path


def run(stage: Stage, trials: int) -> None:
    """Cuts the owner off, so many times; the one that comes back never takes back what it had."""
    pair = Pair(stage)
    times: list[float] = []
    for number in range(trials):
        owner, standby = pair.owner, pair.standby
        times.append(pair.until(standby, cut=owner))
        stage.wait(
            timeouts.SOON,
            f"{standby} reports what it has taken",
            lambda: len(pair.slices[standby].status().get("taken", [])) == len(pair.slices.all),
        )
        pair.mend()
        stage.wait(timeouts.SOON, f"{owner} steps back", lambda: pair.metrics(owner) == {500})
        if number == 0:
            back(stage, pair, owner, standby)
        pair.swap()
        stage.wait(timeouts.SOON, "nothing is taken", lambda: not pair.slices[pair.owner].status().get("taken"))
        pair.led(pair.owner)
    median = statistics.median(times)
    stage.note(
        f"host cut off, routers without BFD: new connections again after a median of {median:.0f} ms, "
        f"from {min(times):.0f} to {max(times):.0f} in {trials} trials"
    )
    stage.claim("trials with connections again", trials, len(times))
    rejoin(stage, pair)


def back(stage: Stage, pair: Pair, owner: str, standby: str) -> None:
    """The former owner is heard again: it is not taken back, and sends on what comes to it."""
    pair.led(standby)
    stage.claim("who answers when the former owner is back", standby, pair.answers())
    # A router that has yet to hear of it leads to the former owner; in a table that BIRD does not look at.
    router = stage.net.router
    router.ip(f"route add {pair.slices.item} via {pair.slices[owner].host.address} table 77")
    router.run(f"ip -6 rule add to {pair.slices.item} lookup 77 preference 77")
    stage.claim("who answers by way of the former owner", standby, pair.answers())
    router.run("ip -6 rule del preference 77")
    router.run("ip -6 route flush table 77")


def rejoin(stage: Stage, pair: Pair) -> None:
    """A host loses all that its kernel had, as by a restart: it joins as a newcomer."""
    owner, standby = pair.owner, pair.standby
    one = pair.slices[owner]
    interrupt(stage, one.agent, signal.SIGKILL)
    one.host.run(f"{stage.tools['cluster']} agent --cleanup")
    one.start(*pair.flags)
    stage.wait(timeouts.SOON, f"{owner} says that it has rejoined", lambda: one.status().get("rejoined") is True)
    stage.claim(f"what {owner} announces", set(), pair.metrics(owner))
    stage.claim("who answers now", standby, pair.answers() if pair.until(standby) else "")
    pair.swap()
    stage.wait(timeouts.SOON, f"{owner} is a newcomer", lambda: one.status().get("rejoined") is False)
    stage.claim(f"what {owner} announces as the standby", {1000}, pair.metrics(owner))


def without(stage: Stage) -> None:
    """The control run, without heartbeats: routers lead to the host that is gone until its session ends."""
    pair = Pair(stage, heartbeats=False)
    elapsed = pair.until(pair.standby, cut=pair.owner)
    stage.note(f"without heartbeats: new connections again after {elapsed:.0f} ms")
    stage.claim_between("ms until new connections work, without heartbeats", 1000, 1000 * 4 * HOLD, round(elapsed))


def alarm(stage: Stage) -> None:
    """Heartbeats are lost and hosts are not: the standby takes new flows, and no flow is reset."""
    pair = Pair(stage)
    owner, standby = pair.owner, pair.standby
    addresses = [prefix[number] for number in range(1, 5) for prefix in pair.slices.all]
    held = stage.load(pair.client, destinations=addresses, count=200, hold=True, at_once=64)
    stage.claim("connections that stay", 200, held.settled()["held"])
    new = stage.load(pair.client, destinations=addresses, rate=50)
    stage.net.router.run("nft add rule ip6 cut forward udp dport 4797 drop")
    stage.wait(timeouts.SOON, f"{standby} takes over", lambda: pair.metrics(standby) == {50})
    pair.led(standby)
    stage.claim("connections that stay and answer during the false alarm", 200, held.check())
    stage.claim("who answers new connections", standby, pair.answers())
    pair.mend()
    stage.wait(timeouts.SOON, f"{owner} steps back", lambda: pair.metrics(owner) == {500})
    stage.claim(f"what {standby} announces", {50}, pair.metrics(standby))
    stage.claim("connections that stay and answer after it", 200, held.check())
    told = new.end()
    stage.claim("new connections without an answer", [], told["samples"])
    held.end()


# What is probed where readiness and service are two things.
READINESS = 8080


def unready(stage: Stage, heartbeats: bool) -> None:
    """An owner is not ready for a while and serves what it has; what the standby takes meanwhile stays with that."""
    pair = Pair(stage, heartbeats, probed=READINESS)
    owner, standby = pair.owner, pair.standby
    addresses = [prefix[number] for number in range(1, 5) for prefix in pair.slices.all]
    before = stage.load(pair.client, destinations=addresses, count=100, hold=True, at_once=64)
    stage.claim("connections with the owner", 100, before.settled()["held"])
    stage.forget(pair.probed[owner])
    pair.probed[owner].kill()
    pair.probed[owner].wait()
    pair.until(standby)
    pair.steady(standby)
    meanwhile = stage.load(pair.client, destinations=addresses, count=100, hold=True, at_once=64)
    stage.claim("connections that the standby has taken", 100, meanwhile.settled()["held"])
    stage.claim("connections with the owner that answer while it is not ready", 100, before.check())
    stage.application(pair.slices[owner].host, "::", READINESS)
    best = {500} if heartbeats else {100}
    stage.wait(timeouts.SOON, f"{owner} is ready again", lambda: pair.metrics(owner) == best)
    pair.led(standby if heartbeats else owner)
    stage.claim("connections with the owner that answer when it is ready again", 100, before.check())
    if heartbeats:
        stage.claim("connections that the standby has taken, and that answer", 100, meanwhile.check())
        stage.claim("who answers new connections", standby, pair.answers())
    else:
        stage.claim("connections that the standby has taken, and that answer", 0, meanwhile.check())
    before.end()
    meanwhile.end()
