"""Pictures of every screen, wide and as on a phone, light and dark: ``python -m tests.browser.pictures FOLDER``."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import aiohttp

from tests.browser.chromium import People, chromium
from tests.browser.conftest import Workspaces
from tests.browser.tour import Tour
from tests.serving import serving


async def take(folder: Path, schemes: tuple[str, ...], widths: tuple[int, ...]) -> None:
    """All of them, as PNG files named after screen, width and scheme, in a folder that is there."""
    with tempfile.TemporaryDirectory() as data:
        async with serving(Path(data)) as server, chromium() as browser, aiohttp.ClientSession() as http:
            for scheme in schemes:
                for width in widths:
                    people = People(browser)
                    tour = Tour(people, Workspaces(server, http), scheme=scheme, width=width)
                    async for stop in tour.stops():
                        await stop.page.screenshot(path=folder / f"{stop.name}-{width}-{scheme}.png")
                        print(f"{stop.name} {width} {scheme}", flush=True)
                    await people.leave()


if __name__ == "__main__":
    schemes = tuple(word for word in sys.argv[2:] if not word.isdigit()) or ("light", "dark")
    widths = tuple(int(word) for word in sys.argv[2:] if word.isdigit()) or (1280, 360)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(folder, schemes, widths))
