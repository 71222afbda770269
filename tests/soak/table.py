"""A soak as people read it.

Owns: the table. Does not know: how it came about.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from tests.soak.run import CORE_MAX, Plan, Result
from tests.soak.watch import MIB, Sample


def table(plan: Plan, result: Result) -> str:
    """All of it, in lines that fit a report."""
    size = f"{plan.members} members, {plan.rooms} rooms, each workspace for {plan.life_s:.0f} s"
    lines = [f"soak: {plan.seconds / 60:.1f} minutes, {size}, seed {plan.seed}"]
    lines += _course(result.samples)
    lines += _memory(plan, result)
    lines += _left_over(result)
    lines += _words(result)
    lines.append("RIGHT" if result.is_right else "WRONG: " + "; ".join(result.wrong))
    return "\n".join(lines)


def _course(samples: list[Sample]) -> list[str]:
    """A dozen of the samples."""
    if not samples:
        return []
    step = max(1, len(samples) // 12)
    columns: list[tuple[str, Callable[[Sample], str]]] = [
        ("at s", lambda at: f"{at.at_s:.0f}"),
        ("RSS MiB", lambda at: f"{at.rss_bytes / MIB:.1f}"),
        ("fds", lambda at: str(at.fds)),
        ("threads", lambda at: str(at.threads)),
        ("tasks", lambda at: str(at.tasks)),
        ("rooms", lambda at: str(at.rooms)),
        ("documents", lambda at: str(at.documents)),
        ("members", lambda at: str(at.members)),
        ("lagging", lambda at: str(at.lagging)),
        ("updates", lambda at: str(at.updates)),
        ("deliveries", lambda at: str(at.deliveries)),
        ("data MiB", lambda at: f"{at.data_bytes / MIB:.1f}"),
        ("WAL MiB", lambda at: f"{at.wal_bytes / MIB:.1f}"),
    ]
    rows = [[name for name, _ in columns]]
    rows += [[show(sample) for _, show in columns] for sample in samples[::step]]
    return [" ".join(f"{cell:>10}" for cell in row) for row in rows]


def _memory(plan: Plan, result: Result) -> list[str]:
    peak = max((sample.rss_bytes for sample in result.samples), default=0) / MIB
    if result.memory is None:
        return [f"memory: at most {peak:.1f} MiB; too short a run to say whether it is flat"]
    early, late = result.memory.early_bytes / MIB, result.memory.late_bytes / MIB
    verdict = "flat within 10 %" if result.memory.is_flat else "NOT flat"
    medians = f"median {early:.1f} MiB in the first third, {late:.1f} MiB in the last: {result.memory.growth:+.1%}"
    return [f"memory after {plan.warm_up_s:.0f} s: {medians}, {verdict}; at most {peak:.1f} MiB"]


def _left_over(result: Result) -> list[str]:
    lines = []
    for name, sample in (("before", result.baseline), ("after all had left", result.end)):
        if sample is not None:
            lines.append(
                f"{name}: {sample.tasks} tasks, {sample.fds} file descriptors, {sample.threads} threads, "
                f"{sample.rooms} rooms, {sample.documents} documents, {sample.rss_bytes / MIB:.1f} MiB"
            )
    return lines


def _words(result: Result) -> list[str]:
    verdicts = result.verdicts.values()
    cores = result.loads or [0.0]
    lagging = max((sample.lagging for sample in result.samples), default=0)
    busiest = "busy" if max(cores) > CORE_MAX else "not what was measured"
    counts = ", ".join(f"{name} {count}" for name, count in sorted(result.counts.items()))
    spent = [later.cpu_s - sooner.cpu_s for sooner, later in zip(result.samples, result.samples[1:], strict=False)]
    took = [later.at_s - sooner.at_s for sooner, later in zip(result.samples, result.samples[1:], strict=False)]
    server_core = sum(spent) / sum(took) if took else 0.0
    acked, there = sum(verdict.acked for verdict in verdicts), sum(verdict.pieces for verdict in verdicts)
    wrong = {
        name: sum(getattr(verdict, name) for verdict in verdicts) for name in ("lost", "doubled", "undead", "strange")
    }
    late_ms = max(result.lates_s or [0.0]) * 1000
    share = f"generators {statistics.mean(cores):.0%} each, at most {max(cores):.0%} ({busiest}), {late_ms:.0f} ms late"
    return [
        f"crowd: {counts}",
        f"load: server {server_core:.0%} of a core; {share}; at most {lagging} members lagging at a look",
        f"texts of members there at the end: {result.texts_compared}, not the server's: {len(result.texts_different)}",
        f"files reopened from disk: {len(result.verdicts)}, not as before: {len(result.changed_by_reload)}",
        f"pieces: {acked} told saved, {there} there; " + ", ".join(f"{name} {count}" for name, count in wrong.items()),
    ]
