"""The slice scripts, in images and for operators."""

import json
import os
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checks import K8S, Checks, must, run

FIXTURES = Path(__file__).resolve().parent / "fixtures"
# Answers from files, and writes down what is done.
FAKE_KUBECTL = (FIXTURES / "fake_kubectl.py").read_text()


class SliceScripts(Checks):
    """The slice scripts, in images and for operators."""

    def routes_are_set_kept_and_removed(self) -> None:
        script = textwrap.dedent(
            """
            set -e
            ip link set lo up; ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up
            ip -6 addr add fd00::1/64 dev v0 nodad
            ip -6 route add 2001:db8:5:0:ffff::/80 via fd00::99
            pods() {
                printf 'item 2001:db8:5::/64\\nslice 2001:db8:5::/65 %s fd00::a n1 fd00::11\\n' "$1"
                printf 'slice 2001:db8:5:0:8000::/65 b fd00::b n2 fd00::12\\n'
                printf 'slice 2001:db8:5:0:4000::1/128 a fd00::a n1 fd00::11\\n'
            }
            show() {
                ip -6 route show table local proto 199 | awk '{print $2}' | sort | xargs
                ip -6 route show proto 199 | awk '{print $1, $3}' | sort | xargs
            }
            pods a | ssa-routes pod -; pods a | ssa-routes node -; show
            pods b | ssa-routes pod - --keep; show
            pods b | ssa-routes pod -; show
            ssa-routes pod "$EMPTY"; show
            echo 'item 2001:db8:5::/64' | ssa-routes pod -; echo 'item 2001:db8:5::/64' | ssa-routes node -; show
            ip -6 route show 2001:db8:5:0:ffff::/80 | awk '{print $1, $3}'
            """
        )
        empty = self.folder / "empty"
        empty.mkdir()
        lines = self._routes(script, EMPTY=str(empty))
        both = "2001:db8:5:0:4000::1 2001:db8:5::/65"
        ways = "2001:db8:5:0:4000::1 fd00::a 2001:db8:5:0:8000::/65 fd00::12 2001:db8:5::/65 fd00::a"
        assert lines == [
            both,
            ways,
            both,
            ways,
            *["2001:db8:5:0:4000::1", ways] * 2,
            "",
            "",
            "2001:db8:5:0:ffff::/80 fd00::99",
        ], lines

    def a_node_that_returns_gets_the_routes_that_it_can_have(self) -> None:
        # Of two pods near, one has another address by now.
        script = textwrap.dedent(
            """
            set -e
            ip link set lo up; ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up
            ip -6 addr add fd00::1/64 dev v0 nodad
            ssa-routes node "$KEPT" 2>&1 | grep ^ssa-routes
            ip -6 route show proto 199 | awk '{print $1, $3}'
            if ssa-routes node - <"$KEPT/store.routes" >/dev/null 2>&1; then echo taken; else echo refused; fi
            """
        )
        kept = self.folder / "kept"
        kept.mkdir()
        (kept / "store.routes").write_text(
            "item 2001:db8:5::/64\nslice 2001:db8:5::/65 a fd01::a n1 fd00::11\n"
            "slice 2001:db8:5:0:8000::/65 b fd00::b n2 fd00::12\n"
        )
        lines = self._routes(script, KEPT=str(kept))
        assert lines == [
            "ssa-routes: no route for 2001:db8:5::/65 yet",
            "2001:db8:5:0:8000::/65 fd00::12",
            "refused",
        ], lines

    def prefixes_outside_the_service_are_not_routed(self) -> None:
        lines = [
            "slice ::/0 a fd00::a n1 fd00::11",
            "slice ::/1 a fd00::a n1 fd00::11",
            "slice 8000::/1 a fd00::a n1 fd00::11",
            "slice default a fd00::a n1 fd00::11",
            # Shorter than what is allowed, beside it, and what a cut by hexadecimal digits takes for it.
            "slice 2001:db8:5::/48 a fd00::a n1 fd00::11",
            "slice 2001:db8:5::/49 a fd00::a n1 fd00::11",
            "slice 2001:db8:5:4000::/50 a fd00::a n1 fd00::11",
            "slice 2001:db8:6::/64 a fd00::a n1 fd00::11",
            "slice fe80::/64 a fd00::a n1 fd00::11",
            "slice fd78::/64 a fd00::a n1 fd00::11",
            "slice 10.0.0.0/8 a fd00::a n1 fd00::11",
            "slice 0.0.0.0/0 a fd00::a n1 fd00::11",
            "slice 2001:db8:5::/129 a fd00::a n1 fd00::11",
            "slice 2001:db8:5::/064x a fd00::a n1 fd00::11",
            "slice 2001:db8:5::1::/64 a fd00::a n1 fd00::11",
            "slice 2001:db8:5:0:0:0:0:0:0/64 a fd00::a n1 fd00::11",
            "slice 2001:db8:5:00000::/64 a fd00::a n1 fd00::11",
            "slice 2001:db8:5:: a fd00::a n1 fd00::11",
            # Ways that are none, or words of ip.
            "slice 2001:db8:5::/64 a fe80::1 n1 fd00::11",
            "slice 2001:db8:5::/64 a fd00::a n1 ::1",
            "slice 2001:db8:5::/64 a :: n1 fd00::11",
            "slice 2001:db8:5::/64 a ff02::1 n1 fd00::11",
            "slice 2001:db8:5::/64 a 10.0.0.1 n1 fd00::11",
            "slice 2001:db8:5::/64 a dev n1 fd00::11",
            "slice 2001:db8:5::/64 a fd00::a n1 fd00::11 table local",
            "slice -f a fd00::a n1 fd00::11",
            "item ::/0",
            "item 2001:db8::/32",
            "item 2001:db8:5::/64 root ::/0",
            "flush all",
        ]
        script = (FIXTURES / "slice_routes.sh").read_text()
        file = self.folder / "lines"
        file.write_text("".join(f"{line}\n" for line in lines))
        folder = self.folder / "bounds"
        folder.mkdir()
        said = self._routes(f'cd "{folder}"\n{script}', LINES=str(file))
        assert said == [
            "kept",
            "2001:db8:5:3fff::/64 via fd00::a",
            "fd77:0:ff:: via fd00::a",
            "local 2001:db8:5:3fff::/64 dev",
            "default fd00::1234",
            "2001:db8:5:9::/64 fd00::1234",
        ], "\n".join(said)

    def _routes(self, script: str, **env: str) -> list[str]:
        """Returns the lines that a script printed which calls ssa-routes as node n1 and pod a, in namespaces of its
        own."""
        self._needs_namespaces()
        env = {**os.environ, "POD_NAME": "a", "NODE_NAME": "n1", "SSA_ALLOWED": "fd77::/40 2001:db8:5::/50", **env}
        env["PATH"] = f"{K8S / 'images/resolver'}:{env['PATH']}:/usr/sbin:/sbin"
        return must("unshare", "-Urn", "bash", "-c", script, env=env).splitlines()

    def a_plan_reaches_pods_before_nodes_and_leaves_pods_last(self) -> None:
        programs = self._stand_in("kubectl", FAKE_KUBECTL)
        cluster = self.folder / "cluster"
        cluster.mkdir()
        env = {
            **os.environ,
            "CLUSTER": str(cluster),
            "SSA": str(self.options.ssa),
            "PATH": f"{programs}:{os.environ['PATH']}",
        }

        def pod(name: str, node: str | None, address: str, **more: Any) -> dict[str, Any]:
            status = {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}, {"ip": address}]}
            return {"metadata": {"name": name, **more}, "spec": {"nodeName": node}, "status": status}

        def apply(*pods: dict[str, Any], apl: Sequence[str] = ("--apl", "2:2001:db8:5::/64")) -> list[str]:
            (cluster / "pods.json").write_text(json.dumps({"items": list(pods)}))
            (cluster / "log").write_text("")
            code, text = run(
                "bash",
                K8S / "slices/apply.sh",
                "shop",
                "store.example",
                *apl,
                "--bits",
                "2",
                "--selector",
                "app=store",
                env=env,
            )
            # One line: what kubectl chatters of is kept out.
            assert code == 0 and re.fullmatch(
                r"\d+ of \d+ slices moved, \d+ endpoints\n|(left out.*)\n\d+ of .*\n|\d+ of .*\nleft out.*\n", text
            ), text
            return (cluster / "log").read_text().splitlines()

        def nodes(**ready: Any) -> None:
            items = [
                {
                    "metadata": {"name": f"n{n}"},
                    "status": {
                        "addresses": [{"type": "InternalIP", "address": f"fd00::1{n}"}],
                        "conditions": [{"type": "Ready", "status": ready.get(f"n{n}", "True")}],
                    },
                }
                for n in (1, 2)
            ]
            (cluster / "nodes.json").write_text(json.dumps({"items": items}))

        nodes()
        daemons = [{"metadata": {"name": f"d{n}"}, "spec": {"nodeName": f"n{n}"}} for n in (1, 2)]
        (cluster / "daemons.json").write_text(json.dumps({"items": daemons}))
        leaving = pod("s9", "n1", "fd00::9", deletionTimestamp="2026-01-01T00:00:00Z")
        log = apply(pod("s0", "n1", "fd00::a"), leaving)
        assert log == ["create configmap", "s0 pod - --keep", "d1 node -", "d2 node -", "s0 pod -"], log
        assert (
            cluster / "routes"
        ).read_text() == "item 2001:db8:5::/64\nslice 2001:db8:5::/64 s0 fd00::a n1 fd00::11\n"
        kept = json.loads((cluster / "kept.json").read_text())["data"]
        assert kept["store.example.routes"] == (cluster / "routes").read_text()

        log = apply(pod("s0", "n1", "fd00::a"), pod("s1", "n2", "fd00::b"))
        assert log == [
            "patch configmap",
            "s0 pod - --keep",
            "s1 pod - --keep",
            "d1 node -",
            "d2 node -",
            "s0 pod -",
            "s1 pod -",
        ], log
        lines = (cluster / "routes").read_text().splitlines()
        assert [line.split()[2:] for line in lines[1:]] == [
            ["s0", "fd00::a", "n1", "fd00::11"],
            ["s1", "fd00::b", "n2", "fd00::12"],
        ], lines
        # A node answers no more: what its pod had goes to the other, and nothing is asked of it.
        nodes(n2="Unknown")
        log = apply(pod("s0", "n1", "fd00::a"), pod("s1", "n2", "fd00::b"))
        assert log == ["patch configmap", "s0 pod - --keep", "d1 node -", "s0 pod -"], log
        assert (
            cluster / "routes"
        ).read_text() == "item 2001:db8:5::/64\nslice 2001:db8:5::/64 s0 fd00::a n1 fd00::11\n"
        nodes()
        # One of two leaves: the other gets all, and the plan forgets it.
        apply(pod("s1", "n2", "fd00::b"))
        assert (
            cluster / "routes"
        ).read_text() == "item 2001:db8:5::/64\nslice 2001:db8:5::/64 s1 fd00::b n2 fd00::12\n"
        plan = json.loads(json.loads((cluster / "kept.json").read_text())["data"]["store.example.plan.json"])
        assert [endpoint["name"] for endpoint in plan["endpoints"]] == ["s1"]
        # Without a list of its own it takes that of the release.
        services = [
            {"name": "other.example"},
            {"name": "store.example", "static": {"apl": "2:2001:db8:9::/64 !2:2001:db8:9:1::/112"}},
        ]
        told = [{"data": {"resolver.json": json.dumps({"services": services})}}, {"data": {"more": ""}}, {}]
        (cluster / "configmaps.json").write_text(json.dumps({"items": told}))
        (cluster / "kept.json").unlink()
        apply(pod("s1", "n2", "fd00::b"), apl=())
        assert (
            cluster / "routes"
        ).read_text() == "item 2001:db8:9::/64\nslice 2001:db8:9::/64 s1 fd00::b n2 fd00::12\n"
