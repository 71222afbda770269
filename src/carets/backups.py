"""Backups of the data file, and putting one back.

Owns: whose lineage a restored file goes on with, and what is said about it. Does not know: how files are copied.

Source: docs/decisions/0014-backups-lineage-and-the-carry-window.md.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from carets import limits
from carets.checkup import Report, check
from carets.engines import sqlite_backup
from carets.engines.lock import DataDirectory
from carets.engines.sqlite_backup import Facts
from carets.engines.sqlite_file import DATA_FILE
from carets.errors import Misconfigured

Lineage = Literal["same", "new"]

_DAY_MS = 24 * 3600 * 1000


class Kept(NamedTuple):
    """A backup that was made."""

    path: Path
    facts: Facts


class Restored(NamedTuple):
    """A backup that was put back."""

    facts: Facts
    lineage: Lineage
    carry_until_ms: int
    """0 where no window was opened."""
    aside: Path | None
    """Where the data file from before is; None when there was none."""


def back_up(data: Path, target: Path, *, replace: bool) -> Kept:
    """Copy the data file as it is at this moment; into a folder under a name with the date. Raises: Misconfigured."""
    if os.path.isdir(target):  # noqa: PTH112 - which says no where it may not look
        target = target / f"carets-{_stamp()}.sqlite3"
    return Kept(target, sqlite_backup.back_up(data / DATA_FILE, target, replace=replace))


def restore(
    backup: Path, data: Path, lineage: Lineage | None, *, anyway: bool, tell: Callable[[Report], None]
) -> Restored:
    """Put a backup in the place of the data file. `tell` hears what a look at it has found.

    `lineage` is what the operator says of it; None: it is seen from the data file that is there. A backup with problems
    is put back with `anyway` only.

    Raises: Misconfigured; then nothing was changed.
    """
    _refuse_no_backup(backup, data / DATA_FILE)
    directory = DataDirectory.lock(data)
    try:
        report = check(backup)
        tell(report)
        if not report.is_sound and not anyway:
            raise Misconfigured(f"{backup} is not sound: take another backup, or add --anyway to put it back as it is")
        present = data / DATA_FILE
        if lineage is None:
            lineage = _lineage_beside(present, report.facts)
        is_replaced, aside = present.exists(), _name_aside(present)
        carry_until_ms = 0
        if lineage == "same":
            carry_until_ms = time.time_ns() // 1_000_000 + limits.CARRY_DAYS * _DAY_MS
            kept = report.facts.lineage or secrets.token_bytes(sqlite_backup.LINEAGE_BYTES)
            sqlite_backup.put_in_place(
                backup, present, aside, lambda connection: sqlite_backup.go_on(connection, kept, carry_until_ms)
            )
        else:
            fresh = secrets.token_bytes(sqlite_backup.LINEAGE_BYTES)
            sqlite_backup.put_in_place(
                backup,
                present,
                aside,
                lambda connection: sqlite_backup.part_ways(connection, fresh, lambda: secrets.token_hex(8)),
            )
    finally:
        directory.release()
    return Restored(report.facts, lineage, carry_until_ms, aside if is_replaced else None)


def _refuse_no_backup(backup: Path, present: Path) -> None:
    """Raises: Misconfigured for what is none at the first look."""
    try:
        if backup.is_dir():
            raise Misconfigured(f"{backup} is a folder: name one backup in it")
        if not backup.is_file():
            raise Misconfigured(f"there is no file {backup}")
        if present.exists() and backup.samefile(present):
            raise Misconfigured(f"{backup} is the data file itself: name a backup of it")
    except OSError as error:
        raise Misconfigured(
            f"{backup} cannot be read ({error.strerror}): run this as the user of the server"
        ) from error


def _name_aside(present: Path) -> Path:
    """A name with the date that nothing has yet."""
    name = f"{present.name}.replaced-{_stamp()}"
    taken = sum(path.name.startswith(name) for path in present.parent.glob(f"{present.name}.replaced-*"))
    return present.with_name(f"{name}-{taken + 1}" if taken else name)


def _lineage_beside(present: Path, backup: Facts) -> Lineage:
    """Whether the backup is one of the data file that is there. Raises: Misconfigured when nobody can tell."""
    if not present.exists():
        return "new"
    try:
        lineage = sqlite_backup.look_at(present).lineage
    except Misconfigured as error:
        raise Misconfigured(f"{error}; {_SAY_WHICH}") from error
    if lineage is None or backup.lineage is None:
        raise Misconfigured(f"the backup or {present} is older than lineages; {_SAY_WHICH}")
    return "same" if lineage == backup.lineage else "new"


_SAY_WHICH = (
    "say whether the backup is of this same server (--same-lineage: browsers may bring back what they have)"
    " or the beginning of another (--new-lineage)"
)


def _stamp() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
