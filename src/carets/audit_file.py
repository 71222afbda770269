"""The audit log as a file of its own: one JSON object a line.

Owns: the file, how it is written, opened anew and bounded. Does not know: what happened (`audit`).

Invariants:
  1. A line is written whole, or the next one begins on a line of its own.
  2. What cannot be written goes into the log instead, and is told there once: no room ends with a full disk.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import structlog

from carets.audit import into_log
from carets.errors import Misconfigured
from carets.logs import LEFT_OUT, Flow, LeftOut, tidy

_log = structlog.get_logger("carets.audit")


class AuditFile:
    """The file; `take` is for `audit.Audit`. Made by `open` only."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.flow = Flow()
        self._path = path
        self._descriptor = descriptor
        self._is_torn = self._is_failing = False

    @classmethod
    def open(cls, path: Path) -> AuditFile:
        """Open it, or make it so that only its owner can read it. Raises: Misconfigured."""
        try:
            return cls(path, _open(path))
        except OSError as error:
            raise Misconfigured(
                f"--audit-log {path} cannot be opened ({error.strerror}): name a file in a directory that is there "
                "and that this user may write"
            ) from error

    def reopen(self) -> None:
        """Go on in a new file at the path, from which the old one was moved; in the old one if there can be none."""
        try:
            descriptor = _open(self._path)
        except OSError as error:
            _log.error("audit_file_kept", error=error.strerror)
            return
        os.close(self._descriptor)
        self._descriptor, self._is_torn = descriptor, False

    def close(self) -> None:
        """Write no more."""
        os.close(self._descriptor)
        self._descriptor = -1

    def take(self, action: str, fields: dict[str, object]) -> None:
        """Write an entry, unless there were too many like it."""
        if self.flow.may_pass(action, str(fields.get("address", ""))):
            self._write(action, fields)

    def tell(self, left_out: LeftOut) -> None:
        """Write how many entries there would have been."""
        self._write(LEFT_OUT, {"of": left_out.event, "address": left_out.address, "lines": left_out.lines})

    def _write(self, action: str, fields: dict[str, object]) -> None:
        time = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        line = json.dumps(tidy(None, "", {"time": time, "action": action, **fields})) + "\n"
        data = (b"\n" if self._is_torn else b"") + line.encode()
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            self._fall_back(action, fields, error.strerror or "no reason given")
            return
        self._is_torn = written < len(data)
        if self._is_torn:
            self._fall_back(action, fields, "no room")
        elif self._is_failing:
            self._is_failing = False
            _log.info("audit_file_written_again")

    def _fall_back(self, action: str, fields: dict[str, object], why: str) -> None:
        if not self._is_failing:
            self._is_failing = True
            _log.error("audit_file_failed", error=why, next_step="until it can be written, entries are in this log")
        into_log(action, fields)


def _open(path: Path) -> int:
    # Without waiting: a pipe that nobody reads is an error, not a server that does not start.
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
