"""What a monitor and an operator ask: whether the process lives, whether it can serve, its numbers, what it is at.

Owns: ``/healthz``, ``/readyz``, ``/metrics``, ``/api/admin/describe``, and who may read them.
Does not know: what is counted, and how.

Source: docs/OPERATING.md, "Health", "Metrics" and "What the server is at".
"""

from __future__ import annotations

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from carets.edges.call import answer
from carets.edges.exposition import Exposition, new_registry
from carets.edges.tokens import Token
from carets.rooms.lobby import Lobby

PROBES = ("/healthz", "/readyz")
"""What is asked by any name, such as a container's: they tell nothing that is of use to a page of another site."""


class Monitor:
    """The routes for monitors."""

    def __init__(self, lobby: Lobby, exposition: Exposition, token: Token, *, metrics_open: bool) -> None:
        """`token` opens what is not for everybody; the numbers are, where `metrics_open`."""
        self._lobby = lobby
        self._exposition = exposition
        self._registry = new_registry(exposition)
        self._token = token
        self._metrics_open = metrics_open

    def routes(self) -> list[web.RouteDef]:
        """All routes of this edge."""
        return [
            web.get(PROBES[0], self.health),
            web.get(PROBES[1], self.readiness),
            web.get("/metrics", self.metrics),
            web.get("/api/admin/describe", self.describe),
        ]

    async def health(self, _: web.Request) -> web.Response:
        """That this process lives: its event loop came to answer. A new process would mend nothing that is not here."""
        return answer({"status": "ok"})

    async def readiness(self, _: web.Request) -> web.Response:
        """Whether new members can be served, and why not."""
        reasons = self._exposition.look().unready_reasons()
        return answer({"status": "unready" if reasons else "ready", "reasons": reasons}, 503 if reasons else 200)

    async def metrics(self, request: web.Request) -> web.Response:
        """The numbers, in Prometheus' text format. Raises: Refused."""
        if not self._metrics_open:
            self._token.check(request)
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    async def describe(self, request: web.Request) -> web.Response:
        """What the server is at, and some rooms by their ids, and after which to go on. Raises: Refused."""
        self._token.check(request)
        rooms = self._lobby.describe(request.query.get("after", ""))
        return answer({**self._exposition.look().describe(), **rooms})
