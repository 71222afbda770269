"""What there is in a room, told whole: to whoever comes in, and to whoever missed some of it.

Owns: the welcome, and the notices that stand for all of their kind. Does not know: who is told, and when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from carets.protocol import messages
from carets.rooms.chat import Chat
from carets.rooms.files import FileTable
from carets.rooms.member import Member
from carets.rooms.storage import RoomStorage
from carets.rooms.surroundings import Surroundings


class Whole:
    """The lists of one room. It shares the room's tables, and changes none."""

    def __init__(
        self,
        workspace_id: str,
        title: Callable[[], str],
        members: Mapping[int, Member],
        files: FileTable,
        chat: Chat,
        storage: RoomStorage,
    ) -> None:
        self._workspace_id = workspace_id
        self._title = title
        self._members = members
        self._files = files
        self._chat = chat
        self._storage = storage

    def welcome(self, member: Member, token: str, around: Surroundings) -> messages.Welcome:
        """What a member is told first, itself among the others."""
        return messages.Welcome(
            member_id=member.id,
            person=token,
            role=member.role.label,
            name=member.name,
            color=member.color,
            workspace_id=self._workspace_id,
            title=self._title(),
            files=self._files.listed(),
            members=self._present(),
            build=around.build,
            author=member.person,
            fault=self._storage.fault,
            carries=around.is_carrying(),
        )

    def notices(self) -> dict[type[messages.Notice], Callable[[], messages.Notice]]:
        """What a member is told that lagged, for each kind of notice that it must not miss."""
        return {
            messages.Files: lambda: messages.Files(self._files.listed(), full=True),
            messages.Members: lambda: messages.Members(self._present(), full=True),
            messages.ChatNotice: self._chat.tail,
            messages.WorkspaceNotice: lambda: messages.WorkspaceNotice(self._title()),
            messages.StorageNotice: lambda: messages.StorageNotice(self._storage.fault),
        }

    def _present(self) -> list[messages.MemberRecord]:
        return [member.record for member in self._members.values()]
