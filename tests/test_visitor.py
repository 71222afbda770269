"""Who a request is from: what is believed of proxies, and of nobody else; and which names the server answers to."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict
from structlog.testing import capture_logs

from carets.config import Config
from carets.edges.site import Site
from carets.edges.visitor import Network, Visitor, clean_address, meet, network_of, visitor_of
from carets.server import Running, running

TRUSTED: tuple[Network, ...] = tuple(map(ipaddress.ip_network, ("127.0.0.1", "10.0.0.0/8", "fd00::/8")))


class Transport:
    """A connection from somewhere."""

    def __init__(self, peer: str) -> None:
        self._peer = peer

    def get_extra_info(self, name: str) -> tuple[str, int] | None:
        return (self._peer, 50_000) if name == "peername" else None


def met(peer: str, *headers: tuple[str, str]) -> Visitor:
    pairs = CIMultiDict([("Host", "code.example.org"), *headers])
    transport = Transport(peer)
    request = make_mocked_request("GET", "/", pairs, transport=transport)
    visitor = meet(request, TRUSTED)
    assert visitor_of(request) == visitor
    return visitor


EVERYTHING = (
    ("X-Forwarded-For", "203.0.113.9"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "other.example.org"),
)


def test_a_trusted_proxy_is_believed() -> None:
    assert met("10.1.2.3", *EVERYTHING) == Visitor("203.0.113.9", "https", "other.example.org", by_proxy=True)
    assert met("::ffff:10.1.2.3", *EVERYTHING).address == "203.0.113.9", "as a socket for both families names it"
    assert met("10.1.2.3") == Visitor("10.1.2.3", "http", "code.example.org", by_proxy=True)


@pytest.mark.parametrize("peer", ["203.0.113.1", "127.0.0.2", "::1", "2001:db8::1", "11.0.0.1", ""])
def test_nobody_else_is_believed(peer: str) -> None:
    assert met(peer, *EVERYTHING) == Visitor(peer or "unknown", "http", "code.example.org")


@pytest.mark.parametrize(
    "told,address",
    [
        ("203.0.113.9", "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9", "203.0.113.9"),  # the client wrote the first
        ("1.1.1.1, 203.0.113.9, 10.9.9.9", "203.0.113.9"),  # one proxy of ours behind another
        ("127.0.0.1, 203.0.113.9, 10.9.9.9, fd00::7", "203.0.113.9"),
        ("10.8.8.8, 10.9.9.9", "10.8.8.8"),  # somebody in the proxies' own network
        ("203.0.113.9, evil", "10.1.2.3"),
        ("203.0.113.9,", "10.1.2.3"),
        ("203.0.113.9, evil, 10.9.9.9", "10.9.9.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::5]:4711", "2001:db8::5"),
        ("2001:DB8:0::5", "2001:db8::5"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1"),
        ("203.0.113.9" + ", 10.0.0.1" * 100, "10.0.0.1"),
        ("0x7f.1", "10.1.2.3"),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_proxy_of_ours(told: str, address: str) -> None:
    assert met("10.1.2.3", ("X-Forwarded-For", told)).address == address


def test_several_headers_are_one_list() -> None:
    headers = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "10.9.9.9")]
    assert met("10.1.2.3", *headers).address == "203.0.113.9"


def test_the_nearest_proxys_word_counts() -> None:
    told = met("10.1.2.3", ("X-Forwarded-Proto", "https, http"), ("X-Forwarded-Host", "evil.example, a.example"))
    assert (told.scheme, told.host) == ("http", "a.example")
    assert met("10.1.2.3", ("X-Forwarded-Proto", "javascript")).scheme == "http"


def test_an_ipv4_address_and_the_64_bits_of_an_ipv6_address_count_as_one() -> None:
    assert network_of("203.0.113.9") == "203.0.113.9"
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert network_of("2001:db8:1:3::1") != network_of("2001:db8:1:2::1")
    assert network_of(clean_address("::ffff:203.0.113.9")) == "203.0.113.9", "else all of IPv4 would be one"
    assert network_of("unknown") == "unknown"


# -- names


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:1", "127.0.0.1:8040", "0.0.0.0", "[::1]", "[2001:db8::1]:80", "code.example.org:444"],
)
def test_it_answers_to_addresses_and_its_own_name(host: str) -> None:
    assert Site("https://code.example.org").answers_to(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1.",
        "localhost.",
        "code.example.org.",
        "code.example.org.evil.example",
        "evil@localhost",
        "localhost@evil.example",
        "localhost:80@evil.example",
        "localhost:80:80",
        "localhost:",
        "localhost:x",
        "localhost:123456",
        "localhost/x",
        "localhost#x",
        "localhost, localhost",
        "localhost localhost",
        "localhost\\evil.example",
        "localhost%00.evil.example",
        "[::1",
        "::1",
        "[::1]x",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "１２７.0.0.1",
        "localhoſt",
    ],
)
def test_it_answers_to_nothing_that_could_be_read_in_two_ways(host: str) -> None:
    assert not Site("https://code.example.org").answers_to(host)


@pytest.mark.parametrize("host", ["code.example.org", ""])
def test_without_a_public_name_only_addresses_are_answered(host: str) -> None:
    assert not Site().answers_to(host)


async def test_a_second_or_a_missing_host_is_refused(server: Running) -> None:
    for headers in ("Host: localhost\r\nHost: evil.example", "Host: evil.example\r\nHost: localhost", "X: y"):
        for target in ("/api/server", "http://localhost/api/server"):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(f"GET {target} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n".encode())
            async with asyncio.timeout(10):
                status = (await reader.read()).split(b" ")[1]
            assert status == b"400"
            writer.close()


# -- over real sockets


@pytest.fixture
async def fronted(tmp_path: Path) -> AsyncIterator[Running]:
    config = Config(port=0, data=tmp_path / "fronted", trusted_proxy=(ipaddress.ip_network("127.0.0.1"),))
    async with running(config) as server:
        yield server


async def owner_link(server: Running, http: aiohttp.ClientSession, headers: dict[str, str]) -> str:
    url = f"http://127.0.0.1:{server.port}/api/workspaces"
    async with http.post(url, json={}, headers=headers) as response:
        assert response.status == 201, await response.text()
        return str((await response.json())["links"]["owner"])


async def test_links_have_the_address_by_which_a_trusted_proxy_was_reached(
    fronted: Running, http: aiohttp.ClientSession
) -> None:
    headers = {"Host": "carets:8040", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "192.0.2.7:8443"}
    assert (await owner_link(fronted, http, headers)).startswith("https://192.0.2.7:8443/w/")


async def test_a_name_that_a_trusted_proxy_passes_on_is_checked_like_any(
    fronted: Running, http: aiohttp.ClientSession
) -> None:
    headers = {"X-Forwarded-Host": "evil.example"}
    async with http.get(f"http://127.0.0.1:{fronted.port}/api/server", headers=headers) as response:
        assert response.status == 421


async def test_the_log_says_once_that_a_proxy_nearby_was_not_named(
    server: Running, fronted: Running, http: aiohttp.ClientSession
) -> None:
    """Behind a proxy that nobody named, all people are one address, and soon one too many."""
    with capture_logs() as lines:
        for headers in ({}, {"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "203.0.113.10"}):
            for running_ in (server, fronted):
                async with http.get(f"{running_.address}api/server", headers=headers) as response:
                    assert response.status == 200
    told = [line for line in lines if line["event"] == "proxy_not_named"]
    assert [(line["address"], line["see"]) for line in told] == [("127.0.0.1", "--trusted-proxy")]


async def test_links_do_not_follow_a_stranger(server: Running, http: aiohttp.ClientSession) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "192.0.2.7"}
    assert (await owner_link(server, http, headers)).startswith(f"http://127.0.0.1:{server.port}/w/")
