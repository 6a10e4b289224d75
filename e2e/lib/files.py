"""A scenario's configuration and records, in files beside it, as an operator would write them.

`${name}` in a file stands for what only the run knows: a folder, a point in time, a secret.
"""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from .service import Service

PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
# Whose plugin configurations and snapshots describe services.
SIDES = ("server", "client")


class Files:
    """The files beside a scenario.

    A plugin configuration is `server.json` or `client.json`, or named for the host that has it. A snapshot is
    `server-snapshot.json` or `client-snapshot.json`. A configuration of the shim is `resolver.json` or ends in
    `-resolver.json`; the chart's values are `values.yaml`. `zone` has the records, without the SOA and NS records that
    every zone needs. A `.patch` is a unified diff of the file in envoy/ that it names.
    """

    def __init__(self, scenario: str | Path, **values: object) -> None:
        """`scenario` is a file beside them; `values` replace placeholders in every file."""
        self.folder = Path(scenario).resolve().parent
        self.values = values

    def having(self, **values: object) -> "Files":
        """Returns the same files with more values."""
        return Files(self.folder / "scenario.py", **{**self.values, **values})

    def text(self, name: str, **values: object) -> str:
        """Returns a file's text with its placeholders replaced."""
        known = {**self.values, **values}

        def value(found: re.Match[str]) -> str:
            if found[1] not in known:
                raise KeyError(f"{self.folder.name}/{name}: no value for {found[0]}")
            return str(known[found[1]])

        return PLACEHOLDER.sub(value, (self.folder / name).read_text())

    def json(self, name: str, **values: object) -> Any:  # any JSON
        """Returns a file's JSON value."""
        return json.loads(self.text(name, **values))

    def later(self, name: str) -> Callable[..., Any]:
        """Returns a function of values that are not known yet, which reads a JSON file."""
        return partial(self.json, name)

    def template(self, name: str) -> Callable[..., str]:
        """Returns a function of values that are not known yet, which reads a text."""
        return partial(self.text, name)

    def server(self, **changes: object) -> dict[str, Any]:
        """Returns the servers' plugin configuration, with other values for some of its fields."""
        return {**self.json("server.json"), **changes}

    def client(self, **changes: object) -> dict[str, Any]:
        """Returns the clients' plugin configuration, with other values for some of its fields."""
        return {**self.json("client.json"), **changes}

    def services(self, variant: str = "", configuration: str = "") -> dict[str, Service]:
        """Returns the services of the plugin configurations and snapshots, by name.

        `variant` selects other snapshots: `mixed` those of `server-snapshot-mixed.json`. `configuration` is one file to
        take them from.
        """
        if configuration:
            return services_of([self.json(configuration)])
        ending = f"-{variant}" if variant else ""
        names = [f"{side}-snapshot{ending}.json" for side in SIDES]
        names += [] if variant else [f"{side}.json" for side in SIDES]
        return services_of([self.json(name) for name in names if (self.folder / name).exists()])

    def service(self, name: str, variant: str = "", configuration: str = "") -> Service:
        """Returns one service of the plugin configurations and snapshots."""
        return self.services(variant, configuration)[name]

    def published(self, zone: str = "zone") -> dict[str, Service]:
        """Returns the services of a zone, by name."""
        return Service.of_zone(self.text(zone))


def services_of(documents: list[dict[str, Any]]) -> dict[str, Service]:
    """Returns the services of plugin configurations and snapshots, by name: an entry with addresses is a client's."""
    entries: dict[str, dict[str, dict]] = {}
    for document in documents:
        for entry in document.get("services", []):
            role = "outbound" if "addresses" in entry else "inbound"
            entries.setdefault(entry["name"], {})[role] = entry
    return {name: Service.of_entries(**sides) for name, sides in entries.items()}


def patched(text: str, diff: str) -> str:
    """Applies a unified diff by its context: line numbers do not matter, but each hunk must fit in one place."""
    for hunk in re.split(r"(?m)^@@ .* @@.*\n", diff)[1:]:
        lines = hunk.splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] in (" ", sign)) for sign in "-+")
        if text.count(old) != 1:
            raise ValueError(f"the file has {text.count(old)} places, not one, for the change:\n{hunk}")
        text = text.replace(old, new)
    return text
