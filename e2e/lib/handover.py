"""Eight slices are handed over at once, and back, under load; the router follows late."""

from __future__ import annotations

import time
from collections.abc import Mapping
from ipaddress import IPv6Network
from pathlib import Path

from . import timeouts
from .net import Host
from .slices import Endpoint, Slices, interrupt
from .stage import Stage

ENVOY = Path(__file__).resolve().parent / "handover.yaml"
# How late the router follows what is announced, in seconds.
LATE = 2
PORT = 80


class Load:
    """Connections that stay, and new ones all the time."""

    def __init__(self, stage: Stage, client: Host, slices: Slices, long: int, rate: int) -> None:
        addresses = [prefix[number] for number in range(1, 9) for prefix in slices.all]
        self.stage = stage
        self.long = long
        self.held = stage.load(client, destinations=addresses, count=long, hold=True, at_once=64)
        stage.claim("connections that stay", long, self.held.settled()["held"])
        self.new = stage.load(client, destinations=addresses, rate=rate)

    def check(self, when: str) -> None:
        """Claims that all connections that stay still answer."""
        self.stage.claim(f"connections that stay and answer {when}", self.long, self.held.check())

    def end(self) -> int:
        """Ends both; claims that no new connection failed, and returns how many there were."""
        told = self.new.end()
        self.stage.note(f"{told['opened']} new connections, the slowest took {told['slowest']} s")
        self.stage.claim("new connections without an answer", [], told["samples"])
        self.stage.claim("new connections that are answered", told["opened"], told["answered"])
        self.held.end()
        return told["opened"]


def capture(stage: Stage, one: Endpoint, mode: str) -> None:
    """Puts an Envoy before the application, by REDIRECT or TPROXY as Istio does it."""
    host = one.host
    text = ENVOY.read_text().replace("TRANSPARENT", "true" if mode == "tproxy" else "false")
    stage.start_envoy(host, f"envoy-{one.name}", text, 15006)
    if mode == "redirect":
        host.capture("PREROUTING -p tcp -j REDIRECT --to-ports 15006")
        return
    host.run("ip -6 rule add fwmark 1337 lookup 133 protocol static")
    host.run("ip -6 route add local default dev lo table 133")
    # What leaves for a peer is not the sidecar's.
    for mark in (1, 2, 3, 4):
        host.run(f"ip6tables -w -t mangle -A PREROUTING -m mark --mark {mark} -j ACCEPT")
    host.run("ip6tables -w -t mangle -A PREROUTING -p tcp ! -d ::1 -j TPROXY --on-port 15006 --tproxy-mark 1337")


def build(stage: Stage, mode: str) -> Slices:
    """Builds three endpoints; the first owns everything, the second stands by."""
    slices = Slices(stage, "abc", bits=3)
    for one in slices.endpoints.values():
        if mode == "plain":
            stage.application(one.host, "::", PORT)
        else:
            stage.application(one.host)
            capture(stage, one, mode)
    slices.give(dict.fromkeys(slices.all, "a"))
    return slices


def spread(slices: Slices) -> dict[IPv6Network, str]:
    """Returns moves of all slices of `a`: one half to `b`, the other to `c`."""
    return {slice_: "bc"[number % 2] for number, slice_ in enumerate(slices.all)}


def named(moves: Mapping[IPv6Network, str]) -> dict[str, str]:
    """Returns moves by the text of their slices, as they are printed."""
    return {str(slice_): to for slice_, to in moves.items()}


def answers(stage: Stage, client: Host, slices: Slices) -> dict[str, str]:
    """Returns who answers new connections to each slice."""
    return {str(slice_): stage.dial(client, slice_[77], PORT).text for slice_ in slices.all}


def run(stage: Stage, mode: str, long: int = 200, rate: int = 100, laps: int = 1) -> None:
    """Hands over with the mechanism: nothing fails."""
    client = stage.net.stranger("client", "2001:db8:0:1::10")
    slices = build(stage, mode)
    before = {name: one.everything() for name, one in slices.endpoints.items()}
    for one in slices.endpoints.values():
        one.start()
    slices.settled()
    load = Load(stage, client, slices, long, rate)
    moves = spread(slices)
    for lap in range(laps):
        stage.note(f"lap {lap + 1}: 8 moves from a to b and c at once")
        slices.begin(moves)
        load.check("while the new owners get ready")
        slices.phase("Arm")
        # The router leads to the old owner still.
        stage.claim("who answers new connections after Arm", named(moves), answers(stage, client, slices))
        load.check("while new ones are forwarded")
        slices.phase("Announce")
        late(stage)
        forwarded = sum(slices.observed("forwarded").values())
        stage.claim_between("packets that the old owner forwarded", 8, 10**9, forwarded)
        slices.follow()
        slices.phase("Drain")
        load.check("while they drain at the old owner, behind the new ones")
        stage.claim("who answers once the router has followed", named(moves), answers(stage, client, slices))
        stage.wait(
            timeouts.SOON,
            f"the old owner counts the {long} connections that stay",
            lambda: sum(slices.observed("flows").values()) >= long,
        )
        stage.note("back to a, while they drain")
        slices.turn_back()
        stage.claim(
            "who answers new connections on the way back",
            named(dict.fromkeys(slices.all, "a")),
            answers(stage, client, slices),
        )
        load.check("on the way back")
        late(stage)
        slices.follow()
        slices.phase("Drain")
        load.check("back at their owner")
        quiet(stage, slices)
        slices.phase("Release")
        # a is the new owner of these moves, and was the map's all the time.
        slices.owner = dict.fromkeys(slices.all, "a")
        slices.end()
        load.check("after it is over")
    load.end()
    complete(stage, client, slices, moves)
    for name, one in slices.endpoints.items():
        slices.give({})
        stage.claim(f"exit status of the agent of {name}", 0, interrupt(stage, one.agent, 15))
        stage.claim(f"what the agent of {name} leaves behind", before[name], one.everything())


def late(stage: Stage) -> None:
    """Lets the router be late."""
    until = time.monotonic() + LATE
    stage.wait(2 * LATE, f"the router is {LATE} s late", lambda: time.monotonic() >= until)


def quiet(stage: Stage, slices: Slices) -> None:
    """Waits until the old owners of the moves have no flows left."""
    stage.wait(
        timeouts.SOON,
        "the old owners have no flows left",
        lambda: len(slices.observed("flows")) == len(slices.moves) and not any(slices.observed("flows").values()),
    )


def complete(stage: Stage, client: Host, slices: Slices, moves: Mapping[IPv6Network, str]) -> None:
    """Hands over to the end, without connections that stay: then nothing is forwarded."""
    slices.begin(moves)
    for phase in ("Arm", "Announce"):
        slices.phase(phase)
    slices.follow()
    slices.phase("Drain")
    quiet(stage, slices)
    slices.phase("Release")
    slices.end()
    stage.claim("who answers at the end", named(moves), answers(stage, client, slices))
    for name, one in slices.endpoints.items():
        left = {table: one.table(table) for table in (600, 601, 602, 603)}
        stage.claim(f"routes of {name} to peers", {table: [] for table in left}, left)


def without(stage: Stage, mode: str = "plain", long: int = 200, rate: int = 100) -> None:
    """Moves the slices as a script would: routes alone. Connections break."""
    client = stage.net.stranger("client", "2001:db8:0:1::10")
    slices = build(stage, mode)
    for one in slices.endpoints.values():
        one.host.ip(f"route add local {slices.item} dev lo")
    router = stage.net.router
    router.ip(*(f"route add {slice_} via {slices['a'].host.address}" for slice_ in slices.all))
    load = Load(stage, client, slices, long, rate)
    router.ip(*(f"route replace {slice_} via {slices[to].host.address}" for slice_, to in spread(slices).items()))
    alive = load.held.check()
    stage.note(f"{alive} of {long} connections that stay still answer")
    stage.claim_between("connections that break without the mechanism", long // 2, long, long - alive)
    load.new.end()
    load.held.end()
