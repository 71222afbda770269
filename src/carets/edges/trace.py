"""What every line of the log says of the connection or request on which it was written.

Owns: those words: connection, address, request, workspace, link, member; and what no line may show.
Does not know: how lines are written.
They are bound to the running task, and aiohttp gives each request a task of its own.

Invariant: nothing that a client chose is among them, but the id of a workspace, in a form that no key has.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from contextvars import ContextVar

from aiohttp import hdrs, web
from structlog.contextvars import bind_contextvars

from carets.audit import Audit
from carets.edges.line import Line
from carets.protocol import access
from carets.rooms.member import Member

_secrets: ContextVar[tuple[str, ...]] = ContextVar("secrets", default=())

_SECRETS_MAX = 8
"""How many a connection brings at most: a key, a person token, what stands in its place in a query and a header."""

_STRUCK_OUT = "(secret)"
_SECRET_CHARACTERS_MIN = 20
"""Shorter ones are no keys of ours, and would be struck out of ordinary words."""

_seen: OrderedDict[bytes, None] = OrderedDict()
"""Hashes of the latest secrets of all connections: an error may be told where nobody knows any more whose it was."""

_SEEN_MAX = 10_000
_WORD = re.compile(rf"[A-Za-z0-9_-]{{{_SECRET_CHARACTERS_MIN},}}")


def keep_out(secret: str) -> str:
    """No line shows `secret` from now on, whatever error quotes it."""
    if len(secret) >= _SECRET_CHARACTERS_MIN:
        _secrets.set((*_secrets.get()[-_SECRETS_MAX:], secret))
        hashed = access.hash_key(secret)
        _seen[hashed] = None
        _seen.move_to_end(hashed)
        if len(_seen) > _SEEN_MAX:
            _seen.popitem(last=False)
    return secret


def without_secrets(text: str) -> str:
    """The text as a line may show it: this connection's secrets are struck out wherever they are, others' as words."""
    for secret in _secrets.get():
        text = text.replace(secret, _STRUCK_OUT)
    return _WORD.sub(lambda word: _STRUCK_OUT if access.hash_key(word[0]) in _seen else word[0], text)


def begin(request: web.Request, address: str) -> None:
    """A request has come: its lines bear a new connection id."""
    resource = request.match_info.route.resource
    method = request.method if request.method in hdrs.METH_ALL else "?"
    bind_contextvars(
        connection=secrets.token_hex(5),
        address=address,
        # Not its path: people paste keys wherever an address can be typed.
        request=f"{method} {resource.canonical}" if resource is not None else f"{method} ?",
    )
    workspace_id = request.match_info.get("workspace_id", "")
    if access.is_workspace_id(workspace_id):
        bind_contextvars(workspace=workspace_id)


def came_by(link_id: str) -> None:
    """The key was that of this link."""
    bind_contextvars(link=link_id)


def joined(audit: Audit, member: Member) -> None:
    """The connection is a member's from now on."""
    bind_contextvars(link=member.link_id, member=member.id)
    audit.note("member_joined", role=member.role.label, person=member.person)


def left(audit: Audit, line: Line) -> None:
    """The member is gone."""
    reason = str(line.closed_with) if line.closed_with else f"closed by peer: {line.socket.close_code}"
    audit.note("member_left", reason=reason)
