"""Names that the API server accepts."""

import re
from typing import Any

from checks import VALUES, Checks, all_of, run
from lib.helm import CHART, kubernetes_version

LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
RULES = {
    # RFC 1035: it begins with a letter.
    "Service": r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?",
    # RFC 1123: a label, and a subdomain, of which Kubernetes bounds the whole alone.
    "label": LABEL,
    "subdomain": r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
    "value": r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?",
}
LONG = "s" * 60 + "." + "t" * 60 + ".example"


class ObjectNames(Checks):
    """Names that the API server accepts."""

    def _rendered(self, release: str, *flags: str) -> tuple[int, str]:
        version = kubernetes_version()
        return run(
            self.helm.program, "template", release, CHART, "-n", "shop", "--kube-version", version, "-f", VALUES, *flags
        )

    def all_names_are_valid_also_with_the_longest_release_name(self) -> None:
        for release in ("ssa", "a", "s" * 53, "s-1"):
            code, text = self._rendered(release, "--set", f"services[0].name={LONG},slices.nodes=true,preflight=true")
            assert code == 0, text
            documents = [part for part in re.split(r"(?m)^---$", text) if re.search(r"(?m)^[^#\s]", part)]
            for item in self.helm.read(documents):
                self._judge(item)

    def _judge(self, item: dict[str, Any]) -> None:
        kind, name = item["kind"], item["metadata"]["name"]
        assert re.fullmatch(RULES.get(kind, RULES["subdomain"]), name), (kind, name)
        for value in item["metadata"]["labels"].values():
            assert re.fullmatch(RULES["value"], value), (kind, name, value)
        for spec in all_of(item.get("spec", {})):
            if not isinstance(spec, dict):
                continue
            for listed in ("containers", "initContainers", "volumes"):
                for one in spec.get(listed) or ():
                    assert re.fullmatch(RULES["label"], one["name"]), (kind, name, one["name"])
            for value in (spec.get("matchLabels") or {}).values():
                assert re.fullmatch(RULES["value"], value), (kind, name, value)

    def release_names_that_make_invalid_names_are_rejected(self) -> None:
        for release in ("1ssa", "blue.ssa", "0", "a.b"):
            code, text = self._rendered(release)
            assert code != 0 and f"release name: {release} begins with no letter or has a dot" in text, text
        name = ".".join(["s" * 49] * 5)
        code, text = self._rendered("s" * 53, "--set", f"services[0].name={name}")
        assert code != 0 and "services[0].name: with the release's it makes a name of 303 characters" in text, text
