"""Any bytes at every decoder: a message or an error of ours, and what is clean stays clean. Always the same bytes."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import time
import zipfile
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carets.config import add_serve_options, read_config
from carets.edges.transfer import _Archive, _attachment
from carets.errors import Misconfigured, Refused
from carets.protocol import access
from carets.protocol.messages import FileRecord
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


OPTIONS = argparse.ArgumentParser()
add_serve_options(OPTIONS)
NAMES = sorted(vars(OPTIONS.parse_args([])))
PIECES = (
    "1",
    "0",
    "-1",
    "self-signed",
    "https://a.example",
    "http://[::1]:8040",
    "10.0.0.0/8",
    "/carets",
    ",",
    " ",
    "\0",
)
VALUES = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=3).map("".join)


@settings(QUICK, max_examples=300)
@given(
    environment=st.dictionaries(st.sampled_from(NAMES).map(lambda name: f"CARETS_{name.upper()}"), VALUES, max_size=5)
)
def test_any_options_are_a_configuration_or_explained(environment: dict[str, str]) -> None:
    with contextlib.suppress(Misconfigured):
        config = read_config(OPTIONS.parse_args([]), environment)
        assert 0 <= config.port < 65_536
        assert all(getattr(config.quotas, name) > 0 for name in config.quotas.__slots__)


@QUICK
@given(title=st.text(st.characters(codec=None), max_size=60))
def test_any_title_makes_the_name_of_a_zip_that_no_header_breaks_at(title: str) -> None:
    told = _attachment(access.clean_label(title, 120, "workspace"))
    assert told.isascii()
    assert told.isprintable()
    assert told.count('"') == 2
    assert not set(told.split('"')[1]) & set("/\\:*?<>|")


@QUICK
@given(
    path=st.text(st.sampled_from("ab./\\~: \0\u202eé\u0301C") | st.characters(codec=None), max_size=40),
    text=st.text(max_size=30),
)
def test_any_path_that_is_taken_is_read_out_of_a_zip_where_it_was(path: str, text: str) -> None:
    """And stays below where it is unpacked, on any system."""
    with contextlib.suppress(Refused):
        path, text = access.clean_path(path), access.clean_text(text)
        archive = _Archive(0)
        archive.add(FileRecord(1, path, "e"), text)
        archive.end()
        with zipfile.ZipFile(io.BytesIO(archive.take())) as packed:
            assert packed.namelist() == [path]
            assert packed.read(path).decode() == text
        for pure in (PurePosixPath(path), PureWindowsPath(path)):
            assert not pure.is_absolute()
            assert not pure.drive
            assert ".." not in pure.parts


@pytest.mark.parametrize("name", [name for name in DECODERS if name != "admission"])
def test_long_input_takes_time_by_its_length(name: str) -> None:
    for piece in (b"\xff", b"[", b'{"a":', b"\0", b"\x01", "a\u0301".encode(), b"9"):
        begin = time.thread_time()
        TARGETS[name][0](piece * (200_000 // len(piece)))
        assert time.thread_time() - begin < 5.0, piece
