"""The secrets of the whole server that a caller shows as a bearer: to create workspaces, and to administer them.

Owns: how a token is compared. Does not know: where it is kept.

Invariant: comparing takes the same time whatever differs, and whether or not a token was shown.
"""

from __future__ import annotations

import hmac
from typing import NamedTuple

from aiohttp import web

from carets.edges.call import bearer
from carets.errors import Code, Refused
from carets.protocol import access


class Token:
    """One secret. It can be made anew while the server runs: the one before opens nothing from then on."""

    def __init__(self, value: str, wrong: Code) -> None:
        self.value = value
        self._wrong = wrong

    def check(self, request: web.Request) -> None:
        """Refuse whoever does not bear this token. Raises: Refused."""
        if not hmac.compare_digest(access.hash_key(bearer(request)), access.hash_key(self.value)):
            raise Refused(self._wrong)


class Tokens(NamedTuple):
    """The tokens of this server; `create` is None where anybody may create workspaces."""

    admin: Token
    create: Token | None = None
