"""Whether signatures are good: asked of a small pool of processes that may die of a credential.

didkit is native code, and is handed what strangers wrote. :mod:`scorer_fast.domain.bounds` keeps from it what is known
to hurt; this is the wall around the rest. Invariant: a credential costs no other credential its answer, no other
address its score and no process that serves requests its life.

A process that dies of a batch, or spends more CPU time on it than any batch should take, is replaced, and the batch's
credentials are asked about one by one. The one that kills a process alone as well is bad, and this server process
remembers it for a while. What ends a process from outside (an operator, the kernel for want of memory) says nothing
about a credential: the batch is asked about again.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version

from django.core.exceptions import ImproperlyConfigured

from ..domain import contexts
from ..errors import VerifierDown
from ..settings import conf
from ..telemetry import count
from . import verifier_local
from .verifier_local import OPTIONS
from .verifier_process import Died, NotReady, NotStarted, VerifierProcess


def _is_strict() -> bool:
    try:
        return conf.strict_context
    except ImproperlyConfigured:  # used without Django
        return False


# What a remembered signature is remembered for: another version or other options ask again, and so does the stricter
# setting, as it was when the process began.
VERIFIER = f"didkit {version('didkit')} {OPTIONS}\n{'known contexts' * _is_strict()}"

ATTEMPTS = 3  # processes that a batch may lose to the outside before it is given up
BATCH = 64  # credentials that a process is asked about at once
KILLERS = 1024  # digests of credentials that killed a process which are kept in mind
KILLERS_SECONDS = 600.0  # and for how long

logger = logging.getLogger("scorer_fast")


class VerifierPool:
    """At most ``size`` processes, started at the first question and replaced when they end."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._change = threading.Condition()
        self._idle: list[VerifierProcess] = []
        self._busy: set[VerifierProcess] = set()
        self._waiting: list[object] = []
        self._killers: dict[str, float] = {}

    def verify(self, texts: Sequence[str], size: int, timeout: float) -> list[bool]:
        """As :func:`verify`, by at most ``size`` processes."""
        until = time.monotonic() + timeout
        killers = self._known_killers(texts)
        asked = [text for text in texts if text not in killers]
        answers: list[bool] = []
        for start in range(0, len(asked), BATCH):
            batch = asked[start : start + BATCH]
            of_batch = self._ask(batch, size, until)
            if of_batch is None:
                of_batch = [self._ask_alone(text, size, until) for text in batch]
            answers += of_batch
        found = iter(answers)
        return [text not in killers and next(found) for text in texts]

    def start_ahead(self, size: int) -> None:
        """Have ``size`` processes there, or on their way."""
        with self._change:
            while len(self._idle) + len(self._busy) < size:
                self._idle.insert(0, VerifierProcess())

    def pids(self) -> list[int]:
        """The processes there are."""
        with self._change:
            return [process.pid for process in (*self._idle, *self._busy)]

    def stop(self) -> None:
        """End all processes."""
        with self._change:
            processes, self._idle = self._idle, []
        for process in processes:
            process.end()

    def abandon(self) -> None:
        """In a forked child: the processes are the parent's."""
        for process in (*self._idle, *self._busy):
            process.abandon()
        self._forget()

    def _ask(self, texts: Sequence[str], size: int, until: float) -> list[bool] | None:
        """The answers; None where a process died of the texts."""
        for _ in range(ATTEMPTS):
            process = self._take(size, until)
            try:
                process.be_ready(until)
                answers = process.ask(texts, until)
            except (NotReady, TimeoutError, Died) as error:
                self._replace(process, size)
                if isinstance(error, Died) and error.by_itself:
                    return None
            except BaseException:
                self._replace(process, size)
                raise
            else:
                self._give_back(process)
                return answers
            if time.monotonic() >= until:
                break
        raise VerifierDown("the verifying processes gave no answer in time")

    def _ask_alone(self, text: str, size: int, until: float) -> bool:
        answers = self._ask([text], size, until)
        if answers is not None:
            return answers[0]
        digest = _digest(text)
        count("signatures.lethal")
        logger.error("a credential ended the process that looked at it", extra={"digest": digest})
        with self._change:
            self._killers[digest] = time.monotonic()
            if len(self._killers) > KILLERS:
                del self._killers[next(iter(self._killers))]
        return False

    def _known_killers(self, texts: Sequence[str]) -> set[str]:
        if not self._killers:
            return set()
        since = time.monotonic() - KILLERS_SECONDS
        with self._change:
            self._killers = {digest: at for digest, at in self._killers.items() if at > since}
            return {text for text in texts if _digest(text) in self._killers}

    def _take(self, size: int, until: float) -> VerifierProcess:
        turn = object()
        with self._change:
            self._waiting.append(turn)  # first come, first served: who asks again and again must not be in the way
            try:
                while self._waiting[0] is not turn or not self._has_one(size):
                    if not self._change.wait(until - time.monotonic()):
                        raise VerifierDown("no verifying process was free in time")
                process = self._idle.pop()
                self._busy.add(process)
                return process
            finally:
                self._waiting.remove(turn)
                self._change.notify_all()

    def _has_one(self, size: int) -> bool:
        self._let_go_of_dead()
        if not self._idle:
            self.start_ahead(size)
        return bool(self._idle)

    def _let_go_of_dead(self) -> None:
        for process in [each for each in self._idle if not each.is_alive()]:
            self._idle.remove(process)
            process.end()

    def _give_back(self, process: VerifierProcess) -> None:
        with self._change:
            self._busy.discard(process)
            self._idle.append(process)  # the next question goes to the one whose memory is warm
            self._change.notify_all()

    def _replace(self, process: VerifierProcess, size: int) -> None:
        process.end()
        with self._change:
            self._busy.discard(process)
            self.start_ahead(size)
            self._change.notify_all()


_pool = VerifierPool()
os.register_at_fork(after_in_child=_pool.abandon)
atexit.register(_pool.stop)


def verify(texts: Sequence[str], timeout: float) -> list[bool]:
    """Whether didkit finds no error in each credential; VerifierDown when it takes over ``timeout`` seconds.

    The credentials are within the bounds (:func:`scorer_fast.domain.bounds.check`): the caller has looked. With
    ``STRICT_CONTEXT`` one whose context has no known form is bad.
    """
    if _is_strict():
        known = [contexts.is_known(text) for text in texts]
        count("signatures.strange", len(known) - sum(known))
        answers = iter(_verify([text for text, is_known in zip(texts, known, strict=True) if is_known], timeout))
        return [is_known and next(answers) for is_known in known]
    return _verify(texts, timeout)


def _verify(texts: Sequence[str], timeout: float) -> list[bool]:
    if not texts:
        return []
    if is_local():
        return verifier_local.verify(texts, timeout)
    try:
        return _pool.verify(texts, max(conf.verifier_processes, 1), timeout)
    except NotStarted:
        if not verifier_local.is_able():
            raise VerifierDown("no verifying process can be started") from None
        _warn_not_started()
        return verifier_local.verify(texts, timeout)


def is_local() -> bool:
    """Whether this process verifies by itself: as the settings say, in Lambda, where an instance has one request at a
    time and is replaced when it dies, and where a test has put something in place of didkit's function."""
    if verifier_local.is_replaced():
        return True
    return verifier_local.is_able() and (conf.verifier_processes == 0 or "AWS_LAMBDA_FUNCTION_NAME" in os.environ)


def start_ahead() -> None:
    """Start the processes before anybody asks: each takes some 0.1 s."""
    if not is_local():
        with suppress(NotStarted, OSError):  # whoever asks meets it again
            _pool.start_ahead(max(conf.verifier_processes, 1))


@cache
def _warn_not_started() -> None:
    """Once, for nothing about it will change."""
    logger.error("no verifying process can be started (no Python interpreter was found): didkit runs in this process")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
