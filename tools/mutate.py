"""``python -m tools.mutate``: take the guards out of a copy of the tree, one by one, and see whether a test notices.

Owns: what a guard is, the copy, the order of tests, the table. Does not know: what the guards are for.
A guard is a condition that ends in a raise or an early return, each of its operands and bounds, each raise, each
comparison in constant time, and each place where a limit of ``limits.py`` is used, which is lifted a thousandfold.
``tools/mutants.toml`` lists those that may go unnoticed, each with its reason.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import aiohttp  # noqa: F401 - foreign packages are imported once, for all forks
import hypothesis  # noqa: F401
import pycrdt  # noqa: F401
import pytest
import structlog  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("src/carets")
GUARDED = ("access", "admission", "updates", "intervals", "origins")
"""Modules of the protocol whose every guard is tried."""

TRUSTED = {
    "access": ["access", "files", "chat", "profile", "lobby", "fuzz_targets"],
    "admission": ["admission", "origins", "carry", "admission_properties"],
    "updates": ["updates", "admission", "admission_properties"],
    "intervals": ["intervals", "admission"],
    "origins": ["origins"],
}
"""Which test modules are asked for these, the nearest first."""

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
    """The test files to ask, nearest first."""
    stem = mutant.path.stem
    all_tests = {path.stem.removeprefix("test_"): path for path in sorted((ROOT / "tests").glob("test_*.py"))}
    if "lifted" not in mutant.what:
        return [f"tests/test_{name}.py" for name in TRUSTED[stem] if name in all_tests]
    limit = mutant.what.split("`")[1]
    texts = {name: path.read_text() for name, path in all_tests.items() if name not in SLOW}
    by_name = [name for name in texts if name == stem]
    by_limit = [name for name, text in texts.items() if re.search(rf"\b{limit}\b", text)]
    by_module = [name for name, text in texts.items() if re.search(rf"\b{stem}\b", text)]
    order = dict.fromkeys([*by_limit, *by_name, *TRUSTED.get(stem, []), *by_module, "bad_input", "room", "rest"])
    return [f"tests/test_{name}.py" for name in order if name in texts][:LIMIT_TESTS_MAX]


class Copy:
    """A copy of the tree in which one guard at a time is missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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
        path.write_bytes(whole[: mutant.begin] + mutant.text.encode() + whole[mutant.end :])
        try:
            return self._run(tests)
        finally:
            path.write_bytes(whole)

    def _run(self, tests: Sequence[str]) -> str | None:
        out = self._folder / "told.txt"
        child = os.fork()
        if child == 0:
            self._become_pytest(out, tests)
        status = self._wait(child)
        if status == 0:
            return None
        if status is None:
            return "(a run without end)"
        found = re.search(r"^(?:FAILED|ERROR) (\S+)", out.read_text(errors="replace"), flags=re.MULTILINE)
        return found[1].removeprefix("tests/") if found else "(nothing starts)"

    def _become_pytest(self, out: Path, tests: Sequence[str]) -> NoReturn:
        """In a fork that has all foreign packages already: what is ours is imported from the copy."""
        with out.open("wb") as told:
            os.dup2(told.fileno(), 1)
            os.dup2(told.fileno(), 2)
        os.chdir(self._folder)
        os.environ["PYTHONPATH"] = str(self._folder / "src")
        sys.path[:0] = [str(self._folder), str(self._folder / "src")]
        sys.dont_write_bytecode = True
        words = [
            "-x",
            "-q",
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
            "-p",
            "no:cacheprovider",
            "-m",
            "not browser",
            f"--timeout={TEST_S_MAX}",
            *tests,
        ]
        status = 1
        try:
            status = int(pytest.main(words))
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
        if todo and (broken := copy.killer(todo[0]._replace(end=todo[0].begin, text=""), tests_for(todo[0]))):
            print(f"the tests fail without any change: {broken}")
            return 1
        for mutant in todo:
            line = (ROOT / mutant.path).read_text().splitlines()[mutant.line - 1].strip()
            why = reason(mutant, line, listed)
            killer = None if why else copy.killer(mutant, tests_for(mutant))
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
