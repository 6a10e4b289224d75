"""Builds of a generated C project by make and gcc, through a compiler cache."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from lib import timeouts
from lib.claims import Broken

if TYPE_CHECKING:
    from lib.net import Host
    from lib.stage import Program, Stage

# What one host builds at a time.
JOBS = 4
# Where sccache's server listens on loopback.
SCCACHE_PORT = 4226
MAKEFILE = """OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c))
all: $(OBJECTS)
%.o: %.c common.h
\t$(CC) -O1 -c $< -o $@
"""
FUNCTION = """
int f{name}_{number}(int x) {{
    static const unsigned table[] = {{ {numbers} }};
    unsigned sum = {seed}u;
    for (int i = 0; i < (x & 15); i++) sum = sum * 31u + table[i] + {name}u;
    return (int)(sum ^ (unsigned)x);
}}
"""


def project(folder: Path, files: int) -> Path:
    """Writes a project of so many C files, the same each time."""
    draw = random.Random(files)
    folder.mkdir()
    (folder / "Makefile").write_text(MAKEFILE)
    (folder / "common.h").write_text("#include <stddef.h>\n")
    for name in range(files):
        functions = [
            FUNCTION.format(
                name=name,
                number=number,
                seed=draw.randrange(1 << 32),
                numbers=", ".join(f"{draw.randrange(1 << 32)}u" for _ in range(16)),
            )
            for number in range(20)
        ]
        (folder / f"f{name}.c").write_text('#include "common.h"\n' + "".join(functions))
    return folder


class Ccache:
    """ccache on hosts, with nothing kept locally: each build has what the remote storage gives it."""

    def __init__(self, stage: Stage, sources: Path, storage: str) -> None:
        self.stage, self.sources, self.storage = stage, sources, storage
        self.count = 0

    def start(self, host: Host) -> Build:
        """Starts a build on a host, as if on a machine that has never built it."""
        self.count += 1
        name = f"build-{self.count}-{host.name}"
        place = self.stage.work / name
        shutil.copytree(self.sources, place / "sources")
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(place),
            "CCACHE_DIR": str(place / "ccache"),
            "CCACHE_REMOTE_STORAGE": self.storage,
            "CCACHE_STATSLOG": str(place / "stats"),
            "CCACHE_COMPILERCHECK": "content",
        }
        command = ["make", "--silent", "-j", JOBS, "CC=ccache gcc"]
        process = self.stage.start(host, name, command, cwd=place / "sources", env=environment)
        self.stage.forget(process)
        return Build(self.stage, process, place)

    def run(self, host: Host) -> Build:
        """Runs a build on a host."""
        return self.start(host).done()


class Sccache:
    """sccache on hosts: its server of a build keeps nothing but what the remote storage gives it."""

    def __init__(self, stage: Stage, sources: Path, endpoint: str, prefix: str) -> None:
        self.stage, self.sources = stage, sources
        self.storage = {"SCCACHE_WEBDAV_ENDPOINT": endpoint, "SCCACHE_WEBDAV_KEY_PREFIX": prefix}
        self.count = 0

    def run(self, host: Host) -> Build:
        """Runs a build on a host, by a server of its own, as if on a machine that has never built it."""
        self.count += 1
        name = f"sccache-{self.count}-{host.name}"
        place = self.stage.work / name
        # The path of a source is part of its key.
        sources = self.stage.work / "sccache-sources"
        shutil.copytree(self.sources, sources)
        place.mkdir()
        program = self.stage.tools["sccache"]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(place), "SCCACHE_LOG": "warn", **self.storage}
        running = {**environment, "SCCACHE_START_SERVER": "1", "SCCACHE_NO_DAEMON": "1"}
        server = self.stage.start(host, f"{name}-server", [program], cwd=place, env=running)
        self.stage.wait(timeouts.SOON, "sccache's server listens", lambda: host.listens("127.0.0.1", SCCACHE_PORT))
        command = ["make", "--silent", "-j", JOBS, f"CC={program} gcc"]
        process = self.stage.start(host, name, command, cwd=sources, env=environment)
        self.stage.forget(process)
        build = Build(self.stage, process, place)
        build.ended()
        with host:
            done = subprocess.run(
                [program, "--show-stats", "--stats-format", "json"], env=environment, capture_output=True, text=True
            )
        self.stage.stop(server)
        told = json.loads(done.stdout)["stats"]
        build.hits = sum(told["cache_hits"]["counts"].values())
        build.misses = sum(told["cache_misses"]["counts"].values())
        build.errors = told["cache_read_errors"] + told["cache_write_errors"] + told["cache_timeouts"]
        build.count(sources)
        shutil.rmtree(sources)
        return build


class Build:
    """A build, and what the cache made of it."""

    def __init__(self, stage: Stage, process: Program, place: Path) -> None:
        self.stage, self.process, self.place = stage, process, place
        self.hits = self.misses = self.errors = 0

    def done(self) -> Build:
        """Waits for its end, and counts hits and misses."""
        self.ended()
        found = (self.place / "stats").read_text().split()
        self.hits = found.count("direct_cache_hit") + found.count("preprocessed_cache_hit")
        self.misses = found.count("cache_miss")
        self.errors = found.count("remote_storage_error") + found.count("remote_storage_timeout")
        self.count(self.place / "sources")
        shutil.rmtree(self.place)
        return self

    def ended(self) -> None:
        """Waits for its end."""
        status = self.process.wait(timeouts.MANY_EXCHANGES * 5)
        if status != 0:
            raise Broken(f"{self.process.title} ended with {status}; see its log")

    def count(self, sources: Path) -> None:
        """Makes sure that each object that was built is a hit or a miss."""
        objects = sum(1 for _ in sources.glob("*.o"))
        if objects != self.hits + self.misses:
            raise Broken(f"{objects} objects were built, of {self.hits} hits and {self.misses} misses")

    def share(self) -> float:
        """Returns the share of hits in percent."""
        return round(100 * self.hits / (self.hits + self.misses), 1)


def version(program: str | Path) -> str:
    """Returns the first line of what a program says of its version."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    return done.stdout.splitlines()[0]
