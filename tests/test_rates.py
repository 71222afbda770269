"""What one address may do how often: numbers by a clock of the test's, and over real sockets that others go on."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from carets import limits
from carets.config import Config
from carets.edges.rates import Rates
from carets.errors import CaretsError, Code, Refused, Unavailable
from carets.limits import Quotas
from carets.server import Running, running
from tests.clock import Clock
from tests.peer import connect, create_workspace

ANN, BOB = "203.0.113.1", "203.0.113.2"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rates(clock: Clock) -> Rates:
    return Rates(Quotas(address_workspaces_per_hour=4), clock)


def wait_s(error: CaretsError) -> float:
    """How long an address has to wait that is over a bound."""
    assert isinstance(error, Unavailable)
    assert error.code is Code.RATE_LIMITED
    assert error.retry_after_s is not None
    return error.retry_after_s


def refused(rates: Rates, network: str) -> CaretsError:
    with pytest.raises(Unavailable) as caught:
        rates.create(network)
    return caught.value


def guess(rates: Rates, network: str) -> CaretsError:
    return rates.judge(network, Refused(Code.KEY_WRONG))


def test_an_address_makes_so_many_workspaces_and_then_one_now_and_again(rates: Rates, clock: Clock) -> None:
    for _ in range(4):
        rates.create(ANN)
    told = refused(rates, ANN)
    assert wait_s(told) == 900
    assert "at most 4 workspaces an hour from one address" in str(told)
    rates.create(BOB)
    clock.now_s += 900
    rates.create(ANN)
    assert wait_s(refused(rates, ANN)) == 900, "and what was refused cost nothing"


def test_imports_and_exports_have_a_bound_together(rates: Rates, clock: Clock) -> None:
    for _ in range(limits.ADDRESS_TRANSFERS_BURST):
        rates.transfer(ANN)
    with pytest.raises(Unavailable) as caught:
        rates.transfer(ANN)
    assert wait_s(caught.value) == 1 / limits.ADDRESS_TRANSFERS_PER_S
    rates.transfer(BOB)
    clock.now_s += 1
    for _ in range(limits.ADDRESS_TRANSFERS_PER_S):
        rates.transfer(ANN)
    with pytest.raises(Unavailable):
        rates.transfer(ANN)


@pytest.mark.parametrize(
    "code", [Code.KEY_WRONG, Code.WORKSPACE_UNKNOWN, Code.CREATE_TOKEN_WRONG, Code.ADMIN_TOKEN_WRONG]
)
def test_after_many_wrong_keys_the_wait_grows_with_each(rates: Rates, clock: Clock, code: Code) -> None:
    for _ in range(limits.ADDRESS_GUESSES_BURST):
        assert rates.judge(ANN, Refused(code)).code is code
    waits = [wait_s(rates.judge(ANN, Refused(code))) for _ in range(1_000)]
    assert waits[:3] == [4, 6, 8]
    assert waits[-1] == pytest.approx(limits.GUESS_WAIT_S_MAX, rel=0.02)
    assert guess(rates, BOB).code is Code.KEY_WRONG
    clock.now_s += waits[-1]
    assert rates.judge(ANN, Refused(code)).code is code, "who waited as long as was said is told again what was wrong"


def test_what_is_no_guess_costs_nothing_and_is_told_as_it_is(rates: Rates) -> None:
    for _ in range(limits.ADDRESS_GUESSES_BURST + 1):
        guess(rates, ANN)
    for code in (Code.LINK_REVOKED, Code.LINK_EXPIRED, Code.ROLE_TOO_LOW, Code.FILE_UNKNOWN, Code.ROOM_FULL):
        error = Refused(code)
        assert rates.judge(ANN, error) is error
    before_s = wait_s(guess(rates, ANN))
    rates.judge(ANN, Refused(Code.LINK_REVOKED))
    assert wait_s(guess(rates, ANN)) == before_s + 1 / limits.ADDRESS_GUESSES_PER_S


def test_addresses_are_remembered_within_a_bound(rates: Rates, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(limits, "RATED_ADDRESSES_MAX", 100)
    rates = Rates(Quotas(), clock)
    for number in range(1_000):
        rates.create(str(number))
        rates.transfer(str(number))
        guess(rates, str(number))
    assert rates.describe() == {"creating": 100, "transferring": 100, "guessing": 100}


# -- over real sockets, through a proxy that says who comes


@pytest.fixture
async def fronted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr(limits, "ADDRESS_GUESSES_BURST", 5)
    monkeypatch.setattr(limits, "ADDRESS_TRANSFERS_BURST", 3)
    config = Config(
        port=0,
        data=tmp_path / "data",
        trusted_proxy=(ipaddress.ip_network("127.0.0.1"),),
        quotas=Quotas(address_workspaces_per_hour=3),
    )
    async with running(config) as server:
        yield server


@pytest.fixture
def url(fronted: Running) -> str:
    return fronted.address.rstrip("/")


def by(address: str, key: str = "") -> dict[str, str]:
    return {"X-Forwarded-For": address} | ({"Authorization": f"Bearer {key}"} if key else {})


async def code_of(response: aiohttp.ClientResponse) -> tuple[int, int, int]:
    """Status, number, and the seconds to wait."""
    error = (await response.json())["error"]
    return response.status, error["code"], int(response.headers.get("Retry-After", "0"))


async def hello(http: aiohttp.ClientSession, url: str, workspace_id: str, key: str) -> dict[str, Any]:
    """What a hello by `ANN` is answered with."""
    async with http.ws_connect(f"{url}/ws/{workspace_id}", protocols=("carets.v1",), headers=by(ANN)) as socket:
        await socket.send_json({"type": "hello", "key": key})
        told: dict[str, Any] = json.loads((await socket.receive(10)).data)
        return told


async def test_a_guesser_is_slowed_at_every_door_and_right_keys_open_them(
    fronted: Running, url: str, http: aiohttp.ClientSession
) -> None:
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    links = f"{url}/api/workspaces/{workspace_id}/links"
    async with connect(url, workspace_id, keys["editor"]) as bystander:
        text = await bystander.open_file(1)
        text.append("before ")
        for _ in range(5):
            async with http.get(links, headers=by(ANN, "wrong")) as response:
                assert await code_of(response) == (403, Code.KEY_WRONG, 0)
        async with http.get(links, headers=by(ANN, "wrong")) as response:
            assert await code_of(response) == (429, Code.RATE_LIMITED, 4)
        for nowhere in (f"{url}/api/workspaces/AAAAAAAAAAAAAAAA/links", f"{url}/api/admin/usage"):
            async with http.get(nowhere, headers=by(ANN, "wrong")) as response:
                assert (await code_of(response))[:2] == (429, Code.RATE_LIMITED)
        told = await hello(http, url, workspace_id, "wrong")
        assert (told["type"], told["code"]) == ("refused", Code.RATE_LIMITED)
        assert 8_000 < told["retry_after_ms"] <= 10_000
        async with http.ws_connect(f"{url}/yjs/{workspace_id}/a.py?key=wrong", headers=by(ANN)) as socket:
            await socket.receive(10)
            assert socket.close_code == Code.RATE_LIMITED
        text.append("during ")
        assert (await hello(http, url, workspace_id, keys["viewer"]))["type"] == "welcome", "somebody else behind it"
        async with http.get(links, headers=by(ANN, keys["owner"])) as response:
            assert response.status == 200
        async with http.get(links, headers=by(BOB, "wrong")) as response:
            assert (await code_of(response))[1] == Code.KEY_WRONG
        text.append("after")
        await bystander.until_saved()
        assert (str(text), bystander.refusals) == ("before during after", [])
    assert fronted.lobby.around.metrics.refusals[Code.RATE_LIMITED] == 5


async def test_one_address_cannot_fill_the_server_with_workspaces(url: str, http: aiohttp.ClientSession) -> None:
    api = f"{url}/api/workspaces"
    for _ in range(3):
        async with http.post(api, json={}, headers=by(ANN)) as response:
            assert response.status == 201
    async with http.post(api, json={}, headers=by(ANN)) as response:
        status, code, retry_s = await code_of(response)
        assert (status, code) == (429, Code.RATE_LIMITED)
        assert 1190 < retry_s <= 1200
        assert "at most 3 workspaces an hour" in (await response.json())["error"]["text"]
    async with http.post(api, json={}, headers=by(BOB)) as response:
        assert response.status == 201


async def test_imports_and_exports_are_paced(url: str, http: aiohttp.ClientSession) -> None:
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    one = f"{url}/api/workspaces/{workspace_id}"
    outcomes = []
    for number in range(5):
        async with http.post(
            f"{one}/files", json={"files": {f"{number}": ""}}, headers=by(ANN, keys["editor"])
        ) as told:
            outcomes.append(told.status)
        async with http.get(f"{one}/export.zip", headers=by(ANN, keys["viewer"])) as told:
            outcomes.append(told.status)
    assert outcomes[:3] == [201, 200, 201]
    assert 429 in outcomes[3:]
    async with http.get(f"{one}/export.zip", headers=by(BOB, keys["viewer"])) as told:
        assert told.status == 200


async def test_a_wrong_key_costs_no_import_of_those_who_have_a_right_one(url: str, http: aiohttp.ClientSession) -> None:
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    one = f"{url}/api/workspaces/{workspace_id}"
    for _ in range(10):
        async with http.post(f"{one}/files", json={"files": {"x": ""}}, headers=by(ANN, "wrong")) as told:
            assert told.status in (403, 429)
    async with http.post(f"{one}/files", json={"files": {"x": ""}}, headers=by(ANN, keys["editor"])) as told:
        assert told.status == 201


async def test_every_door_counts_what_is_read_for_an_address(
    url: str, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    monkeypatch.setattr(limits, "ADDRESS_OPENINGS_MAX", 0)
    async with http.get(f"{url}/api/workspaces/{workspace_id}/chat", headers=by(ANN, keys["viewer"])) as told:
        assert (await told.json())["error"]["code"] == Code.ROOMS_TOO_MANY
    page = await http.ws_connect(f"{url}/ws/{workspace_id}", protocols=("carets.v1",), headers=by(ANN))
    await page.send_json({"type": "hello", "key": keys["viewer"]})
    assert (await page.receive_json())["code"] == Code.ROOMS_TOO_MANY
    stock = await http.ws_connect(f"{url}/yjs/{workspace_id}/a.py?key={keys['viewer']}", headers=by(ANN))
    await stock.receive()
    assert stock.close_code == Code.ROOMS_TOO_MANY
    monkeypatch.undo()
    async with http.get(f"{url}/api/workspaces/{workspace_id}/chat", headers=by(ANN, keys["viewer"])) as told:
        assert told.status == 200
