"""Runs mypy on each Python program of the project separately; hack/mypy.sh calls it.

mypy needs a unique module name per file, and cannot derive one for scenarios: all are called scenario.py, in folders
whose names are not identifiers. They get names here.
"""

import subprocess
import sys
from pathlib import Path

from mypy import build, main
from mypy.errors import CompileError
from mypy.modulefinder import BuildSource

ROOT = Path(__file__).resolve().parent.parent.parent
# Each program: the directory of its modules, and those that it imports from.
PROGRAMS = {
    "e2e": ("e2e", ["examples"]),
    "examples": ("examples", ["e2e", "hack/demo"]),
    "demo": ("hack/demo", ["e2e"]),
    "chart": ("k8s/tests", ["e2e"]),
    "hack": ("hack", []),
}


def files(folder: str) -> list[Path]:
    """Returns the Python files in a folder that belong to the project, also new ones."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", f"{folder}/*.py"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return sorted(ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file())


def module(file: Path, base: Path) -> str:
    """Returns the name of a module: by its path, in the way that it is imported where it is."""
    parts = list(file.relative_to(base).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    if parts[0] in ("lib", "common"):
        return ".".join(parts)
    return "_".join(part.replace("-", "_") for part in parts)


def check(name: str) -> list[str]:
    """Returns the errors of a program."""
    folder, imported = PROGRAMS[name]
    found = [file for file in files(folder) if folder != "hack" or "demo" not in file.parts]
    flags = ["--config-file", str(ROOT / "mypy.ini"), "--cache-dir", str(ROOT / ".cache/mypy" / name)]
    sources, options = main.process_options([*flags, *(str(file) for file in found[:1])])
    options.mypy_path = [str(ROOT / one) for one in (folder, *imported)]
    sources = [BuildSource(str(file), module(file, ROOT / folder)) for file in found]
    try:
        return build.build(sources, options).errors
    except CompileError as error:
        return error.messages


def run() -> int:
    """Checks all programs."""
    errors = [error for name in PROGRAMS for error in check(name)]
    print(
        "\n".join(dict.fromkeys(errors))
        or f"{sum(len(files(folder)) for folder in ('e2e', 'examples', 'hack', 'k8s'))} files have no type errors"
    )
    return 1 if errors else 0


sys.exit(run())
