"""``carets serve`` with another folder for the page, for tests of pages that are older, newer or not whole.

``python -m tests.page_server FOLDER --port 0 --data DIR``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from carets import config, server
from carets.edges import pages

if __name__ == "__main__":
    pages.PAGE = Path(sys.argv[1])
    sys.exit(server.serve(config.parse(sys.argv[2:])))
