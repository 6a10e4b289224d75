"""Demoted connections use a cluster of their own, whatever protocol they speak.

Topology: a stranger without a sidecar, a web server with a sidecar whose application speaks HTTP/1.1 and HTTP/2, and a
mail server with one, whose application speaks first.

Configuration: envoy/server-http.yaml, and envoy/server.yaml for the mail server. The stranger dials addresses that it
composed, and the services' plain ones, which are `legacy`; or its neighbour's, in shadow mode.

Expected: each request to a plain address uses `application_demoted`, over HTTP/1.1, HTTP/2 and gRPC, the first on a
connection and those that follow, whatever headers it carries; so does a connection whose server speaks first.
Conforming requests, and those that shadow mode would have demoted, use `application`.
"""

import socket
from ipaddress import IPv6Address
from typing import Any

from lib import timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.net import Host
from lib.service import Service
from lib.stage import Stage

LIGHT = True
FILES = Files(__file__)
WEB, SHADOW = (FILES.service(name, configuration="web.json") for name in ("web", "shadow"))
MAIL = FILES.service("mail", configuration="mail.json")
CALLS = 10
GREETING = b"220 mail\r\n"
# What a client may say of itself does not matter.
CLAIMS = "-Hssa_outcome:allowed -Hwasm.ssa_outcome:allowed -Hx-envoy-upstream-alt-stat-name:a"
# Each with the version that curl tells, and how many requests go over one connection: curl 7.88 reuses none of HTTP/2
# without TLS. The call of gRPC is empty, for the application answers before it would have read a message.
PROTOCOLS = {
    "HTTP/1.1": ("--http1.1", "1.1", 3),
    "HTTP/2": ("--http2-prior-knowledge", "2", 1),
    "gRPC": ("--http2-prior-knowledge -XPOST -Hcontent-type:application/grpc -Hte:trailers", "2", 1),
}


def run(stage: Stage) -> None:
    stranger = stage.net.stranger()
    web = host(stage, 1, WEB, SHADOW)
    file = FILES.folder / "application.yaml"
    command = [stage.tools["envoy"], "-c", file, "--concurrency", 1, "--disable-hot-restart", "--log-level", "warning"]
    stage.start(web, "application", command)
    stage.wait(timeouts.STARTED, "the application listens", lambda: web.listens("::1", 8080))
    mail = host(stage, 3, MAIL)
    of_web, of_mail = stage.sidecars(
        (web, "server-http.yaml", FILES.json("web.json")), (mail, "server.yaml", FILES.json("mail.json"))
    )
    for protocol in PROTOCOLS:
        http(stage, stranger, of_web, protocol, WEB.plain, ("web", "legacy", "demoted"), "application_demoted")
        own = stage.ssa.compose(WEB.published, stranger.address)[0]
        http(stage, stranger, of_web, protocol, own, ("web", "conforming", "allowed"), "application")
        shadow = ("shadow", "legacy", "shadow_demoted")
        http(stage, stranger, of_web, protocol, SHADOW.plain, shadow, "application")
    speaks_first(stage, stranger, mail, of_mail)


def host(stage: Stage, number: int, *services: Service) -> Host:
    """Adds a server without an application, and leads to it what its services publish."""
    prefixes = [prefix for service in services for prefix in service.prefixes]
    made = stage.net.server(number, prefixes)
    for prefix in prefixes:
        stage.net.route(prefix, made)
    return made


def http(
    stage: Stage,
    stranger: Host,
    sidecar: Sidecar,
    protocol: str,
    address: str | IPv6Address,
    expected: Any,
    cluster: str,
) -> None:
    flags, version, in_a_row = PROTOCOLS[protocol]
    urls = f" -o /dev/null http://[{address}]/" * in_a_row
    command = f"curl -s -m {timeouts.EXCHANGE} -w %{{http_code}}/%{{http_version}}/ {flags} {CLAIMS}{urls}"
    answers = [stranger.run(command) for _ in range(CALLS)]
    what = f"{protocol}, {expected[0]} {expected[1]}"
    stage.claim(f"{what}: answers", {f"200/{version}/" * in_a_row}, set(answers))
    lines = sidecar.logged(CALLS * in_a_row)
    found = {(line["service"], line["verdict"], line["outcome"]) for line in lines}
    stage.claim(f"{what}: requests are found", {expected}, found)
    stage.claim(
        f"{what}: requests and where they go",
        (CALLS * in_a_row, {cluster}),
        (len(lines), {line["upstream"] for line in lines}),
    )


def speaks_first(stage: Stage, stranger: Host, mail: Host, sidecar: Sidecar) -> None:
    with mail:
        greeter = socket.create_server(("::1", 8080), family=socket.AF_INET6)
    greeter.settimeout(timeouts.SOON)
    own = stage.ssa.compose(MAIL.published, stranger.address)[0]
    for address, cluster in ((MAIL.plain, "application_demoted"), (own, "application")):
        with stranger:
            caller = socket.create_connection((str(address), 25), timeout=timeouts.EXCHANGE)
        served, _ = greeter.accept()
        served.sendall(GREETING)
        stage.claim(f"the server speaks first, through {cluster}", GREETING, caller.recv(100))
        for end in (served, caller):
            end.close()
        stage.claim(f"and {cluster} is what is logged", cluster, sidecar.logged(1)[0]["upstream"])
