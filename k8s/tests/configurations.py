"""Envoy with the module, and the shim, accept the configurations in the chart."""

import json
import subprocess
import textwrap

from checks import K8S, ROOT, VALUES, Checks, plugin, run


class Configurations(Checks):
    """Envoy with the module, and the shim, accept the configurations in the chart."""

    def the_shim_accepts_its_configurations(self) -> None:
        for role, services in (("inbound", 1), ("outbound", 2), ("both", 2)):
            text = self._checked(self._resolver(role))
            assert text == f"{services} service{'' if services == 1 else 's'}", text

    def each_role_may_read_only_its_snapshots(self) -> None:
        for role, roles in (("inbound", ["inbound"]), ("outbound", ["outbound"]), ("both", ["inbound", "outbound"])):
            configuration = self._resolver(role)
            # The sidecar's user, and where it uses TPROXY root with its group.
            wanted = [{"uid": 1337, "roles": roles}, {"uid": 0, "gid": 1337, "roles": roles}]
            assert configuration["socket"]["peers"] == wanted
            assert (configuration["socket"]["mode"], configuration["socket"]["group"]) == ("660", 1337)
        assert "store-keys" not in json.dumps(self._resolver("outbound")), "clients are told of secrets"

    def the_kill_switch_reaches_the_shim(self) -> None:
        objects = self.helm.objects("-f", VALUES, "--set", "killSwitch=true")
        for role in ("inbound", "outbound", "both"):
            off = json.loads(objects["ConfigMap", f"ssa-resolver-{role}"]["data"]["resolver.json"])["off"]
            assert off is True and self._resolver(role)["off"] is False
        for name in ("ssa-inbound", "ssa-outbound"):
            assert objects["EnvoyFilter", name]["spec"] == self.all["EnvoyFilter", name]["spec"], "a push of listeners"

    def envoy_and_the_module_accept_the_plugin_configurations(self) -> None:
        for role, file, filter_ in (
            ("inbound", "server.yaml", self.inbound),
            ("outbound", "client.yaml", self.outbound),
        ):
            code, told = self._validate(file, plugin(filter_))
            assert code == 0, f"{role} is refused: {told}"
            code, told = self._validate(file, plugin(filter_).replace('"role"', '"rule"'))
            assert code == 1 and "configuration refused" in told, f"{role} with a fault: {told}"

    def _validate(self, file: str, configuration: str) -> tuple[int, str]:
        """Has Envoy validate a file of envoy/ with this plugin configuration and the clusters that it names."""
        lines = (ROOT / "envoy" / file).read_text().splitlines()
        start = next(number for number, line in enumerate(lines) if line.strip() == "value: |")
        end = next(
            number
            for number in range(start, len(lines))
            if lines[number].strip() == "}" and lines[number].startswith(" " * 22 + "}")
        )
        indented = textwrap.indent(configuration.strip(), " " * 22)
        text = "\n".join([*lines[: start + 1], indented, *lines[end + 1 :]]) + "\n"
        for name in ("ssa_resolver_inbound", "ssa_resolver_outbound"):
            if name in configuration:
                text = text.replace("ssa_resolver\n", name + "\n")
        text = text.replace("application_demoted", "ssa_demoted")
        folder = self.folder / "envoy"
        folder.mkdir(exist_ok=True)
        link = folder / "ssa_filter.wasm"
        if not link.exists():
            link.symlink_to(self.options.module)
        (folder / file).write_text(text)
        done = subprocess.run(
            [self.options.envoy, "--mode", "validate", "--log-level", "error", "-c", file],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def examples_render_and_their_rules_are_sound(self) -> None:
        examples = sorted(path.parent for path in (K8S / "examples").glob("*/values.yaml"))
        assert [example.name for example in examples] == ["hopping", "naive", "sticky", "token"], examples
        for example in examples:
            objects = self.helm.objects(
                "-f", example / "values.yaml", "--set", f"module.sha256={'0' * 64},resolver.image=ssa-resolver:test"
            )
            for role in ("inbound", "outbound"):
                told = objects["ConfigMap", f"ssa-resolver-{role}"]["data"]["resolver.json"]
                self._checked(told)
                (service,) = json.loads(told)["services"]
                static = service["static"]
                _, text = run(
                    self.options.ssa,
                    "lint",
                    "--apl",
                    static["apl"],
                    *[word for rule in static["rules"] for word in ("--rule", rule)],
                    *[word for address in static["addresses"] for word in ("--aaaa", address)],
                    "--no-notes",
                )
                assert "0 errors" in text, f"{example.name}: {text}"
