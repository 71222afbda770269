"""The one table of everything that can go wrong, and the exceptions that carry its rows.

Owns: numbers, texts and what the client does next. Does not know: who raises, who answers.

Invariants:
  1. A number is permanent: it is never given another meaning. It is the close code too.
  2. 4400 to 4499 are final (a stock y-websocket stops on exactly these); 4500 to 4599 mean try again.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Code(IntEnum):
    """The permanent numbers. The row of each is in `TABLE`."""

    MALFORMED_MESSAGE = 4400
    MALFORMED_UPDATE = 4401
    ILLEGAL_UPDATE = 4402
    SPLIT_CHARACTER = 4403
    MALFORMED_STATE_VECTOR = 4404
    MESSAGE_TOO_LARGE = 4405
    HELLO_EXPECTED = 4406
    MALFORMED_PRESENCE = 4407

    WORKSPACE_UNKNOWN = 4420
    KEY_WRONG = 4421
    LINK_REVOKED = 4422
    LINK_EXPIRED = 4423
    ROLE_TOO_LOW = 4424
    FILE_UNKNOWN = 4425
    FILE_DELETED = 4426
    PATH_INVALID = 4427
    PATH_TAKEN = 4428
    FILES_TOO_MANY = 4429
    EPOCH_CHANGED = 4430
    CLIENT_ID_TAKEN = 4431
    CLIENT_IDS_TOO_MANY = 4432
    DOCUMENT_TOO_LARGE = 4433
    FILE_NOT_OPEN = 4434
    OWNER_KEY_IN_QUERY = 4436
    HOST_UNKNOWN = 4437
    CREATE_TOKEN_WRONG = 4438
    BODY_TOO_LARGE = 4439
    BODY_MALFORMED = 4440
    LINK_UNKNOWN = 4442
    TEXT_INVALID = 4443
    LINKS_TOO_MANY = 4444
    WORKSPACE_DELETED = 4445
    ORIGIN_FOREIGN = 4446
    ADMIN_TOKEN_WRONG = 4447
    WORKSPACE_FULL = 4448
    FILES_OPEN_TOO_MANY = 4449
    ADDRESS_UNKNOWN = 4450
    METHOD_UNKNOWN = 4451

    UNAVAILABLE = 4500
    DRAINING = 4501
    ROOM_FULL = 4502
    SILENT = 4503
    INTERNAL = 4504
    RATE_LIMITED = 4505
    CONNECTIONS_TOO_MANY = 4506
    ROOMS_TOO_MANY = 4507


class Row(NamedTuple):
    """One line of the table: what a person reads, the HTTP status, and what to do next."""

    text: str
    http_status: int
    next_step: str


TABLE: dict[Code, Row] = {
    Code.MALFORMED_MESSAGE: Row("The message could not be read.", 400, "The client has a bug or another version: reload."),
    Code.MALFORMED_UPDATE: Row("The Yjs update could not be read.", 400, "Keep the text and reload."),
    Code.ILLEGAL_UPDATE: Row("The Yjs update holds something else than text of this file.", 400, "Keep the text and reload."),
    Code.SPLIT_CHARACTER: Row("The edit would cut a character in half.", 400, "Snap edits to whole characters and reload."),
    Code.MALFORMED_STATE_VECTOR: Row("The state vector could not be read.", 400, "The client has a bug: reload."),
    Code.MESSAGE_TOO_LARGE: Row("The message is larger than this server takes.", 413, "Send large messages in parts, within the limits of welcome."),
    Code.HELLO_EXPECTED: Row("The first message must be hello, within five seconds.", 400, "Send hello first."),
    Code.MALFORMED_PRESENCE: Row("The presence could not be read.", 400, "The client has a bug: reload."),
    Code.WORKSPACE_UNKNOWN: Row("There is no such workspace.", 404, "Check the link."),
    Code.KEY_WRONG: Row("This link's key does not open this workspace.", 403, "Ask for a new link."),
    Code.LINK_REVOKED: Row("This link was revoked.", 403, "Ask for a new link."),
    Code.LINK_EXPIRED: Row("This link has expired.", 403, "Ask for a new link."),
    Code.ROLE_TOO_LOW: Row("This link does not allow that.", 403, "Ask for a link with more rights."),
    Code.FILE_UNKNOWN: Row("There is no such file.", 404, "Take the list of files anew."),
    Code.FILE_DELETED: Row("The file is deleted.", 410, "Restore it first."),
    Code.PATH_INVALID: Row("The path cannot be used.", 400, "Choose a relative path without '..', empty parts, hidden characters, or names that Windows has not."),
    Code.PATH_TAKEN: Row("Another file has this path.", 409, "Choose another path."),
    Code.FILES_TOO_MANY: Row("The workspace cannot hold more files.", 409, "Delete files or use another workspace."),
    Code.EPOCH_CHANGED: Row("The file's history is another one than yours.", 409, "Do not merge; keep the unsaved text and open the file anew."),
    Code.CLIENT_ID_TAKEN: Row("The Yjs client id belongs to somebody else.", 409, "Open the file under a new client id and enter the unsaved text again."),
    Code.CLIENT_IDS_TOO_MANY: Row("Too many new Yjs client ids in one file.", 429, "Keep one client id for each document; reconnect."),
    Code.DOCUMENT_TOO_LARGE: Row("The file would become larger than a file may be.", 413, "Take text out; what is unsaved stays with you."),
    Code.FILE_NOT_OPEN: Row("The file is not open on this connection.", 409, "Send open_file first."),
    Code.OWNER_KEY_IN_QUERY: Row("An owner's key must not travel in a query.", 403, "Use the editor's or the viewer's link."),
    Code.HOST_UNKNOWN: Row("The server does not answer to this host name.", 421, "Start the server with --public-url, or use its address."),
    Code.CREATE_TOKEN_WRONG: Row("Creating workspaces needs this server's create token.", 401, "Ask the operator for the token, which `carets admin token create` prints."),
    Code.BODY_TOO_LARGE: Row("The request is larger than this server takes.", 413, "Send less."),
    Code.BODY_MALFORMED: Row("The request could not be read.", 400, "Mend the request."),
    Code.LINK_UNKNOWN: Row("There is no such link.", 404, "Take the list of links anew."),
    Code.TEXT_INVALID: Row("The text cannot be kept.", 400, "Send text without lone surrogates, within the limits."),
    Code.LINKS_TOO_MANY: Row("The workspace cannot have more links.", 409, "Revoke links first."),
    Code.WORKSPACE_DELETED: Row("The workspace was deleted.", 410, "An owner can restore it within 30 days."),
    Code.ORIGIN_FOREIGN: Row("A page of another site may not do that.", 403, "Start the server with --allow-origin, if that site is to be trusted."),
    Code.ADMIN_TOKEN_WRONG: Row("This needs the server's admin token.", 401, "Ask the operator for the token, which `carets admin token` prints."),
    Code.WORKSPACE_FULL: Row("The workspace takes up as much of the server's disk as it may.", 413, "Go on in a new workspace, or ask the operator for more room."),
    Code.FILES_OPEN_TOO_MANY: Row("Too many files are open on this connection.", 409, "Close files first."),
    Code.ADDRESS_UNKNOWN: Row("There is nothing at this address.", 404, "Check the address."),
    Code.METHOD_UNKNOWN: Row("This address does not take this method.", 405, "Use one that Allow names."),
    Code.UNAVAILABLE: Row("The server cannot save at the moment.", 503, "Keep the edits and reconnect with a growing delay."),
    Code.DRAINING: Row("The server is restarting.", 503, "Keep the edits and reconnect with a growing delay."),
    Code.ROOM_FULL: Row("The workspace holds as many members as it can.", 503, "Try again later."),
    Code.SILENT: Row("Nothing was heard from the client.", 408, "Reconnect."),
    Code.INTERNAL: Row("The server made a mistake; it is logged.", 500, "Keep the edits and reconnect with a growing delay."),
    Code.RATE_LIMITED: Row("Too much came in too short a time.", 429, "Wait as long as it says, then try again."),
    Code.CONNECTIONS_TOO_MANY: Row("The server holds as many connections as it may.", 503, "Close other tabs, or try again later."),
    Code.ROOMS_TOO_MANY: Row("The server has as many workspaces open as it may.", 503, "Try again later."),
}  # fmt: skip

FINAL = range(4400, 4500)
"""Numbers after which a client must not try again by itself. Source: y-websocket 3.1 stops on exactly these."""


RIGHTS = frozenset(
    {
        Code.KEY_WRONG,
        Code.LINK_REVOKED,
        Code.LINK_EXPIRED,
        Code.ROLE_TOO_LOW,
        Code.CLIENT_ID_TAKEN,
        Code.OWNER_KEY_IN_QUERY,
        Code.HOST_UNKNOWN,
        Code.CREATE_TOKEN_WRONG,
        Code.ORIGIN_FOREIGN,
        Code.ADMIN_TOKEN_WRONG,
        Code.RATE_LIMITED,
        Code.CONNECTIONS_TOO_MANY,
    }
)
"""Refusals of what somebody may not do, or not that often: they are in the audit log, the others in the log."""


class CaretsError(Exception):
    """Whatever has a row in the table.

    `detail` is for the person who reads it: what was wrong here, never a key or a text of a file. `retry_after_s` says
    in how many seconds another try is worth it, where that is known.
    """

    def __init__(self, code: Code, detail: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s

    @property
    def row(self) -> Row:
        """The table's line for this error."""
        return TABLE[self.code]

    @property
    def sentence(self) -> str:
        """What went wrong, for the person who reads it."""
        return f"{self.row.text.rstrip('.')}: {self.detail}." if self.detail else self.row.text

    def __str__(self) -> str:
        return f"{int(self.code)} {self.sentence}"


class WireError(CaretsError):
    """The peer broke the protocol: its connection is closed, it is counted, and nothing was changed."""


class Refused(CaretsError):
    """Role, limit, missing or expired: answered with why and what to do."""


class Unavailable(CaretsError):
    """Store, overload or draining: worth another try after a delay."""


class Misconfigured(Exception):
    """The operator must change something before Carets can start; its text says what, in one line."""
