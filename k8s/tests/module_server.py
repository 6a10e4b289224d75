"""The load that the module server withstands, with the configuration that the chart renders."""

import json
import os
import subprocess
from pathlib import Path

from checks import Checks

FIXTURES = Path(__file__).resolve().parent / "fixtures"


class ModuleServer(Checks):
    """The load that the module server withstands, with the configuration that the chart renders."""

    def many_unfinished_request_headers_do_not_end_it(self) -> None:
        self._needs_namespaces()
        folder = self.folder / "server"
        folder.mkdir()
        deployment = self.all["Deployment", "ssa-module"]["spec"]["template"]["spec"]
        (container,) = deployment["containers"]
        limit = container["resources"]["limits"]["memory"]
        assert limit.endswith("Mi"), limit
        (folder / "envoy.yaml").write_text(self.all["ConfigMap", "ssa-module-server"]["data"]["envoy.yaml"])
        module = self.options.module.resolve()
        env = {
            **os.environ,
            "ENVOY": str(self.options.envoy),
            "MODULE": str(module),
            "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
        }
        done = subprocess.run(
            ["unshare", "-Urnmpf", "--mount-proc", "--kill-child", "bash", FIXTURES / "module_server.sh"],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}{(folder / 'envoy.log').read_text()[-2000:]}"
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["answer"] == "HTTP/1.1 408 Request Timeout" and told["waited"] > 3, told
        assert told["module"] == module.stat().st_size, told
        # With room to spare: what a module of a megabyte would take comes on top.
        assert told["memory"] < int(limit[:-2]) * 2 // 3, told
