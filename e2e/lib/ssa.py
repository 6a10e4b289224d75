"""The `ssa` command: what a client and a verifier should compute."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Iterable
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


class Command:
    """Runs `ssa`."""

    def __init__(self, program: str | Path) -> None:
        self.program = program

    def run(self, *arguments: object, text: str | None = None) -> Any:
        """Runs it, and returns what it prints as JSON."""
        command = [str(self.program), *(str(argument) for argument in arguments), "--json"]
        done = subprocess.run(command, input=text, capture_output=True, text=True)
        try:
            told = json.loads(done.stdout)
        except ValueError:
            raise RuntimeError(f"{command}: exit {done.returncode}: {done.stderr.strip()}") from None
        if "error" in told:
            raise RuntimeError(f"{command}: {told['error']}")
        return told

    def compose(
        self, service: dict[str, Any], source: str, count: int = 1, **inputs: Any
    ) -> list[ipaddress.IPv6Address]:
        """Returns the addresses that a client with this source draws; `inputs` are flags, such as port and time."""
        told = self.run("compose", *_service(service), "--source", source, "--count", count, *_flags(inputs))
        return [ipaddress.IPv6Address(one["address"]) for one in told["addresses"]]

    def verify(
        self, service: dict[str, Any], source: str, destination: str | IPv6Address, **inputs: Any
    ) -> tuple[str, str | None]:
        """Returns the verdict and the part at fault, if any."""
        told = self.run("verify", *_service(service), "--source", source, "--destination", destination, *_flags(inputs))
        return told["verdict"], (told["violation"] or {}).get("part")

    def verify_all(
        self, service: dict[str, Any], connections: Iterable[tuple[object, object, object]], **inputs: Any
    ) -> list[tuple[str, str | None]]:
        """Returns the verdict and part of each (source, destination, port)."""
        text = "".join(f"{source} {destination} {port}\n" for source, destination, port in connections)
        told = self.run("verify", *_service(service), "--batch", "-", *_flags(inputs), text=text)
        return [(one["verdict"], (one["violation"] or {}).get("part")) for one in told["connections"]]


def _service(service: dict[str, Any]) -> list[str]:
    """`service` is one of the plugin's configuration: it has `apl` and `rules`."""
    flags = ["--apl", service["apl"]]
    for rule in service["rules"]:
        flags += ["--rule", rule]
    return flags


def _flags(inputs: dict[str, Any]) -> list[object]:
    flags = []
    for name, value in inputs.items():
        if value is not None:
            flags += [f"--{name.replace('_', '-')}", value]
    return flags
