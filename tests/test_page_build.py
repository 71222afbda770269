"""What the build of the page adds to what Vite makes: Python for the browser, and packed files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import hatch_build
from tests.test_house import ROOT

PACKAGE = ROOT / "web" / "node_modules" / "pyodide"


def test_pyodide_is_copied_unchanged_with_a_note_of_whose_it_is(tmp_path: Path) -> None:
    package = tmp_path / "pyodide"
    package.mkdir()
    (package / "package.json").write_text(json.dumps({"version": "1.2.3"}))
    for name in (*hatch_build.PYODIDE_FILES, "console.html", "pyodide-lock.json"):
        (package / name).write_text(name)
    hatch_build.copy_pyodide(package, tmp_path / "run")
    (folder,) = (tmp_path / "run").iterdir()
    assert folder.name == "pyodide-1.2.3"
    assert {path.name for path in folder.iterdir()} == {*hatch_build.PYODIDE_FILES, "NOTICE.txt"}
    assert all((folder / name).read_text() == name for name in hatch_build.PYODIDE_FILES)
    notice = (folder / "NOTICE.txt").read_text()
    assert "Mozilla Public License 2.0" in notice
    assert "/tree/1.2.3" in notice


def test_the_licence_that_the_note_tells_is_the_packages() -> None:
    package = json.loads((PACKAGE / "package.json").read_text())
    lock = json.loads((ROOT / "web" / "package-lock.json").read_text())
    assert package["license"] == "MPL-2.0"
    assert package["version"] == lock["packages"]["node_modules/pyodide"]["version"]


def test_what_gains_by_it_is_packed_and_unpacks_to_itself(tmp_path: Path) -> None:
    files = {"a.js": b"long " * 100, "b.wasm": bytes(1000), "c.mjs": b"x", "d.zip": bytes(1000), "e.css": b"." * 500}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    hatch_build._compress(tmp_path)
    packed = {path.name: gzip.decompress(path.read_bytes()) for path in tmp_path.glob("*.gz")}
    assert packed == {f"{name}.gz": files[name] for name in ("a.js", "b.wasm", "e.css")}
