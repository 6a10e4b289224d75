"""Four endpoints are replaced, two at a time: what the first two gave to the others goes on while their flows drain."""

from __future__ import annotations

import signal
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from . import timeouts
from .fleet import Fleet, owner_of, phase
from .slices import interrupt

if TYPE_CHECKING:
    from .net import Host
    from .stage import Load, Program, Stage

PORT = 80
# What has been handed over and waits for flows.
DRAINS = ("Drain", "Release", "Withdraw")
# New connections that are seen after two endpoints have ended, by their rate a second.
RATE, SEEN = 100, 500


class Replacement:
    """All of it."""

    def __init__(self, stage: Stage, ownership: str) -> None:
        self.stage = stage
        self.client: Host = stage.net.stranger("client", "2001:db8:0:1::10")
        handover = {"drainSeconds": 600, "parallel": 64}
        self.fleet = Fleet(stage, "web", "2001:db8:5:1::/64", ownership=ownership, handover=handover)
        self.names = [f"server{number}" for number in range(1, 9)]
        self.hosts = [stage.net.host(name, f"2001:db8:0:{place}::1") for place, name in enumerate(self.names, 101)]
        self.applications: dict[str, Program] = {host.name: stage.application(host, "::", PORT) for host in self.hosts}
        stage.follow(*self.hosts)
        # Nobody ends because it has waited for so long.
        self.flags = ["--probe", f"tcp:[::1]:{PORT}", "--drain-seconds", 600]
        self.fleet.join(*self.hosts[:4], flags=dict.fromkeys(self.names, self.flags))
        self.fleet.lead("controller", stage.net.router)
        self.fleet.settled(self.names[:4])
        # Agents may have yet to follow the map.
        stage.wait_steady(timeouts.SOON, "owners answer", self.owners_answer)

    def owners_answer(self) -> bool:
        """Whether what is dialled is answered by whoever owns it by the map."""
        owned = self.fleet.owners().items()
        return all(self.stage.dial(self.client, prefix[1], PORT).text == owner for prefix, owner in owned)

    def addresses(self, *owners: str) -> list[IPv6Address]:
        """Returns addresses of slices of these endpoints, or of all."""
        owned = self.fleet.owners()
        found = [prefix[number] for number in range(1, 5) for prefix in self.fleet.item.subnets(4)]
        return [one for one in found if not owners or owner_of(owned, one) in owners]

    def stays(self, what: str, *owners: str) -> Load:
        """Opens connections that stay, to slices that are these endpoints' by the map."""
        addresses = self.addresses(*owners)
        load = self.stage.load(self.client, destinations=addresses, count=100, hold=True, at_once=64)
        self.stage.claim(f"connections {what}", 100, load.settled()["held"])
        return load

    def has_gone_on(self) -> bool:
        """Whether all that can go on has: moves wait for flows alone, and some are to new endpoints."""
        moves = self.fleet.moves()
        to_new = any(move["spec"]["to"] in self.names[4:] for move in moves)
        return to_new and all(phase(move) in DRAINS for move in moves)

    def end(self, *names: str) -> None:
        """Ends endpoints, as a pod ends whose time is over, with what is still theirs."""
        for name in names:
            self.stage.forget(self.applications[name])
            self.applications[name].kill()
            interrupt(self.stage, self.fleet.agents[name], signal.SIGTERM)


def run(stage: Stage, ownership: str = "Available") -> None:
    """Replaces four endpoints by four others; with exclusive ownership nothing goes on, and new connections fail."""
    goes_on = ownership == "Available"
    all_of_it = Replacement(stage, ownership)
    fleet, names = all_of_it.fleet, all_of_it.names
    kept = {"with the first two": all_of_it.stays("with the first two", *names[:2])}
    kept["with the last two"] = all_of_it.stays("with the last two", *names[2:4])
    load = stage.load(all_of_it.client, destinations=all_of_it.addresses(), rate=RATE, timeout=3)
    stage.note("the first two are told to end")
    fleet.leave(*names[:2])
    fleet.spread(names[2:4])
    # The map names the first two still.
    taken_over = "that the last two took over"
    kept[taken_over] = all_of_it.stays(taken_over, *names[:2])
    stage.note("four others join, and the last two are told to end")
    fleet.join(*all_of_it.hosts[4:], flags=dict.fromkeys(names, all_of_it.flags))
    fleet.leave(*names[2:4])
    stage.wait(timeouts.RETRIED, "what can go on has gone on", all_of_it.has_gone_on)
    left = sorted(set(fleet.counts(fleet.takers())) - set(names[4:]))
    stage.claim("those that leave and take new connections", [] if goes_on else names[2:4], left)
    for what, one in kept.items():
        stage.claim(f"connections {what} that answer", 100, one.check())
    stage.note("the last two end")
    all_of_it.end(*names[2:4])
    addresses = all_of_it.addresses()
    after = stage.load(all_of_it.client, destinations=addresses, rate=RATE, count=SEEN, timeout=3)
    answered = after.settled()["answered"]
    stage.claim("connections with the first two that answer at the end", 100, kept["with the first two"].check())
    if goes_on:
        stage.claim("new connections that are answered after the last two have ended", SEEN, answered)
        load.end_steady()
    else:
        stage.claim_between("new connections that fail after the last two have ended", 1, SEEN, SEEN - answered)
        load.end()
    for one in (after, *kept.values()):
        one.end()
