"""Services: what each publishes in the DNS, and what shims are configured with for it."""

from typing import Any

from lib import service
from lib.claims import find
from lib.keys import client_key
from lib.resolver import ZONE


class Service(service.Numbered):
    """A service of the demo; `keys` are its secrets by their names."""

    def __init__(self, number: int, name: str, rule: str, **keys: str) -> None:
        super().__init__(number, name, rule)
        self.domain = f"{name}.{ZONE}"
        self.url = f"http://{self.domain}/"
        self.keys = keys
        self.mode = "enforce"
        self.policy: dict[str, str] = {}

    def key_of(self, name: str, source: str) -> str:
        """Returns the key of clients with this source, as its rules with kdf have it."""
        bits = find(r"kdf=src/(\d+)", self.rules[0])[1]
        return client_key(self.keys[name], int(bits), source)

    def entry(self, role: str, keys: object) -> dict[str, Any]:
        """Returns its entry in the configuration of a shim; `keys` is the folder with its key material there."""
        fields: dict[str, Any] = {"ports": self.ports}
        if role == "inbound":
            fields.update(mode=self.mode, policy=self.policy)
        if self.keys:
            fields[{"inbound": "secrets", "outbound": "client_keys"}[role]] = str(keys)
        return {"name": self.domain, "allowed": self.prefixes, role: fields}
