"""The operator's commands over workspaces: ``carets admin ...``.

Owns: their options, and what they print. Does not know: whether a server does it (`administration`).

Exit status: 0 done; 2 it was refused, or something must be changed first.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from carets import limits
from carets.administration import Administration, administer
from carets.commands import add_data_option, count, size, when
from carets.config import DEFAULT_PORT
from carets.protocol.access import is_workspace_id

_GUESSED_URL = f"http://127.0.0.1:{DEFAULT_PORT}"
"""Where a server is that was given no options, to the letter: another name for it is another site to browsers."""

_WORDS = {"log_bytes": "edits in all", "store_bytes": "data file", "free_bytes": "of that free for what comes"}
"""Numbers of `usage` whose names say less to people."""

_Work = Callable[[Administration, argparse.Namespace], None]


def ids_last(arguments: Sequence[str]) -> list[str]:
    """The same command, with a workspace's id that begins with a hyphen where it is no option: one in 64 does."""
    if not arguments or arguments[0] != "admin" or "--" in arguments:
        return list(arguments)
    ids = [each for each in arguments if each.startswith("-") and is_workspace_id(each)]
    return [*(each for each in arguments if each not in ids), *(["--", *ids] if ids else [])]


def add_admin_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``admin`` and its commands."""
    parser = commands.add_parser(
        "admin",
        help="see, delete and restore workspaces, make links and tokens anew; a server may run",
        description="See and change all workspaces of a data directory. When a server runs on it, the server does it.",
    )
    inner = parser.add_subparsers(dest="admin_command", required=True, metavar="COMMAND")
    listing = _add(inner, "workspaces", _list, "all workspaces, the oldest first")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    using = _add(inner, "usage", _usage, "how much there is, and how much of it is open")
    using.add_argument("--json", action="store_true", help="one JSON object")
    linking = _add(inner, "links", _make_links, "make the three links of a workspace anew, and print them")
    linking.add_argument("workspace", metavar="WORKSPACE", help="its id, as in its address")
    linking.add_argument("--revoke-old", action="store_true", help="revoke all links that there were")
    linking.add_argument(
        "--public-url",
        metavar="URL",
        default=os.environ.get("CARETS_PUBLIC_URL"),
        help=f"what the links begin with when no server runs (CARETS_PUBLIC_URL with CARETS_BASE_PATH; {_GUESSED_URL})",
    )
    for name, work, help_ in (
        ("delete", _delete, f"delete a workspace, so that it can be restored for {limits.TOMBSTONE_DAYS} days"),
        ("restore", _restore, "take back the deletion of a workspace"),
    ):
        _add(inner, name, work, help_).add_argument("workspace", metavar="WORKSPACE", help="its id")
    tokens = _add(inner, "token", _token, "print the admin token, or the create token")
    tokens.add_argument("name", nargs="?", choices=("admin", "create"), default="admin", help="which one (admin)")
    tokens.add_argument("--new", action="store_true", help="make another one; the one before opens nothing any more")
    _add(
        inner,
        "purge",
        _purge,
        f"remove for good what was deleted more than {limits.TOMBSTONE_DAYS} days ago; without a server, give its space"
        " back to the disk",
    )


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, work: _Work, help_: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help_, description=f"{help_[0].upper()}{help_[1:]}.")
    add_data_option(parser)
    parser.set_defaults(run=lambda options: _run(work, options))
    return parser


def _run(work: _Work, options: argparse.Namespace) -> int:
    public_url: str = getattr(options, "public_url", None) or _GUESSED_URL
    base_url = public_url.rstrip("/") + (os.environ.get("CARETS_BASE_PATH") or "").rstrip("/")
    audit_log = os.environ.get("CARETS_AUDIT_LOG")
    work(administer(options.data, base_url, Path(audit_log) if audit_log else None), options)
    return 0


def _all(administration: Administration) -> Iterator[dict[str, Any]]:
    after = 0
    while found := administration.workspaces(after):
        yield from found
        after = found[-1]["number"]


def _list(administration: Administration, options: argparse.Namespace) -> None:
    for each in _all(administration):
        if options.json:
            print(json.dumps(each))
            continue
        state = f"deleted {when(each['deleted_at_ms'])}" if each["deleted_at_ms"] else count(each["members"], "member")
        print(
            f"{each['workspace_id']}  {each['title']}\n"
            f"    created {when(each['created_at_ms'])}, changed {when(each['changed_at_ms'])},"
            f" {count(each['files'], 'file')}, {size(each['log_bytes'])} kept, {state}"
        )


def _usage(administration: Administration, options: argparse.Namespace) -> None:
    told = administration.usage()
    if options.json:
        print(json.dumps(told))
        return
    for name, value in told.items():
        words = _WORDS.get(name) or name.removesuffix("_bytes").replace("_", " ")
        print(f"{words}: {size(value) if name.endswith('_bytes') else f'{value:,}'}")


def _make_links(administration: Administration, options: argparse.Namespace) -> None:
    for role, url in administration.make_links(options.workspace, revoke_old=options.revoke_old).items():
        print(f"{role}: {url}")
    if not administration.has_server and not options.public_url:
        print(f"No server runs here, so {_GUESSED_URL} is a guess: name another with --public-url.", file=sys.stderr)


def _delete(administration: Administration, options: argparse.Namespace) -> None:
    administration.delete(options.workspace)
    print(f"{options.workspace} is deleted; for {limits.TOMBSTONE_DAYS} days it can be restored.")


def _restore(administration: Administration, options: argparse.Namespace) -> None:
    print(f"{options.workspace} is back: {administration.restore(options.workspace)}")


def _token(administration: Administration, options: argparse.Namespace) -> None:
    print(administration.renew_token(options.name) if options.new else administration.token(options.name))


def _purge(administration: Administration, _: argparse.Namespace) -> None:
    purged = administration.purge()
    print(f"Removed {count(purged['workspaces'], 'workspace')} and {count(purged['rows'], 'row')}.")
