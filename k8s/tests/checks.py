"""What all checks share: the rendered chart, helpers that search it, and fake programs."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

K8S = Path(__file__).resolve().parent.parent
ROOT = K8S.parent
sys.path.insert(0, str(ROOT / "e2e"))
from lib.claims import find  # noqa: E402
from lib.helm import Helm, must, relabel, run  # noqa: E402

__all__ = [
    "K8S",
    "ROOT",
    "VALUES",
    "Chart",
    "Checks",
    "Skipped",
    "all_of",
    "extension",
    "find",
    "must",
    "patches",
    "plugin",
    "relabel",
    "run",
]
VALUES = Path(__file__).with_name("values.yaml")


class Skipped(Exception):
    """The check cannot run here; the message says why."""


def patches(filter_: dict[str, Any], applies: str) -> list[Any]:
    return [patch for patch in filter_["spec"]["configPatches"] if patch["applyTo"] == applies]


def extension(filter_: dict[str, Any]) -> Any:
    (patch,) = patches(filter_, "EXTENSION_CONFIG")
    return patch["patch"]["value"]


def plugin(filter_: dict[str, Any]) -> str:
    """Returns the plugin configuration, as text."""
    return extension(filter_)["typed_config"]["config"]["configuration"]["value"]


def all_of(value: Any) -> Iterator[Any]:
    """Yields a value and everything in it."""
    yield value
    if isinstance(value, dict):
        for inner in value.values():
            yield from all_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from all_of(inner)


class Chart:
    """The chart with everything it can render, and the programs that read it."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        """`folder` is for what checks write."""
        self.options = options
        self.folder = folder
        self.helm = Helm(options.helm, folder)
        self.all = self.helm.objects("-f", VALUES)
        self.inbound = self.all["EnvoyFilter", "ssa-inbound"]
        self.outbound = self.all["EnvoyFilter", "ssa-outbound"]
        (values,) = self.helm.read([self.all["ConfigMap", "ssa-injection"]["data"]["istiod-values.yaml"]])
        self.template = values["sidecarInjectorWebhook"]["templates"]["ssa"]


class Checks:
    """The checks of one subject. Each method is a check, and its name is the fact that it shows.

    It has the attributes of the chart.
    """

    options: argparse.Namespace
    folder: Path
    helm: Helm
    all: dict
    inbound: dict
    outbound: dict
    template: str

    def __init__(self, chart: Chart) -> None:
        self.__dict__.update(vars(chart))

    def _resolver(self, role: str) -> Any:
        """Returns the configuration of shims in pods of a role."""
        return json.loads(self.all["ConfigMap", f"ssa-resolver-{role}"]["data"]["resolver.json"])

    def _values(self, services: list[dict[str, Any]], **values: Any) -> Path:
        """Returns a file of values with these services, and what every release needs besides."""
        needed = {
            "module": {"url": "https://m.example/f.wasm", "sha256": "0" * 64},
            "resolver": {"image": "ssa-resolver:test"},
        }
        file = self.folder / "values.json"
        file.write_text(json.dumps({**needed, "services": services, **values}))
        return file

    def _check(self, configuration: dict[str, Any] | str) -> tuple[int, str]:
        """Has the shim check a configuration, as text or values; returns exit code and output."""
        file = self.folder / "resolver.json"
        file.write_text(configuration if isinstance(configuration, str) else json.dumps(configuration))
        return run(self.options.resolver, "--check", "--without-keys", "--config", file)

    def _checked(self, configuration: dict[str, Any] | str) -> str:
        """The same for a configuration that the shim must accept; returns the output."""
        code, text = self._check(configuration)
        assert code == 0, text
        return text.strip()

    def _stand_in(self, name: str, text: str) -> Path:
        """Writes a fake program, and returns its directory, which has nothing else."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
        return folder

    def _needs_namespaces(self) -> None:
        """Skips the check where namespaces cannot be made."""
        if run("unshare", "-Urnm", "true")[0] != 0:
            raise Skipped("no user and network namespaces here")

    def _refused(self, setting: Sequence[str], place: str) -> None:
        code, text = self.helm.template("-f", VALUES, *setting)
        assert code != 0, f"{setting} is taken"
        assert place in text, f"{setting}: {text}"
