"""The scenarios as the runner sees them: what is known about one without running it."""

import ast
import fnmatch
from pathlib import Path
from typing import Any

E2E = Path(__file__).resolve().parent.parent
# The folders of scenarios: sidecars and their configuration; the resolver shim; slices that move; short forms of
# examples/; the chart in the kind cluster.
FAMILIES = ("sidecar", "resolver", "cluster", "example", "kind")


class Scenario:
    """A scenario's folder. Its scenario.py may set, as constants of the module:

    LIMIT   seconds that it may take (120), multiplied by SSA_TIMEOUT_FACTOR
    LONG    whether it runs only by name or with --long (False)
    LIGHT   whether it may run next to another: it mostly waits, or needs little CPU and measures nothing (False)
    """

    def __init__(self, folder: Path) -> None:
        self.family = folder.parent.name
        self.name = folder.name if self.family == "sidecar" else f"{self.family}-{folder.name}"
        self.path = f"{self.family}/{folder.name}"
        self.file = folder / "scenario.py"
        try:
            tree = ast.parse(self.file.read_text())
        except SyntaxError as error:
            tree = ast.parse(repr(f"cannot be read: {error}"))
        self.shows = (ast.get_docstring(tree) or "").partition("\n\n")[0].replace("\n", " ")
        values: dict[str, Any] = {}
        for statement in tree.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
                values.update(
                    {name.id: statement.value.value for name in statement.targets if isinstance(name, ast.Name)}
                )
        self.long = bool(values.get("LONG", False))
        self.light = bool(values.get("LIGHT", False))
        self.limit = int(values.get("LIMIT", 120))

    @property
    def cluster(self) -> bool:
        """Whether it runs in the kind cluster."""
        return self.family == "kind"

    def is_meant_by(self, pattern: str) -> bool:
        """Whether a name of the command line matches its name or its folder; * matches any text."""
        return any(fnmatch.fnmatchcase(name, pattern) for name in (self.name, self.path))


def everything() -> list[Scenario]:
    """Returns all scenarios, by family and name."""
    return [Scenario(file.parent) for family in FAMILIES for file in sorted((E2E / family).glob("*/scenario.py"))]
