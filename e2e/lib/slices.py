"""Slices that move: a store in a directory, endpoints with agents, and routers that follow what is announced.

    client ──┐             ┌── a  2001:db8:0:101::1   agent, application (behind an Envoy, if captured)
             ├── router ───┼── b  2001:db8:0:102::1
             ┘             └── c  …

The scenario is the leader: it writes the phases of moves, and goes on when both endpoints have reported theirs. The
router has the route of the lowest metric that endpoints announce, as late as the scenario wants.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from ipaddress import IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import follow, timeouts
from .claims import Broken, find

if TYPE_CHECKING:
    from .net import Host
    from .stage import Program, Stage

API = "ssa.dev.example/v1alpha1"
PLURAL = {"SliceMap": "slicemaps", "SliceMove": "slicemoves", "SliceEndpoint": "sliceendpoints"}


class Store:
    """A directory as store, written as `ssa-cluster` does: under its lock, by files that take another's place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for plural in PLURAL.values():
            (folder / plural).mkdir(parents=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self.folder / "lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _replace(self, path: Path, text: str) -> None:
        new = path.with_name(f".new-{path.name}")
        new.write_text(text)
        os.replace(new, path)

    def _path(self, kind: str, name: str) -> Path:
        return self.folder / PLURAL[kind] / f"{name}.json"

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Returns an object."""
        return json.loads(self._path(kind, name).read_text())

    def put(
        self, kind: str, name: str, spec: Mapping[str, Any] | None = None, status: Mapping[str, Any] | None = None
    ) -> None:
        """Writes an object's spec, its status, or both in one step."""
        with self._locked():
            revision = self.folder / "revision"
            number = int(revision.read_text()) + 1 if revision.exists() else 1
            path = self._path(kind, name)
            found: dict[str, Any] = {"metadata": {"name": name, "generation": 0}}
            if path.exists():
                found = json.loads(path.read_text())
            if spec is not None:
                found["spec"] = spec
                found["metadata"]["generation"] += 1
            if status is not None:
                found["status"] = status
            found["metadata"]["resourceVersion"] = str(number)
            self._replace(revision, f"{number}\n")
            self._replace(path, json.dumps({"apiVersion": API, "kind": kind, **found}))


class Endpoint:
    """A host with an agent and an application."""

    # Set by start().
    agent: Program

    def __init__(self, slices: Slices, name: str, number: int) -> None:
        self.slices = slices
        self.stage = slices.stage
        self.name = name
        self.host = self.stage.net.host(name, f"2001:db8:0:{100 + number}::1")

    def start(self, *flags: object) -> None:
        """Starts the agent."""
        command = [
            self.stage.tools["cluster"],
            "agent",
            *("--store", self.slices.store.folder),
            *("--endpoint", self.name),
            *("--allowed", self.slices.item),
            *flags,
        ]
        self.agent = self.stage.start(self.host, f"agent-{self.name}", command)

    def table(self, number: int) -> list[tuple[IPv6Network, int]]:
        """Returns the routes of a table: (prefix, metric)."""
        # The kernel knows a table from its first route on.
        lines = self.host.run("ip -6 route show table all").splitlines()
        found = []
        for line in (line for line in lines if f" table {number} " in line):
            prefix = find(r"2001:db8:5:\S*", line).group()
            found.append((IPv6Network(prefix), int(find(r"metric (\d+)", line).group(1))))
        return found

    def status(self) -> dict[str, Any]:
        """Returns what the agent reported last."""
        return self.slices.store.get("SliceEndpoint", self.name).get("status") or {}

    def everything(self) -> str:
        """Returns all that an agent could leave behind."""
        commands = (
            "ip -6 route show table all",
            "ip -6 rule show",
            "ip -o link show",
            "ip -o -6 addr show scope global",
            "nft list tables",
            "cat /proc/sys/net/ipv6/conf/all/forwarding",
        )
        return "\n".join(self.host.run(command) for command in commands)


class Slices:
    """All of it: endpoints, their slices, and the router."""

    def __init__(self, stage: Stage, names: str, bits: int = 4, item: str = "2001:db8:5:1::/64") -> None:
        self.stage = stage
        self.item = item
        self.store = Store(stage.work / "store")
        self.all = list(IPv6Network(item).subnets(bits))
        self.endpoints = {name: Endpoint(self, name, number) for number, name in enumerate(names, 1)}
        self.owner: dict[IPv6Network, str] = {}
        self.standby: dict[IPv6Network, str] = {}
        self.epoch = 0
        self.moves: dict[str, dict[str, Any]] = {}
        for name, one in self.endpoints.items():
            self.store.put("SliceEndpoint", name, {"sliceSets": ["web"], "address": one.host.address})

    def __getitem__(self, name: str) -> Endpoint:
        return self.endpoints[name]

    def hosts(self) -> list[Host]:
        """Returns the endpoints' hosts."""
        return [one.host for one in self.endpoints.values()]

    def give(self, owner: Mapping[IPv6Network, str], standby: Mapping[IPv6Network, str] | None = None) -> None:
        """Writes the map: who owns each slice, and who stands by for it."""
        self.epoch += 1
        self.owner, self.standby = dict(owner), dict(standby or {})
        # An agent that begins with a map that names it has lost what it had, as far as it can know.
        started = [one for one in self.endpoints.values() if hasattr(one, "agent")]
        reported = "all agents that run have reported"
        self.stage.wait(timeouts.SOON, reported, lambda: all(one.status() for one in started))
        endpoints = [
            {
                "name": name,
                "owned": [str(one) for one in self.all if self.owner.get(one) == name],
                "standby": [str(one) for one in self.all if self.standby.get(one) == name],
            }
            for name in self.endpoints
        ]
        self.store.put("SliceMap", "web", {"sliceSet": "web", "epoch": self.epoch, "endpoints": endpoints})

    def follow(self) -> None:
        """Gives the router the routes that are announced with the lowest metrics; takes away others."""
        best = follow.best({one.host.address: one.table(follow.ANNOUNCED) for one in self.endpoints.values()})
        router = self.stage.net.router
        router.ip(*(f"route replace {prefix} via {address}" for prefix, (_, address) in best.items()))
        there = router.run("ip -6 route show root 2001:db8:5::/48").splitlines()
        gone = {IPv6Network(line.split()[0]) for line in there} - set(best)
        if gone:
            router.ip(*(f"route del {prefix}" for prefix in gone))

    def settled(self) -> None:
        """Waits until every agent has applied the map and announces what is its, and lets the router follow."""

        def applied() -> bool:
            for name, one in self.endpoints.items():
                if not any(map_["epoch"] == self.epoch for map_ in one.status().get("maps", [])):
                    return False
                owned = {slice_ for slice_, owner in self.owner.items() if owner == name}
                if not owned <= {prefix for prefix, _ in one.table(follow.ANNOUNCED)}:
                    return False
            return True

        self.stage.wait(timeouts.SOON, f"all agents have applied epoch {self.epoch}", applied)
        self.follow()

    # ---- moves

    def begin(self, moves: Mapping[IPv6Network, str]) -> None:
        """Begins moves: {slice: the endpoint that it goes to}."""
        self.epoch += 1
        self.moves = {}
        for number, (slice_, to) in enumerate(moves.items()):
            name = f"web-{self.epoch}-{number}"
            self.moves[name] = {
                "sliceSet": "web",
                "epoch": self.epoch,
                "from": self.owner[slice_],
                "to": to,
                "prefixes": [str(slice_)],
                "reason": "Scale",
            }
        self.phase("Prepare")

    def turn_back(self) -> None:
        """Sends all moves back where they came from, as the leader does while they drain."""
        self.epoch += 1
        for spec in self.moves.values():
            spec.update({"epoch": self.epoch, "from": spec["to"], "to": spec["from"], "reason": "Rollback"})
        self.phase("Announce")

    def write(self, phase: str) -> None:
        """Writes a phase for all moves."""
        for name, spec in self.moves.items():
            self.store.put("SliceMove", name, spec, {"phase": phase})

    def phase(self, phase: str) -> None:
        """Brings all moves to a phase: both endpoints have reported it."""
        self.write(phase)
        self.reached(phase)

    def reached(self, phase: str) -> None:
        """Waits until both endpoints of all moves have reported a phase."""
        wanted = {
            (end, name, spec["epoch"], phase) for name, spec in self.moves.items() for end in (spec["from"], spec["to"])
        }

        def reported() -> bool:
            found = set()
            for end, one in self.endpoints.items():
                for move in one.status().get("moves", []):
                    found.add((end, move["name"], move["epoch"], move["phase"]))
            return wanted <= found

        self.stage.wait(timeouts.SOON, f"both sides of {len(self.moves)} moves are in {phase}", reported)

    def observed(self, field: str) -> dict[str, int]:
        """Returns what the old owners report of their moves: flows, or packets forwarded."""
        found = {}
        for one in self.endpoints.values():
            for move in one.status().get("moves", []):
                if move.get(field) is not None:
                    found[move["name"]] = move[field]
        return found

    def end(self, phase: str = "Done") -> None:
        """Ends the moves; the map names the new owners if they are done."""
        owner = dict(self.owner)
        if phase == "Done":
            owner.update({IPv6Network(spec["prefixes"][0]): spec["to"] for spec in self.moves.values()})
        # The map first: as long as the move is open, both sides hold what it needs.
        self.give(owner, self.standby)
        self.write(phase)
        self.moves = {}
        self.settled()


def interrupt(stage: Stage, process: Program, number: int) -> int:
    """Ends a program by a signal, and waits for it."""
    stage.forget(process)
    process.send_signal(number)
    try:
        return process.wait(timeouts.ENDED)
    except subprocess.TimeoutExpired:
        raise Broken(f"{process.title} goes on after signal {number}") from None
