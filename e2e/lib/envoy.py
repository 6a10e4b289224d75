"""Sidecars: Envoys with the files of envoy/, unchanged except for the plugin's configuration and the node's address.

A plugin configuration may have its services inline, although those of the files get them from snapshots: then no
resolver is needed.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import timeouts
from .claims import find
from .files import patched
from .metered import Metered

if TYPE_CHECKING:
    from .net import Host
    from .stage import Program, Stage

# The addresses that the files of envoy/ bind to: those of a client, and of a host that is both.
SOURCES = ("2001:db8:0:1::10", "2001:db8:0:102::1")
# A plugin configuration: an object, a text, or bytes; None is that of the file. A list has one for each role of a file
# with both, in its order.
Configuration = dict[str, Any] | list[dict[str, Any]] | str | bytes | None
WASM = "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm"


class Sidecar(Metered):
    """An Envoy with the filter on a host, in its own folder."""

    # Set by start().
    process: Program

    def __init__(
        self,
        stage: Stage,
        host: Host,
        file: str,
        configuration: Configuration,
        concurrency: int = 2,
        patch: str = "",
        dynamic: str | None = None,
        base_id: int | None = None,
        folder: str | None = None,
        without: str | None = None,
    ) -> None:
        """Writes its files.

        `configuration` is the plugin's, as an object, as text or as bytes; None leaves the file's own. `patch` is a
        unified diff of the file; `without` is a capability that the module is not allowed. `dynamic` is `lds` or `ecds`
        if the listener or the filter comes from a file that `push` replaces. `base_id` is that of Envoys that restart
        hot, `folder` the name of its folder if not the host's.
        """
        self.stage = stage
        self.host = host
        self.concurrency = concurrency
        self.base_id = base_id
        self.dynamic = dynamic
        self.read_to = 0
        self.folder = stage.work / (folder or host.name)
        self.folder.mkdir()
        (self.folder / "ssa_filter.wasm").symlink_to(stage.tools["module"])
        text = patched((stage.tools["root"] / "envoy" / file).read_text(), patch)
        for source in SOURCES:
            text = text.replace(f'address: "{source}"', f'address: "{host.address}"')
            text = text.replace(f'"source": "{source}"', f'"source": "{host.address}"')
        if without:
            text, count = re.subn(rf"\b{without}: {{}},?\s*", "", text)
            if count != 1:
                raise RuntimeError(f"envoy/{file} allows {without} {count} times")
        self.text = text
        text = self._with(configuration)
        if dynamic:
            text, resource = _apart(text, dynamic, self.folder)
            self._put(resource)
        (self.folder / "envoy.yaml").write_text(text)

    def _with(self, configuration: Configuration) -> str:
        if configuration is None:
            return self.text
        kind = "google.protobuf.StringValue"
        values = []
        for one in configuration if isinstance(configuration, list) else [configuration]:
            if isinstance(one, bytes):
                kind = "google.protobuf.BytesValue"
                values.append([f'"{base64.b64encode(one).decode()}"'])
            else:
                text = one if isinstance(one, str) else json.dumps(one, indent=2)
                values.append(["|", *(f"  {line}" for line in text.splitlines())])
        places = re.findall(r"^( *)value: \|\n(?:\1 +.*\n)+", self.text, flags=re.MULTILINE)
        if len(places) != len(values):
            raise RuntimeError(f"the file has {len(places)} plugin configurations, not {len(values)}")
        left = iter(values)

        def block(found: re.Match[str]) -> str:
            return f"{found.group(1)}value: " + f"\n{found.group(1)}".join(next(left)) + "\n"

        text = re.sub(r"^( *)value: \|\n(?:\1 +.*\n)+", block, self.text, flags=re.MULTILINE)
        return text.replace("google.protobuf.StringValue", kind)

    def _put(self, resource: str) -> None:
        # Envoy reloads when a file is moved into place.
        new = self.folder / "new.yaml"
        new.write_text(resource)
        os.replace(new, self.folder / f"{self.dynamic}.yaml")

    # ---- life

    def start(self, epoch: int | None = None) -> Program:
        """Starts it; `epoch` counts hot restarts."""
        command = [
            self.stage.tools["envoy"],
            *("-c", "envoy.yaml"),
            *("--concurrency", self.concurrency),
            *("--file-flush-interval-msec", 50),
            *("--log-level", "warning"),
        ]
        if self.base_id is None:
            command += ["--disable-hot-restart"]
        else:
            command += ["--base-id", self.base_id, "--restart-epoch", epoch or 0]
            command += ["--drain-time-s", 3, "--parent-shutdown-time-s", 5]
        title = f"{self.folder.name}/output" + (f"-{epoch}" if epoch else "")
        self.process = self.stage.start(self.host, title, command, cwd=self.folder)
        return self.process

    def wait_ready(self) -> None:
        """Waits until it is ready."""
        self.stage.wait(
            timeouts.STARTED, f"the Envoy of {self.host.name} is ready", lambda: self.try_admin("ready") == "LIVE\n"
        )

    def stop(self) -> int:
        """Stops it."""
        return self.stage.stop(self.process)

    def push(self, configuration: Configuration) -> None:
        """Replaces the plugin configuration, in the file that it watches."""
        _, resource = _apart(self._with(configuration), self.dynamic or "", self.folder)
        self._put(resource)

    # ---- looking

    def admin(self, path: str, method: str = "GET") -> str:
        """Asks the admin interface."""
        connection = http.client.HTTPConnection("admin", timeout=timeouts.ADMIN)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(timeouts.ADMIN)
        connection.sock.connect(str(self.folder / "admin.sock"))
        try:
            connection.request(method, f"/{path}")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def try_admin(self, path: str) -> str | None:
        """Asks the admin interface; returns None if it does not answer."""
        try:
            return self.admin(path)
        except (OSError, http.client.HTTPException):
            return None

    def metrics(self) -> list[tuple[str, dict[str, str], int]]:
        """Returns the filter's metrics as Prometheus sees them: (name, labels, value)."""
        found = []
        for line in self.admin("stats/prometheus?filter=ssa_").splitlines():
            match = re.match(r"(ssa_\w+)\{(.*)\} (\S+)$", line)
            if match:
                labels = dict(re.findall(r'(\w+)="([^"]*)"', match.group(2)))
                found.append((match.group(1), labels, int(float(match.group(3)))))
        return found

    def output(self) -> str:
        """Returns its output so far."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("output*.log")))

    def access_log(self, name: str = "access.log") -> list[dict[str, Any]]:
        """Returns the lines of an access log, oldest first, each with the filter's findings on the connection."""
        path = self.folder / name
        if not path.exists():
            return []
        whole = path.read_text().rpartition("\n")[0]
        return [_found(json.loads(line)) for line in whole.splitlines()]

    def logged(self, count: int, seconds: float = timeouts.SOON) -> list[dict[str, Any]]:
        """Waits until the access log has so many new lines since the last call, and returns them."""

        def new() -> list[dict[str, Any]] | None:
            lines = self.access_log()[self.read_to :]
            return lines if len(lines) >= count else None

        lines = self.stage.wait(seconds, f"{self.host.name} has logged {count} connections more", new)
        self.read_to += len(lines)
        return lines

    def mark(self) -> None:
        """Skips the current lines of the access log."""
        self.read_to = len(self.access_log())

    def resident(self) -> int:
        """Returns its resident memory in MB."""
        return self.process.resident_kb() // 1024

    def cpu_seconds(self) -> float:
        """Returns its CPU time so far, in seconds."""
        return self.process.cpu_seconds()

    def memory(self) -> dict[str, int]:
        """Returns its memory in MB: resident, in use by its allocator, and the rest: modules and the program."""
        heap = {name: int(size) >> 20 for name, size in json.loads(self.admin("memory")).items()}
        whole = self.resident()
        return {"in all": whole, "allocated": heap["allocated"], "beside": whole - heap["total_physical_bytes"]}


def _found(line: dict[str, Any]) -> dict[str, Any]:
    """Adds the findings in the filter state, `service=web verdict=conforming outcome=allowed`, to a line."""
    state = dict(pair.split("=", 1) for pair in (line.get("ssa") or "").split())
    found = dict.fromkeys(("service", "verdict", "part", "unchecked", "outcome", "generation"))
    return {**found, **line, **state}


def _apart(text: str, dynamic: str, folder: Path) -> tuple[str, str]:
    """Splits a configuration: returns it without the listener or filter, and the resource for that one's file."""
    source = f"{{ path_config_source: {{ path: {folder}/{dynamic}.yaml }} }}"
    if dynamic == "lds":
        head, listener = text.split("  listeners:\n")
        listener, clusters = listener.split("\n  clusters:\n")
        left = head.replace(
            "static_resources:\n", f"dynamic_resources: {{ lds_config: {source} }}\nstatic_resources:\n"
        )
        kind = '    - "@type": type.googleapis.com/envoy.config.listener.v3.Listener\n      name: '
        return f"{left}  clusters:\n{clusters}", "resources:\n" + listener.replace("    - name: ", kind, 1) + "\n"
    found = find(r"( *)- name: ssa\n\1  typed_config:\n((?:\1    .*\n)+)", text)
    indent = found.group(1)
    left = (
        f"{indent}- name: ssa\n"
        f"{indent}  config_discovery:\n"
        f"{indent}    config_source: {source}\n"
        f"{indent}    type_urls: [{WASM}]\n"
    )
    resource = (
        'resources:\n- "@type": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig\n'
        f"  name: ssa\n  typed_config:\n{found.group(2)}"
    )
    return text[: found.start()] + left + text[found.end() :], resource
