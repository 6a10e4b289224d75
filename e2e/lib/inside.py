"""Runs one scenario: inside.py REQUEST.json, which run.py writes.

It runs inside namespaces that end with it, or in the kind cluster.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib import claims, net

if TYPE_CHECKING:
    from lib.cluster import Cluster
    from lib.stage import Stage


def make_stage(request: dict[str, Any]) -> Stage | Cluster:
    """Creates the stage of a scenario."""
    tools = {name: Path(path) for name, path in request["tools"].items()}
    if request["shared"]:
        from lib.cluster import Cluster

        return Cluster(request["name"], tools, request["shared"])
    from lib import stage

    # In memory: names of namespaces, and the shared memory of Envoys that restart hot.
    net.keep_to_memory("/dev/shm")
    stage.WORK.mkdir()
    return stage.Stage(tools)


def play(request: dict[str, Any]) -> dict[str, Any]:
    """Runs a scenario, and returns its result."""
    # The files contain keys, and logs outlive the scenario.
    os.umask(0o077)
    net.raise_file_limit()
    stage, broken, skipped = claims.Claims(), [], []

    def attempt(step: Any) -> None:
        try:
            step()
        except claims.Skip as reason:
            skipped.append(str(reason))
        except Exception as error:  # any exception is a failure of the scenario
            broken.append(f"{type(error).__name__}: {error}")
            traceback.print_exc()

    def run() -> None:
        nonlocal stage
        # Scenarios of the family `example` are short forms of what is in examples/.
        sys.path.append(str(Path(__file__).resolve().parent.parent.parent / "examples"))
        stage = make_stage(request)
        specification = importlib.util.spec_from_file_location("scenario", request["scenario"])
        assert specification and specification.loader, request["scenario"]
        scenario = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(scenario)
        stage.open()
        limit = request["limit"]

        def late(*_: object) -> None:
            raise claims.Broken(f"exceeded its limit of {limit:.0f} s")

        signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            scenario.run(stage)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    attempt(run)
    # Before the programs exit: those that nobody waits for take their figures along.
    cpu = None if request["shared"] else cpu_seconds()
    if broken or stage.failures or request["keep"]:
        attempt(lambda: stage.keep_logs(Path(request["logs"])))
    attempt(stage.close)
    return {
        "passed": stage.passed,
        "failures": stage.failures,
        "broken": "; ".join(broken) or None,
        "skipped": skipped[0] if skipped else None,
        "cpu": cpu,
    }


def cpu_seconds() -> float:
    """Returns the CPU time of everything that ran in these namespaces, in seconds."""
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # utime, stime, and the same of children that have ended.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()[11:15]
            ticks += sum(int(field) for field in fields)
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    wanted = json.loads(Path(sys.argv[1]).read_text())
    result = play(wanted)
    Path(wanted["result"]).write_text(json.dumps(result))
