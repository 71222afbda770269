"""What one member may cost the others: time of the event loop, bytes, answers, requests.

Owns: the buckets of one connection, and which requests count how much. Does not know: rooms, sockets, what a clock is.

Invariants:
  1. What somebody typed is never refused for its rate: the edge reads that member later, by `wait_s`.
  2. A request above the rate is refused with the time to wait; who goes on in spite of many refusals is closed.
  3. Until a member cost something worth counting, a frame costs two additions here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from carets import limits
from carets.errors import Code, Unavailable
from carets.protocol import messages
from carets.protocol.pace import Bucket

_TURN_S = 0.005
_BYTES = limits.PART_BYTES_MAX
"""What is gathered before the buckets are asked: they are much slower than a keystroke."""


class Allowance:
    """The buckets of one member."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._began_s = self._turn_s = 0.0
        self._bytes_in = 0

    # The buckets are made when they are first asked: most members never cost enough for that.

    @cached_property
    def _turns(self) -> Bucket:
        return Bucket(limits.MEMBER_TURN_SHARE, limits.MEMBER_TURN_BURST_S, debt_max=limits.MEMBER_TURN_DEBT_S)

    @cached_property
    def _bytes(self) -> Bucket:
        return Bucket(limits.MEMBER_BYTES_PER_S, limits.MEMBER_BYTES_BURST, debt_max=limits.STOCK_FRAME_BYTES_MAX)

    @cached_property
    def _answers(self) -> Bucket:
        return Bucket(
            limits.MEMBER_ANSWER_BYTES_PER_S, limits.MEMBER_ANSWER_BYTES_BURST, debt_max=limits.UPDATE_BYTES_MAX
        )

    @cached_property
    def _requests(self) -> Bucket:
        return Bucket(
            limits.MEMBER_REQUESTS_PER_S,
            limits.MEMBER_REQUESTS_BURST,
            debt_max=limits.FILES_MAX / limits.REQUEST_FILES,
        )

    @cached_property
    def _signals(self) -> Bucket:
        return Bucket(limits.MEMBER_SIGNALS_PER_S, limits.MEMBER_SIGNALS_BURST)

    @cached_property
    def _refusals(self) -> Bucket:
        return Bucket(limits.MEMBER_REFUSALS_PER_S, limits.MEMBER_REFUSALS_BURST)

    # -- what makes an edge read later

    def came(self, bytes_in: int) -> None:
        """Count so many bytes of frames."""
        self._bytes_in += bytes_in

    def measured(self, bytes_in: int = 0) -> Allowance:
        """Count what is done inside of ``with`` this."""
        self._bytes_in += bytes_in
        return self

    def __enter__(self) -> None:
        self._began_s = self._clock_s()

    def __exit__(self, *_: object) -> None:
        self._turn_s += self._clock_s() - self._began_s

    def spent(self, turn_s: float) -> None:
        """Count what was done for the member elsewhere."""
        self._turn_s += turn_s

    def wait_s(self) -> float:
        """For how many seconds its edge must not read it."""
        if self._turn_s < _TURN_S and self._bytes_in < _BYTES:
            return 0.0
        now_s = self._clock_s()
        self._turns.owe(self._turn_s, now_s)
        self._bytes.owe(self._bytes_in, now_s)
        self._turn_s, self._bytes_in = 0.0, 0
        return max(self._turns.wait_s(0.0, now_s), self._bytes.wait_s(0.0, now_s))

    # -- what makes an answer wait

    def answered(self, answer_bytes: int) -> None:
        """The member was given so much of what it asked for."""
        self._answers.owe(answer_bytes, self._clock_s())

    def answer_wait_s(self) -> float:
        """In how many seconds it may be given more."""
        return self._answers.wait_s(0.0, self._clock_s())

    # -- what is refused

    def take(self, request: messages.Request) -> None:
        """Count a request. Raises: Unavailable RATE_LIMITED when there were too many."""
        match request:
            case messages.Signal():
                wait_s = self._signals.take(1, self._clock_s())
            case messages.Chat():
                wait_s = self._requests.take(limits.CHAT_REQUESTS, self._clock_s())
            case messages.Ping() | messages.OpenFile() | messages.CloseFile() | messages.Hello():
                return  # they cost time only, which makes the edge read later
            case _:
                wait_s = self._requests.take(1, self._clock_s())
        if wait_s:
            # A little more, or rounding would refuse it once more.
            raise Unavailable(Code.RATE_LIMITED, retry_after_s=wait_s + 0.001)

    def changed(self, records: int) -> None:
        """A request changed so many records of files: a folder is more than one file."""
        self._requests.owe((records - 1) / limits.REQUEST_FILES, self._clock_s())

    def may_be_refused(self) -> bool:
        """Whether the member is refused once more, and not closed."""
        return not self._refusals.take(1, self._clock_s())
