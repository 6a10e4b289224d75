"""Carts that are kept in memory at two endpoints each: no session is lost with an endpoint, and there is no store."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from common import tools
from common.datacenter import PORT, Datacenter
from common.tables import table
from lib import timeouts
from lib.claims import Broken
from lib.files import Files

if TYPE_CHECKING:
    from common.datacenter import Endpoint
    from lib.stage import Program, Stage

FILES = Files(__file__)
SERVICE = FILES.published()["carts"]
ENDPOINTS = 3
THREADS = 8


def run(stage: Stage, sessions: int = 10000) -> None:
    """`sessions` is how many carts there are."""
    tools.need(stage, "stateful-frontend")
    stage.title(f"{sessions} carts in the memory of {ENDPOINTS} endpoints, each at two of them; no store")
    stage.note(f"  {SERVICE.rules[0]}")
    center = Datacenter(stage, FILES, start)
    center.join(*range(1, ENDPOINTS + 1))
    center.lead(center.plan())
    (client,) = center.client("client")
    shoppers = Shoppers(stage, client, center.domain, sessions)
    shoppers.say("write")
    made = shoppers.event("written")
    stage.claim("carts made, by a write each that was acknowledged", sessions, made["acknowledged"])
    held = {name: status(endpoint)["carts"] for name, endpoint in center.endpoints.items()}
    stage.claim("carts in memory at all endpoints, two copies of each", 2 * sessions, sum(held.values()))
    rows = [[name, count, len(center.slices.prefixes(name))] for name, count in held.items()]
    table(stage, ["", "carts", "prefixes"], rows)

    for number in range(1, 3):
        lost = f"server{number}"
        stage.title(f"{lost} is killed while every cart is being changed")
        shoppers.say("write")
        shoppers.event("half")
        center.kill(lost)
        told = shoppers.event("written")
        stage.claim("writes that were acknowledged, sooner or later", (number + 1) * sessions, told["acknowledged"])
        stage.note(f"{told['repeated']} requests were repeated by the client so far")
        nothing_lost(stage, shoppers, f"after {lost} was killed")
        center.join(ENDPOINTS + number)
        center.lead(center.plan())
        nothing_lost(stage, shoppers, f"with an empty server{ENDPOINTS + number} in its place")
        settle(stage, center)
        held = {name: status(endpoint)["carts"] for name, endpoint in center.endpoints.items()}
        stage.claim("carts in memory, two copies of each again", 2 * sessions, sum(held.values()))

    stage.title(f"From {ENDPOINTS} endpoints to {ENDPOINTS + 1}, while every cart is being changed")
    joined = center.join(ENDPOINTS + 3)
    shoppers.say("write")
    shoppers.event("half")
    plan = center.plan()
    moved = len(center.moves(plan))
    center.lead(plan)
    told = shoppers.event("written")
    stage.claim("writes that were acknowledged, sooner or later", 4 * sessions, told["acknowledged"])
    nothing_lost(stage, shoppers, f"after {moved} of {1 << center.width} slices moved")
    settle(stage, center)
    held = {name: status(endpoint)["carts"] for name, endpoint in center.endpoints.items()}
    stage.claim("carts in memory, two copies of each and none elsewhere", 2 * sessions, sum(held.values()))
    stage.claim_between("carts at the new endpoint, of a fair share", 0.5, 1.5, held[joined[0].name] * 2 / sessions)
    nothing_lost(stage, shoppers, "at the end")
    stage.claim("misdirected requests, which endpoints refused", 0, center.misdirected())
    stage.note(f"{told['acknowledged']} writes were acknowledged; the client repeated {told['repeated']} requests")
    shoppers.end()


def start(stage: Stage, endpoint: Endpoint) -> Program:
    """Starts the application of an endpoint."""
    command = [sys.executable, FILES.folder / "cart.py", SERVICE.plain]
    return stage.start(endpoint.host, f"{endpoint.name}-carts", command)


def status(endpoint: Endpoint) -> dict[str, int]:
    """Asks an endpoint's application how it is."""
    connection = http.client.HTTPConnection("::1", PORT, timeout=timeouts.ADMIN)
    with endpoint.host:
        connection.sock = socket.create_connection(("::1", PORT), timeouts.ADMIN)
    connection.request("GET", "/status")
    told = json.loads(connection.getresponse().read())
    connection.close()
    return told


def settle(stage: Stage, center: Datacenter) -> None:
    """Has endpoints send their carts to where they belong now, and waits until they have arrived."""
    rounds = {name: status(endpoint)["rounds"] for name, endpoint in center.endpoints.items()}
    for endpoint in center.endpoints.values():
        assert endpoint.application, "it runs"
        endpoint.application.send_signal(signal.SIGHUP)

    def settled() -> bool:
        told = {name: status(endpoint) for name, endpoint in center.endpoints.items()}
        return all(one["rounds"] > rounds[name] and not one["owed"] for name, one in told.items())

    stage.wait(timeouts.LASTING, "all carts are at both of their replicas", settled)


def nothing_lost(stage: Stage, shoppers: Shoppers, when: str) -> None:
    """Claims that each cart is there, with all that was acknowledged."""
    shoppers.say("check")
    told = shoppers.event("checked")
    found = tuple(told[what] for what in ("carts lost", "writes lost", "given up"))
    stage.claim(f"{when}: carts lost, acknowledged writes lost, requests given up", (0, 0, 0), found)


class Shoppers:
    """The clients, on a host."""

    def __init__(self, stage: Stage, host: Any, domain: str, sessions: int) -> None:
        command = [sys.executable, FILES.folder / "shoppers.py", domain, sessions, THREADS]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = stage.start(host, "shoppers", command, **pipes)
        self.stage = stage

    def say(self, word: str) -> None:
        """Tells them what to do."""
        assert self.process.stdin, "it is a pipe"
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def event(self, name: str) -> dict[str, Any]:
        """Returns their next line about an event."""
        for line in self.process.stdout or ():
            told = json.loads(line)
            if told["event"] == name:
                return told
        raise Broken(f"shoppers ended before they told {name}; see their log")

    def end(self) -> None:
        """Ends them."""
        self.stage.stop(self.process)
