"""What kind-cluster downloads: programs and images, pinned by digest."""

import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Any

from checks import ROOT, Checks, run

FIXTURES = Path(__file__).resolve().parent / "fixtures"
# A registry's Docker: it knows an image by tag and by digest, and keeps in `kept` what was pulled, in `log` what was
# asked.
DOCKER = (FIXTURES / "fake_docker.sh").read_text()


class Downloads(Checks):
    """What kind-cluster downloads: programs and images, pinned by digest."""

    def _call(self, folder: Path, script: str, programs: Any) -> tuple[int, str]:
        """Calls functions of kind-cluster/lib.sh in a copy of it, with these programs before others."""
        env = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "SSA_KIND_CACHE": str(folder / "cache"),
            "FOLDER": str(folder),
        }
        # What it puts before PATH itself is not there in a cache that is new.
        return run("bash", "-euc", f'. "{folder}/kind-cluster/lib.sh"; {script}', env=env)

    def _copy(self, name: str) -> Path:
        folder = self.folder / name
        (folder / "kind-cluster/build").mkdir(parents=True)
        (folder / "new").mkdir()
        shutil.copytree(ROOT / "hack", folder / "hack")
        shutil.copy(ROOT / "rust-toolchain.toml", folder)
        for file in ("lib.sh", "versions.env", "build/sha256sums", "build/image-digests"):
            shutil.copy(ROOT / "kind-cluster" / file, folder / "kind-cluster" / file)
        return folder

    @staticmethod
    def _versions() -> Any:
        return dict(re.findall(r"(?m)^(\w+)=(\S+)$", (ROOT / "kind-cluster/versions.env").read_text()))

    def a_program_with_another_digest_is_rejected(self) -> None:
        folder = self._copy("programs")
        good = hashlib.sha256(b"as released\n").hexdigest()
        sums = folder / "kind-cluster/build/sha256sums"
        listed = sums.read_text()
        sums.write_text(f"{listed}{good}  tool-v1\n")

        def fetch(name: str, answer: Any) -> tuple[int, str]:
            programs = self._stand_in("curl", f'#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\n{answer}\n')
            return self._call(
                folder, f'fetch https://a.example/{name} {name} "{folder}/new" && echo taken || echo none', programs
            )

        assert fetch("tool-v1", "echo 'as released' >\"$2\"") == (0, "taken\n")
        assert fetch("tool-v1", "exit 22") == (0, "none\n")
        code, text = fetch("tool-v1", "echo 'as released, and more' >\"$2\"")
        assert (
            code == 1 and "https://a.example/tool-v1 is another file than kind-cluster/build/sha256sums has" in text
        ), text
        code, text = fetch("tool-v2", "echo 'as released' >\"$2\"")
        assert code == 1 and "tool-v2 has no digest" in text, text
        # The versions that are wanted are listed.
        versions = self._versions()
        for machine in ("amd64", "arm64"):
            assert f"  kind-{versions['KIND_VERSION']}-linux-{machine}\n" in listed
            assert f"  helm-{versions['HELM_VERSION']}-linux-{machine}.tar.gz\n" in listed

    def a_listed_image_is_pulled_by_digest(self) -> None:
        folder = self._copy("images")
        programs = self._stand_in("docker", DOCKER)
        digest = f"sha256:{'a' * 64}"
        (folder / "kind-cluster/build/image-digests").write_text(f"a.example/tool:v1 {digest}\n")

        def pull(image: str, kept: str = "") -> tuple[list[str], str]:
            (folder / "kept").write_text(kept)
            (folder / "log").write_text("")
            code, text = self._call(folder, f"pull {image}", programs)
            assert code == 0, text
            asked = [line for line in (folder / "log").read_text().splitlines() if not line.startswith("image inspect")]
            return asked, text

        pinned = [f"pull -q a.example/tool@{digest}", f"tag a.example/tool@{digest} a.example/tool:v1"]
        # Also where the tag is here already, but of another image.
        for kept in ("", f"a.example/tool:v1 a.example/tool@sha256:{'b' * 64} \n"):
            asked, text = pull("a.example/tool:v1", kept)
            assert asked == pinned and "not pinned" not in text, (asked, text)
        assert pull("a.example/tool:v1", f"a.example/tool:v1 a.example/tool@{digest} \n")[0] == []
        asked, text = pull("a.example/tool:v2")
        assert asked == ["pull -q a.example/tool:v2"], asked
        assert "not pinned: a.example/tool:v2 came as a.example/tool@sha256:whatever" in text, text
        # The versions that are wanted are listed.
        versions = self._versions()
        listed = dict(line.split() for line in (ROOT / "kind-cluster/build/image-digests").read_text().splitlines())
        wanted = {
            f"kindest/node:{versions['KINDEST_NODE_VERSION']}",
            f"docker.io/istio/proxyv2:{versions['ISTIO_VERSION']}",
            "debian:bookworm-slim",
        }
        assert set(listed) == wanted and all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in listed.values()), (
            listed
        )
