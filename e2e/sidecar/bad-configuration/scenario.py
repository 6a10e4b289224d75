"""Invalid configuration: Envoy rejects the listener, the log names every fault, and the last good one stays in force.

Topology: a client with a sidecar, a stranger without one, a router, one server with a sidecar.

Configuration: envoy/client.yaml and envoy/server.yaml, with their listeners from a file (LDS); then the server's filter
alone from a file (ECDS).

Expected: an Envoy that starts with an invalid configuration exits with status 1, not by a signal. One that is running
counts each invalid push as rejected, logs the place of every fault, and continues with its last good configuration; a
good push afterwards is accepted.
"""

import copy
from collections.abc import Callable
from typing import Any

from lib import timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.stage import Stage

LIGHT = True
FILES = Files(__file__)
WEB = FILES.service("web")
SECRET = "00112233445566778899aabbccddeeff"
MANY = [
    "services[0].name",
    "services[0].apl",
    "services[0].rules[0]",
    "services[0].mode",
    "services[0].ports[0]",
    "whatever",
]


def garbage(good: dict[str, Any]) -> list[tuple[str, Any, list[str]]]:
    """Bad configurations of either role, each with places that the log has to name."""
    rules = copy.deepcopy(good)
    rules["services"][0]["rules"] = ["v=ssa1; addr=rand:63", "v=ssa1; addr=rand:64; nonsense=1; from=5"]
    secret = copy.deepcopy(good)
    secret["services"][0]["rules"] = ["v=ssa1; addr=mac(src/64):64; key=k1"]
    inline = copy.deepcopy(secret)
    inline["services"][0]["secrets"] = {"k1": {"secret": SECRET}}
    return [
        ("no JSON", "nonsense", []),
        ("nothing", "", []),
        ("half of it", '{"role": "inbound", "services": [', []),
        ("a list", "[]", []),
        ("numbers past all bounds", '{"role": "inbound", "services": [{"ports": [1e999, -1]}]}', []),
        ("100,000 brackets", "[" * 100_000, []),
        ("a megabyte in one name", '{"role": "' + "x" * 1_000_000 + '"}', ["role"]),
        ("bytes that are no text", b"\x00\xff\xfe\x80{}", []),
        ("a role that there is none of", {**good, "role": "sideways"}, ["role"]),
        ("unusable rules", rules, ["services[0].rules[0]", "services[0].rules[1]"]),
        ("a rule that needs a secret", secret, ["services[0].rules[0]"]),
        ("a secret inline", inline, ["services[0]"]),
    ]


def of_servers(good: dict[str, Any]) -> list[tuple[str, Any, list[str]]]:
    """Bad configurations of servers."""
    many = {
        "role": "inbound",
        "whatever": 1,
        "services": [{"name": "", "apl": "2:::/129", "rules": ["v=ssa2"], "ports": [0], "mode": "maybe"}],
    }
    overlap = {**good, "services": [*good["services"], {**good["services"][0], "name": "other"}]}
    return [
        ("many faults at once", many, MANY),
        ("two services in one space", overlap, ["services", "other"]),
    ]


def refuses(
    stage: Stage,
    sidecar: Sidecar,
    what: str,
    configuration: dict[str, Any],
    places: Any,
    counter: str,
    works: Callable[[], object],
) -> None:
    """Pushes a bad configuration."""
    rejected, printed = sidecar.stat(counter), len(sidecar.output())
    sidecar.push(configuration)
    stage.wait(timeouts.SOON, f"{what}: rejected", lambda: sidecar.stat(counter) > rejected)

    def named() -> bool:
        log = sidecar.output()[printed:]
        return all(place in log for place in ["configuration refused", *places])

    try:
        stage.wait(timeouts.SOON, f"{what}: the log names {places}", named)
        said = "all"
    except Exception as error:  # the claim tells it
        said = f"{error}; it says {sidecar.output()[printed:][:1000]}"
    stage.claim(f"{what}: faults that the log names", "all", said)
    stage.claim_steady(f"{what}: the last good configuration stays in force", works)


def run(stage: Stage) -> None:
    client, stranger = stage.net.client(), stage.net.stranger()
    server, unlucky = stage.server(1, WEB), stage.net.server(2, [])
    for_server, for_client = FILES.server(), FILES.client()

    stage.note("at the start")
    for number, (what, configuration, places) in enumerate([*garbage(for_server)[:1], *of_servers(for_server)]):
        sidecar = Sidecar(stage, unlucky, "server.yaml", configuration, folder=f"unlucky-{number}")
        process = sidecar.start()
        stage.forget(process)
        stage.claim(f"{what}: Envoy exits with", 1, process.wait(timeouts.ENDED))
        log = sidecar.output()
        stage.claim(f"{what}: faults missing from the log", [], [place for place in places if place not in log])
        stage.claim_in(f"{what}: the log", "configuration refused", log)

    stage.note("by LDS")
    near = Sidecar(stage, client, "client.yaml", for_client, dynamic="lds")
    far = Sidecar(stage, server, "server.yaml", for_server, dynamic="lds")
    stage.begin(near, far)
    mine = stage.ssa.compose(WEB.published, stranger.address)[0]
    other = stage.ssa.compose(WEB.published, client.address)[0]

    def served_and_refused() -> bool:
        return stage.dial(stranger, mine).kind == "served" and stage.dial(stranger, other).kind == "refused"

    def composed() -> bool:
        before = near.outbound(outcome="composed")
        return stage.dial(client, WEB.plain).kind == "served" and near.outbound(outcome="composed") == before + 1

    lds = r"listener_manager\.lds\.update_rejected"
    for what, configuration, places in [*garbage(for_server), *of_servers(for_server)]:
        refuses(stage, far, f"server, {what}", configuration, places, lds, served_and_refused)
    for what, configuration, places in garbage(for_client):
        refuses(stage, near, f"client, {what}", configuration, places, lds, composed)
    stage.claim("logs that contain the secret", [], [one.host.name for one in (near, far) if SECRET in one.output()])
    taken = far.stat(r"listener_manager\.lds\.update_success")
    far.push(FILES.json("server-shadow.json"))
    stage.wait(
        timeouts.SOON, "a good push is taken", lambda: far.stat(r"listener_manager\.lds\.update_success") > taken
    )
    stage.claim("after a good push a violation is", "served", stage.dial(stranger, other).kind)
    far.stop()

    stage.note("by ECDS")
    far = stage.sidecar(server, "server.yaml", for_server, dynamic="ecds", folder="server1-ecds")
    for what, configuration, places in of_servers(for_server):
        counter = r"extension_config_discovery\..*\.config_fail"
        refuses(stage, far, f"server, {what}", configuration, places, counter, served_and_refused)
