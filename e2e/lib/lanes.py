"""Scenarios one after another, and those that mostly wait beside them."""

import threading


class Lanes:
    """Plays scenarios, in the cluster or with one processor one after another, else in two lanes.

    The first lane has those that work, the second those that mostly wait; one that has nothing left helps with the
    latter. So no two are ever at work at once, and what one measures of time and of the processor stands.
    """

    def __init__(self, chosen, lanes, player, say):
        """`player` plays a scenario, and returns lines to print of it and (passed, failed, skipped)."""
        self.player = player
        self.say = say
        self.work = [one for one in chosen if lanes == 1 or not one.light]
        # Those that may take long come first, so that none of them is left alone at the end.
        self.light = sorted((one for one in chosen if one not in self.work), key=lambda one: -one.limit)
        self.count = min(lanes, 1 + len(self.light))
        self.lock = threading.Lock()
        self.totals = [0, 0, 0]
        self.broken = []
        self.errors = []

    def _next(self, queues):
        with self.lock:
            queue = next((queue for queue in queues if queue), None)
            if not queue:
                return None
            scenario = queue.pop(0)
            self.say(f"→ {scenario.name}: {scenario.shows}")
            return scenario

    def _lane(self, *queues):
        while scenario := self._next(queues):
            lines, figures = self.player(scenario)
            with self.lock:
                self.say("\n".join(lines))
                self.totals = [total + figure for total, figure in zip(self.totals, figures)]
                if figures[1]:
                    self.broken.append(scenario.name)

    def _beside(self):
        try:
            self._lane(self.light)
        except Exception as error:  # a thread's would be printed and forgotten
            self.errors.append(error)

    def play(self):
        """Plays all of them."""
        # It ends with this process, and its scenario with it.
        beside = threading.Thread(target=self._beside, daemon=True)
        if self.count == 2:
            beside.start()
        self._lane(self.work, self.light)
        if self.count == 2:
            beside.join()
        if self.errors:
            raise self.errors[0]
