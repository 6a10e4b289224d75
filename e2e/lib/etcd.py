"""etcd on a host of its own."""

from __future__ import annotations

import subprocess
import urllib.request

from . import timeouts
from .claims import Broken, Skip
from .stage import ROOT, Stage

ADDRESS = "2001:db8:0:90::1"


def start(stage: Stage) -> str:
    """Starts it, and returns the location of the store as `--store` takes it."""
    done = subprocess.run([ROOT / "hack/etcd.sh"], capture_output=True, text=True, timeout=timeouts.INSTALLED)
    if done.returncode == 77:
        raise Skip(done.stdout.strip())
    if done.returncode != 0:
        raise Broken(done.stderr.strip())
    host = stage.net.host("etcd", ADDRESS)
    url = f"http://[{ADDRESS}]:2379"
    command = [done.stdout.strip().splitlines()[-1], "--data-dir", stage.work / "etcd-data", "--log-level", "warn"]
    command += ["--listen-client-urls", url, "--advertise-client-urls", url]
    command += ["--listen-peer-urls", "http://[::1]:2380", "--initial-advertise-peer-urls", "http://[::1]:2380"]
    command += ["--initial-cluster", "default=http://[::1]:2380"]
    stage.start(host, "etcd", command)

    def healthy() -> bool:
        try:
            with host, urllib.request.urlopen(f"{url}/health", timeout=timeouts.POLLED_QUERY) as answer:
                return b"true" in answer.read()
        except OSError:
            return False

    stage.wait(timeouts.STARTED, "etcd is healthy", healthy)
    return f"etcd:{url}"
