"""Send the same requests to two servers and print where the answers differ."""

from __future__ import annotations

import gzip
import http.client
import json
import ssl
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError

from scorer_fast.cutover import compare, curl, deliberate
from scorer_fast.cutover.compare import Answer, Difference
from scorer_fast.cutover.deliberate import Case, RecordedRequest
from scorer_fast.cutover.redact import Redactor
from scorer_fast.cutover.shadow.handle import TOLERANCE
from scorer_fast.http.catalogue import find

HELP = "Send the same requests to two servers, one after the other, and print where the answers differ."
SHOWN = 120  # characters of a value


class Sent(NamedTuple):
    """A request to send; ``departs``: the contract asks here for another answer than the host's."""

    name: str
    request: RecordedRequest
    departs: bool


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--control", required=True, metavar="URL", help="the server that is right")
    parser.add_argument("--candidate", required=True, metavar="URL", help="the server that is compared with it")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--cases", metavar="DIR", help="recorded cases (.json, .json.gz): their requests are sent")
    source.add_argument("--requests", metavar="FILE", help="JSON lines or curl lines, as `mismatches` writes them")
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="sent with every request, instead of one of that name",
    )
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds for one answer (30)")
    parser.add_argument("--strict", action="store_true", help="deliberate differences fail too")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    try:
        extra = dict(_header(text) for text in options["header"])
        to_send = list(_requests(options, extra))
    except curl.Unset as unset:
        raise CommandError(
            f"Not set in the environment: {', '.join(unset.names)}. Without them the requests would be others than "
            "those that were recorded. Set them, or give the header itself by --header."
        ) from None
    started = time.monotonic()
    with (
        closing(_Server("--control", options["control"], options["timeout"])) as control,
        closing(_Server("--candidate", options["candidate"], options["timeout"])) as candidate,
    ):
        results = []
        for sent in to_send:
            result = _compare(sent._replace(request=_with(sent.request, extra)), control, candidate)
            results.append(result)
            if not options["json"]:
                _print(command, result)
    if not results:
        raise CommandError("There is no request to send.")
    different = sum(bool(result["differences"]) for result in results)
    on_purpose = sum(bool(result["deliberate"]) for result in results)
    statuses = {side: _histogram(result[side] for result in results) for side in ("control", "candidate")}
    warning = _warning(results)
    if options["json"]:
        summary: dict[str, Any] = {"requests": len(results), "different": different, "deliberate": on_purpose}
        summary |= {"statuses": statuses, "warning": warning}
        command.stdout.write(json.dumps({**summary, "results": results}, indent=2))
    else:
        command.stdout.write(
            f"{len(results)} request{'' if len(results) == 1 else 's'} in {time.monotonic() - started:.1f} s: "
            f"{different} differ, {on_purpose} on purpose"
        )
        for side, counts in statuses.items():
            told = ", ".join(f"{count} with {status}" for status, count in counts.items())
            command.stdout.write(f"{side + ':':<10} {told}")
        if warning:
            command.stdout.write(f"Warning: {warning}")
    if different or (options["strict"] and on_purpose):
        raise CommandError("The servers differ.")


def _histogram(statuses: Iterable[int]) -> dict[str, int]:
    return {str(status): count for status, count in sorted(Counter(statuses).items())}


def _warning(results: list[dict[str, Any]]) -> str:
    for side in ("control", "candidate"):
        if all(400 <= result[side] < 500 for result in results):
            return f"every answer of the {side} is a 4xx: what is refused says little. Are the headers' secrets right?"
    return ""


def _with(request: RecordedRequest, extra: dict[str, tuple[str, str]]) -> RecordedRequest:
    headers = {name: value for name, value in request.headers.items() if name.lower() not in extra}
    return RecordedRequest(request.method, request.path, headers | dict(extra.values()), request.body)


def _compare(sent: Sent, control: _Server, candidate: _Server) -> dict[str, Any]:
    request = sent.request
    found = find(request.method, urlsplit(request.path).path)
    operation = found[0].id if found else ""
    started = datetime.now(UTC)
    one, other = control.ask(request), candidate.ask(request)
    window = (started - TOLERANCE, datetime.now(UTC) + TOLERANCE)
    comparison = compare.compare(one, other, compare.Context(operation, window, same_database=False))

    def fact(_: str) -> bool | None:
        return True if sent.departs else None

    case = Case(operation, request, one, other, fact)
    differences, on_purpose = deliberate.sort_out(case, comparison.differences)
    redactor = Redactor(headers=request.headers, path=request.path, body=request.body)
    return {
        "name": sent.name,
        "operation": operation,
        "method": request.method,
        "path": redactor.path(request.path),
        "control": one.status,
        "candidate": other.status,
        "differences": [_shown(difference, redactor) for difference in differences],
        "deliberate": [{"rule": rule.name, **_shown(each, redactor)} for rule, each in on_purpose],
    }


def _shown(difference: Difference, redactor: Redactor) -> dict[str, Any]:
    return {
        "path": difference.path,
        "kind": difference.kind.value,
        "control": redactor.json(difference.control),
        "candidate": redactor.json(difference.candidate),
    }


def _print(command: BaseCommand, result: dict[str, Any]) -> None:
    if not result["differences"] and not result["deliberate"]:
        return
    name = f"{result['name']}: " if result["name"] else ""
    command.stdout.write(f"{name}{result['method']} {result['path']}: {result['control']} and {result['candidate']}")
    for each in [*result["differences"], *result["deliberate"]]:
        why = f"  (deliberate: {each['rule']})" if "rule" in each else ""
        command.stdout.write(
            f"    {each['path']} {each['kind']}: {_short(each['control'])} and {_short(each['candidate'])}{why}"
        )


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def _header(text: str) -> tuple[str, tuple[str, str]]:
    name, colon, value = text.partition(":")
    if not colon:
        raise CommandError(f"{name!r} is no header: write 'Name: value'.")
    return name.strip().lower(), (name.strip(), curl.filled(value.strip()))


def _requests(options: dict[str, Any], given: Container[str]) -> Iterator[Sent]:
    if options["cases"]:
        folder = Path(options["cases"])
        files = sorted([*folder.glob("*.json"), *folder.glob("*.json.gz")])
        if not files:
            raise CommandError(f"{folder} holds no case (*.json, *.json.gz).")
        for file in files:
            case = _read(file)
            for step in case["steps"]:
                headers = {"Content-Type": "application/json", **step.get("headers", {})}
                yield Sent(case.get("name", file.name), curl.of_json({**step, "headers": headers}), "legacy" in case)
        return
    try:
        text = Path(options["requests"]).read_text(encoding="utf-8")
        for request in curl.parse(text.splitlines(), given):
            yield Sent("", request, False)
    except OSError as error:
        raise CommandError(f"{options['requests']} cannot be read: {error.strerror}.") from None
    except curl.Unreadable as error:
        raise CommandError(f"{options['requests']}: {error}.") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
        case: dict[str, Any] = json.loads(gzip.decompress(data) if file.suffix == ".gz" else data)
        if not isinstance(case["steps"], list):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError):
        raise CommandError(f"{file} is no recorded case.") from None
    return case


class _Server:
    """One server, asked over one connection that is opened anew when it was closed."""

    def __init__(self, option: str, url: str, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandError(f"{option} must be a URL like http://localhost:8000.")
        self._option = option
        self._base = parts.path.rstrip("/")
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            self._connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=timeout, context=ssl.create_default_context()
            )
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)

    def ask(self, request: RecordedRequest) -> Answer:
        """The server's answer; redirects are not followed."""
        for attempt in (1, 2):
            try:
                self._connection.request(
                    request.method, self._base + request.path, request.body or None, request.headers
                )
                response = self._connection.getresponse()
                return Answer(response.status, response.read())
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
                # A kept connection that the server has closed meanwhile; a second time it is another trouble.
                self._connection.close()
                if attempt == 2:
                    raise self._lost(error) from None
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._connection.close()
                raise self._lost(error) from None
        raise AssertionError("unreachable")

    def close(self) -> None:
        self._connection.close()

    def _lost(self, error: Exception) -> CommandError:
        return CommandError(f"{self._option}: no answer ({type(error).__name__}: {error}).")
