"""Requests as text: the curl line of a sample, and the ways a file may hold requests. Pure.

A curl line carries no secret: where a header's value was taken out stands a variable of the shell, which
:func:`parse` fills from the environment.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from .deliberate import RecordedRequest
from .redact import REDACTED

# What the client's library or the connection sets by itself.
_OF_THE_CONNECTION = frozenset(
    {"host", "content-length", "connection", "accept-encoding", "user-agent", "transfer-encoding", "te"}
)
BASE = "http://localhost:8000"  # where a line goes if nobody says otherwise
_DATA = frozenset({"-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--json"})


class Unreadable(ValueError):
    """A line that is no request."""


def line(request: Mapping[str, Any], base: str) -> str:
    """A sample's request as a curl line for ``base``."""
    words = ["curl", "-X", request["method"], shlex.quote(base.rstrip("/") + request["path"])]
    for name, value in request["headers"].items():
        if name.lower() in _OF_THE_CONNECTION or not value:
            continue
        if REDACTED in value:
            variable = re.sub(r"\W", "_", name).upper()
            words += ["-H", f'"{name}: ${variable}"']
        else:
            words += ["-H", shlex.quote(f"{name}: {value}")]
    body = _body(request.get("body"))
    if body:
        words += ["--data-raw", shlex.quote(body.decode())]
    return " ".join(words)


def parse(lines: Iterable[str]) -> Iterator[RecordedRequest]:
    """The requests in JSON lines (``method``, ``path``, ``headers``, ``json`` or ``body``) or curl lines.

    A line of ``mismatches --export`` is one too. Empty lines and those that begin with # are passed over.
    """
    for number, text in enumerate(lines, start=1):
        text = text.strip()
        if not text or text.startswith("#"):
            continue
        try:
            yield _of_curl(shlex.split(text)) if text.startswith("curl ") else of_json(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unreadable(f"line {number} is no request ({type(error).__name__}: {error})") from None


def of_json(step: Mapping[str, Any]) -> RecordedRequest:
    """A request from its JSON form, that of a recorded case's step included."""
    step = step.get("request", step)
    body = step["raw"].encode() if "raw" in step else _body(step.get("json", step.get("body")))
    return RecordedRequest(step.get("method", "GET"), step["path"], dict(step.get("headers", {})), body)


def _body(value: Any) -> bytes:
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and set(value) == {"<text>"}:
        return str(value["<text>"]).encode()
    return json.dumps(value).encode()


def _of_curl(words: list[str]) -> RecordedRequest:
    method, url, headers, body = "", "", {}, b""
    remaining = iter(words[1:])
    for word in remaining:
        if word in ("-X", "--request"):
            method = next(remaining)
        elif word in ("-H", "--header"):
            name, _, value = os.path.expandvars(next(remaining)).partition(":")
            headers[name.strip()] = value.strip()
        elif word in _DATA:
            body = next(remaining).encode()
        elif not word.startswith("-"):
            url = word
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return RecordedRequest(method or ("POST" if body else "GET"), path, headers, body)
