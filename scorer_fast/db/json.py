"""JSON between this app and PostgreSQL, in one place."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

HUGE = 10**18
DEPTH = 200  # objects and lists within each other that are written


def loads(text: str | bytes | None, default: Any = None) -> Any:
    """What PostgreSQL wrote as JSON; ``default`` for NULL.

    A number beyond 64 bits or a double comes as 10^18: nobody here asks such a one for more than its type and that it
    is not zero, and what is kept must say what is read.
    """
    if text is None:
        return default
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text, parse_int=_whole, parse_float=_broken)


def dumps(value: Any) -> str:
    """``value`` as JSON text; ``orjson.Fragment`` in it is taken over as it is."""
    return orjson.dumps(value, default=tuple).decode()


def _whole(digits: str) -> int:
    return int(digits) if len(digits) < 19 else HUGE


def _broken(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else float(HUGE)


def jsonb_text(value: Any) -> str:
    """``value`` as PostgreSQL writes it once it was stored as jsonb: so its digest is known before it is.

    ValueError for what jsonb cannot hold (NUL, a lone surrogate, NaN or Infinity), and for nesting beyond DEPTH.
    """
    parts: list[str] = []
    _write(value, parts.append, 0)
    return "".join(parts)


def _write(value: Any, add: Callable[[str], None], depth: int) -> None:
    if depth > DEPTH:
        raise ValueError("nesting")
    if isinstance(value, str):
        add(_string(value))
    elif value is None or isinstance(value, bool):
        add("null" if value is None else "true" if value else "false")
    elif isinstance(value, int):
        add(str(value))
    elif isinstance(value, float):
        add(_number(value))
    elif isinstance(value, dict):
        before = "{"
        for name, item in sorted(value.items(), key=_jsonb_order):
            add(before + _string(name) + ": ")
            _write(item, add, depth + 1)
            before = ", "
        add("}" if value else "{}")
    else:
        before = "["
        for item in value:
            add(before)
            _write(item, add, depth + 1)
            before = ", "
        add("]" if value else "[]")


def _jsonb_order(item: tuple[str, Any]) -> tuple[int, bytes]:
    """Shorter names first, then by bytes: as jsonb stores them."""
    name = item[0].encode("utf-8", "surrogatepass")
    return len(name), name


def _string(value: str) -> str:
    if "\0" in value:
        raise ValueError("NUL")
    value.encode()  # UnicodeEncodeError, a ValueError, for a lone surrogate
    return json.encoder.encode_basestring(value)


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError("no number")
    return format(Decimal(repr(value)) if value else Decimal("0.0"), "f")
