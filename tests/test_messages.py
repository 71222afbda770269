"""The JSON messages: a closed set, whatever comes."""

from __future__ import annotations

import contextlib
import json
import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carets import limits
from carets.errors import Code, Refused, WireError
from carets.protocol import messages
from carets.protocol.messages import FileRecord, MemberRecord, decode_request, encode_notice

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
TYPES = [struct.__struct_config__.tag for struct in typing.get_args(messages.Request)]
FIELDS = ["key", "person", "name", "color", "file_id", "client_id", "epoch", "path", "eol", "request"]


@given(st.text() | st.binary() | JSON.map(json.dumps))
def test_anything_is_a_message_or_a_wire_error(text: str | bytes) -> None:
    with contextlib.suppress(WireError):
        assert isinstance(decode_request(text), typing.get_args(messages.Request))


@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_fields_of_a_known_type_are_a_message_or_a_wire_error(kind: str, fields: dict[str, object]) -> None:
    with contextlib.suppress(WireError):
        assert isinstance(decode_request(json.dumps({"type": kind, **fields})), typing.get_args(messages.Request))


def test_clients_are_told_the_limits_that_there_are() -> None:
    told = msgspec.structs.asdict(messages.ClientLimits())
    assert told == {name: getattr(limits, name.upper()) for name in told}


@pytest.mark.parametrize(
    "text,message",
    [
        ('{"type":"hello"}', messages.Hello()),
        ('{"type":"ping","later":[1]}', messages.Ping()),
        ('{"name":"a","color":"b","type":"profile"}', messages.Profile("a", "b")),
        ('{"type":"open_file","file_id":1,"client_id":9007199254740991}', messages.OpenFile(1, 2**53 - 1)),
        ('{"type":"close_file","file_id":3}', messages.CloseFile(3)),
        ('{"type":"create_file","path":"a","eol":"crlf","request":0}', messages.CreateFile("a", "crlf", 0)),
        ('{"type":"rename_file","file_id":3,"path":"b"}', messages.RenameFile(3, "b")),
        ('{"type":"delete_file","file_id":3}', messages.DeleteFile(3)),
        ('{"type":"restore_file","file_id":3,"path":null}', messages.RestoreFile(3)),
        ('{"type":"rename_folder","path":"a","to":"b/c","request":1}', messages.RenameFolder("a", "b/c", 1)),
        ('{"type":"delete_folder","path":"a"}', messages.DeleteFolder("a")),
        ('{"type":"hello","page":"p"}', messages.Hello(page="p")),
        ('{"type":"place","file_id":null}', messages.Place(None)),
        ('{"type":"place","file_id":7}', messages.Place(7)),
        ('{"type":"chat","text":"","nonce":"n"}', messages.Chat("", "n")),
    ],
)
def test_each_message_is_read(text: str, message: messages.Request) -> None:
    assert decode_request(text) == message
    assert decode_request(text.encode()) == message


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"welcome"}',
        '{"type":"open_file","file_id":0,"client_id":1}',
        '{"type":"open_file","file_id":2147483648,"client_id":1}',
        '{"type":"open_file","file_id":1.5,"client_id":1}',
        '{"type":"open_file","file_id":1,"client_id":9007199254740992}',
        '{"type":"open_file","file_id":1,"client_id":-1}',
        '{"type":"close_file"}',
        '{"type":"create_file","path":"a","eol":"cr"}',
        '{"type":"create_file","path":"a","request":-1}',
        '{"type":"create_file","path":"a","request":123456789012345678901234567890}',
        '{"type":"hello","name":"\\ud800"}',
        '{"type":"hello","key":null}',
    ],
)
def test_what_is_out_of_bounds_is_no_message(text: str) -> None:
    with pytest.raises(WireError):
        decode_request(text)


def test_what_is_left_out_is_the_default() -> None:
    file = FileRecord(1, "a.py", "e")
    assert (
        encode_notice(messages.Files([file])) == b'{"type":"files","files":[{"file_id":1,"path":"a.py","epoch":"e"}]}'
    )
    member = MemberRecord(1, "Zoë", "#aabbcc", "viewer")
    assert json.loads(encode_notice(messages.Members([member], [2], full=True))) == {
        "type": "members",
        "members": [{"member_id": 1, "name": "Zoë", "color": "#aabbcc", "role": "viewer"}],
        "left": [2],
        "full": True,
    }
    assert encode_notice(messages.Draining()) == b'{"type":"draining"}'
    assert encode_notice(messages.Pong()) == b'{"type":"pong"}'
    assert encode_notice(messages.Saved(7)) == b'{"type":"saved","count":7}', "Delivery writes it by hand"


def test_a_refusal_says_what_and_why_and_what_to_do() -> None:
    told = json.loads(encode_notice(messages.refusal(Refused(Code.PATH_TAKEN, "a.py"), file_id=3, request=0)))
    assert told == {
        "type": "refused",
        "code": 4428,
        "name": "path_taken",
        "text": "Another file has this path: a.py.",
        "next_step": "Choose another path.",
        "file_id": 3,
        "request": 0,
    }


def test_the_limits_of_welcome_are_those_that_are_kept() -> None:
    welcome = messages.Welcome(1, "p", "owner", "n", "c", "w", "t", [], [], "b", "person:1")
    told = json.loads(encode_notice(welcome))["limits"]
    assert told == {name: getattr(limits, name.upper()) for name in told}
