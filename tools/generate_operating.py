"""Writes the tables of docs/OPERATING.md from the code: options, metrics, errors, limits.

``python tools/generate_operating.py`` rewrites what stands between the markers; what people wrote stays.
tests/test_docs.py fails while the page and the code disagree.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from itertools import pairwise
from pathlib import Path

from carets import limits
from carets.config import add_serve_options, option_of
from carets.edges.exposition import FAMILIES, OF_PROCESSES
from carets.errors import FINAL, TABLE

PAGE = Path(__file__).resolve().parent.parent / "docs" / "OPERATING.md"

UNITS = {
    "BYTES": "bytes",
    "UNITS": "UTF-16 units",
    "STRUCTS": "structs",
    "STRINGS": "strings",
    "S": "seconds",
    "DAYS": "days",
    "ENTRIES": "entries",
    "FILES": "files",
    "LINKS": "links",
    "MEMBERS": "members",
    "UPDATES": "updates",
    "UPS": "catch-ups",
    "IDS": "client ids",
    "PARTS": "messages",
    "EXPORTS": "exports",
    "ROOMS": "workspaces",
    "CONNECTIONS": "connections",
    "CONTROL": "frames",
    "HOUR": "an hour",
    "MINUTE": "a minute",
    "ADDRESSES": "addresses",
    "CHARACTERS": "characters",
    "REQUESTS": "requests",
    "SIGNALS": "signals",
    "REFUSALS": "refusals",
    "OPENINGS": "workspaces",
    "DEPTH": "levels",
    "SHARE": "seconds a second",
    "STRANGERS": "WebSockets",
    "GUESSES": "wrong keys",
    "TRANSFERS": "imports and exports",
    "UPLOADS": "uploads",
    "FIELDS": "fields",
}
"""What a word in a limit's name says of its unit; the last such word counts."""

CHARACTERS = {"PATH_UNITS_MAX", "TITLE_UNITS_MAX", "NAME_UNITS_MAX", "CHAT_UNITS_MAX"}
"""Limits of strings that no editor counts in UTF-16."""


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def options() -> str:
    """Each option of ``carets serve``, its variable, and its help, which ends with the default."""
    parser = argparse.ArgumentParser(add_help=False)
    add_serve_options(parser)
    rows = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        words = action.option_strings[0]
        if action.choices:
            words += " " + "\\|".join(map(str, action.choices))
        elif action.nargs != 0:
            words += f" {action.metavar or action.dest.upper()}"
        rows.append([f"`{words}`".replace("\\|", "|"), f"`CARETS_{action.dest.upper()}`", action.help or ""])
    return table(["option", "variable", "meaning (default)"], rows)


def errors() -> str:
    """Each number, with what the client does next."""
    rows = [
        [str(int(code)), f"`{code.name.lower()}`", row.text, str(row.http_status), row.next_step]
        for code, row in TABLE.items()
    ]
    assert all(int(code) in FINAL or code >= 4500 for code in TABLE)
    return table(["number", "name", "text", "HTTP", "what the client does next"], rows)


def metrics() -> str:
    """Each metric that a scrape has, with its labels."""
    ours = [(family.name, family.kind, family.meaning, family.labels) for family in FAMILIES]
    rows = [
        [f"`{name}`", kind, " ".join(f"`{label}`" for label in labels), meaning]
        for name, kind, meaning, labels in (*ours, *OF_PROCESSES)
    ]
    return table(["metric", "type", "labels", "meaning"], rows)


def unit_of(name: str) -> str:
    """The unit that a limit's name ends with."""
    if name in CHARACTERS:
        return "characters"
    before, rate, _ = name.partition("_PER_S")
    if rate:
        return f"{unit_of(before)} a second"
    words = [UNITS[word] for word in name.split("_") if word in UNITS]
    return words[-1] if words else ""


def bounds() -> str:
    """Each limit of limits.py: its value, its unit and its reason, which is the text below it."""
    body = ast.parse(inspect.getsource(limits)).body
    rows = []
    for statement, following in pairwise(body):
        if isinstance(statement, ast.Assign) and isinstance(following, ast.Expr):
            (target,) = statement.targets
            assert isinstance(target, ast.Name)
            assert isinstance(following.value, ast.Constant)
            reason = re.sub(r"\s+", " ", str(following.value.value)).replace("``", "`")
            option = option_of(target.id)
            value = written(getattr(limits, target.id)) + (f" (default of `{option}`)" if option else "")
            rows.append([f"`{target.id}`", value, unit_of(target.id), reason])
    return table(["limit", "value", "unit", "what it bounds, and why so much"], rows)


def written(value: float) -> str:
    """A number as people read it."""
    for unit, name in ((limits.MIB, "Mi"), (limits.KIB, "Ki")):
        if isinstance(value, int) and value >= unit and value % unit == 0:
            return f"{value // unit} {name}"
    return f"{value:,}" if value < 2**40 else str(value)


TABLES = {"options": options, "metrics": metrics, "errors": errors, "limits": bounds}


def generate(page: str) -> str:
    """The page with its tables made anew."""
    for name, make in TABLES.items():
        pattern = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        table = make().replace("\\", "\\\\")
        page, count = pattern.subn(rf"\g<1>{table}\n\g<2>", page)
        assert count == 1, f"docs/OPERATING.md has no place for {name}"
    return page


if __name__ == "__main__":
    PAGE.write_text(generate(PAGE.read_text()))
