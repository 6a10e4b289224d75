"""A service as scenarios see it: what it publishes, and its entries in configurations."""

import re
from ipaddress import ip_network
from typing import Any

# A line of a zone file: owner, TTL if any, type and data.
RECORD = re.compile(r"(\S+)\s+(?:\d+\s+)?(APL|AAAA|TXT)\s+(.*)")


class Service:
    """What a service publishes, and its entry in a plugin configuration or snapshot of either role."""

    def __init__(
        self,
        name: str,
        apl: str,
        rules: list[str],
        plain: str = "",
        ports: list[int] | None = None,
        inbound: dict[str, Any] | None = None,
        outbound: dict[str, Any] | None = None,
    ) -> None:
        """`plain` is its AAAA address: that of its first negated item if it is not given."""
        self.name = name
        self.apl = apl
        self.rules = rules
        self.ports = ports or [80]
        items = [item.lstrip("!").removeprefix("2:") for item in apl.split() if item.startswith("2:")]
        negated = [item.removeprefix("!2:") for item in apl.split() if item.startswith("!")]
        self.items = items
        self.plain_item = negated[0] if negated else ""
        self.plain = plain or (str(ip_network(self.plain_item)[1]) if negated else "")
        self._entries = {"inbound": inbound, "outbound": outbound}

    @classmethod
    def of_entries(cls, inbound: dict[str, Any] | None = None, outbound: dict[str, Any] | None = None) -> "Service":
        """Returns the service of an entry of either role, or of both."""
        entry: dict[str, Any] = inbound or outbound or {}
        plain = (outbound or {}).get("addresses", [""])[0]
        return cls(entry["name"], entry["apl"], entry["rules"], plain, entry["ports"], inbound, outbound)

    @classmethod
    def of_zone(cls, text: str) -> "dict[str, Service]":
        """Returns the services of a zone, by name: those with a rule record."""
        found: dict[tuple[str, str], list[str]] = {}
        for line in text.splitlines():
            if record := RECORD.fullmatch(line.strip()):
                data = record[3] if record[2] != "TXT" else "".join(re.findall(r'"([^"]*)"', record[3]))
                found.setdefault((record[1], record[2]), []).append(data)
        services = {}
        for (owner, kind), rules in found.items():
            name = owner.removeprefix("_ssa.")
            if kind == "TXT" and name != owner:
                apl, (plain, *_) = " ".join(found.get((name, "APL"), [])), found.get((name, "AAAA"), [""])
                services[name] = cls(name, apl, rules, plain)
        return services

    @property
    def published(self) -> dict[str, Any]:
        """What the DNS says of it."""
        return {"name": self.name, "apl": self.apl, "rules": self.rules}

    def records(self, ttl: int) -> str:
        """Returns its records, in lines of a zone file."""
        lines = [f"{self.name} {ttl} APL {self.apl}", f"{self.name} {ttl} AAAA {self.plain}"]
        for rule in self.rules:
            # A string of a TXT record has at most 255 characters.
            strings = " ".join(f'"{rule[start : start + 255]}"' for start in range(0, len(rule), 255))
            lines.append(f"_ssa.{self.name} {ttl} TXT {strings}")
        return "".join(f"{line}\n" for line in lines)

    @property
    def prefixes(self) -> list[str]:
        """What its servers answer for."""
        return [*self.items, *([self.plain_item] if self.plain_item else [])]

    def inbound(self) -> dict[str, Any]:
        """Returns its entry in what a server is told."""
        return self._entry("inbound")

    def outbound(self) -> dict[str, Any]:
        """Returns its entry in what a client is told."""
        return self._entry("outbound")

    def _entry(self, role: str) -> dict[str, Any]:
        entry = self._entries[role]
        if entry is None:
            raise KeyError(f"service {self.name} has no entry for the role {role}")
        return entry


class Numbered(Service):
    """Service `number` in a space of its own: 2001:db8:5:N::/64, its plain addresses 2001:db8:6:N::/120.

    For services by the dozen, and those that change while a scenario runs.
    """

    def __init__(self, number: int, name: str, *rules: str, ports: list[int] | None = None) -> None:
        items = [str(ip_network(f"2001:db8:5:{number:x}::/64"))]
        plain_item = str(ip_network(f"2001:db8:6:{number:x}::/120"))
        apl = " ".join(f"2:{item}" for item in items) + f" !2:{plain_item}"
        super().__init__(name, apl, list(rules), ports=ports)

    def inbound(self) -> dict[str, Any]:
        """Returns its entry in what a server is told."""
        return {**self.published, "ports": self.ports}

    def outbound(self) -> dict[str, Any]:
        """Returns its entry in what a client is told."""
        return {**self.published, "addresses": [self.plain], "ports": self.ports}
