"""Every kind of rule in both directions: conforming is admitted, a violation is refused and names the part at fault.

Topology: a client with a sidecar, a stranger without one, a router, one server with a sidecar. Each rule belongs to a
service of its own, so that one pair of Envoys has them all.

Configuration: envoy/client.yaml and envoy/server.yaml, all services enforced.

Expected: the client's connections to the plain address arrive at addresses that `ssa verify` finds conforming, and so
does the server; the stranger is served at addresses that `ssa compose` prints for it, and refused at those of another
source, time or port, and if a bit is wrong, with the part that `ssa verify` names. Object keys are unknown at layer 4:
the client's sidecar leaves such connections unchanged, and the server checks the rest of the address.
"""

import ipaddress
import time
from ipaddress import IPv6Address
from typing import Any

from lib import timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.net import Host
from lib.service import Service
from lib.stage import Stage, address

LIGHT = True
FILES = Files(__file__)
REQUESTS = 20
OTHER = "2001:db8:0:1::10"
# What the stranger is refused at: what it is, the part at fault, what it composes with, the bit that it then flips.
OF_ANOTHER = ("an address of another source", "field_0", {"source": OTHER}, None)
# Of each service: what the stranger composes with, and what it is refused at.
CASES: dict[str, tuple[dict, list]] = {
    "rand": ({}, []),
    "src-high": ({}, [OF_ANOTHER, ("a flipped bit", "field_0", {}, 127)]),
    "src-low": ({}, [OF_ANOTHER]),
    "src-parts": ({}, [OF_ANOTHER, ("a flipped bit of the last field", "field_2", {}, 120)]),
    "hash": ({}, [OF_ANOTHER, ("a flipped bit", "field_0", {}, 83)]),
    "hash-const": ({}, [OF_ANOTHER, ("another constant", "field_1", {}, 127)]),
    "hash-salted": ({}, [OF_ANOTHER]),
    "hash-port": ({}, [OF_ANOTHER, ("an address for another port", "field_0", {"port": 81}, None)]),
    "replicas": ({"replica": "all"}, [OF_ANOTHER, ("an address between replicas", "field_0", {}, 66)]),
    "time": (
        {},
        [
            OF_ANOTHER,
            ("the address of an hour ago", "field_0", {"time": -3600}, None),
            ("the address of an hour ahead", "field_0", {"time": 3600}, None),
        ],
    ),
    "pow": (
        {},
        [("an address without work", "pow", {}, 127), ("work of an hour ago", "pow", {"time": -3600}, None)],
    ),
    "item-hash": ({}, [("an address in another item", "item", {}, 64)]),
    "item-list": ({}, []),
    "object": (
        {"object": "photos/cat.jpg"},
        [("another constant", "field_1", {"object": "photos/cat.jpg"}, 127)],
    ),
    "two-records": ({}, [("an address by the record to come", "field_0", {"time": 4000000000}, None)]),
}


def run(stage: Stage) -> None:
    services = FILES.services()
    client, stranger = stage.net.client(), stage.net.stranger()
    server = stage.server(1, *services.values())
    near, far = stage.sidecars((client, "client.yaml", FILES.client()), (server, "server.yaml", FILES.server()))
    stage.claim("services that are tried", list(services), list(CASES))
    for name, (inputs, violations) in CASES.items():
        service = services[name]
        stage.note(f"{service.name}: {' | '.join(service.rules)}")
        through_sidecar(stage, service, client, near, far)
        by_hand(stage, service, stranger, far, inputs)
        for what, part, other, bit in violations:
            refused(stage, service, stranger, far, what, part, {**inputs, **other}, bit)


def through_sidecar(stage: Stage, service: Service, client: Host, near: Sidecar, far: Sidecar) -> None:
    began = int(time.time())
    served = sum(stage.dial(client, service.plain).kind == "served" for _ in range(REQUESTS))
    stage.claim(f"{service.name}: the client's connections that are served", REQUESTS, served)
    lines = far.logged(REQUESTS)
    found = {(line["service"], line["verdict"], line["outcome"]) for line in lines}
    if service.name == "object":
        stage.claim("object: nothing can be composed", REQUESTS, near.outbound(service="object", outcome="failed"))
        stage.claim("object: the connections are left unchanged", {("object", "legacy", "demoted")}, found)
        return
    stage.claim(f"{service.name}: what the server finds of them", {(service.name, "conforming", "allowed")}, found)
    stage.claim(
        f"{service.name}: what the client's sidecar counts",
        REQUESTS,
        near.outbound(service=service.name, outcome="composed"),
    )
    flows = [(address(line["source"]), address(line["destination"]), 80) for line in lines]
    verdicts = set(stage.ssa.verify_all(service.published, flows, time=began))
    stage.claim(f"{service.name}: what ssa verify says of their addresses", {("conforming", None)}, verdicts)


def composed(stage: Stage, service: Service, stranger: Host, inputs: dict[str, Any]) -> list[IPv6Address]:
    inputs = {"source": stranger.address, "port": 80, **inputs}
    if "time" in inputs and abs(inputs["time"]) <= 3600:
        inputs["time"] += int(time.time())
    return stage.ssa.compose(service.published, inputs.pop("source"), **inputs)


def by_hand(stage: Stage, service: Service, stranger: Host, far: Sidecar, inputs: dict[str, Any]) -> None:
    wanted = composed(stage, service, stranger, inputs)
    served = [stage.dial(stranger, one).text for one in wanted]
    stage.claim(f"{service.name}: a stranger that composes is served", ["server1"] * len(wanted), served)
    found = {(line["verdict"], line["outcome"]) for line in far.logged(len(wanted))}
    # A filter at layer 4 knows no object.
    finding = "unchecked" if service.name == "object" else "conforming"
    stage.claim(f"{service.name}: verdicts", {(finding, "allowed")}, found)


def refused(
    stage: Stage,
    service: Service,
    stranger: Host,
    far: Sidecar,
    what: str,
    part: str,
    inputs: dict[str, Any],
    bit: int | None,
) -> None:
    inputs = {name: value for name, value in inputs.items() if name != "replica"}

    def breaks_it() -> IPv6Address | None:
        """One address in so many conforms by chance."""
        wrong = composed(stage, service, stranger, inputs)[0]
        if bit is not None:
            wrong = ipaddress.IPv6Address(int(wrong) ^ 1 << 127 - bit)
        verdict = stage.ssa.verify(service.published, stranger.address, wrong, port=80)
        return wrong if verdict[0] != "conforming" else None

    wrong = stage.wait(timeouts.SOON, f"{service.name}: {what} that does not conform by chance", breaks_it)
    stage.claim(f"{service.name}: {what} is", "refused", stage.dial(stranger, wrong).kind)
    line = far.logged(1)[0]
    stage.claim(
        f"{service.name}: {what} is found",
        ("violation", part, "denied"),
        (line["verdict"], line["part"], line["outcome"]),
    )
    verdict = stage.ssa.verify(service.published, stranger.address, wrong, port=80)
    stage.claim(f"{service.name}: as ssa verify says", ("violation", part), verdict)
