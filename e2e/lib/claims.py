"""What every scenario does wherever it runs: it claims, waits, and logs its progress."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class Broken(Exception):
    """A precondition of a scenario failed: it cannot continue."""


class Skip(Exception):
    """This machine cannot run the scenario; the message says why."""


def find(pattern: str | re.Pattern[str], text: str, flags: int = 0) -> re.Match[str]:
    """Returns the match of a regular expression in a text; aborts the scenario if there is none."""
    found = re.search(pattern, text, flags)
    if not found:
        raise Broken(f"no match for {pattern!r} in {text[-2000:]!r}")
    return found


class Answer:
    """The outcome of one connection.

    `kind` is served (answered), refused (closed without an answer), unreachable (not established), or silent (no
    answer in time); `text` is the answer or the error.
    """

    def __init__(self, kind: str, text: str = "") -> None:
        self.kind = kind
        self.text = text

    def __repr__(self) -> str:
        return f"{self.kind} {self.text!r}"


class Claims:
    """Counts claims; the base of stages."""

    # Seconds between two polls of a condition.
    pause = 0.05

    def __init__(self) -> None:
        """Starts the clock of the log."""
        self.passed = 0
        self.failures: list[str] = []
        self.began = time.monotonic()

    def open(self) -> None:
        """Creates what the scenario needs beforehand."""

    def close(self) -> None:
        """Removes what would outlive the scenario."""

    def keep_logs(self, folder: Path) -> None:
        """Copies the logs to a folder that outlives the scenario."""

    def note(self, text: str) -> None:
        """Prints a line with the time since the start."""
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)

    def title(self, text: str) -> None:
        """Begins a part of what is shown."""
        self.note(f"== {text}")

    def claim(self, what: str, expected: Any, found: Any) -> None:
        """Counts a claim: both values are equal."""
        self._count(what, expected == found, f"{found!r}", f"{expected!r}")

    def claim_between(self, what: str, low: float, high: float, found: Any) -> None:
        """Counts a claim: the number is between low and high, inclusive."""
        self._count(what, low <= found <= high, f"{found}", f"from {low} to {high}")

    def claim_in(self, what: str, part: str, whole: str) -> None:
        """Counts a claim: the text contains the part."""
        self._count(what, part in whole, f"{whole[-2000:]!r}", f"text containing {part!r}")

    def claim_steady(self, what: str, condition: Callable[[], object], times: int = 4, pause: float = 0) -> None:
        """Counts a claim: the condition holds so many times in a row, as in each worker, and not once by luck.

        `pause` is in seconds; without one, what the condition does, such as dialling, takes its time.
        """
        held = 0
        while held < times and condition():
            held += 1
            time.sleep(pause)
        self._count(what, held == times, f"{held} times in a row", f"{times} times")

    def _count(self, what: str, holds: bool, found: Any, expected: Any) -> None:
        if holds:
            self.passed += 1
            self.note(f"ok      {what}: {found[:200]}")
        else:
            self.failures.append(f"{what}: {found}, expected {expected}")
            self.note(f"FAILED  {self.failures[-1]}")

    def wait(self, seconds: float, what: str, condition: Callable[[], T | None], pause: float | None = None) -> T:
        """Polls a condition and returns its first true result; aborts the scenario at the timeout."""
        until = time.monotonic() + seconds
        while True:
            result = condition()
            if result:
                return result
            try:
                self.check()
            except Broken as reason:
                raise Broken(f"{reason} while waiting for: {what}") from None
            if time.monotonic() > until:
                raise Broken(f"timeout after {seconds:.0f} s: {what}")
            time.sleep(pause or self.pause)

    def wait_steady(
        self, seconds: float, what: str, condition: Callable[[], T | None], times: int = 4, pause: float | None = None
    ) -> T:
        """Waits until a condition was true so many times in a row, and returns the last result.

        A poll at which it is false starts the row again. For changes that reach workers, proxies or caches one after
        another: a single poll may hit the first of them.
        """
        row = 0

        def again() -> T | None:
            nonlocal row
            held, row = row, 0
            result = condition()
            if result:
                row = held + 1
            return result if row >= times else None

        return self.wait(seconds, f"{what}, {times} times in a row", again, pause)

    def check(self) -> None:
        """Aborts the scenario if something that it needs is gone."""
