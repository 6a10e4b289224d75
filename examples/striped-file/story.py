"""A file whose chunks lie at eight endpoints, and that is read as fast as eight of them are."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections import Counter
from typing import TYPE_CHECKING

from common import nginx, tools
from common.datacenter import Datacenter
from common.tables import table
from lib import timeouts
from lib.claims import Broken
from lib.files import Files

if TYPE_CHECKING:
    from pathlib import Path

    from lib.net import Host
    from lib.planned import Plan
    from lib.stage import Stage

FILES = Files(__file__)
SERVICE = FILES.published()["files"]
ENDPOINTS = 8
CHUNK = 1 << 20
# What an endpoint sends at most, in Mbit/s.
RATE = 8
# How many chunks curl asks for at a time: enough to keep every endpoint busy.
AT_ONCE = 256
NAME = "large.bin"
# When the file was written: 2026-01-01.
WRITTEN = 1767225600


def run(stage: Stage, mebibytes: int = 256) -> None:
    """`mebibytes` is the size of the file."""
    tools.need(stage, "striped-file")
    stage.title(f"A file of {mebibytes} MiB in chunks of 1 MiB, at {ENDPOINTS} endpoints that send {RATE} Mbit/s each")
    stage.note(f"  {SERVICE.rules[0]}")
    center = Datacenter(stage, FILES, nginx.server(FILES))
    center.join(*range(1, ENDPOINTS + 1))
    (client,) = center.client("client")
    striped = Striped(stage, center, client, mebibytes)
    for endpoint in center.endpoints.values():
        # A queue for all that connections may have under way: nothing is dropped, and none waits for a timeout.
        endpoint.host.sysctl(ipv4__tcp_wmem="4096 16384 65536")
        endpoint.host.run(f"tc qdisc add dev eth0 root tbf rate {RATE}mbit burst 64kb limit 4mb")

    stage.title("One endpoint has all of it, and then each its share")
    part = max(1, mebibytes // ENDPOINTS)
    center.lead(center.plan("server1"))
    striped.place()
    one = striped.read("from one endpoint", part)
    center.lead(striped.balanced())
    striped.place()
    striped.show()
    all_ = striped.read(f"from {ENDPOINTS} endpoints", mebibytes)
    table(stage, ["", "MiB/s"], [["one endpoint", f"{one:.2f}"], [f"{ENDPOINTS} endpoints", f"{all_:.2f}"]])
    ratio = round(all_ / one, 2)
    stage.claim_between(f"speed of {ENDPOINTS} endpoints, in those of one", 0.9 * ENDPOINTS, 1.1 * ENDPOINTS, ratio)
    stage.claim("misdirected requests, which endpoints refused", 0, center.misdirected())

    stage.title("Requests that are no chunk")
    for what, flags, status in (
        ("a part of a chunk", "-r 1048600-1048700", "206"),
        ("a range over two chunks", "-r 1048000-1049000", "421"),
        ("all of it", "", "421"),
    ):
        found = client.run(f"curl -s -o /dev/null -w %{{http_code}} {flags} {striped.url}")
        stage.claim(f"{what}: status", status, found)
    striped.aria2()


class Striped:
    """The file, and who reads it."""

    def __init__(self, stage: Stage, center: Datacenter, client: Host, mebibytes: int) -> None:
        self.stage, self.center, self.client, self.count = stage, center, client, mebibytes
        self.url = f"http://{center.domain}/files/{NAME}"
        draw = random.Random(mebibytes)
        self.chunks = [draw.randbytes(64) * (CHUNK // 64) for _ in range(mebibytes)]
        addresses = (
            stage.ssa.compose(SERVICE.published, client.address, object=NAME, chunk=chunk)[0]
            for chunk in range(mebibytes)
        )
        base = int(center.address("00"))
        self.slices = [f"{(int(address) - base) >> 56:02x}" for address in addresses]
        self.placed: dict[str, str] = {}

    def place(self) -> None:
        """Puts the chunks of each slice where it is led to: between real hosts it is `rsync -a --sparse`."""
        for chunk, slice_ in enumerate(self.slices):
            owner = self.center.slices.owner(self.center.address(slice_))
            file = self.center.endpoints[owner].folder / "slices" / slice_ / "files" / NAME
            file.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(file, os.O_CREAT | os.O_RDWR), "r+b") as opened:
                opened.truncate(self.count * CHUNK)
                opened.seek(chunk * CHUNK)
                opened.write(self.chunks[chunk])
            # All parts of a file have one time, and so one ETag, by which readers know that they belong together.
            os.utime(file, (WRITTEN, WRITTEN))

    def balanced(self) -> Plan:
        """Plans as many chunks for each endpoint, as a controller does that moves slices by their load."""
        weight = Counter(self.slices)
        shares: dict[str, list[str]] = {name: [] for name in self.center.endpoints}
        most = (1 << self.center.width) // len(shares)
        slices = [f"{number:02x}" for number in range(1 << self.center.width)]
        for slice_ in sorted(slices, key=lambda one: -weight[one]):
            free = [name for name, share in shares.items() if len(share) < most]
            least = min(free, key=lambda name: sum(weight[one] for one in shares[name]))
            shares[least].append(slice_)
        return self.center.plan_as(shares)

    def show(self) -> None:
        """Prints how many chunks each endpoint has."""
        owners = Counter(self.center.slices.owner(self.center.address(slice_)) for slice_ in self.slices)
        self.stage.note("chunks: " + ", ".join(f"{name} {owners[name]}" for name in sorted(self.center.endpoints)))

    def read(self, what: str, count: int) -> float:
        """Reads so many chunks by curl; returns how fast, in MiB/s."""
        folder = self.stage.work / "read"
        folder.mkdir()
        blocks = []
        for chunk in range(count):
            first, last = chunk * CHUNK, (chunk + 1) * CHUNK - 1
            lines = [f'url = "{self.url}"', f"range = {first}-{last}", f'output = "{folder}/{chunk}"']
            blocks.append("\n".join(["fail", "silent", "show-error", *lines]))
        configuration = f"parallel\nparallel-max = {AT_ONCE}\n" + "\nnext\n".join(blocks) + "\n"
        (self.stage.work / "curl.conf").write_text(configuration)
        began = time.monotonic()
        self.client.run(f"curl -K {self.stage.work}/curl.conf")
        took = time.monotonic() - began
        wrong = [n for n in range(count) if (folder / str(n)).read_bytes() != self.chunks[n]]
        self.stage.claim(f"chunks that are wrong, of {count} read {what}", [], wrong)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        return count / took

    def aria2(self) -> None:
        """Reads the file by aria2, through an nginx on the client that makes requests for chunks of its requests."""
        folder = self.stage.work / "aligned"
        folder.mkdir()
        nginx.server(FILES, plain=SERVICE.plain).on(self.stage, self.client, folder, "aligned.conf")
        self.stage.wait(timeouts.SOON, "nginx listens on the client", lambda: self.client.listens("::1", 8000))
        flags = "-q -x16 -s16 -k1M --file-allocation=none --allow-overwrite=true"
        began = time.monotonic()
        self.client.run(f"aria2c {flags} -d {folder} -o {NAME} http://[::1]:8000/files/{NAME}")
        took = time.monotonic() - began
        self.stage.claim("aria2 through nginx with `slice`: the file is the same", self.digest(), digest(folder / NAME))
        self.stage.note(f"aria2: {self.count / took:.1f} MiB/s over 16 connections")

    def digest(self) -> str:
        """Returns the digest of the file."""
        whole = hashlib.sha256()
        for chunk in self.chunks:
            whole.update(chunk)
        return whole.hexdigest()


def digest(file: Path) -> str:
    """Returns the digest of a file."""
    if not file.exists():
        raise Broken(f"{file} is not there")
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
