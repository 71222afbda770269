"""Rows of all rounds, taken together: medians, spreads, ratios, and how a figure is written.

Owns: the order of targets, which way is better, readable units. Does not know: what the workloads are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.rows import Row

OURS = "carets"
RELAY = "relay in C"
PEERS = ("hocuspocus", "y-websocket-server", "pycrdt-websocket")
ORDER = (OURS, *PEERS, RELAY)

# What one unit is in the first of its kind, so that figures of one kind can be compared.
SCALES = {
    "s": ("s", 1.0),
    "ms": ("s", 1e-3),
    "us": ("s", 1e-6),
    "B": ("B", 1.0),
    "KB": ("B", 1e3),
    "MB": ("B", 1e6),
    "GB": ("B", 1e9),
    "%": ("share", 0.01),
    "share": ("share", 1.0),
}
FAILED = "failed"
"""The figure, of no value, of a round that gave none at all."""
MORE_IS_BETTER = {"1/s"}
"""Units; of every other unit that is named, less is better."""


@dataclass(frozen=True)
class Cell:
    """One figure of one target in one case, over its rounds."""

    values: tuple[float, ...]
    """Of the rounds that succeeded, in their order."""
    unit: str
    rounds: int
    """All, also those that failed."""

    @property
    def median(self) -> float:
        """NaN where every round failed."""
        return median(self.values) if self.values else math.nan

    @property
    def failed(self) -> int:
        """How many rounds gave no figure."""
        return self.rounds - len(self.values)

    def median_in(self, unit: str) -> float:
        """The median in another unit of the same kind."""
        return self.median * rescaled(self.unit, unit)


class Medians:
    """All cells of one run, found by workload, case, target and figure; each in the order in which it came first."""

    def __init__(self, rows: Iterable[Row]) -> None:
        gathered: dict[tuple[str, str, str, str], tuple[str, list[float]]] = {}
        for row in rows:
            key = (row.workload, row.case, row.target, row.figure)
            gathered.setdefault(key, (row.unit, []))[1].append(row.value)
        self._cells = {}
        for key, (unit, values) in gathered.items():
            whole_failed = len(gathered.get((*key[:3], FAILED), ("", []))[1]) if key[3] != FAILED else 0
            finite = tuple(value for value in values if math.isfinite(value))
            self._cells[key] = Cell(finite, unit, len(values) + whole_failed)

    def cell(self, workload: str, case: str, target: str, figure: str) -> Cell | None:
        """None where it was not measured."""
        return self._cells.get((workload, case, target, figure))

    def median(self, workload: str, case: str, target: str, figure: str) -> float:
        """NaN where it was not measured, or failed."""
        cell = self.cell(workload, case, target, figure)
        return cell.median if cell else math.nan

    def workloads(self) -> list[str]:
        return list(dict.fromkeys(key[0] for key in self._cells))

    def cases(self, workload: str, pattern: str = "") -> list[str]:
        """Of a workload, those in whose name the pattern is found."""
        return list(dict.fromkeys(key[1] for key in self._cells if key[0] == workload and re.search(pattern, key[1])))

    def targets(self, workload: str) -> list[str]:
        """In the order of the report: ours, ours under other conditions, peers, the relay, whoever else there is."""
        return sorted(dict.fromkeys(key[2] for key in self._cells if key[0] == workload), key=_place)

    def figures(self, workload: str, case: str) -> list[str]:
        """Those that at least one round of one target has given."""
        return list(
            dict.fromkeys(key[3] for key, cell in self._cells.items() if key[:2] == (workload, case) and cell.values)
        )

    def has_failed(self, workload: str, case: str, target: str) -> bool:
        """Whether a round of it gave no figure."""
        return any(cell.failed for key, cell in self._cells.items() if key[:3] == (workload, case, target))

    def was_run(self, workload: str, case: str, target: str) -> bool:
        return any(key[:3] == (workload, case, target) for key in self._cells)


def is_ours(target: str) -> bool:
    """Also under other conditions, such as ``carets, syncs 5 ms slower``."""
    return target == OURS or target.startswith((f"{OURS},", f"{OURS} "))


def conditions(target: str) -> str:
    """The other conditions of one of ours: ``syncs 5 ms slower``."""
    return target.removeprefix(OURS).lstrip(", ")


def _place(target: str) -> tuple[int, int]:
    if is_ours(target):
        return 0, len(target)
    return ORDER.index(target) if target in ORDER else len(ORDER), 0


def rescaled(unit: str, other: str) -> float:
    """What a figure in `unit` is multiplied by to be one in `other`."""
    if unit == other:
        return 1.0
    kind, scale = SCALES[unit]
    other_kind, other_scale = SCALES[other]
    assert kind == other_kind, f"{unit} is no {other}"
    return scale / other_scale


def advantage(ours: float, theirs: float, unit: str) -> float:
    """How many times better ours is, whichever way is better; under 1 where theirs is. NaN where neither is known."""
    if not (math.isfinite(ours) and math.isfinite(theirs)) or not unit:
        return math.nan
    better, worse = (ours, theirs) if unit in MORE_IS_BETTER else (theirs, ours)
    return better / worse if worse else math.nan


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The power with which y grows with x: the straight line through the logarithms with the least squares.

    NaN with fewer than two different x, or where something is not above 0.
    """
    if any(not x > 0 or not y > 0 for x, y in points):
        return math.nan
    logs = [(math.log(x), math.log(y)) for x, y in points]
    if len({x for x, _ in logs}) < 2:
        return math.nan
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


# -- how figures are written


def written(value: float, unit: str, count: int = 3) -> str:
    """So many digits, in a unit that one can read: ``3.82M``, ``0.84 ms``, ``1.2 GB``."""
    return " ".join(_written(value, unit, count)).strip()


def spread(low: float, high: float, unit: str) -> str:
    """``3.38M – 4.33M``, ``0.84 – 1.2 ms``."""
    (first, first_unit), (last, last_unit) = _written(low, unit), _written(high, unit)
    return f"{first}{'' if first_unit == last_unit else f' {first_unit}'} – {last} {last_unit}".strip()


def _written(value: float, unit: str, count: int = 3) -> tuple[str, str]:
    """The digits, and the unit."""
    if unit == "1/s":
        return counted(value, count), ""
    if unit == "share":
        return digits(value * 100, count), "%"
    # Times from a tenth on, so that milliseconds stand beside milliseconds.
    if unit in {"us", "ms", "s"}:
        return _in_one_of((("s", 1.0), ("ms", 1e-3), ("us", 1e-6)), value * SCALES[unit][1], 0.1, count)
    if unit in {"B", "KB", "MB", "GB"}:
        return _in_one_of((("GB", 1e9), ("MB", 1e6), ("KB", 1e3), ("B", 1.0)), value * SCALES[unit][1], 0.9995, count)
    return digits(value, count), unit


def _in_one_of(units: Sequence[tuple[str, float]], value: float, least: float, count: int) -> tuple[str, str]:
    for unit, scale in units:
        if abs(value) >= scale * least:
            return digits(value / scale, count), unit
    unit, scale = units[-1]
    return digits(value / scale, count), unit


def counted(value: float, count: int = 3) -> str:
    """``870``, ``47.3k``, ``3.82M``."""
    for letter, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= scale * 0.9995:
            return f"{digits(value / scale, count)}{letter}"
    return digits(value, count)


def digits(value: float, count: int = 3) -> str:
    """So many that count; whole numbers as they are."""
    if value == int(value):
        return f"{value:,.0f}"
    power = math.floor(math.log10(abs(float(f"{value:.{count}g}"))))
    return f"{value:,.{max(0, count - 1 - power)}f}"


def times(ratio: float) -> str:
    """``1.36x``, ``2.1x``, ``41x``."""
    if ratio < 2:
        return f"{ratio:.2f}x"
    return f"{ratio:.1f}x" if ratio < 10 else f"{ratio:,.0f}x"
