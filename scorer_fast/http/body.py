"""A body as the host reads it: NaN, NUL and lone surrogates too. What is stored or compared is checked where it is."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any


class NotFinite(float):
    """NaN or an infinity, which JSON has no word for; orjson would write null in its place, were it a plain float."""


def parse(body: bytes) -> Any:
    """The value of a body, as ``json.loads`` takes it; ValueError or RecursionError where it is none."""
    return _JSON.decode(body.decode(json.detect_encoding(body), "surrogatepass"))


def _float(digits: str) -> float:
    number = float(digits)
    return number if isfinite(number) else NotFinite(number)


_JSON = json.JSONDecoder(parse_constant=NotFinite, parse_float=_float)
