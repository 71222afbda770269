"""What a monitor asks: whether the process lives, whether it can serve, and its numbers.

Owns: ``/healthz``, ``/readyz``, ``/metrics``, and who may read them. Does not know: what is counted, and how.

Source: docs/OPERATING.md, "Health" and "Metrics".
"""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from carets.edges.call import answer
from carets.edges.tokens import Token
from carets.rooms.lobby import Lobby


class Monitor:
    """The routes for monitors."""

    def __init__(self, lobby: Lobby, registry: CollectorRegistry, token: Token | None) -> None:
        """`token` opens the numbers; None where anyone may read them."""
        self._lobby = lobby
        self._registry = registry
        self._token = token

    def routes(self) -> list[web.RouteDef]:
        """All routes of this edge."""
        return [
            web.get("/healthz", self.health),
            web.get("/readyz", self.readiness),
            web.get("/metrics", self.metrics),
        ]

    async def health(self, _: web.Request) -> web.Response:
        """That this process lives: its event loop came to answer. A new process would mend nothing that is not here."""
        return answer({"status": "ok"})

    async def readiness(self, _: web.Request) -> web.Response:
        """Whether new members can be served, and why not."""
        reasons = self._lobby.unready_reasons()
        return answer({"status": "unready" if reasons else "ready", "reasons": reasons}, 503 if reasons else 200)

    async def metrics(self, request: web.Request) -> web.Response:
        """The numbers, in Prometheus' text format. Raises: Refused."""
        if self._token is not None:
            self._token.check(request)
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
