"""What the server of the module bears, with the very configuration that the chart renders."""

import json
import os
import subprocess

from room import Room

SERVER = """
set -e
ip link set lo up
mount -t tmpfs none /srv && cp "$MODULE" /srv/ssa_filter.wasm
"$ENVOY" -c envoy.yaml --log-level error --concurrency 1 --disable-hot-restart >envoy.log 2>&1 & envoy=$!
trap 'kill $envoy' EXIT
python3 -B client.py $envoy
"""
# Opens heads that are never finished, and asks for modules that it does not read; then asks as an agent does.
CLIENT = """
import contextlib, json, os, socket, sys, time, urllib.request
envoy = int(sys.argv[1])
def memory():
    return next(int(line.split()[1]) for line in open(f"/proc/{envoy}/status") if line.startswith("VmHWM")) // 1024
def module():
    try:
        with urllib.request.urlopen("http://[::1]:8080/ssa_filter.wasm", timeout=10) as answer:
            return len(answer.read())
    except OSError:
        return 0
def until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        os.kill(envoy, 0)
        assert time.monotonic() < end, what
        time.sleep(0.2)
until(module, 60, "it never serves")
def open_with(text):
    connection = socket.create_connection(("::1", 8080), timeout=20)
    with contextlib.suppress(OSError):
        connection.sendall(text)
    return connection
half = open_with(b"GET /ssa_filter.wasm HTTP/1.1\\r\\nHost: a\\r\\nX: ")
began = time.monotonic()
# 408 Request Timeout, and the end.
answer = b"".join(iter(lambda: half.recv(4096), b""))
waited = time.monotonic() - began
heads = [open_with(b"GET /ssa_filter.wasm HTTP/1.1\\r\\nHost: a\\r\\nX: " + b"x" * 4000) for _ in range(3000)]
until(module, 60, "it serves nothing any more, after heads")
unread = [open_with(b"GET /ssa_filter.wasm HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n") for _ in range(1000)]
until(module, 90, "it serves nothing any more, after answers that nobody reads")
print(json.dumps({"answer": answer.split(b"\\r\\n")[0].decode(), "waited": waited, "memory": memory(), "module": module()}))
"""


class Server(Room):
    """What the server of the module bears."""

    def a_crowd_of_unfinished_heads_does_not_end_it(self):
        self._needs_namespaces()
        folder = self.folder / "server"
        folder.mkdir()
        deployment = self.all["Deployment", "ssa-module"]["spec"]["template"]["spec"]
        (container,) = deployment["containers"]
        limit = container["resources"]["limits"]["memory"]
        assert limit.endswith("Mi"), limit
        (folder / "envoy.yaml").write_text(self.all["ConfigMap", "ssa-module-server"]["data"]["envoy.yaml"])
        (folder / "client.py").write_text(CLIENT)
        (folder / "server.sh").write_text("ulimit -n 8192\n" + SERVER)
        module = self.options.module.resolve()
        env = {**os.environ, "ENVOY": str(self.options.envoy), "MODULE": str(module), "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        done = subprocess.run(
            ["unshare", "-Urnmpf", "--mount-proc", "--kill-child", "bash", "server.sh"],
            cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False,
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}{(folder / 'envoy.log').read_text()[-2000:]}"
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["answer"] == "HTTP/1.1 408 Request Timeout" and told["waited"] > 3, told
        assert told["module"] == module.stat().st_size, told
        # With room to spare: what a module of a megabyte would take comes on top.
        assert told["memory"] < int(limit[:-2]) * 2 // 3, told
