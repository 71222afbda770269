"""The disk below the data file, as its operator watches it.

Owns: how large the file is, and what is free beside it. Does not know: what is in it, and what fails.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Space(NamedTuple):
    """How much there is, in bytes."""

    store: int
    """The data file and its write-ahead log."""
    free: int
    """What this user may still write on their disk."""


def look_at(data_file: Path) -> Space | None:
    """What there is now; None while the file system does not say. Two calls that a local disk answers from memory."""
    log = data_file.with_name(f"{data_file.name}-wal")
    try:
        store = data_file.stat().st_size + (log.stat().st_size if log.exists() else 0)
        disk = os.statvfs(data_file.parent)
    except OSError:
        return None
    return Space(store, disk.f_bavail * disk.f_frsize)
