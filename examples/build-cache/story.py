"""A build cache without a directory: nginx stores what ccache puts, and each request leads to its object's endpoint.

ccache beside it has shards of its own, on as many servers without SSA, in the same run.
"""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING

from common import nginx, tools
from common.builds import Build, Ccache, Sccache, project, version
from common.datacenter import Datacenter
from common.tables import table
from lib import timeouts
from lib.files import Files
from lib.resolver import ZONE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lib.net import Host
    from lib.stage import Program, Stage

FILES = Files(__file__)
SERVICE = FILES.published()["cache"]
ENDPOINTS = 3
# A build that hits so much, in percent, misses nothing that matters.
HITS = 99


def run(stage: Stage, files: int = 200, more: int = 3, sccache: int = 1, rival: int = 1) -> None:
    """`files` is how many the project has, `more` how many endpoints join; with `sccache=0` there is only ccache, with
    `rival=0` ccache's own shards are left out.
    """
    tools.need(stage, "build-cache", optional=("sccache",))
    sources = project(stage.work / "project", files)
    stage.title(f"A build cache: {ENDPOINTS} endpoints with nginx, two machines that build {files} files")
    stage.note(f"{version('ccache')}, nginx with dav_methods PUT; the record in the DNS:")
    stage.note(f"  {SERVICE.rules[0]}")
    cache = Cache(stage)
    url = f"http://cache.{ZONE}"
    ccache = Ccache(stage, sources, f"{url}/cache/ccache")
    columns: list[Column] = [Column("ccache", ccache.run)]
    if sccache and "sccache" in stage.tools:
        columns.append(Column("sccache", Sccache(stage, sources, url, "/cache/sccache").run))
    elif sccache:
        stage.note("SKIPPED: sccache, which hack/setup.sh example:build-cache builds")
    shards = Shards(stage, sources) if rival else None

    def build(what: str, host: Host, at_least: int = HITS, change: Callable[[Shards], None] | None = None) -> None:
        """Builds by each client; claims what they hit."""
        for column in columns:
            found = column.build(what, host)
            if at_least:
                stage.claim_between(f"{column.name}, {what}: hits, %", at_least, 100, found.share())
        if shards:
            if change:
                change(shards)
            shards.builds[what] = shards.build()

    build("first build", cache.developer, at_least=0)
    cache.claim_copied()
    build("second build, elsewhere", cache.ci)

    stage.title("One endpoint is killed")
    lost, *_ = sorted(cache.center.endpoints, reverse=True)
    cache.center.kill(lost)
    build("one endpoint killed", cache.developer, change=Shards.kill)
    cache.replace(lost)
    build("an empty one in its place", cache.ci, change=Shards.replace)

    stage.title(f"From {ENDPOINTS} endpoints to {ENDPOINTS + more}, while a build runs; no client is touched")
    running = ccache.start(cache.developer)
    moved = cache.grow(more)
    stage.claim_between("ccache, the build that ran meanwhile: hits, %", HITS, 100, running.done().share())
    build(f"{ENDPOINTS} to {ENDPOINTS + more} endpoints", cache.ci, change=lambda shards: shards.grow(more))
    stage.claim("misdirected requests, which endpoints refused", 0, cache.center.misdirected())
    used = [name for name in cache.center.endpoints if cache.center.requests(name)]
    stage.claim("endpoints that serve requests", ENDPOINTS + more, len(used))

    stage.title("Hits, in percent")
    stage.note(f"{moved} of {1 << cache.center.width} slices moved from {ENDPOINTS} to {ENDPOINTS + more} endpoints.")
    kinds = [(column.name, column.builds) for column in columns]
    if shards:
        kinds.append(("ccache's own shards", shards.builds))
    rows = [[what, *(builds[what].share() for _, builds in kinds)] for what in columns[0].builds]
    table(stage, ["", *(name for name, _ in kinds)], rows)
    if shards:
        stage.note(f"Clients that were configured anew: none; with shards all of them, {shards.changes} times.")
        # That the comparison compares: without a copy a third is lost, and new shards take half of the keys.
        killed, grown = shards.builds["one endpoint killed"], list(shards.builds.values())[-1]
        stage.claim_between("shards, one killed: hits, %", 40, 90, killed.share())
        stage.claim_between("shards, with more of them: hits, %", 20, 90, grown.share())


class Column:
    """A client, and its builds by what had happened before."""

    def __init__(self, name: str, run: Callable[[Host], Build]) -> None:
        self.name, self.run = name, run
        self.builds: dict[str, Build] = {}

    def build(self, what: str, host: Host) -> Build:
        self.builds[what] = self.run(host)
        return self.builds[what]


class Cache:
    """The service, its endpoints, and two machines that build."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.center = Datacenter(stage, FILES, nginx.server(FILES, plain=SERVICE.plain))
        self.center.join(*range(1, ENDPOINTS + 1))
        self.center.lead(self.center.plan())
        self.developer, self.ci = self.center.client("developer", "ci")

    def stored(self) -> dict[str, set[str]]:
        """Returns the objects of each slice, by its name, of the endpoint that it is led to."""
        found: dict[str, set[str]] = {}
        for endpoint in self.center.endpoints.values():
            for slice_ in (endpoint.folder / "slices").glob("*"):
                objects = {str(one.relative_to(slice_)) for one in slice_.rglob("*") if one.is_file()}
                found.setdefault(slice_.name, set()).update(objects)
        return found

    def claim_copied(self) -> None:
        """Waits until each object is in both of its slices."""
        half = 1 << (self.center.width - 1)

        def copied() -> tuple[int, int] | None:
            stored = self.stored()
            pairs = [(stored.get(f"{low:02x}", set()), stored.get(f"{low + half:02x}", set())) for low in range(half)]
            done = any(one for one, _ in pairs) and all(one == other for one, other in pairs)
            return (sum(len(one) for one, _ in pairs), sum(len(other) for _, other in pairs)) if done else None

        both = self.stage.wait(timeouts.SOON, "each object is at both of its replicas", copied)
        self.stage.claim("objects at the first replica are at the second one too", both[0], both[1])
        for endpoint in self.center.endpoints.values():
            slices = list((endpoint.folder / "slices").glob("*"))
            count = sum(one.is_file() for slice_ in slices for one in slice_.rglob("*"))
            self.stage.note(f"{endpoint.name}: {count} objects in {len(slices)} slices")

    def replace(self, lost: str) -> None:
        """Has an empty endpoint take the place of a lost one, and fills it from the other replicas."""
        (new,) = self.center.join(ENDPOINTS + 1)
        plan = self.center.plan()
        half = 1 << (self.center.width - 1)
        moves = self.center.moves(plan)
        for slice_, old, to in moves:
            other = f"{(int(slice_, 16) + half) % (2 * half):02x}"
            source = old if old != lost else self.center.slices.owner(self.center.address(other))
            self.copy(source, slice_ if old != lost else other, to, slice_)
        self.center.lead(plan)
        self.stage.claim(f"slices that {new.name} has, as {lost} had", True, bool(new.local))
        self.stage.note(f"{new.name} took {len(moves)} slices of {lost}, filled from the other replicas")

    def grow(self, more: int) -> int:
        """Adds endpoints, and moves slices to them: copy, lead, copy what has changed; returns how many."""
        first = ENDPOINTS + 2
        self.center.join(*range(first, first + more))
        plan = self.center.plan()
        moves = self.center.moves(plan)
        for _ in range(2):
            for slice_, old, new in moves:
                self.copy(old, slice_, new, slice_)
            if self.center.slices.plan is not plan:
                self.center.lead(plan)
        return len(moves)

    def copy(self, source: str, slice_: str, target: str, into: str) -> None:
        """Copies a slice from one endpoint to another; between real hosts it is `rsync -a`."""
        folder = self.center.endpoints[source].folder / "slices" / slice_
        if folder.exists():
            shutil.copytree(folder, self.center.endpoints[target].folder / "slices" / into, dirs_exist_ok=True)


class Shards:
    """ccache's own shards: as many servers, without SSA; clients know all of them."""

    def __init__(self, stage: Stage, sources: Path) -> None:
        self.stage, self.sources = stage, sources
        self.client = stage.net.stranger("sharded", "2001:db8:0:2::10")
        self.names: list[str] = []
        self.servers: dict[str, Program] = {}
        self.builds: dict[str, Build] = {}
        self.changes = 0
        self.add(ENDPOINTS)

    def add(self, count: int) -> None:
        """Adds servers, of which clients have to be told."""
        for number in range(len(self.servers) + 1, len(self.servers) + 1 + count):
            host = self.stage.net.host(f"shard{number}", f"2001:db8:0:{200 + number}::1")
            folder = self.stage.work / f"{host.name}-data"
            folder.mkdir()
            self.servers[host.name] = nginx.server(FILES).on(self.stage, host, folder, "shard.conf")
            self.stage.wait(timeouts.SOON, f"{host.name} listens", lambda: host.listens("::", 80))
            self.names.append(host.name)

    def build(self) -> Build:
        """Builds with what clients are configured for now."""
        storage = f"http://*.{ZONE}/cache|shards={','.join(self.names)}"
        return Ccache(self.stage, self.sources, storage).run(self.client)

    def kill(self) -> None:
        """Kills one, which clients do not know."""
        self.stage.stop(self.servers[self.names[-1]], signal.SIGKILL)

    def replace(self) -> None:
        """Has every client take a new one in place of the one that was killed."""
        self.names.pop()
        self.add(1)
        self.changes += 1

    def grow(self, more: int) -> None:
        """Adds servers; every client gets a longer list."""
        self.add(more)
        self.changes += 1
