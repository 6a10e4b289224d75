#!/usr/bin/env python3
"""Checks the chart and the scripts beside it without a cluster; hack/chart.sh runs it. A module beside it is a room of
checks."""

import argparse
import sys
import tempfile
import textwrap
import traceback
from pathlib import Path

from closed import Closed
from fetching import Fetching
from injection import Injection
from mesh import Mesh
from monitoring import Monitoring
from names import Names
from operations import Operations
from programs import Programs
from refusals import Refusals
from rendering import Rendering
from room import Chart, Skipped
from scripts import Scripts
from server import Server
from sidecar import Sidecar
from workloads import Workloads

ROOMS = (
    Rendering,
    Names,
    Workloads,
    Closed,
    Mesh,
    Programs,
    Injection,
    Refusals,
    Operations,
    Monitoring,
    Scripts,
    Fetching,
    Sidecar,
    Server,
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("helm", "envoy", "module", "ssa", "resolver"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--promtool", help="nothing where there is none")
    parser.add_argument("only", nargs="*", metavar="WORD", help="checks whose name has one of these words alone")
    options = parser.parse_args()
    passed, failed, skipped = 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        chart = Chart(options, Path(folder))
        for room, name in ((room, name) for room in ROOMS for name in vars(room) if not name.startswith("_")):
            fact = name.replace("_", " ")
            if options.only and not any(word in fact for word in options.only):
                continue
            try:
                getattr(room(chart), name)()
            except Skipped as why:
                skipped += 1
                print(f"SKIPPED: {fact}: {why}", flush=True)
            except Exception:  # whatever it is, the other checks go on
                failed += 1
                print(f"FAILED: {fact}")
                print(textwrap.indent(traceback.format_exc(), "  | "), flush=True)
            else:
                passed += 1
                print(f"ok: {fact}", flush=True)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
