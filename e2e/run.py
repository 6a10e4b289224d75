#!/usr/bin/env python3
"""Runs the end-to-end scenarios: real Envoys with the filter, in network namespaces of their own; with --kind, the
scenarios in the sidecars of Istio, in the kind cluster that is running.

Each scenario is a folder in sidecar/, resolver/ or kind/; its scenario.py says what it shows. In namespaces, busy
scenarios run one after another, and light ones, which mostly wait or need little CPU, next to them.

Claims are counted one by one, and a scenario that aborts counts as one more failure. The last line is
`N passed, N failed, N skipped`. The exit status is 1 if anything failed or nothing passed, and 77 if no scenario can
run here: each is then skipped with the reason.
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
from typing import Any

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
# The exit status that tells hack/test.sh that nothing can run here.
CANNOT = 77
# What a scenario may take beyond its own limit: creating namespaces, copying logs.
GRACE = timeouts.STARTED
# The same in the cluster, where a leftover namespace is deleted first.
GRACE_CLUSTER = timeouts.INSTALLED

EPILOG = """environment:
  SSA_ENVOY=PROGRAM     use this Envoy instead of the one from PyPI
  SSA_FILTER=FILE       use this module instead of building filter/
  SSA_CLI=PROGRAM       use this ssa instead of building cli/
  SSA_RESOLVER=PROGRAM  use this ssa-resolver instead of building resolver-shim/
  SSA_CLUSTER=PROGRAM   use this ssa-cluster instead of building cluster/
  SSA_DNS=knot          serve the zones with Knot instead of BIND
  SSA_TIMEOUT_FACTOR=3  multiply all timeouts by this on a slow machine
  KEEP=1                keep the namespaces of scenarios in the cluster

Needs root, or a machine that lets users create namespaces; --kind needs a cluster: make kind-up."""


def say(text: str = "") -> None:
    """Prints a line at once."""
    print(text, flush=True)


def die(text: str) -> None:
    """Ends the run before it starts."""
    say(f"FAILED: {text}")
    say("0 passed, 1 failed, 0 skipped")
    sys.exit(1)


def no_namespaces() -> str | None:
    """Finds or installs what scenarios in namespaces need; returns why none can run, or None."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = sorted({package for program, package in NEEDED.items() if not shutil.which(program)})
    if missing:
        say(f"installing {' '.join(missing)} with apt (once)")
        script = f'. "{ROOT}/hack/lib.sh"; apt_install {" ".join(missing)}'
        if subprocess.run(["bash", "-c", script]).returncode != 0:
            die(f"missing packages: apt-get install {' '.join(missing)}")
    if subprocess.run([NAMESPACES, "true"], capture_output=True).returncode != 0:
        return "this machine does not allow unprivileged namespaces (hack/namespaces.sh): run as root"
    return None


def find_envoy() -> str:
    """Returns the path of Envoy."""
    envoy = subprocess.run([ROOT / "hack/envoy.sh"], stdout=subprocess.PIPE, text=True)
    if envoy.returncode != 0:
        die("Envoy not found")
    return envoy.stdout.strip()


def build() -> dict[str, str | Path]:
    """Builds the module, and the programs unless the environment names them; returns their paths."""
    say("building the module and the programs (minutes, once)")
    module = subprocess.run([ROOT / "hack/module.sh"], stdout=subprocess.PIPE, text=True)
    if module.returncode != 0:
        die("the module failed to build")
    wanted = {"ssa": "SSA_CLI", "ssa-resolver": "SSA_RESOLVER", "ssa-cluster": "SSA_CLUSTER"}
    # The list of packages is in lib.sh.
    script = f'. "{ROOT}/hack/lib.sh"; build_programs'
    named = all(variable in os.environ for variable in wanted.values())
    if not named and subprocess.run(["bash", "-c", script]).returncode != 0:
        die("the programs failed to build")
    paths = {name: Path(os.environ.get(variable, TARGET / "release" / name)) for name, variable in wanted.items()}
    for path in paths.values():
        if not path.is_file():
            die(f"{path} not found")
    return {
        "root": ROOT,
        "module": module.stdout.strip(),
        "ssa": paths["ssa"].resolve(),
        "resolver": paths["ssa-resolver"].resolve(),
        "cluster": paths["ssa-cluster"].resolve(),
    }


def play(
    scenario: scenarios.Scenario, tools: dict[str, str | Path], shared: dict[str, str] | None, keep: bool
) -> dict[str, Any]:
    """Runs a scenario in its own namespaces or in the cluster, and returns its result.

    `shared` is what all scenarios in the cluster have in common.
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
    command: list[str | Path] = [sys.executable, "-B", HERE / "lib/inside.py", logs / "request.json"]
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
            "broken": f"it exited with {process.returncode} and left no result",
            "skipped": None,
        }


def report(
    scenario: scenarios.Scenario, told: dict[str, Any], seconds: float, keep: bool
) -> tuple[list[str], tuple[int, int, int]]:
    """Returns lines to print about a scenario, and (passed, failed, skipped)."""
    logs = LOGS / scenario.name
    failed = len(told["failures"]) + bool(told["broken"])
    lines = []
    took = f"{seconds:.0f} s" + (f" ({told['cpu']:.0f} s CPU)" if told.get("cpu") is not None else "")
    if told["skipped"] and not failed:
        lines.append(f"  SKIPPED: {scenario.name}: {told['skipped']}")
    elif not failed:
        lines.append(f"  ok: {scenario.name}: {told['passed']} claims in {took}")
    else:
        lines += [f"  | failed: {failure}" for failure in told["failures"]]
        if told["broken"]:
            lines += [f"  | {line}" for line in (logs / "story.log").read_text(errors="replace").splitlines()[-40:]]
            lines.append(f"  | aborted: {told['broken']}")
        lines.append(
            f"  FAILED: {scenario.name}: {told['passed']} claims passed, {failed} failed in {took}; logs: {logs}"
        )
    if not failed and not keep:
        shutil.rmtree(logs)
    return lines, (told["passed"], failed, bool(told["skipped"]))


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="run only these scenarios, including long ones; * matches any text"
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios and what they show")
    parser.add_argument("--long", action="store_true", help="run the long scenarios too")
    parser.add_argument("--kind", action="store_true", help="run the scenarios in the kind cluster instead")
    parser.add_argument(
        "--lanes",
        type=int,
        default=3 if (os.cpu_count() or 1) > 1 else 1,
        metavar="N",
        help="how many at a time, at most one of them busy (default: %(default)s)",
    )
    parser.add_argument("--keep", action="store_true", help="also keep the logs of scenarios that passed")
    options = parser.parse_args()
    everything = scenarios.everything()
    if options.list:
        for scenario in everything:
            say(f"{scenario.name:23} {'(long) ' if scenario.long else ''}{scenario.shows}")
        return 0
    chosen = [one for one in everything if any(one.is_meant_by(name) for name in options.names)]
    unknown = [name for name in options.names if not any(one.is_meant_by(name) for one in everything)]
    if unknown:
        parser.error(f"unknown scenario {', '.join(unknown)}; see --list")
    if not options.names:
        chosen = [one for one in everything if one.cluster == options.kind and (options.long or not one.long)]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    return play_all(chosen, everything, options)


def play_all(chosen: Any, everything: Any, options: Any) -> int:
    """Runs scenarios, and returns the exit status."""
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
        failures: list[str] = []
        if False in playable:
            tools["envoy"] = find_envoy()
        if True in playable:
            held.enter_context(cluster_shared.alone(say))
            try:
                shared = cluster_shared.prepare(tools, say)
            except Broken as reason:
                die(str(reason))

        def player(scenario: scenarios.Scenario) -> tuple[list[str], tuple[int, int, int]]:
            started = time.monotonic()
            told = play(scenario, tools, shared, options.keep)
            why = [*told["failures"], *([told["broken"]] if told["broken"] else [])]
            failures.extend(f"{scenario.name}: {one}" for one in why)
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
                say(f"== not run: {', '.join(names)}; use {option}")
    # Once more, for what is above may be long.
    for failure in failures:
        say(f"== failed: {failure}")
    passed, failed, skipped = lanes.totals
    say(f"== {time.monotonic() - began:.0f} s in total{'; failed: ' + ' '.join(lanes.broken) if lanes.broken else ''}")
    say(f"{passed} passed, {failed} failed, {skipped + len(cannot)} skipped")
    if not playable:
        return CANNOT
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
