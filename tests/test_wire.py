"""The binary frames, by the vectors that the page's twin of the codec is tested against, and by any bytes whatever."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carets import limits
from carets.errors import Code, WireError
from carets.protocol import wire

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "wire.json").read_text())

small_bytes = st.binary(max_size=200)
presences = st.builds(
    wire.Presence,
    st.integers(0, limits.CLIENT_ID_MAX),
    st.integers(0, limits.CLIENT_ID_MAX),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
file_ids = st.integers(1, limits.FILE_ID_MAX)


def why(vector: dict[str, Any]) -> str:
    return str(vector.get("why", vector.get("kind", vector.get("value"))))


def payload_of(message: wire.Message) -> bytes:
    """A message's one payload, under the name that the vectors use."""
    return b"" if isinstance(message, wire.QueryAwareness) else message[-1]


def kind_of(message: wire.Message) -> str:
    names = {wire.Step1: "step_1", wire.Step2: "step_2", wire.QueryAwareness: "query_awareness"}
    return names.get(type(message), type(message).__name__.lower())


def written(message: wire.Message) -> bytes | None:
    match message:
        case wire.Step1(state_vector):
            return wire.encode_step_1(state_vector)
        case wire.Step2(update):
            return wire.encode_step_2(update)
        case wire.Update(update):
            return wire.encode_update(update)
        case wire.Awareness(payload):
            return wire.encode_awareness(wire.decode_awareness(payload, 100))
        case _:
            return None


@pytest.mark.parametrize("vector", VECTORS["varuints"], ids=why)
def test_a_number_has_one_form(vector: dict[str, Any]) -> None:
    form = bytes.fromhex(vector["bytes"])
    assert wire.encode_varuint(vector["value"]) == form
    assert wire.decode_varuint(form, 0) == (vector["value"], len(form))


@pytest.mark.parametrize("vector", VECTORS["varuints_refused"], ids=why)
def test_a_number_in_another_form_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        wire.decode_varuint(bytes.fromhex(vector["bytes"]), 0)


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=why)
def test_a_frame_is_read_and_written_back(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["bytes"])
    file_id, message = wire.decode_frame(frame)
    assert (file_id, kind_of(message), payload_of(message).hex()) == (
        vector["file_id"],
        vector["kind"],
        vector["payload"],
    )
    if isinstance(message, wire.Part):
        assert message.bytes_left == vector["bytes_left"]
    if (again := written(message)) is not None:
        assert wire.encode_varuint(file_id) + again == frame


@pytest.mark.parametrize("vector", VECTORS["frames_refused"], ids=why)
def test_a_frame_that_is_none_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(WireError) as refused:
        wire.decode_frame(bytes.fromhex(vector["bytes"]))
    assert refused.value.code is Code.MALFORMED_MESSAGE


@pytest.mark.parametrize("vector", VECTORS["awareness"], ids=why)
def test_presence_is_read_and_written_back(vector: dict[str, Any]) -> None:
    entries = [wire.Presence(**entry) for entry in vector["entries"]]
    payload = bytes.fromhex(vector["bytes"])
    assert wire.decode_awareness(payload, 100) == entries
    assert wire.encode_awareness(entries).endswith(payload)


@pytest.mark.parametrize("vector", VECTORS["awareness_refused"], ids=why)
def test_presence_that_is_none_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(WireError) as refused:
        wire.decode_awareness(bytes.fromhex(vector["bytes"]), 100)
    assert refused.value.code is Code.MALFORMED_PRESENCE


def test_presence_has_a_bound_on_its_entries() -> None:
    payload = wire.decode_message(wire.encode_awareness([wire.Presence(n, 0, "null") for n in range(3)]))
    assert isinstance(payload, wire.Awareness)
    assert len(wire.decode_awareness(payload.payload, 3)) == 3
    with pytest.raises(WireError):
        wire.decode_awareness(payload.payload, 2)


def test_a_large_message_is_cut_into_the_parts_of_the_vectors_and_is_whole_again() -> None:
    vector = VECTORS["parts"]
    update = bytes.fromhex(vector["update_byte"]) * vector["update_bytes"]
    message = wire.encode_step_2(update)
    assert message.startswith(bytes.fromhex(vector["message_head"]))
    frames = list(wire.cut_in_parts(vector["file_id"], message))
    assert [len(frame) for frame in frames] == [len(one["head"]) // 2 + one["chunk_bytes"] for one in vector["frames"]]
    inbox = wire.PartsInbox()
    whole: wire.Message | None = None
    for frame, expected in zip(frames, vector["frames"], strict=True):
        assert frame.startswith(bytes.fromhex(expected["head"]))
        assert len(frame) <= limits.FRAME_BYTES_MAX
        assert whole is None
        file_id, part = wire.decode_frame(frame)
        assert isinstance(part, wire.Part)
        whole = inbox.take(file_id, part)
    assert whole == wire.Step2(update)


@pytest.mark.parametrize("vector", VECTORS["parts_refused"], ids=why)
def test_parts_that_make_no_message_are_refused(vector: dict[str, Any]) -> None:
    inbox = wire.PartsInbox()
    parts = [wire.Part(part["bytes_left"], bytes.fromhex(part["chunk"])) for part in vector["parts"]]
    for part in parts[:-1]:
        assert inbox.take(vector["file_id"], part) is None
    with pytest.raises(WireError):
        inbox.take(vector["file_id"], parts[-1])


def test_an_abandoned_message_is_not_taken_for_the_next_one() -> None:
    vector = VECTORS["parts_abandoned"]
    inbox = wire.PartsInbox()
    *before, last = [
        inbox.take(vector["file_id"], wire.Part(part["bytes_left"], bytes.fromhex(part["chunk"])))
        for part in vector["parts"]
    ]
    assert before == [None, None, None]
    assert last == wire.Update(bytes.fromhex(vector["update"]))
    assert wire.decode_frame(wire.abandon_parts(vector["file_id"])) == (vector["file_id"], wire.Part(0, b""))


def test_messages_in_parts_have_bounds() -> None:
    inbox = wire.PartsInbox()
    with pytest.raises(WireError) as refused:
        inbox.take(1, wire.Part(limits.UPDATE_BYTES_MAX + 16, b"x"))
    assert refused.value.code is Code.MESSAGE_TOO_LARGE
    for file_id in range(1, limits.PARTS_OPEN_MAX + 1):
        assert inbox.take(file_id, wire.Part(1, b"\x00")) is None
        assert inbox.is_open(file_id)
    with pytest.raises(WireError):
        inbox.take(99, wire.Part(1, b"\x00"))
    inbox.forget(1)
    assert not inbox.is_open(1)
    assert inbox.take(99, wire.Part(1, b"\x00")) is None


@given(st.binary(max_size=64) | st.lists(st.sampled_from([0, 1, 2, 3, 100, 127, 128, 255]), max_size=24).map(bytes))
def test_any_bytes_are_a_frame_or_a_wire_error(data: bytes) -> None:
    try:
        _, message = wire.decode_frame(data)
        if isinstance(message, wire.Awareness):
            wire.decode_awareness(message.payload, 100)
    except WireError:
        pass


@given(st.integers(0, limits.CLIENT_ID_MAX), small_bytes)
def test_a_number_is_read_back_whatever_follows(value: int, after: bytes) -> None:
    form = wire.encode_varuint(value)
    assert wire.decode_varuint(b"\xff" + form + after, 1) == (value, 1 + len(form))


@given(file_ids, small_bytes)
def test_sync_messages_are_read_back(file_id: int, payload: bytes) -> None:
    head = wire.encode_varuint(file_id)
    assert wire.decode_frame(head + wire.encode_step_1(payload)) == (file_id, wire.Step1(payload))
    assert wire.decode_frame(head + wire.encode_step_2(payload)) == (file_id, wire.Step2(payload))
    assert wire.decode_frame(head + wire.encode_update(payload)) == (file_id, wire.Update(payload))


@given(st.lists(presences, max_size=5))
def test_presence_is_read_back(entries: list[wire.Presence]) -> None:
    message = wire.decode_message(wire.encode_awareness(entries))
    assert isinstance(message, wire.Awareness)
    assert wire.decode_awareness(message.payload, 5) == entries


@given(file_ids, small_bytes, st.integers(0, 300))
def test_a_message_that_is_cut_short_or_has_a_tail_is_refused(file_id: int, payload: bytes, cut: int) -> None:
    frame = wire.encode_varuint(file_id) + wire.encode_update(payload)
    with pytest.raises(WireError):
        wire.decode_frame(frame[: min(cut, len(frame) - 1)])
    with pytest.raises(WireError):
        wire.decode_frame(frame + b"\x00")


@given(file_ids, st.integers(0, 3 * limits.PART_BYTES_MAX))
def test_parts_are_whole_again(file_id: int, update_bytes: int) -> None:
    message = wire.encode_update(bytes(update_bytes))
    inbox = wire.PartsInbox()
    whole: wire.Message | None = None
    for frame in wire.cut_in_parts(file_id, message):
        found, part = wire.decode_frame(frame)
        assert found == file_id
        assert isinstance(part, wire.Part)
        whole = inbox.take(file_id, part)
    assert whole == wire.Update(bytes(update_bytes))
