"""Every kind of rule in both directions: conforming is admitted, a violation is refused and names the part at fault.

Topology: a client with a sidecar, a stranger without one, a router, one server with a sidecar. Each rule is a service
of its own, so that one pair of Envoys has them all.

Configuration: envoy/client.yaml and envoy/server.yaml, all services enforced.

Expected: the client's connections to the plain address arrive at addresses that `ssa verify` finds conforming, and so
does the server; the stranger is served at addresses that `ssa compose` gives it, and refused at those of another
source, time or port, and where a bit is wrong, with the part that `ssa verify` names. Object keys are unknown at layer
4: the client's sidecar leaves such connections as they are, and the server checks the rest of the address.
"""

import ipaddress
import time

from lib import timeouts
from lib.service import Service, inbound, outbound
from lib.stage import address

REQUESTS = 20
OTHER = "2001:db8:0:1::10"
# What the stranger is refused at: what it is, the part at fault, what it composes with, the bit that it then flips.
OF_ANOTHER = ("an address of another source", "field_0", {"source": OTHER}, None)
# Each service, what the stranger composes with, and what it is refused at.
CASES: list[tuple[Service, dict, list]] = [
    (Service(1, "rand", "v=ssa1; addr=rand:64"), {}, []),
    (Service(2, "src-high", "v=ssa1; addr=src[0:64]"), {}, [OF_ANOTHER, ("a flipped bit", "field_0", {}, 127)]),
    (Service(3, "src-low", "v=ssa1; addr=src[64:128]"), {}, [OF_ANOTHER]),
    (
        Service(4, "src-parts", "v=ssa1; addr=src[96:128] rand:16 src[48:64]"),
        {},
        [OF_ANOTHER, ("a flipped bit of the last field", "field_2", {}, 120)],
    ),
    (
        Service(5, "hash", "v=ssa1; addr=hash(src/128):20 rand:44"),
        {},
        [OF_ANOTHER, ("a flipped bit", "field_0", {}, 83)],
    ),
    (
        Service(6, "hash-const", "v=ssa1; addr=hash(src/64):20 const(5):44"),
        {},
        [OF_ANOTHER, ("another constant", "field_1", {}, 127)],
    ),
    (Service(7, "hash-salted", "v=ssa1; addr=hash(src/64):20 rand:44; salt=autumn"), {}, [OF_ANOTHER]),
    (
        Service(8, "hash-port", "v=ssa1; addr=hash(src/128,port):20 rand:44"),
        {},
        [OF_ANOTHER, ("an address for another port", "field_0", {"port": 81}, None)],
    ),
    (
        Service(9, "replicas", "v=ssa1; addr=hash(src/128):20 rand:44; replicas=4"),
        {"replica": "all"},
        [OF_ANOTHER, ("an address between replicas", "field_0", {}, 66)],
    ),
    (
        Service(10, "time", "v=ssa1; addr=hash(src/128,time/30):20 rand:44; skew=5"),
        {},
        [
            OF_ANOTHER,
            ("the address of an hour ago", "field_0", {"time": -3600}, None),
            ("the address of an hour ahead", "field_0", {"time": 3600}, None),
        ],
    ),
    (
        Service(11, "pow", "v=ssa1; addr=hash(src/48):20 rand:44; pow=14"),
        {},
        [("an address without work", "pow", {}, 127), ("work of an hour ago", "pow", {"time": -3600}, None)],
    ),
    (
        Service(
            12,
            "item-hash",
            "v=ssa1; addr=rand:62; item=hash(src/128)",
            items=[f"2001:db8:5:c:{part}::/66" for part in ("0", "4000", "8000", "c000")],
        ),
        {},
        [("an address in another item", "item", {}, 64)],
    ),
    (
        Service(13, "item-list", "v=ssa1; addr=-; item=rand", items=[f"2001:db8:5:d::{n}/128" for n in range(1, 9)]),
        {},
        [],
    ),
    (
        Service(14, "object", "v=ssa1; addr=hash(obj):20 const(0):44"),
        {"object": "photos/cat.jpg"},
        [("another constant", "field_1", {"object": "photos/cat.jpg"}, 127)],
    ),
    (
        Service(
            15,
            "two-records",
            "v=ssa1; addr=hash(src/64):20 rand:44",
            "v=ssa1; addr=hash(src/128):20 rand:44; from=1600000000",
            "v=ssa1; addr=hash(src/128):20 rand:44; salt=later; from=4000000000",
        ),
        {},
        [("an address by the record to come", "field_0", {"time": 4000000000}, None)],
    ),
]


def run(stage):
    services = [service for service, _, _ in CASES]
    client, stranger = stage.net.client(), stage.net.stranger()
    server = stage.server(1, *services)
    near, far = stage.sidecars(
        (client, "client.yaml", outbound(client, *services)), (server, "server.yaml", inbound(*services))
    )
    for service, inputs, violations in CASES:
        stage.note(f"{service.name}: {' | '.join(service.rules)}")
        through_sidecar(stage, service, client, near, far)
        by_hand(stage, service, stranger, far, inputs)
        for what, part, other, bit in violations:
            refused(stage, service, stranger, far, what, part, {**inputs, **other}, bit)


def through_sidecar(stage, service, client, near, far):
    began = int(time.time())
    served = sum(stage.dial(client, service.plain).kind == "served" for _ in range(REQUESTS))
    stage.claim(f"{service.name}: the client's connections that are served", REQUESTS, served)
    lines = far.logged(REQUESTS)
    found = {(line["service"], line["verdict"], line["outcome"]) for line in lines}
    if service.name == "object":
        stage.claim("object: nothing can be composed", REQUESTS, near.outbound(service="object", outcome="failed"))
        stage.claim("object: so the connections go on as they are", {("object", "legacy", "demoted")}, found)
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


def composed(stage, service, stranger, inputs):
    inputs = {"source": stranger.address, "port": 80, **inputs}
    if "time" in inputs and abs(inputs["time"]) <= 3600:
        inputs["time"] += int(time.time())
    return stage.ssa.compose(service.published, inputs.pop("source"), **inputs)


def by_hand(stage, service, stranger, far, inputs):
    wanted = composed(stage, service, stranger, inputs)
    served = [stage.dial(stranger, one).text for one in wanted]
    stage.claim(f"{service.name}: a stranger that composes is served", ["server1"] * len(wanted), served)
    found = {(line["verdict"], line["outcome"]) for line in far.logged(len(wanted))}
    # A filter at layer 4 knows no object.
    finding = "unchecked" if service.name == "object" else "conforming"
    stage.claim(f"{service.name}: and found", {(finding, "allowed")}, found)


def refused(stage, service, stranger, far, what, part, inputs, bit):
    inputs = {name: value for name, value in inputs.items() if name != "replica"}

    def breaks_it():
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
