"""Paths: those of addresses, which might lead out of the page's folder, and those of files, which might deceive."""

from __future__ import annotations

import io
import json
import re
import unicodedata
import zipfile
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

from carets.errors import Code
from tests.attacks.scene import Scene, http_answer
from tests.peer import create_workspace
from tests.test_bad_input import refusal_of

FOLDERS = ["assets", "run", "run/pyodide", "w", "api", "yjs/WORKSPACE", "ws"]

CLIMBS = [
    "../index.html",
    "..%2findex.html",
    "%2e%2e/index.html",
    "%2e%2e%2findex.html",
    "..%5cindex.html",
    "..\\index.html",
    "%252e%252e%252findex.html",
    "....//index.html",
    "..;/index.html",
    "%c0%ae%c0%ae/index.html",
    "%00",
    "index.html%00.js",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "C:/windows/win.ini",
    "file:///etc/passwd",
    "../" * 12 + "etc/passwd",
    "..%2f" * 12 + "etc%2fpasswd",
]


@pytest.mark.parametrize("folder", FOLDERS)
async def test_no_address_climbs_out_of_the_pages_folder(scene: Scene, folder: str) -> None:
    """Mallory asks for addresses with dots, encoded once and twice, with other slashes, NUL and whole paths.

    One that is joined to the folder of the page unseen would read the data file, or the keys of TLS. Every one is
    answered with an error, or with the one document, and never with a file of elsewhere.
    """
    folder = folder.replace("WORKSPACE", scene.workspace_id)
    for climb in CLIMBS:
        request = f"GET /{folder}/{climb} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        head, _, body = (await scene.raw(request.encode())).partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        assert b"root:" not in body, climb
        assert b"SQLite" not in body, climb
        if folder == "w" and status == 200:
            assert b"<base href=" in body, climb
        else:
            assert status >= 400, (climb, head)


PATHS = json.loads((Path(__file__).parent.parent / "vectors" / "paths.json").read_text())["refused"]


async def test_no_road_takes_a_path_that_deceives_or_leads_elsewhere(scene: Scene) -> None:
    """Mallory makes files whose names climb, name drives and devices, hide letters, or read as another's: exe.txt.

    Each road to a path might be the one that forgets to look: create, rename, restore, folders, an import, a new
    workspace, the stock door. All refuse the same paths (4427), those of the vectors.
    """
    mallory = await scene.join()
    roads: list[dict[str, Any]] = [
        {"type": "create_file"},
        {"type": "rename_file", "file_id": 1},
        {"type": "rename_folder", "path": "a"},
        {"type": "delete_folder"},
    ]
    for path, why in PATHS.items():
        for road in roads:
            field = "to" if road["type"] == "rename_folder" else "path"
            assert (await mallory.ask(**road, **{field: path}))["code"] == Code.PATH_INVALID, (road, why)
            if len(mallory.refusals) % 60 == 0:  # before it is too many of one
                await mallory.close()
                mallory = await scene.join()
        for url, role in ((f"{scene.url}/api/workspaces", ""), (f"{scene.api}/files", "editor")):
            answer = await scene.call("POST", url, role, json={"files": {path: "x", "good.txt": ""}})
            assert answer == http_answer(Code.PATH_INVALID), (url, why)
    await mallory.close()


async def test_two_paths_that_are_one_in_nfc_are_one(scene: Scene) -> None:
    """Mallory makes a second file whose path is the first one's in other code points: e and an accent for é.

    Both would look the same, and on a Mac be the same: one of them is lost when the workspace is unpacked. Paths are in
    NFC before they are compared: 4428.
    """
    workspace_id, keys = await create_workspace(scene.http, scene.url, {"caf\u00e9/\u1e69.py": ""})
    api, headers = f"{scene.url}/api/workspaces/{workspace_id}", {"Authorization": f"Bearer {keys['editor']}"}
    for twin in ("cafe\u0301/\u1e69.py", "caf\u00e9/s\u0323\u0307.py", "cafe\u0301/s\u0307\u0323.py"):
        assert unicodedata.normalize("NFC", twin) == "caf\u00e9/\u1e69.py"
        answer = await scene.call("POST", f"{api}/files", headers=headers, json={"files": {twin: ""}})
        assert answer == http_answer(Code.PATH_TAKEN)
    answer = await scene.call(
        "POST", f"{api}/files", headers=headers, json={"files": {"a\u0323.py": "", "\u1ea1.py": ""}}
    )
    assert answer == http_answer(Code.PATH_TAKEN), "nor do two of one import"


async def test_what_is_unpacked_of_a_workspace_lies_where_it_says_on_every_system(scene: Scene) -> None:
    """Mallory prepares a workspace for whoever downloads it as a zip and unpacks it, on Windows perhaps.

    A name may be a drive, a device or a stream there, climb, or end in a dot that is dropped. What can be in a
    workspace is a plain relative path on both kinds of systems, and so is every name in its zip.
    """
    odd = {
        "a b/c.d.e": "1",
        "[id].tsx": "2",
        "$x/%41.md": "3",
        "ünï/çode.txt": "4",
        "a'b`c.txt": "5",
        "-rf": "6",
        "@x": "7",
    }
    workspace_id, keys = await create_workspace(scene.http, scene.url, odd)
    url = f"{scene.url}/api/workspaces/{workspace_id}/export.zip"
    async with scene.http.get(url, headers={"Authorization": f"Bearer {keys['viewer']}"}) as response:
        archive = zipfile.ZipFile(io.BytesIO(await response.read()))
    assert set(archive.namelist()) == set(odd)
    for entry in archive.infolist():
        on_windows = PureWindowsPath(entry.filename)
        assert not on_windows.is_absolute(), entry
        assert on_windows.drive == "", entry
        assert not on_windows.is_reserved(), entry
        assert not re.search(r'[<>:"|?*\\]|\.\.|[. ](/|$)', entry.filename), entry
        assert entry.external_attr >> 16 == 0o100644, "a plain file, no link"


HIDDEN_NAMES = {
    "A\u200dd\u200ba": "Ada",
    "\u202eadA": "adA",
    "Ada\U000e0041\U000e0042": "Ada",
    "A\u0336\u0336" + "\u0336" * 60 + "da": None,
    "\ufff9Ada\ufffb": "Ada",
    "Ada\n[owner]": "Ada [owner]",
    "\u3164": "Guest",
    "\u2800\u2800": "Guest",
    "\ud83d": None,
    "\x1b[31mAda": "[31mAda",
}


@pytest.mark.parametrize("name", HIDDEN_NAMES, ids=ascii)
async def test_a_name_is_what_it_looks_like(scene: Scene, name: str) -> None:
    """Mallory calls herself as the bystander is called, with characters in it that nobody sees; or covers other names.

    Names would differ and look the same, or reach over their neighbours. What nobody sees is taken out, so that a twin
    is at least openly one: the list of people shows both, each with a colour and a role.
    """
    text = json.dumps({"type": "hello", "key": scene.keys["editor"], "name": name})
    socket = await scene.socket()
    await socket.send_str(text)
    told = await socket.receive_json()
    await socket.close()
    if name == "\ud83d":
        assert told["code"] == Code.MALFORMED_MESSAGE
        return
    expected = HIDDEN_NAMES[name]
    if expected is None:
        assert len(told["name"]) <= 12
    elif expected == "Guest":
        assert told["name"].startswith("Guest ")
    else:
        assert told["name"] == expected


async def test_half_a_character_gets_nowhere(scene: Scene) -> None:
    """Mallory sends lone surrogates: as a path, a text, a message, a title, a name; they are in no UTF-8.

    What cannot be encoded fails later, where it is sent to others or written to disk. It is refused where it comes in.
    """
    for request in ('{"type":"create_file","path":"a\\ud800"}', '{"type":"chat","text":"\\udc00","nonce":"n"}'):
        mallory = await scene.join()
        await mallory.socket.send_str(request)
        assert await mallory.until_closed() == Code.MALFORMED_MESSAGE
        await mallory.close()
    headers = {"Content-Type": "application/json"}
    for body in ('{"title":"\\ud800"}', '{"files":{"a":"\\ud800"}}', '{"files":{"\\udc00":""}}'):
        answer = await scene.call("POST", f"{scene.url}/api/workspaces", data=body, headers=headers)
        assert answer == http_answer(Code.BODY_MALFORMED)


async def test_the_stock_door_tells_nobody_without_a_key_which_files_there_are(scene: Scene) -> None:
    """Mallory knows the id of a workspace and no key, and asks for paths, one after the other.

    The door said "no such file" before it had looked at the key, so that she could guess the names of files, as often
    as she liked. Now every path is answered alike.
    """
    for path in ("a.py", "no-such-file.py", "~1", "~99"):
        socket = await scene.socket(f"/yjs/{scene.workspace_id}/{path}", protocols=("yjs", "no-key-of-theirs"))
        assert await refusal_of(socket) == (0, Code.KEY_WRONG), path
