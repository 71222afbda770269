"""Who may do what: roles, the keys of links, the tokens of persons, and what names and paths may look like.

Owns: their form and their checks. Does not know: where they are kept; time and chance are passed in.

Invariants:
  1. A key is never kept, only its hash; comparisons take the same time whatever differs.
  2. What `clean_*` returns is NFC, bounded, and free of control and direction-changing characters.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable
from enum import IntEnum
from typing import Literal

from carets import limits
from carets.errors import Code, Refused
from carets.protocol import appearance

RoleName = Literal["viewer", "editor", "owner"]

_PERSON_BYTES = 12
_MAC_BYTES = 16
_COLOR = re.compile(r"#[0-9a-f]{6}")
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
WORKSPACE_ID_BYTES = 12
_RESERVED = re.compile(r'[<>:"|?*]')
"""Characters that Windows has no file names with; a colon there begins a hidden stream of a file, or names a drive."""

_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|(com|lpt)[0-9\u00b9\u00b2\u00b3]|conin\$|conout\$) *(\.|\Z)")
"""Names that Windows opens as devices, whatever their ending. Source: "Naming Files, Paths, and Namespaces" there."""

_MARKS_MAX = 30
"""Combining marks in a row: more than any language stacks. Source: UAX #15, stream-safe text format."""

_NAME_MARKS_MAX = 8
"""The same in what stands in one line: a name must not reach over its neighbours. Tibetan has some six."""


class Role(IntEnum):
    """What a link grants; a higher role may do all that a lower one may."""

    VIEWER = 1
    EDITOR = 2
    OWNER = 3

    @property
    def label(self) -> RoleName:
        """The role's name on the wire."""
        return _LABELS[self]

    @classmethod
    def of(cls, label: str) -> Role:
        """The role of this name. Raises: KeyError."""
        return cls[label.upper()]


_LABELS: dict[Role, RoleName] = {Role.VIEWER: "viewer", Role.EDITOR: "editor", Role.OWNER: "owner"}


def encode_token(raw: bytes) -> str:
    """Random bytes as the text of a key or an id."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def hash_key(key: str) -> bytes:
    """What the store keeps of a key. A key is 128 random bits, so a plain hash cannot be guessed backwards."""
    # A header's bytes that are no UTF-8 arrive as lone surrogates: a wrong key, not a mistake of ours.
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def key_matches(key: str, key_hash: bytes) -> bool:
    """Whether `key` is the one that was hashed; in constant time."""
    return hmac.compare_digest(hash_key(key), key_hash)


def sign_person(secret: bytes, workspace_id: str, person_id: bytes) -> str:
    """The token by which a browser proves, in one workspace, that it is the person that it was."""
    mac = hmac.digest(secret, workspace_id.encode() + b"\0" + person_id, "sha256")[:_MAC_BYTES]
    return encode_token(person_id + mac)


def read_person(secret: bytes, workspace_id: str, token: str) -> str | None:
    """The person of a token that this server signed for this workspace; None for any other."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    person_id = raw[:_PERSON_BYTES]
    if len(raw) != _PERSON_BYTES + _MAC_BYTES:
        return None
    if not hmac.compare_digest(sign_person(secret, workspace_id, person_id).encode(), encode_token(raw).encode()):
        return None
    return person_name(person_id)


def recognise(secret: bytes, workspace_id: str, token: str, entropy: Callable[[int], bytes]) -> tuple[str, str]:
    """The person of a token, and the token; a new person with a new one when it is none of this server's."""
    person = read_person(secret, workspace_id, token)
    if person is not None:
        return person, token
    person_id = new_person_id(entropy(16))
    return person_name(person_id), sign_person(secret, workspace_id, person_id)


def person_name(person_id: bytes) -> str:
    """How the log writes a person."""
    return "person:" + person_id.hex()


def link_person(link_id: str) -> str:
    """The person that all stock clients of one link share: they have no token."""
    return "link:" + link_id


def new_person_id(entropy: bytes) -> bytes:
    """A person id from at least twelve random bytes."""
    return entropy[:_PERSON_BYTES]


def is_workspace_id(text: str) -> bool:
    """Whether `text` has the length of the ids that are made here, which no key and no token has."""
    return is_id(text) and len(text) == len(encode_token(bytes(WORKSPACE_ID_BYTES)))


def is_id(text: str) -> bool:
    """Whether `text` can be the id of a workspace or a link at all."""
    return _ID.fullmatch(text) is not None


def clean_label(text: str, units_max: int, otherwise: str) -> str:
    """A name or title as it may be shown: what may not is taken out; `otherwise` when nothing is left."""
    shown = appearance.without_hidden(appearance.without_heaps(text[: 8 * units_max], _NAME_MARKS_MAX))
    shown = appearance.without_heaps(shown, _NAME_MARKS_MAX)[:units_max]
    return appearance.without_stray(shown).strip() or otherwise


def clean_color(text: str, seed: int) -> str:
    """A colour ``#rrggbb``; one of twelve by `seed` when `text` is none."""
    text = text.lower()
    return text if _COLOR.fullmatch(text) else PALETTE[seed % len(PALETTE)]


def clean_message(text: str) -> str:
    """A chat message as it may be shown: NFC, line feeds, nothing that controls or overrules the direction.

    Raises: Refused TEXT_INVALID when nothing is left, or more than `CHAT_UNITS_MAX` characters.
    """
    text = re.sub("\r\n|[\r\u2028\u2029]", "\n", text)
    shown = appearance.without_heaps(appearance.without_deceit(text), _MARKS_MAX)
    # Last, since taking a character out can bring two together that are one in NFC.
    shown = appearance.without_heaps(unicodedata.normalize("NFC", shown), _MARKS_MAX).strip()
    if not 1 <= len(shown) <= limits.CHAT_UNITS_MAX:
        raise Refused(Code.TEXT_INVALID, f"must have 1 to {limits.CHAT_UNITS_MAX} characters")
    return shown


PALETTE = (
    "#c2410c", "#b45309", "#4d7c0f", "#15803d", "#0f766e", "#0e7490",
    "#1d4ed8", "#4338ca", "#7e22ce", "#a21caf", "#be185d", "#be123c",
)  # fmt: skip
"""Colours of equal darkness: white letters on each keep a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3)."""


def clean_path(path: str) -> str:
    """A file's path in its one form: NFC, relative, parts joined by ``/``, and a path on every system.

    Whoever unpacks a workspace shall find each file where it is, and none elsewhere. Raises: Refused PATH_INVALID, with
    what is wrong.
    """
    if len(path) > 4 * limits.PATH_UNITS_MAX:
        raise Refused(Code.PATH_INVALID, f"longer than {limits.PATH_UNITS_MAX} characters")
    path = unicodedata.normalize("NFC", path)
    if not path or len(path) > limits.PATH_UNITS_MAX:
        raise Refused(Code.PATH_INVALID, f"must have 1 to {limits.PATH_UNITS_MAX} characters")
    if appearance.has_hidden(path) or appearance.has_heap(path, _NAME_MARKS_MAX):
        raise Refused(Code.PATH_INVALID, "control or hidden characters, or too many marks on one")
    if "\\" in path:
        raise Refused(Code.PATH_INVALID, "backslash; parts are divided by /")
    for part in path.split("/"):
        if part in ("", ".", ".."):
            raise Refused(Code.PATH_INVALID, "an empty part, '.' or '..'")
        if part != part.strip() or part.endswith("."):
            raise Refused(Code.PATH_INVALID, "a part begins or ends with a space, or ends with a dot")
        if _RESERVED.search(part) or _DEVICE.match(part):
            raise Refused(Code.PATH_INVALID, 'a name that Windows has not: one of <>:"|?*, or a device such as NUL')
        if len(part.encode()) > limits.PATH_PART_BYTES_MAX:
            raise Refused(Code.PATH_INVALID, f"a part is longer than {limits.PATH_PART_BYTES_MAX} bytes")
    if path.startswith("~"):
        raise Refused(Code.PATH_INVALID, "begins with ~, which the stock door keeps for file ids")
    return path


def clean_text(text: str) -> str:
    """A file's text in its one form: line ends are a line feed.

    Raises: Refused TEXT_INVALID for lone surrogates, DOCUMENT_TOO_LARGE above the limit.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        units = len(text.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        raise Refused(Code.TEXT_INVALID, "lone surrogates") from None
    if units > limits.DOCUMENT_UNITS_MAX:
        raise Refused(Code.DOCUMENT_TOO_LARGE, f"above {limits.DOCUMENT_UNITS_MAX} UTF-16 units")
    return text
