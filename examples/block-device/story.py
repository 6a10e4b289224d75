"""A block device whose blocks are objects at several endpoints, two replicas each, with moves and a crash under it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

from common import nginx, tools
from common.datacenter import Datacenter
from common.tables import table
from lib import timeouts
from lib.claims import Broken
from lib.files import Files

if TYPE_CHECKING:
    from pathlib import Path

    from lib.net import Host
    from lib.stage import Program, Stage

FILES = Files(__file__)
SERVICE = FILES.published()["disks"]
ENDPOINTS = 3
BLOCK = 65536


def run(stage: Stage, mebibytes: int = 64, seconds: int = 30) -> None:
    """`mebibytes` is the size of the disk, `seconds` how long fio writes and verifies while endpoints come and go."""
    tools.need(stage, "block-device")
    stage.title(f"A disk of {mebibytes} MiB: blocks of 64 KiB, each at two of {ENDPOINTS} endpoints with nginx")
    stage.note(f"  {SERVICE.rules[0]}")
    center = Datacenter(stage, FILES, nginx.server(FILES))
    center.join(*range(1, ENDPOINTS + 1))
    center.lead(center.plan())
    (client,) = center.client("client")
    disk = Disk(stage, center, client, mebibytes << 20)

    stage.title("An image to the disk and back, and patterns")
    image, back = stage.work / "image", stage.work / "back"
    image.write_bytes(os.urandom(mebibytes << 19))
    disk.run("nbdcopy", image, disk.url)
    disk.run("nbdcopy", disk.url, back)
    whole = image.read_bytes()
    stage.claim("nbdcopy: the image comes back as it was", True, back.read_bytes()[: len(whole)] == whole)
    back.unlink()
    for what in ("write -P 0x5a 4k 4k", "read -P 0x5a 4k 4k", "write -z 1M 64k", "read -P 0 1M 64k"):
        found = disk.run("qemu-io", "-f", "raw", "-c", what, disk.url)
        stage.claim_in(f"qemu-io: {what}", " bytes at offset ", found)
    held = {name: count(one.folder) for name, one in center.endpoints.items()}
    table(stage, ["", "blocks"], [[name, number] for name, number in held.items()])

    stage.title("fio writes and verifies while one endpoint is replaced, and the next one dies")
    fio = disk.fio(seconds)
    disk.wait(seconds / 6)
    disk.replace("server1", "server4", dies=False)
    disk.wait(seconds / 6)
    disk.replace("server2", "server5", dies=True)
    told = fio.result()
    stage.claim("fio: errors, of reading, of writing and of verifying", 0, told["error"])
    stage.note(f"written: {told['write']['total_ios']} blocks, {told['write']['bw_bytes'] / 2**20:.1f} MiB/s")
    stage.claim_between("blocks that were written", 100, 1e9, told["write"]["total_ios"])
    stage.claim_between("blocks that were verified", 100, 1e9, told["read"]["total_ios"])
    stage.claim("misdirected requests, which endpoints refused", 0, center.misdirected())


def count(folder: Path) -> int:
    return sum(1 for one in (folder / "slices").rglob("*") if one.is_file())


class Disk:
    """The device on the client."""

    def __init__(self, stage: Stage, center: Datacenter, client: Host, size: int) -> None:
        self.stage, self.center, self.client = stage, center, client
        socket = stage.work / "nbd.sock"
        self.url = f"nbd+unix:///?socket={socket}"
        filters = ["--filter=blocksize", "--threads=16"]
        limits = [f"minblock={BLOCK}", f"maxdata={BLOCK}", f"maxlen={BLOCK}"]
        plugin = ["python", FILES.folder / "plugin.py", f"base=http://{center.domain}/disks/one", f"size={size}"]
        self.size = size
        command = ["nbdkit", "--foreground", "--newstyle", "-U", socket, *filters, *plugin, *limits]
        stage.start(client, "nbdkit", command)
        stage.wait(timeouts.SOON, "nbdkit listens", socket.exists)

    def run(self, *command: object) -> str:
        """Runs a client of the device."""
        with self.client:
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode != 0:
            raise Broken(f"{command[0]}: exit {done.returncode}: {done.stderr.strip()} {done.stdout.strip()}")
        return done.stdout

    def fio(self, seconds: int) -> Fio:
        """Starts fio: it writes at random, and verifies what it has written, for so long."""
        return Fio(self.stage, self.client, self.url, self.size, seconds)

    def wait(self, seconds: float) -> None:
        """Lets fio go on for a while."""
        end = time.monotonic() + seconds
        self.stage.wait(seconds + timeouts.SOON, f"{seconds:.0f} s have passed", lambda: time.monotonic() > end)

    def replace(self, old: str, new: str, dies: bool) -> None:
        """Has an empty endpoint take the place of another one, which goes or dies, and then fills it."""
        self.center.join(int(new.removeprefix("server")))
        folder = self.center.endpoints[old].folder
        if dies:
            self.center.kill(old)
        plan = self.center.plan(*(name for name in self.center.endpoints if name != old))
        moves = self.center.moves(plan)
        # Of no block both replicas move: what a new one lacks the other one has.
        half = 1 << (self.center.width - 1)
        names = {slice_ for slice_, _, _ in moves}
        both = [one for one in names if f"{int(one, 16) ^ half:02x}" in names]
        self.stage.claim(f"slices that move together with their other replica, as {old} goes", [], both)
        self.center.lead(plan)
        for slice_, _, to in moves:
            other = f"{int(slice_, 16) ^ half:02x}"
            source = self.center.endpoints[self.center.slices.owner(self.center.address(other))].folder
            fill(source / "slices" / other, self.center.endpoints[to].folder / "slices" / slice_)
        what = "died" if dies else "went"
        self.stage.note(f"{old} {what}: {new} took its {len(moves)} slices, and was filled from the other replicas")
        if not dies:
            self.center.kill(old)
        self.stage.note(f"{old} has {count(folder)} blocks that nobody asks for any more")


def fill(source: Path, target: Path) -> None:
    """Copies what is missing, and overwrites nothing, which is newer; between real hosts it is
    `rsync -a --ignore-existing`.
    """
    for file in source.rglob("*"):
        to = target / file.relative_to(source)
        if file.is_file() and not to.exists():
            to.parent.mkdir(parents=True, exist_ok=True)
            part = to.with_name(f".{to.name}.part")
            part.write_bytes(file.read_bytes())
            with contextlib.suppress(FileExistsError):
                os.link(part, to)
            part.unlink()


class Fio:
    """A run of fio."""

    def __init__(self, stage: Stage, client: Host, url: str, size: int, seconds: int) -> None:
        self.stage = stage
        self.output = stage.work / "fio.json"
        flags = {
            "name": "verify",
            "ioengine": "nbd",
            "uri": url,
            "rw": "randwrite",
            "bs": "64k",
            "size": size,
            "iodepth": 8,
            "verify": "crc32c",
            "verify_backlog": 64,
            "verify_fatal": 1,
            "time_based": 1,
            "runtime": seconds,
            "output-format": "json",
            "output": self.output,
        }
        self.limit = seconds * 4 + timeouts.MANY_EXCHANGES
        command = ["fio", *(f"--{name}={value}" for name, value in flags.items())]
        self.process: Program = stage.start(client, "fio", command, cwd=stage.work)
        stage.forget(self.process)

    def result(self) -> Any:
        """Waits for its end, and returns what it tells of its job."""
        status = self.process.wait(self.limit)
        text = self.output.read_text()
        told = json.loads(text[text.index("{") :])["jobs"][0]
        return {**told, "error": told["error"] or status}
