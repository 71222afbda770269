"""The table of errors: complete, in range, and told in one way everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from carets import limits
from carets.errors import FINAL, TABLE, CaretsError, Code, Refused, Unavailable

SOURCES = Path(__file__).resolve().parent.parent / "src"

PERMANENT = {
    "MALFORMED_MESSAGE": 4400, "MALFORMED_UPDATE": 4401, "ILLEGAL_UPDATE": 4402, "SPLIT_CHARACTER": 4403,
    "MALFORMED_STATE_VECTOR": 4404, "MESSAGE_TOO_LARGE": 4405, "HELLO_EXPECTED": 4406, "MALFORMED_PRESENCE": 4407,
    "WORKSPACE_UNKNOWN": 4420, "KEY_WRONG": 4421, "LINK_REVOKED": 4422, "LINK_EXPIRED": 4423, "ROLE_TOO_LOW": 4424,
    "FILE_UNKNOWN": 4425, "FILE_DELETED": 4426, "PATH_INVALID": 4427, "PATH_TAKEN": 4428, "FILES_TOO_MANY": 4429,
    "EPOCH_CHANGED": 4430, "CLIENT_ID_TAKEN": 4431, "CLIENT_IDS_TOO_MANY": 4432, "DOCUMENT_TOO_LARGE": 4433,
    "FILE_NOT_OPEN": 4434, "OWNER_KEY_IN_QUERY": 4436, "HOST_UNKNOWN": 4437,
    "CREATE_TOKEN_WRONG": 4438, "BODY_TOO_LARGE": 4439, "BODY_MALFORMED": 4440,
    "LINK_UNKNOWN": 4442, "TEXT_INVALID": 4443, "LINKS_TOO_MANY": 4444, "WORKSPACE_DELETED": 4445,
    "ORIGIN_FOREIGN": 4446, "ADMIN_TOKEN_WRONG": 4447, "WORKSPACE_FULL": 4448, "FILES_OPEN_TOO_MANY": 4449,
    "ADDRESS_UNKNOWN": 4450, "METHOD_UNKNOWN": 4451,
    "UNAVAILABLE": 4500, "DRAINING": 4501, "ROOM_FULL": 4502, "SILENT": 4503, "INTERNAL": 4504,
    "RATE_LIMITED": 4505, "CONNECTIONS_TOO_MANY": 4506, "ROOMS_TOO_MANY": 4507,
}  # fmt: skip
"""Clients know these. A number may be added here, never changed and never given to another name."""


def test_a_number_keeps_its_meaning_for_ever() -> None:
    assert {name: int(code) for name, code in Code.__members__.items()} == PERMANENT


def test_every_number_has_a_row_and_no_two_the_same_text_but_those_for_links() -> None:
    assert list(TABLE) == list(Code)
    assert len({row.text for row in TABLE.values()}) == len(TABLE)


@pytest.mark.parametrize("code", Code)
def test_a_row_can_be_told_everywhere(code: Code) -> None:
    row = TABLE[code]
    assert code in FINAL or 4500 <= code <= 4599
    assert 400 <= row.http_status <= 599
    for text in (row.text, row.next_step):
        assert re.fullmatch(r"[A-Z][^\n|]*\.", text)
    assert len(row.text.encode()) <= 123, "RFC 6455, 5.5.1: the reason of a close"
    if code not in FINAL:
        assert "again" in row.next_step or "econnect" in row.next_step


def test_an_error_says_number_text_and_detail() -> None:
    assert str(Refused(Code.PATH_TAKEN, "a.py")) == "4428 Another file has this path: a.py."
    assert str(Unavailable(Code.DRAINING)) == "4501 The server is restarting."
    assert isinstance(Refused(Code.PATH_TAKEN), CaretsError)


def test_each_kind_of_error_is_raised_with_numbers_of_its_kind() -> None:
    raised = re.compile(r"\b(Refused|Unavailable|StoreFailed|WireError)\(\s*Code\.(\w+)")
    for path in SOURCES.rglob("*.py"):
        for kind, name in raised.findall(path.read_text()):
            may_retry = kind in ("Unavailable", "StoreFailed")
            assert (Code[name] not in FINAL) == may_retry, f"{path.name}: {kind}(Code.{name})"


def test_what_can_be_restored_says_for_how_long() -> None:
    assert f"within {limits.TOMBSTONE_DAYS} days" in TABLE[Code.WORKSPACE_DELETED].next_step
