"""HTTPS: the certificate that is shown, checked before it is used and changed while the server runs.

Owns: the `SSLContext` of the port, what is wrong with a certificate and what the operator should do about it.
Does not know: sockets, how a certificate is made (`certificate`).

Invariants:
  1. A certificate that does not work is refused before a handshake sees it: they go on with the one before.
  2. Nothing older than TLS 1.2 is spoken; the rest is as Python and OpenSSL think right.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from carets import certificate
from carets.config import Config
from carets.errors import Misconfigured

_log = structlog.get_logger("carets.tls")

KEPT = "self-signed.pem"
"""Certificate and key of our own making, in the data directory."""

_LOOK_EVERY_S = 24 * 3600.0
"""Seconds between looks at whether the certificate is about to end."""

_WARNED_BEFORE_END = timedelta(days=14)
"""What is left of a given certificate when the log begins to warn: others renew theirs 30 days before."""


class Tls:
    """The server's side of HTTPS. Made by `of` only."""

    def __init__(self, cert: Path, key: Path, make: Callable[[datetime], None] | None) -> None:
        self._cert = cert
        self._key = key
        self._make = make
        self._shown, self._current = self._renewed(certificate.now())
        self.context = _new_context()
        # It holds no certificate itself: loaded anew, it would go on showing the old one to clients that prefer the
        # old one's kind of key.
        self.context.sni_callback = self._choose

    @classmethod
    def of(cls, config: Config) -> Tls | None:
        """What the configuration asks for; None for plain HTTP. Raises: Misconfigured."""
        if config.tls_cert is not None and config.tls_key is not None:
            return cls(config.tls_cert, config.tls_key, None)
        if config.tls == "off":
            return None
        path = config.data / KEPT

        def make(now: datetime) -> None:
            certificate.keep(path, certificate.names_of(config.host, config.public_url), now)

        return cls(path, path, make)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate, as browsers write it."""
        return self._shown.fingerprint(hashes.SHA256()).hex(":").upper()

    @property
    def is_self_made(self) -> bool:
        """Whether nobody but ourselves vouches for the certificate."""
        return self._make is not None

    def reload(self) -> None:
        """Take the certificate anew; connections stay, and new ones see it. What is wrong is logged."""
        before = self.fingerprint
        try:
            self._shown, self._current = self._renewed(certificate.now())
        except Misconfigured as error:
            _log.error("certificate_refused", error=str(error), kept=before)
        else:
            end = self._shown.not_valid_after_utc.date().isoformat()
            _log.info("certificate_loaded", fingerprint=self.fingerprint, new=self.fingerprint != before, ends=end)

    async def run(self) -> None:
        """Look once a day, for ever."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Once a day: make one of our own anew before it ends; warn of another."""
        left = self._shown.not_valid_after_utc - certificate.now()
        if self._make is not None:
            if left < certificate.RENEWED_BEFORE_END:
                self.reload()
        elif left < _WARNED_BEFORE_END:
            _log.warning("certificate_ends", days=left.days, next_step="renew it, then send SIGHUP")

    def _choose(self, handshake: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        """Called in each handshake, whether the client names a host or not."""
        handshake.context = self._current

    def _renewed(self, now: datetime) -> tuple[x509.Certificate, ssl.SSLContext]:
        if self._make is not None:
            self._make(now)
        leaf = _check(self._cert, self._key, now)
        context = _new_context()
        try:
            context.load_cert_chain(self._cert, self._key, password="")
        except OSError as error:  # an SSLError is one
            why = getattr(error, "reason", None) or error.strerror or "no reason given"
            raise Misconfigured(
                f"--tls-cert {self._cert} cannot be used ({why.replace('_', ' ').lower()}): name a PEM file with the "
                "certificate first and its chain behind it"
            ) from error
        return leaf, context


def _new_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _check(cert: Path, key: Path, now: datetime) -> x509.Certificate:
    """The certificate of these files, which fit each other and the calendar. Raises: Misconfigured."""
    try:
        leaf = x509.load_pem_x509_certificates(_read("--tls-cert", cert))[0]
    except ValueError:
        raise Misconfigured(
            f"--tls-cert {cert} holds no certificate that can be read: name a PEM file, which begins with "
            "-----BEGIN CERTIFICATE-----"
        ) from None
    try:
        private = serialization.load_pem_private_key(_read("--tls-key", key), None)
    except TypeError:
        raise Misconfigured(
            f"--tls-key {key} is encrypted: take the password off with 'openssl pkey -in {key} -out NEW' and name NEW, "
            "readable by this user only"
        ) from None
    except ValueError:
        raise Misconfigured(
            f"--tls-key {key} holds no key that can be read: name a PEM file with -----BEGIN PRIVATE KEY-----"
        ) from None
    if private.public_key() != leaf.public_key():
        raise Misconfigured(
            f"--tls-key {key} is not the key of --tls-cert {cert}: name a pair that belongs together; in a chain "
            "the server's own certificate comes first"
        )
    if now >= leaf.not_valid_after_utc:
        raise Misconfigured(f"--tls-cert {cert} ended on {leaf.not_valid_after_utc:%Y-%m-%d}: renew it")
    if now < leaf.not_valid_before_utc:
        raise Misconfigured(
            f"--tls-cert {cert} begins on {leaf.not_valid_before_utc:%Y-%m-%d}: set this machine's clock, or wait"
        )
    return leaf


def _read(option: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Misconfigured(
            f"{option} {path} cannot be read ({error.strerror}): check the path and this user's rights"
        ) from error
