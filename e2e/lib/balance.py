"""Connections by Zipf's law to the slices of four endpoints, which tell their load."""

from __future__ import annotations

import json
import random
import time
import urllib.request
from ipaddress import IPv6Address, IPv6Network

from . import timeouts
from .away import pause
from .fleet import Fleet, owner_of
from .stage import Stage

PORT = 80
HTTP_PORT = 9476
# How unevenly: the busiest endpoint, relative to the mean.
UNEVEN, EVEN = 1.8, 1.15
# How long slices may take to move, in seconds; the controller asks for loads every 10 s.
LIMIT = 60
ROUND = 10
RATE = 100
EXPONENT = 1.0


class Balance:
    """Four endpoints, their slices, and how often each address is dialled."""

    def __init__(self, stage: Stage, **balance: object) -> None:
        self.stage = stage
        self.client = stage.net.stranger("client", "2001:db8:0:1::10")
        handover = {"drainSeconds": 60, "parallel": 64}
        self.fleet = Fleet(
            stage, "web", "2001:db8:5:1::/64", bits=8, handover=handover, balance=balance, http_port=HTTP_PORT
        )
        self.names = [f"server{number}" for number in range(1, 5)]
        hosts = [stage.net.host(name, f"2001:db8:0:{100 + number}::1") for number, name in enumerate(self.names, 1)]
        for host in hosts:
            stage.application(host, "::", PORT)
        stage.follow(*hosts)
        listens = {host.name: ["--listen", f"[{host.address}]:{HTTP_PORT}"] for host in hosts}
        self.fleet.join(*hosts, flags={name: ["--probe", f"tcp:[::1]:{PORT}", *listens[name]] for name in self.names})
        self.fleet.lead("controller", stage.net.router, "--listen", "[::1]:9474")
        self.fleet.settled(self.names)
        stage.wait_steady(timeouts.INTERVAL, "the router leads every slice to its owner", self.fleet.led)
        self.addresses = self.dialled()

    def dialled(self) -> list[IPv6Address]:
        """Returns addresses, each as often as it is dialled in one turn.

        The first endpoint's slices have higher ranks than those of the others. Addresses of a slice are anywhere in it,
        so that its parts are asked for alike.
        """
        draw = random.Random(7)
        owners = self.fleet.owners()
        length = self.fleet.item.prefixlen + 8
        slices = list(self.fleet.item.subnets(new_prefix=length))
        draw.shuffle(slices)
        # Every second rank is the first endpoint's, while it has slices left.
        first = [one for one in slices if owner_of(owners, one[0]) == self.names[0]]
        others = [one for one in slices if one not in first]
        ranked = [one for pair in zip(first, others, strict=False) for one in pair] + others[len(first) :]
        weights = [1 / rank**EXPONENT for rank in range(1, len(ranked) + 1)]
        turn = 10 * RATE
        dialled: list[IPv6Address] = []
        due = 0.0
        for slice_, weight in zip(ranked, weights, strict=True):
            due += turn * weight / sum(weights)
            while len(dialled) < round(due):
                dialled.append(anywhere(slice_, draw))
        draw.shuffle(dialled)
        return dialled

    def uneven(self) -> float:
        """Returns the load of the busiest endpoint relative to the mean, by who takes what is dialled."""
        takers = self.fleet.takers()
        counts = dict.fromkeys(self.names, 0)
        for address in self.addresses:
            counts[owner_of(takers, address)] += 1
        return max(counts.values()) * len(counts) / len(self.addresses)

    def load(self, name: str) -> dict[str, float]:
        """Asks an agent for its load: new flows and bytes a second of all its prefixes together."""
        url = f"http://[{self.fleet.hosts[name].address}]:{HTTP_PORT}/load"
        with self.stage.net.router, urllib.request.urlopen(url, timeout=timeouts.ADMIN) as answer:
            told = json.load(answer)["prefixes"]
        return {field: sum(one[field] for one in told) for field in ("newFlows", "bytes")}

    def reasons(self) -> list[str]:
        """Returns the reasons of all moves for load so far, by name of the move."""
        moves = self.fleet.moves(all_of_them=True)
        return sorted(one["metadata"]["name"] for one in moves if one["spec"]["reason"] == "Balance")

    def measured(self) -> bool:
        """Whether the controller knows a load of the set."""
        with self.stage.net.router, urllib.request.urlopen("http://[::1]:9474/metrics", timeout=timeouts.ADMIN) as page:
            return b"\nssa_cluster_load{" in page.read()


def anywhere(prefix: IPv6Network, draw: random.Random) -> IPv6Address:
    """Returns an address of a prefix."""
    return prefix[draw.randrange(1, prefix.num_addresses)]


def run(stage: Stage) -> None:
    """Slices move until all have their share, and then rest."""
    balance = Balance(stage, metric="NewFlows", tolerancePercent=12, cooldownSeconds=60)
    load = stage.load(balance.client, destinations=balance.addresses, rate=RATE)
    stage.claim_between("busiest endpoint at first, relative to the mean", UNEVEN, 4, round(balance.uneven(), 2))
    stage.wait(timeouts.RETRIED + 2 * ROUND, "the load is measured", balance.measured)
    began = time.monotonic()
    even = lambda: balance.uneven() <= EVEN  # noqa: E731
    stage.wait(LIMIT * timeouts.FACTOR, f"no endpoint has more than {EVEN} times the mean", even, pause=1)
    stage.note(f"        even after {time.monotonic() - began:.0f} s and {len(balance.reasons())} moves")
    told = [balance.load(name) for name in balance.names]
    flows = sum(one["newFlows"] for one in told)
    stage.claim_between(
        "new flows a second that agents tell of", 0.7 * RATE / timeouts.FACTOR, 1.3 * RATE, round(flows)
    )
    stage.claim_between("whether agents tell of bytes", 1, 10**9, round(sum(one["bytes"] for one in told)))
    # What is smoothed lags behind what is so by a few rounds, and may still move a slice or two.
    known: list[str] = []

    def quiet() -> bool:
        nonlocal known
        before, known = known, balance.reasons()
        return before == known and not balance.fleet.moves()

    stage.wait(timeouts.ROLLED_OUT, "nothing has begun to move for two rounds", quiet, pause=2 * ROUND)
    pause(stage, 3 * ROUND, "the controller looks at the same load")
    stage.claim("moves that began at a load that stays", [], sorted(set(balance.reasons()) - set(known)))
    stage.claim_between("busiest endpoint in the end", 1, EVEN, round(balance.uneven(), 2))
    load.end_steady()


def without(stage: Stage) -> None:
    """Nothing moves, and the busiest endpoint stays so."""
    balance = Balance(stage, metric="None")
    load = stage.load(balance.client, destinations=balance.addresses, rate=RATE)
    stage.claim_between("busiest endpoint at first, relative to the mean", UNEVEN, 4, round(balance.uneven(), 2))
    pause(stage, LIMIT, "slices might move")
    stage.claim_between("busiest endpoint in the end", UNEVEN, 4, round(balance.uneven(), 2))
    stage.claim("moves for load", [], balance.reasons())
    load.end_steady()
