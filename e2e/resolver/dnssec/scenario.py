"""The shim accepts only answers that DNSSEC proves: one that is not signed properly is a failure, never an absence.

Topology: a router, a host with a DNS server, a host with a shim that validates, and one with a shim that does not.

Configuration: demo.test is signed by this scenario, with a zone-signing key and a key-signing key; the latter is the
only trust anchor. inner.demo.test is signed too, and demo.test has its DS records; plain.demo.test is an insecure
delegation.

Expected: services of all three are usable, also through an alias. After each kind of damage listed below, verifiers and
clients keep what they had, and the reason is reported; the shim that does not validate accepts the damaged records.
Absence counts if NSEC or NSEC3 proves it. The correct records repair everything.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lib import resolver, timeouts
from lib.files import Files
from lib.resolver import Shim
from lib.stage import Skip, Stage

LIMIT = 180
LIGHT = True
RULE = "v=ssa1; addr=rand:64"
FILES = Files(__file__)
SERVICES = ["web", "web.inner", "web.plain", "alias"]


class Signed(resolver.NameServer):
    """A server whose zone is signed before it is damaged."""

    def _configure(self) -> None:
        super()._configure()
        self.signatures: Sequence[str] = []
        self.damage: Callable[[str], str] = str
        self.keys = "keys"
        self.anchor = None
        zones = {"bind": "zones.named.conf", "knot": "zones.knot.conf"}[self.kind]
        with open(self.folder / "configuration", "a") as configuration:
            configuration.write(FILES.text(zones, folder=self.folder))
        for keys in ("keys", "others"):
            (self.folder / keys).mkdir()
            for zone in ("demo.test", "inner.demo.test"):
                made = [self._key(keys, zone, "-f", "KSK"), self._key(keys, zone)]
                if (keys, zone) == ("keys", "demo.test"):
                    self.anchor = self.folder / keys / f"{made[0]}.key"
        for name in ("inner", "plain"):
            (self.folder / name).write_text(FILES.text(f"{name}.zone"))
        self._sign("inner")

    def _key(self, keys: str, zone: str, *options: str) -> str:
        command: list[str | Path] = [
            "dnssec-keygen",
            "-q",
            "-K",
            self.folder / keys,
            "-a",
            "ECDSAP256SHA256",
            *options,
            zone,
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def _sign(self, file: str, zone: str | None = None) -> None:
        zone = zone or f"{file}.demo.test"
        command = [
            "dnssec-signzone",
            "-q",
            "-S",
            "-g",
            "-O",
            "full",
            "-d",
            ".",
            "-K",
            self.keys,
            "-o",
            zone,
            "-f",
            "signed",
        ]
        told = subprocess.run([*command, *self.signatures, file], cwd=self.folder, capture_output=True, text=True)
        if told.returncode:
            raise RuntimeError(told.stderr)
        os.replace(self.folder / "signed", self.folder / file)

    def _write(self) -> None:
        super()._write()
        zone = self.folder / "zone"
        # The server may read at any time: only the whole is put in place.
        os.replace(zone, self.folder / "unsigned")
        self._sign("unsigned", "demo.test")
        new = self.folder / "new"
        new.write_text(self.damage((self.folder / "unsigned").read_text()))
        os.replace(new, zone)

    def serve(
        self,
        damage: Callable[[str], str] = str,
        keys: str = "keys",
        signatures: Sequence[str] = (),
        without: str = "",
        beside: str = "",
    ) -> None:
        """Serves all, signed with these keys and then damaged; `without` is an owner that is left out, `beside` one
        more line."""
        self.damage, self.keys, self.signatures = damage, keys, signatures
        records = FILES.text("zone").splitlines(keepends=True)
        self.publish("".join(line for line in records if not without or line.split()[0] != without) + beside)


def lines(pattern: str, replacement: str) -> Callable[[str], str]:
    """Changes lines of a signed zone: each is one record."""

    def change(zone: str) -> str:
        changed = re.sub(f"(?m){pattern}", replacement, zone)
        if changed == zone:
            raise RuntimeError(f"nothing in the zone is {pattern}")
        return changed

    return change


def unsigned(zone: str) -> str:
    return lines(r"^.*\sIN\s(RRSIG|NSEC|DNSKEY)\s.*\n", "")(zone)


OWNER = r"^_ssa\.web\.demo\.test\.\s.*\sIN\s"
APL = r"^web\.demo\.test\.\s.*\sIN\sAPL\s+"
# What is done to the zone; what the reason has.
DAMAGES: list[tuple[str, dict[str, Any], str]] = [
    ("a rule is changed", {"damage": lines(f"({OWNER}TXT.*)rand:64", r"\1hash(src/64):64")}, "signature is invalid"),
    (
        "a list is changed",
        {"damage": lines(f"({APL})2:2001:db8:5:1::", r"\g<1>2:2001:db8:5:f::")},
        "signature is invalid",
    ),
    (
        "a list has one more record",
        {"damage": lines(f"({APL})(.*)", r"\1\2\n\g<1>2:2001:db8:5:f::/64")},
        "signature is invalid",
    ),
    (
        "a signature is changed",
        {"damage": lines(rf"({OWNER}RRSIG\sTXT\s.*)....==$", r"\1AAAA==")},
        "signature is invalid",
    ),
    ("a signature is missing", {"damage": lines(rf"{OWNER}RRSIG\sTXT\s.*\n", "")}, "no signature"),
    ("all signatures are missing", {"damage": unsigned}, "no signature"),
    ("signatures have expired", {"signatures": ["-P", "-s", "now-7200", "-e", "now-3600"]}, "expired"),
    ("signatures are of tomorrow", {"signatures": ["-P", "-s", "now+86400", "-e", "now+172800"]}, "not valid yet"),
    ("others have signed", {"keys": "others"}, "does not chain to a trust anchor"),
    ("a record is missing", {"damage": lines(rf"{OWNER}(RRSIG\s)?TXT.*\n", "")}, "no proof of their absence"),
    (
        "a name is missing",
        {"damage": lines(r"^_ssa\.web\.demo\.test\..*\n", "")},
        "no proof of their absence",
    ),
    ("a list is empty", {"damage": lines(f"({APL}).*", r"\1")}, "signature is invalid"),
]


def run(stage: Stage) -> None:
    for program in ("dnssec-keygen", "dnssec-signzone"):
        if not shutil.which(program):
            raise Skip(f"there is no {program}")
    dns = stage.net.host("dns", "2001:db8:0:53::53")
    host = stage.net.host("host", "2001:db8:0:1::10")
    other = stage.net.host("other", "2001:db8:0:2::10")
    zone = Signed(stage, dns)
    zone.serve()
    shim = resolver.Shim(stage, host, FILES.having(anchor=zone.anchor).later("resolver.json"))
    plain = resolver.Shim(stage, other, FILES.later("plain-resolver.json"))
    proving = shim.configuration["dns"]

    def both(shim: Shim, name: str, inbound: str, outbound: str) -> bool:
        return [shim.status(name, "inbound")[0], shim.status(name, "outbound")[0]] == [inbound, outbound]

    for name in SERVICES:
        stage.wait(timeouts.SOON, f"{name} is usable", lambda: both(shim, name, "usable", "usable"))
        stage.claim(f"the rules of {name}", [RULE], shim.rules("inbound", name))
    count = lambda proof: shim.count("ssa_resolver_validations_total", proof=proof)  # noqa: E731
    before = count("secure"), count("insecure")
    stage.wait(
        timeouts.SOON,
        "both proofs are counted",
        lambda: count("secure") > before[0] + 8 and count("insecure") > before[1] + 2,
    )
    stage.wait(timeouts.SOON, "the other shim has it", lambda: both(plain, "web", "usable", "usable"))
    stage.claim("answers it validated", 0, plain.count("ssa_resolver_validations_total"))

    for what, damage, reason in DAMAGES:
        stage.note(what)
        zone.serve(**damage)
        stage.wait(timeouts.SOON, f"{what}: stale", lambda: both(shim, "web", "stale", "stale"))
        told = shim.status("web", "inbound")[1]
        stage.claim_in(f"{what}: the reason", reason, told)
        for role in ("inbound", "outbound"):
            stage.claim(f"{what}: the {role} snapshot has", [RULE], shim.rules(role, "web"))
        if what == "a rule is changed":
            changed = RULE.replace("rand:64", "hash(src/64):64")
            stage.wait(timeouts.SOON, "the other shim accepts it", lambda: plain.rules("outbound", "web") == [changed])
        if what == "a record is missing":
            stage.wait(
                timeouts.SOON, "the other shim treats it as absent", lambda: both(plain, "web", "kept", "absent")
            )
        zone.serve()
        stage.wait(timeouts.SOON, "the correct records fix it", lambda: both(shim, "web", "usable", "usable"))
    stage.claim_between(
        "answers counted as bogus",
        len(DAMAGES) - 1,
        10_000,
        shim.count("ssa_resolver_resolutions_total", outcome="bogus"),
    )

    for way, signatures in (("NSEC", []), ("NSEC3", ["-3", "-"])):
        stage.note(f"absence by {way}")
        zone.serve(signatures=signatures, damage=lines(rf"{OWNER}(RRSIG\s)?TXT.*\n", ""))
        stage.wait(timeouts.SOON, f"{way}: it is not proven", lambda: both(shim, "web", "stale", "stale"))
        zone.serve(signatures=signatures)
        stage.wait(timeouts.SOON, f"{way}: web is back", lambda: both(shim, "web", "usable", "usable"))
        zone.serve(signatures=signatures, without="_ssa.web")
        stage.wait(timeouts.SOON, f"{way}: it is proven", lambda: both(shim, "web", "kept", "absent"))
        zone.serve(signatures=signatures)
        stage.wait(timeouts.SOON, f"{way}: web is back again", lambda: both(shim, "web", "usable", "usable"))
        stage.claim(f"the clients have, with {way}", [RULE], shim.rules("outbound", "web"))

    stage.note("an empty list next to the other")
    zone.serve(beside="web APL\n")
    so_far = count("secure")
    stage.wait(timeouts.SOON, "it is proven", lambda: count("secure") > so_far + 6)
    stage.claim("web, with the empty list", True, both(shim, "web", "usable", "usable"))
    stage.wait(timeouts.SOON, "the other shim takes it too", lambda: both(plain, "web", "usable", "usable"))
    zone.serve()

    stage.note("wrong trust anchors")
    wrong = next((zone.folder / "others").glob("Kdemo.test.*.key"))
    shim.reload(dns={**proving, "trust_anchors": str(wrong)})
    stage.wait(timeouts.SOON, "web is stale", lambda: both(shim, "web", "stale", "stale"))
    stage.claim_in("the reason", "does not chain to a trust anchor", shim.status("web", "inbound")[1])
    shim.reload(dns={key: value for key, value in proving.items() if key != "trust_anchors"})
    stage.wait(timeouts.SOON, "with the root's keys it is stale too", lambda: both(shim, "web", "stale", "stale"))
    for text in ("", "demo.test. IN DNSKEY 257 3 13 AAAA\n", "demo.test. IN A 192.0.2.1\n"):
        (stage.work / "anchors").write_text(text)
        refused = shim.count("ssa_resolver_reloads_total", outcome="refused")
        shim.reload(dns={**proving, "trust_anchors": str(stage.work / "anchors")})
        stage.claim(
            f"anchors that are none: {text!r}", refused + 1, shim.count("ssa_resolver_reloads_total", outcome="refused")
        )
    shim.reload(dns=proving)
    stage.wait(timeouts.SOON, "with the right ones it is usable", lambda: both(shim, "web", "usable", "usable"))

    stage.claim_between("memory in kB", 1, 30_000, shim.resident())
    stage.claim("exit status of the shim", 0, shim.stop())
    stage.claim("exit status of the other shim", 0, plain.stop())
