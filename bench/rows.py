"""One measured figure: what every benchmark returns and the report reads."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One figure of one round. The report takes medians over the rounds, and ratios between targets."""

    workload: str
    """Such as ``fan-out``."""
    case: str
    """Such as ``100 members, window 32``; the same for every target."""
    target: str
    """The server that was measured."""
    figure: str
    """Such as ``deliveries``."""
    unit: str
    """Such as ``1/s``, ``us``, ``MB``."""
    value: float
