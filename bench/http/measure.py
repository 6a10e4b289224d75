"""What a request costs in a client's Envoy, beside Envoy's own consistent hashing: measure.py ENVOY MODULE ROUNDS.

Runs in namespaces that end with it; prints tables. The client is h2load over one connection, so that the proxy decides
on each request and not on each connection. It measures, and claims nothing but that it could.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
from ipaddress import IPv6Network
from pathlib import Path

from lib import net, timeouts
from lib.stage import ROOT, Stage

WORK = Path("/run/ssa-bench")
HERE = Path(__file__).resolve().parent
ENDPOINTS, OBJECTS, REQUESTS = 8, 2000, 10_000
ITEM, PLAIN = IPv6Network("2001:db8:5:1::/64"), "2001:db8:6:1::1"
# So many distinct objects, each once, after as many that warm up; and what memory may be then.
DISTINCT = 1_000_000
FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
CODEC, WASM = f"{FILTERS}.upstream_codec.v3.UpstreamCodec", f"{FILTERS}.wasm.v3.Wasm"
UPSTREAM = {"HTTP/1.1": "http_protocol_options", "HTTP/2": "http2_protocol_options"}


def say(text: str = "") -> None:
    print(text, flush=True)


class Proxy:
    """A client's host with an Envoy, and what leads its requests to endpoints."""

    def __init__(self, stage: Stage, number: int, name: str, upstream: str, policy: str = "", bits: int = 0) -> None:
        """Endpoints are chosen by a load-balancing policy, or by addresses with so many bits of the object's hash."""
        self.stage, self.name, self.upstream = stage, name, upstream
        self.spent: list[float] = []
        self.host = stage.net.client(f"client{number}", f"2001:db8:0:{1000 + number}::10")
        self.folder = stage.work / self.host.name
        self.folder.mkdir()
        (self.folder / "ssa_filter.wasm").symlink_to(stage.tools["module"])
        filter_ = self._filter(bits) if bits else ""
        codec = f"- {json.dumps({'name': 'codec', 'typed_config': {'@type': CODEC}})}"
        values = {
            "BEFORE_ROUTER": filter_,
            "BEFORE_CODEC": f"http_filters:\n{filter_}\n{codec}" if bits else "",
            "BALANCING": _endpoints(policy) if policy else "type: ORIGINAL_DST\nlb_policy: CLUSTER_PROVIDED",
            "SOURCE": self.host.address,
            "UPSTREAM": UPSTREAM[upstream],
        }
        text = (HERE / "client.yaml").read_text()
        for mark, value in values.items():
            text = re.sub(rf"^( *){mark}$", lambda found: _indented(found[1], value), text, flags=re.MULTILINE)
            text = text.replace(mark, value)
        self.process = stage.start_envoy(self.host, self.folder.name, text, 15001, "::1")

    def _filter(self, bits: int) -> str:
        """Returns the filter of requests, which stands before the router and before the codec."""
        rest = 128 - ITEM.prefixlen - bits
        service = {
            "name": "store",
            "apl": f"2:{ITEM}",
            "rules": [f"v=ssa1; addr=hash(obj):{bits} const(0):{rest}; obj=path:/cas/{{obj}}"],
            "addresses": [PLAIN],
            "ports": [80],
        }
        plugin = {"role": "outbound", "filter": "http", "source": self.host.address, "services": [service]}
        config = {
            "name": "ssa",
            "vm_config": {
                "vm_id": "ssa",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": "ssa_filter.wasm"}},
            },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": json.dumps(plugin),
            },
        }
        return f"- {json.dumps({'name': 'ssa', 'typed_config': {'@type': WASM, 'config': config}})}"

    def ask(self, uris: Path, count: int, connections: int = 1) -> None:
        """Sends requests, all of which must be answered."""
        flags = ["--h1"] if self.upstream == "HTTP/1.1" else ["-m", "10"]
        command = ["h2load", *flags, "-c", str(connections), "-n", str(count), "-i", str(uris)]
        with self.host:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeouts.LASTING * 4)
        found = re.search(r"requests: .* (\d+) succeeded", done.stdout)
        if not found or int(found[1]) != count or f"{count} 2xx" not in done.stdout:
            raise RuntimeError(f"{self.name}: {done.stdout}{done.stderr}")

    def round(self, uris: Path) -> None:
        """Measures one round, in µs of CPU time a request."""
        before = self.process.cpu_seconds()
        self.ask(uris, REQUESTS)
        self.spent.append((self.process.cpu_seconds() - before) / REQUESTS * 1e6)

    def hosts(self) -> int:
        """Returns how many upstream hosts there are."""
        text = self.host.run("curl -s http://[::1]:9901/stats?filter=cluster.endpoints.membership_total")
        return int(text.rpartition(": ")[2])


def _indented(blanks: str, text: str) -> str:
    return "\n".join(blanks + line for line in text.splitlines())


def _endpoints(policy: str) -> str:
    hosts = [
        {"endpoint": {"address": {"socket_address": {"address": f"2001:db8:0:{100 + number}::1", "port_value": 80}}}}
        for number in range(1, ENDPOINTS + 1)
    ]
    assignment = {"cluster_name": "endpoints", "endpoints": [{"lb_endpoints": hosts}]}
    return f"type: STATIC\nlb_policy: {policy}\nload_assignment: {json.dumps(assignment)}"


def objects(stage: Stage, name: str, first: int, count: int) -> Path:
    """Writes the URIs of objects."""
    file = stage.work / name
    with open(file, "w") as text:
        text.writelines(f"http://[{PLAIN}]/cas/object-{number}\n" for number in range(first, first + count))
    return file


def endpoints(stage: Stage) -> None:
    """Makes hosts, each with an equal share of the addresses."""
    shares = ITEM.subnets((ENDPOINTS - 1).bit_length())
    for number, share in enumerate(shares, 1):
        host = stage.net.host(f"endpoint{number}", f"2001:db8:0:{100 + number}::1")
        host.ip(f"route add local {share} dev lo")
        stage.net.route(str(share), host)
        stage.start_envoy(host, host.name, (HERE / "endpoint.yaml").read_text(), 80)


def main() -> None:
    os.umask(0o077)
    net.raise_file_limit()
    net.keep_to_memory()
    WORK.mkdir()
    envoy, module = map(Path, sys.argv[1:3])
    rounds = int(sys.argv[3])
    stage = Stage({"root": ROOT, "envoy": envoy, "module": module}, WORK)
    endpoints(stage)
    uris = objects(stage, "objects", 0, OBJECTS)
    rivals = [
        ("Envoy, Maglev by path", {"policy": "MAGLEV"}),
        ("Envoy, ring hash by path", {"policy": "RING_HASH"}),
        *((f"SSA, {1 << bits} addresses", {"bits": bits}) for bits in (6, 8, 10)),
    ]
    proxies: dict[str, list[Proxy]] = {
        upstream: [
            Proxy(stage, 10 * place + number, name, upstream, **how) for number, (name, how) in enumerate(rivals)
        ]
        for place, upstream in enumerate(UPSTREAM)
    }
    for proxy in sum(proxies.values(), []):
        proxy.ask(uris, OBJECTS)
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for proxy in sum(proxies.values(), []):
            proxy.round(uris)
    say()
    say(f"{REQUESTS} requests a round for {OBJECTS} objects, {ENDPOINTS} endpoints, {rounds} rounds; least..most")
    say()
    say("| upstream in | | CPU of the client's Envoy, µs | × Maglev | upstream hosts |")
    say("| --- | --- | --- | --- | --- |")
    for upstream, own in proxies.items():
        for proxy in own:
            ratios = [mine / theirs for mine, theirs in zip(proxy.spent, own[0].spent, strict=True)]
            cpu = f"{statistics.median(proxy.spent):.1f} ({min(proxy.spent):.0f}..{max(proxy.spent):.0f})"
            ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"
            say(f"| {upstream} | {proxy.name} | {cpu} | {ratio} | {proxy.hosts()} |")
    say()
    bounds(stage, proxies["HTTP/1.1"][-1])


def bounds(stage: Stage, proxy: Proxy) -> None:
    """Asks for many distinct objects, and says what memory that takes."""
    tenth = DISTINCT // 10
    memory = []
    for part in range(11):
        # The first one warms up.
        proxy.ask(objects(stage, "distinct", OBJECTS + part * tenth, tenth), tenth, connections=32)
        memory.append(proxy.process.resident_kb() / 1024)
        say(f"{(part + 1) * tenth} distinct objects: {memory[-1]:.1f} MiB")
    say()
    say(f"| {DISTINCT} distinct objects after {tenth} | resident, MiB |")
    say("| --- | --- |")
    say(f"| {proxy.name} | {memory[0]:.1f}, then {min(memory[1:]):.1f} to {max(memory[1:]):.1f} |")


if __name__ == "__main__":
    main()
