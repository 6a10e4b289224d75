"""What every scenario does wherever it plays: it claims, waits, and tells its story."""

import re
import time


class Broken(Exception):
    """What a scenario stands on did not hold: it cannot go on."""


class Skip(Exception):
    """This machine cannot run the scenario."""


def find(pattern, text, flags=0):
    """Returns where a text has a regular expression; breaks the scenario where it has none."""
    found = re.search(pattern, text, flags)
    if not found:
        raise Broken(f"nothing is like {pattern!r} in {text[-2000:]!r}")
    return found


class Answer:
    """What became of one connection.

    `kind` is served (an answer came), refused (closed without one), unreachable (no connection), or silent (no answer
    in time); `text` is the answer or the error.
    """

    def __init__(self, kind, text=""):
        self.kind = kind
        self.text = text

    def __repr__(self):
        return f"{self.kind} {self.text!r}"


class Claims:
    """Counts claims; a stage is one."""

    # Seconds between two looks while something is waited for.
    pause = 0.05

    def __init__(self):
        """Begins the story."""
        self.passed = 0
        self.failures = []
        self.began = time.monotonic()

    def open(self):
        """Makes what the scenario stands on, as far as it is not there."""

    def close(self):
        """Ends what does not end with the scenario."""

    def keep_logs(self, folder):
        """Copies what was written on the stage to a folder that outlives it."""

    def note(self, text):
        """Prints a line of the story."""
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)

    def claim(self, what, expected, found):
        """Counts a claim, which holds when both are equal."""
        self._count(what, expected == found, f"{found!r}", f"{expected!r}")

    def claim_between(self, what, low, high, found):
        """Counts a claim, which holds when the number is from low to high."""
        self._count(what, low <= found <= high, f"{found}", f"from {low} to {high}")

    def claim_in(self, what, part, whole):
        """Counts a claim, which holds when the text has the part."""
        self._count(what, part in whole, f"{whole[-2000:]!r}", f"something with {part!r}")

    def _count(self, what, holds, found, expected):
        if holds:
            self.passed += 1
            self.note(f"ok      {what}: {found[:200]}")
        else:
            self.failures.append(f"{what}: {found}, and should be {expected}")
            self.note(f"NOT SO  {self.failures[-1]}")

    def wait(self, seconds, what, condition, pause=None):
        """Returns the condition's first true result; breaks the scenario when there is none in so many seconds."""
        until = time.monotonic() + seconds
        while True:
            result = condition()
            if result:
                return result
            try:
                self.check()
            except Broken as reason:
                raise Broken(f"{reason} while waiting: {what}") from None
            if time.monotonic() > until:
                raise Broken(f"not so in {seconds} s: {what}")
            time.sleep(pause or self.pause)

    def wait_steady(self, seconds, what, condition, times=4, pause=None):
        """Waits until the condition was true so many times in a row, and returns the last result.

        A look at which it is not begins the row anew. For what comes to one worker, one proxy or one cache after
        another: a single look may meet the first of them.
        """
        row = 0

        def again():
            nonlocal row
            held, row = row, 0
            result = condition()
            if result:
                row = held + 1
            return result if row >= times else None

        return self.wait(seconds, f"{what}, {times} times in a row", again, pause)

    def check(self):
        """Breaks the scenario when what it stands on is gone."""
