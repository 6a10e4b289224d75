"""The metrics of an Envoy, wherever it runs."""


class Metered:
    """Something with an admin interface and metrics."""

    def admin(self, path: str) -> str:
        """Asks Envoy's admin interface for a page."""
        raise NotImplementedError

    def metrics(self) -> list[tuple[str, dict[str, str], int]]:
        """Returns the filter's metrics: (name, labels, value)."""
        raise NotImplementedError

    @staticmethod
    def label(value: str) -> str:
        """Returns a label's value as it stands in the metrics."""
        return value

    def stat(self, name: str) -> int:
        """Returns the sum of Envoy's own counters and gauges whose name is this regular expression."""
        lines = self.admin(f"stats?filter=^{name}$".replace("+", "%2B")).splitlines()
        return sum(int(line.rpartition(": ")[2]) for line in lines if line.rpartition(": ")[2].isdigit())

    def count(self, metric: str, **labels: str) -> int:
        """Returns the sum of a metric over what has these labels; `verdict` stands for ssa_verdict."""
        wanted = {f"ssa_{name}": self.label(value) for name, value in labels.items()}
        return sum(
            value
            for name, found, value in self.metrics()
            if name == metric and all(found.get(label) == value for label, value in wanted.items())
        )

    def inbound(self, **labels: str) -> int:
        """Returns how many inbound connections were counted with these labels."""
        return self.count("ssa_inbound_connections_total", **labels)

    def outbound(self, **labels: str) -> int:
        """Returns how many outbound connections were counted with these labels."""
        return self.count("ssa_outbound_connections_total", **labels)
