"""Services: what each publishes in the DNS, and what shims are configured with for it."""

import re

from lib.keys import client_key

DOMAIN = "demo.test"


class Service:
    """A service of the demo."""

    def __init__(self, name, number, rule, **keys):
        """`number` places it: 2001:db8:N::/64, and plain addresses in 2001:db8:N+1::/120; `keys` are its masters."""
        self.owner = name
        self.name = f"{name}.{DOMAIN}"
        self.item = f"2001:db8:{number:x}::/64"
        self.plain = f"2001:db8:{number + 1:x}::1"
        self.prefixes = [self.item, f"2001:db8:{number + 1:x}::/120"]
        self.apl = f"2:{self.item} !2:{self.prefixes[1]}"
        self.rules = [rule]
        self.keys = keys
        self.mode = "enforce"
        self.policy = {}

    @property
    def url(self):
        return f"http://{self.name}/"

    def published(self, ttl):
        """Returns its records as a zone file has them."""
        lines = [f"{self.owner} {ttl} APL {self.apl}", f"{self.owner} {ttl} AAAA {self.plain}"]
        return lines + [f'_ssa.{self.owner} {ttl} TXT "{rule}"' for rule in self.rules]

    def key_of(self, name, source):
        """Returns the key of clients with this source, as its rules with kdf have it."""
        bits = re.search(r"kdf=src/(\d+)", self.rules[0]).group(1)
        return client_key(self.keys[name], int(bits), source)

    def entry(self, role, keys):
        """Returns its entry in the configuration of a shim; `keys` is the folder with its key material there."""
        fields = {"ports": [80]}
        if role == "inbound":
            fields.update(mode=self.mode, policy=self.policy)
        if self.keys:
            fields[{"inbound": "masters", "outbound": "client_keys"}[role]] = str(keys)
        return {"name": self.name, "allowed": self.prefixes, role: fields}
