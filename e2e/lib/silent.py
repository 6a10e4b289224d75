"""A store that takes connections and answers none."""

from __future__ import annotations

import functools
import itertools
import json
import signal
import time
import urllib.request
from collections.abc import Callable

from . import etcd, timeouts
from .away import pause
from .fleet import Fleet
from .follow import announced
from .slices import interrupt
from .stage import Stage
from .takeover import key

PORT = 80
HTTP_PORT = 9476
# A call of a store takes 10 s until it is given up, and an agent makes one every 5 s.
AGENTS_CALL = 6
# How long an agent may take for what needs no store, in seconds.
SOON = 2 * timeouts.FACTOR


def run(stage: Stage) -> None:
    """Everything that needs no store is done at once, while the store is silent."""
    store = etcd.start(stage)
    (server,) = [one for one in stage.processes if one.title == "etcd"]
    fleet = Fleet(stage, "web", "2001:db8:5:1::/64", store, http_port=HTTP_PORT)
    names = [f"server{number}" for number in range(1, 4)]
    hosts = [stage.net.host(name, f"2001:db8:0:{100 + number}::1") for number, name in enumerate(names, 1)]
    applications = {host.name: stage.application(host, "::", PORT) for host in hosts}
    flags = {
        host.name: [
            *("--probe", f"tcp:[::1]:{PORT}", "--heartbeat-key", key(stage), "--drain-seconds", 1),
            *("--listen", f"[{host.address}]:{HTTP_PORT}"),
        ]
        for host in hosts
    }
    fleet.join(*hosts, flags=flags)
    fleet.lead("controller", stage.net.router)
    fleet.settled(names)

    def routes(name: str) -> dict[str, int]:
        shown = fleet.hosts[name].run("ip -6 route show table all")
        found: dict[str, int] = {}
        for prefix, metric in announced(shown):
            found[str(prefix)] = min(metric, found.get(str(prefix), metric))
        return found

    def metric(name: str, line: str) -> float:
        host = fleet.hosts[name]
        url = f"http://[{host.address}]:{HTTP_PORT}/metrics"
        with host, urllib.request.urlopen(url, timeout=timeouts.ADMIN) as page:
            lines = page.read().decode().splitlines()
        return next(float(one.rpartition(" ")[2]) for one in lines if one.startswith(f"{line} "))

    def within(what: str, condition: Callable[[], bool]) -> None:
        began = time.monotonic()
        stage.wait(timeouts.RETRIED, what, condition, pause=0.02)
        elapsed = time.monotonic() - began
        stage.claim_between(f"seconds until {what}", 0, SOON, round(elapsed, 2))

    before = {name: routes(name) for name in names}

    def stands_by(taker: str, owner: str) -> set[str]:
        """What one endpoint stands by for of what another one owns."""
        owned = {prefix for prefix, metric in before[owner].items() if metric == 100}
        return {prefix for prefix in owned if before[taker].get(prefix) == 1000}

    lost, taker, stopped = max(itertools.permutations(names), key=lambda three: len(stands_by(three[1], three[0])))
    theirs = stands_by(taker, lost)
    stage.claim("whether agents know that the store answers", [1.0] * 3, [reachable(metric, name) for name in names])
    server.send_signal(signal.SIGSTOP)
    pause(stage, AGENTS_CALL, "every agent has asked the store")
    for lap in range(3):
        for name in names:
            fleet.hosts[name].run("ip -6 route flush table 510")
            has_again = functools.partial(lambda name: routes(name) == before[name], name)
            within(f"{name} has its routes again, {lap + 1}", has_again)
    repaired = [metric(name, 'ssa_cluster_agent_repaired_total{kind="routes"}') for name in names]
    stage.claim("whether all have counted what they repaired", True, all(count >= 3 for count in repaired))
    stage.forget(applications[stopped])
    applications[stopped].kill()
    within("an owner without application announces nothing", lambda: not {50, 100} & set(routes(stopped).values()))
    # Nobody tells its peers that it ends: heartbeats stop.
    interrupt(stage, fleet.agents[lost], signal.SIGKILL)
    within("the standby has taken over", lambda: theirs <= {one for one, at in routes(taker).items() if at == 50})
    counted = metric(taker, "ssa_cluster_agent_takeovers_total")
    stage.claim_between("prefixes that it has counted as taken over", len(theirs), 16, int(counted))
    stage.claim("peers that it has lost", 1.0, metric(taker, "ssa_cluster_agent_peers_lost_total"))
    stage.wait(timeouts.RETRIED, "it knows that the store is silent", lambda: reachable(metric, taker) == 0.0)
    began = time.monotonic()
    ended = interrupt(stage, fleet.agents[stopped], signal.SIGTERM)
    stage.claim("exit status of the agent that is told to end", 0, ended)
    # One second in which it drains, and one for its last word.
    stage.claim_between("seconds until it has ended", 0, 2 + SOON, round(time.monotonic() - began, 2))
    server.send_signal(signal.SIGCONT)
    stage.wait(timeouts.RETRIED, "it reports what it has taken", lambda: taken_of(fleet, taker))
    stage.wait(timeouts.SOON, "it knows that the store answers", lambda: reachable(metric, taker) == 1.0)


def reachable(metric: Callable[[str, str], float], name: str) -> float:
    """Whether an agent says that its store answers."""
    return metric(name, "ssa_cluster_store_reachable")


def taken_of(fleet: Fleet, name: str) -> bool:
    """Whether the store knows of something that an endpoint has taken over, or owns by then."""
    found = [one for one in fleet.get("sliceendpoints") if one["metadata"]["name"] == name]
    moves = [one for one in fleet.moves(all_of_them=True) if one["spec"]["reason"] == "Failure"]
    return bool(moves) or any(json.dumps(one["status"].get("taken", [])) != "[]" for one in found)
