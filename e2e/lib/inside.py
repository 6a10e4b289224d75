"""Plays one scenario: inside.py REQUEST.json, which run.py writes. It plays inside namespaces that end with it, or in the
kind cluster."""

import importlib.util
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib import claims, cluster, net
from lib import stage as stages


def namespaces(request, tools):
    """Returns the stage of a scenario in namespaces, and what there is to do when it ended."""
    # Names of namespaces, and the shared memory of Envoys that restart hot.
    for place in ("/run", "/dev/shm"):
        net.run(f"mount -t tmpfs tmpfs {place}")
    Path("/run/netns").mkdir()
    stages.WORK.mkdir()
    return stages.Stage(tools), lambda: None


def kind(request, tools):
    """Returns the stage of a scenario in the cluster, and what there is to do when it ended."""
    stage = cluster.Cluster(Path(request["scenario"]).parent.name, tools, request["shared"])
    stage.open()
    leave = "KEEP" in os.environ
    return stage, (lambda: None) if leave else stage.remove


def play(request):
    """Plays a scenario, and returns what became of it."""
    # What is written has keys in it, and logs outlive the scenario.
    os.umask(0o077)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    specification = importlib.util.spec_from_file_location("scenario", request["scenario"])
    scenario = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(scenario)
    limit = getattr(scenario, "LIMIT", 120)
    tools = {name: Path(path) for name, path in request["tools"].items()}
    stage, end = (kind if request["shared"] else namespaces)(request, tools)

    def late(*_):
        raise claims.Broken(f"it took more than {limit} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(limit)
    broken, skipped = None, None
    try:
        scenario.run(stage)
    except claims.Skip as reason:
        skipped = str(reason)
    except Exception as error:  # whatever it is, it is the scenario's failure
        broken = f"{type(error).__name__}: {error}"
        traceback.print_exc()
    signal.alarm(0)
    if broken or stage.failures or request["keep"]:
        stage.keep_logs(Path(request["logs"]))
    end()
    return {"passed": stage.passed, "failures": stage.failures, "broken": broken, "skipped": skipped}


if __name__ == "__main__":
    wanted = json.loads(Path(sys.argv[1]).read_text())
    result = play(wanted)
    Path(wanted["result"]).write_text(json.dumps(result))
