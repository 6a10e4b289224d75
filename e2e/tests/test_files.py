"""The files beside scenarios can be read, and patches apply to the files of envoy/ as they are now."""

import json
import re
import tempfile
import unittest
from pathlib import Path

from lib.files import PLACEHOLDER, Files, patched
from lib.service import Service

E2E = Path(__file__).resolve().parent.parent
ENVOY = E2E.parent / "envoy"


def beside(pattern: str) -> list[Path]:
    """Returns the files of all scenarios whose name matches."""
    return sorted(E2E.glob(f"*/*/{pattern}"))


class ScenarioFiles(unittest.TestCase):
    """Facts about the files of every scenario."""

    def test_patches_apply(self) -> None:
        for file in beside("*.patch"):
            with self.subTest(file=str(file.relative_to(E2E))):
                text = file.read_text()
                old, new = re.findall(r"(?m)^(?:---|\+\+\+) [ab]/envoy/(\S+)$", text)
                self.assertEqual(old, new)
                original = (ENVOY / old).read_text()
                self.assertNotEqual(patched(original, text), original)

    def test_configurations_are_json(self) -> None:
        for file in beside("*.json"):
            with self.subTest(file=str(file.relative_to(E2E))):
                self.assertIsInstance(json.loads(PLACEHOLDER.sub("0", file.read_text())), dict)

    def test_services_of_both_sides_publish_the_same(self) -> None:
        for folder in sorted({file.parent for file in beside("server.json")}):
            published: dict[str, dict] = {}
            names = ("server.json", "client.json", "server-snapshot.json", "client-snapshot.json")
            for file in (folder / name for name in names if (folder / name).exists()):
                for entry in json.loads(PLACEHOLDER.sub("0", file.read_text())).get("services", []):
                    with self.subTest(file=str(file.relative_to(E2E)), service=entry["name"]):
                        says = {"apl": entry["apl"], "rules": entry["rules"]}
                        self.assertEqual(published.setdefault(entry["name"], says), says)

    def test_zones_have_services_in_spaces_of_their_own(self) -> None:
        spaces: dict[str, str] = {}
        for file in beside("zone*"):
            if file.suffix:
                continue
            with self.subTest(file=str(file.relative_to(E2E))):
                services = Service.of_zone(PLACEHOLDER.sub("0", file.read_text()))
                self.assertTrue(services)
                for service in services.values():
                    self.assertTrue(service.rules[0].startswith("v=ssa1;"), service.rules)
                    # Scenarios in the cluster share its zone: no two may use the same space.
                    for item in service.items if file.parent.parent.name == "kind" else ():
                        self.assertEqual(spaces.setdefault(item, file.parent.name), file.parent.name, item)


class Reading(unittest.TestCase):
    """How the files are read."""

    def test_placeholders_are_replaced(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "zone").write_text('web TXT "v=ssa1; addr=rand:64; from=${moment}"\n')
            files = Files(Path(folder, "scenario.py"), moment=7)
            self.assertIn("from=7", files.text("zone"))
            self.assertIn("from=8", files.text("zone", moment=8))
            self.assertIn("from=9", files.having(moment=9).text("zone"))

    def test_a_placeholder_without_a_value_is_an_error(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "zone").write_text("${what}\n")
            with self.assertRaisesRegex(KeyError, r"no value for \$\{what\}"):
                Files(Path(folder, "scenario.py")).text("zone")

    def test_a_patch_must_fit_in_exactly_one_place(self) -> None:
        diff = "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
        self.assertEqual(patched("x\na\nb\n", diff), "x\na\nc\n")
        for text, places in (("a\nx\n", 0), ("a\nb\na\nb\n", 2)):
            with self.assertRaisesRegex(ValueError, f"has {places} places"):
                patched(text, diff)

    def test_a_zone_gives_services_with_their_lists_rules_and_addresses(self) -> None:
        zone = (
            "$TTL 3\n"
            "web       APL   2:2001:db8:5::/64 !2:2001:db8:6::/120\n"
            "web    3  AAAA  2001:db8:6::1\n"
            '_ssa.web  TXT   "v=ssa1; " "addr=rand:64"\n'
            "other     AAAA  2001:db8:6::2\n"
        )
        services = Service.of_zone(zone)
        self.assertEqual(list(services), ["web"])
        web = services["web"]
        self.assertEqual((web.rules, web.plain), (["v=ssa1; addr=rand:64"], "2001:db8:6::1"))
        self.assertEqual((web.items, web.plain_item), (["2001:db8:5::/64"], "2001:db8:6::/120"))
        self.assertEqual(Service.of_zone(web.records(3))["web"].published, web.published)
