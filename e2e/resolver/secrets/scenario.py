"""A secret is rotated through mounted files at 500 connections/s: no conforming connection is refused.

Topology: a client with a sidecar and a shim, a stranger, a router, a server with a sidecar and a shim, a DNS server.

Configuration: the server's shim has secrets and the client's shim its own client keys, each from a directory that is
swapped as Kubernetes swaps a mounted Secret.

Expected: the second key is mounted next to the first, the second record published and the first removed; all
connections are answered. The client never receives a master secret. The kill switch and the mode change with a reload,
which drains nothing, and an invalid configuration changes nothing. Neither logs nor state nor status reveal a secret.
"""

import os
import time
from pathlib import Path
from typing import Any

from lib import resolver, timeouts
from lib.files import Files
from lib.keys import client_key
from lib.stage import Stage

LIMIT = 150
MASTERS = {"k1": "00112233445566778899aabbccddeeff", "k2": "ffeeddccbbaa99887766554433221100"}
FILES = Files(__file__)
WEB = FILES.published("zone-first")["web"]
RATE, TTL = 500, 2


def mount(folder: Path, version: Any, keys: Any) -> None:
    """Puts keys into a folder as a mounted Secret has them."""
    target = folder / f"..{version}"
    target.mkdir(parents=True)
    for name, text in keys.items():
        (target / name).write_text(text)
    (folder / "..next").symlink_to(target.name)
    os.replace(folder / "..next", folder / "..data")
    for name in keys:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")


def run(stage: Stage) -> None:
    dns = stage.net.host("dns", "2001:db8:0:53::53")
    client, stranger = stage.net.client(), stage.net.stranger()
    server = stage.net.server(1, WEB.prefixes)
    for prefix in WEB.prefixes:
        stage.net.route(prefix, server)
    stage.application(server)
    zone = resolver.NameServer(stage, dns)
    zone.publish(FILES.text("zone-first"))
    folders = {host: stage.work / f"keys-{host.name}" for host in (server, client)}
    own = {name: client_key(master, 64, client.address) for name, master in MASTERS.items()}

    def mount_all(version: Any, *names: str) -> None:
        mount(folders[server], version, {name: MASTERS[name] for name in names})
        mount(folders[client], version, {name: own[name] for name in names})

    mount_all("one", "k1")
    of_server = FILES.having(keys=folders[server]).later("server-resolver.json")
    of_client = FILES.having(keys=folders[client]).later("client-resolver.json")
    far, far_shim = resolver.sidecar(stage, server, FILES.server(), of_server)
    near, near_shim = resolver.sidecar(stage, client, FILES.client(), of_client)
    stage.begin(far, near)
    load = stage.load(client, destinations=[WEB.plain], rate=RATE)
    stage.wait(timeouts.SOON, "connections are made", lambda: far.inbound(verdict="conforming") > RATE)

    stage.note("the key is rotated")
    mount_all("two", "k1", "k2")
    moment = int(time.time()) + 2 * TTL + 3
    zone.publish(FILES.text("zone-both", moment=moment))
    second = FILES.having(moment=moment).published("zone-second")["web"].rules
    for shim, role in ((far_shim, "inbound"), (near_shim, "outbound")):
        stage.wait(3 * TTL, f"{shim.host.name} has both", lambda: "k2" in str(shim.rules(role, "web")))
        secrets = shim.fetch(role)[2]["services"][0]["secrets"]
        stage.claim(f"keys that {shim.host.name} serves", ["k1", "k2"], sorted(secrets))
        kinds = sorted({kind for secret in secrets.values() for kind in secret})
        stage.claim("and they are", ["secret"] if role == "inbound" else ["client_key"], kinds)
    stage.wait(timeouts.SOON, "the new one takes effect", lambda: time.time() > moment + TTL)
    zone.publish(FILES.text("zone-second", moment=moment))
    stage.wait(3 * TTL, "the client has the new one alone", lambda: near_shim.rules("outbound", "web") == second)
    stage.claim(
        "the client is told no old key", ["k2"], sorted(near_shim.fetch("outbound")[2]["services"][0]["secrets"])
    )

    stage.note("modes and the kill switch")
    entries = far_shim.configuration["services"]
    shadow = [{**entries[0], "inbound": {**entries[0]["inbound"], "mode": "shadow"}}]
    far_shim.reload(services=shadow)
    address = f"{WEB.prefixes[0].partition('/')[0]}77"
    shadowed = lambda: far.inbound(outcome="shadow_denied")  # noqa: E731
    stage.wait_steady(
        timeouts.SOON,
        "a stranger passes in shadow",
        lambda: stage.dial(stranger, address).kind == "served" and shadowed(),
    )
    far_shim.reload(services=entries)
    stage.wait_steady(timeouts.SOON, "and is refused again", lambda: stage.dial(stranger, address).kind == "refused")
    far_shim.reload(off=True)
    stage.wait_steady(
        timeouts.SOON, "with the kill switch it passes", lambda: stage.dial(stranger, address).kind == "served"
    )
    far_shim.reload(off=False)
    stage.wait_steady(timeouts.SOON, "and is refused again", lambda: stage.dial(stranger, address).kind == "refused")
    generation = far_shim.fetch("inbound")[1]
    far_shim.reload(sevices=[])
    stage.claim("reloads that were refused", 1, far_shim.count("ssa_resolver_reloads_total", outcome="refused"))
    stage.claim("an invalid configuration changes nothing", generation, far_shim.fetch("inbound")[1])
    del far_shim.configuration["sevices"]
    far_shim.reload(by_signal=False, off=True)
    stage.wait_steady(
        timeouts.SOON, "a good one is taken without a signal", lambda: stage.dial(stranger, address).kind == "served"
    )
    far_shim.reload(by_signal=False, off=False)
    stage.wait_steady(timeouts.SOON, "and the next", lambda: stage.dial(stranger, address).kind == "refused")
    stage.claim("it was refused once", 1, far_shim.count("ssa_resolver_reloads_total", outcome="refused"))
    told = load.end()
    stage.note(f"        {told['opened']} connections in {told['seconds']} s, the slowest took {told['slowest']} s")
    stage.claim("connections without an answer", [], told["samples"])

    stage.note("what is revealed")
    texts = "".join(
        shim.output() + shim.page("/status") + shim.page("/metrics") + (shim.folder / "state.json").read_text()
        for shim in (far_shim, near_shim)
    )
    every = [*MASTERS.values(), *own.values()]
    stage.claim("secrets that the shims reveal", [], [secret for secret in every if secret in texts.lower()])
    stage.claim("permissions of the socket", "0o600", oct(far_shim.socket.stat().st_mode & 0o777))
