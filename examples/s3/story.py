"""S3 without a directory: each object is at the endpoint of its name, and signatures hold through all proxies."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from common import tools
from common.datacenter import PORT, Datacenter
from common.tables import table
from lib.claims import Broken
from lib.files import Files

if TYPE_CHECKING:
    from common.datacenter import Endpoint
    from lib.net import Host
    from lib.stage import Program, Stage

FILES = Files(__file__)
SERVICE = FILES.published()["s3"]
ENDPOINTS = 4
BUCKET = "bucket"


def run(stage: Stage, objects: int = 200) -> None:
    """`objects` is how many boto3 puts."""
    tools.need(stage, "s3")
    stage.title(f"S3 at {ENDPOINTS} endpoints with s3s-fs, each object at the endpoint of its name")
    stage.note(f"  {SERVICE.rules[0]}")
    center = Datacenter(stage, FILES, start)
    center.join(*range(1, ENDPOINTS + 1))
    center.lead(center.plan())
    (client,) = center.client("client")
    url = f"http://{center.domain}"

    stage.title("boto3")
    script = ["/usr/bin/python3", "-B", FILES.folder / "client.py", url, BUCKET, objects, stage.work / "large"]
    found = json.loads(play(client, *script))
    for what, expected in (
        ("put and got", objects),
        ("spellings", []),
        ("head", 5000),
        ("range", True),
        ("multipart of 20 MiB", True),
        ("deleted", True),
    ):
        stage.claim(f"boto3: {what}", expected, found[what])
    held = {name: objects_of(one) for name, one in center.endpoints.items()}
    table(stage, ["", "objects"], [[name, len(own)] for name, own in held.items()])
    stage.claim("endpoints that have objects", ENDPOINTS, sum(bool(own) for own in held.values()))
    wrong = [
        name
        for endpoint, own in held.items()
        for name in sorted(own)[:10]
        if center.owners(client, name, replica=None) != [endpoint]
    ]
    stage.claim("objects that are elsewhere than the record says", [], wrong)

    stage.title("rclone")
    source, back = stage.work / "source", stage.work / "back"
    source.mkdir()
    for number in range(20):
        (source / f"file {number}.bin").write_bytes(os.urandom(100_000))
    remote = Rclone(stage, client, url)
    for file in sorted(source.iterdir()):
        remote.run("copyto", file, f"s3:{BUCKET}/backup/{file.name}")
        remote.run("copyto", f"s3:{BUCKET}/backup/{file.name}", back / file.name)
    same = sum((back / file.name).read_bytes() == file.read_bytes() for file in source.iterdir())
    stage.claim("rclone: files that come back as they were", 20, same)

    stage.title("An endpoint leaves: its objects are copied, and slices move")
    leaving = "server1"
    before = objects_of(center.endpoints[leaving])
    plan = center.plan(*(name for name in center.endpoints if name != leaving))
    for name in sorted(before):
        address = stage.ssa.compose(SERVICE.published, client.address, object=name)[0]
        copy(center.endpoints[leaving], center.endpoints[plan.owner(address)], name)
    center.lead(plan)
    folder = center.endpoints[leaving].folder / BUCKET
    center.kill(leaving)
    wanted, read = stage.work / "wanted", stage.work / "read"
    wanted.write_text("".join(f"{name}\n" for name in before))
    remote.run("copy", "--no-traverse", "--files-from-raw", wanted, f"s3:{BUCKET}", read)
    same = sum((read / name).read_bytes() == (folder / name).read_bytes() for name in before)
    stage.claim(f"objects of {leaving} that rclone reads from the others", len(before), same)
    stage.claim("misdirected requests, which endpoints refused", 0, center.misdirected())


def start(stage: Stage, endpoint: Endpoint) -> Program:
    """Starts the application of an endpoint, with a bucket."""
    (endpoint.folder / BUCKET).mkdir()
    keys = ["--access-key", "key", "--secret-key", "secret"]
    command = [stage.tools["s3s-fs"], "--host", "::1", "--port", PORT, *keys, endpoint.folder]
    return stage.start(endpoint.host, f"{endpoint.name}-s3", command, env={**os.environ, "RUST_LOG": "warn"})


def objects_of(endpoint: Endpoint) -> set[str]:
    """Returns the names of an endpoint's objects."""
    folder = endpoint.folder / BUCKET
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def copy(source: Endpoint, target: Endpoint, name: str) -> None:
    """Copies an object, with what s3s-fs notes beside it; between real hosts it is `rsync -a --files-from`."""
    to = target.folder / BUCKET / name
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes((source.folder / BUCKET / name).read_bytes())


def play(client: Host, *command: object) -> str:
    """Runs a command on the client, and returns what it prints."""
    # Nothing of this user's own settings of S3.
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    with client:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise Broken(f"{Path(str(command[0])).name}: exit {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


class Rclone:
    """rclone on the client."""

    def __init__(self, stage: Stage, client: Host, url: str) -> None:
        self.client = client
        self.file = stage.work / "rclone.conf"
        fields = {
            "type": "s3",
            "provider": "Other",
            "endpoint": url,
            "access_key_id": "key",
            "secret_access_key": "secret",
            "no_check_bucket": "true",
            "no_head": "false",
        }
        self.file.write_text("[s3]\n" + "".join(f"{name} = {value}\n" for name, value in fields.items()))

    def run(self, *words: object) -> None:
        """Runs it."""
        play(self.client, "rclone", "--config", self.file, "--retries", 1, *words)
