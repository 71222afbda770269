"""What a signal may hold: any JSON that whoever receives it can read.

Owns: its bounds in bytes, depth and numbers. Does not know: what it means, who sends and hears it.
`messages.decode_request` has seen that it is JSON without lone surrogates; how deep and how large it is, nobody has.
"""

from __future__ import annotations

import math
import re

from carets import limits
from carets.errors import Code, Refused

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_BRACKET = re.compile(rb"[][{}]")
_NUMBER = re.compile(rb"[0-9][0-9.eE+-]*")


def check(data: bytes | memoryview) -> None:
    """Raises: Refused MESSAGE_TOO_LARGE for too many bytes, levels or digits; the connection goes on."""
    if len(data) > limits.SIGNAL_BYTES_MAX:
        raise Refused(Code.MESSAGE_TOO_LARGE, f"a signal has at most {limits.SIGNAL_BYTES_MAX} bytes")
    bare = _STRING.sub(b"", data)
    depth = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in b"[{" else -1
        if depth > limits.SIGNAL_DEPTH_MAX:
            raise Refused(Code.MESSAGE_TOO_LARGE, f"a signal has at most {limits.SIGNAL_DEPTH_MAX} levels")
    for number in _NUMBER.findall(bare):
        if math.isinf(float(number)):
            raise Refused(Code.MESSAGE_TOO_LARGE, "a number in a signal is at most 1.8e308")
