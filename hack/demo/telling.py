"""How a demo is told: titles, lines, tables, and claims that are printed as they are counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lib.stage import Stage


class Teller(Stage):
    """A stage that prints a story."""

    def __init__(self, tools: dict[str, Path], work: Path) -> None:
        super().__init__(tools, work)
        self.last = self.began

    def say(self, text: str = "", mark: str = "") -> None:
        """Prints a line; `mark` is `ok` of what was claimed and held."""
        print(f"   {mark:4}{text}".rstrip(), flush=True)

    def title(self, text: str) -> None:
        print(f"\n== {text}", flush=True)

    def timed(self, text: str) -> None:
        """Prints a line, and how long it took to get there from the last such line or `lap`."""
        self.say(f"{text} ({time.monotonic() - self.last:.1f} s)")
        self.lap()

    def lap(self) -> None:
        self.last = time.monotonic()

    def claim(self, what: str, expected: object, found: object) -> None:
        """Counts a claim, which holds when both are equal."""
        self._hold(expected == found, f"{what}: {found}", expected)

    def _hold(self, holds: bool, text: str, wanted: object) -> None:
        if holds:
            self.passed += 1
            self.say(text, "ok")
        else:
            self.failures.append(text)
            self.say(f"{text}; FAILED, expected {wanted}", "NO")

    def table(self, *columns: str) -> Callable[..., None]:
        """Begins a table: columns are `name:width`. Returns what prints a row of it.

        A row with `wanted` and `found` is a claim, which holds when both are equal.
        """
        names, widths = zip(*(column.rsplit(":", 1) for column in columns), strict=True)

        def row(*cells: object, wanted: Any = None, found: Any = None) -> None:
            text = " ".join(f"{str(cell):{width}}" for cell, width in zip(cells, widths, strict=True))
            if wanted is None:
                self.say(text)
            else:
                self._hold(wanted == found, text, f"{wanted} and is {found}")

        row(*names)
        return row

    def verdict(self) -> int:
        """Prints whether every claim passed, and returns the exit status."""
        self.title(f"Verdict after {time.monotonic() - self.began:.0f} s")
        if self.failures:
            count = self.passed + len(self.failures)
            self.say(f"{len(self.failures)} of {count} claims failed: the lines marked NO.")
        else:
            self.say(f"All {self.passed} claims passed: the lines marked ok.")
        return int(bool(self.failures))

    def show_logs(self) -> None:
        """Prints the ends of all logs."""
        for log in sorted(self.work.rglob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-15:]
            if lines:
                print(f"--- {log.relative_to(self.work)}", *lines, sep="\n", flush=True)
