"""Where the outside comes in: WebSocket, stock Yjs door, REST and pages. Sole importers of aiohttp."""
