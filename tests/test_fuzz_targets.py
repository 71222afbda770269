"""Any bytes at every decoder: a message or an error of ours, and what is clean stays clean. Always the same bytes."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, take_hello, take_presence

DECODERS = [name for name in TARGETS if name != "http"]
QUICK = settings(derandomize=True, max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEYS = st.sampled_from(("user", "cursor", "anchor", "head", "item", "name"))
LEAVES = st.none() | st.integers() | st.text(max_size=9)


@st.composite
def near(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Bytes that a target begins with, with pieces changed, left out or said twice."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 4)))
        data[at:end] = draw(st.one_of(st.binary(max_size=4), st.just(bytes(data[at : at + 9]))))
    return bytes(data)


@pytest.mark.parametrize("name", DECODERS)
def test_any_bytes_get_a_verdict(name: str) -> None:
    take, seeds = TARGETS[name]

    @QUICK
    @given(data=st.one_of(st.binary(max_size=120), near(seeds)))
    def try_it(data: bytes) -> None:
        take(data)

    try_it()


@QUICK
@given(text=st.text(st.characters(codec=None), max_size=60))
def test_what_is_clean_stays_as_it_is(text: str) -> None:
    """Text in any script, lone halves of characters included."""
    take_hello(text.encode(errors="surrogatepass"))


@settings(QUICK, max_examples=40)
@given(state=st.dictionaries(KEYS, LEAVES | st.dictionaries(KEYS, LEAVES | st.lists(LEAVES, max_size=2), max_size=3)))
def test_any_json_as_presence_gets_a_verdict(state: object) -> None:
    take_presence(json.dumps(state).encode())


@pytest.mark.parametrize("name", [name for name in DECODERS if name != "admission"])
def test_long_input_takes_time_by_its_length(name: str) -> None:
    for piece in (b"\xff", b"[", b'{"a":', b"\0", b"\x01", "a\u0301".encode(), b"9"):
        begin = time.thread_time()
        TARGETS[name][0](piece * (200_000 // len(piece)))
        assert time.thread_time() - begin < 5.0, piece
