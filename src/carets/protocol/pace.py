"""How fast somebody may do something: token buckets, one or many.

Owns: the arithmetic of rate, burst and debt. Does not know: whose they are, what is counted, any clock.
Time is passed in, in seconds of a clock that may begin anywhere.

Invariants:
  1. In any span of `t` seconds, `take` grants at most `burst + rate * t`, and one amount above `burst` beyond it.
  2. Asking (`wait_s`, `is_full`) changes nothing.
  3. A clock that goes back takes nothing away and stops nothing.
"""

from __future__ import annotations

import math
from collections import OrderedDict


class Bucket:
    """What one of them may do: `burst` at once, then `rate_per_s`. It begins full."""

    __slots__ = ("_at_s", "_debt_max", "_level", "burst", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: float, *, debt_max: float = 0.0) -> None:
        """`debt_max` is how far below nothing `owe` may bring it."""
        if not (rate_per_s > 0 and burst > 0 and debt_max >= 0):
            raise AssertionError(f"no bucket: {rate_per_s=} {burst=} {debt_max=}")
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._debt_max = debt_max
        self._level = burst
        self._at_s = -math.inf

    def take(self, amount: float, now_s: float) -> float:
        """Take `amount` if it is there: 0.0, or the seconds until it will be, and nothing is taken.

        More than `burst` is never there: it is taken from a full bucket, and what is missing is owed.
        """
        wait_s = self.wait_s(amount, now_s)
        taken = 0.0 if wait_s else amount
        self._level, self._at_s = self._level_at(now_s) - taken, now_s
        return wait_s

    def owe(self, amount: float, now_s: float) -> None:
        """Take `amount` whether it is there or not, for what has happened already."""
        level = self._level_at(now_s)
        self._level, self._at_s = min(level, max(level - amount, -self._debt_max)), now_s

    def wait_s(self, amount: float, now_s: float) -> float:
        """The seconds until `take` would take `amount`; 0.0 for now."""
        missing = min(amount, self.burst) - self._level_at(now_s)
        return missing / self.rate_per_s if missing > 0 else 0.0

    def is_full(self, now_s: float) -> bool:
        """Whether it is as if it had never been used."""
        return self._level_at(now_s) >= self.burst

    def _level_at(self, now_s: float) -> float:
        if now_s < self._at_s:
            return self._level  # the clock went back; `take` and `owe` let time run on from there
        return min(self.burst, self._level + (now_s - self._at_s) * self.rate_per_s)


class Buckets:
    """A bucket for each of many. `keys_max` of them are remembered: who was quiet for longest is forgotten first."""

    def __init__(self, rate_per_s: float, burst: float, *, keys_max: int, debt_max: float = 0.0) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._debt_max = debt_max
        self._keys_max = keys_max
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, key: str) -> Bucket:
        """The bucket of `key`."""
        bucket = self._buckets.pop(key, None)
        if bucket is None:
            bucket = Bucket(self._rate_per_s, self._burst, debt_max=self._debt_max)
            if len(self._buckets) >= self._keys_max:
                self._buckets.popitem(last=False)
        self._buckets[key] = bucket
        return bucket

    def take(self, key: str, amount: float, now_s: float) -> float:
        """`Bucket.take` for `key`."""
        return self.of(key).take(amount, now_s)
