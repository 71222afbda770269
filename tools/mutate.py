"""``python -m tools.mutate``: take the guards out of a copy of the tree, one by one, and see whether a test notices.

Owns: what a guard is, the copy, the order of tests, the table. Does not know: what the guards are for.
A guard is a condition that ends in a raise or an early return, each of its operands and bounds, each raise, each
comparison in constant time, and each place where a limit of ``limits.py`` is used, which is lifted a thousandfold.
``tools/mutants.toml`` lists those that may go unnoticed, each with its reason.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

import aiohttp  # noqa: F401 - foreign packages are imported once, for all forks
import hypothesis  # noqa: F401
import pycrdt  # noqa: F401
import pytest
import structlog  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("src/carets")
GUARDED = ("access", "appearance", "admission", "updates", "intervals", "origins")
"""Modules of the protocol whose every guard is tried."""

NEAR = {
    "access": ["access"],
    "appearance": ["access"],
    "admission": ["admission", "origins", "carry"],
    "updates": ["updates", "admission"],
    "intervals": ["intervals", "admission"],
    "origins": ["origins"],
}
"""Which test modules are asked first: of these, only the tests that run through the line."""

FAR = {
    "access": ["fuzz_targets"],
    "admission": ["admission_properties"],
    "updates": ["admission_properties"],
}
"""Which are asked whole when none of the near ones noticed."""

SLOW = {"simulation", "kill", "durability", "durability_server", "stock_clients", "page_build", "page_core", "traces"}
"""Test modules that are never asked: they see harm, not guards."""

LIMIT_TESTS_MAX = 6
RUN_S_MAX = 240.0
TEST_S_MAX = 60
_FLIPPED = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">"}


class Mutant(NamedTuple):
    """One change: the characters from `begin` to `end` of a file become `text`."""

    path: Path
    line: int
    begin: int
    end: int
    text: str
    what: str


class Source:
    """One module, its tree, and where its nodes stand in the text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = (ROOT / path).read_text()
        self.tree = ast.parse(self.text)
        self._lines = [0]
        for line in self.text.encode().splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def change(self, node: ast.expr | ast.stmt, text: str, what: str) -> Mutant:
        """The mutant that has `text` in place of a node."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        begin = self._lines[node.lineno - 1] + node.col_offset
        end = self._lines[node.end_lineno - 1] + node.end_col_offset
        return Mutant(self.path, node.lineno, begin, end, text, what)

    def of(self, node: ast.expr | ast.stmt) -> str:
        """The text of a node."""
        return ast.get_source_segment(self.text, node) or ""


def guards(source: Source) -> Iterator[Mutant]:
    """Every guard of a module, taken out or moved by one."""
    guarded_raises = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.If) and isinstance(last := node.body[-1], ast.Raise | ast.Return | ast.Continue):
            end = "raise" if isinstance(last, ast.Raise) else "return" if isinstance(last, ast.Return) else "continue"
            if len(node.body) == 1:
                guarded_raises.add(last)
            yield source.change(node.test, _as_false(source, node.test), f"no {end}")
            yield from _weaker(source, node.test)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Raise) and node not in guarded_raises:
            yield source.change(node, "pass", "no raise")
        if isinstance(node, ast.Call) and source.of(node.func).endswith("compare_digest"):
            yield source.change(node, "True", "any digest matches")
        if isinstance(node, ast.IfExp | ast.Return) and isinstance(test := _bool_of(node), ast.BoolOp):
            yield from _weaker(source, test)


def _bool_of(node: ast.IfExp | ast.Return) -> ast.expr | None:
    return node.test if isinstance(node, ast.IfExp) else node.value


def _as_false(source: Source, test: ast.expr) -> str:
    """False, but names that the condition binds are bound."""
    if any(isinstance(inner, ast.NamedExpr) for inner in ast.walk(test)):
        return f"({source.of(test)}) and False"
    return "False"


def _weaker(source: Source, test: ast.expr) -> Iterator[Mutant]:
    """Each operand of and/or left out, each bound moved by one."""
    for node in ast.walk(test):
        if isinstance(node, ast.BoolOp):
            neutral = "True" if isinstance(node.op, ast.And) else "False"
            for operand in node.values:
                if not any(isinstance(inner, ast.NamedExpr) for inner in ast.walk(operand)):
                    yield source.change(operand, neutral, f"without `{source.of(operand)}`")
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _FLIPPED:
            sign = _FLIPPED[type(node.ops[0])]
            text = f"({source.of(node.left)} {sign} {source.of(node.comparators[0])})"
            yield source.change(node, text, f"`{sign}`")


def limit_names() -> set[str]:
    """The constants of limits.py and the fields of its quotas."""
    tree = ast.parse((ROOT / PACKAGE / "limits.py").read_text())
    names = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    fields = {
        node.target.id
        for holder in tree.body
        if isinstance(holder, ast.ClassDef)
        for node in holder.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return (names | fields) - {"KIB", "MIB"}


def uses_of_limits(source: Source, names: set[str]) -> Iterator[Mutant]:
    """Every place where a limit is read, lifted. Words of a refusal that name it are no guard."""
    told = {
        inner
        for node in ast.walk(source.tree)
        if isinstance(node, ast.JoinedStr | ast.Raise | ast.AnnAssign)
        for inner in ast.walk(node)
    }
    for node in ast.walk(source.tree):
        if node in told:
            continue
        if (
            isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names and node.id.isupper()
        ) or (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Load)
            and node.attr in names
            and source.of(node.value).rpartition(".")[2] in {"limits", "quotas", "_quotas"}
        ):
            yield source.change(node, f"({source.of(node)} * 1000)", f"`{source.of(node).rpartition('.')[2]}` lifted")


def mutants(only: str) -> list[Mutant]:
    """All there are; with `only`, those of modules or limits that have this in their name."""
    found: list[Mutant] = []
    names = limit_names()
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        source = Source(path.relative_to(ROOT))
        of_module: list[Mutant] = []
        if path.stem in GUARDED and path.parent.name == "protocol":
            of_module += guards(source)
        if path.stem not in {"limits", "config"}:
            of_module += uses_of_limits(source, names)
        unique = {(each.begin, each.end, each.text): each for each in of_module}
        found += sorted(unique.values(), key=lambda each: (each.line, each.begin))
    return [each for each in found if only in each.path.stem or only.lower() in each.what.lower()]


def tests_for(mutant: Mutant) -> list[str]:
    """The test files to ask about a limit, nearest first."""
    stem = mutant.path.stem
    limit = mutant.what.split("`")[1]
    texts = {path.stem.removeprefix("test_"): path.read_text() for path in sorted((ROOT / "tests").glob("test_*.py"))}
    by_limit = [name for name, text in texts.items() if re.search(rf"\b{limit}\b", text)]
    by_module = [name for name, text in texts.items() if re.search(rf"\b{stem}\b", text)]
    order = dict.fromkeys([*by_limit, stem, *NEAR.get(stem, []), *by_module, "bad_input", "room", "rest"])
    return [_file(name) for name in order if name in texts and name not in SLOW][:LIMIT_TESTS_MAX]


def _file(name: str) -> str:
    return f"tests/test_{name}.py"


class Tracer:
    """A plugin of pytest: which lines of some files each test runs through."""

    def __init__(self, files: set[str]) -> None:
        self._stems = {file: Path(file).stem for file in files}
        self.lines: dict[str, set[tuple[str, int]]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Trace one test."""
        lines = self.lines.setdefault(item.nodeid, set())

        def trace(frame: FrameType, event: str, _: object) -> object:
            stem = self._stems.get(frame.f_code.co_filename)
            if stem is None:
                return None
            if event == "line":
                lines.add((stem, frame.f_lineno))
            return trace

        sys.settrace(trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)


class Copy:
    """A copy of the tree in which one guard at a time is missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changes = 1_000_000_000
        for name in ("src", "tests", "bench", "docs", "tools"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in ROOT.iterdir():
            if path.is_file():
                shutil.copy(path, folder)
        for name in (".venv", "web"):
            (folder / name).symlink_to(ROOT / name)

    def killer(self, mutant: Mutant, tests: Sequence[str]) -> str | None:
        """The first test that fails; None when none does."""
        path = self._folder / mutant.path
        whole = path.read_bytes()
        self._write(path, whole[: mutant.begin] + mutant.text.encode() + whole[mutant.end :])
        try:
            return self._run(tests)
        finally:
            self._write(path, whole)

    def _write(self, path: Path, content: bytes) -> None:
        """Each change has a time of its own, so that Python takes no compiled file of another."""
        path.write_bytes(content)
        self._changes += 1
        os.utime(path, (self._changes, self._changes))

    def through(self, modules: set[str]) -> dict[tuple[str, int], list[str]]:
        """By module and line: the near tests that run through it. Raises: SystemExit when they fail as they are."""
        files = {str(self._folder / PACKAGE / "protocol" / f"{module}.py") for module in modules}
        tests = sorted({_file(name) for module in modules for name in NEAR[module]})
        tracer, out = Tracer(files), self._folder / "lines.json"
        if tests and (broken := self._run(tests, tracer, out)):
            raise SystemExit(f"the tests fail without any change: {broken}")
        found: dict[tuple[str, int], list[str]] = {}
        for test, lines in json.loads(out.read_text()).items() if tests else ():
            for module, line in lines:
                found.setdefault((module, line), []).append(test)
        return found

    def _run(self, tests: Sequence[str], tracer: Tracer | None = None, lines: Path | None = None) -> str | None:
        out = self._folder / "told.txt"
        child = os.fork()
        if child == 0:
            self._become_pytest(out, tests, tracer, lines)
        status = self._wait(child)
        if status == 0:
            return None
        if status is None:
            return "(a run without end)"
        found = re.search(r"^(?:FAILED|ERROR) (\S+)", out.read_text(errors="replace"), flags=re.MULTILINE)
        return found[1].removeprefix("tests/") if found else "(nothing starts)"

    def _become_pytest(self, out: Path, tests: Sequence[str], tracer: Tracer | None, lines: Path | None) -> NoReturn:
        """In a fork that has all foreign packages already: what is ours is imported from the copy."""
        with out.open("wb") as told:
            os.dup2(told.fileno(), 1)
            os.dup2(told.fileno(), 2)
        os.chdir(self._folder)
        os.environ["PYTHONPATH"] = str(self._folder / "src")
        sys.path[:0] = [str(self._folder), str(self._folder / "src")]
        words = ["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-m", "not browser", f"--timeout={TEST_S_MAX}"]
        if "::" in "".join(tests):
            words.append("--noconftest")
        words += ["-W", "ignore::pytest.PytestAssertRewriteWarning", *tests]
        status = 1
        try:
            status = int(pytest.main(words, plugins=[] if tracer is None else [tracer]))
            if tracer is not None and lines is not None:
                lines.write_text(json.dumps({test: sorted(found) for test, found in tracer.lines.items()}))
        except BaseException:  # noqa: BLE001 - nothing of this process may go on as the parent does
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    @staticmethod
    def _wait(child: int) -> int | None:
        until = time.monotonic() + RUN_S_MAX
        while time.monotonic() < until:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None


def reasons() -> list[dict[str, str]]:
    """Which mutants may survive, and why."""
    listed: list[dict[str, str]] = tomllib.loads((ROOT / "tools/mutants.toml").read_text())["survivor"]
    return listed


def reason(mutant: Mutant, line: str, listed: Sequence[dict[str, str]]) -> str | None:
    """The reason on the list, where there is one."""
    for each in listed:
        if each["file"] == mutant.path.name and each["line"] in line and each["what"] == mutant.what:
            return each["why"]
    return None


def find_killer(copy: Copy, mutant: Mutant, through: Mapping[tuple[str, int], list[str]]) -> str | None:
    """The test that notices; the near ones that run through the line are asked first, then the far ones."""
    stem = mutant.path.stem
    near = through.get((stem, mutant.line), [])
    killer = copy.killer(mutant, near) if near else None
    if killer is None:
        is_limit = mutant.what.endswith("lifted")
        far = tests_for(mutant) if is_limit else [_file(name) for name in FAR.get(stem, [])]
        killer = copy.killer(mutant, far) if far else None
    return killer


def main() -> int:
    """Returns 1 when a guard can go and nobody notices, and no reason is given."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutate", description=__doc__)
    parser.add_argument("--only", default="", help="guards of modules, or limits, with this in their name")
    parser.add_argument("--list", action="store_true", help="what would be tried")
    parser.add_argument("--table", type=Path, help="write the table to this file, too, as it grows")
    options = parser.parse_args()
    todo, listed = mutants(options.only), reasons()
    if options.list:
        for mutant in todo:
            print(f"{mutant.path}:{mutant.line} {mutant.what}")
        return 0
    survived, begin = 0, time.monotonic()
    table = options.table.open("w") if options.table else None
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        guarded = {mutant.path.stem for mutant in todo if mutant.path.stem in GUARDED}
        through = copy.through(guarded)
        for mutant in todo:
            line = (ROOT / mutant.path).read_text().splitlines()[mutant.line - 1].strip()
            why = reason(mutant, line, listed)
            killer = None if why else find_killer(copy, mutant, through)
            survived += killer is None and why is None
            row = f"| {mutant.path.name}:{mutant.line} | `{line}` | {mutant.what} | "
            row += f"{killer or (why and f'may go: {why}') or 'SURVIVED'} |"
            print(row, flush=True)
            if table is not None:
                print(row, file=table, flush=True)
    print(f"{len(todo)} mutants, {survived} survived without a reason, {time.monotonic() - begin:.0f} s")
    return min(survived, 1)


if __name__ == "__main__":
    sys.exit(main())
