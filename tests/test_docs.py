"""The documents say what the code does: generated tables, and the messages of docs/PROTOCOL.md."""

from __future__ import annotations

import argparse
import importlib.util
import re
import typing
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from carets import cli, limits
from carets.errors import TABLE
from carets.protocol import messages

ROOT = Path(__file__).resolve().parent.parent
PROTOCOL = (ROOT / "docs" / "PROTOCOL.md").read_text()


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """tools/generate_operating.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("generate_operating", ROOT / "tools" / "generate_operating.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_operating_are_those_of_the_code(generator: ModuleType) -> None:
    page = generator.PAGE.read_text()
    assert generator.generate(page) == page, "run: python tools/generate_operating.py"


def test_every_limit_has_a_row_with_its_reason_and_unit(generator: ModuleType) -> None:
    rows = generator.bounds().splitlines()[2:]
    named = {row.split("`")[1] for row in rows}
    assert named == {name for name in vars(limits) if name.isupper()} - {"KIB", "MIB"}
    unitless = {row.split("`")[1] for row in rows if not row.split(" | ")[2].strip()}
    assert unitless <= {"CLIENT_ID_MAX", "CLOCK_MAX", "FILE_ID_MAX"}, "say the unit in the name"
    rates = [row.split(" | ")[2] for row in rows if "_PER_S" in row.split(" | ")[0]]
    assert rates
    assert [unit for unit in rates if not unit.endswith(" a second")] == []


def test_a_limit_that_an_option_moves_names_it(generator: ModuleType) -> None:
    """The page said that none of the limits is an option, and six are."""
    found = re.findall(r"\(default of `(--[a-z-]+)`\)", generator.bounds())
    quotas = [f"--{name.replace('_', '-')}" for name in asdict(limits.Quotas())]
    assert sorted(found) == sorted(name.replace("workspace-bytes", "workspace-mib") for name in quotas)


def test_every_error_has_a_row(generator: ModuleType) -> None:
    numbers = re.findall(r"^\| (\d{4}) \|", generator.errors(), re.MULTILINE)
    assert numbers == [str(int(code)) for code in TABLE]


def described(heading: str) -> dict[str, tuple[set[str], set[str]]]:
    """The types of the table after a heading of PROTOCOL.md, each with its required and its optional fields.

    A field is a name in backquotes at the start of the second cell's items; ``?`` after it makes it optional.
    """
    section = PROTOCOL.split(heading)[1].split("\n\n", 2)[1]
    told = {}
    for line in section.splitlines()[2:]:
        cells = [cell.strip() for cell in line.replace("\\|", "/").strip("|").split("|")]
        fields = re.sub(r"\([^)]*\)", "", cells[1])
        required = set(re.findall(r"`(\w+)`(?!\?)", fields))
        told[cells[0].strip("`")] = (required, set(re.findall(r"`(\w+)`\?", fields)))
    return told


def declared(union: object) -> dict[str, tuple[set[str], set[str]]]:
    """The same of the structs in messages.py: a field without a default is required."""
    told = {}
    for struct in typing.get_args(union):
        fields = msgspec.structs.fields(struct)
        required = {field.name for field in fields if field.required}
        told[struct.__struct_config__.tag] = (required, {field.name for field in fields} - required)
    return told


def test_the_messages_to_the_server_are_as_described() -> None:
    told, code = described("To the server:"), declared(messages.Request)
    # May be empty, and so may be left out: the page says the former.
    code["hello"] = (code["hello"][1], set())
    code["open_file"] = (code["open_file"][0] | {"epoch"}, set())
    code["create_file"] = (code["create_file"][0] | {"eol"}, code["create_file"][1] - {"eol"})
    assert told == code


def test_the_messages_from_the_server_are_as_described() -> None:
    told, code = described("From the server:"), declared(messages.Notice)
    code["welcome"] = (code["welcome"][0] | {"limits", "fault", "carries"}, set())
    assert told == code


def test_every_number_in_the_protocol_is_in_the_table() -> None:
    known = {int(code) for code in TABLE} | {4400, 4499, 4500, 4599}
    assert {int(number) for number in re.findall(r"\b4[45]\d\d\b", PROTOCOL)} <= known


def commands(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, list[str]]]:
    """Each command below, with its options."""
    options: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from commands(inner, f"{name} {word}")
        else:
            options += [each for each in action.option_strings if each.startswith("--") and each != "--help"]
    yield name, options


def test_operating_tells_every_command_and_option_of_the_operator() -> None:
    page = (ROOT / "docs" / "OPERATING.md").read_text()
    found = dict(commands(cli.parser(), "carets"))
    assert {"carets check", "carets admin links"} <= found.keys()
    for name, options in found.items():
        assert name.removeprefix("carets admin ") in page or name in page, name
        assert [option for option in options if option not in page and option != "--version"] == [], name
