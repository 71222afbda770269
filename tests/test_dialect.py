"""Frames built once: byte for byte what aiohttp's own writer would have written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import WSMsgType
from aiohttp.http_websocket import WebSocketWriter
from hypothesis import given
from hypothesis import strategies as st

from carets import limits
from carets.protocol import wire
from carets.protocol.dialect import CARETS, STOCK

SIZES = [0, 1, 124, 125, 126, 127, 65_535, 65_536, 65_537, limits.PART_BYTES_MAX + 20, 1_000_000]


class Transport:
    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def writelines(self, pieces: list[bytes]) -> None:
        self.data += b"".join(pieces)

    def is_closing(self) -> bool:
        return False


class Protocol:
    _paused = False

    async def _drain_helper(self) -> None:
        return


def written(payload: bytes, kind: WSMsgType) -> bytes:
    """What aiohttp writes for a server's frame."""
    transport: Any = Transport()
    protocol: Any = Protocol()

    async def write() -> None:
        await WebSocketWriter(protocol, transport, use_mask=False, compress=0).send_frame(payload, kind)

    asyncio.run(write())
    return bytes(transport.data)


@pytest.mark.parametrize("size", SIZES)
def test_frames_are_those_of_aiohttps_writer(size: int) -> None:
    payload = b"x" * size
    assert CARETS.notice(payload) == written(payload, WSMsgType.TEXT)
    assert CARETS.part(payload) == written(payload, WSMsgType.BINARY)
    assert STOCK.message(7, payload) == written(payload, WSMsgType.BINARY)


@given(st.integers(1, limits.FILE_ID_MAX), st.binary(max_size=300))
def test_the_file_is_named_to_our_clients_and_not_to_stock_ones(file_id: int, message: bytes) -> None:
    assert CARETS.message(file_id, message) == CARETS.part(wire.encode_varuint(file_id) + message)
    assert STOCK.message(file_id, message) == CARETS.part(message)


def test_what_the_dialects_can_do() -> None:
    assert (CARETS.name, CARETS.has_notices, CARETS.has_parts) == ("carets.v1", True, True)
    assert (STOCK.name, STOCK.has_notices, STOCK.has_parts) == ("yjs", False, False)


def test_a_part_is_one_frame_within_the_limit() -> None:
    frames = list(wire.cut_in_parts(limits.FILE_ID_MAX, b"x" * limits.UPDATE_BYTES_MAX))
    assert max(map(len, frames)) <= limits.FRAME_BYTES_MAX
