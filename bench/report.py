"""The report of a run: what had to be shown, a table for each workload, the machine, and the pictures.

Owns: layout, which figures are a workload's main ones, and the files of a run. Does not know: who measured.

`python -m bench.report FOLDER` makes the report of FOLDER again, from the `rows.json` in it.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import machine as machines
from bench import plots
from bench.machine import Machine
from bench.medians import ORDER, OURS, PEERS, Cell, Medians, advantage, is_ours, spread, times, written
from bench.rows import Row
from bench.verdicts import Verdict, verdicts

__all__ = ["Verdict", "markdown", "read", "verdicts", "write"]

ROWS, PAGE = "rows.json", "README.md"

# Below each workload's main figures, folded: what explains them. All others are main ones.
BESIDES = {
    "updates",
    "updates a message",
    "other messages",
    "pings",
    "server CPU a delivery",
    "load generator",
    "load of the generator",
}
GENERATOR = ("load generator", "load of the generator")
PICTURES = {
    "deliveries": "Updates delivered a second, by case and server",
    "latency": "Time from one who types to all others, by case and server",
    "growth": "The server's CPU against members, rooms and size of the document",
}


def markdown(rows: Sequence[Row], machine: Machine, notes: Sequence[str]) -> str:
    """The whole page; its pictures are beside it, as `write` puts them.

    Args:
        rows: Of all rounds of all workloads.
        machine: Where they were measured.
        notes: Sentences that a reader must know, such as what failed and why.
    """
    medians = Medians(rows)
    parts = [
        "# Carets beside other servers, measured",
        _head(machine),
        _notes(notes),
        "## What had to be shown",
        _targets(verdicts(rows)),
        _generator(medians),
        *_pictures(rows),
    ]
    for workload in medians.workloads():
        parts += [f"## {workload[:1].upper()}{workload[1:]}", *_workload(medians, workload)]
    parts += ["## The machine", machines.table(machine)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(machine: Machine) -> str:
    return (
        f"One run on {machine.date}, on {machine.cpu} with {machine.cores} cores and a disk that syncs in"
        f" {machine.sync_ms:.2f} ms. Each figure is the median over the rounds; small below it, the least and the most"
        " of them. **Carets alone has every edit on disk before anybody sees it.** In the columns of the others, `2x`"
        " says that Carets is twice as good: twice the deliveries, or half the time, CPU or memory; under 1x the other"
        " one is ahead. The relay in C is no server: it keeps nothing, and shows what the machine allows."
    )


def _notes(notes: Sequence[str]) -> str:
    """One line each, and what was noted in several rounds once."""
    counted = Counter(" ".join(note.split()) for note in notes)
    return "\n".join(f"- {note}{f' ({count} times)' if count > 1 else ''}" for note, count in counted.items())


def _targets(found: Sequence[Verdict]) -> str:
    marks = {True: "met", False: "**missed**", None: "open"}
    lines = [f"| {each.number} | {each.target} | {each.measured} | {marks[each.is_met]} |" for each in found]
    return "\n".join(["| | target | measured | |", "|---|---|---|---|", *lines])


def _generator(medians: Medians) -> str:
    """Whether it was the bottleneck anywhere, in a sentence."""
    loads = [
        (cell.median_in("%"), f"{workload}, {case}, {target}")
        for workload in medians.workloads()
        for case in medians.cases(workload)
        for target in medians.targets(workload)
        for figure in GENERATOR
        if (cell := medians.cell(workload, case, target, figure)) and cell.values
    ]
    if not loads:
        return ""
    most, place = max(loads)
    return f"The load generator was busy for at most {most:.0f} % of its own core (median; {place})."


def _pictures(rows: Sequence[Row]) -> Iterator[str]:
    for name in plots.pictures(rows):
        words = PICTURES[name.partition("-")[0].removesuffix(".svg")]
        yield f"![{words}]({name})"


# -- one workload


def _workload(medians: Medians, workload: str) -> Iterator[str]:
    lines = [(case, figure) for case in medians.cases(workload) for figure in medians.figures(workload, case) or [""]]
    main = [line for line in lines if line[1] not in BESIDES]
    besides = [line for line in lines if line[1] in BESIDES]
    targets = medians.targets(workload)
    yield _table(medians, workload, main, targets)
    if besides:
        yield f"<details><summary>Besides</summary>\n\n{_table(medians, workload, besides, targets)}\n\n</details>"
    absent = [name for name in ORDER if name not in targets]
    if workload.startswith(plots.GROWTH):
        yield plots.slopes(medians, workload)
    if absent and set(targets) & {OURS, *PEERS}:
        yield f"Not run here: {', '.join(absent)}."


def _table(medians: Medians, workload: str, lines: Sequence[tuple[str, str]], targets: Sequence[str]) -> str:
    figures = dict.fromkeys(figure for _, figure in lines if figure)
    is_single = len(figures) == 1
    units = {
        figure: cell.unit
        for case, figure in lines
        for target in targets
        if (cell := medians.cell(workload, case, target, figure))
    }
    names = {figure: f"{figure} a second" if units.get(figure) == "1/s" else figure for figure in figures}
    head = [next(iter(names.values())) if is_single else "", *([] if is_single else ["figure"]), *targets]
    table = [f"| {' | '.join(head)} |", "|---" * (len(head) - len(targets)) + "|--:" * len(targets) + "|"]
    before = ""
    for case, figure in lines:
        place = [case if case != before else "", *([] if is_single else [names.get(figure, "")])]
        before = case
        cells = [_cell(medians, workload, case, target, figure) for target in targets]
        table.append(f"| {' | '.join([*place, *cells])} |")
    return "\n".join(table)


def _cell(medians: Medians, workload: str, case: str, target: str, figure: str) -> str:
    cell = medians.cell(workload, case, target, figure)
    if cell is None or not cell.values:
        if not medians.was_run(workload, case, target):
            return "not run"
        return "failed" if medians.has_failed(workload, case, target) else "not told"
    said = written(cell.median, cell.unit)
    ours = medians.median(workload, case, OURS, figure)
    ratio = math.nan if is_ours(target) else advantage(ours, cell.median, cell.unit)
    if math.isfinite(ratio) and figure not in BESIDES - {"server CPU a delivery"}:
        said += f" · {times(ratio)}"
    elif target == OURS:
        said = f"**{said}**"
    return said + _spread(cell)


def _spread(cell: Cell) -> str:
    told = []
    if len(cell.values) > 1:
        told.append(spread(min(cell.values), max(cell.values), cell.unit))
    if cell.failed:
        told.append(f"{cell.failed} of {cell.rounds} rounds failed")
    return f"<br><sub>{'; '.join(told)}</sub>" if told else ""


# -- the files of a run


def write(folder: Path, rows: Sequence[Row], machine: Machine, notes: Sequence[str]) -> None:
    """Put `rows.json`, the page and its pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ROWS).write_text(_packed(rows, machine, notes))
    for old in folder.glob("*.svg"):
        old.unlink()
    for name, picture in plots.pictures(rows).items():
        (folder / name).write_text(picture)
    (folder / PAGE).write_text(markdown(rows, machine, notes))


def _packed(rows: Sequence[Row], machine: Machine, notes: Sequence[str]) -> str:
    """One line for all rounds of a figure; a round that failed is null."""
    gathered: dict[tuple[str, ...], list[float | None]] = {}
    for row in rows:
        value = float(f"{row.value:.6g}")
        gathered.setdefault(row[:5], []).append(value if math.isfinite(value) else None)
    lines = ",\n".join(json.dumps([*names, values], ensure_ascii=False) for names, values in gathered.items())
    head = json.dumps({"machine": machine._asdict(), "notes": list(notes)}, ensure_ascii=False)
    return f'{head[:-1]}, "rows": [\n{lines}\n]}}\n'


def read(folder: Path) -> tuple[list[Row], Machine, list[str]]:
    """What `write` was given, figures to six digits."""
    packed = json.loads((folder / ROWS).read_text())
    rows = [
        Row(workload, case, target, figure, unit, math.nan if value is None else value)
        for workload, case, target, figure, unit, values in packed["rows"]
        for value in values
    ]
    return rows, Machine(**packed["machine"]), packed["notes"]


def main() -> None:
    """Make the report of a folder again."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    write(folder, *read(folder))


if __name__ == "__main__":
    main()
