"""Breaks the fast path of operations while a file says so: `python -m demo fault throw`."""

import json
import os
import time
import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.http import HttpRequest, HttpResponse

KINDS = {
    "none": "the fast path works",
    "throw": "it raises for every other address: the host answers, the circuit opens",
    "slow": "it takes half a second longer: found where the host is faster than that (a busy machine's may not be)",
    "wrong": "its answer has a field too many: the shadow finds it",
}
OPERATION = "v2_score"


def file() -> Path:
    return Path(os.environ.get("DEMO_FAULT_FILE", Path(__file__).parent / ".fault"))


def inject(kinds: Mapping[str, str]) -> None:
    """Break these operations and no others, from now on."""
    new = file().with_suffix(".new")
    new.write_text(json.dumps(dict(kinds)))
    new.replace(file())  # servers read it all the time


def present(operation: str) -> str:
    """The operation's fault that holds now."""
    try:
        return str(json.loads(file().read_text()).get(operation, "none"))
    except (OSError, ValueError):
        return "none"


class FaultConfig(AppConfig):
    name = "demo"

    def ready(self) -> None:
        from scorer_fast.http import call
        from scorer_fast.http.catalogue import find

        answer, rehearse = call.call, call.rehearse

        def kind_of(request: HttpRequest) -> str:
            found = find(request.method or "", request.path_info)
            return present(found[0].id) if found else "none"

        def broken(request: HttpRequest) -> HttpResponse:
            kind = kind_of(request)
            if kind == "throw" and zlib.crc32(request.get_full_path().encode()) % 2:
                raise RuntimeError("the demo's fault")
            if kind == "slow":
                time.sleep(0.5)
            response = answer(request)
            if kind == "wrong":
                response.content = _wrong(response.content)
            return response

        def rehearsed(request: HttpRequest) -> Any:
            rehearsal = rehearse(request)
            return _WrongRehearsal(rehearsal) if kind_of(request) == "wrong" else rehearsal

        call.call = broken
        call.rehearse = rehearsed


class _WrongRehearsal:
    """What the shadow gets of a fast path that answers wrongly."""

    def __init__(self, right: Any) -> None:
        self._right = right

    def decide(self, now: datetime) -> Any:
        planned = self._right.decide(now)
        return replace(planned, body=_wrong(planned.body))


def _wrong(body: bytes) -> bytes:
    answer = json.loads(body)
    return json.dumps({**answer, "wrong": True}).encode() if isinstance(answer, dict) else body
