"""The Helm chart as values, and Prometheus' relabelling."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from . import timeouts
from .claims import find

ROOT = Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "k8s/chart"


def kubernetes_version() -> str:
    """Returns the version that charts are rendered for: that of the cluster in kind-cluster/."""
    return find(r"^KUBERNETES_VERSION=(\S+)$", (ROOT / "kind-cluster/versions.env").read_text(), re.MULTILINE)[1]


def run(*command: str | Path, reads: str | None = None, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Returns exit code and output of a command."""
    done = _done(command, reads, env)
    return done.returncode, done.stdout + done.stderr


def must(*command: str | Path, reads: str | None = None, env: dict[str, str] | None = None) -> str:
    """Returns the standard output of a command, which must succeed."""
    done = _done(command, reads, env)
    assert done.returncode == 0, f"{command[0]} ended by {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def _done(
    command: tuple[str | Path, ...], reads: str | None, env: dict[str, str] | None
) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(
        words, input=reads, capture_output=True, text=True, timeout=timeouts.COMMAND, env=env, check=False
    )


class Helm:
    """Helm 3, which also reads YAML here."""

    def __init__(self, program: str | Path, folder: Path) -> None:
        """`folder` is for what it writes."""
        self.program = program
        self.folder = folder
        self.count = 0

    def lint(self, *flags: str | Path) -> tuple[int, str]:
        """Lints the chart; returns exit code and output."""
        return run(self.program, "lint", "--strict", CHART, *flags)

    def template(self, *flags: str | Path) -> tuple[int, str]:
        """Renders the chart as release `ssa` in the namespace `shop`; returns exit code and output."""
        return run(self.program, "template", "ssa", CHART, "-n", "shop", "--kube-version", kubernetes_version(), *flags)

    def objects(self, *flags: str | Path) -> dict[tuple[str, str], Any]:
        """Returns what it renders, by kind and name."""
        code, text = self.template(*flags)
        assert code == 0, text
        documents = [part for part in re.split(r"(?m)^---$", text) if re.search(r"(?m)^[^#\s]", part)]
        items = self.read(documents)
        by_name = {(item["kind"], item["metadata"]["name"]): item for item in items}
        assert len(by_name) == len(items), "two objects of one name"
        return by_name

    def chart(self, template: str, files: dict[str, str]) -> Any:
        """Renders one template, which prints one line of JSON, in a chart made for it."""
        self.count += 1
        chart = self.folder / f"chart-{self.count}"
        (chart / "templates").mkdir(parents=True)
        (chart / "files").mkdir()
        (chart / "Chart.yaml").write_text("apiVersion: v2\nname: read\nversion: 1.0.0\n")
        for name, text in files.items():
            (chart / "files" / name).write_text(text)
        (chart / "templates" / "read.yaml").write_text(template)
        text = must(self.program, "template", "read", chart)
        return json.loads(next(line for line in text.splitlines() if line.startswith("{")))

    def read(self, documents: list[str]) -> list[Any]:
        """Returns YAML documents as values."""
        files = {f"{number:04}.yaml": text for number, text in enumerate(documents)}
        template = (
            '{{- $items := list }}{{ range $path, $_ := .Files.Glob "files/*" }}'
            "{{ $items = append $items ($.Files.Get $path | fromYaml) }}{{ end }}"
            '{{ dict "apiVersion" "v1" "kind" "List" "items" $items | toJson }}'
        )
        items = self.chart(template, files)["items"]
        for item, text in zip(items, documents, strict=True):
            assert "Error" not in item, f"{item}: {text}"
        return items

    def inject(
        self, template: str, labels: dict[str, str], annotations: dict[str, str], native: bool, spec: Any = None
    ) -> dict[str, Any]:
        """Returns what the injection template adds to a pod's spec, as pod()."""
        return self.pod(template, labels, annotations, native, spec)["spec"]

    def pod(
        self, template: str, labels: dict[str, str], annotations: dict[str, str], native: bool, spec: Any = None
    ) -> dict[str, Any]:
        """Returns what the injection template adds to a pod: Istio renders it with the same functions.

        `spec` has what the pod says itself, by the names of Go's fields.
        """
        metadata = json.dumps({"Labels": labels, "Annotations": annotations})
        around = (
            '{{- $data := .Files.Get "files/metadata" | fromJson }}'
            '{{ $spec := .Files.Get "files/spec" | fromJson }}'
            f"{{{{ $native := {str(native).lower()} }}}}"
            '{{ $pod := dict "ObjectMeta" $data "Spec" $spec "NativeSidecars" $native "Template" .Template }}'
            '{{ tpl (.Files.Get "files/injection") $pod | fromYaml'
            ' | merge (dict "apiVersion" "v1" "kind" "Pod") | toJson }}'
        )
        pod = self.chart(around, {"injection": template, "metadata": metadata, "spec": json.dumps(spec or {})})
        assert "Error" not in pod, pod
        return pod


def relabel(rules: list[dict[str, Any]], labels: dict[str, str]) -> dict[str, str] | None:
    """Returns the labels of a metric after Prometheus' relabelling, or None if it is dropped."""
    labels = dict(labels)
    for rule in rules:
        if rule.get("action") == "labeldrop":
            labels = {name: value for name, value in labels.items() if not re.fullmatch(rule["regex"], name)}
            continue
        value = ";".join(labels.get(label, "") for label in rule["sourceLabels"])
        found = re.fullmatch(rule["regex"], value)
        if rule.get("action") == "keep":
            if not found:
                return None
        elif found:
            labels[rule["targetLabel"]] = found.expand(rule.get("replacement", "$1").replace("$", "\\"))
    return labels
