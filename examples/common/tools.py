"""Programs that examples run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from lib.claims import Skip, find
from lib.stage import ROOT

if TYPE_CHECKING:
    from lib.stage import Stage


# How it is tried whether what is no program is there.
TRIED = {"plugin": ["nbdkit", "--dump-plugin"], "module": ["/usr/bin/python3", "-c"]}
# Where hack/lib.sh keeps what it builds.
BUILT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ssa/tools"


def need(stage: Stage, example: str, optional: tuple[str, ...] = ()) -> None:
    """Finds the tools of an example, which `hack/setup.sh example:NAME` installs; skips it where one is missing that is
    not optional.
    """
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    for line in (ROOT / "examples" / example / "tools").read_text().splitlines():
        if line.startswith("#"):
            continue
        kind, name, *rest = line.partition(":")[0].split()
        if kind == "script":
            done = subprocess.run([ROOT / f"hack/{name}.sh"], capture_output=True, text=True)
            found = done.stdout.strip().splitlines()[-1] if done.returncode == 0 else None
        elif kind == "cargo":
            found = built(name, rest[0])
        elif kind in TRIED:
            words = [*TRIED[kind], name if kind == "plugin" else f"import {name}"]
            found = words[0] if subprocess.run(words, capture_output=True).returncode == 0 else None
        else:
            found = shutil.which(name)
        if not found and name in optional:
            continue
        if not found:
            raise Skip(f"{name} is missing: hack/setup.sh example:{example}")
        stage.tools[name] = Path(found)


def built(crate: str, binary: str) -> str | None:
    """Returns the path of a program of a crate that was built from hack/tools."""
    lock = (ROOT / "hack/tools" / crate / "Cargo.lock", ROOT / "hack/tools/Cargo.lock")
    text = next(file for file in lock if file.exists()).read_text()
    version = find(rf'name = "{re.escape(crate)}"\nversion = "(.*)"', text)[1]
    path = BUILT / f"{crate}-{version}" / "bin" / binary
    return str(path) if path.exists() else None
