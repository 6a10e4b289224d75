"""Saves logs and state of a failed scenario in the cluster."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from . import timeouts

if TYPE_CHECKING:
    from .cluster import Cluster


def keep(stage: Cluster, folder: Path) -> None:
    """Saves the state of the cluster: pods with their logs, events, descriptions and Envoys' configurations."""
    pods = stage.attempt("get", "pods", "-o", "json", timeout=timeouts.SOON)
    try:
        told = json.loads(pods.stdout)["items"]
    except (ValueError, KeyError):
        told = []
    wanted = {
        "pods.txt": ["get", "pods,nodes", "-A", "-o", "wide"],
        "all.txt": [
            "get",
            "all,configmaps,serviceentries,destinationrules,envoyfilters,peerauthentications,authorizationpolicies",
            "-o",
            "wide",
        ],
        "events.txt": ["get", "events", "-A", "--sort-by=.lastTimestamp"],
        "describe.txt": ["describe", "pods"],
        "istio.yaml": ["get", "serviceentries,destinationrules,envoyfilters,peerauthentications", "-o", "yaml"],
        "istiod.log": ["logs", "-n", "istio-system", "deploy/istiod", f"--since-time={stage.since}"],
    }
    for pod in told:
        name = pod["metadata"]["name"]
        states = pod["status"].get("initContainerStatuses", []) + pod["status"].get("containerStatuses", [])
        for state in states:
            container = state["name"]
            wanted[f"{name}/{container}.log"] = ["logs", name, "-c", container]
            if state.get("restartCount"):
                wanted[f"{name}/{container}.previous.log"] = ["logs", name, "-c", container, "--previous"]
            if container == "istio-proxy":
                for page in ("config_dump", "stats", "clusters"):
                    asked = [
                        "exec",
                        name,
                        "-c",
                        container,
                        "--",
                        "curl",
                        "-s",
                        "-m",
                        str(timeouts.ADMIN),
                        f"localhost:15000/{page}",
                    ]
                    wanted[f"{name}/{page}"] = asked
            if container == "ssa-resolver":
                asked = [
                    "exec",
                    name,
                    "-c",
                    "istio-proxy",
                    "--",
                    "curl",
                    "-s",
                    "-m",
                    str(timeouts.ADMIN),
                    "localhost:9467/status",
                ]
                wanted[f"{name}/shim-status.json"] = asked

    def write(item: tuple[str, list[str]]) -> None:
        path, arguments = item
        done = stage.attempt(*arguments, timeout=timeouts.SOON)
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(done.stdout + done.stderr)

    with ThreadPoolExecutor(4) as several:
        list(several.map(write, wanted.items()))
