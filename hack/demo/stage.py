"""What the story of hack/demo.sh stands on: hosts, DNS, sidecars, shims, and claims that are counted.

    client 2001:db8:0:1::10 ──┐                    ┌── server1 2001:db8:0:101::1
    rogue  2001:db8:0:2::66 ──┤ router, DNS ::53 ──┤
    legacy 2001:db8:0:3::1  ──┘                    └── server2 2001:db8:0:102::1  … up to server4

Servers answer for all addresses of all services (AnyIP); the router has a route for each slice, through a server's own
address: no address of a service is on any link.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

from lib import net  # hosts as the scenarios have them
from services import DOMAIN
from shim import Shim
from sidecar import VMS, Sidecar
from traffic import Answers

HERE = Path(__file__).resolve().parent

# In memory, and seen in these namespaces alone.
WORK = Path("/run/ssa-demo")
DNS = "2001:db8:0:53::53"
# What changes in the DNS is to be seen soon.
TTL = 5
# What ends a curl that was refused: no answer, or a reset.
REFUSED = (52, 56)


class Broken(Exception):
    """What the story stands on did not hold: it cannot go on."""


class Demo:
    """Everything that the story does goes through this."""

    def __init__(self, module, envoy, ssa, resolver):
        self.module = module
        self.envoy = envoy
        self.program = ssa
        self.resolver = resolver
        self.work = WORK
        self.began = self.last = time.monotonic()
        self.checked = self.wrong = 0
        self.processes = []
        self.sidecars = {}
        self.shims = {}
        self.servers = []
        self.services = []
        self.read_to = Counter()
        # Connections that last, of those that the client's sidecar has composed addresses for.
        self.lasting = 0
        self.serial = 0
        self.plan = {}
        self.network = None
        self.dns = None

    # ---- telling

    def say(self, text="", mark=""):
        """Prints a line; `mark` is `ok` of what was claimed and held."""
        print(f"   {mark:4}{text}".rstrip(), flush=True)

    def title(self, text):
        print(f"\n== {text}", flush=True)

    def timed(self, text):
        """Prints a line, and how long it took to get there from the last such line or `lap`."""
        self.say(f"{text} ({time.monotonic() - self.last:.1f} s)")
        self.lap()

    def lap(self):
        self.last = time.monotonic()

    def _count(self, holds, text, wanted):
        self.checked += 1
        self.wrong += not holds
        self.say(text if holds else f"{text}; NOT SO, it should be {wanted}", "ok" if holds else "NO")

    def claim(self, what, wanted, found):
        """Counts a claim, which holds when both are equal."""
        self._count(wanted == found, f"{what}: {found}", wanted)

    def table(self, *columns):
        """Begins a table: columns are `name:width`. Returns what prints a row of it.

        A row with `wanted` and `found` is a claim, which holds when both are equal.
        """
        names, widths = zip(*(column.rsplit(":", 1) for column in columns))

        def row(*cells, wanted=None, found=None):
            text = " ".join(f"{str(cell):{width}}" for cell, width in zip(cells, widths))
            if wanted is None:
                self.say(text)
            else:
                self._count(wanted == found, text, f"{wanted} and is {found}")

        row(*names)
        return row

    def verdict(self):
        """Ends the story: prints whether every claim held, and returns the exit status."""
        self.title(f"Verdict after {time.monotonic() - self.began:.0f} s")
        if self.wrong:
            self.say(f"{self.wrong} of {self.checked} claims did not hold: the lines marked NO.")
        else:
            self.say(f"All {self.checked} claims held: the lines marked ok.")
        return int(self.wrong > 0)

    def show_logs(self):
        """Prints the ends of all logs."""
        for log in sorted(self.work.rglob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-15:]
            if lines:
                print(f"--- {log.relative_to(self.work)}", *lines, sep="\n", flush=True)

    # ---- doing

    def wait(self, seconds, what, condition):
        """Returns the condition's first true result; the story is broken when there is none in so many seconds."""
        until = time.monotonic() + seconds
        while True:
            result = condition()
            if result:
                return result
            if time.monotonic() > until:
                raise Broken(f"not so in {seconds} s: {what}")
            time.sleep(0.05)

    def start(self, host, title, command, **options):
        """Starts a program on a host; what it prints goes to TITLE.log."""
        options.setdefault("stderr", subprocess.STDOUT)
        with host, open(self.work / f"{title}.log", "ab") as log:
            options.setdefault("stdout", log)
            process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, **options)
        self.processes.append(process)
        return process

    def stop(self, process):
        self.processes.remove(process)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def run(self, host, *command):
        """Runs a program on a host; returns its exit status and what it prints."""
        with host:
            command = [str(part) for part in command]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return done.returncode, done.stdout

    def ssa(self, host, *arguments):
        """Runs `ssa` on a host, and returns what it prints as JSON."""
        status, text = self.run(host, self.program, *arguments, "--json")
        if status > 1:
            raise Broken(f"ssa {' '.join(map(str, arguments))}: {text}")
        return json.loads(text)

    # ---- the datacenter

    def lay_network(self, services, servers):
        """Makes the hosts; there are no routes to the services yet."""
        self.services = services
        self._own_etc()
        self.network = net.Network(self)
        router = self.network.router
        router.ip(f"address add {DNS}/128 dev lo")
        self.client = self.network.client("client", "2001:db8:0:1::10")
        self.rogue = self.network.host("rogue", "2001:db8:0:2::66")
        self.legacy = self.network.host("legacy", "2001:db8:0:3::1")
        self.sidecars["client"] = Sidecar(self, self.client)
        for number in range(servers):
            self.add_server(number + 1)
        for service in services:
            router.ip(f"route replace {service.prefixes[1]} via {self.servers[0].address}")

    def _own_etc(self):
        """Gives these namespaces an /etc of their own: names are resolved as in any host, by the demo's DNS."""
        old = self.work / "etc"
        old.mkdir()
        net.run(f"mount --rbind /etc {old}")
        net.run("mount -t tmpfs tmpfs /etc")
        for entry in old.iterdir():
            Path("/etc", entry.name).symlink_to(os.readlink(entry) if entry.is_symlink() else entry)
        for name, text in (
            ("resolv.conf", f"nameserver {DNS}\noptions timeout:2 attempts:3\n"),
            ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
            ("hosts", "::1 localhost\n"),
        ):
            Path("/etc", name).unlink(missing_ok=True)
            Path("/etc", name).write_text(text)

    def add_server(self, number):
        """Adds a host with the application, and with a sidecar that does not run yet."""
        prefixes = [prefix for service in self.services for prefix in service.prefixes]
        host = self.network.server(number, prefixes)
        self.servers.append(host)
        self.sidecars[host.name] = Sidecar(self, host)
        self.start(host, f"{host.name}/application", [sys.executable, "-B", HERE / "app.py", host.name])
        self.wait(20, f"the application of {host.name} listens", lambda: host.listens("::1", 8080))
        return host

    def start_shims(self, sidecars):
        """Starts a shim beside each sidecar that runs, and waits until the sidecars know their services."""
        for sidecar in sidecars:
            self.shims[sidecar.host.name] = Shim(self, sidecar)
        for sidecar in sidecars:
            self.wait(20, f"{sidecar.host.name} has a snapshot", lambda: sidecar.installed() >= VMS)

    def start_sidecars(self, files):
        """Starts Envoys at once: `files` maps sidecars to files of envoy/."""
        for sidecar, file in files.items():
            sidecar.start(file)
        for sidecar in files:
            sidecar.wait_ready()

    def spread(self, service, servers, bits=4):
        """Plans a service's slices over servers, moving as few as can be, and routes them so; returns the plan."""
        arguments = ["slices", "plan", "--apl", f"2:{service.item}", "--bits", bits]
        for server in servers:
            arguments += ["--endpoint", f"{server.name},via={server.address}"]
        file = self.work / f"{service.name}.plan.json"
        if file.exists():
            arguments += ["--current", file]
        plan = self.ssa(self.client, *arguments)
        # New routes come before old ones go: there is no moment without one.
        _, commands = self.run(self.client, self.program, *arguments, "--format", "ip-route")
        self.network.router.ip(*(line.removeprefix("ip -6 ") for line in commands.splitlines()))
        file.write_text(json.dumps(plan))
        self.plan[service.name] = [
            (IPv6Network(prefix), endpoint["name"]) for endpoint in plan["endpoints"] for prefix in endpoint["prefixes"]
        ]
        return plan

    def server_of(self, service, address):
        """Returns which server the router leads an address to."""
        return next(name for prefix, name in self.plan[service.name] if IPv6Address(address) in prefix)

    # ---- what is published, mounted and configured

    def start_dns(self):
        """Starts it with what the services are now, and waits until it answers."""
        (self.work / "named.conf").write_text(f"""options {{
  directory "{self.work}";
  listen-on {{ none; }};
  listen-on-v6 port 53 {{ {DNS}; }};
  pid-file none;
  session-keyfile "{self.work}/session.key";
  recursion no;
  dnssec-validation no;
}};
controls {{ }};
zone "{DOMAIN}" {{ type primary; file "zone"; }};
""")
        self._write_zone()
        command = ["named", "-f", "-n", "1", "-c", self.work / "named.conf"]
        self.dns = self.start(self.network.router, "named", command)
        self.wait(20, "the DNS answers", lambda: self.resolve(self.services[0]))

    def stop_dns(self):
        self.stop(self.dns)

    def _write_zone(self):
        self.serial += 1
        lines = [f"$TTL {TTL}", f"@ SOA ns hostmaster ( {self.serial} 3600 600 86400 {TTL} )", "@ NS ns"]
        lines.append(f"ns AAAA {DNS}")
        for service in self.services:
            lines += service.published(TTL)
        (self.work / "zone").write_text("\n".join(lines) + "\n")

    def resolve(self, service):
        """Returns what a client makes of what the DNS says of a service; nothing when it cannot use it."""
        status, text = self.run(self.client, self.program, "resolve", service.name, "--timeout", 2, "--json")
        return json.loads(text) if status == 0 else None

    def publish(self, *services):
        """Publishes what the services are now in the DNS, and returns when all shims know it of these ones."""
        self._write_zone()
        os.kill(self.dns.pid, signal.SIGHUP)
        for name, shim in self.shims.items():
            for service in services:
                self.wait(20, f"the shim of {name} knows {service.name}", lambda: shim.knows(service))

    def mount_keys(self):
        """Mounts the services' keys as they are now beside each shim."""
        for shim in self.shims.values():
            shim.mount()

    def configure(self, off=False):
        """Gives shims their configuration anew, and returns when each sidecar has what changes by that."""
        before = {name: self.sidecars[name].installed() for name in self.shims}
        changed = [name for name, shim in self.shims.items() if shim.configure(off)]
        for name in changed:
            installed = before[name] + VMS
            self.wait(20, f"{name} has the snapshot", lambda: self.sidecars[name].installed() >= installed)

    def join_servers(self, numbers):
        """Brings more servers up, with all that the others know; no slice is theirs yet."""
        sidecars = [self.sidecars[self.add_server(number).name] for number in numbers]
        self.start_sidecars({sidecar: "server-snapshot.yaml" for sidecar in sidecars})
        self.start_shims(sidecars)

    # ---- asking

    def ask(self, host, service, count):
        """Sends requests, each over a connection of its own; returns how many each server answered."""
        url = f"{service.url}?[1-{count}]"
        return Answers(self.run(host, "curl", "-sS", "--max-time", 60, "--no-progress-meter", url)[1].split())

    def try_once(self, host, url):
        """Says what becomes of one request: served, refused, or curl's error."""
        status, _ = self.run(host, "curl", "-sS", "--max-time", 10, "-o", "/dev/null", url)
        return "served" if status == 0 else "refused" if status in REFUSED else f"curl's error {status}"

    def compose(self, service, source, rule=None, keys=(), **inputs):
        """Returns the address that an application with this source composes itself."""
        arguments = ["compose", "--apl", service.apl, "--rule", rule or service.rules[0], "--port", 80]
        arguments += ["--source", source, *keys]
        for name, value in inputs.items():
            arguments += [f"--{name}", value]
        return self.ssa(self.client, *arguments)["addresses"][0]["address"]

    # ---- looking

    def inbound(self, service, **labels):
        """Returns how many connections to a service all servers counted with these labels."""
        sidecars = [self.sidecars[server.name] for server in self.servers]
        return sum(sidecar.count("connections_total", service=service.name, **labels) for sidecar in sidecars)

    def conforming(self, service):
        return self.inbound(service, verdict="conforming", outcome="allowed")

    def others(self, service):
        """Returns how many connections to a service all servers found other than conforming, such as legacy ones."""
        lines = (line for server in self.servers for line in self.sidecars[server.name].metrics())
        counted = (line for line in lines if "_connections_total{" in line and f'ssa_service="{service.name}"' in line)
        return sum(int(line.split()[-1]) for line in counted if 'ssa_verdict="conforming"' not in line)

    def mark(self, host):
        """Passes over what the servers have logged of a host so far."""
        self.read_to[host.name] = len(self._lines_of(host))

    def logged(self, host, count=1):
        """Returns what the servers have logged of a host since the mark: so many lines at least, oldest first."""

        def new():
            lines = self._lines_of(host)[self.read_to[host.name] :]
            return lines if len(lines) >= count else None

        return self.wait(20, f"the servers have logged {count} connections more of {host.name}", new)

    def _lines_of(self, host):
        lines = [line for server in self.servers for line in self.sidecars[server.name].log()]
        return sorted((line for line in lines if host.address in line["source"]), key=lambda line: line["time"])

    def composed(self, service, since=0):
        """Returns the client's connections to a service that its sidecar composed addresses for, from a line on."""
        sidecar = self.sidecars["client"]
        # Connections that last are logged when they end.
        counted = sidecar.count("connections_total", outcome="composed") - self.lasting
        lines = self.wait(20, "the client's access log is whole", lambda: sidecar.composed(counted))
        return [line for line in lines if line["service"] == service.name][since:]

    def peers(self, service):
        """Returns the addresses of a service that the client's sidecar has connections to, one for each."""
        found = re.findall(r"\[([^\]]*)\]:80\s*$", self.client.run("ss -Htn state established"), re.MULTILINE)
        return [address for address in found if IPv6Address(address) in IPv6Network(service.item)]
