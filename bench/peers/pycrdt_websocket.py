"""pycrdt-websocket as its documentation puts it behind uvicorn. Usage: python pycrdt_websocket.py HOST PORT.

Persistence: none without a store; a room goes with its last member. Heartbeats: uvicorn pings every 20 s and closes
whose pong does not come within 20 s more. Beyond the documentation's lines, in its favour: uvloop, no line of log
per connection, messages of 64 MiB instead of 16, so that large documents can come in. Compression is uvicorn's
default; no member of a benchmark asks for it.
"""

import asyncio
import sys

import uvicorn  # type: ignore[import-not-found] # it has an environment of its own
import uvloop
from pycrdt.websocket import ASGIServer, WebsocketServer  # type: ignore[import-not-found]


async def main(host: str, port: int) -> None:
    """Serve until the process ends."""
    websocket_server = WebsocketServer()
    app = ASGIServer(websocket_server)
    config = uvicorn.Config(app, host=host, port=port, log_level="warning", ws_max_size=64 << 20)
    server = uvicorn.Server(config)
    async with websocket_server:
        await server.serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], int(sys.argv[2])))
