"""Whole folders, in and out: files imported with their texts, and a workspace as a zip.

Owns: the two calls, the form of the zip, how much of it is in memory. Does not know: how files become durable.

Invariants:
  1. An import makes all of its files or none.
  2. A zip that arrives whole holds every live file as it was committed: what fails on the way ends the connection.
  3. One export holds one file's text at a time, however large the workspace is, and however slow its reader.
  4. Who reads slowly keeps nobody waiting in another workspace or role, and gets no file once its link is revoked.
"""

from __future__ import annotations

import asyncio
import re
import time
import unicodedata
import zipfile
from typing import Annotated
from urllib.parse import quote
from weakref import WeakValueDictionary

import msgspec
import structlog
from aiohttp import web

from carets import limits
from carets.edges import trace
from carets.edges.call import answer, bearer, body, enter
from carets.edges.rates import RATES
from carets.edges.visitor import visitor_of
from carets.errors import CaretsError, Code, Refused
from carets.protocol import access
from carets.protocol.access import Role
from carets.protocol.messages import FileRecord
from carets.rooms import imports
from carets.rooms.lobby import Lobby
from carets.rooms.room import Room

_log = structlog.get_logger("carets.transfer")

_ENCODE_CHARACTERS = 256 * 1024
"""Characters that are encoded and packed at once; a text is never there whole as bytes, too."""

_WRITE_BYTES = 64 * 1024
"""Bytes given to the connection at once, and the least that is worth it: small files go together."""

_TOLD_MAX = 3
"""Paths that a refusal names; whoever mends these knows what to look for."""

_TOLD_CHARACTERS = 80
"""Characters of a path that a refusal repeats: its end says more than its beginning."""

_NOT_IN_NAMES = re.compile(r'[\\/:*?"<>|]')
"""What a file system somewhere refuses in a name."""

_REGULAR_FILE = 0o100644
_UNIX = 3
_UTC_S_MIN = 315_532_800
_UTC_S_MAX = 4_354_819_199
"""1980 to 2107: what a zip can say of a date."""


class Import(msgspec.Struct):
    """The body of ``POST /api/workspaces/{id}/files``: texts by their paths, and whose they are."""

    files: dict[str, str]
    person: Annotated[str, msgspec.Meta(max_length=1024)] = ""


class Transfer:
    """The routes by which whole folders come and go."""

    def __init__(self, lobby: Lobby) -> None:
        self._lobby = lobby
        self._packing = asyncio.Semaphore(limits.EXPORTS_MAX)
        """Held while a file is packed, never while a reader is waited for."""
        self._places: WeakValueDictionary[tuple[str, Role], asyncio.Semaphore] = WeakValueDictionary()
        """By workspace and role, while somebody exports: what is packed and not taken yet is bounded by them."""

    def routes(self) -> list[web.RouteDef]:
        """All routes of this edge."""
        return [
            web.post("/api/workspaces/{workspace_id}/files", self.take_in),
            web.get("/api/workspaces/{workspace_id}/export.zip", self.export),
        ]

    async def take_in(self, request: web.Request) -> web.Response:
        """Make files of texts, all in one commit or none."""
        caller = await enter(self._lobby, request, Role.EDITOR, "viewers cannot import files")
        request.config_dict[RATES].transfer(visitor_of(request).network)
        asked = await body(request, Import)
        taken = {file.path for file in caller.room.files.listed() if file.deleted_at_ms is None}
        await asyncio.to_thread(_check, asked.files, taken)
        # Meanwhile the room may have left memory, and the link may have been revoked.
        caller = await enter(self._lobby, request, Role.EDITOR, "viewers cannot import files")
        person = access.read_person(self._lobby.around.secret, caller.room.id, trace.keep_out(asked.person))
        records = await caller.room.import_files(person or caller.person, asked.files, bearer(request))
        self._lobby.around.audit.note("files_imported", files=len(records), person=person or caller.person)
        return answer({"files": records}, 201)

    async def export(self, request: web.Request) -> web.StreamResponse:
        """Every live file, as it is committed when its turn comes."""
        caller = await enter(self._lobby, request, Role.VIEWER, "")
        headers = {
            "Content-Type": "application/zip",
            "Content-Disposition": _attachment(caller.room.title),
            "Cache-Control": "no-store",
        }
        if request.method == "HEAD":
            return web.Response(headers=headers)
        self._lobby.around.audit.note("workspace_exported", role=caller.role.label)
        request.config_dict[RATES].transfer(visitor_of(request).network)
        places = self._places.setdefault((caller.room.id, caller.role), asyncio.Semaphore(limits.EXPORTS_MAX))
        async with places:
            return await self._send(request, caller.room, web.StreamResponse(headers=headers))

    async def _send(self, request: web.Request, room: Room, response: web.StreamResponse) -> web.StreamResponse:
        archive = _Archive(room.created_at_ms)
        files = sorted((file for file in room.files.listed() if file.deleted_at_ms is None), key=_path)
        try:
            for file in files:
                if await self._pack(request, archive, file):
                    await self._write(request, response, archive.take(_WRITE_BYTES))
            archive.end()
            await self._write(request, response, archive.take())
            async with asyncio.timeout(limits.EXPORT_STALL_S):
                await response.write_eof()  # it waits until the last bytes have left
        except (ConnectionError, TimeoutError) as error:
            _log.info("export_left", error=type(error).__name__)
            _abort(request)
        except Exception as error:
            if not response.prepared:
                raise
            if isinstance(error, CaretsError):
                self._lobby.note(error)
                self._lobby.around.metrics.refusals[error.code] += 1
            if not isinstance(error, Refused):
                _log.error("export_failed", exc_info=error)
            _abort(request)
        except BaseException:
            _abort(request)
            raise
        return response

    async def _pack(self, request: web.Request, archive: _Archive, file: FileRecord) -> bool:
        """Pack a file; False for one that was deleted since the export began. Raises: Refused, Unavailable."""
        async with self._packing:
            # While the last was sent, the room may have left memory and come back, and the link may have been revoked.
            room = (await enter(self._lobby, request, Role.VIEWER, "")).room
            try:
                text = await room.shelf.read_text(file.file_id)
            except Refused as refused:
                if refused.code in (Code.FILE_DELETED, Code.FILE_UNKNOWN):
                    return False
                raise
            await asyncio.to_thread(archive.add, file, text)
            return True

    async def _write(self, request: web.Request, response: web.StreamResponse, packed: bytes) -> None:
        """Send it at the reader's pace.

        Raises: ConnectionError, TimeoutError for one who takes nothing any more, Refused once its link has ended.
        """
        if packed and not response.prepared:
            # Not before there is something to send: what fails at once has an answer of its own.
            await response.prepare(request)
        view = memoryview(packed)
        for at in range(0, len(view), _WRITE_BYTES):
            writing = asyncio.ensure_future(response.write(view[at : at + _WRITE_BYTES]))
            try:
                async with asyncio.timeout(limits.EXPORT_STALL_S):
                    while not writing.done():
                        await asyncio.wait({writing}, timeout=limits.LINK_LOOK_S)
                        await enter(self._lobby, request, Role.VIEWER, "")  # its link may have ended meanwhile
                await writing
            finally:
                writing.cancel()


class _Archive:
    """A zip that is written from front to back.

    By the standard library: it knows how to write what it cannot go back to (sizes behind each file), names in
    UTF-8, and zip64 where offsets need it; a library of its own would be one more to trust.
    """

    def __init__(self, at_ms: int) -> None:
        self._packed = bytearray()
        self._zip = zipfile.ZipFile(self, "w", zipfile.ZIP_DEFLATED)  # type: ignore[call-overload]
        # The same workspace makes the same zip: no clock, no time zone of this machine.
        self._date = time.gmtime(min(max(at_ms // 1000, _UTC_S_MIN), _UTC_S_MAX))[:6]

    def add(self, file: FileRecord, text: str) -> None:
        """Pack one file. For a thread: a large one takes seconds, most of them without Python's lock."""
        entry = zipfile.ZipInfo(file.path, self._date)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.create_system = _UNIX
        entry.external_attr = _REGULAR_FILE << 16
        if file.eol == "crlf":
            text = re.sub("(?<!\r)\n", "\r\n", text)
        with self._zip.open(entry, "w") as packing:
            for at in range(0, len(text), _ENCODE_CHARACTERS):
                packing.write(text[at : at + _ENCODE_CHARACTERS].encode())

    def end(self) -> None:
        """Write the list of all files, without which no zip is one."""
        self._zip.close()

    def take(self, bytes_min: int = 1) -> bytes:
        """What is packed and was not taken yet, if it is that much."""
        if len(self._packed) < bytes_min:
            return b""
        packed, self._packed = self._packed, bytearray()
        return bytes(packed)

    def write(self, packed: bytes) -> int:
        """What `ZipFile` wants of a stream; there is no way back in it."""
        self._packed += packed
        return len(packed)

    def flush(self) -> None:
        """What `ZipFile` wants of a stream."""


def _path(file: FileRecord) -> str:
    return file.path


def _abort(request: web.Request) -> None:
    """End the connection in the middle, so that what was sent is not taken for all."""
    if request.transport is not None:
        request.transport.abort()


def _check(files: dict[str, str], taken: set[str]) -> None:
    """Look for all that is wrong with an import, so that one refusal names it. Raises: Refused, by the first.

    The room checks again, by the state that it has when it makes them.
    """
    imports.check_count(files)
    wrong: list[Refused] = []
    for path, text in files.items():
        try:
            if access.clean_path(path) in taken:
                raise Refused(Code.PATH_TAKEN)
            access.clean_text(text)
        except Refused as refused:
            detail = f": {refused.detail}" if refused.detail else ""
            wrong.append(Refused(refused.code, f"{_told(path)}{detail}"))
    if not wrong:
        return
    same = [refused.detail for refused in wrong if refused.code is wrong[0].code]
    more = [f"{len(wrong) - _TOLD_MAX} more"] if len(wrong) > _TOLD_MAX else []
    raise Refused(wrong[0].code, "; ".join([*same[:_TOLD_MAX], *more]))


def _told(path: str) -> str:
    """A path as a refusal names it, whatever is in it."""
    shown = path if len(path) <= _TOLD_CHARACTERS else "…" + path[-_TOLD_CHARACTERS:]
    return shown if shown.isprintable() else repr(shown)[1:-1]


def _attachment(title: str) -> str:
    """Content-Disposition for a zip of this title. Source: RFC 6266, RFC 8187."""
    name = _NOT_IN_NAMES.sub("-", title).strip(" .") or "workspace"
    # Again, since wide forms of these characters become plain ones only here: a quote would end the name.
    plain = _NOT_IN_NAMES.sub("-", unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode())
    # Some browsers take %xx for encoding in the plain form, too (RFC 6266, appendix D).
    plain = plain.replace("%", "-")
    plain = "".join(c for c in plain if c.isprintable()).strip(" .") or "workspace"
    return f"attachment; filename=\"{plain}.zip\"; filename*=UTF-8''{quote(name, safe='')}.zip"
