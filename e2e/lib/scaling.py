"""Endpoints come and leave while connections stay open, led by real controllers."""

from __future__ import annotations

import signal

from . import timeouts
from .fleet import Fleet
from .slices import interrupt
from .stage import Stage


def run(stage: Stage, store: str | None = None) -> None:
    """From two endpoints to four, then to three; the leader is killed meanwhile; `store` is where objects are."""
    client = stage.net.stranger("client", "2001:db8:0:1::10")
    fleet = Fleet(stage, "web", "2001:db8:5:1::/64", store, handover={"drainSeconds": 600, "parallel": 64})
    names = [f"server{number}" for number in range(1, 5)]
    hosts = [stage.net.host(name, f"2001:db8:0:{100 + number}::1") for number, name in enumerate(names, 1)]
    for host in hosts:
        stage.application(host, "::", 80)
    stage.follow(*hosts)
    flags = {name: ["--probe", "tcp:[::1]:80"] for name in names}
    fleet.join(*hosts[:2], flags=flags)
    for number in (1, 2):
        fleet.lead(f"controller-{number}", stage.net.router)
    fleet.settled(names[:2])
    stage.wait_steady(timeouts.INTERVAL, "the router leads every slice to its owner", fleet.led)
    addresses = [prefix[number] for number in range(1, 9) for prefix in fleet.item.subnets(4)]
    stays = stage.load(client, destinations=addresses, count=200, hold=True, at_once=64)
    stage.claim("connections that stay", 200, stays.settled()["held"])
    load = stage.load(client, destinations=addresses, rate=100)
    fleet.join(*hosts[2:], flags=flags)
    fleet.spread(names)
    stage.claim("connections that stay and answer with four endpoints", 200, stays.check())
    leader = fleet.leader()
    interrupt(stage, fleet.controllers[leader], signal.SIGKILL)
    fleet.leave("server4")
    fleet.spread(names[:3], timeouts.RETRIED)
    stage.claim("whether another controller leads", True, fleet.leader() != leader)
    stage.wait(timeouts.RETRIED, "the agent of server4 has ended", lambda: fleet.gone("server4"))
    stage.claim("exit status of the agent of server4", 0, fleet.agents["server4"].poll())
    stage.claim("connections that stay and answer with three endpoints", 200, stays.check())
    load.end_steady()
    stays.end()
