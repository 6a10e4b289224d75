"""Plays an example in namespaces that end with it: play.py NAME [OPTION=VALUE…], for examples/run.sh.

The tools are in the environment: SSA_TOOL_NAME=PATH each.
"""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from lib import net
from lib.claims import Skip
from lib.stage import ROOT
from telling import Teller

from common.stories import story

WORK = Path("/run/ssa-example")
# The exit status that says that this machine lacks what the example needs.
CANNOT = 77


class Showing(Teller):
    """A stage that tells an example as the demo is told."""

    def note(self, text: str) -> None:
        """Prints a line."""
        self.say(text)

    def _count(self, what: str, holds: bool, found: object, expected: object) -> None:
        self._hold(holds, f"{what}: {found}", expected)


def options(module: ModuleType, words: list[str]) -> dict[str, int]:
    """Reads the options of an example, numbers all, as in `files=1000`."""
    known = {name: one.default for name, one in list(inspect.signature(module.run).parameters.items())[1:]}
    found = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in known or not value.isdigit():
            allowed = " ".join(f"{name}={default}" for name, default in known.items())
            sys.exit(f"error: unknown option {word}; the options and their defaults are: {allowed}")
        found[name] = int(value)
    return found


def main() -> int:
    """Plays it, and returns the exit status."""
    name, *words = sys.argv[1:]
    module = story(name)
    chosen = options(module, words)
    # Names of network namespaces, and all that the story writes.
    net.keep_to_memory()
    net.raise_file_limit()
    WORK.mkdir()
    prefix = "SSA_TOOL_"
    tools = {key.removeprefix(prefix).lower(): Path(path) for key, path in os.environ.items() if key.startswith(prefix)}
    stage = Showing({"root": ROOT, **tools}, WORK)
    try:
        module.run(stage, **chosen)
    except Skip as reason:
        stage.title(f"SKIPPED: {reason}")
        return CANNOT
    except Exception as error:  # whatever it is, the story cannot go on
        traceback.print_exc()
        stage.show_logs()
        stage.title(f"ABORTED: {type(error).__name__}: {error}")
        return 1
    return stage.verdict()


if __name__ == "__main__":
    sys.exit(main())
