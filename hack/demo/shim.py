"""The resolver shim beside a sidecar, with the key material that is mounted for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lib import resolver

if TYPE_CHECKING:
    from services import Service
    from sidecar import Sidecar
    from stage import Demo


class Shim(resolver.Shim):
    """`ssa-resolver` on the host of a sidecar: rules from the DNS, keys from files."""

    def __init__(self, demo: Demo, sidecar: Sidecar) -> None:
        """Starts it. It asks the DNS servers of resolv.conf, and serves the socket that the sidecar asks."""
        self.role = sidecar.role
        self.keys = demo.work / f"{sidecar.host.name}-keys"
        self.demo = demo
        self.host = sidecar.host
        self.mount()
        dns = {"timeout_ms": 500, "max_backoff_s": 1}
        configure = resolver.configured(self._entries(), dns=dns, off=False)
        super().__init__(demo, sidecar.host, configure, sidecar.folder / "resolver.sock")

    def _entries(self) -> list[dict[str, Any]]:
        return [service.entry(self.role, self.keys / service.name) for service in self.demo.services]

    def mount(self) -> None:
        """Writes a file for each key: the master secret on servers, only its own key on the client."""
        for service in self.demo.services:
            folder = self.keys / service.name
            folder.mkdir(parents=True, exist_ok=True)
            for name, master in service.keys.items():
                new = self.keys / "new"
                new.write_text(master if self.role == "inbound" else service.key_of(name, self.host.address))
                os.replace(new, folder / name)
            for file in folder.iterdir():
                if file.name not in service.keys:
                    file.unlink()

    def configure(self, off: bool) -> bool:
        """Updates its configuration, and returns whether anything changed."""
        fields: dict[str, Any] = {"services": self._entries(), "off": off}
        if fields.items() <= self.configuration.items():
            return False
        self.reload(**fields)
        return True

    def knows(self, service: Service) -> bool:
        """Whether it serves what the service publishes; a server's keeps for a while what was published before."""
        rules = self.rules(self.role, service.domain) or []
        return set(rules) >= set(service.rules) and (self.role == "inbound" or len(rules) == len(service.rules))

    def told(self, service: Service) -> dict[str, str]:
        """Returns the key material that its sidecar gets for a service: for each key its kind."""
        services = self.fetch(self.role)[2]["services"]
        secrets = next(one for one in services if one["name"] == service.domain).get("secrets", {})
        return {name: ", ".join(secret) for name, secret in secrets.items()}

    def services(self, state: str) -> int:
        """Returns how many services are in a state, by its metrics."""
        return self.count("ssa_resolver_services", state=state)
