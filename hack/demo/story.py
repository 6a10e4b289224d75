"""The demo of hack/demo.sh, in namespaces that end with it: story.py MODULE ENVOY SSA RESOLVER CLUSTER."""

import os
import signal
import sys
import traceback
from pathlib import Path

import stage
from building import as_they_stand, build, hold_and_release, publication
from changing import hopping, make_before_break, outage, rotation
from growing import applications, scaling
from judging import kinds_of_rules, modes, proof_of_work, rogue, token
from lib import net
from lib.stage import ROOT
from records import COMBINED, HASHED, HOPPING, NAIVE, OBJECTS, RAW, REPLICAS, TOKEN, TOKEN_SECRET, VAULT_SECRET, WORK
from services import Service
from stage import Demo
from traffic import Asking

TOOLS = ("module", "envoy", "ssa", "resolver", "cluster")


def tell(demo: Demo) -> None:
    web = Service(0, "web", HASHED)
    vault = Service(1, "vault", HOPPING, k1=VAULT_SECRET)
    # The vault refuses legacy clients.
    vault.policy = {"legacy": "deny"}
    naive = Service(2, "naive", NAIVE)
    raw = Service(3, "raw", RAW)
    replicas = Service(4, "replicas", REPLICAS)
    tokens = Service(5, "tokens", TOKEN.format("k1"), k1=TOKEN_SECRET)
    work = Service(6, "work", WORK)
    objects = Service(7, "objects", OBJECTS)
    combined = Service(8, "combined", COMBINED)
    build(demo, [web, vault, naive, raw, replicas, tokens, work, objects, combined])
    publication(demo, web, vault)
    as_they_stand(demo, web)
    hold_and_release(demo, web)
    querier = Asking(demo, demo.client, vault, "hopping", "--rate", "4/s")
    kinds_of_rules(
        demo,
        [
            ("naive", naive, None),
            ("source derived, raw", raw, 1),
            ("source derived, hashed", web, 1),
            ("the same, 4 choices for each source", replicas, 4),
            ("token, a key for each client", tokens, 1),
            ("proof of work", work, 1),
        ],
    )
    token(demo, tokens)
    proof_of_work(demo, work)
    rogue(demo, web)
    outage(demo, web)
    make_before_break(demo, web)
    rotation(demo, tokens)
    hopping(demo, vault, querier)
    modes(demo, web)
    applications(demo, (("object store", objects), ("object and source", combined)))
    scaling(demo, naive)


def main() -> int:
    # What is written has keys in it.
    os.umask(0o077)
    # Names of network namespaces, and all that the story writes.
    net.keep_to_memory()
    stage.WORK.mkdir()
    demo = Demo({"root": ROOT, **dict(zip(TOOLS, map(Path, sys.argv[1:]), strict=True))})
    try:
        tell(demo)
    except Exception as error:  # whatever it is, the story cannot go on
        traceback.print_exc()
        demo.show_logs()
        demo.title(f"ABORTED: {type(error).__name__}: {error}")
        return 1
    status = demo.verdict()
    if os.environ.get("KEEP"):
        (stage.WORK / "told").write_text(str(status))
        signal.pause()
    return status


if __name__ == "__main__":
    sys.exit(main())
