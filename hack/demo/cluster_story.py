"""The story of hack/demo-cluster.sh, in namespaces that end with it: story.py SSA CLUSTER PICTURE."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib import net, timeouts
from lib.bird import Birds
from lib.fleet import Fleet, owner_of
from lib.stage import ROOT
from picture import Picture, Sample
from telling import Teller

if TYPE_CHECKING:
    from lib.net import Host
    from lib.stage import Program

WORK = Path("/run/ssa-demo")
ITEM = "2001:db8:5:1::/64"
# 256 slices.
BITS = 8
PROBE = ["--probe", "tcp:[::1]:80"]
# How long a client's connection lasts, and how long a former owner waits for such connections at most, in seconds.
LASTS, DRAIN = 10, 60
# How often what is there is noted for the picture, in seconds.
OFTEN = 0.5


class Cluster(Teller):
    """Sixteen hosts, a router, two controllers, clients, and the picture."""

    def __init__(self, tools: dict[str, Path]) -> None:
        super().__init__(tools, WORK)
        self.picture = Picture("256 slices, 4 → 16 → 4 endpoints")
        self.clients = [self.net.stranger(f"client{number}", f"2001:db8:0:{number}::10") for number in (1, 2)]
        self.hosts = [self.net.host(f"e{number}", f"2001:db8:0:{100 + number}::1") for number in range(1, 17)]
        self.fleet = Fleet(
            self, "web", ITEM, bits=BITS, handover={"drainSeconds": DRAIN, "parallel": 64, "deadlineSeconds": 60}
        )
        self.noted = float("-inf")

    def names(self, first: int, last: int) -> list[str]:
        """Returns the names of endpoints."""
        return [f"e{number}" for number in range(first, last + 1)]

    def check(self) -> None:
        super().check()
        if time.monotonic() - self.noted >= OFTEN and self.fleet.listed:
            self.note_shares()

    def note_shares(self) -> None:
        """Notes for the picture how slices are spread now."""
        self.noted = time.monotonic()
        counts = dict(self.fleet.counts(self.fleet.takers()))
        if counts:
            self.picture.samples.append(Sample(self.noted - self.began, counts, len(self.fleet.moves())))

    def mark(self, text: str) -> None:
        """Marks a moment in the picture."""
        self.note_shares()
        self.picture.marks.append((time.monotonic() - self.began, text))

    def pass_time(self, seconds: float, what: str) -> None:
        """Lets time pass."""
        until = time.monotonic() + seconds
        self.wait(seconds + timeouts.SOON, what, lambda: time.monotonic() >= until, pause=0.2)


class Story:
    """What happens."""

    def __init__(self, demo: Cluster) -> None:
        self.demo = demo
        self.fleet = demo.fleet
        self.applications: dict[str, Program] = {}
        self.lost: list[str] = []
        self.crashed = (0.0, 0.0)

    def tell(self) -> None:
        """Tells all of it."""
        self.four()
        self.serve()
        self.sixteen()
        self.hot()
        self.crash()
        self.away()
        self.back_to_four()
        self.summary()

    def start(self, *hosts: Host) -> None:
        """Starts servers, BIRDs and agents on hosts."""
        for host in hosts:
            self.applications[host.name] = self.demo.application(host, "::", 80)
        for host in hosts:
            self.birds.start(host)
        self.fleet.join(*hosts, flags={host.name: PROBE for host in hosts})

    def row(self, when: str) -> None:
        """Says how slices are spread."""
        counts = self.fleet.counts()
        low, high = min(counts.values()), max(counts.values())
        told = self.sessions.told()
        failed = len(told["failed"]) - len([one for one in told["failed"] if one[1] in self.lost])
        if failed:
            self.demo.say(f"such as {next(one for one in told['failed'] if one[1] not in self.lost)}")
        self.demo.say(
            f"{when}: {len(counts)} endpoints with {low}{f' to {high}' if high > low else ''} slices; "
            f"{told['answers']} answers on connections that last, {failed} without"
        )

    def four(self) -> None:
        """Four endpoints."""
        demo = self.demo
        demo.title("Four endpoints")
        demo.say("Each is a host with a server, ssa-cluster agent, and BIRD, which announces what the agent says.")
        demo.say("A router learns from them by BGP, with BFD. Two controllers stand for election over a directory.")
        demo.lap()
        self.birds = Birds(demo, [], later=demo.hosts)
        self.start(*demo.hosts[:4])
        for number in (1, 2):
            self.fleet.lead(f"controller-{number}", demo.net.router)
        self.fleet.settled(demo.names(1, 4))
        self.birds.wait(4)
        demo.timed(f"256 slices are given out, {self.fleet.leader()} leads, and 4 BGP sessions are up")

    def serve(self) -> None:
        """Clients begin, and never stop."""
        demo = self.demo
        demo.title("Clients, from here to the end")
        slices = list(self.fleet.item.subnets(BITS))
        addresses = [slices[number * 37 % 256][number + 1] for number in range(1024)]
        self.demo.wait_steady(timeouts.INTERVAL, "the router leads every slice to its owner", self.fleet.led)
        self.sessions = demo.sessions(demo.clients[0], destinations=addresses, count=200, lasts=LASTS)
        self.load = demo.load(demo.clients[1], destinations=addresses, rate=100)
        demo.say(f"200 connections at a time that last {LASTS} s, with a line and its echo every second")
        demo.say("100 new connections a second, with a line and its echo each")
        demo.pass_time(3, "clients are served")
        self.row("clients are served")

    def sixteen(self) -> None:
        """Twelve endpoints more."""
        demo = self.demo
        demo.title("4 → 16 endpoints")
        demo.lap()
        demo.mark("12 endpoints join")
        self.start(*demo.hosts[4:])
        self.birds.wait(16)
        demo.timed("12 hosts more are ready")
        self.fleet.spread(demo.names(1, 16))
        demo.timed("every endpoint serves new connections to its share")
        self.fleet.settled(demo.names(1, 16))
        demo.timed("flows that former owners had have ended by themselves")
        moved = sum(len_of(move, BITS) for move in self.fleet.moves(True) if move["status"]["phase"] == "Done")
        demo.claim("slices that moved; the fewest that can be", 192, moved)
        self.row("with 16")

    def hot(self) -> None:
        """A slice is hot."""
        demo, fleet = self.demo, self.fleet
        demo.title("A hot slice gets an endpoint that has less to do")
        slices = list(fleet.item.subnets(BITS))
        hot = slices[128]
        before = owner_of(fleet.owners(), hot[1])
        to = next(name for name in demo.names(1, 16) if name != before)
        more = demo.load(demo.clients[1], destinations=[hot[number] for number in range(1, 200)], rate=100)
        demo.mark("a hot slice moves")
        demo.say(f"100 connections a second more, all to {hot} of {before}; ssa slices move {hot} --to {to}")
        demo.ssa.run("slices", "move", hot, "--to", to, "--store", fleet.store)
        demo.wait(
            timeouts.INTERVAL, f"{to} serves the hot slice", lambda: owner_of(fleet.takers(), hot[1]) == to and to
        )
        demo.wait(timeouts.RETRIED, "the move is over", lambda: not fleet.moves())
        told = more.end()
        demo.claim("who has it now", to, owner_of(fleet.owners(), hot[1]))
        silent = told["opened"] - told["answered"]
        demo.claim(f"of {told['opened']} connections to it that were not answered", 0, silent)

    def crash(self) -> None:
        """A host is cut off."""
        demo, fleet = self.demo, self.fleet
        demo.title("A host crashes")
        name, host = "e7", demo.hosts[6]
        addresses = [prefix[1] for prefix, owner in fleet.owners().items() if owner == name]
        demo.mark("e7 crashes")
        self.lost.append(name)
        began = time.monotonic()
        wall = time.time()
        demo.net.router.ip(f"link set to-{name} down")
        for process in (fleet.agents[name], self.birds.processes[name], self.applications[name]):
            demo.forget(process)
            process.send_signal(signal.SIGKILL)

        def served() -> bool:
            answers = [demo.dial(demo.clients[0], one, timeout=0.2) for one in addresses[:4]]
            return all(answer.kind == "served" and answer.text != name for answer in answers)

        demo.wait(timeouts.INTERVAL, "standbys serve", served, pause=0.01)
        demo.say(f"standbys serve new connections to all slices of {host.name} after {time.monotonic() - began:.2f} s")
        self.crashed = (wall, time.time())
        rest = [one for one in demo.names(1, 16) if one != name]
        fleet.settled(rest, timeouts.LASTING)
        demo.timed(f"{name} is given up, and its slices are spread over the other 15")
        self.row("without it")

    def away(self) -> None:
        """Nobody leads."""
        demo, fleet = self.demo, self.fleet
        demo.title("Both controllers are away for 10 s")
        before, epochs = fleet.owners(), self.epochs()
        demo.mark("controllers away")
        for process in fleet.controllers.values():
            demo.forget(process)
            process.kill()
        demo.pass_time(10, "nobody leads")
        self.row("meanwhile")
        for number in (3, 4):
            fleet.lead(f"controller-{number}", demo.net.router)
        demo.mark("controllers are back")
        demo.lap()
        leader = fleet.leader()
        demo.timed(f"{leader} leads")
        demo.pass_time(2, "it has had rounds")
        demo.claim("slices that moved because of it", "0", "0" if fleet.owners() == before else "some")
        demo.claim("moves that were begun", set(), self.epochs() - epochs)

    def epochs(self) -> set[str]:
        """Returns the names of all moves."""
        return {move["metadata"]["name"] for move in self.fleet.moves(True)}

    def back_to_four(self) -> None:
        """Eleven endpoints leave."""
        demo, fleet = self.demo, self.fleet
        demo.title("15 → 4 endpoints")
        demo.lap()
        demo.mark("11 endpoints leave")
        names = [name for name in demo.names(5, 16) if name not in self.lost]
        fleet.leave(*names)
        fleet.spread(demo.names(1, 4))
        demo.timed("four endpoints serve all new connections")
        demo.wait(timeouts.LASTING, "agents have ended", lambda: fleet.gone(*names))
        demo.timed("the agents of the others have ended, once they had no slices and no flows")
        demo.claim("their exit statuses", [0] * len(names), [fleet.agents[name].poll() for name in names])
        fleet.settled(demo.names(1, 4))
        demo.mark("done")
        self.row("with 4")

    def summary(self) -> None:
        """Counts everything."""
        demo = self.demo
        demo.title("Summary")
        told, new = self.sessions.end(), self.load.end()
        of_host = [one for one in told["failed"] if one[1] in self.lost]
        other = [one for one in told["failed"] if one not in of_host]
        demo.say(f"{told['opened']} connections that last, {told['answers']} answers on them")
        demo.say(f"{len(of_host)} ended with the host that crashed: it took their state along")
        demo.claim("connections that last and failed otherwise", [], other)
        # Who was being answered by the host at that moment.
        begin, end = self.crashed
        waited = {"silent": timeouts.SOON}
        there = [one for one in new["samples"] if begin - 0.1 <= one[0] - waited.get(one[1], 0) <= end]
        other = [one for one in new["samples"] if one not in there]
        demo.say(f"{new['opened']} new connections, the slowest took {new['slowest']} s: its SYN was lost in the crash")
        demo.say(f"{len(there)} were being answered by the host that crashed")
        demo.claim("new connections that failed otherwise", [], other)
        done = [move for move in self.fleet.moves(True) if move["status"]["phase"] == "Done"]
        demo.say(f"{len(done)} of the last moves are kept in the store, as their journal")


def len_of(move: dict[str, Any], bits: int) -> int:
    """Returns how many slices a move has."""
    length = int(ITEM.partition("/")[2]) + bits
    return sum(1 << (length - int(prefix.partition("/")[2])) for prefix in move["spec"]["prefixes"])


def main() -> int:
    os.umask(0o077)
    net.raise_file_limit()
    net.keep_to_memory()
    WORK.mkdir()
    ssa, cluster, picture = map(Path, sys.argv[1:])
    demo = Cluster({"root": ROOT, "ssa": ssa, "cluster": cluster})
    aborted = attempt(demo, Story(demo).tell)
    if len(demo.picture.samples) > 1:
        demo.picture.draw(picture)
        demo.say(f"drawn: {picture}")
    if aborted or demo.failures:
        logs = picture.with_name(f"{picture.stem}-logs")
        demo.keep_logs(logs)
        demo.say(f"logs and the store: {logs}")
    if aborted:
        demo.title(f"ABORTED: {aborted}")
        return 1
    return demo.verdict()


def attempt(demo: Cluster, step: Callable[[], None]) -> str | None:
    """Does a step; says why it could not be finished."""
    try:
        step()
    except Exception as error:  # whatever it is, the story cannot go on
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
