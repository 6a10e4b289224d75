"""Builds the datacenter, and shows what sidecars do before they know their services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import stage
from lib import timeouts
from lib.resolver import ZONE
from lib.stage import address
from records import HASHED
from sidecar import places
from traffic import CURL

if TYPE_CHECKING:
    from services import Service
    from stage import Demo


def build(demo: Demo, services: Any) -> None:
    demo.title("A datacenter on one machine")
    demo.say(f"2 servers own a /64 for each of {len(services)} services; a router routes slices of them to servers.")
    demo.say("Nothing keeps a table of connections or clients.")
    demo.lay_network(services, 2)
    demo.timed("network: client, rogue and legacy hosts, router, server1 and server2, each with an HTTP application")
    demo.start_dns()
    demo.timed(f"DNS: authoritative for {ZONE}, TTL {stage.TTL} s")
    for service in services:
        demo.spread(service, demo.servers)
    demo.timed("router: 16 slices of each /64 over the servers, plain addresses to server1")


def publication(demo: Demo, web: Service, vault: Service) -> None:
    demo.title("DNS records")
    row = demo.table("name:16", "type:5", "data:0")
    told = {service: demo.resolve(service) for service in demo.services}
    for service in (web, vault):
        one = told[service]
        row(service.domain, "APL", service.published["apl"])
        row("", "AAAA", f"{one['aaaa'][0]['address']}, for legacy clients")
        row(f"_ssa.{service.name}", "TXT", one["records"][0]["text"])
    names = [service.name for service in demo.services if service not in (web, vault)]
    demo.say(f"and likewise {', '.join(names)}: one service per kind of rule")
    usable = sum(one["verdict"] == "usable" for one in told.values())
    demo.claim(f"services usable by a client (ssa resolve), of {len(told)}", len(told), usable)


def as_they_stand(demo: Demo, web: Service) -> None:
    demo.title("Sidecars and resolver shims with the unmodified files of envoy/")
    demo.say(f"Next to each Envoy, ssa-resolver with resolver.json, which names {web.domain}; the rest is in the DNS.")
    demo.say(f"{HASHED}: a client's address determines its server.")
    server1, server2 = demo.servers
    # What a host needs that is both: see both.yaml.
    slices = demo.plan[web].prefixes(server2.name)
    server2.ip(f"route del local {web.items[0]} dev lo", *(f"route add local {prefix} dev lo" for prefix in slices))
    server2.capture("OUTPUT -p tcp -o lo ! -d ::1 -m mark --mark 1337 -j REDIRECT --to-ports 15006")
    demo.net.capture_outbound(server2)
    demo.lap()
    client, one, both = demo.start_standing(
        (demo.client, "client.yaml"), (server1, "server.yaml"), (server2, "both.yaml")
    )
    demo.timed("client.yaml on the client, server.yaml on server1, both.yaml on server2; all have a snapshot")
    row = demo.table(
        "host:9", "file:13", "answered:10", "conforming:11", "server1:8", "server2:8", "addresses:10", "/84s:5"
    )
    for sidecar, by, log in ((client, "client.yaml", "access.log"), (both, "both.yaml", "outbound.log")):
        before = demo.conforming(web)
        answers = demo.ask(sidecar.host, web, 50)
        conforming = demo.conforming(web) - before
        lines = demo.wait(timeouts.SOON, "the log is whole", lambda: sidecar.composed(50, log))
        used = {address(line["destination"]) for line in lines}
        row(
            *(sidecar.host.name, by, f"{answers.all} of 50", conforming),
            *(answers.share("server1"), answers.share("server2"), len(used), len(places(used))),
            wanted=(50, 50, 1, 1),
            found=(answers.all, conforming, len(answers), len(places(used))),
        )
    demo.lap()
    client.stop()
    (client,) = demo.start_standing((demo.client, "client-http.yaml"))
    over_one = demo.run(demo.client, *CURL[:-2], f"{web.url}?[1-20]")[1].split()
    lines = demo.wait(timeouts.SOON, "the log is whole", lambda: client.composed(20))
    demo.timed("client-http.yaml on the client: curl sends 20 requests over one connection to it")
    composed = client.outbound(outcome="composed")
    upstream = {(line["source"], line["destination"]) for line in lines}
    demo.claim(
        "answers, composed addresses, connections to them",
        "20, 1, 1",
        f"{len(over_one)}, {composed}, {len(upstream)}",
    )
    for sidecar in (client, one, both):
        sidecar.stop()
    server2.run("ip6tables -w -t nat -F OUTPUT")
    server2.ip(f"route add local {web.items[0]} dev lo")


def gauges(demo: Demo, what: str) -> None:
    row = demo.table(f"{what}:26", "snapshots installed:20", "age, youngest:14", "age, oldest:14", "connections held:0")
    for sidecar in demo.standing.values():
        youngest, oldest = (sidecar.total(f"snapshot_age_{which}_seconds") for which in ("min", "max"))
        held = sidecar.total("held_connections")
        row(sidecar.host.name, sidecar.installed(), f"{youngest} s", f"{oldest} s", held)


def hold_and_release(demo: Demo, web: Service) -> None:
    demo.title("Sidecars that start before their shims: connections wait for the first snapshot")
    demo.say("New Envoys with client.yaml and server.yaml, then shims that know all services: rules and lists from")
    demo.say("the DNS, keys from files, services and modes from configuration. None is restarted from here on.")
    demo.lap()
    demo.start_sidecars(demo.client, *demo.servers)
    client = demo.standing["client"]
    demo.timed("Envoys are ready without a snapshot; 5 requests are sent")
    command = ["curl", "-sS", "--max-time", timeouts.HELD_EXCHANGE, web.url]
    curls = [demo.start(demo.client, f"held-{number}", command) for number in range(5)]
    demo.wait(timeouts.SOON, "5 connections are held", lambda: client.total("held_connections") == 5)
    gauges(demo, "without a snapshot")
    for curl in curls:
        demo.forget(curl)
    demo.start_shims(demo.client, *demo.servers)
    answered = sum(curl.wait(timeouts.INTERVAL) == 0 for curl in curls)
    demo.timed("a shim is started next to each")
    gauges(demo, "with a snapshot")
    demo.claim("held requests answered, of 5", 5, answered)
    composed = client.outbound(outcome="composed")
    demo.claim("addresses composed for them, and verified as conforming", "5, 5", f"{composed}, {demo.conforming(web)}")
