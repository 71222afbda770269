"""A Chromium of this machine, and people in it.

Owns: how the browser is found and started, and that each person is a profile of their own. Does not know: the page.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from tests.browser.page import WAIT_S, WorkspacePage

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
"""Nothing but what the tests ask for goes over the network, and it runs as root and in small containers."""

COLORS = ("#1d4ed8", "#b45309", "#15803d", "#a21caf")
"""Of the page's palette: one person after the other."""

Complaints = list[str]

_PROFILE = """
if (localStorage.getItem("carets.profile") === null) localStorage.setItem("carets.profile", {profile});
"""


@contextlib.asynccontextmanager
async def chromium(flags: Sequence[str] = ()) -> AsyncIterator[Browser]:
    """A browser for the time of a module. Skips where there is none; `make test` installs it."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser on PATH: {', '.join(NAMES)}")
    async with async_playwright() as playwright:
        expect.set_options(timeout=WAIT_S * 1000)
        browser = await playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Person:
    """One person's browser: storage of its own, and any number of tabs."""

    context: BrowserContext
    complaints: Complaints = field(default_factory=list)
    """Exceptions that no page caught. A test ends with none but those that it brought about."""
    expected: str = ""
    """What the test made pages throw: it may go on to the end."""

    async def tab(self, url: str = "") -> WorkspacePage:
        """Open a tab."""
        page = await self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        tab = WorkspacePage(page)
        if url:
            await tab.open(url)
        return tab


class People:
    """Whoever takes part in one test."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._all: list[Person] = []

    async def person(self, name: str, script: str = "", **options: object) -> Person:
        """Someone new, by this name; `script` runs in each of their pages before ours."""
        context = await self._browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})  # type: ignore[arg-type]
        context.set_default_timeout(WAIT_S * 1000)
        color = COLORS[len(self._all) % len(COLORS)]
        profile = json.dumps(json.dumps({"name": name, "color": color}))
        await context.add_init_script("try {" + _PROFILE.format(profile=profile) + "} catch {}" + script)
        person = Person(context)
        self._all.append(person)
        return person

    async def tab(self, name: str, url: str) -> WorkspacePage:
        """Someone new with one tab."""
        return await (await self.person(name)).tab(url)

    async def leave(self) -> None:
        """Close their browsers; no page may have thrown."""
        for person in self._all:
            await person.context.close()
        complaints = [
            complaint
            for person in self._all
            for complaint in person.complaints
            if not person.expected or person.expected not in complaint
        ]
        assert not complaints, f"pages threw: {complaints}"
