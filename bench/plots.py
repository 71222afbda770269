"""Pictures of the figures: SVG, written by hand, that reads in light and dark and on a phone.

Owns: layout, colours, the words below. Does not know: what is a target (bench/verdicts.py).

Text is text, and every bar and line has its name and its figure beside it: colour says nothing alone.
"""

from __future__ import annotations

import html
import math
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from bench.medians import OURS, RELAY, Medians, advantage, conditions, counted, digits, is_ours, slope, times, written
from bench.rows import Row

WIDTH = 440
"""In units of the picture, so that letters are still large enough where it is as narrow as a phone."""
SHOWN = 1.5
"""As many pixels a unit where there is room."""
LINE = 17
SMALL_LINE, LETTERS = 15, 66
"""Of small text, and how many of its letters are sure to fit, whichever font there is."""
GROWTH = "growth, "
"""How the names of workloads begin that are drawn as curves; what follows is what there is more and more of."""
NAMES = 132
"""Where bars begin: right of the longest name."""

# The colour of ours is the accent of the page (web/src/styles/tokens.css). The others are apart from it and from each
# other also for who does not see red or green, and 3 to 1 against the ground.
COLOURS = {
    "ground": ("#ffffff", "#14161b"),
    "text": ("#1b1f27", "#e3e6eb"),
    "soft": ("#505866", "#adb4c0"),
    "grid": ("#e2e5ea", "#2b303a"),
    "t-carets": ("#3451d1", "#93a8ff"),
    "t-hocuspocus": ("#b36b00", "#e9a63a"),
    "t-y-websocket-server": ("#0a8466", "#3fbf97"),
    "t-pycrdt-websocket": ("#b0518c", "#dc92c0"),
    "t-other": ("#7b8494", "#8b93a1"),
}


class Picture(NamedTuple):
    """One SVG while it is made."""

    title: str
    description: str
    parts: list[str]
    height: float

    def svg(self) -> str:
        """The file."""
        size = f'width="{WIDTH * SHOWN:.0f}" height="{self.height * SHOWN:.0f}" viewBox="0 0 {WIDTH} {self.height:.0f}"'
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title description">',
                f'<title id="title">{html.escape(self.title)}</title>',
                f'<desc id="description">{html.escape(self.description)}</desc>',
                f"<style>{_style()}</style>",
                f'<rect class="ground" width="{WIDTH}" height="{self.height:.0f}" rx="8"/>',
                *self.parts,
                "</svg>\n",
            )
        )


def pictures(rows: Sequence[Row]) -> dict[str, str]:
    """Those for which there are figures: file names, and the files."""
    medians = Medians(rows)
    made = {}
    windows = dict.fromkeys(
        found[0]
        for workload in ("fan-out",)
        for case in medians.cases(workload)
        if (found := re.search(r"window \d+", case))
    )
    for window in windows:
        made[f"deliveries-{window.replace(' ', '-')}.svg"] = _deliveries(medians, window)
    made["latency.svg"] = _latency(medians)
    made["growth.svg"] = _growth(medians)
    return {name: picture.svg() for name, picture in made.items() if picture}


def _style() -> str:
    def rules(at: int) -> str:
        # Marks are filled or drawn with the one colour of their target.
        told = []
        for name, both in COLOURS.items():
            told.append(f".{name}{{fill:{both[at]}}}")
            if name.startswith("t-"):
                told.append(f".l-{name[2:]}{{stroke:{both[at]}}}")
        told.append(f".halo{{stroke:{COLOURS['ground'][at]}}}")
        return "".join(told) + f".rule{{stroke:{COLOURS['grid'][at]}}}.floor{{stroke:{COLOURS['soft'][at]}}}"

    return (
        'text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}'
        ".head{font-size:15px;font-weight:600}.case{font-weight:600}.ours{font-weight:700}.small{font-size:11px}"
        ".halo{paint-order:stroke;stroke-width:4px;stroke-linejoin:round}.end{text-anchor:end}.middle{text-anchor:middle}.line{fill:none;stroke-width:2}.rule{stroke-width:1}"
        ".floor{stroke-width:1;stroke-dasharray:3 3}.relay{fill-opacity:.25;stroke-width:1}"
        f"{rules(0)}@media(prefers-color-scheme:dark){{{rules(1)}}}"
    )


def _colour(target: str) -> str:
    name = OURS if is_ours(target) else target
    return name if f"t-{name}" in COLOURS else "other"


def _text(x: float, y: float, words: str, classes: str = "text") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{classes}">{html.escape(words)}</text>'


def _wrapped(y: float, words: str) -> list[str]:
    """Small lines from `y` on."""
    lines = textwrap.wrap(words, LETTERS, break_on_hyphens=False)
    return [_text(14, y + SMALL_LINE * number, line, "soft small") for number, line in enumerate(lines)]


class Axis(NamedTuple):
    """A logarithmic axis: from `low` at pixel `begin` to `high` at pixel `end`."""

    low: float
    high: float
    begin: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], begin: float, end: float, *, is_whole: bool) -> Axis:
        """Around all values, from one power of ten to another, or a little room on either side."""
        low, high = min(values), max(values)
        if is_whole:
            return cls(10.0 ** math.floor(math.log10(low) - 0.05), high * 1.05, begin, end)
        return cls(low / 1.25, high * 1.25, begin, end)

    def widened(self) -> Axis:
        """At least two powers of ten, so that what hardly changes looks so."""
        room = max(1.0, math.sqrt(100 / (self.high / self.low)))
        return self._replace(low=self.low / room, high=self.high * room)

    def at(self, value: float) -> float:
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Powers of ten; with fewer than three of them also twice and five times each."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)

        def inside(*steps: int) -> list[float]:
            ticks = [step * 10.0**power for power in powers for step in steps]
            return [tick for tick in ticks if self.low * 0.999 <= tick <= self.high * 1.001]

        return next((ticks for ticks in (inside(1), inside(1, 3)) if len(ticks) >= 3), inside(1, 2, 5))


def _scale(axis: Axis, top: float, bottom: float, name: Callable[[float], str]) -> Iterator[str]:
    """Rules that stand, and below them as many figures as have room."""
    last = -math.inf
    for tick in axis.ticks():
        x = axis.at(tick)
        yield f'<path class="rule" d="M{x:.1f} {top:.1f}V{bottom:.1f}"/>'
        if x - last > 50:
            last = x
            yield _text(x, bottom + 13, name(tick), "soft small middle")


# -- deliveries


def _deliveries(medians: Medians, window: str) -> Picture | None:
    """Bars by case: the cases of one window, and those that have none."""
    groups = []
    for workload in ("fan-out", "many writers", "typed anywhere", "many rooms"):
        for case in medians.cases(workload):
            if "window" in case and not case.endswith(window):
                continue
            name = re.sub(rf",? ?{window}$", "", case)
            bars = [
                (target, medians.median(workload, case, target, "deliveries"))
                for target in medians.targets(workload)
                if medians.was_run(workload, case, target)
            ]
            if any(value > 0 for _, value in bars):
                groups.append((name if workload == "many rooms" else f"{workload}: {name}", bars))
    if not groups:
        return None
    send_us = next((medians.median("one send", case, "floor", "time") for case in medians.cases("one send")), math.nan)
    sends = 1e6 / send_us
    values = [value for _, bars in groups for _, value in bars if value > 0]
    axis = Axis.around(values, NAMES, WIDTH - 98, is_whole=True)
    top, y, marks = 62.0, 62.0, []
    for name, bars in groups:
        marks.append(_text(14, y + 12, name, "text case halo"))
        y += 20
        ours = dict(bars).get(OURS, math.nan)
        for target, value in bars:
            marks += _bar(axis, y, target, value, advantage(ours, value, "1/s"))
            y += LINE
        y += 9
    bottom = y - 2
    parts = [
        _text(14, 26, "Updates delivered a second", "text head"),
        _text(14, 44, f"{window}; in brackets: how many times that carets delivers", "soft small"),
        *_scale(axis, top, bottom, lambda tick: counted(tick, 1)),
    ]
    words = "Longer is better; the scale is logarithmic."
    if axis.low < sends < axis.high:
        x = axis.at(sends)
        parts.append(f'<path class="floor" d="M{x:.1f} {top:.1f}V{bottom:.1f}"/>')
        words += f" Dashed: one send per delivery, {counted(sends)} a second here."
    parts += marks
    foot = _wrapped(bottom + 33, words)
    told = "; ".join(
        f"{name}: " + ", ".join(f"{target} {counted(value) if value > 0 else 'failed'}" for target, value in bars)
        for name, bars in groups
    )
    title = f"Updates delivered a second, {window}"
    return Picture(title, f"{told}. {words}", parts + foot, bottom + 30 + SMALL_LINE * len(foot))


def _bar(axis: Axis, y: float, target: str, value: float, ratio: float) -> Iterator[str]:
    ours = " ours" if target == OURS else ""
    colour = _colour(target)
    classes = f"t-{colour} l-{colour} relay" if target == RELAY else f"t-{colour}"
    yield _text(NAMES - 6, y + 11, target, f"text end{ours}")
    if not value > 0:
        yield _text(NAMES + 5, y + 11, "failed", "text halo")
        return
    end = axis.at(value)
    long = max(1.0, end - NAMES)
    yield f'<rect class="{classes}" x="{NAMES}" y="{y + 1:.1f}" width="{long:.1f}" height="12" rx="2"/>'
    told = "" if target == OURS or not math.isfinite(ratio) else f" ({times(ratio)})"
    yield _text(end + 5, y + 11, counted(value) + told, f"text halo{ours}")


# -- latency


def _latency(medians: Medians) -> Picture | None:
    """From p50 to p99 by case and target, with the server's CPU beside it."""
    groups = []
    for case in medians.cases("latency"):
        lines = []
        for target in medians.targets("latency"):
            p50, p99 = (medians.median("latency", case, target, f"to the others, {each}") for each in ("p50", "p99"))
            if medians.was_run("latency", case, target):
                lines.append((target, p50, p99, medians.median("latency", case, target, "server CPU")))
        if any(p50 > 0 for _, p50, _, _ in lines):
            groups.append((case, lines))
    if not groups:
        return None
    values = [value for _, lines in groups for line in lines for value in line[1:3] if value > 0]
    axis = Axis.around(values, NAMES + 8, WIDTH - 152, is_whole=False)
    top, y, marks = 80.0, 66.0, []
    for case, lines in groups:
        marks.append(_text(14, y + 12, case, "text case halo"))
        y += 20
        for target, p50, p99, cpu in lines:
            marks += _span(axis, y, target, p50, p99, cpu)
            y += LINE
        y += 9
    bottom = y - 2
    parts = [
        _text(14, 26, "From one who types to all others", "text head"),
        _text(14, 44, "dot: half of all deliveries took less (p50); bar: 99 of 100 (p99)", "soft small"),
        _text(WIDTH - 106, 62, "p50, ms", "soft small end"),
        _text(WIDTH - 58, 62, "p99", "soft small end"),
        _text(WIDTH - 12, 62, "CPU", "soft small end"),
        *_scale(axis, top, bottom, lambda tick: f"{digits(tick, 1)} ms"),
        *marks,
    ]
    words = "Further left is better; the scale is logarithmic. CPU: what the server takes of one core."
    foot = _wrapped(bottom + 33, words)
    told = "; ".join(
        f"{case}: "
        + ", ".join(
            f"{target} p50 {digits(p50)} ms, p99 {digits(p99)} ms" if p50 > 0 else f"{target} failed"
            for target, p50, p99, _ in lines
        )
        for case, lines in groups
    )
    height = bottom + 30 + SMALL_LINE * len(foot)
    return Picture("Time from one who types to all others", f"{told}. {words}", parts + foot, height)


def _span(axis: Axis, y: float, target: str, p50: float, p99: float, cpu: float) -> Iterator[str]:
    ours = " ours" if target == OURS else ""
    colour = _colour(target)
    name = conditions(target) if is_ours(target) and target != OURS else target
    yield _text(NAMES - 6, y + 11, name, f"text end{ours}")
    if not (p50 > 0 and p99 > 0):
        yield _text(WIDTH - 58, y + 11, "failed", "text end")
        return
    begin, end = axis.at(p50), axis.at(p99)
    yield f'<path class="line l-{colour}" d="M{begin:.1f} {y + 7:.1f}H{end:.1f}M{end:.1f} {y + 2:.1f}v10"/>'
    yield f'<circle class="t-{colour}" cx="{begin:.1f}" cy="{y + 7:.1f}" r="4"/>'
    yield _text(WIDTH - 106, y + 11, digits(p50, 2), f"text end{ours}")
    yield _text(WIDTH - 58, y + 11, digits(p99, 2), f"text end{ours}")
    if math.isfinite(cpu):
        yield _text(WIDTH - 12, y + 11, f"{digits(cpu, 2)} %", f"text end{ours}")


# -- growth


class Curve(NamedTuple):
    """One figure of one target against how much there is of something."""

    target: str
    points: list[tuple[float, float]]
    labels: list[str]
    """Of the points."""


def curves(medians: Medians, workload: str) -> tuple[str, str, list[Curve]]:
    """The figure that is drawn, its unit, and a curve per target.

    A workload is named such as ``growth, members``; its cases begin with how much there is: ``100 members``,
    ``1 MB``. The figure is the first with CPU in its name.
    """
    cases = medians.cases(workload, r"^[\d.,]+")
    figures = [figure for case in cases for figure in medians.figures(workload, case) if "CPU" in figure]
    if not figures:
        return "", "", []
    figure, unit = figures[0], ""
    found = []
    for target in medians.targets(workload):
        points = []
        for case in cases:
            cell = medians.cell(workload, case, target, figure)
            if cell and cell.median > 0:
                unit = cell.unit
                points.append((amount(case), cell.median, re.match(r"[\d.,]+( [kKMG]i?B)?", case)))
        points.sort(key=lambda point: point[0])
        if len(points) > 1:
            found.append(Curve(target, [point[:2] for point in points], [each[2][0] for each in points if each[2]]))
    return figure, unit, found


def slopes(medians: Medians, workload: str) -> str:
    """How the figure grows, in words: ours, then the slopes of others."""
    figure, _, found = curves(medians, workload)
    powers = {curve.target: slope(curve.points) for curve in found}
    of = workload.removeprefix(GROWTH)
    ours = f"Carets: {growth_in_words(powers.pop(OURS), of, figure)}." if OURS in powers else ""
    others = ", ".join(f"{target} {_plain(power)}" for target, power in powers.items())
    return f"{ours} Slopes of others: {others}.".strip() if others else ours


def amount(case: str) -> float:
    """``1,000 members`` is 1000, ``5 MB`` is 5,000,000."""
    found = re.match(r"([\d.,]+) ?([kKMG]i?B)?", case)
    assert found, case
    scale = {"K": 1e3, "M": 1e6, "G": 1e9}.get((found[2] or " ")[0].upper(), 1.0)
    return float(found[1].replace(",", "")) * scale


def growth_in_words(power: float, of: str, figure: str) -> str:
    """What a slope means for who has twice as much."""
    if not math.isfinite(power):
        return "too few points to say how it grows"
    if power < 0.1:
        return f"{figure} does not grow with {of} (slope {_plain(power)})"
    kind = "more than in proportion"
    if power <= 1.1:
        kind = "in proportion" if power >= 0.9 else "less than in proportion"
    return f"twice the {of} takes {2**power:.2f} times the {figure}, {kind} (slope {_plain(power)})"


def _plain(power: float) -> str:
    return f"{round(power, 2) or 0:.2f}"


def _growth(medians: Medians) -> Picture | None:
    parts = [_text(14, 26, "What the server's work grows with", "text head")]
    told, y = [], 36.0
    for workload in medians.workloads():
        if not workload.startswith(GROWTH):
            continue
        figure, unit, found = curves(medians, workload)
        if found:
            of, words = workload.removeprefix(GROWTH), slopes(medians, workload)
            parts += _panel(y, f"{figure} against {of}", unit, found)
            foot = _wrapped(y + 180, words)
            parts += foot
            y += 184 + SMALL_LINE * len(foot)
            told.append(f"Against {of}. {words}")
    if not told:
        return None
    return Picture("What the server's work grows with", " ".join(told), parts, y)


def _panel(y: float, title: str, unit: str, found: Sequence[Curve]) -> Iterator[str]:
    points = [point for curve in found for point in curve.points]
    labels = {x: label for curve in found for (x, _), label in zip(curve.points, curve.labels, strict=True)}
    across = Axis.around([x for x, _ in points], 52, WIDTH - (128 if len(found) > 1 else 62), is_whole=False)
    up = Axis.around([value for _, value in points], y + 138, y + 34, is_whole=False).widened()
    yield _text(14, y + 18, title, "text case halo")
    for tick in up.ticks():
        yield f'<path class="rule" d="M{across.begin} {up.at(tick):.1f}H{across.end}"/>'
        yield _text(across.begin - 6, up.at(tick) + 4, written(tick, unit, 1), "soft small end")
    last = -math.inf
    for x, label in sorted(labels.items()):
        if across.at(x) - last > 38:
            last = across.at(x)
            yield _text(last, y + 156, label, "soft small middle")
    ends: list[float] = []
    for curve in sorted(found, key=lambda curve: curve.points[-1][1], reverse=True):
        colour = _colour(curve.target)
        places = [f"{across.at(x):.1f} {up.at(value):.1f}" for x, value in curve.points]
        yield f'<path class="line l-{colour}" d="M{"L".join(places)}"/>'
        for place in places:
            cx, cy = place.split()
            yield f'<circle class="t-{colour}" cx="{cx}" cy="{cy}" r="3"/>'
        end = up.at(curve.points[-1][1]) + 4
        while any(abs(end - other) < 13 for other in ends):
            end += 1
        ends.append(end)
        shown = written(curve.points[-1][1], unit) if len(found) == 1 else curve.target
        yield _text(across.at(curve.points[-1][0]) + 8, end, shown, f"text{' ours' if curve.target == OURS else ''}")
