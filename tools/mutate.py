"""``python -m tools.mutate``: take the guards out, one by one, and see whether a test notices.

Owns: what a guard is, which tests are asked, the table. Does not know: what the guards are for.
A guard is a condition that ends in a raise or an early return, each of its operands and bounds, each raise, each
comparison in constant time, and each place where a limit of ``limits.py`` is used, which is lifted a thousandfold.
Nothing on the disk changes: each mutant is a fork of one pytest that has collected its tests, in which the one
function is exchanged; what is read at import has a pytest of its own, which imports the changed module.
``tools/mutants.toml`` lists those that may go unnoticed, each with its reason.
"""

from __future__ import annotations

import argparse
import ast
import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Container, Iterator, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import NamedTuple, NoReturn

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("src/carets")
GUARDED = ("access", "appearance", "admission", "updates", "intervals", "origins")
"""Modules of the protocol whose every guard is tried."""

NEAR = {
    "access": ["access"],
    "appearance": ["access"],
    "admission": ["admission", "admission_bounds", "origins", "carry"],
    "updates": ["updates", "admission"],
    "intervals": ["intervals", "admission"],
    "origins": ["origins"],
    "call": ["transfer"],
    "file": ["shelf"],
    "line": ["websocket_edge"],
    "listener": ["upload"],
    "member": ["room"],
    "port": ["http_input", "port"],
    "pulse": ["monitor"],
    "sqlite": ["engine_sqlite"],
    "steward": ["administration"],
    "websocket": ["bad_input", "port"],
    "yjs": ["websocket_edge"],
}
"""Which test modules are asked about these; of them, only the tests that call the function. About limits outside of
`GUARDED`, those that name the limit are asked, too."""

SLOW = {
    "docs",
    "house",
    "simulation",
    "kill",
    "durability",
    "durability_server",
    "stock_clients",
    "page_build",
    "page_core",
    "traces",
}
"""Test modules that are never asked: they see harm, not guards."""

RUN_S_MAX = 60.0
_FLIPPED = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">"}


class Mutant(NamedTuple):
    """One change: the characters from `begin` to `end` of a file become `text`."""

    path: Path
    line: int
    begin: int
    end: int
    text: str
    what: str

    def source(self) -> bytes:
        """The whole file with the change."""
        whole = (ROOT / self.path).read_bytes()
        return whole[: self.begin] + self.text.encode() + whole[self.end :]


class Source:
    """One module, its tree, and where its nodes stand in the text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bytes = (ROOT / path).read_bytes()
        self.tree = ast.parse(self._bytes)
        self._lines = [0]
        for line in self._bytes.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def change(self, node: ast.expr | ast.stmt, text: str, what: str) -> Mutant:
        """The mutant that has `text` in place of a node."""
        return Mutant(self.path, node.lineno, *self._span(node), text, what)

    def of(self, node: ast.expr | ast.stmt) -> str:
        """The text of a node."""
        begin, end = self._span(node)
        return self._bytes[begin:end].decode()

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._lines[node.lineno - 1] + node.col_offset, self._lines[node.end_lineno - 1] + node.end_col_offset


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
        for inner in ast.walk(node.annotation if isinstance(node, ast.AnnAssign) else node)
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


def tests_for(todo: Sequence[Mutant]) -> list[str]:
    """The test files to ask, nearest first."""
    texts = {path.stem.removeprefix("test_"): path.read_text() for path in sorted((ROOT / "tests").glob("test_*.py"))}
    order: dict[str, None] = {}
    for mutant in todo:
        stem = mutant.path.stem
        order |= dict.fromkeys(NEAR.get(stem, [stem]))
        if stem not in GUARDED:
            limit = mutant.what.split("`")[1]
            order |= dict.fromkeys(name for name, text in texts.items() if re.search(rf"\b{limit}\b", text))
    return [f"tests/test_{name}.py" for name in order if name in texts and name not in SLOW]


class Trial:
    """A plugin of pytest in place of its loop: it runs the tests once as they are, then forks for each mutant."""

    def __init__(self, todo: Sequence[Mutant], tell: Callable[[Mutant, str | None], None]) -> None:
        self._todo = todo
        self._tell = tell
        self._functions: dict[str, set[str]] = {}
        """By test: the functions of ours that it calls, as module and qualified name."""
        self._seconds: dict[str, float] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try all mutants."""
        tests = [item for item in session.items if self._passes(item)]
        tests.sort(key=lambda item: self._seconds[item.nodeid])
        passing = {item.nodeid for item in tests}
        for mutant in self._todo:
            name = mutant.path.relative_to("src").with_suffix("").as_posix().replace("/", ".")
            code = _changed_code(mutant, name)
            if code is None:
                self._tell(mutant, _begin_anew(mutant, passing))
                continue
            word = f"{name}:{code.co_qualname}"
            self._tell(mutant, _fork(name, code, [item for item in tests if word in self._functions[item.nodeid]]))
        return True

    def _passes(self, item: pytest.Item) -> bool:
        """Run one test as it is, and note what it calls."""
        called = self._functions.setdefault(item.nodeid, set())
        root = str(ROOT / PACKAGE)

        def trace(frame: FrameType, _event: str, _arg: object) -> None:
            if frame.f_code.co_filename.startswith(root):
                called.add(f"{frame.f_globals['__name__']}:{frame.f_code.co_qualname}")

        begin = time.perf_counter()
        sys.settrace(trace)
        try:
            reports = runtestprotocol(item, log=False)
        finally:
            sys.settrace(None)
        self._seconds[item.nodeid] = time.perf_counter() - begin
        return all(report.passed for report in reports)


def _changed_code(mutant: Mutant, name: str) -> CodeType | None:
    """The code of the function that the mutant changes; None where it is no function's."""
    file = sys.modules[name].__file__
    assert file is not None
    texts = (ROOT / mutant.path).read_bytes(), mutant.source()
    before, after = (compile(text, file, "exec", dont_inherit=True) for text in texts)
    old, new = _codes(before), _codes(after)
    differing = [word for word in old if old[word] != new.get(word)]
    # What holds a changed function differs, too; the innermost that somebody calls by name is it.
    functions = {each.__code__.co_qualname for each in _functions_of(name)}
    differing = [word for word in differing if word in functions]
    return new[max(differing, key=len)] if differing else None


def _codes(code: CodeType) -> dict[str, CodeType]:
    found = {code.co_qualname: code}
    for const in code.co_consts:
        if isinstance(const, CodeType):
            found |= _codes(const)
    return found


def _functions_of(name: str) -> list[FunctionType]:
    return [each for each in gc.get_objects() if type(each) is FunctionType and each.__module__ == name]


def _fork(name: str, code: CodeType, tests: Sequence[pytest.Item]) -> str | None:
    """The first test that fails with this code; None when none does."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _try(name, code, tests, writing)
    os.close(writing)
    until = time.monotonic() + RUN_S_MAX
    while time.monotonic() < until:
        pid, _ = os.waitpid(child, os.WNOHANG)
        if pid:
            break
        time.sleep(0.01)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        return "(a run without end)"
    with os.fdopen(reading) as told:
        return told.read() or None


def _try(name: str, code: CodeType, tests: Sequence[pytest.Item], writing: int) -> NoReturn:
    killer = ""
    try:
        for function in _functions_of(name):
            if function.__code__.co_qualname == code.co_qualname:
                function.__code__ = code
        for item in tests:
            if not all(report.passed for report in runtestprotocol(item, log=False)):
                killer = item.nodeid.removeprefix("tests/")
                break
    except BaseException as error:  # noqa: BLE001 - nothing of this process may go on as the parent does
        killer = f"({type(error).__name__})"
    os.write(writing, killer.encode())
    os._exit(0)


def _begin_anew(mutant: Mutant, passing: Container[str]) -> str | None:
    """The first test that fails in a process that imports the changed module, and passes otherwise."""
    command = [sys.executable, "-m", "tools.mutate", "--import", json.dumps([str(mutant.path), *mutant[1:]])]
    try:
        ended = subprocess.run(  # noqa: S603 - ourselves
            command, cwd=ROOT, capture_output=True, timeout=RUN_S_MAX, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        return "(a run without end)"
    if ended.returncode:
        return "(does not import)"
    return next((line.removeprefix("tests/") for line in ended.stdout.splitlines() if line in passing), None)


class _Failures:
    """A plugin of pytest that says which tests fail."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            print(report.nodeid, file=_told, flush=True)


def _import_changed(mutant: Mutant) -> int:
    """Run the tests near a mutant in this process, which has imported nothing of ours yet."""
    get_code = SourceFileLoader.get_code

    def changed(loader: SourceFileLoader, name: str) -> CodeType | None:
        if loader.path != str(ROOT / mutant.path):
            return get_code(loader, name)
        return compile(mutant.source(), loader.path, "exec", dont_inherit=True)

    SourceFileLoader.get_code = changed  # type: ignore[method-assign, assignment]
    ended = pytest.main([*_words(), "--maxfail=3", *tests_for([mutant])], plugins=[_Failures()])
    return 0 if ended in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED} else 1


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


def _words() -> list[str]:
    """What pytest is told. Its own words go nowhere: they would hide the table."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(nowhere.fileno(), 1)
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    hypothesis.settings.register_profile("mutants", database=None, deadline=None, max_examples=30)
    hypothesis.settings.load_profile("mutants")
    words = ["-q", "-s", "--assert=plain", "-p", "no:cacheprovider", "-m", "not browser", "-o", "timeout=0"]
    return [*words, "-W", "ignore::pytest.PytestAssertRewriteWarning"]


_told = os.fdopen(os.dup(1), "w")
"""The output that this began with."""


def main() -> int:
    """Returns 1 when a guard can go and nobody notices, and no reason is given."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutate", description=__doc__)
    parser.add_argument("--only", default="", help="guards of modules, or limits, with this in their name")
    parser.add_argument("--list", action="store_true", help="what would be tried")
    parser.add_argument("--table", type=Path, help="write the table to this file, too, as it grows")
    parser.add_argument("--import", dest="one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        path, *rest = json.loads(options.one)
        return _import_changed(Mutant(Path(path), *rest))
    todo, listed = mutants(options.only), reasons()
    if options.list:
        for mutant in todo:
            print(f"{mutant.path}:{mutant.line} {mutant.what}")
        return 0
    began, killed, allowed, survived = time.monotonic(), 0, 0, 0
    table = options.table.open("w") if options.table else None
    lines = {mutant.path: (ROOT / mutant.path).read_text().splitlines() for mutant in todo}

    def tell(mutant: Mutant, killer: str | None) -> None:
        nonlocal killed, allowed, survived
        line = lines[mutant.path][mutant.line - 1].strip()
        why = None if killer else reason(mutant, line, listed)
        killed += killer is not None
        allowed += why is not None
        survived += killer is None and why is None
        outcome = killer or (f"may go: {why}" if why else "SURVIVED")
        for out in filter(None, (_told, table)):
            print(f"| {mutant.path.name}:{mutant.line} | `{line}` | {mutant.what} | {outcome} |", file=out, flush=True)

    pytest.main([*_words(), *tests_for(todo)], plugins=[Trial(todo, tell)])
    took_s, untried = time.monotonic() - began, len(todo) - killed - allowed - survived
    print(f"{len(todo)} mutants in {took_s:.0f} s: {killed} noticed, {allowed} may go,", file=_told)
    print(f"{untried} not tried, {survived} survived without a reason", file=_told)
    return min(survived + untried, 1)


if __name__ == "__main__":
    sys.exit(main())
