"""The panel of runs as a person uses it.

Owns: how it is found on the page. Does not know: what a test runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from playwright.async_api import Locator, expect

from tests.browser.page import WorkspacePage

PYTHON_S = 60.0
"""Python takes some seconds to be there, the first time and on a busy machine more; it bounds a failure."""
AT_ONCE_S = 1.0
"""What a person takes for at once, with room for a machine that does other things, too."""


@dataclass(frozen=True)
class RunPanel:
    """The panel of one tab."""

    tab: WorkspacePage

    async def show(self) -> None:
        """Open it by its keys."""
        await self.tab.page.keyboard.press("Alt+o")
        await expect(self.region()).to_be_visible()

    def region(self) -> Locator:
        return self.tab.page.get_by_role("region", name="Output of runs")

    def output(self) -> Locator:
        return self.tab.page.get_by_role("log", name="Output of runs")

    def button(self, name: str | re.Pattern[str]) -> Locator:
        return self.region().get_by_role("button", name=name)

    async def start(self, path: str) -> None:
        """Open a file and run it by its button."""
        await self.tab.open_file(path)
        await self.button(f"Run {path.rpartition('/')[2]}").click()

    async def stop(self) -> None:
        """Stop it, and see that it is so at once."""
        await self.button("Stop").click()
        await self.until("stopped", AT_ONCE_S)

    async def until(self, state: str, wait_s: float = PYTHON_S) -> None:
        """Wait until the run that is shown is in a state."""
        await expect(self.region().locator("[data-run]")).to_have_attribute("data-run", state, timeout=wait_s * 1000)

    async def until_said(self, words: str | re.Pattern[str], wait_s: float = PYTHON_S) -> None:
        """Wait until it has printed something."""
        await expect(self.output()).to_contain_text(words, timeout=wait_s * 1000)

    async def run(self, path: str, state: str = "ended") -> str:
        """Run a file to its end. Returns what it printed."""
        await self.start(path)
        await self.until(state)
        return await self.output().inner_text()

    async def said(self) -> str:
        """The line about the state."""
        return await self.region().locator("[data-run]").inner_text()


async def open_panel(tab: WorkspacePage) -> RunPanel:
    """Show the panel in a tab."""
    panel = RunPanel(tab)
    await panel.show()
    return panel
