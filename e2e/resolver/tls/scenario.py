"""The shim uses DNS over TLS, and only with a server whose certificate it can verify.

Topology: a router, a host with BIND, which has a certificate made by this scenario, a host with a shim.

Expected: over TLS the service is usable, with the authority of a file and of the system. With another name, another
authority or an expired certificate no answer is accepted, known data is kept, and the reason is reported; no query is
sent in the clear instead. A server that was away is asked again. Plain DNS continues to work next to it.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from lib import resolver, timeouts
from lib.files import Files
from lib.stage import Skip, Stage

LIMIT = 120
LIGHT = True
FILES = Files(__file__)
RULE = FILES.published()["web"].rules[0]
NAME = "dns.demo.test"


class Certificates:
    """An authority, and certificates of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("authority", "other"):
            self._openssl(
                "req", "-x509", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}"
            )

    def _openssl(self, *arguments: str) -> None:
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"] if arguments[0] == "req" else []
        command = ["openssl", arguments[0], *new, *arguments[1:]]
        told = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        if told.returncode:
            raise RuntimeError(told.stderr)

    def make(self, name: str, days: int = 1) -> None:
        """Makes a certificate of the authority for a server."""
        (self.folder / "extensions").write_text(f"subjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\n")
        self._openssl("req", "-keyout", "server.key", "-out", "request", "-subj", f"/CN={name}")
        authority = ["-CA", "authority.pem", "-CAkey", "authority.key", "-set_serial", str(days + 1000)]
        self._openssl(
            "x509",
            "-req",
            "-in",
            "request",
            "-out",
            "server.pem",
            "-days",
            str(days),
            *authority,
            "-extfile",
            "extensions",
        )


def run(stage: Stage) -> None:
    if not shutil.which("openssl"):
        raise Skip("there is no openssl")
    dns = stage.net.host("dns", "2001:db8:0:53::53")
    host = stage.net.host("host", "2001:db8:0:1::10")
    certificates = Certificates(stage.work / "certificates")
    certificates.make(NAME)
    files = FILES.having(certificates=certificates.folder)
    zone = resolver.NameServer(stage, dns, "bind", files.template("named.conf"))
    zone.publish(files.text("zone"))
    # Whatever goes in the clear is lost from here on; the scenario itself asks from the server's host.
    host.run(f"ip6tables -A OUTPUT -d {dns.address} -p udp --dport 53 -j DROP")
    host.run(f"ip6tables -A OUTPUT -d {dns.address} -p tcp --dport 53 -j DROP")
    shim = resolver.Shim(stage, host, files.later("resolver.json"))
    good = shim.configuration["dns"]

    def configured(**fields: Any) -> dict[str, Any]:
        """Returns the DNS configuration with other fields; those that are None are left out."""
        return {name: value for name, value in {**good, **fields}.items() if value is not None}

    def state(wanted: str) -> bool:
        return [shim.status("web", role)[0] for role in ("inbound", "outbound")] == [wanted, wanted]

    def usable(why: str) -> None:
        stage.wait(timeouts.SOON, f"{why}: usable", lambda: state("usable"))
        before = shim.count("ssa_resolver_resolutions_total", outcome="answered")
        more = lambda: shim.count("ssa_resolver_resolutions_total", outcome="answered") > before + 2  # noqa: E731
        stage.wait(timeouts.SOON, f"{why}: answers go on", more)
        stage.claim(f"{why}: the rules", [RULE], shim.rules("outbound", "web"))

    def stale(why: str, reason: str, kind: str) -> None:
        before = shim.count("ssa_resolver_resolutions_total", outcome=kind)
        stage.wait(
            timeouts.SOON, f"{why}: {kind}", lambda: shim.count("ssa_resolver_resolutions_total", outcome=kind) > before
        )
        stage.wait(timeouts.SOON, f"{why}: stale", lambda: state("stale"))
        stage.wait(
            timeouts.SOON, f"{why}: the reason is that", lambda: shim.status("web", "inbound")[1].startswith(kind)
        )
        stage.claim_in(f"{why}: the reason", reason, shim.status("web", "inbound")[1])
        stage.claim(f"{why}: known data is kept", [RULE], shim.rules("inbound", "web"))

    usable("the authority of a file")
    found = dns.run("ss -Htn state established sport = :853").splitlines()
    stage.claim_between("connections open with the server", 1, 4, len(found))

    stage.note("the server goes away and comes back")
    zone.stop()
    stale("no server", "cannot be reached", "unreachable")
    zone.start()
    usable("it is back")

    shim.reload(dns=configured(servers=[f"{dns.address}#other.demo.test"]))
    stale("another name", "its certificate is for a different name", "tls")
    shim.reload(dns=good)
    usable("the right name")
    shim.reload(dns=configured(tls={"ca": str(certificates.folder / "other.pem")}))
    stale("another authority", "no authority that is trusted has signed its certificate", "tls")
    shim.reload(dns=configured(tls=None))
    stale("the system's authorities", "no authority that is trusted has signed its certificate", "tls")

    stage.note("files that do not fit are refused")
    (stage.work / "none.pem").write_text("nothing\n")
    for bad in (
        {"tls": {"ca": str(stage.work / "none.pem")}},
        {"servers": [f"{dns.address}#a b"]},
    ):
        refused = shim.count("ssa_resolver_reloads_total", outcome="refused")
        shim.reload(dns=configured(**bad))
        stage.claim("a reload is refused", refused + 1, shim.count("ssa_resolver_reloads_total", outcome="refused"))

    stage.note("the authority becomes one of the system's")
    shim.stop()
    os.environ["SSL_CERT_FILE"] = str(certificates.folder / "authority.pem")
    shim.configuration["dns"] = configured(tls=None)
    shim.start()
    usable("the system's authorities")

    stage.note("the certificate expires")
    certificates.make(NAME, days=-1)
    zone.stop()
    zone.start()
    stale("an expired certificate", "its certificate has expired", "tls")
    certificates.make(NAME)
    zone.stop()
    zone.start()
    usable("a new certificate")

    stage.note("plain DNS beside it")
    host.run("ip6tables -F OUTPUT")
    shim.reload(dns=configured(servers=[dns.address], tls=None))
    usable("plain DNS")
    stage.claim_between("memory in kB", 1, 30_000, shim.resident())
    stage.claim("exit status of the shim", 0, shim.stop(signal.SIGTERM))
