"""Services: what each publishes in the DNS, and what snapshots say of it."""

import re

from keys import client_key

DOMAIN = "demo.test"


class Service:
    """A service of the demo."""

    def __init__(self, name, number, rule, secret=None):
        """`number` places it: 2001:db8:N::/64, and plain addresses in 2001:db8:N+1::/120."""
        self.name = f"{name}.{DOMAIN}"
        self.item = f"2001:db8:{number}::/64"
        self.plain = f"2001:db8:{number + 1}::1"
        self.prefixes = [self.item, f"2001:db8:{number + 1}::/120"]
        self.apl = f"2:{self.item} !2:{self.prefixes[1]}"
        self.rules = [rule]
        self.secret = secret
        self.mode = "enforce"
        self.policy = {}

    @property
    def url(self):
        return f"http://{self.name}/"

    def key_of(self, source):
        """Returns what a client holds: under a rule with kdf a key of its own, else the secret itself."""
        bits = re.search(r"kdf=src/(\d+)", " ".join(self.rules))
        if bits:
            return {"client_key": client_key(self.secret, int(bits.group(1)), source)}
        return {"secret": self.secret}

    def inbound(self):
        """Its entry in a server's snapshot."""
        return self._entry({"secret": self.secret}, ports=[80], mode=self.mode, policy=self.policy)

    def outbound(self, source):
        """Its entry in a client's snapshot."""
        return self._entry(self.secret and self.key_of(source), ports=[80], addresses=[self.plain])

    def _entry(self, key, **more):
        secrets = {"secrets": {"k1": key}} if self.secret else {}
        return {"name": self.name, "apl": self.apl, "rules": self.rules, **secrets, **more}
