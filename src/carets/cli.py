"""The command ``carets``.

Owns: its words. Does not know: what they do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

import carets
from carets.admin import add_admin_commands, ids_last
from carets.commands import add_care_commands
from carets.config import add_serve_options, read_config
from carets.errors import Misconfigured
from carets.server import serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns the exit status: 0 done, 1 the data is not sound, 2 something must be changed first, 130 interrupted.
    """
    try:
        options = parser().parse_args(ids_last(sys.argv[1:] if arguments is None else arguments))
        status: int = options.run(options)
    except Misconfigured as error:
        print(f"carets: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return status


class _Parser(argparse.ArgumentParser):
    """A parser, and those of its commands, whose complaint is one line as all others are."""

    def error(self, message: str) -> NoReturn:
        """Raises: Misconfigured."""
        raise Misconfigured(f"{' '.join(message.split())}: see `{self.prog} --help`")


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    made: argparse.ArgumentParser = _Parser(
        prog="carets", description="A self-hosted, real-time collaborative code editor."
    )
    made.add_argument("--version", action="version", version=f"carets {carets.__version__}")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serving = commands.add_parser("serve", help="start the server")
    add_serve_options(serving)
    serving.set_defaults(run=lambda options: serve(read_config(options)))
    add_care_commands(commands)
    add_admin_commands(commands)
    return made
