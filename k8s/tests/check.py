#!/usr/bin/env python3
"""Checks the chart and the scripts beside it without a cluster; hack/chart.sh runs it. Each module listed below has the
checks of one subject."""

import argparse
import sys
import tempfile
import textwrap
import traceback
from pathlib import Path

from checks import Chart, Skipped
from closed_servers import ClosedServers
from configurations import Configurations
from downloads import Downloads
from injection import Injection
from mesh import Mesh
from module_server import ModuleServer
from monitoring import Monitoring
from object_names import ObjectNames
from operations_page import OperationsPage
from rejected_values import RejectedValues
from rendering import Rendering
from request_filters import RequestFilters
from sidecar_traffic import SidecarTraffic
from slice_scripts import SliceScripts
from workloads import Workloads

from cluster import Cluster

SUBJECTS = (
    Rendering,
    ObjectNames,
    Workloads,
    ClosedServers,
    Mesh,
    RequestFilters,
    Configurations,
    Injection,
    Cluster,
    RejectedValues,
    OperationsPage,
    Monitoring,
    SliceScripts,
    Downloads,
    SidecarTraffic,
    ModuleServer,
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("helm", "envoy", "module", "ssa", "resolver"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--promtool", help="empty if there is none")
    parser.add_argument(
        "only", nargs="*", metavar="WORD", help="run only checks whose name contains one of these words"
    )
    options = parser.parse_args()
    passed, failed, skipped = 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        chart = Chart(options, Path(folder))
        for subject, name in ((one, name) for one in SUBJECTS for name in vars(one) if not name.startswith("_")):
            fact = name.replace("_", " ")
            if options.only and not any(word in fact for word in options.only):
                continue
            try:
                getattr(subject(chart), name)()
            except Skipped as why:
                skipped += 1
                print(f"SKIPPED: {fact}: {why}", flush=True)
            except Exception:  # whatever it is, the other checks still run
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
