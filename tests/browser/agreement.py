"""What it means that nothing was lost: everybody has the same text, and in it what each one typed, in order."""

from __future__ import annotations

from collections.abc import Iterable

from tests.browser.page import WorkspacePage
from tests.peer import Peer, Replica


async def until_agreed(
    path: str, units: int, pages: Iterable[WorkspacePage], witness: Peer, replica: Replica, wait_s: float = 20.0
) -> str:
    """Wait until the server's text has so many code points and all pages read the same. Returns the text."""
    await witness.until(lambda: len(str(replica)) >= units, f"for {units} characters")
    text = str(replica)
    for page in pages:
        await page.until_text(path, text, wait_s)
        await page.until_saved(wait_s)
    assert len(str(replica)) == units, f"{len(str(replica))} characters instead of {units}: something came twice"
    return text


def typed_by(text: str, alphabet: str) -> str:
    """What was typed by the one who uses these characters only."""
    return "".join(character for character in text if character in alphabet)
