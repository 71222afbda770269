"""The operator's commands over the data file: check, backup, restore.

Owns: their options, and what they print. Does not know: how a file is looked at, copied or put back.

Exit status: 0 done, and sound; 1 something is wrong with the data; 2 something must be changed first.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from carets import limits
from carets.backups import back_up, restore
from carets.checkup import Report, check
from carets.engines.lock import DataDirectory
from carets.engines.sqlite_backup import Facts
from carets.engines.sqlite_check import drop_checkpoints
from carets.engines.sqlite_file import DATA_FILE
from carets.errors import Misconfigured

Command = Callable[[argparse.Namespace], int]

_TELL_EVERY_S = 2.0
"""Seconds between two words of progress."""

_PRINTED_ALIKE_MAX = 3
"""Problems of one place, with one advice, that are printed: of a torn file SQLite names twenty."""


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """``--data``, with its variable, as ``carets serve`` has it."""
    default = Path(os.environ.get("CARETS_DATA") or "data")
    parser.add_argument("--data", metavar="DIR", type=Path, default=default, help="directory of the data file (./data)")


def add_care_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands of this module."""
    parser = _add(commands, "check", _check, "look whether the data file is sound; a server may run on it")
    parser.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="a backup to look at, in place of the data file"
    )
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    parser.add_argument(
        "--mend",
        action="store_true",
        help="forget checkpoints that say something else than the log, which has all; if there are any, no server"
        " may run",
    )
    parser = _add(commands, "backup", _backup, "copy the data file as it is now; a server may run on it")
    parser.add_argument(
        "file", type=_target, metavar="FILE", help="the new file, or a folder, for a name with the date"
    )
    parser.add_argument("--replace", action="store_true", help="take the place of a file that is there already")
    parser.add_argument("--check", action="store_true", help="look whether all in the copy is sound, as check does")
    parser = _add(commands, "restore", _restore, "put a backup in the place of the data file; no server may run")
    parser.add_argument("file", type=Path, metavar="FILE", help="a backup")
    lineage = parser.add_mutually_exclusive_group()
    lineage.add_argument(
        "--same-lineage",
        dest="lineage",
        action="store_const",
        const="same",
        help="it is a backup of this very server, whose data file is lost: histories go on, and for"
        f" {limits.CARRY_DAYS} days members may bring back what the backup has not",
    )
    lineage.add_argument(
        "--new-lineage",
        dest="lineage",
        action="store_const",
        const="new",
        help="another server begins: browsers with the history from before cannot merge it into this one",
    )
    parser.add_argument("--anyway", action="store_true", help="put it back although the check finds problems")


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: Command, help_: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help_, description=f"{help_[0].upper()}{help_[1:]}.")
    add_data_option(parser)
    parser.set_defaults(run=run)
    return parser


def _check(options: argparse.Namespace) -> int:
    if options.file and options.mend:
        raise Misconfigured("--mend is for the data file alone: leave out FILE")
    path = options.file or options.data / DATA_FILE
    report = check(path, _progress())
    if options.mend and report.bad_checkpoints:
        directory = DataDirectory.lock(options.data)
        try:
            drop_checkpoints(path, report.bad_checkpoints)
        finally:
            directory.release()
        print(f"Forgot {count(len(report.bad_checkpoints), 'checkpoint')}; looking again.", file=sys.stderr)
        report = check(path, _progress())
    if options.json:
        print(json.dumps(_as_json(report)))
    else:
        _print_report(report)
    return 0 if report.is_sound else 1


def _progress() -> Callable[[int, int], None]:
    """Says on standard error how far the look is, when it takes long."""
    told_at_s = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal told_at_s
        if time.monotonic() - told_at_s >= _TELL_EVERY_S:
            told_at_s = time.monotonic()
            print(f"{done} of {count(total, 'document')} looked at", file=sys.stderr, flush=True)

    return tell


def _print_report(report: Report) -> None:
    alike = itertools.groupby(report.problems, lambda problem: (problem.where, problem.advice))
    for problems in (list(group) for _, group in alike):
        for problem in problems[:_PRINTED_ALIKE_MAX]:
            print(problem)
        if len(problems) > _PRINTED_ALIKE_MAX:
            more = count(len(problems) - _PRINTED_ALIKE_MAX, "problem")
            print(f"{problems[0].where}: {more} more of the kind; carets check --json names all.")
    for update in report.quarantined:
        print(f"{update} was set aside, since it cannot be applied; it is in the log.")
    looked = f"{count(report.facts.workspaces, 'workspace')}, {count(report.documents, 'document')}"
    verdict = "is sound" if report.is_sound else f"has {count(len(report.problems), 'problem')}"
    print(f"{report.path} {verdict}: {looked}, {count(report.updates, 'update')} ({_told(report.facts)}).")


def _as_json(report: Report) -> dict[str, object]:
    facts = report.facts
    return {
        "path": report.path,
        "sound": report.is_sound,
        "schema": facts.schema,
        "lineage": facts.lineage.hex() if facts.lineage else None,
        "size_bytes": facts.size_bytes,
        "workspaces": facts.workspaces,
        "documents": report.documents,
        "updates": report.updates,
        "quarantined": report.quarantined,
        "problems": [dataclasses.asdict(problem) for problem in report.problems],
    }


def _target(text: str) -> Path:
    """The path of a backup. A slash behind a folder that is not there must not become the name of a file."""
    if text.endswith("/") and not os.path.isdir(text):  # noqa: PTH112 - which says no where it may not look
        raise argparse.ArgumentTypeError(f"there is no folder {text}: make it first")
    return Path(text)


def _backup(options: argparse.Namespace) -> int:
    at_ms = time.time_ns() // 1_000_000
    kept = back_up(options.data, options.file, replace=options.replace)
    workspaces = count(kept.facts.workspaces, "workspace")
    print(f"{kept.path} has {workspaces} as of {when(at_ms)} ({_told(kept.facts)}).")
    if options.check:
        report = check(kept.path, _progress())
        _print_report(report)
        return 0 if report.is_sound else 1
    return 0


def _restore(options: argparse.Namespace) -> int:
    restored = restore(options.file, options.data, options.lineage, anyway=options.anyway, tell=_print_report)
    print(f"{options.data / DATA_FILE} is that backup now.")
    if restored.aside is not None:
        print(f"The data file from before is {restored.aside}: delete it when nobody misses anything.")
    if restored.lineage == "same":
        until = when(restored.carry_until_ms)
        print(
            f"Histories go on. Until {until} members' browsers bring back what the backup has not: tell them to come."
        )
    else:
        print(
            "It begins a life of its own: browsers keep their unsaved text of another one apart, and do not merge it."
        )
        if restored.aside is None and options.lineage is None:
            print(
                "There was no data file to compare with. If this is the server whose disk was lost, run this again with"
                " --same-lineage before anyone comes: then browsers bring back what the backup has not."
            )
    print("Links that were revoked, and workspaces that were deleted, after the backup was made are back.")
    return 0


def when(at_ms: int) -> str:
    """A moment as people read it."""
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def size(size_bytes: int) -> str:
    """A number of bytes as people read it."""
    amount, unit = float(size_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"


def _told(facts: Facts) -> str:
    lineage = facts.lineage.hex()[:8] if facts.lineage else "unknown"
    return f"{size(facts.size_bytes)}, schema {facts.schema}, lineage {lineage}"


def count(number: int, noun: str) -> str:
    """So many of something."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
