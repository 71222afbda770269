"""A certificate of the server's own making, for a network in which nobody else would vouch for it.

Owns: which names it is for, how long it lasts, when there must be another, and the file that keeps it with its key.
Does not know: TLS, where it is used.

Invariants:
  1. Whoever finds the names asks no resolver and sends no packet.
  2. The file is replaced whole, and only its owner can read it. The certificate can sign no other.

Source: RFC 5280; CA/Browser Forum Baseline Requirements, 6.3.2 (398 days, above which browsers take none).
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from carets.errors import Misconfigured

LASTS = timedelta(days=397)
"""From its first to its last moment: a day below what browsers allow."""

_BEGAN = timedelta(days=1)
"""How long ago it began: for people whose clocks are behind."""

RENEWED_BEFORE_END = timedelta(days=30)
"""What is left of it when it is made anew: long enough for a server that is started once a month."""

_NAMES_MAX = 60
"""Names of one certificate: what a machine has, and what it had before."""

_SIOCGIFADDR = 0x8915
_TEMPORARY_OR_UNUSABLE = 0x01 | 0x08 | 0x20 | 0x40
"""Flags of IPv6 addresses that change by themselves or must not be used. Source: Linux, if_addr.h."""

Name = str | ipaddress.IPv4Address | ipaddress.IPv6Address


def names_of(host: str, public_url: str) -> list[Name]:
    """All names by which this machine can be reached, as far as it knows without asking anybody."""
    found: list[Name] = ["localhost", ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    for text in (socket.gethostname(), host, urlsplit(public_url).hostname or ""):
        with contextlib.suppress(ValueError):
            found.append(_name(text))
    with contextlib.suppress(OSError):
        found.extend(_addresses())
    return [name for name in dict.fromkeys(found) if isinstance(name, str) or not name.is_unspecified]


def _name(text: str) -> Name:
    """Raises: ValueError for what no certificate can hold."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        name = text.encode("idna").decode().lower()
        if not name:
            raise
        return name


def _addresses() -> Iterator[Name]:
    """The addresses of this machine's networks. A UDP socket that is connected has sent nothing yet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        if sys.platform == "linux":
            for _, card in socket.if_nameindex():
                with contextlib.suppress(OSError):  # a card without an IPv4 address
                    told = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", card.encode()[:15]))
                    yield ipaddress.ip_address(told[20:24])
            with contextlib.suppress(OSError):  # a kernel without IPv6
                yield from _ipv6_addresses(Path("/proc/net/if_inet6").read_text())
        else:
            probe.connect(("192.0.2.1", 9))  # an address of documentation: the way to it is the way out
            yield ipaddress.ip_address(probe.getsockname()[0])


def _ipv6_addresses(table: str) -> Iterator[Name]:
    """Those that hold beyond one cable and stay. Source: Linux, if6_seq_show."""
    for line in table.splitlines():
        address, _, _, scope, flags, _ = line.split()
        if scope == "00" and not int(flags, 16) & _TEMPORARY_OR_UNUSABLE:
            yield ipaddress.ip_address(bytes.fromhex(address))


def keep(path: Path, names: Iterable[Name], now: datetime) -> None:
    """See to it that the file holds a certificate for these names that lasts. Raises: Misconfigured.

    One that is there stays as long as it can, since people have compared its fingerprint.
    """
    before = _names_kept(path, now)
    wanted = list(names)
    if before is not None and set(wanted) <= set(before):
        return
    # Names of before stay: a laptop that goes to and fro between two networks keeps one certificate.
    everything = list(dict.fromkeys([*wanted, *(before or [])]))
    _write(path, _make(everything[:_NAMES_MAX], now))


def _names_kept(path: Path, now: datetime) -> list[Name] | None:
    """The names of the certificate that is kept; None when it is none that may be used on."""
    try:
        pem = path.read_bytes()
        certificate = x509.load_pem_x509_certificate(pem)
        key = serialization.load_pem_private_key(pem, None)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return None
    lasts = certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEWED_BEFORE_END
    if not lasts or key.public_key() != certificate.public_key():
        return None
    return [*names.get_values_for_type(x509.DNSName), *names.get_values_for_type(x509.IPAddress)]  # type: ignore[list-item]


def _make(names: list[Name], now: datetime) -> bytes:
    """A new key and its certificate, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Carets on {socket.gethostname()}"[:64])])
    told = [x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name) for name in names]
    usage = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEGAN)
        .not_valid_after(now - _BEGAN + LASTS)
        .add_extension(x509.SubjectAlternativeName(told), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, pem: bytes) -> None:
    fresh = path.with_suffix(".new")
    try:
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise Misconfigured(
            f"{path} cannot be written ({error.strerror}): make room there, or bring a certificate with --tls-cert"
        ) from error


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)
