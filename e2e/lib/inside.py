"""Plays one scenario: inside.py REQUEST.json, which run.py writes.

It plays inside namespaces that end with it, or in the kind cluster.
"""

import importlib.util
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib import claims


def make_stage(request):
    """Makes the stage of a scenario."""
    tools = {name: Path(path) for name, path in request["tools"].items()}
    if request["shared"]:
        from lib.cluster import Cluster

        return Cluster(Path(request["scenario"]).parent.name, tools, request["shared"])
    from lib import net, stage

    # In memory: names of namespaces, and the shared memory of Envoys that restart hot.
    for place in ("/run", "/dev/shm"):
        net.run(f"mount -t tmpfs tmpfs {place}")
    Path("/run/netns").mkdir()
    stage.WORK.mkdir()
    return stage.Stage(tools)


def play(request):
    """Plays a scenario, and returns what became of it."""
    # What is written has keys in it, and logs outlive the scenario.
    os.umask(0o077)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stage, broken, skipped = claims.Claims(), [], []

    def attempt(step):
        try:
            step()
        except claims.Skip as reason:
            skipped.append(str(reason))
        except Exception as error:  # whatever it is, it is the scenario's failure
            broken.append(f"{type(error).__name__}: {error}")
            traceback.print_exc()

    def run():
        nonlocal stage
        stage = make_stage(request)
        specification = importlib.util.spec_from_file_location("scenario", request["scenario"])
        scenario = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(scenario)
        stage.open()
        limit = getattr(scenario, "LIMIT", 120)

        def late(*_):
            raise claims.Broken(f"it took more than {limit} s")

        signal.signal(signal.SIGALRM, late)
        signal.alarm(limit)
        try:
            scenario.run(stage)
        finally:
            signal.alarm(0)

    attempt(run)
    if broken or stage.failures or request["keep"]:
        attempt(lambda: stage.keep_logs(Path(request["logs"])))
    attempt(stage.close)
    return {
        "passed": stage.passed,
        "failures": stage.failures,
        "broken": "; ".join(broken) or None,
        "skipped": skipped[0] if skipped else None,
    }


if __name__ == "__main__":
    wanted = json.loads(Path(sys.argv[1]).read_text())
    result = play(wanted)
    Path(wanted["result"]).write_text(json.dumps(result))
