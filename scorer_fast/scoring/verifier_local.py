"""didkit, asked about a whole batch in this process, without an event loop.

A loop on a daemon thread crashed the interpreter at exit in 7 of 10 runs, this stand-in in none: all that didkit asks
of a loop is a future to complete and somebody to complete it, so that is what it is given. didkit answers from threads
of its own; whoever waits is woken once, by the last answer. Whatever else it may ask of a loop is an error.

The verifying processes run this, and so does a process that verifies by itself (:mod:`.verifier` says which). didkit's
threads do not come along into a fork: a process forked after the first batch has to ask another one.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import BuiltinFunctionType
from typing import Any, cast

import orjson

from ..errors import VerifierDown

OPTIONS = '{"proofPurpose":"assertionMethod"}'

LAST_SECONDS = 1.0  # that a process waits, as it ends, for answers nobody waits for any longer

_under_way: set[Question] = set()
_is_used = False
_is_dead = False  # whether didkit can no longer answer in this process


def _after_fork() -> None:
    global _is_dead
    _is_dead = _is_dead or _is_used
    _under_way.clear()


os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _let_finish() -> None:
    """An answer that comes while the interpreter is taken down would bring the process down."""
    until = time.monotonic() + LAST_SECONDS
    for question in list(_under_way):
        question.let_finish(until - time.monotonic())


class Question:
    """Credentials that didkit is looking at, and the answers so far."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._answers: dict[int, bool] = {}
        self._is_answered = threading.Event()
        self.is_dropped = False

    def answer(self, place: int, good: bool) -> None:
        """Whether didkit found no error in the credential of that place; on a thread of didkit's."""
        self._answers[place] = good
        if len(self._answers) == self._size:
            _under_way.discard(self)
            self._is_answered.set()

    def wait(self, timeout: float) -> list[bool]:
        """The answers in the credentials' order; VerifierDown when they take over ``timeout`` seconds from now."""
        if self._size and not self._is_answered.wait(timeout):
            self.drop()
            raise VerifierDown(f"didkit gave no answer within {timeout} seconds")
        return [self._answers[place] for place in range(self._size)]

    def drop(self) -> None:
        """Nobody wants to know any longer."""
        self.is_dropped = True
        _under_way.discard(self)

    def let_finish(self, timeout: float) -> None:
        """Wait for the last answer, whatever it says."""
        self._is_answered.wait(max(timeout, 0))


class _Answer:
    """What didkit takes for a future: one credential of a question."""

    def __init__(self, question: Question, place: int) -> None:
        self._question = question
        self._place = place

    def add_done_callback(self, callback: Callable[..., Any]) -> None:
        """didkit wants to be told when it is cancelled, which nobody does."""

    def cancelled(self) -> bool:
        return self._question.is_dropped

    def set_result(self, found: str) -> None:
        try:
            good = not orjson.loads(found)["errors"]
        except (ValueError, LookupError, TypeError):
            good = False
        self._question.answer(self._place, good)

    def set_exception(self, error: BaseException) -> None:
        """didkit raises on what it cannot read: an error of that credential alone."""
        self._question.answer(self._place, False)


class _Loop:
    """As much of an event loop as didkit needs while it is asked about one credential."""

    def __init__(self, answer: _Answer) -> None:
        self._answer = answer

    def create_future(self) -> _Answer:
        return self._answer

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> None:
        callback(*args)


def start(texts: Sequence[str]) -> Question:
    """Ask didkit about each credential without waiting."""
    global _is_used
    import didkit  # at the first batch: most requests have nothing to verify

    _is_used = _is_used or not is_replaced()

    question = Question(len(texts))
    if texts:
        _under_way.add(question)
    coroutines: list[tuple[_Answer, Awaitable[str]]] = []
    running = asyncio._get_running_loop()
    try:
        for place, text in enumerate(texts):
            answer = _Answer(question, place)
            asyncio._set_running_loop(cast(Any, _Loop(answer)))
            given: Any = didkit.verify_credential(text, OPTIONS)
            if given is not answer:
                coroutines.append((answer, given))
    except BaseException:
        question.drop()
        raise
    finally:
        asyncio._set_running_loop(running)
    if coroutines:
        threading.Thread(target=asyncio.run, args=(_await(coroutines),), name="scorer-fast-didkit", daemon=True).start()
    return question


async def _await(coroutines: Iterable[tuple[_Answer, Awaitable[str]]]) -> None:
    """For a didkit that is a function in Python, as that of a host's tests may be: those need a loop."""

    async def complete(answer: _Answer, given: Awaitable[str]) -> None:
        try:
            answer.set_result(await given)
        except Exception as error:
            answer.set_exception(error)

    await asyncio.gather(*(complete(*each) for each in coroutines))


def is_replaced() -> bool:
    """Whether somebody (a host's test) has put another ``didkit.verify_credential`` in place of didkit's own."""
    didkit = sys.modules.get("didkit")
    return didkit is not None and not isinstance(didkit.verify_credential, BuiltinFunctionType)


def is_able() -> bool:
    """Whether didkit can still answer in this process, or somebody else in its place."""
    return not _is_dead or is_replaced()


def verify(texts: Sequence[str], timeout: float) -> list[bool]:
    """As :func:`scorer_fast.scoring.verifier.verify`; a credential that kills didkit kills this process."""
    return start(texts).wait(timeout)
