"""Who did what, for whoever must answer for it later: the words of the audit log, and the door by which entries go.

Owns: the actions there are and what every entry says. Does not know: where entries are kept, who is allowed what.

Invariants:
  1. An entry never holds a key or a token: links are named by their ids.
  2. To note something cannot fail, and never holds up who does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import structlog

Action = Literal[
    "admin",
    "files_imported",
    "link_expired",
    "link_made",
    "link_revoked",
    "member_joined",
    "member_left",
    "refused",
    "token_forged",
    "workspace_created",
    "workspace_deleted",
    "workspace_exported",
    "workspace_renamed",
    "workspace_restored",
]
"""What can have happened. docs/OPERATING.md says what each means."""

_log = structlog.get_logger("carets.audit")


def into_log(action: str, fields: dict[str, object]) -> None:
    """Take an entry into the ordinary log."""
    _log.info(action, **fields)


class Audit:
    """The door: what is noted gets the words of the connection on which it happened, and is taken by `take`.

    Without `take` it goes into the ordinary log, as the logger ``carets.audit``.
    """

    def __init__(self, take: Callable[[str, dict[str, object]], None] = into_log) -> None:
        self._take = take

    def note(self, action: Action, **fields: str | int) -> None:
        """Tell what happened.

        The connection, address, workspace, link and member that are bound to the running task (`structlog.contextvars`)
        need not be given. `target` is the id of the link that something was done to.
        """
        self._take(action, {**structlog.contextvars.get_contextvars(), **fields})
