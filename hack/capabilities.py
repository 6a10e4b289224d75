#!/usr/bin/env python3
"""Checks that configurations grant the Envoy module exactly the capabilities that it uses.

    hack/capabilities.py [MODULE]           checks every configuration that runs the module, and says which differ
    hack/capabilities.py --write [MODULE]   writes the list into them
    hack/capabilities.py --list [MODULE]    prints the list, a name a line

Envoy's `allowed_capabilities` name host calls and callbacks. A host call that is not listed fails, at which the SDK
traps; a callback that is not listed is never called. So the list is what the module imports and exports. Without
MODULE it is what hack/module.sh builds. Ends by `N passed, N failed`.
"""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Lines are as long as those of other configurations.
WIDTH = 120
# The chart puts this list into both of its filters.
CHART = ROOT / "k8s/chart/files/capabilities.yaml"
IMPORTS, EXPORTS = 2, 7


def number(octets: bytes, at: int) -> tuple[int, int]:
    """Reads a number in LEB128; returns it and where it ends."""
    value = shift = 0
    while True:
        octet = octets[at]
        value |= (octet & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if octet < 0x80:
            return value, at


def text(octets: bytes, at: int) -> tuple[str, int]:
    """Reads a name; returns it and where it ends."""
    length, at = number(octets, at)
    return octets[at : at + length].decode(), at + length


def limits(octets: bytes, at: int) -> int:
    """Skips the limits of a table or memory."""
    flags = octets[at]
    _, at = number(octets, at + 1)
    return number(octets, at)[1] if flags & 1 else at


def imports(content: bytes) -> Iterator[str]:
    """Yields the names of imported functions."""
    count, at = number(content, 0)
    for _ in range(count):
        _, at = text(content, at)
        name, at = text(content, at)
        kind, at = content[at], at + 1
        if kind == 0:
            yield name
            _, at = number(content, at)
        elif kind == 1:
            at = limits(content, at + 1)
        elif kind == 2:
            at = limits(content, at)
        else:
            at += 2


def exports(content: bytes) -> Iterator[str]:
    """Yields the names of exported functions."""
    count, at = number(content, 0)
    for _ in range(count):
        name, at = text(content, at)
        if content[at] == 0:
            yield name
        _, at = number(content, at + 1)


def capabilities(module: Path) -> list[str]:
    """Returns the capabilities that a module uses, in order; what starts it and `proxy_abi_version_…` are implied."""
    octets = module.read_bytes()
    names: set[str] = set()
    at = 8
    while at < len(octets):
        section = octets[at]
        length, at = number(octets, at + 1)
        content, at = octets[at : at + length], at + length
        if section == IMPORTS:
            names.update(imports(content))
        elif section == EXPORTS:
            names.update(name for name in exports(content) if name.startswith("proxy_on_"))
    return sorted(names)


def block(names: list[str], indent: str) -> str:
    """Returns the list as a YAML mapping."""
    listed = ", ".join(f"{name}: {{}}" for name in names)
    # A blank within a pair is no place to break a line.
    words = textwrap.wrap(f"{{~{listed}~}}".replace(": ", ":~"), WIDTH - len(indent), break_long_words=False)
    return "".join(f"{indent}{line.replace('~', ' ')}\n" for line in words)


def configurations() -> Iterator[Path]:
    """Yields the files that have the list."""
    yield from sorted((ROOT / "envoy").glob("*.yaml"))
    yield ROOT / "kind-cluster/smoke/filters.yaml"


def with_list(content: str, names: list[str]) -> tuple[str, int, int]:
    """Returns a configuration with the list, and how many times it stands there and should."""

    def listed(found: re.Match[str]) -> str:
        return f"{found[1]}allowed_capabilities:\n{block(names, found[1] + '  ')}"

    new, count = re.subn(r"^( *)allowed_capabilities:\n(?:\1 +.*\n)+", listed, content, flags=re.MULTILINE)
    return new, count, content.count("vm_config:")


def main(arguments: list[str]) -> bool:
    write, listing = arguments[:1] == ["--write"], arguments[:1] == ["--list"]
    (module,) = arguments[write or listing :] or [subprocess.check_output([ROOT / "hack/module.sh"], text=True).strip()]
    names = capabilities(Path(module))
    if listing:
        print("\n".join(names))
        return False
    passed = failed = 0
    for file in [CHART, *configurations()]:
        content = file.read_text() if file.exists() else ""
        if file == CHART:
            wanted, count, filters = block(names, ""), 1, 1
        else:
            wanted, count, filters = with_list(content, names)
        if write:
            file.write_text(wanted)
            content = wanted
        name = file.relative_to(ROOT)
        if count != filters:
            failed += 1
            print(f"FAILED: {name}: {filters} filters, and {count} lists of allowed_capabilities")
        elif content != wanted:
            failed += 1
            print(f"FAILED: {name}: allowed_capabilities is not what the module asks for: hack/capabilities.py --write")
        else:
            passed += 1
            print(f"ok: {name}: allowed_capabilities is what the module asks for")
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
