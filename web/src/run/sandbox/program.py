"""Runs one file of the workspace as ``__main__``, as ``python FILE`` would, and answers with its exit code.

Owns: what the program finds around it, and how its end is told. Does not know: JavaScript, but for two functions:
`flush` sends what was printed, and `pause`, where there is one, waits for milliseconds without using the processor.
"""

# ruff: noqa: BLE001, S102, SLF001, T201 - running, and printing how it ended, is what this module is for

import asyncio
import atexit
import builtins
import linecache
import os
import sys
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path

ROOT = "/workspace"
"""Where the files of the workspace lie."""
ERROR_CODE = 1


def run(path: str, flush: Callable[[], None], pause: Callable[[float], None] | None) -> int:
    """Run the file at `path` of the workspace."""
    place = f"{ROOT}/{path}"
    os.chdir(ROOT)
    sys.argv[:] = [path]
    sys.path[:] = [place.rpartition("/")[0], *([ROOT] if "/" in path else []), *(each for each in sys.path if each)]
    sys.dont_write_bytecode = True
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    time.sleep = sleep_with(flush, pause)
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=place, __builtins__=builtins)
    sys.modules["__main__"] = main
    try:
        code = compile(Path(place).read_bytes(), place, "exec", dont_inherit=True)
        exec(code, main.__dict__)
    except BaseException as error:
        return told(error)
    return 0


async def finish(code: int) -> int:
    """Wait for the tasks that the program has left running, then let it clean up."""
    own = asyncio.current_task()
    while tasks := [task for task in asyncio.all_tasks() if task is not own]:
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
                code = told(outcome) or code
    try:
        atexit._run_exitfuncs()
    except BaseException as error:
        code = told(error) or code
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def told(error: BaseException) -> int:
    """Tell how the program ended, without the frames of this module. Returns the exit code."""
    sys.stdout.flush()
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return int(error.code or 0)
        print(error.code, file=sys.stderr)
        return ERROR_CODE
    linecache.checkcache()
    trace = error.__traceback__
    while trace is not None and not trace.tb_frame.f_code.co_filename.startswith(ROOT):
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace)
    if isinstance(error, EOFError):
        print("The program asked for more input than was given. Write it into Input, then run again.", file=sys.stderr)
    elif isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("_"):
        print("Here are Python's own modules and the files of this workspace; no packages.", file=sys.stderr)
    elif isinstance(error, MemoryError):
        print("The program took all the memory that a run may have.", file=sys.stderr)
    return ERROR_CODE


def sleep_with(flush: Callable[[], None], pause: Callable[[float], None] | None) -> Callable[[float], None]:
    """A `time.sleep` before which one sees what was printed."""
    busy = time.sleep

    def sleep(seconds: float, /) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        flush()
        if pause is None or asyncio._get_running_loop() is not None:
            busy(seconds)
        else:
            pause(seconds * 1000)

    return sleep


# What the worker gets is the value of the last expression.
(run, finish)  # noqa: B018
