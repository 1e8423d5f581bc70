"""Requests as text: the curl line of a sample, and the ways a file may hold requests. Pure.

A curl line carries no secret: where a header's value was taken out stands a variable of the shell in double
quotes, which :func:`parse` fills from the environment. What a client sent stands in single quotes and is data,
whatever it says.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
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


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")  # a header's name, by RFC 9110
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})", re.ASCII)
_FLAGS = frozenset({"--globoff", "-g", "--path-as-is", "--compressed", "-s", "--silent", "-i", "-v", "-k"})
SECRETS = {"x-api-key": "X_API_KEY", "authorization": "AUTHORIZATION"}


class Unreadable(ValueError):
    """A line that is no request."""


class Unset(Exception):
    """Variables of the environment that a request needs; ``names`` of those that are not set."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(dict.fromkeys(names))
        super().__init__(", ".join(self.names))


def variable(header: str) -> str:
    """The variable that stands for a header's secret. Only for the two known headers is it named as they are: a client
    must not choose which variable of an operator's environment is sent.
    """
    known = SECRETS.get(header.lower())
    return known or "HEADER_" + re.sub(r"\W", "_", header, flags=re.ASCII).upper()


def filled(text: str) -> str:
    """``text``, its ``$NAME`` and ``${NAME}`` from the environment; :class:`Unset` names those that are not there."""
    names = [one or other for one, other in _VARIABLE.findall(text)]
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise Unset(missing)
    return _VARIABLE.sub(lambda found: os.environ[found[1] or found[2]], text)


def line(request: Mapping[str, Any], base: str) -> str:
    """A sample's request as a curl line for ``base``."""
    # Without the two options curl would take [1-3] and {a,b} for several URLs, and /../ for a step up.
    options = ["--globoff", "--path-as-is"]
    words = ["curl", *options, "-X", shlex.quote(request["method"]), shlex.quote(base.rstrip("/") + request["path"])]
    for name, value in request["headers"].items():
        if name.lower() in _OF_THE_CONNECTION or not value or not _TOKEN.match(name):
            continue
        if REDACTED in value:
            words += ["-H", shlex.quote(f"{name}: ") + f'"${variable(name)}"']
        else:
            words += ["-H", shlex.quote(f"{name}: {value}")]
    body = _body(request.get("body"))
    if body:
        words += ["--data-raw", shlex.quote(body.decode())]
    return " ".join(words)


def parse(lines: Iterable[str], given: Container[str] = ()) -> Iterator[RecordedRequest]:
    """The requests in JSON lines (``method``, ``path``, ``headers``, ``json`` or ``body``) or curl lines.

    A line of ``mismatches --export`` is one too. Empty lines and those that begin with # are passed over. Raises
    :class:`Unreadable`, and :class:`Unset` where a secret is in no variable. ``given``: lower-case names of the headers
    that the caller sends instead; they need none.
    """
    missing: list[str] = []
    for number, text in enumerate(lines, start=1):
        text = text.strip()
        if not text or text.startswith("#"):
            continue
        try:
            request = (
                _of_curl(_words(text, given))
                if text.startswith("curl ")
                else _completed(of_json(json.loads(text)), given)
            )
        except Unset as unset:
            missing += unset.names  # all of them are told at once
            continue
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unreadable(f"line {number} is no request ({type(error).__name__}: {error})") from None
        if not missing:
            yield request
    if missing:
        raise Unset(missing)


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


def _completed(request: RecordedRequest, given: Container[str]) -> RecordedRequest:
    """``request``, each header that was redacted taken from its variable."""
    redacted = [name for name, value in request.headers.items() if REDACTED in value and name.lower() not in given]
    missing = [variable(name) for name in redacted if not os.environ.get(variable(name))]
    if missing:
        raise Unset(missing)
    return replace(request, headers={**request.headers, **{name: os.environ[variable(name)] for name in redacted}})


def _words(text: str, given: Container[str]) -> list[str]:
    """The words of a line as a shell reads them; variables count in double quotes alone."""
    words: list[str] = []
    word: str | None = None
    missing: list[str] = []
    rest = text
    while rest:
        if found := re.match(r"'([^']*)'", rest):
            word = (word or "") + found[1]
        elif found := re.match(r'"((?:[^"\\]|\\.)*)"', rest, re.DOTALL):
            try:
                word = (word or "") + _in_double_quotes(found[1])
            except Unset as unset:
                word = word or found[1]
                if word.partition(":")[0].strip().lower() not in given:
                    missing += unset.names
        elif found := re.match(r"\\(.)", rest, re.DOTALL):
            word = (word or "") + found[1]
        elif found := re.match(r"\s+", rest):
            if word is not None:
                words.append(word)
            word = None
        elif rest[0] in "'\"\\":
            raise ValueError("a quotation is not closed")
        else:
            found = re.match(r"[^\s'\"\\]+", rest)
            assert found is not None
            word = (word or "") + found[0]
        rest = rest[found.end() :]
    if missing:
        raise Unset(missing)
    return words if word is None else [*words, word]


def _in_double_quotes(text: str) -> str:
    parts = re.split(r"(\\[$`\"\\])", text)
    return "".join(part[1:] if index % 2 else filled(part) for index, part in enumerate(parts))


def _of_curl(words: list[str]) -> RecordedRequest:
    method, url, headers, body = "", "", {}, b""
    remaining = iter(words[1:])
    for word in remaining:
        if word in ("-X", "--request"):
            method = next(remaining)
        elif word in ("-H", "--header"):
            name, _, value = next(remaining).partition(":")
            headers[name.strip()] = value.strip()
        elif word in _DATA:
            body = next(remaining).encode()
        elif not word.startswith("-"):
            url = word
        elif word not in _FLAGS:
            raise ValueError(f"the option {word} of curl is not known here")
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return RecordedRequest(method or ("POST" if body else "GET"), path, headers, body)
