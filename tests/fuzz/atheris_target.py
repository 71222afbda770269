"""``python -m tests.fuzz.atheris_target NAME CORPUS SECONDS``: one target, led by the coverage of our own modules.

Owns: nothing but the start of libFuzzer, which ends the process. Linux on x86-64 only: `make fuzz` installs atheris.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

atheris: Any = importlib.import_module("atheris")
with atheris.instrument_imports(include=["carets"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name, corpus, seconds = sys.argv[1:]
    take, seeds = TARGETS[name]
    for at, data in enumerate(seeds):
        Path(corpus, f"seed-{at}").write_bytes(data)
    flags = [f"-max_total_time={seconds}", "-max_len=2048", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *flags, f"-artifact_prefix={corpus}.", corpus], take)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
