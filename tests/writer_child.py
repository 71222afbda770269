"""A writer in a process of its own, for tests that stop and continue it.

``python -m tests.writer_child URL WORKSPACE_ID KEY``. It types until a line comes on its standard input: how many edits
the others have typed in all. When its own are saved and all of those are here it tells what it has, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from random import Random

from tests.writers import TOKEN, Writer


async def main(url: str, workspace_id: str, key: str) -> None:
    writer = Writer("child", lambda: url, (workspace_id, key), Random(1))
    writer.is_typing = True
    writer.begin()
    others = int(await asyncio.to_thread(sys.stdin.readline))
    writer.is_typing = False

    def has_all() -> bool:
        return writer.is_level and len(TOKEN.findall(str(writer.text))) == others + len(writer.typed)

    await writer.news.until(has_all, lambda: f"for {others} edits of others")
    end = {"typed": len(writer.typed), "acked": len(writer.acked), "connections": writer.connections}
    print(json.dumps({**end, "text": str(writer.text)}))
    await writer.leave()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
