"""Runs busy scenarios one after another, and light ones next to them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .scenarios import Scenario


class Lanes:
    """Runs scenarios in lanes: the first has the busy ones, the others the light ones (LIGHT).

    So no two busy scenarios ever run at once, and what one measures of time and CPU is meaningful. A lane that has
    nothing left takes light ones. With one lane all run one after another.
    """

    def __init__(
        self,
        chosen: list[Scenario],
        lanes: int,
        player: Callable[[Scenario], tuple[list[str], tuple[int, int, int]]],
        say: Callable[[str], None],
    ) -> None:
        """`player` runs a scenario, and returns lines to print about it and (passed, failed, skipped)."""
        self.player = player
        self.say = say
        self.busy = [one for one in chosen if lanes == 1 or not one.light]
        # Those that may take longest start first, so that none of them is left alone at the end.
        self.light = sorted((one for one in chosen if one not in self.busy), key=lambda one: -one.limit)
        self.beside = min(lanes - 1, len(self.light))
        self.lock = threading.Lock()
        self.totals = [0, 0, 0]
        self.broken: list[str] = []
        self.errors: list[Exception] = []

    def _next(self, queues: tuple[list[Scenario], ...]) -> Scenario | None:
        with self.lock:
            queue = next((queue for queue in queues if queue), None)
            if not queue:
                return None
            scenario = queue.pop(0)
            self.say(f"→ {scenario.name}: {scenario.shows}")
            return scenario

    def _lane(self, *queues: list[Scenario]) -> None:
        while scenario := self._next(queues):
            lines, figures = self.player(scenario)
            with self.lock:
                self.say("\n".join(lines))
                self.totals = [total + figure for total, figure in zip(self.totals, figures, strict=True)]
                if figures[1]:
                    self.broken.append(scenario.name)

    def _light_lane(self) -> None:
        try:
            self._lane(self.light)
        except Exception as error:  # an exception of a thread would be printed and lost
            self.errors.append(error)

    def play(self) -> None:
        """Runs all of them."""
        # A daemon thread ends with this process, and its scenario with it.
        threads = [threading.Thread(target=self._light_lane, daemon=True) for _ in range(self.beside)]
        for thread in threads:
            thread.start()
        self._lane(self.busy, self.light)
        for thread in threads:
            thread.join()
        if self.errors:
            raise self.errors[0]
