"""Breaks the fast path of one operation, while a file says so: `python -m demo fault throw`."""

import os
import re
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from django.apps import AppConfig
from django.http import HttpRequest, HttpResponse

KINDS = {
    "none": "the fast path works",
    "throw": "it raises for every other address: the host answers, the circuit opens",
    "slow": "it takes two seconds longer",
    "wrong": "it answers another score: shadow finds it",
}
OPERATION = "v2_score"


def file() -> Path:
    return Path(os.environ.get("DEMO_FAULT_FILE", Path(__file__).parent / ".fault"))


def present() -> str:
    """The fault that holds now."""
    try:
        kind = file().read_text().strip()
    except OSError:
        return "none"
    return kind if kind in KINDS else "none"


class FaultConfig(AppConfig):
    name = "demo"

    def ready(self) -> None:
        from scorer_fast.http import call
        from scorer_fast.http.catalogue import find

        answer = call.call

        def broken(request: HttpRequest) -> HttpResponse:
            kind = present()
            found = find(request.method or "", request.path_info) if kind != "none" else None
            if found is None or found[0].id != OPERATION:
                return answer(request)
            if kind == "throw" and int(request.path_info[-1], 16) % 2:
                raise RuntimeError("the demo's fault")
            if kind == "slow":
                time.sleep(2)
            response = answer(request)
            if kind == "wrong":
                response.content = _wrong(response.content)
            return response

        decide = call.Rehearsal.decide

        def broken_too(rehearsal: call.Rehearsal, now: datetime) -> call.Planned:
            planned = decide(rehearsal, now)
            return replace(planned, body=_wrong(planned.body)) if present() == "wrong" else planned

        call.call = broken
        call.Rehearsal.decide = broken_too


def _wrong(body: bytes) -> bytes:
    return re.sub(rb'"score": ?"', b'"score":"9', body)
