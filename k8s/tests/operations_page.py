"""The commands and values of docs/operations.md work as written."""

import os
import shutil
import textwrap
from typing import Any

from checks import K8S, ROOT, VALUES, Checks, find, must, run


class OperationsPage(Checks):
    """The commands and values of docs/operations.md work as written."""

    def _block(self, before: Any) -> str:
        """Returns the first indented block after a text of operations.md, as it is to be typed."""
        text = (ROOT / "docs/operations.md").read_text()
        assert text.count(before) == 1, before
        return textwrap.dedent(find(r"\n\n((?: +\S.*\n|\n)+)", text.split(before)[1])[1])

    def the_first_values_are_accepted(self) -> None:
        values = self.folder / "first.yaml"
        values.write_text(self._block("A first `values.yaml`").replace("DIGEST", "0" * 64))
        objects = self.helm.objects("-f", values)
        assert self._checked(objects["ConfigMap", "ssa-resolver-both"]["data"]["resolver.json"]) == "1 service"

    def a_configuration_can_be_checked_before_an_upgrade(self) -> None:
        folder = self.folder / "before"
        (folder / "bin").mkdir(parents=True)
        (folder / "k8s").mkdir()
        (folder / "k8s/chart").symlink_to(K8S / "chart")
        (folder / "bin/helm").symlink_to(self.options.helm.resolve())
        (folder / "bin/ssa-resolver").symlink_to(self.options.resolver.resolve())
        (folder / "values.yaml").write_text(VALUES.read_text())
        commands = self._block("**Before each upgrade**")
        script = f'cd "{folder}" && PATH="{folder}/bin:$PATH"\n{commands}'
        # Those of clients, of servers, and of pods that are both.
        assert must("bash", "-euo", "pipefail", "-c", script).split("\n")[:3] == [
            "2 services",
            "2 services",
            "1 service",
        ]
        # What no pattern sees.
        (folder / "values.yaml").write_text(VALUES.read_text().replace("2001:db8:5::/48", "2001:db8:5::/47"))
        code, text = run("bash", "-euo", "pipefail", "-c", script)
        assert code == 1 and "services[0].allowed[0]" in text, text

    def several_services_and_clients_only_are_installed_as_described(self) -> None:
        for before, wanted in (
            (
                "use them as the value of the pods' label",
                {"ssa-inbound-store", "ssa-inbound-vault", "ssa-outbound", "ssa-closed", "ssa-closed-enabled"},
            ),
            ("beside the service for clients", {"ssa-inbound", "ssa-outbound", "ssa-closed"}),
            (
                "release needs `k8s/slices/apply.sh` and `slices.nodes`",
                {"ssa-outbound", "ssa-closed", "ssa-closed-enabled"},
            ),
        ):
            values = self.folder / "told.yaml"
            values.write_text(
                f'{self._block(before)}\nmodule: {{ url: "https://m.example/f", sha256: "{"0" * 64}" }}\n'
                'resolver: { image: "ssa:test" }\n'
            )
            objects = self.helm.objects("-f", values)
            assert {name for kind, name in objects if kind == "EnvoyFilter"} == wanted, before

    def preflight_without_an_image_prints_its_usage(self) -> None:
        for words in [(), ("--help",)]:
            code, text = run(K8S / "preflight.sh", *words)
            assert code == 2 and text == "usage: k8s/preflight.sh IMAGE [NAMESPACE]\n", text

    def preflight_that_checks_no_node_fails_and_says_why(self) -> None:
        folder = self.folder / "no-nodes"
        folder.mkdir()
        for program in ("bash", "env", "sh"):
            (folder / program).symlink_to(shutil.which(program) or f"/bin/{program}")
        fake = folder / "kubectl"

        def preflight() -> tuple[int, str]:
            return run(K8S / "preflight.sh", "image:test", env={**os.environ, "PATH": str(folder)})

        assert preflight() == (2, "error: kubectl is missing\n")
        for script, why in (
            (
                "echo 'connection refused' >&2; exit 1",
                "connection refused\nerror: the nodes of the cluster cannot be listed\n",
            ),
            ("exit 0", "error: the cluster has no nodes\n"),
        ):
            fake.write_text(f"#!/bin/sh\n{script}\n")
            fake.chmod(0o755)
            assert preflight() == (2, why), why

    def preflight_checks_each_node(self) -> None:
        # The second node has an error; of the third nothing is heard.
        folder = self._stand_in(
            "kubectl",
            "#!/bin/sh\ncase \"$*\" in\n*'get nodes'*) echo 'n1 n2 n.3';;\n*'apply'*) cat >/dev/null;;\n"
            "*'logs ssa-preflight-n1') echo fine;;\n*'logs ssa-preflight-n2') echo 'error: host-ipv6';;\n"
            "*logs*) exit 1;;\nesac\n",
        )
        env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
        code, text = run(K8S / "preflight.sh", "image:test", env=env)
        wanted = "== n1\nfine\n== n2\nerror: host-ipv6\n== n.3\n  it could not be looked at\n"
        assert (code, text) == (1, wanted), (code, text)
