#!/usr/bin/env python3
"""Plays the end-to-end scenarios: real Envoys with the filter, in network namespaces of their own; and, with --kind, in
Istio's sidecars in the kind cluster that is up.

Each scenario is a folder in sidecar/, resolver/ or kind/; its scenario.py says what it shows. Those in namespaces are
played two at a time where there are two processors: one after another those that work, and beside them those that
mostly wait.

Claims are counted one by one, and a scenario that breaks before its end counts as a failure more. The last line is `N
passed, N failed, N skipped`; the exit status is 1 when anything failed or nothing passed, and 77 where nothing could be
played: each scenario is skipped then, with the reason.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from lib import cluster_shared, scenarios, timeouts
from lib.claims import Broken
from lib.lanes import Lanes

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
LOGS = TARGET / "e2e-logs"
NEEDED = {
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "ip": "iproute2",
    "ss": "iproute2",
    "ip6tables": "iptables",
    "named": "bind9",
    "dnssec-signzone": "bind9-utils",
    "dig": "bind9-dnsutils",
    "curl": "curl",
    "openssl": "openssl",
}
NAMESPACES = ROOT / "hack/namespaces.sh"
# The exit status that tells the project's tests that nothing can be played here.
CANNOT = 77
# What a scenario may take beyond its own limit: the namespaces, the copies of logs.
GRACE = timeouts.STARTED
# The same in the cluster, where a namespace that was left over goes first.
GRACE_CLUSTER = timeouts.INSTALLED

EPILOG = """environment:
  SSA_ENVOY=PROGRAM   this Envoy instead of the one from PyPI
  SSA_FILTER=FILE     this module instead of the one built from filter/
  SSA_CLI=PROGRAM     this ssa command instead of the one built from cli/
  SSA_RESOLVER=PROGRAM  this ssa-resolver instead of the one built from resolver-shim/
  KEEP=1              leaves the namespaces of scenarios in the cluster
  SSA_DNS=knot        Knot serves the zones of scenarios with a DNS server, in place of BIND
  SSA_TIMEOUT_FACTOR=3  waits this many times as long before it gives up, on a slow machine

It needs root, or a machine that lets users make namespaces; with --kind a cluster, by make kind-up."""


def say(text=""):
    """Prints a line at once."""
    print(text, flush=True)


def die(text):
    """Ends the run before it began."""
    say(f"FAILED: {text}")
    say("0 passed, 1 failed, 0 skipped")
    sys.exit(1)


def no_namespaces():
    """Finds or installs what scenarios in namespaces need; returns why none can be played, or nothing."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = sorted({package for program, package in NEEDED.items() if not shutil.which(program)})
    if missing:
        say(f"installing {' '.join(missing)} by apt (once)")
        script = f'. "{ROOT}/hack/lib.sh"; apt_install {" ".join(missing)}'
        if subprocess.run(["bash", "-c", script]).returncode != 0:
            die(f"these are missing: {' '.join(missing)}; install them: apt-get install {' '.join(missing)}")
    if subprocess.run([NAMESPACES, "true"], capture_output=True).returncode != 0:
        return "this machine does not let you make namespaces of your own (hack/namespaces.sh): run it as root"
    return None


def find_envoy():
    """Returns the path of Envoy."""
    envoy = subprocess.run([ROOT / "hack/envoy.sh"], stdout=subprocess.PIPE, text=True)
    if envoy.returncode != 0:
        die("there is no Envoy")
    return envoy.stdout.strip()


def build():
    """Builds the module, and the programs that the environment does not name; returns their paths."""
    say("building what is missing (minutes, once)")
    module = subprocess.run([ROOT / "hack/module.sh"], stdout=subprocess.PIPE, text=True)
    if module.returncode != 0:
        die("the module does not build")
    wanted = {"ssa": "SSA_CLI", "ssa-resolver": "SSA_RESOLVER"}
    if not all(variable in os.environ for variable in wanted.values()):
        # Which packages these are is known there alone.
        if subprocess.run(["bash", "-c", f'. "{ROOT}/hack/lib.sh"; build_programs']).returncode != 0:
            die("the programs do not build")
    paths = {name: Path(os.environ.get(variable, TARGET / "release" / name)) for name, variable in wanted.items()}
    for path in paths.values():
        if not path.is_file():
            die(f"there is no {path}")
    return {
        "root": ROOT,
        "module": module.stdout.strip(),
        "ssa": paths["ssa"].resolve(),
        "resolver": paths["ssa-resolver"].resolve(),
    }


def play(scenario, tools, shared, keep):
    """Plays a scenario in namespaces of its own or in the cluster, and returns what became of it.

    `shared` is what all scenarios in the cluster have.
    """
    logs = LOGS / scenario.name
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(mode=0o700, parents=True)
    result = logs / "result.json"
    request = {
        "scenario": str(scenario.file),
        "name": scenario.name,
        "limit": scenario.limit * timeouts.FACTOR,
        "tools": {name: str(path) for name, path in tools.items()},
        "logs": str(logs),
        "result": str(result),
        "keep": keep,
        "shared": shared if scenario.cluster else None,
    }
    (logs / "request.json").write_text(json.dumps(request))
    command = [sys.executable, "-B", HERE / "lib/inside.py", logs / "request.json"]
    if not scenario.cluster:
        command.insert(0, NAMESPACES)
    with open(logs / "story.log", "w") as story:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=story, stderr=subprocess.STDOUT)
        try:
            process.wait(scenario.limit * timeouts.FACTOR + (GRACE_CLUSTER if scenario.cluster else GRACE))
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()
    try:
        return json.loads(result.read_text())
    except (OSError, ValueError):
        return {
            "passed": 0,
            "failures": [],
            "broken": f"it ended by {process.returncode} and told nothing",
            "skipped": None,
        }


def report(scenario, told, seconds, keep):
    """Returns what is to be printed of a scenario, and (passed, failed, skipped)."""
    logs = LOGS / scenario.name
    failed = len(told["failures"]) + bool(told["broken"])
    lines = []
    took = f"{seconds:.0f} s" + (f", {told['cpu']:.0f} s of it CPU" if told.get("cpu") is not None else "")
    if told["skipped"] and not failed:
        lines.append(f"  SKIPPED: {scenario.name}: {told['skipped']}")
    elif not failed:
        lines.append(f"  ok: {scenario.name}: {told['passed']} claims in {took}")
    else:
        lines += [f"  | not so: {failure}" for failure in told["failures"]]
        if told["broken"]:
            lines += [f"  | {line}" for line in (logs / "story.log").read_text(errors="replace").splitlines()[-40:]]
            lines.append(f"  | broken: {told['broken']}")
        lines.append(
            f"  FAILED: {scenario.name}: {told['passed']} claims held, {failed} did not, in {took}; logs: {logs}"
        )
    if not failed and not keep:
        shutil.rmtree(logs)
    return lines, (told["passed"], failed, bool(told["skipped"]))


def main():
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="play only these scenarios, long ones too; * stands for any text"
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios and what they show")
    parser.add_argument("--long", action="store_true", help="play the long scenarios too")
    parser.add_argument("--kind", action="store_true", help="play those in the kind cluster, and no others")
    parser.add_argument(
        "--lanes", type=int, choices=(1, 2), default=min(2, os.cpu_count() or 1), help="how many at a time (default: 2)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the logs of scenarios that passed too")
    options = parser.parse_args()
    everything = scenarios.everything()
    if options.list:
        for scenario in everything:
            say(f"{scenario.name:23} {'(long) ' if scenario.long else ''}{scenario.shows}")
        return 0
    chosen = [one for one in everything if any(one.is_meant_by(name) for name in options.names)]
    unknown = [name for name in options.names if not any(one.is_meant_by(name) for one in everything)]
    if unknown:
        parser.error(f"there is no scenario {', '.join(unknown)}; --list shows them")
    if not options.names:
        chosen = [one for one in everything if one.cluster == options.kind and (options.long or not one.long)]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    return play_all(chosen, everything, options)


def play_all(chosen, everything, options):
    """Plays scenarios, and returns the exit status."""
    wanted = {one.cluster for one in chosen}
    reasons = {
        False: no_namespaces() if False in wanted else None,
        True: cluster_shared.missing() if True in wanted else None,
    }
    playable = {within for within in wanted if not reasons[within]}
    began = time.monotonic()
    can = [one for one in chosen if not reasons[one.cluster]]
    cannot = [one for one in chosen if reasons[one.cluster]]
    with contextlib.ExitStack() as held:
        tools, shared = build() if playable else {}, None
        if False in playable:
            tools["envoy"] = find_envoy()
        if True in playable:
            held.enter_context(cluster_shared.alone(say))
            try:
                shared = cluster_shared.prepare(tools, say)
            except Broken as reason:
                die(str(reason))

        def player(scenario):
            started = time.monotonic()
            told = play(scenario, tools, shared, options.keep)
            return report(scenario, told, time.monotonic() - started, options.keep)

        for scenario in cannot:
            say(f"  SKIPPED: {scenario.name}: {reasons[scenario.cluster]}")
        lanes = Lanes(can, 1 if True in playable else options.lanes, player, say)
        lanes.play()
    if not options.names:
        left = [one for one in everything if one not in chosen]
        for option, names in {
            "--long": [one.name for one in left if one.long and one.cluster == options.kind],
            "--kind": [one.name for one in left if one.cluster and not options.kind],
        }.items():
            if names:
                say(f"== left out: {', '.join(names)}; {option} plays them")
    passed, failed, skipped = lanes.totals
    say(f"== {time.monotonic() - began:.0f} s in all{'; failed: ' + ' '.join(lanes.broken) if lanes.broken else ''}")
    say(f"{passed} passed, {failed} failed, {skipped + len(cannot)} skipped")
    if not playable:
        return CANNOT
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
