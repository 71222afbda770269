"""The house rules, kept by a machine: layers, names, sizes, words, links, pins.

Owns: what docs/ARCHITECTURE.md (layers) and CONTRIBUTING.md ask of every file. Does not know: what the files do.
A rule is a function from sources to complaints. Each is tried twice: on this repository, where it must
find nothing, and on a small bad sample, where it must find what is there; a guard that cannot fail guards nothing.
"""

import ast
import importlib.util
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

import carets
import hatch_build

ROOT = Path(__file__).resolve().parent.parent

# Paths as written from the root, and the text of each.
Sources = Mapping[str, str]
Rule = Callable[[Sources], list[str]]

# From the ground up. A module that is none of these has no place yet: give it one on the map first.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("carets", "carets.audit", "carets.disk", "carets.errors", "carets.limits", "carets.metrics"),
    ("carets.protocol",),
    ("carets.rooms",),
    ("carets.engines",),
    ("carets.edges",),
    (
        "carets.admin",
        "carets.administration",
        "carets.audit_file",
        "carets.garbage",
        "carets.backups",
        "carets.certificate",
        "carets.checkup",
        "carets.cli",
        "carets.commands",
        "carets.config",
        "carets.logs",
        "carets.server",
        "carets.tls",
        "carets.__main__",
    ),
)
GROUND, START = 0, len(LAYERS) - 1

# Who alone may import it: the parts of the program that are behind one door (sqlite_file.py is of sqlite.py's).
DOORS = {
    "aiohttp": "carets.edges",
    "nats": "carets.engines.nats",
    "pycrdt": "carets.rooms.document",
    "sqlite3": "carets.engines.sqlite",
}
# What a layer does without.
ABSTAINS = {
    "carets.protocol": {"asyncio", "datetime", "pycrdt", "random", "secrets", "socket", "threading", "time", "uvloop"},
    "carets.rooms": {"aiohttp", "random", "socket", "sqlite3", "threading", "time"},
}

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
# All words of the page in one place, so that another language is one other file: a list, which nobody reads through.
CATALOGUE, CATALOGUE_LINES_MAX = "web/src/strings.ts", 1_200
HEAD_LINES_MAX = 14

BANNED_NAMES = {"base", "common", "data", "handler", "helpers", "info", "manager", "misc", "service", "utils"}
# Put together here, so that this file does not hold them itself.
MARKS = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
REGISTRY_HOSTS = re.compile(r"registry\.(npm" r"js|yarn" r"pkg)|pypi\." r"org|python" r"hosted|deb\.deb" r"ian")

# What make and running make. Folders with a dot in front are looked into only when named here.
NOT_OURS = {"data", "dist", "src/carets/page", "src/carets/page.new", "src/carets/page.old", "test-results"}
NOT_OURS |= {"web/coverage", "web/dist", "web/node_modules"}
DOTTED_OURS = {".ci"}
CODE = (".py", ".svelte", ".ts")
TEXT = (
    *CODE,
    ".css",
    ".html",
    ".js",
    ".json",
    ".md",
    ".npmrc",
    ".sh",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
    "Makefile",
    "run",
)


def collect(*suffixes: str) -> dict[str, str]:
    """Read the files of this repository whose names end so; what tools and runs left behind is not looked at."""
    found: dict[str, str] = {}
    for folder, folders, names in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        folders[:] = sorted(name for name in folders if is_ours((here / name).as_posix(), name))
        for name in sorted(names):
            if name.endswith(suffixes):
                found[(here / name).as_posix()] = Path(folder, name).read_text(encoding="utf-8")
    return found


def is_ours(folder: str, name: str) -> bool:
    return folder not in NOT_OURS and name != "__pycache__" and (not name.startswith(".") or name in DOTTED_OURS)


@pytest.fixture(scope="module")
def repository() -> Sources:
    return collect(*TEXT)


def python(sources: Sources, folder: str = "") -> Iterator[tuple[str, ast.Module]]:
    for path, text in sources.items():
        if path.endswith(".py") and path.startswith(folder):
            yield path, ast.parse(text, path)


def modules(sources: Sources) -> dict[str, ast.Module]:
    """The modules of the package by dotted name."""
    named = {}
    for path, tree in python(sources, "src/carets/"):
        name = path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        named[name] = tree
    return named


def imports(tree: ast.Module, name: str, known: Mapping[str, ast.Module]) -> Iterator[str]:
    """The modules that a module imports, as far as names tell: `from package import module` is the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            whence = node.module or ""
            if node.level:
                whence = importlib.util.resolve_name("." * node.level + whence, name.rpartition(".")[0])
            for alias in node.names:
                inner = f"{whence}.{alias.name}"
                yield inner if inner in known else whence


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def layer(module: str) -> int | None:
    """The layer of a module. The package itself holds its version only, and is ground."""
    for height, packages in enumerate(LAYERS):
        if module in packages or any(within(module, package) for package in packages if package != "carets"):
            return height
    return None


def arrows_point_down(sources: Sources) -> list[str]:
    known = modules(sources)
    complaints = [f"{name} has no layer" for name in known if layer(name) is None]
    for name, tree in known.items():
        height = layer(name)
        for target in sorted(set(imports(tree, name, known))):
            reached = layer(target)
            if not within(target, "carets") or height is None or reached is None:
                continue
            if height == GROUND:
                complaints.append(f"{name} is ground and imports {target}")
            elif reached > height:
                complaints.append(f"{name} imports {target}, which is above it")
            if within(target, "carets.engines") and height != START and not within(name, "carets.engines"):
                complaints.append(f"{name} names an engine, {target}; only the start does")
    return complaints


def doors_are_kept(sources: Sources) -> list[str]:
    known, complaints = modules(sources), []
    for name, tree in known.items():
        for target in sorted({target.partition(".")[0] for target in imports(tree, name, known)}):
            if target in DOORS and not within(name, DOORS[target]) and not name.startswith(f"{DOORS[target]}_"):
                complaints.append(f"{name} imports {target}; only {DOORS[target]} does")
            complaints += [
                f"{name} imports {target}; {package} does without"
                for package, without in ABSTAINS.items()
                if within(name, package) and target in without
            ]
    return complaints


def rooms_begin_tasks_of_nobody(sources: Sources) -> list[str]:
    """Else a task inherits the connection of whoever happened to wake it (rooms/chores.py)."""
    return [
        f"{path}:{number} begins work by itself; rooms/chores.py does"
        for path, text in sources.items()
        if path.startswith("src/carets/rooms/") and not path.endswith("/chores.py")
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(r"\b(create_task|ensure_future|call_soon|call_later|call_at)\(", line)
    ]


def imports_have_no_cycles(sources: Sources) -> list[str]:
    known = modules(sources)
    graph = {name: sorted(set(imports(tree, name, known)) & known.keys() - {name}) for name, tree in known.items()}
    complaints: list[str] = []
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            complaints.append("cycle: " + " -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for target in graph[name]:
                visit(target, [*path, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    return complaints


def imports_stand_at_the_top(sources: Sources) -> list[str]:
    return [
        f"{path}:{node.lineno} imports inside a function"
        for path, tree in python(sources)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


def files_and_functions_have_ceilings(sources: Sources) -> list[str]:
    complaints = []
    for path, text in sources.items():
        lines_max = CATALOGUE_LINES_MAX if path == CATALOGUE else FILE_LINES_MAX
        if path.endswith(CODE) and (lines := text.count("\n")) > lines_max:
            complaints.append(f"{path} has {lines} lines, over {lines_max}")
    for path, tree in python(sources):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    complaints.append(f"{path}:{node.lineno} {node.name} has {lines} lines, over {FUNCTION_LINES_MAX}")
    return complaints


def names_are_nouns_of_the_product(sources: Sources) -> list[str]:
    complaints = []
    for path in sources:
        if path.endswith(CODE):
            for part in Path(path).with_suffix("").parts:
                words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", part)
                if words and words[-1].lower() in BANNED_NAMES:
                    complaints.append(f"{path}: '{part}' says nothing")
    return complaints


def nothing_is_left_for_later(sources: Sources) -> list[str]:
    return [
        f"{path}:{number} {mark[0]}"
        for path, text in sources.items()
        if not path.endswith("package-lock.json")
        for number, line in enumerate(text.splitlines(), 1)
        if (mark := MARKS.search(line))
    ]


def modules_say_what_they_own(sources: Sources) -> list[str]:
    complaints = []
    for path, tree in python(sources):
        head = ast.get_docstring(tree)
        lines = len((head or "").splitlines())
        if head is None and tree.body:
            complaints.append(f"{path} has no docstring")
        elif lines > HEAD_LINES_MAX:
            complaints.append(f"{path}: its docstring has {lines} lines, over {HEAD_LINES_MAX}")
    return complaints


def no_registry_is_named(sources: Sources) -> list[str]:
    complaints = [f"{path} names {host[0]}" for path, text in sources.items() if (host := REGISTRY_HOSTS.search(text))]
    return complaints + [
        f"{path} holds addresses"
        for path, text in sources.items()
        if path.endswith("package-lock.json") and '"resolved"' in text
    ]


def the_page_lock_is_whole(sources: Sources) -> list[str]:
    """Every platform's binaries are in the lock: where one is missing, `npm ci` fails on every platform."""
    complaints = []
    packages = json.loads(sources.get("web/package-lock.json", '{"packages": {}}'))["packages"]
    there = {path.rpartition("node_modules/")[2] for path in packages}
    for path, entry in packages.items():
        wanted = entry.get("dependencies", {}) | entry.get("optionalDependencies", {})
        complaints += [f"package-lock.json lacks {name}, which {path} names" for name in wanted if name not in there]
    return complaints


def pins_are_exact(sources: Sources) -> list[str]:
    complaints = []
    for path in ("constraints.txt", "bench/peers/requirements.txt"):
        for line in sources.get(path, "").splitlines():
            pin = line.split("#")[0].strip()
            if pin and not re.match(r"[\w.-]+==[\w.]+($| ;)", pin):
                complaints.append(f"{path}: {pin}")
    for path in ("web/package.json", "bench/peers/package.json"):
        package = json.loads(sources.get(path, "{}"))
        for kind in ("dependencies", "devDependencies", "optionalDependencies"):
            for name, version in package.get(kind, {}).items():
                if not re.fullmatch(r"\d+\.\d+\.\d+", version):
                    complaints.append(f"{path}: {name} {version}")
    return complaints


def links_lead_somewhere(sources: Sources) -> list[str]:
    """Relative links of Markdown pages, their #anchors included."""
    complaints = []
    for path, text in sources.items():
        if not path.endswith(".md"):
            continue
        prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
        for link in re.findall(r"\]\(<?([^)\s>]+)", prose):
            if re.match(r"[a-z]+:", link):
                continue
            place, _, anchor = link.partition("#")
            target = os.path.normpath(os.path.join(os.path.dirname(path), place)) if place else path  # noqa: PTH118, PTH120
            if target not in sources and not (ROOT / target).exists():
                complaints.append(f"{path}: {link} is not there")
            elif anchor and target in sources and anchor not in anchors(sources[target]):
                complaints.append(f"{path}: {target} has no heading for #{anchor}")
    return complaints


def anchors(markdown: str) -> set[str]:
    """The anchors that code hosts make of headings."""
    headings = re.findall(r"^#+ +(.+?) *$", re.sub(r"```.*?```", "", markdown, flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


LONG_FUNCTION = "def f() -> None:\n" + "    pass\n" * FUNCTION_LINES_MAX
LOCK = {"": {"dependencies": {"a": "1.0.0"}}, "node_modules/a": {"optionalDependencies": {"a-mac": "1.0.0"}}}

# Each rule, a sample that breaks it, and words of the complaint.
RULES: list[tuple[Rule, dict[str, str], str]] = [
    (arrows_point_down, {"src/carets/rooms/room.py": "import carets.edges.rest"}, "above it"),
    (arrows_point_down, {"src/carets/protocol/wire.py": "from ..rooms import room"}, "above it"),
    (arrows_point_down, {"src/carets/errors.py": "from carets import limits", "src/carets/limits.py": ""}, "is ground"),
    (arrows_point_down, {"src/carets/edges/rest.py": "from carets.engines.sqlite import Store"}, "names an engine"),
    (arrows_point_down, {"src/carets/extra.py": ""}, "no layer"),
    (doors_are_kept, {"src/carets/server.py": "from aiohttp import web"}, "only carets.edges"),
    (doors_are_kept, {"src/carets/engines/nats.py": "import sqlite3"}, "only carets.engines.sqlite"),
    (doors_are_kept, {"src/carets/rooms/room.py": "import pycrdt"}, "only carets.rooms.document"),
    (doors_are_kept, {"src/carets/protocol/wire.py": "import time"}, "does without"),
    (doors_are_kept, {"src/carets/rooms/room.py": "import aiohttp.web"}, "does without"),
    (rooms_begin_tasks_of_nobody, {"src/carets/rooms/room.py": "task = asyncio.create_task(f())"}, "chores.py does"),
    (
        imports_have_no_cycles,
        {"src/carets/rooms/a.py": "from carets.rooms import b", "src/carets/rooms/b.py": "import carets.rooms.a"},
        "carets.rooms.a -> carets.rooms.b -> carets.rooms.a",
    ),
    (imports_stand_at_the_top, {"bench/load.py": "async def f():\n    if True:\n        import os"}, "bench/load.py:3"),
    (files_and_functions_have_ceilings, {"web/src/App.svelte": "\n" * (FILE_LINES_MAX + 1)}, "over 600"),
    (files_and_functions_have_ceilings, {CATALOGUE: "\n" * (CATALOGUE_LINES_MAX + 1)}, "over 1200"),
    (files_and_functions_have_ceilings, {"tests/test_long.py": LONG_FUNCTION}, "f has 71 lines, over 70"),
    (names_are_nouns_of_the_product, {"src/carets/utils.py": ""}, "'utils'"),
    (names_are_nouns_of_the_product, {"src/carets/rooms/room_manager.py": ""}, "'room_manager'"),
    (names_are_nouns_of_the_product, {"web/src/common/text.ts": ""}, "'common'"),
    (names_are_nouns_of_the_product, {"web/src/fileHelpers.ts": ""}, "'fileHelpers'"),
    (nothing_is_left_for_later, {"src/carets/errors.py": "x = 1  # TO" + "DO: more"}, "errors.py:1"),
    (modules_say_what_they_own, {"src/carets/errors.py": "x = 1"}, "no docstring"),
    (modules_say_what_they_own, {"src/carets/errors.py": '"""A\n' + "b\n" * HEAD_LINES_MAX + '"""'}, "15 lines"),
    (no_registry_is_named, {"docs/a.md": "get it from py" + "pi.org"}, "docs/a.md names"),
    (no_registry_is_named, {"web/package-lock.json": '{"resolved": "x"}'}, "holds addresses"),
    (no_registry_is_named, {"bench/peers/package-lock.json": '{"resolved": "x"}'}, "holds addresses"),
    (the_page_lock_is_whole, {"web/package-lock.json": json.dumps({"packages": LOCK})}, "lacks a-mac"),
    (pins_are_exact, {"constraints.txt": "# made by\naiohttp>=3\n    # via carets"}, "aiohttp>=3"),
    (pins_are_exact, {"web/package.json": '{"devDependencies": {"vite": "^8.0.0"}}'}, "vite"),
    (pins_are_exact, {"bench/peers/requirements.txt": "uvicorn"}, "peers/requirements.txt: uvicorn"),
    (pins_are_exact, {"bench/peers/package.json": '{"optionalDependencies": {"node": "22"}}'}, "node 22"),
    (links_lead_somewhere, {"docs/a.md": "see [b](nowhere.md)"}, "nowhere.md is not there"),
    (links_lead_somewhere, {"docs/a.md": "# Here\n[b](#there)"}, "no heading for #there"),
]


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _, _ in RULES), ids=lambda rule: rule.__name__)
def test_the_repository_keeps(rule: Rule, repository: Sources) -> None:
    complaints = rule(repository)
    assert not complaints, "\n" + "\n".join(complaints)


@pytest.mark.parametrize("rule,sample,words", RULES, ids=[f"{rule.__name__}-{words}" for rule, _, words in RULES])
def test_a_breach_is_found(rule: Rule, sample: dict[str, str], words: str) -> None:
    complaints = rule(sample)
    assert len(complaints) >= 1
    assert any(words in complaint for complaint in complaints), complaints


def test_the_rules_see_the_repository(repository: Sources) -> None:
    for path in (
        ".ci/run",
        "Makefile",
        "src/carets/__init__.py",
        "web/.npmrc",
        "web/package-lock.json",
        "web/src/main.ts",
    ):
        assert path in repository, path
    assert not [path for path in repository if "node_modules" in path or ".venv" in path]


def test_layers_are_in_order() -> None:
    heights = [layer(name) for name in ("carets.limits", "carets.protocol.wire", "carets.rooms.room", "carets.cli")]
    assert all(low < high for low, high in pairwise(height for height in heights if height is not None))
    assert None not in heights


def test_one_list_of_pins() -> None:
    assert not (ROOT / "uv.lock").exists(), "constraints.txt is the one list of pins; uv.lock names registry hosts"


def test_the_package_describes_itself_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == carets.__version__
    assert project["version"] == json.loads((ROOT / "web/package.json").read_text())["version"]
    if (ROOT / "README.md").exists():
        assert project.get("readme") == "README.md"
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    assert set(pinned) >= {line for line in project["dependencies"] if "==" in line}


def test_the_same_sources_make_the_same_build(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    for name in hatch_build.SOURCES:
        (tmp_path / name).write_text(name)
    first = hatch_build.build_id(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{12}", first)
    (tmp_path / "src" / "wire.test.ts").write_text("a test is not the page")
    os.utime(tmp_path / "index.html", (1, 1))
    assert hatch_build.build_id(tmp_path) == first
    (tmp_path / "src" / "wire.ts").write_text("a module is")
    second = hatch_build.build_id(tmp_path)
    assert second != first
    (tmp_path / "src" / "wire.ts").rename(tmp_path / "src" / "moved.ts")
    assert hatch_build.build_id(tmp_path) not in {first, second}


def test_the_page_and_its_server_say_the_same_build() -> None:
    page = ROOT / "src" / "carets" / "page"
    if not page.exists():
        pytest.skip("no page is built: CARETS_SKIP_PAGE")
    build = json.loads((page / "build.json").read_text())["build"]
    assert any(build in asset.read_text() for asset in page.glob("assets/*.js")), f"no asset knows of build {build}"


def test_a_skipped_build_leaves_the_page_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARETS_SKIP_PAGE", "1")
    hatch_build.build_page(tmp_path)
    assert not list(tmp_path.iterdir())
