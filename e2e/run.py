#!/usr/bin/env python3
"""Plays the end-to-end scenarios: real Envoys with the filter, in network namespaces of their own; and, with --kind, in
Istio's sidecars in the kind cluster that is up.

Each scenario is a folder beside this file; its scenario.py says what it shows. Its claims are counted one by one, and
one that breaks before its end counts as a failure more. The last line is `N passed, N failed, N skipped`; the exit
status is 1 when anything failed or nothing passed, and 77 where nothing could be played: each scenario is skipped then,
with the reason.
"""

import argparse
import ast
import contextlib
import fnmatch
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from lib import cluster_shared
from lib.claims import Broken

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
LOGS = TARGET / "e2e-logs"
NEEDED = {"unshare": "util-linux", "setpriv": "util-linux", "ip": "iproute2", "ss": "iproute2", "ip6tables": "iptables",
          "named": "bind9", "dnssec-signzone": "bind9-utils", "dig": "bind9-dnsutils", "curl": "curl",
          "openssl": "openssl"}
NAMESPACES = ROOT / "hack/namespaces.sh"
# The exit status that tells the project's tests that nothing can be played here.
CANNOT = 77
# What a scenario may take beyond its own limit: the namespaces, the copies of logs.
GRACE = 60
# The same in the cluster, where a namespace that was left over goes first.
GRACE_CLUSTER = 300

EPILOG = """environment:
  SSA_ENVOY=PROGRAM   this Envoy instead of the one from PyPI
  SSA_FILTER=FILE     this module instead of the one built from filter/
  SSA_CLI=PROGRAM     this ssa command instead of the one built from cli/
  SSA_RESOLVER=PROGRAM  this ssa-resolver instead of the one built from resolver-shim/
  KEEP=1              leaves the namespaces of scenarios in the cluster
  SSA_DNS=knot        Knot serves the zones of scenarios with a DNS server, in place of BIND

It needs root, or a machine that lets users make namespaces; with --kind a cluster, by make kind-up."""


class Scenario:
    """A scenario's folder, and what can be known of it without playing it."""

    def __init__(self, folder):
        self.name = folder.name
        self.file = folder / "scenario.py"
        try:
            tree = ast.parse(self.file.read_text())
        except SyntaxError as error:
            tree = ast.parse(repr(f"cannot be read: {error}"))
        self.shows = (ast.get_docstring(tree) or "").partition("\n\n")[0].replace("\n", " ")
        values = {}
        for statement in tree.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
                values[statement.targets[0].id] = statement.value.value
        self.long = values.get("LONG", False)
        self.limit = values.get("LIMIT", 120)
        self.cluster = values.get("CLUSTER", False)


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
    packages = [package for package, variable in wanted.items() if variable not in os.environ]
    if packages:
        # Both, as hack/lib.sh has it: built alone, one gets its libraries with other features.
        command = ["cargo", "build", "--quiet", "--release", "--locked", *(f"-p{package}" for package in wanted)]
        if subprocess.run(command, cwd=ROOT).returncode != 0:
            die(f"{' and '.join(packages)} cannot be built")
    paths = {
        package: Path(os.environ.get(variable, TARGET / "release" / package)) for package, variable in wanted.items()
    }
    for path in paths.values():
        if not path.is_file():
            die(f"there is no {path}")
    return {"root": ROOT, "module": module.stdout.strip(), "ssa": paths["ssa"].resolve(),
            "resolver": paths["ssa-resolver"].resolve()}


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
            process.wait(scenario.limit + (GRACE_CLUSTER if scenario.cluster else GRACE))
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
    """Prints what became of a scenario, and returns (passed, failed, skipped)."""
    logs = LOGS / scenario.name
    failed = len(told["failures"]) + bool(told["broken"])
    if told["skipped"] and not failed:
        say(f"  SKIPPED: {scenario.name}: {told['skipped']}")
    elif not failed:
        say(f"  ok: {told['passed']} claims in {seconds:.0f} s")
    else:
        for failure in told["failures"]:
            say(f"  | not so: {failure}")
        if told["broken"]:
            for line in (logs / "story.log").read_text(errors="replace").splitlines()[-40:]:
                say(f"  | {line}")
            say(f"  | broken: {told['broken']}")
        say(f"  FAILED: {told['passed']} claims held, {failed} did not, in {seconds:.0f} s; logs: {logs}")
    if not failed and not keep:
        shutil.rmtree(logs)
    return told["passed"], failed, bool(told["skipped"])


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
    parser.add_argument("--keep", action="store_true", help="keep the logs of scenarios that passed too")
    options = parser.parse_args()
    everything = [Scenario(path.parent) for path in sorted(HERE.glob("*/scenario.py"))]
    if options.list:
        for scenario in everything:
            marks = ("(kind) " if scenario.cluster else "") + ("(long) " if scenario.long else "")
            say(f"{scenario.name:20} {marks}{scenario.shows}")
        return 0
    chosen = [one for name in options.names for one in everything if fnmatch.fnmatchcase(one.name, name)]
    unknown = [name for name in options.names if not fnmatch.filter((one.name for one in everything), name)]
    if unknown:
        parser.error(f"there is no scenario {', '.join(unknown)}; --list shows them")
    if not options.names:
        chosen = [one for one in everything if one.cluster == options.kind and (options.long or not one.long)]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    return play_all(chosen, everything, options)


def play_all(chosen, everything, options):
    """Plays scenarios one after the other, and returns the exit status."""
    wanted = {one.cluster for one in chosen}
    reasons = {
        False: no_namespaces() if False in wanted else None,
        True: cluster_shared.missing() if True in wanted else None,
    }
    playable = {within for within in wanted if not reasons[within]}
    began = time.monotonic()
    totals = [0, 0, 0]
    broken = []
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
        for scenario in chosen:
            if reasons[scenario.cluster]:
                say(f"  SKIPPED: {scenario.name}: {reasons[scenario.cluster]}")
                totals[2] += 1
                continue
            say(f"→ {scenario.name}: {scenario.shows}")
            started = time.monotonic()
            told = play(scenario, tools, shared, options.keep)
            figures = report(scenario, told, time.monotonic() - started, options.keep)
            totals = [total + figure for total, figure in zip(totals, figures)]
            if figures[1]:
                broken.append(scenario.name)
    if not options.names:
        left = [one for one in everything if one not in chosen]
        for option, names in {
            "--long": [one.name for one in left if one.long and one.cluster == options.kind],
            "--kind": [one.name for one in left if one.cluster and not options.kind],
        }.items():
            if names:
                say(f"== left out: {', '.join(names)}; {option} plays them")
    say(f"== {time.monotonic() - began:.0f} s in all{'; failed: ' + ' '.join(broken) if broken else ''}")
    say(f"{totals[0]} passed, {totals[1]} failed, {totals[2]} skipped")
    if not playable:
        return CANNOT
    return 0 if totals[0] and not totals[1] else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
