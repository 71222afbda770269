"""HTTPS by the server itself: which certificates it takes, makes, and changes while people are connected."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from carets import certificate
from carets.certificate import keep, names_of
from carets.config import Config
from carets.errors import Misconfigured
from carets.server import Running, running
from carets.tls import KEPT, Tls
from tests.peer import create_workspace, join
from tests.serving import ServerProcess
from tests.test_server import failed_start

NOW = datetime(2031, 5, 17, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Pair(NamedTuple):
    """A certificate and its key, as files."""

    cert: Path
    key: Path

    @property
    def options(self) -> tuple[str, ...]:
        return ("--tls-cert", str(self.cert), "--tls-key", str(self.key))

    @property
    def config(self) -> Config:
        return Config(tls_cert=self.cert, tls_key=self.key, data=self.cert.parent / "data")


def pair(
    folder: Path, name: str, begin: timedelta = -DAY, end: timedelta = DAY, password: bytes = b"", kind: str = "ec"
) -> Pair:
    """A certificate as others would make it."""
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + begin)
        .not_valid_after(now + end)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    files = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    files.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock))
    return files


# -- certificates that are given


def refusal(config: Config) -> str:
    """What is said of a certificate that cannot be used: one line."""
    with pytest.raises(Misconfigured) as caught:
        Tls.of(config)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_what_is_wrong_with_a_certificate_is_said_with_what_to_do(tmp_path: Path) -> None:
    good, other = pair(tmp_path, "good"), pair(tmp_path, "other")
    assert Tls.of(good.config) is not None
    mixed = Pair(good.cert, other.key)
    assert "other.key is not the key of" in refusal(mixed.config)
    assert "missing.crt cannot be read" in refusal(good._replace(cert=tmp_path / "missing.crt").config)
    assert "cannot be read (Is a directory)" in refusal(good._replace(key=tmp_path).config)
    swapped = Pair(good.key, good.cert)
    assert "-----BEGIN CERTIFICATE-----" in refusal(swapped.config)
    assert "-----BEGIN PRIVATE KEY-----" in refusal(Pair(good.cert, good.cert).config)
    (tmp_path / "garbage").write_bytes(b"\x00\xff" * 99)
    assert "holds no certificate" in refusal(good._replace(cert=tmp_path / "garbage").config)
    assert "holds no key" in refusal(good._replace(key=tmp_path / "garbage").config)
    assert "openssl pkey" in refusal(pair(tmp_path, "locked", password=b"secret").config)
    assert "renew it" in refusal(pair(tmp_path, "old", begin=-2 * DAY, end=-DAY).config)
    assert "clock" in refusal(pair(tmp_path, "young", begin=DAY, end=2 * DAY).config)


async def test_a_certificate_that_does_not_fit_its_key_does_not_start(tmp_path: Path) -> None:
    good, other = pair(tmp_path, "good"), pair(tmp_path, "other")
    text = await failed_start("--port", "0", "--data", str(tmp_path / "data"), *Pair(good.cert, other.key).options)
    assert "--tls-key" in text


# -- a certificate of our own


def kept(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_certificate_of_our_own_is_for_this_machine_and_lasts_as_long_as_browsers_allow(tmp_path: Path) -> None:
    path = tmp_path / KEPT
    names = names_of("192.0.2.7", "https://code.example.org:8443")
    keep(path, names, NOW)
    made = kept(path)
    told = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    dns, addresses = told.get_values_for_type(x509.DNSName), told.get_values_for_type(x509.IPAddress)
    assert {"localhost", "code.example.org", socket.gethostname().lower()} <= set(dns)
    assert {ipaddress.ip_address(text) for text in ("127.0.0.1", "::1", "192.0.2.7")} <= set(addresses)
    assert made.not_valid_after_utc - made.not_valid_before_utc <= 398 * DAY
    assert made.not_valid_before_utc < NOW < made.not_valid_after_utc - 366 * DAY
    public = made.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.curve.name == "secp256r1"
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca, "it signs no other"
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_stays_while_it_can_and_is_made_anew_when_it_must(tmp_path: Path) -> None:
    path = tmp_path / KEPT
    keep(path, ["localhost", "a.lan"], NOW)
    first = path.read_bytes()
    keep(path, ["localhost"], NOW + 300 * DAY)
    assert path.read_bytes() == first, "people have compared its fingerprint"
    keep(path, ["localhost", "b.lan"], NOW)
    second = kept(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert second.get_values_for_type(x509.DNSName) == ["localhost", "b.lan", "a.lan"]
    before = path.read_bytes()
    keep(path, ["localhost", "a.lan"], NOW)
    assert path.read_bytes() == before, "to go back to an earlier network changes nothing"
    keep(path, ["localhost"], NOW + 370 * DAY)
    assert kept(path).not_valid_after_utc > NOW + 700 * DAY
    for spoiled in (b"", b"garbage", path.read_bytes()[: path.read_bytes().index(b"-----BEGIN PRIVATE")]):
        path.write_bytes(spoiled)
        keep(path, ["localhost"], NOW)
        assert kept(path).not_valid_after_utc > NOW


def test_names_that_no_certificate_can_hold_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "x" * 300)
    names = names_of("0.0.0.0", "https://bücher.example")
    assert "xn--bcher-kva.example" in names
    assert ipaddress.ip_address("0.0.0.0") not in names
    assert not [name for name in names if "xxx" in str(name)]


def test_addresses_that_change_by_themselves_are_left_out() -> None:
    table = (
        "20010db8000000000000000000000001 02 40 00 80     eth0\n"
        "20010db8000000000000000000000002 02 40 00 01     eth0\n"
        "fe800000000000000000000000000001 02 40 20 80     eth0\n"
        "00000000000000000000000000000001 01 80 10 80       lo\n"
    )
    assert list(certificate._ipv6_addresses(table)) == [ipaddress.ip_address("2001:db8::1")]


def test_whoever_finds_the_names_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object) -> None:
        raise AssertionError("a resolver was asked")

    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getfqdn", "getnameinfo"):
        monkeypatch.setattr(socket, name, ask)
    assert ipaddress.ip_address("127.0.0.1") in names_of("127.0.0.1", "")


# -- over a real socket


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(Config(port=0, data=tmp_path / "data", tls="self-signed")) as server:
        yield server


def trusting(cert: Path) -> ssl.SSLContext:
    """A client that trusts this certificate alone, and looks at its names."""
    return ssl.create_default_context(cafile=cert)


@pytest.fixture
async def client(secure: Running, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(ssl=trusting(tmp_path / "data" / KEPT))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def test_people_edit_together_over_wss(secure: Running, client: aiohttp.ClientSession) -> None:
    url = secure.address.rstrip("/")
    assert url == f"https://127.0.0.1:{secure.port}"
    workspace_id, keys = await create_workspace(client, url, {"a.py": ""})
    ann, bob = [await join(client, url, workspace_id, keys["editor"]) for _ in range(2)]
    on_ann, on_bob = await ann.open_file(1), await bob.open_file(1)
    on_ann.append("over TLS")
    await bob.until(lambda: str(on_bob) == "over TLS")
    async with client.post(url + "/api/workspaces", json={}) as response:
        assert (await response.json())["links"]["owner"].startswith(url)
    await ann.close()
    await bob.close()


async def test_a_slow_reader_over_tls_lags_and_comes_back_right(secure: Running, client: aiohttp.ClientSession) -> None:
    url = secure.address.rstrip("/")
    workspace_id, keys = await create_workspace(client, url, {"a.py": ""})
    ann, slow = [await join(client, url, workspace_id, keys["editor"]) for _ in range(2)]
    on_ann, on_slow = await ann.open_file(1), await slow.open_file(1)
    connection = slow.socket._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.pause_reading()
    member = secure.lobby.rooms[workspace_id].members[slow.welcome["member_id"]]
    for _ in range(400):
        on_ann.append("x" * 50_000)
        if member.outbox.lagging:
            break
        await ann.until_saved()
    assert member.outbox.lagging
    on_ann.append(" the end")
    await ann.until_saved()
    connection.transport.resume_reading()
    await slow.until(lambda: str(on_slow).endswith(" the end"))
    assert str(on_slow) == str(on_ann)
    await ann.close()
    await slow.close()


async def test_nothing_older_than_tls_1_2_is_spoken(secure: Running) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    assert secure.tls is not None
    assert secure.tls.context.minimum_version is ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError):  # noqa: PT011 - an alert or a reset, as the loop likes
        await asyncio.open_connection("127.0.0.1", secure.port, ssl=old)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    _, writer = await asyncio.open_connection("127.0.0.1", secure.port, ssl=old)
    writer.close()


async def test_who_speaks_plain_http_to_it_is_hung_up_on_and_it_goes_on(
    secure: Running, client: aiohttp.ClientSession
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", secure.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"HTTP" not in await reader.read()
    writer.close()
    async with client.get(secure.address + "healthz") as response:
        assert response.status == 200


# -- while it runs


async def shown(port: int) -> bytes:
    """The certificate that a new connection sees, as DER."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    told: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return told


async def until_shown(port: int, cert: Path) -> None:
    """Connect until this certificate is shown."""
    wanted = kept(cert).public_bytes(serialization.Encoding.DER)
    async with asyncio.timeout(10):
        while await shown(port) != wanted:
            pass


async def test_sighup_changes_the_certificate_and_drops_nobody(tmp_path: Path) -> None:
    """Certificates are renewed every few weeks, and the new one may have another kind of key.

    A context that is loaded anew keeps a certificate for each kind, and would go on showing the old one.
    """
    given, fresh = pair(tmp_path, "given"), pair(tmp_path, "fresh", kind="rsa")
    server = ServerProcess(tmp_path / "data", *given.options)
    await server.start()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting(given.cert))) as http:
            workspace_id, keys = await create_workspace(http, server.url, {"a.py": ""})
            peer = await join(http, server.url, workspace_id, keys["editor"])
            replica = await peer.open_file(1)
            await until_shown(server.port, given.cert)
            fresh.cert.replace(given.cert)
            server.signal(signal.SIGHUP)
            while "certificate_refused" not in server.log:
                await shown(server.port)
            fresh.key.replace(given.key)
            server.signal(signal.SIGHUP)
            await until_shown(server.port, given.cert)
            replica.append("still here")
            await peer.until_saved()
            await peer.close()
        assert await server.stop() == 0
        assert "is not the key of" in server.log
    finally:
        await server.kill()


async def test_the_fingerprint_that_is_printed_is_the_one_that_browsers_show(tmp_path: Path) -> None:
    tls = Tls.of(Config(data=tmp_path, tls="self-signed"))
    assert tls is not None
    digest = kept(tmp_path / KEPT).fingerprint(hashes.SHA256())
    assert tls.fingerprint == ":".join(f"{byte:02X}" for byte in digest)


async def test_a_certificate_of_our_own_is_renewed_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = Tls.of(Config(data=tmp_path, tls="self-signed"))
    assert tls is not None
    first, at = tls.fingerprint, datetime.now(UTC)
    monkeypatch.setattr(certificate, "now", lambda: at + 360 * DAY)
    tls.look()
    assert tls.fingerprint == first
    monkeypatch.setattr(certificate, "now", lambda: at + 380 * DAY)
    tls.look()
    assert tls.fingerprint != first


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_key_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    good = pair(tmp_path, "good")
    good.key.chmod(0)
    assert "rights" in refusal(good.config)
