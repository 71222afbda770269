"""``carets serve`` that puts idle rooms away sooner, so that a short soak sees that, too.

``python -m tests.soak.host IDLE_S SWEEP_S --port 0 --data DIR``.
"""

from __future__ import annotations

import sys

from carets import config, server
from carets.rooms import lobby

if __name__ == "__main__":
    lobby.Lobby.sweep.__defaults__ = (float(sys.argv[1]),)
    lobby._SWEEP_S = float(sys.argv[2])
    sys.exit(server.serve(config.parse(sys.argv[3:])))
