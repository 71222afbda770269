"""The JSON messages of ``carets.v1``: a closed set, each a struct with a ``type``.

Owns: their fields and bounds on shape. Does not know: who may send what, and what follows from it.

Invariant: `decode_request` returns one of `Request` or raises `WireError`, for any bytes whatever.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

import msgspec

from carets import limits
from carets.errors import CaretsError, Code, WireError

FileId = Annotated[int, msgspec.Meta(ge=1, le=limits.FILE_ID_MAX)]
ClientId = Annotated[int, msgspec.Meta(ge=0, le=limits.CLIENT_ID_MAX)]
RequestId = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
ShortText = Annotated[str, msgspec.Meta(max_length=1024)]
Path = Annotated[str, msgspec.Meta(max_length=16 * 1024)]
Nonce = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
SignalKind = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_.\-]{1,32}\Z")]
RoleName = Literal["viewer", "editor", "owner"]
LineEnd = Literal["lf", "crlf"]
FaultName = Literal["full", "read_only", "failing", "damaged", "stalled"]
"""Why the server cannot save: its disk is full, is read-only, fails or does not answer; or its data are damaged."""


class FileRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file of a workspace: `file_id` never changes; `epoch` names the history that its document has."""

    file_id: int
    path: str
    epoch: str
    eol: LineEnd = "lf"
    deleted_at_ms: int | None = None


class MemberRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One member as the others see it; `file_id` is the file that it looks at."""

    member_id: int
    name: str
    color: str
    role: RoleName
    file_id: int | None = None


class ChatRecord(msgspec.Struct, frozen=True):
    """One message of a workspace's chat: `chat_id` counts from 1 without gaps, `author` is a person."""

    chat_id: int
    at_ms: int
    author: str
    name: str
    color: str
    text: str


# -- to the server


class Hello(msgspec.Struct, tag_field="type", tag="hello"):
    """The first frame: the link's key, the person token of an earlier welcome, a name and a colour.

    `page` is a random id of this page's life: an earlier connection of the same person and page is dead.
    """

    key: ShortText = ""
    person: ShortText = ""
    name: ShortText = ""
    color: ShortText = ""
    page: ShortText = ""


class Profile(msgspec.Struct, tag_field="type", tag="profile"):
    """A new name and colour."""

    name: ShortText
    color: ShortText


class OpenFile(msgspec.Struct, tag_field="type", tag="open_file"):
    """Declares the Yjs client id for a file, and the epoch of the history that the client holds, if any."""

    file_id: FileId
    client_id: ClientId
    epoch: ShortText = ""


class CloseFile(msgspec.Struct, tag_field="type", tag="close_file"):
    """No more frames of this file."""

    file_id: FileId


class CreateFile(msgspec.Struct, tag_field="type", tag="create_file"):
    """A new, empty file. `eol` is what an export writes at line ends; inside it is always a line feed."""

    path: Path
    eol: LineEnd = "lf"
    request: RequestId | None = None


class RenameFile(msgspec.Struct, tag_field="type", tag="rename_file"):
    """Another path for a file."""

    file_id: FileId
    path: Path
    request: RequestId | None = None


class DeleteFile(msgspec.Struct, tag_field="type", tag="delete_file"):
    """Makes a file a tombstone, which can be restored."""

    file_id: FileId
    request: RequestId | None = None


class RestoreFile(msgspec.Struct, tag_field="type", tag="restore_file"):
    """Takes a tombstone back, at its old path or at another."""

    file_id: FileId
    path: Path | None = None
    request: RequestId | None = None


class RenameFolder(msgspec.Struct, tag_field="type", tag="rename_folder"):
    """Another path for a folder: all files below it move at once, or none."""

    path: Path
    to: Path
    request: RequestId | None = None


class DeleteFolder(msgspec.Struct, tag_field="type", tag="delete_folder"):
    """Makes all files below a folder tombstones at once."""

    path: Path
    request: RequestId | None = None


class Place(msgspec.Struct, tag_field="type", tag="place"):
    """The file that this member looks at; null for none."""

    file_id: FileId | None


class Chat(msgspec.Struct, tag_field="type", tag="chat"):
    """A message to everybody. A client that may send it again does so with the same `nonce`: it is kept once."""

    text: str
    nonce: Nonce
    request: RequestId | None = None


class Signal(msgspec.Struct, tag_field="type", tag="signal"):
    """Something for the other members of this moment, or for one; never kept. `data` is any JSON."""

    kind: SignalKind
    data: msgspec.Raw
    to: int | None = None


class Ping(msgspec.Struct, tag_field="type", tag="ping"):
    """Asks for a pong: a page sees no control frames."""


FileRequest = CreateFile | RenameFile | DeleteFile | RestoreFile | RenameFolder | DeleteFolder
"""What changes the list of files."""

Request = Hello | Profile | OpenFile | CloseFile | FileRequest | Place | Chat | Signal | Ping


# -- from the server


class ClientLimits(msgspec.Struct, frozen=True):
    """What a client must keep to, in bytes, UTF-16 units and counts."""

    part_bytes_max: int = limits.PART_BYTES_MAX
    update_bytes_max: int = limits.UPDATE_BYTES_MAX
    document_units_max: int = limits.DOCUMENT_UNITS_MAX
    presence_bytes_max: int = limits.PRESENCE_BYTES_MAX
    files_max: int = limits.FILES_MAX
    name_units_max: int = limits.NAME_UNITS_MAX
    chat_units_max: int = limits.CHAT_UNITS_MAX
    signal_bytes_max: int = limits.SIGNAL_BYTES_MAX


class Welcome(msgspec.Struct, tag_field="type", tag="welcome"):
    """The answer to hello: who the member is, and the workspace as it is committed."""

    member_id: int
    person: str
    role: RoleName
    name: str
    color: str
    workspace_id: str
    title: str
    files: list[FileRecord]
    members: list[MemberRecord]
    build: str
    author: str
    """The member's own person, as chat names it."""
    limits: ClientLimits = ClientLimits()
    fault: FaultName | None = None
    """Why nothing can be saved at the moment."""
    carries: bool = False
    """Whether an older backup was restored, and what the client has of other files is wanted, too."""


class Files(msgspec.Struct, tag_field="type", tag="files", omit_defaults=True):
    """Files that are new or changed; with `full`, all there are. `request` answers the one who asked."""

    files: list[FileRecord]
    full: bool = False
    request: int | None = None


class Members(msgspec.Struct, tag_field="type", tag="members", omit_defaults=True):
    """Members that came or changed and ids that left; with `full`, all there are."""

    members: list[MemberRecord]
    left: list[int] = []
    full: bool = False


class Saved(msgspec.Struct, tag_field="type", tag="saved"):
    """The first `count` step 2 and update frames of this connection are on disk."""

    count: int


class ChatNotice(msgspec.Struct, tag_field="type", tag="chat", omit_defaults=True):
    """Messages of the chat; with `full`, the latest there are. `request` answers the one who sent it."""

    entries: list[ChatRecord]
    full: bool = False
    request: int | None = None


class SignalNotice(msgspec.Struct, tag_field="type", tag="signal"):
    """A signal, and whose it is by the server's word."""

    member_id: int
    kind: str
    data: msgspec.Raw


class WorkspaceNotice(msgspec.Struct, tag_field="type", tag="workspace"):
    """The workspace has another title."""

    title: str


class StorageNotice(msgspec.Struct, tag_field="type", tag="storage"):
    """The server cannot save, and why; with null, it can again."""

    fault: FaultName | None


class Pong(msgspec.Struct, tag_field="type", tag="pong"):
    """The answer to ping."""


class RefusedNotice(msgspec.Struct, tag_field="type", tag="refused", omit_defaults=True):
    """Something was not done. `frame` counts from 1 the first update frame of `file_id` that was not taken."""

    code: int
    name: str
    text: str
    next_step: str
    file_id: int | None = None
    frame: int | None = None
    request: int | None = None
    retry_after_ms: int | None = None
    """In how many milliseconds another try is worth it, where that is known."""


class Draining(msgspec.Struct, tag_field="type", tag="draining"):
    """The server is about to restart: what is committed stays, reconnect soon."""


Notice = (
    Welcome
    | Files
    | Members
    | Saved
    | ChatNotice
    | SignalNotice
    | WorkspaceNotice
    | StorageNotice
    | Pong
    | RefusedNotice
    | Draining
)

_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_encoder = msgspec.json.Encoder()


def decode_request(text: str | bytes) -> Request:
    """Read one text frame.

    Raises: WireError MALFORMED_MESSAGE for whatever is not one of the closed set.
    """
    try:
        return _requests.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise WireError(Code.MALFORMED_MESSAGE, why(error)) from None


def why(error: Exception) -> str:
    """What msgspec has against a message, without the words of it that it quotes: a key may be among them."""
    return re.sub("'[^']*('|$)", "'…'", str(error))[:200]


def encode_notice(notice: Notice) -> bytes:
    """The JSON of one text frame, in UTF-8."""
    return _encoder.encode(notice)


def refusal(
    error: CaretsError, *, file_id: int | None = None, frame: int | None = None, request: int | None = None
) -> RefusedNotice:
    """The notice that tells a client of `error`."""
    name, text, next_step = error.code.name.lower(), error.sentence, error.row.next_step
    retry_after_ms = None if error.retry_after_s is None else math.ceil(error.retry_after_s * 1000)
    return RefusedNotice(int(error.code), name, text, next_step, file_id, frame, request, retry_after_ms)
