"""A body as JSON that the tables can hold: no NUL, no lone surrogate, no NaN or Infinity, no endless nesting."""

from __future__ import annotations

import json
import re
from typing import Any

_ESCAPES = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")  # NUL, or a surrogate that may stand alone
_DEPTH = 200  # brackets of a body that are not looked at; nesting beyond it is refused


def parse(body: bytes) -> Any:
    """The value of a body; ValueError where it is not JSON, or not as above."""
    # Strictly: json.loads would let bytes that stand for a lone surrogate pass.
    text = body.decode(json.detect_encoding(body))
    value = _STRICT.decode(text)
    if text.count("[") + text.count("{") > _DEPTH:
        _check_depth(value)
    if _ESCAPES.search(text):
        written = json.dumps(value, ensure_ascii=False)
        written.encode()  # a lone surrogate cannot be encoded
        if re.search(r"(?<!\\)(?:\\\\)*\\u0000", written):
            raise ValueError("NUL")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(digits)
    return number


_STRICT = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        if depth > _DEPTH:
            raise ValueError("nesting")
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
