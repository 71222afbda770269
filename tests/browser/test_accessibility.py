"""For everyone: axe finds nothing serious on any screen, light and dark, wide and on a phone.

What axe cannot see (the order of focus, what is said when) has tests of its own beside each feature.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import People
from tests.browser.conftest import Workspaces
from tests.browser.tour import Tour

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_RUN = """async (tags) => {
    const { violations } = await axe.run(document, { runOnly: { type: "tag", values: tags } });
    return violations.map(({ id, impact, help, nodes }) => ({
        id, impact, help,
        targets: nodes.slice(0, 5).map((node) => `${node.target.join(" ")} ${node.failureSummary ?? ""}`),
    }));
}"""


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_screen_keeps_anybody_out(people: People, workspaces: Workspaces, scheme: str, width: int) -> None:
    axe = AXE.read_text()
    found: dict[str, list[Any]] = {}
    seen: list[str] = []
    async for stop in Tour(people, workspaces, scheme=scheme, width=width).stops():
        seen.append(stop.name)
        await stop.page.evaluate(axe)
        if violations := await stop.page.evaluate(_RUN, RULES):
            found[stop.name] = violations
    assert len(seen) >= 40, seen
    assert not found, "\n".join(f"{name}: {each}" for name, all_of in found.items() for each in all_of)
