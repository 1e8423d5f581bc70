"""What is kept of a request or an answer that differed, with everything secret taken out.

Invariant: no API key, token, cookie or signature of a request survives, wherever it stands: header,
path, query, body, or repeated in an answer, an error page or an exception's text. Addresses stay:
without them nothing could be reproduced. Pure.

Two nets. A secret that the request itself carries in a place for secrets is known, and is removed
everywhere by value, however it is written; what looks like a secret (a JSON Web Token, an API key, a
bearer word) is removed by its look.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_plus

REDACTED = "<redacted>"
LONGEST_TEXT = 20_000  # characters of one text that is no JSON
LARGEST = 100_000  # characters of one value as JSON; beyond it only its beginning is kept
SHORTEST = 6  # characters: a shorter secret is removed where it stands, not wherever its letters occur

_SECRET_NAME = re.compile(
    r"api[-_ ]?key|authori[sz]ation|cookie|token|secret|passw|session|csrf|\bjwt\b|signing[-_]?key",
    re.IGNORECASE,
)
_SIGNATURE_NAME = re.compile(r"(jws|proof[-_]?values?|signature(value)?)\Z", re.IGNORECASE)

# Every pattern is linear in the text: bounded before what it looks for, or anchored at a run's start.
_RUN = re.compile(r"[A-Za-z0-9_.\-]{8,}")  # what a token consists of
_API_KEY = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{8}\.[A-Za-z0-9]{20,}")
_HASH = re.compile(r"\b(pbkdf2_sha256\$|sha256\$|sha512\$\$)[^\s\"'<>&]+")
_WORD = re.compile(r"\b(bearer|basic|apikey|digest)(\s{1,8}|%20|\+)[^\s\"'<>,;&]+", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"(?P<name>[\w-]{0,20}(?:api[-_]?key|token|secret|passw(?:or)?d|authorization|cookie|session|signing[-_]?key)"
    r"[\w-]{0,20})(?P<is>[\"']?\s{0,4}(?:=>|=|:|%3D|%3A)\s{0,4}[\"']?)(?P<value>[^\s\"'<>&;,]+)",
    re.IGNORECASE,
)


class Redactor:
    """Redacts what belongs to one request; ``secrets`` are values known to be secret beside its own."""

    def __init__(
        self,
        *,
        headers: Mapping[str, str] | None = None,
        path: str = "",
        body: bytes = b"",
        secrets: Iterable[str] = (),
    ) -> None:
        found = {*secrets, *_of_headers(headers or {}), *_of_query(path), *_of_body(body)}
        spellings = {spelling for secret in found for spelling in _spellings(secret)}
        long = sorted((text for text in spellings if len(text) >= SHORTEST), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, long))) if long else None

    def text(self, text: str) -> str:
        """``text`` without secrets, cut to :data:`LONGEST_TEXT`."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        if len(text) > LONGEST_TEXT:
            # Half a secret at the cut would look like none: the last run of letters goes too.
            text = text[:LONGEST_TEXT]
            text = text[: 1 + max(text.rfind(end) for end in " \t\n\"'&<>,;")] + "…"
        text = _RUN.sub(_without_token, text)
        text = _HASH.sub(REDACTED, _API_KEY.sub(REDACTED, text))
        text = _WORD.sub(lambda match: f"{match[1]} {REDACTED}", text)
        return _ASSIGNED.sub(lambda match: match["name"] + match["is"] + REDACTED, text)

    def json(self, value: Any) -> Any:
        """A JSON value without secrets; one that is too large becomes the beginning of its text."""
        clean = self._value(value, "")
        text = json.dumps(clean, default=str)
        return clean if len(text) <= LARGEST else {"<cut>": text[:LONGEST_TEXT]}

    def body(self, body: bytes) -> Any:
        """A body as JSON where it is JSON, else as text."""
        try:
            return self.json(json.loads(body)) if body else None
        except (ValueError, RecursionError):
            return {"<text>": self.text(body.decode(errors="replace"))}

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers by their names; the values of secret ones are gone whatever they were."""
        return {
            self.text(name): REDACTED if value and _is_secret(name) else self.text(value)
            for name, value in headers.items()
        }

    def path(self, path: str) -> str:
        """A path with its query string; the values of secret keys are gone whatever they were."""
        before, mark, query = path.partition("?")
        parts = [
            f"{key}={REDACTED}" if is_ and _is_secret(unquote_plus(key)) else part
            for part in query.split("&")
            for key, is_, _ in [part.partition("=")]
        ]
        return self.text(before + mark + "&".join(parts))

    def _value(self, value: Any, name: str) -> Any:
        if isinstance(value, dict):
            return {self.text(str(key)): self._value(inner, str(key)) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(inner, name) for inner in value]
        if value is None or isinstance(value, bool):
            return value
        if _is_secret(name):
            return REDACTED
        if isinstance(value, str):
            return digest(value) if value and _SIGNATURE_NAME.match(name) else self.text(value)
        if isinstance(value, bytes):
            return self.text(value.decode(errors="replace"))
        text = str(value)
        clean = self.text(text)
        return value if clean == text and isinstance(value, int | float) else clean


def digest(text: str) -> str:
    """Stands for a signature: the first 16 hex digits of its SHA-256, enough to find it by."""
    return f"<sha256:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:16]}>"


def _is_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name))


def _without_token(match: re.Match[str]) -> str:
    """A run of letters up to where a JSON Web Token or a detached signature begins."""
    run = match[0]
    start = run.find("eyJ")
    return run if start < 0 or "." not in run[start:] else run[:start] + REDACTED


def _of_headers(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        if not _is_secret(name):
            continue
        yield value
        yield from value.split()
        yield value.partition(" ")[2]
        for word in re.split(r"[\s,;]+", value):
            yield word
            if "cookie" in name.lower():
                yield word.partition("=")[2].strip('"')
        if value.lower().startswith("basic "):
            try:
                decoded = base64.b64decode(value[6:], validate=False).decode()
            except ValueError:
                continue
            yield from (decoded, decoded.partition(":")[2])


def _of_query(path: str) -> Iterator[str]:
    query = path.partition("?")[2]
    for key, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        if _is_secret(key):
            yield value
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if _is_secret(unquote_plus(key)):
            yield value


def _of_body(body: bytes) -> Iterator[str]:
    try:
        value = json.loads(body) if body else None
    except (ValueError, RecursionError):
        return
    yield from _secret_values(value, "")


def _secret_values(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _secret_values(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _secret_values(inner, name)
    elif (_is_secret(name) or _SIGNATURE_NAME.match(name)) and isinstance(value, str | int | float):
        yield str(value)


def _spellings(secret: str) -> set[str]:
    """The ways one secret may be written: plain, percent-encoded, escaped in JSON or HTML, in base64."""
    secret = secret.strip()
    if not secret or secret.lower() in ("bearer", "basic", "token", "apikey"):
        return set()
    raw = secret.encode(errors="surrogatepass")
    return {
        secret,
        quote(secret, safe="", errors="replace"),
        quote(secret, errors="replace"),
        quote_plus(secret, errors="replace"),
        unquote(secret),
        unquote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
        repr(secret)[1:-1],
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    } - {""}
