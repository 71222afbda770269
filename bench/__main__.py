"""``python -m bench``: every benchmark, one after the other. ``--quick`` takes about a minute."""

from __future__ import annotations

import argparse
import asyncio

from bench import gate, page, rooms


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    gate.main()
    asyncio.run(rooms.main(quick=options.quick))
    asyncio.run(page.main(quick=options.quick))


if __name__ == "__main__":
    main()
