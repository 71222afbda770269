"""The list of a workspace's files: as it is committed, and as it will be when what is queued is.

Owns: which paths are free, which ids come next, what can be renamed, deleted and restored.
Does not know: documents, members, commits. Time and chance are passed in.

Invariants:
  1. No two files that are not deleted have the same path.
  2. A file id is never given twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from carets import limits
from carets.errors import Code, Refused
from carets.protocol import messages
from carets.protocol.access import clean_path
from carets.protocol.messages import FileRecord, LineEnd

_DAY_MS = 24 * 3600 * 1000


class FileTable:
    """The files of one workspace."""

    def __init__(self, records: list[FileRecord]) -> None:
        self.committed = {record.file_id: record for record in records}
        self._admitted: dict[int, FileRecord] = {}
        self._paths: dict[str, int] = {}
        self._folders: Counter[str] = Counter()
        self._highest_id = 0
        self.fall_back()

    def live(self, file_id: int) -> FileRecord:
        """The committed file. Raises: Refused FILE_UNKNOWN or FILE_DELETED."""
        record = self.committed.get(file_id)
        if record is None:
            raise Refused(Code.FILE_UNKNOWN)
        if record.deleted_at_ms is not None:
            raise Refused(Code.FILE_DELETED)
        return record

    def at_path(self, path: str) -> FileRecord:
        """The committed file at a path, or at ``~`` and its id.

        Raises: Refused FILE_UNKNOWN, FILE_DELETED or PATH_INVALID.
        """
        if path.startswith("~"):
            if not path[1:].isascii() or not path[1:].isdigit() or len(path) > len(str(limits.FILE_ID_MAX)) + 1:
                raise Refused(Code.FILE_UNKNOWN)
            return self.live(int(path[1:]))
        path = clean_path(path)
        for record in self.committed.values():
            if record.path == path and record.deleted_at_ms is None:
                return record
        raise Refused(Code.FILE_UNKNOWN)

    def listed(self) -> list[FileRecord]:
        """All committed files, tombstones with them, by id."""
        return list(self.committed.values())

    def change(self, request: messages.FileRequest, now_ms: int, new_epoch: Callable[[], str]) -> list[FileRecord]:
        """Admit what a member asks for. Raises: Refused; then nothing of it is admitted."""
        match request:
            case messages.CreateFile():
                return [self.create(request.path, request.eol, new_epoch())]
            case messages.RenameFile():
                return [self.rename(request.file_id, request.path)]
            case messages.DeleteFile():
                return [self.delete(request.file_id, now_ms)]
            case messages.RestoreFile():
                return [self.restore(request.file_id, request.path, now_ms)]
            case messages.RenameFolder():
                return self.rename_folder(request.path, request.to)
            case messages.DeleteFolder():
                return self.delete_folder(request.path, now_ms)

    def create(self, path: str, eol: LineEnd, epoch: str) -> FileRecord:
        """Admit a new file. Raises: Refused."""
        if len(self._admitted) >= limits.FILES_MAX:
            raise Refused(Code.FILES_TOO_MANY, f"at most {limits.FILES_MAX}")
        record = FileRecord(self._highest_id + 1, self._free(path), epoch, eol)
        return self._admit(record)

    def rename(self, file_id: int, path: str) -> FileRecord:
        """Admit another path for a file. Raises: Refused."""
        record = self._standing(file_id)
        return self._admit(msgspec.structs.replace(record, path=self._free(path, besides=file_id)))

    def delete(self, file_id: int, now_ms: int) -> FileRecord:
        """Admit that a file becomes a tombstone. Raises: Refused."""
        return self._admit(msgspec.structs.replace(self._standing(file_id), deleted_at_ms=now_ms))

    def restore(self, file_id: int, path: str | None, now_ms: int) -> FileRecord:
        """Admit that a tombstone becomes a file again. Raises: Refused, also after `TOMBSTONE_DAYS`."""
        record = self._admitted.get(file_id)
        if record is None:
            raise Refused(Code.FILE_UNKNOWN)
        if record.deleted_at_ms is None:
            return record
        if now_ms - record.deleted_at_ms > limits.TOMBSTONE_DAYS * _DAY_MS:
            raise Refused(Code.FILE_DELETED, f"more than {limits.TOMBSTONE_DAYS} days ago")
        free = self._free(path if path is not None else record.path)
        return self._admit(msgspec.structs.replace(record, path=free, deleted_at_ms=None))

    def rename_folder(self, path: str, to: str) -> list[FileRecord]:
        """Admit that all files below a folder move, or none. Raises: Refused."""
        path, to = clean_path(path), clean_path(to)
        if to.startswith(path + "/"):
            raise Refused(Code.PATH_INVALID, "a folder cannot move into itself")
        moving = self._below(path)
        with self.whole():
            for record in moving:
                # Out of the way of each other: what moves may end where another one was.
                self._admit(msgspec.structs.replace(record, deleted_at_ms=0))
            if self._folders[to]:
                raise Refused(Code.PATH_TAKEN, f"there is a folder {to}")
            places = [self._free(to + record.path.removeprefix(path)) for record in moving]
            return [
                self._admit(msgspec.structs.replace(record, path=place))
                for record, place in zip(moving, places, strict=True)
            ]

    def delete_folder(self, path: str, now_ms: int) -> list[FileRecord]:
        """Admit that all files below a folder become tombstones. Raises: Refused."""
        return [self.delete(record.file_id, now_ms) for record in self._below(clean_path(path))]

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What is admitted inside is admitted as a whole: a refusal takes back all of it."""
        before = dict(self._admitted), dict(self._paths), self._folders.copy(), self._highest_id
        try:
            yield
        except Refused:
            self._admitted, self._paths, self._folders, self._highest_id = before
            raise

    def _below(self, folder: str) -> list[FileRecord]:
        """The files below a folder, by id. Raises: Refused FILE_UNKNOWN when there are none."""
        inside = folder + "/"
        found = [
            record
            for record in self._admitted.values()
            if record.deleted_at_ms is None and record.path.startswith(inside)
        ]
        if not found:
            raise Refused(Code.FILE_UNKNOWN, f"there is no folder {folder}")
        return found

    def commit(self, records: list[FileRecord]) -> None:
        """Take what is durable now."""
        self.committed.update((record.file_id, record) for record in records)

    def fall_back(self) -> None:
        """Forget what was admitted and not committed."""
        self._admitted, self._paths, self._folders, self._highest_id = {}, {}, Counter(), 0
        for record in self.committed.values():
            self._admit(record)

    def is_deleted(self, file_id: int) -> bool:
        """Whether the file is, or is about to be, a tombstone."""
        record = self._admitted.get(file_id)
        return record is None or record.deleted_at_ms is not None

    def _admit(self, record: FileRecord) -> FileRecord:
        before = self._admitted.get(record.file_id)
        if before is not None and before.deleted_at_ms is None:
            del self._paths[before.path]
            for folder in _folders_of(before.path):
                self._folders[folder] -= 1
                if not self._folders[folder]:
                    del self._folders[folder]
        if record.deleted_at_ms is None:
            self._paths[record.path] = record.file_id
            self._folders.update(_folders_of(record.path))
        self._admitted[record.file_id] = record
        self._highest_id = max(self._highest_id, record.file_id)
        return record

    def _standing(self, file_id: int) -> FileRecord:
        record = self._admitted.get(file_id)
        if record is None:
            raise Refused(Code.FILE_UNKNOWN)
        if record.deleted_at_ms is not None:
            raise Refused(Code.FILE_DELETED)
        return record

    def _free(self, path: str, besides: int = 0) -> str:
        """The path in its one form, if no other file has it, nor lies below or above it."""
        path = clean_path(path)
        if self._paths.get(path, besides) != besides:
            raise Refused(Code.PATH_TAKEN, path)
        for folder in _folders_of(path):
            if self._paths.get(folder, besides) != besides:
                raise Refused(Code.PATH_TAKEN, f"{folder} is in the way: a file cannot be a folder too")
        own = besides and path in _folders_of(self._admitted[besides].path)
        if self._folders[path] > own:
            raise Refused(Code.PATH_TAKEN, f"{path} is a folder: a file cannot be one too")
        return path


def _folders_of(path: str) -> list[str]:
    """Every folder that a path lies in."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
