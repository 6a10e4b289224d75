"""The scenarios as the runner sees them: what can be known of one without playing it."""

import ast
import fnmatch
from pathlib import Path

E2E = Path(__file__).resolve().parent.parent
# The folders of scenarios: Envoys with the filter and what tells them of services, the resolver, and the chart in the
# kind cluster.
FAMILIES = ("sidecar", "resolver", "kind")


class Scenario:
    """A scenario's folder. Its scenario.py may set, as constants of the module:

    LIMIT   seconds that it may take (120); SSA_TIMEOUT_FACTOR stretches it
    LONG    whether it is left out where none is asked for by name (False)
    LIGHT   whether it mostly waits: for TTLs, timeouts, clocks. It may be played beside another (False)
    """

    def __init__(self, folder):
        self.family = folder.parent.name
        self.name = folder.name if self.family == "sidecar" else f"{self.family}-{folder.name}"
        self.path = f"{self.family}/{folder.name}"
        self.file = folder / "scenario.py"
        try:
            tree = ast.parse(self.file.read_text())
        except SyntaxError as error:
            tree = ast.parse(repr(f"cannot be read: {error}"))
        self.shows = (ast.get_docstring(tree) or "").partition("\n\n")[0].replace("\n", " ")
        values = {}
        for statement in tree.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
                values.update(
                    {name.id: statement.value.value for name in statement.targets if isinstance(name, ast.Name)}
                )
        self.long = values.get("LONG", False)
        self.light = values.get("LIGHT", False)
        self.limit = values.get("LIMIT", 120)

    @property
    def cluster(self):
        """Whether it plays in the kind cluster."""
        return self.family == "kind"

    def is_meant_by(self, pattern):
        """Whether a name of the command line means it: its name or its folder, in which * stands for any text."""
        return any(fnmatch.fnmatchcase(name, pattern) for name in (self.name, self.path))


def everything():
    """Returns all scenarios, by family and name."""
    return [Scenario(file.parent) for family in FAMILIES for file in sorted((E2E / family).glob("*/scenario.py"))]
