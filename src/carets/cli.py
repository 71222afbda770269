"""The command ``carets``.

Owns: its words. Does not know: what they do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import carets
from carets.config import add_serve_options, read_config
from carets.errors import Misconfigured
from carets.server import serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 done, 2 something must be changed first."""
    parser = argparse.ArgumentParser(prog="carets", description="A self-hosted, real-time collaborative code editor.")
    parser.add_argument("--version", action="version", version=f"carets {carets.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_serve_options(commands.add_parser("serve", help="start the server"))
    options = parser.parse_args(arguments)
    try:
        config = read_config(options)
    except Misconfigured as error:
        print(f"carets: {error}", file=sys.stderr)
        return 2
    return serve(config)
