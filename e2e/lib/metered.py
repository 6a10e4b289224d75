"""What an Envoy counts, wherever it runs."""


class Metered:
    """Something with an admin interface and metrics."""

    def admin(self, path):
        """Asks Envoy's admin interface for a page."""
        raise NotImplementedError

    def metrics(self):
        """Returns the filter's metrics: (name, labels, value)."""
        raise NotImplementedError

    @staticmethod
    def label(value):
        """Returns a label's value as it stands in the metrics."""
        return value

    def stat(self, name):
        """Returns the sum of Envoy's own counters and gauges whose name is this regular expression."""
        lines = self.admin(f"stats?filter=^{name}$".replace("+", "%2B")).splitlines()
        return sum(int(line.rpartition(": ")[2]) for line in lines if line.rpartition(": ")[2].isdigit())

    def count(self, metric, **labels):
        """Returns the sum of a metric over what has these labels; `verdict` stands for ssa_verdict."""
        wanted = {f"ssa_{name}": self.label(value) for name, value in labels.items()}
        return sum(
            value
            for name, found, value in self.metrics()
            if name == metric and all(found.get(label) == value for label, value in wanted.items())
        )

    def inbound(self, **labels):
        """Returns how many inbound connections were counted with these labels."""
        return self.count("ssa_inbound_connections_total", **labels)

    def outbound(self, **labels):
        """Returns how many outbound connections were counted with these labels."""
        return self.count("ssa_outbound_connections_total", **labels)
