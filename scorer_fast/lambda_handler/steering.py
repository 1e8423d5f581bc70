"""This app's own commands from events, where there is no shell.

    {"command": "set v2_score split --percent 5", "reason": "the first addresses"}

``command`` is what follows ``manage.py scorer_fast``. Who may invoke the function may steer: the function's invoke
permission is the check, and an event that came over HTTP is refused. The log of changes names the caller that Lambda
knows of, whatever the event says.
"""

from __future__ import annotations

import json
import logging
import shlex
import signal
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

from django.core.management.base import CommandError
from django.db import close_old_connections

from ..management.commands.scorer_fast import Command, subcommands
from .connections import ready_connections, seconds_left

logger = logging.getLogger(__name__)

COMMANDS = ("status", "set", "kill", "lift", "rollout", "guard", "prune", "rescore")
SPARE_SECONDS = 5.0  # left of the function's time for a command that is stopped to end well

Event = dict[str, Any]


def answer(event: Event, context: Any) -> dict[str, Any]:
    """What the command said: ``ok``, ``by``, ``output`` (lines) or ``result`` (JSON), and why it failed (``error``)."""
    by = caller(context)
    out = StringIO()
    told: dict[str, Any] = {"ok": True, "by": by}
    ready_connections()
    try:
        words = _words(event)
        known = subcommands()[words[0]]
        logger.info("manage: %s (%s), by %s", shlex.join(words), event.get("reason") or "no reason given", by)
        usage = ArgumentParser(add_help=False)
        known.add_arguments(usage)
        options = usage.format_help()
        words += ["--json"] if "--json" in options else []
        words += [f"--reason={event.get('reason') or ''}", f"--by={by}"] if "--by" in options else []
        with _stopped_in_time(seconds_left(context) - SPARE_SECONDS):
            _run(words, out)
    except CommandError as error:
        told |= {"ok": False, "error": str(error)}
    finally:
        close_old_connections()
    return told | _said(out.getvalue())


def caller(context: Any) -> str:
    """Who is logged: the identity that Lambda authenticated, else the function that was invoked."""
    identity = getattr(getattr(context, "identity", None), "cognito_identity_id", None)
    function = getattr(context, "invoked_function_arn", None) or getattr(context, "function_name", None)
    return str(identity or function or "lambda")


def _words(event: Event) -> list[str]:
    """The command's words; CommandError for what is none of :data:`COMMANDS`."""
    command = event.get("command") if isinstance(event, dict) else None
    if command is None or "httpMethod" in event or "requestContext" in event:
        raise CommandError('An event is {"command": "…", "reason": "…"}, from whoever may invoke this function.')
    try:
        words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    except (TypeError, ValueError):
        words = []
    if not words or words[0] not in COMMANDS or words[0] not in subcommands():
        raise CommandError(f"There is no such command here. Known: {', '.join(COMMANDS)}.")
    return words


def _run(words: list[str], out: StringIO) -> None:
    command = Command(stdout=out, stderr=out, no_color=True)
    try:
        options = vars(command.create_parser("manage.py", "scorer_fast").parse_args(words))
    except SystemExit:  # --help
        raise CommandError("docs/operations.md says what the commands take.") from None
    command.execute(**{**options, "no_color": True})


@contextmanager
def _stopped_in_time(seconds: float) -> Iterator[None]:
    """Interrupt what is done here after ``seconds``, as Ctrl-C would: ``rescore`` goes on at the next event."""
    if seconds == float("inf") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    except KeyboardInterrupt:
        raise CommandError("Stopped: the function's time is nearly over. Run it again to go on.") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _said(text: str) -> dict[str, Any]:
    try:
        return {"result": json.loads(text)}
    except ValueError:
        return {"output": text.splitlines()}
