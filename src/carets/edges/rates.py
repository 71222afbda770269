"""How often one address may do what costs much, or what only a guesser does often.

Owns: the bounds by address, and what an address is told that is over one. Does not know: how requests are served.
Addresses count by `Visitor.network`; time is passed in by a clock.

Invariants:
  1. Wrong keys slow down wrong keys only: whoever has a right one passes, whatever others on the address do.
  2. Of `RATED_ADDRESSES_MAX` addresses at most is anything remembered.

Source: docs/decisions/0011-who-may-connect.md.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from carets import limits
from carets.edges.visitor import visitor_of
from carets.errors import CaretsError, Code, Unavailable
from carets.limits import Quotas
from carets.protocol.pace import Buckets

_GUESSES = {Code.KEY_WRONG, Code.WORKSPACE_UNKNOWN, Code.CREATE_TOKEN_WRONG, Code.ADMIN_TOKEN_WRONG}
"""What a guesser hears: keys, tokens and ids that are none. A link that was revoked or has expired had a right key."""

_HOUR_S = 3600


class Rates:
    """What addresses have done of late."""

    def __init__(self, quotas: Quotas, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._workspaces_per_hour = quotas.address_workspaces_per_hour
        self._creations = Buckets(
            self._workspaces_per_hour / _HOUR_S, self._workspaces_per_hour, keys_max=limits.RATED_ADDRESSES_MAX
        )
        self._transfers = Buckets(
            limits.ADDRESS_TRANSFERS_PER_S, limits.ADDRESS_TRANSFERS_BURST, keys_max=limits.RATED_ADDRESSES_MAX
        )
        self._guesses = Buckets(
            limits.ADDRESS_GUESSES_PER_S,
            limits.ADDRESS_GUESSES_BURST,
            keys_max=limits.RATED_ADDRESSES_MAX,
            debt_max=limits.GUESS_WAIT_S_MAX * limits.ADDRESS_GUESSES_PER_S,
        )

    def create(self, network: str) -> None:
        """Make a workspace. Raises: Unavailable RATE_LIMITED."""
        if wait_s := self._creations.take(network, 1, self._clock_s()):
            what = f"at most {self._workspaces_per_hour} workspaces an hour from one address"
            raise Unavailable(Code.RATE_LIMITED, what, retry_after_s=wait_s)

    def transfer(self, network: str) -> None:
        """Import files, or export them. Raises: Unavailable RATE_LIMITED."""
        if wait_s := self._transfers.take(network, 1, self._clock_s()):
            what = f"at most {limits.ADDRESS_TRANSFERS_PER_S} imports and exports a second from one address"
            raise Unavailable(Code.RATE_LIMITED, what, retry_after_s=wait_s)

    def judge(self, network: str, error: CaretsError) -> CaretsError:
        """What is told in place of `error`: that too many keys were wrong, and to wait for longer with each."""
        if error.code not in _GUESSES:
            return error
        bucket, now_s = self._guesses.of(network), self._clock_s()
        if bucket.take(1, now_s) == 0.0:
            return error
        bucket.owe(1, now_s)
        what = f"more than {limits.ADDRESS_GUESSES_BURST} wrong keys from one address"
        return Unavailable(Code.RATE_LIMITED, what, retry_after_s=bucket.wait_s(1, now_s))

    def describe(self) -> dict[str, object]:
        """For the operator: of how many addresses something is remembered."""
        return {
            "creating": len(self._creations),
            "transferring": len(self._transfers),
            "guessing": len(self._guesses),
        }


RATES = web.AppKey("rates", Rates)
"""Where the application keeps them."""


def judged(request: web.Request, error: CaretsError) -> CaretsError:
    """`Rates.judge` for whoever sent `request`."""
    return request.config_dict[RATES].judge(visitor_of(request).network, error)
