"""Endpoints that real controllers lead: agents, a store, and what can be seen of slices and moves.

What a scenario with a fleet does is what an operator does: it applies a SliceSet, starts and ends programs, and looks.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import timeouts
from .claims import Broken, find

if TYPE_CHECKING:
    from .net import Host
    from .stage import Program, Stage

API = "ssa.dev.example/v1alpha1"
ROOT = Path(__file__).resolve().parent.parent.parent
FINAL = ("Done", "Aborted")


class Fleet:
    """A slice set, its endpoints with their agents, and its controllers."""

    def __init__(
        self, stage: Stage, name: str, item: str, store: str | None = None, http_port: int | None = None, **spec: Any
    ) -> None:
        """Makes the store, a directory unless it is said; `spec` has more fields of the SliceSet.

        At `http_port` agents tell their load, if they are started so.
        """
        self.stage = stage
        self.name = name
        self.item = IPv6Network(item)
        self.store = store or str(stage.work / "store")
        self.spec = {"service": f"{name}.example", "apl": f"2:{item}", "bits": 4, **spec}
        self.hosts: dict[str, Host] = {}
        self.listed: list[str] = []
        self.domains: dict[str, str] = {}
        self.http_port = http_port
        self.agents: dict[str, Program] = {}
        self.controllers: dict[str, Program] = {}
        if store is None:
            os.makedirs(self.store, 0o700)

    # ---- what an operator does

    def command(self, *arguments: object) -> str:
        """Runs `ssa-cluster` over the store, from the router, and returns what it prints."""
        command = [str(one) for one in (self.stage.tools["cluster"], *arguments, "--store", self.store)]
        with self.stage.net.router:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Broken(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, **changes: Any) -> None:
        """Applies the SliceSet with the endpoints that are listed; `changes` are fields of its spec from now on."""
        self.spec.update(changes)
        endpoints = [
            {
                "name": name,
                "address": self.hosts[name].address,
                **({"domain": self.domains[name]} if name in self.domains else {}),
                **({"httpPort": self.http_port} if self.http_port else {}),
            }
            for name in self.listed
        ]
        spec = {**self.spec, "endpoints": {"list": endpoints}}
        file = self.stage.work / f"{self.name}-set.json"
        file.write_text(
            json.dumps({"apiVersion": API, "kind": "SliceSet", "metadata": {"name": self.name}, "spec": spec})
        )
        self.command("apply", file)

    def join(self, *hosts: Host, flags: Mapping[str, Sequence[object]] | None = None) -> None:
        """Lists hosts as endpoints, by their names, starts their agents, and waits until they are ready; `flags` are an
        agent's own.

        Of those that come together nobody gets slices before all are ready: what is on its way to one would not go on
        to the next before its flows have ended.
        """
        comes_later = bool(self.listed)
        for host in hosts:
            self.hosts[host.name] = host
            self.listed.append(host.name)
        self.apply(**({"placement": {"paused": True}} if comes_later else {}))
        for host in hosts:
            self.start(host.name, *(flags or {}).get(host.name, []))
        if comes_later:
            names = {host.name for host in hosts}
            self.stage.wait(timeouts.INTERVAL, f"{', '.join(sorted(names))} are ready", lambda: names <= self.ready())
            self.apply(placement={})

    def start(self, name: str, *flags: object) -> None:
        """Starts the agent of an endpoint."""
        command = [*limited("agent"), self.stage.tools["cluster"], "agent", "--store", self.store, "--endpoint", name]
        command += ["--allowed", str(self.item), *flags]
        self.agents[name] = self.stage.start(self.hosts[name], f"agent-{name}", command)

    def leave(self, *names: str) -> None:
        """Tells agents to end: they do so once others have their slices."""
        for name in names:
            self.stage.forget(self.agents[name])
            self.agents[name].terminate()

    def gone(self, *names: str) -> bool:
        """Whether the agents of endpoints have ended; those are listed no more."""
        if any(self.agents[name].poll() is None for name in names):
            return False
        self.listed = [name for name in self.listed if name not in names]
        self.apply()
        return True

    def lead(self, identity: str, host: Host, *flags: object) -> None:
        """Starts a controller on a host."""
        command = [*limited("controller"), self.stage.tools["cluster"], "controller", "--store", self.store]
        command += ["--identity", identity, *flags]
        self.controllers[identity] = self.stage.start(host, f"controller-{identity}", command)

    def leader(self) -> str:
        """Returns which controller leads, once one does that runs."""

        def leads() -> str | None:
            leases = [one for one in self.get("leases") if one["metadata"]["name"] == "ssa-controller"]
            # Each process has a suffix of its own behind its name.
            holder = leases[0]["spec"].get("holderIdentity", "").rpartition(".")[0] if leases else None
            running = holder in self.controllers and self.controllers[holder].poll() is None
            return holder if running else None

        return self.stage.wait(timeouts.RETRIED, "a controller leads", leads)

    # ---- what can be seen

    def get(self, kind: str) -> list[dict[str, Any]]:
        """Returns all objects of a kind, such as `slicemoves`."""
        folder = Path(self.store, kind)
        if folder.is_dir():
            # Each is replaced as a whole, and may be gone by now.
            files = sorted(folder.glob("*.json"))
            with contextlib.suppress(FileNotFoundError):
                return [json.loads(file.read_text()) for file in files]
        text, found = self.command("get", kind, "--json").strip(), []
        while text:
            one, end = json.JSONDecoder().raw_decode(text)
            found.append(one)
            text = text[end:].lstrip()
        return found

    def ready(self) -> set[str]:
        """Returns the endpoints that say that they are ready."""
        endpoints = self.get("sliceendpoints")
        return {one["metadata"]["name"] for one in endpoints if (one.get("status") or {}).get("ready")}

    def moves(self, all_of_them: bool = False) -> list[dict[str, Any]]:
        """Returns the moves that are open; those that are over, too, if all are wanted."""
        moves = self.get("slicemoves")
        return moves if all_of_them else [one for one in moves if phase(one) not in FINAL]

    def owners(self) -> dict[IPv6Network, str]:
        """Returns the owner of each prefix, as the map says."""
        entries = [entry for part in self.get("slicemaps") for entry in part["spec"].get("endpoints", [])]
        return {IPv6Network(prefix): entry["name"] for entry in entries for prefix in entry.get("owned", [])}

    def takers(self) -> dict[IPv6Network, str]:
        """Returns who serves new flows of each prefix: the owner, or the recipient of a move from Arm on."""
        found = self.owners()
        # Of two moves of a prefix the later one counts.
        for move in sorted(self.moves(), key=epoch):
            to, giver = move["spec"]["to"], move["spec"].get("from")
            if (move.get("status") or {}).get("turnedBack"):
                to = giver
            if phase(move) != "Prepare" and to:
                found.update({IPv6Network(prefix): to for prefix in move["spec"]["prefixes"]})
        return found

    def counts(self, owners: Mapping[IPv6Network, str] | None = None) -> Counter[str]:
        """Returns how many slices each endpoint has, by the map or by what is given."""
        length = self.item.prefixlen + int(self.spec["bits"])
        found: Counter[str] = Counter()
        # A part of a slice that moves by itself is in its own prefix, and in the one around it.
        owners = self.owners() if owners is None else owners
        slices: dict[IPv6Network, str] = {}
        for prefix in sorted(owners, key=lambda one: one.prefixlen):
            if prefix.prefixlen <= length:
                slices.update(dict.fromkeys(prefix.subnets(new_prefix=length), owners[prefix]))
        found.update(slices.values())
        return found

    def is_even(self, counts: Mapping[str, int], names: list[str]) -> bool:
        """Whether these endpoints, and no others, have slices, and none has two more than another."""
        return set(counts) == set(names) and max(counts.values()) - min(counts.values()) <= 1

    def spread(self, names: list[str], seconds: float = timeouts.INTERVAL) -> None:
        """Waits until new flows are spread evenly over these endpoints."""
        self.stage.wait(
            seconds,
            f"slices are spread over {', '.join(names)}",
            lambda: self.is_even(self.counts(self.takers()), names),
        )

    def settled(self, names: list[str], seconds: float = timeouts.RETRIED) -> None:
        """Waits until the map is even over these endpoints, and no move is open."""
        self.stage.wait(
            seconds,
            f"{', '.join(names)} own all slices, and no move is open",
            lambda: not self.moves() and self.is_even(self.counts(), names),
        )

    def led(self, protocol: object = "") -> bool:
        """Whether the router leads each prefix to its owner, by routes of a routing protocol if one is named.

        A standby's route may be there first: what opens there would end when the owner's comes.
        """
        of = f"proto {protocol}" if protocol else ""
        lines = self.stage.net.router.run(f"ip -6 route show root {self.item} {of}").splitlines()
        via = {line.split()[0]: line for line in lines}
        owners = self.owners().items()
        return all(f"via {self.hosts[owner].address} " in via.get(str(one), "") for one, owner in owners)


def limited(program: str) -> list[str]:
    """Returns the command that leaves a program the capabilities that its systemd unit leaves it."""
    unit = (ROOT / f"cluster/bare-metal/ssa-{program}.service").read_text()
    names = find(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE)[1].lower().split()
    kept = "".join(f",+{name.removeprefix('cap_')}" for name in names)
    return ["setpriv", "--no-new-privs", f"--bounding-set=-all{kept}", f"--inh-caps=-all{kept}"]


def phase(move: dict[str, Any]) -> str:
    """Returns the phase of a move."""
    return (move.get("status") or {}).get("phase", "Prepare")


def epoch(move: dict[str, Any]) -> int:
    """Returns the epoch of a move."""
    return max(int(move["spec"]["epoch"]), int((move.get("status") or {}).get("epoch", 0)))


def owner_of(owners: Mapping[IPv6Network, str], address: str | IPv6Address) -> str:
    """Returns whose an address is: the longest prefix counts."""
    around = [prefix for prefix in owners if IPv6Address(address) in prefix]
    return owners[max(around, key=lambda one: one.prefixlen)]
