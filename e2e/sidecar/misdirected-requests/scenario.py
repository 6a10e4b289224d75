"""Each request is judged by itself: one for another endpoint is answered 421, and those beside it are served.

Topology: a stranger without a sidecar, which composes addresses and then asks for other objects too; a server with
one, whose application speaks HTTP/1.1 and HTTP/2 and tells which headers it got.

Configuration: envoy/server-http.yaml. Four services place by the object key, which is in the path or a cookie: one by
the default policy; one that refuses requests without a key, and has chunks; one in shadow mode; one that demotes
them.

Expected: over one connection of HTTP/1.1, and of HTTP/2 with requests beside each other, those for other objects get
421 with `ssa-verdict`, and all others 200; the connection stays. Applications learn object, replica and slice, and
nothing that clients claim. A request in absolute form is judged as any other; one without a key, such as CONNECT,
with dots or a key past 1024 bytes, is the policy's to decide on; so is a range that is none or spans chunks.
"""

import socket
from ipaddress import IPv6Address
from typing import Any

from lib import timeouts
from lib.envoy import Sidecar
from lib.files import Files
from lib.net import Host
from lib.stage import Stage

LIGHT = True
FILES = Files(__file__)
STORE, STRICT, LENIENT, SLOW = (FILES.service(name) for name in ("store", "strict", "lenient", "slow"))
HTTP1, HTTP2 = "--http1.1", "--http2-prior-knowledge"
REQUESTS = 60
LIES = "-H ssa-object:lie -H ssa-replica:7/8 -H ssa-slice:fff -H ssa-other:lie"


def run(stage: Stage) -> None:
    stranger = stage.net.stranger()
    services = (STORE, STRICT, LENIENT, SLOW)
    prefixes = [prefix for service in services for prefix in service.prefixes]
    server = stage.net.server(1, prefixes)
    for prefix in prefixes:
        stage.net.route(prefix, server)
    envoy(stage, server, "application", FILES.folder / "application.yaml", "::1", 8080)
    (far,) = stage.sidecars((server, "server-http.yaml", FILES.json("server.json")))
    here = compose(stage, stranger, STORE.published, object="here", replica=1)
    one_connection(stage, stranger, far, here)
    beside_each_other(stage, stranger, far, here)
    claims_of_clients(stage, stranger, far, here)
    forms(stage, stranger, far, here)
    ranges(stage, stranger, far)
    policies(stage, stranger, far)


def envoy(stage: Stage, host: Host, name: str, file: Any, address: str, port: int) -> None:
    folder = stage.work / name
    folder.mkdir()
    command = [stage.tools["envoy"], "-c", file, "--concurrency", 1, "--disable-hot-restart", "--log-level", "warning"]
    stage.start(host, name, command, cwd=folder)
    stage.wait(timeouts.STARTED, f"{name} listens", lambda: host.listens(address, port))


def compose(stage: Stage, client: Host, service: dict[str, Any], **inputs: Any) -> IPv6Address:
    return stage.ssa.compose(service, client.address, **inputs)[0]


def curl(client: Host, flags: str, *urls: str, show: str = "%{http_code}") -> list[str]:
    """Asks for URLs, over one connection as far as curl can, and returns what is to be shown of each answer."""
    outputs = " ".join(f"-o /dev/null {url}" for url in urls)
    return client.run(f"curl -s -g --path-as-is -m {timeouts.EXCHANGE} -w {show}\\n {flags} {outputs}").split()


def one_connection(stage: Stage, stranger: Host, far: Sidecar, here: IPv6Address) -> None:
    urls = [f"http://[{here}]/cas/{name}" for name in ("here", "elsewhere", "here?x=1", "%68ere", "Here")]
    shown = curl(stranger, HTTP1, *urls, show="%{http_code}/%{num_connects}/%header{ssa-verdict}")
    expected = ["200/1/", "421/0/violation", "200/0/", "200/0/", "421/0/violation"]
    stage.claim("HTTP/1.1: answers over one connection", expected, shown)
    lines = far.logged(len(urls))
    found = [(line["service"], line["request"]["verdict"], line["request"]["outcome"]) for line in map(parsed, lines)]
    allowed, denied = ("store", "conforming", "allowed"), ("store", "violation", "denied")
    stage.claim("and what is logged of them", [allowed, denied, allowed, allowed, denied], found)


def parsed(line: dict[str, Any]) -> dict[str, Any]:
    """Takes the fields about the request apart."""
    fields = dict(field.split("=") for field in line["ssa_request"].split(" "))
    return {**line, "request": fields}


def beside_each_other(stage: Stage, stranger: Host, far: Sidecar, here: IPv6Address) -> None:
    file = stage.work / "rogue.yaml"
    file.write_text(FILES.text("rogue.yaml", address=here))
    envoy(stage, stranger, "rogue", file, "::1", 9000)
    names = ["elsewhere" if number % 3 == 0 else "here" for number in range(REQUESTS)]
    before = far.stat(r"http\.inbound\.downstream_cx_http2_total")
    shown = curl(stranger, f"{HTTP1} -Z --parallel-max 20", *(f"http://[::1]:9000/cas/{name}" for name in names))
    stage.claim("HTTP/2: misdirected requests", names.count("elsewhere"), shown.count("421"))
    stage.claim("and those beside them that are served", names.count("here"), shown.count("200"))
    after = far.stat(r"http\.inbound\.downstream_cx_http2_total")
    stage.claim("over so many connections", 1, after - before)
    counted = far.count("ssa_inbound_requests_total", service="store", verdict="violation", outcome="denied")
    stage.claim("misdirected requests that are counted, with those before", names.count("elsewhere") + 2, counted)
    far.logged(REQUESTS)


def claims_of_clients(stage: Stage, stranger: Host, far: Sidecar, here: IPv6Address) -> None:
    for version in (HTTP1, HTTP2):
        told = stranger.run(
            f"curl -s -m {timeouts.EXCHANGE} {version} {LIES} -o /dev/null -w %header{{x-told}} http://[{here}]/cas/here"
        )
        slice_ = f"{int(here) >> 54 & 0x3FF:03x}"
        stage.claim(f"{version}: what the application is told", ["here", "1/2", slice_], told.split())
    far.logged(2)


def forms(stage: Stage, stranger: Host, far: Sidecar, here: IPv6Address) -> None:
    url = f"http://[{here}]"
    long = "x" * 1025
    for what, flags, path, code, verdict in (
        ("absolute form", "--request-target http://other/cas/here", "/", "200", "conforming"),
        ("absolute form, elsewhere", "--request-target http://other/cas/elsewhere", "/", "421", "violation"),
        ("dots", "", "/cas/../cas/elsewhere", "200", "no_object"),
        ("no key", "", "/", "200", "no_object"),
        ("a key of 1025 bytes", "", f"/cas/{long}", "200", "no_object"),
        ("another source after it", "-b object=elsewhere", f"/cas/{long}", "421", "violation"),
        ("two cookies", "-H cookie:a=1 -H cookie:object=here", "/", "200", "conforming"),
        ("two cookies, elsewhere", "-H cookie:object=elsewhere -H cookie:object=here", "/", "421", "violation"),
    ):
        stage.claim(f"{what}: answer", [code], curl(stranger, f"{HTTP1} {flags}", url + path))
        (line,) = map(parsed, far.logged(1))
        stage.claim(f"{what}: verdict", verdict, line["request"]["verdict"])
    with stranger:
        tunnel = socket.create_connection((str(here), 80), timeout=timeouts.EXCHANGE)
    tunnel.sendall(b"CONNECT elsewhere:443 HTTP/1.1\r\nhost: elsewhere:443\r\n\r\n")
    answer = tunnel.recv(100).split()[1].decode()
    tunnel.close()
    (line,) = map(parsed, far.logged(1))
    stage.claim("CONNECT has no path, and no route", ("404", "no_object"), (answer, line["request"]["verdict"]))


def ranges(stage: Stage, stranger: Host, far: Sidecar) -> None:
    to = compose(stage, stranger, STRICT.published, object="a/b", chunk=2)
    for what, header, code in (
        ("the chunk", "range:bytes=2097152-3145727", "200"),
        ("a part of it", "range:bytes=2100000-2100009", "200"),
        ("from there on", "range:bytes=2097152-", "200"),
        ("another chunk", "range:bytes=0-1048575", "421"),
        ("past its end", "range:bytes=2097152-3145728", "421"),
        ("two ranges", "range:bytes=2097152-2097153,2097156-2097157", "421"),
        ("a range of other units", "range:items=2097152-3145727", "421"),
        ("no range", "x:y", "421"),
    ):
        shown = curl(stranger, f"{HTTP1} -H {header}", f"http://[{to}]/files/a/b")
        stage.claim(f"ranges: {what}", [code], shown)
        far.logged(1)


def policies(stage: Stage, stranger: Host, far: Sidecar) -> None:
    for service, path, expected in (
        (LENIENT, "/cas/elsewhere", ("200", "violation", "shadow_denied", "application")),
        (LENIENT, "/", ("200", "no_object", "shadow_demoted", "application")),
        (SLOW, "/", ("200", "no_object", "demoted", "application_demoted")),
        (SLOW, "/cas/here", ("200", "conforming", "allowed", "application")),
    ):
        to = compose(stage, stranger, service.published, object="here")
        for version in (HTTP1, HTTP2):
            (code,) = curl(stranger, version, f"http://[{to}]{path}")
            (line,) = map(parsed, far.logged(1))
            request = line["request"]
            found = (code, request["verdict"], request["outcome"], line["upstream"])
            stage.claim(f"{version}: {service.name} {path}", expected, found)
