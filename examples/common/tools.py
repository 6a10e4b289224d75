"""Programs that examples run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from lib.claims import Skip
from lib.stage import ROOT

if TYPE_CHECKING:
    from lib.stage import Stage


def need(stage: Stage, example: str) -> None:
    """Finds the tools of an example, which `hack/setup.sh example:NAME` installs; skips it where one is missing."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    for line in (ROOT / "examples" / example / "tools").read_text().splitlines():
        kind, name, *rest = line.partition(":")[0].split()
        if kind == "script":
            done = subprocess.run([ROOT / f"hack/{name}.sh"], capture_output=True, text=True)
            found = done.stdout.strip().splitlines()[-1] if done.returncode == 0 else None
        else:
            found = shutil.which(rest[0] if kind == "cargo" else name)
        if not found:
            raise Skip(f"{name} is missing: hack/setup.sh example:{example}")
        stage.tools[name] = Path(found)
