"""Slices that `ssa slices plan` plans over hosts, and that the router leads to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .net import Host
    from .stage import Stage


class Plan:
    """A plan that may be followed."""

    def __init__(self, told: Any, commands: list[str]) -> None:
        """`told` is what the command prints of it, `commands` are those of the router."""
        self.told = told
        self.commands = commands
        self.routes = [
            (IPv6Network(prefix), endpoint["name"]) for endpoint in told["endpoints"] for prefix in endpoint["prefixes"]
        ]

    def owner(self, address: str | IPv6Address) -> str:
        """Returns which host an address is led to."""
        wanted = IPv6Address(address)
        return next(name for prefix, name in self.routes if wanted in prefix)

    def prefixes(self, name: str) -> list[IPv6Network]:
        """Returns what is led to a host."""
        return [prefix for prefix, owner in self.routes if owner == name]


class Planned:
    """The slices of a service."""

    def __init__(self, stage: Stage, name: str, apl: str, bits: int, rules: Sequence[str] = ()) -> None:
        """Each item of `apl` has 2^bits slices; with `rules`, replicas of an address are kept at different hosts."""
        self.stage = stage
        self.file = stage.work / f"{name}.plan.json"
        self.arguments: list[object] = ["slices", "plan", "--apl", apl, "--bits", bits]
        for rule in rules:
            self.arguments += ["--rule", rule]
        self.plan: Plan | None = None

    def wanted(self, hosts: Sequence[Host]) -> Plan:
        """Plans the slices over hosts, moving as few as can be from where they are."""
        arguments = self._arguments(hosts)
        if self.file.exists():
            arguments += ["--current", self.file]
        told = self.stage.ssa.run(*arguments)
        commands = self.stage.ssa.run(*arguments, "--format", "ip-route")["commands"]
        return Plan(told, [command.removeprefix("ip -6 ") for command in commands])

    def given(self, hosts: Sequence[Host], prefixes: dict[str, list[str]]) -> Plan:
        """Plans the slices over hosts from these prefixes of each, which are kept as far as the numbers are even."""
        given = self.file.with_suffix(".given.json")
        endpoints = [{"name": name, "prefixes": own} for name, own in prefixes.items()]
        given.write_text(json.dumps({"endpoints": endpoints}))
        plan = Plan(self.stage.ssa.run(*self._arguments(hosts), "--current", given), [])
        via = {host.name: host.address for host in hosts}
        new = {prefix: f"route replace {prefix} via {via[name]}" for prefix, name in plan.routes}
        old = self.plan.routes if self.plan else []
        plan.commands = [*new.values(), *(f"route del {prefix}" for prefix, _ in old if prefix not in new)]
        return plan

    def _arguments(self, hosts: Sequence[Host]) -> list[object]:
        wanted = [("--endpoint", f"{host.name},via={host.address}") for host in hosts]
        return [*self.arguments, *(word for words in wanted for word in words)]

    def lead(self, plan: Plan) -> None:
        """Has the router follow a plan."""
        # New routes come before old ones go: there is no moment without one.
        self.stage.net.router.ip(*plan.commands)
        self.file.write_text(json.dumps(plan.told))
        self.plan = plan

    def owner(self, address: str | IPv6Address) -> str:
        """Returns which host the router leads an address to."""
        return self._followed().owner(address)

    def prefixes(self, name: str) -> list[IPv6Network]:
        """Returns what the router leads to a host."""
        return self._followed().prefixes(name)

    def _followed(self) -> Plan:
        if not self.plan:
            raise RuntimeError(f"{self.file.name}: no plan is followed yet")
        return self.plan
