#!/usr/bin/env python3
"""No circles between the modules of a crate: what each crate's top-level modules and folders use of one another.

  hack/cycles.py               judges every crate of the workspace
  hack/cycles.py --edges DIR   prints what the modules of one crate use of one another
  hack/cycles.py --self-test   finds circles that it has planted, and none where there is none

A module uses another where its code names it: `use crate::…`, a path that begins with `crate::` or `super::`, also
through what lib.rs re-exports, and what lib.rs or main.rs defines itself, which counts as the module `lib` or `main`.
Test code does not count: what stands under `#[cfg(test)]`, with the files of such modules.

hack/cycles.allow lists modules that may still be in a circle: `CRATE: MODULE MODULE …`. One that is in none any more is
a fault too, so the list can only shrink. Ends by `N passed, N failed`: a crate is one.
"""

import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = ROOT / "hack" / "cycles.allow"

Path_ = tuple[str, ...]


def stripped(code: str) -> str:
    """Returns code without comments, and with strings and characters emptied; line numbers stay."""
    token = re.compile(
        r"""//[^\n]*|/\*|r(\#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^'\\\n])'""",
        re.DOTALL,
    )
    out, at = [], 0
    while found := token.search(code, at):
        out.append(code[at : found.start()])
        text, at = found.group(), found.end()
        if text == "/*":
            depth = 1
            while depth and (edge := re.compile(r"/\*|\*/").search(code, at)):
                depth += 1 if edge.group() == "/*" else -1
                at = edge.end()
            text = code[found.start() : at]
        out.append(("" if text.startswith("/") else '""') + "\n" * text.count("\n"))
    return "".join([*out, code[at:]])


def closing(code: str, at: int) -> int:
    """Returns where the bracket that opens at a place is closed."""
    depth = 0
    for edge in re.compile(r"[{}()\[\]]").finditer(code, at):
        depth += 1 if edge.group() in "{([" else -1
        if depth == 0:
            return edge.end()
    return len(code)


def without_tests(code: str) -> tuple[str, set[str]]:
    """Returns stripped code without what stands under `#[cfg(test)]`, and the modules whose files that are."""
    modules: set[str] = set()
    at = 0
    while found := re.compile(r"#(!?)\[cfg\(").search(code, at):
        start, at = found.start(), closing(code, found.end() - 1)
        condition = code[found.end() : at - 1]
        named = re.search(r"\btest\b", re.sub(r"\bnot\([^()]*\)", "", condition))
        if not named or condition.strip().startswith("any("):
            continue
        if found.group(1):
            return "", modules
        end = re.compile(r"[;{]|=\s*[{(\[]").search(code, at)
        end_at = len(code) if end is None else end.start() + 1 if end.group() == ";" else closing(code, end.end() - 1)
        if module := re.match(r"[\]\s]*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;", code[at:]):
            modules.add(module.group(1))
        removed = code[start:end_at]
        code = code[:start] + "\n" * removed.count("\n") + code[end_at:]
        at = start
    return code, modules


def leaves(tree: str) -> list[Path_]:
    """Returns the paths of a use tree such as `a::{b, c::d as e}`."""
    tree = tree.strip()
    head, brace, rest = tree.partition("{")
    prefix = tuple(part.strip() for part in head.split("::") if part.strip())
    if not brace:
        name = re.split(r"\s+as\s+", tree)[0]
        return [tuple(part.strip() for part in name.split("::") if part.strip())]
    inner, depth, start, parts = rest[: rest.rindex("}")], 0, 0, []
    for place, letter in enumerate(inner + ","):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append(inner[start:place])
            start = place + 1
    return [prefix + leaf for part in parts if part.strip() for leaf in leaves(part)]


def paths_in(code: str, module: Path_) -> Iterator[tuple[Path_, int]]:
    """Returns every path from the crate's root that code names, with its line."""
    inline: list[tuple[str, int]] = []
    uses = {found.start(): found for found in re.finditer(r"\buse\s+([^;]+);", code)}
    token = re.compile(r"\buse\s+[^;]+;|\bmod\s+(\w+)\s*\{|[{}]|(?<![\w:$])\$?(?:crate|super|self)(?:::\w+)+")
    depth, at = 0, 0
    while found := token.search(code, at):
        text, at = found.group(), found.end()
        here = module + tuple(name for name, _ in inline)
        line = code.count("\n", 0, found.start()) + 1
        if found.group(1):
            inline.append((found.group(1), depth))
            depth += 1
        elif text == "{":
            depth += 1
        elif text == "}":
            depth -= 1
            if inline and inline[-1][1] == depth:
                inline.pop()
        elif found.start() in uses:
            for leaf in leaves(uses[found.start()].group(1)):
                yield from ((path, line) for path in absolute(leaf, here))
        else:
            yield from ((path, line) for path in absolute(tuple(text.lstrip("$").split("::")), here))


def absolute(path: Path_, here: Path_) -> list[Path_]:
    """Returns a path as one from the crate's root, if it begins with crate, self or super."""
    if path[:1] == ("crate",):
        return [path[1:]]
    base = here
    if path[:1] == ("self",):
        return [base + path[1:]]
    if path[:1] != ("super",):
        return []
    while path[:1] == ("super",):
        base, path = base[:-1], path[1:]
    return [base + path]


class Crate:
    """A crate's top-level modules, and what each uses of the others."""

    def __init__(self, folder: Path) -> None:
        self.name = tomllib.loads((folder / "Cargo.toml").read_text())["package"]["name"]
        self.edges: dict[str, dict[str, str]] = {}
        source = folder / "src"
        roots = [source / name for name in ("lib.rs", "main.rs") if (source / name).exists()]
        self.codes: dict[Path, str] = {}
        tests: set[Path] = set()
        for file in sorted(source.rglob("*.rs")):
            code, modules = without_tests(stripped(file.read_text()))
            self.codes[file] = code
            inside = file.parent if file.name in ("lib.rs", "main.rs", "mod.rs") else file.with_suffix("")
            tests |= {inside / name for name in modules}
        for file, code in self.codes.items():
            own = file.parent if file.name == "mod.rs" else file.with_suffix("")
            if any(test == own or test in own.parents for test in tests) or "bin" in file.relative_to(source).parts:
                continue
            module = own.relative_to(source).parts if file not in roots else ()
            for root in roots if module else [file]:
                self.judge(source, root, file, code, module)

    def judge(self, source: Path, root: Path, file: Path, code: str, module: Path_) -> None:
        top = module[0] if module else root.stem
        root_code = self.codes[root]
        exported = {}
        for use in re.finditer(r"\buse\s+([^;]+);", root_code):
            for tree in [use.group(1)]:
                for leaf in leaves(tree):
                    exported[leaf[-1]] = leaf[1:] if leaf[0] in ("crate", "self") else leaf
        declared = set(re.findall(r"\bmod\s+(\w+)\s*[;{]", root_code))
        if module and module[0] not in declared:
            return
        if not module:
            # What the root re-exports is no use of its own.
            code = re.sub(r"\bpub(\([^)]*\))?\s+use\s+[^;]+;", lambda found: "\n" * found.group().count("\n"), code)
        named = list(paths_in(code, module))
        if not module:
            bare = [
                (leaf, code.count("\n", 0, use.start()) + 1)
                for use in re.finditer(r"\buse\s+([^;]+);", code)
                for leaf in leaves(use.group(1))
            ]
            named += [(path, line) for path, line in bare if path[0] in declared]
            named += [
                ((found.group(1),), code.count("\n", 0, found.start()) + 1)
                for found in re.finditer(r"(?<![\w:])(\w+)::", code)
                if found.group(1) in declared
            ]
        for path, line in named:
            if not path or path == ("*",):
                continue
            first = path[0]
            if first not in declared and first in exported and exported[first][0] in declared:
                first = exported[first][0]
            target = first if first in declared else None if first in exported else root.stem
            if target and target != top:
                where = f"{file.relative_to(source.parent.parent)}:{line}: {'::'.join(path)}"
                self.edges.setdefault(top, {}).setdefault(target, where)

    def circles(self) -> list[list[str]]:
        """Returns the groups of modules each of which leads to every other."""
        reach: dict[str, set[str]] = {}
        for start in self.edges:
            seen, left = set(), list(self.edges[start])
            while left:
                if (module := left.pop()) not in seen:
                    seen.add(module)
                    left += self.edges.get(module, {})
            reach[start] = seen
        groups = {
            frozenset(other for other in reach[start] if start in reach.get(other, ()))
            for start in reach
            if start in reach[start]
        }
        return sorted(sorted(group) for group in groups)


def allowed(text: str) -> dict[str, set[str]]:
    """Returns the modules of each crate that may be in a circle."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    pairs = (line.split(":") for line in lines if line)
    return {crate.strip(): set(modules.split()) for crate, modules in pairs}


def faults(crate: Crate, may: set[str]) -> list[str]:
    """Returns what is wrong with a crate whose listed modules may be in circles."""
    found, circling = [], set()
    for group in crate.circles():
        circling |= set(group)
        if set(group) <= may:
            continue
        found.append(f"{crate.name}: a circle of modules: {', '.join(group)}")
        for module in group:
            found += [
                f"    {module} -> {other}: {where}"
                for other, where in sorted(crate.edges[module].items())
                if other in group
            ]
    found += [
        f"{crate.name}: {module} is in no circle any more: take it out of hack/cycles.allow"
        for module in sorted(may - circling)
    ]
    return found


def crates() -> list[Path]:
    members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
    return [folder for folder in (ROOT / member for member in members) if (folder / "src").exists()]


def main() -> int:
    may, failed = allowed(ALLOWED.read_text()) if ALLOWED.exists() else {}, 0
    judged = [Crate(folder) for folder in crates()]
    for name in sorted(set(may) - {crate.name for crate in judged}):
        print(f"hack/cycles.allow: no crate {name}")
        failed += 1
    for crate in judged:
        if told := faults(crate, may.get(crate.name, set())):
            print("\n".join(told))
            failed += 1
    print(f"{len(judged) - failed} passed, {failed} failed")
    return 1 if failed else 0


# Files of a crate, and the circles that are in it.
PLANTED: dict[str, tuple[dict[str, str], list[list[str]]]] = {
    "two modules": (
        {"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B;", "b.rs": "use crate::{a::A, b::C};"},
        [["a", "b"]],
    ),
    "by super, in a folder": (
        {
            "lib.rs": "mod a; mod b;",
            "a/mod.rs": "mod c;",
            "a/c.rs": "fn f() { super::super::b::g() }",
            "b.rs": "use super::a;",
        },
        [["a", "b"]],
    ),
    "by a re-export": (
        {"lib.rs": "mod a; mod b; pub use a::A;", "a.rs": "use crate::b::B;", "b.rs": "use crate::A;"},
        [["a", "b"]],
    ),
    "of three": (
        {
            "lib.rs": "mod a; mod b; mod c;",
            "a.rs": "fn f() { crate::b::f(); }",
            "b.rs": "use crate::c::{self, C};",
            "c.rs": "use crate::a::*;",
        },
        [["a", "b", "c"]],
    ),
    "with the root": ({"lib.rs": "mod a; use a::A; pub struct R(A);", "a.rs": "use crate::R;"}, [["a", "lib"]]),
    "with main": (
        {"main.rs": "mod a; fn main() { a::f() } fn g() {}", "a.rs": "fn f() { super::g() }"},
        [["a", "main"]],
    ),
    "in an inline module": (
        {"lib.rs": "mod a; mod b;", "a.rs": "mod i { use super::super::b::B; }", "b.rs": "use crate::a::A;"},
        [["a", "b"]],
    ),
    "in a macro": (
        {"lib.rs": "mod a; mod b;", "a.rs": "macro_rules! m { () => { $crate::b::B } }", "b.rs": "use crate::a::A;"},
        [["a", "b"]],
    ),
    "none: one way": ({"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B;", "b.rs": "use std::fmt;"}, []),
    "none: comments and texts": (
        {
            "lib.rs": "mod a; mod b;",
            "a.rs": "use crate::b::B;",
            "b.rs": '// crate::a::A\n/* crate::a /* x */ */ const T: &str = "crate::a::A \\" crate::a";',
        },
        [],
    ),
    "none: test code": (
        {
            "lib.rs": "mod a; mod b; #[cfg(test)] mod t;",
            "a.rs": "use crate::b::B;",
            "t.rs": "use crate::a;",
            "b.rs": "#[cfg(test)]\nmod tests { use crate::a::A; fn f() { if true {} } }\n"
            "#[cfg(all(test, unix))]\nuse crate::a::C;",
        },
        [],
    ),
    "none: files of tests": (
        {
            "lib.rs": "mod a; mod b;",
            "a.rs": "use crate::b::B;",
            "b.rs": "#[cfg(test)] pub(crate) mod tests;",
            "b/tests.rs": "use crate::a::A;",
            "b/tests/more.rs": "use crate::a::A;",
        },
        [],
    ),
    "none: within a folder": (
        {
            "lib.rs": "mod a;",
            "a.rs": "mod b; mod c;",
            "a/b.rs": "use super::c::C;",
            "a/c.rs": "use crate::a::b::B; use super::D;",
        },
        [],
    ),
    "what is not test code counts": (
        {"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B;", "b.rs": "#[cfg(not(test))] use crate::a::A;"},
        [["a", "b"]],
    ),
}


def self_test() -> int:
    failed = 0

    def check(what: str, found: object, expected: object) -> None:
        nonlocal failed
        if found != expected:
            failed += 1
            print(f"{what}: found {found}, expected {expected}")

    for name, (files, expected) in PLANTED.items():
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "planted"
            for file, text in {
                "Cargo.toml": '[package]\nname = "planted"',
                **{f"src/{file}": text for file, text in files.items()},
            }.items():
                (home / file).parent.mkdir(parents=True, exist_ok=True)
                (home / file).write_text(text)
            crate = Crate(home)
            check(name, crate.circles(), expected)
            if expected == [["a", "b"]]:
                check(f"{name}: told", len(faults(crate, set())) > 2, True)
                check(f"{name}: allowed", faults(crate, {"a", "b"}), [])
                check(f"{name}: half of it allowed", len(faults(crate, {"a"})) > 0, True)
            if not expected:
                check(f"{name}: an allowance that is none", len(faults(crate, {"a"})), 1)
    check("the list", allowed("# why\nssa-x: a b # c\n\nssa-y: d\n"), {"ssa-x": {"a", "b"}, "ssa-y": {"d"}})
    print(f"{1 if failed == 0 else 0} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    if sys.argv[1:2] == ["--edges"]:
        shown = Crate(Path(sys.argv[2]).resolve())
        for module, others in sorted(shown.edges.items()):
            print(f"{module}: {' '.join(sorted(others))}")
        sys.exit(0)
    sys.exit(main())
