"""Browser, people and server of the browser tests."""

from __future__ import annotations

from tests.browser.conftest import browser, people, server, workspace, workspaces

__all__ = ["browser", "people", "server", "workspace", "workspaces"]
