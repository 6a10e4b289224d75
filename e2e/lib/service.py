"""Services as plugin configurations have them, each in a space of its own."""

from ipaddress import ip_network


class Service:
    """Service `number`: 2001:db8:5:N::/64, its plain addresses 2001:db8:6:N::/120."""

    def __init__(self, number, name, *rules, items=None, ports=(80,), client=None, **server):
        """`items` are the positive ones; `client` and `server` are more fields for either side, such as mode."""
        self.name = name
        self.rules = list(rules)
        plain = ip_network(f"2001:db8:6:{number:x}::/120")
        self.items = items or [str(ip_network(f"2001:db8:5:{number:x}::/64"))]
        self.plain_item = str(plain)
        self.plain = str(plain[1])
        self.ports = list(ports)
        self.client = client or {}
        self.server = server

    @property
    def published(self):
        """What the DNS would say of it."""
        apl = " ".join(f"2:{item}" for item in self.items) + f" !2:{self.plain_item}"
        return {"name": self.name, "apl": apl, "rules": self.rules}

    @property
    def prefixes(self):
        """What its servers answer for."""
        return [*self.items, self.plain_item]

    def inbound(self):
        """Its entry in a server's configuration."""
        return {**self.published, "ports": self.ports, **self.server}

    def outbound(self):
        """Its entry in a client's configuration."""
        return {**self.published, "addresses": [self.plain], "ports": self.ports, **self.client}


def inbound(*services, **more):
    """Returns a server's configuration; demoted connections use the cluster for them."""
    return {
        "role": "inbound",
        "demote_cluster": "application_demoted",
        "services": [service.inbound() for service in services],
        **more,
    }


def outbound(host, *services, **more):
    """Returns the configuration of a client's host."""
    return {
        "role": "outbound",
        "source": host.address,
        "seed": host.name,
        "services": [service.outbound() for service in services],
        **more,
    }
