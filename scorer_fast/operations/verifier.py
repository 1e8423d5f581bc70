"""didkit, asked about whole batches on one long-lived event loop.

One daemon thread per process runs the loop, started at the first batch and never torn down: a loop that
ends while didkit's own threads live can crash the interpreter at exit. A process forked before the first
batch has a loop of its own; one forked later asks another process, for didkit's threads stayed behind.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from importlib.metadata import version

import orjson

from ..errors import VerifierDown
from .verifier_process import VerifierProcess

OPTIONS = '{"proofPurpose":"assertionMethod"}'
# What a remembered signature is remembered for: another version or other options ask again.
VERIFIER = f"didkit {version('didkit')} {OPTIONS}\n"

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_is_dead = False  # whether didkit can no longer answer in this process
_elsewhere = VerifierProcess()


def _after_fork() -> None:
    global _is_dead, _lock, _loop
    _is_dead = _is_dead or _loop is not None
    _lock, _loop = threading.Lock(), None
    _elsewhere.abandon()


os.register_at_fork(after_in_child=_after_fork)


def _running_loop() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="scorer-fast-didkit", daemon=True).start()
            _loop = loop
        return _loop


async def _verify(text: str) -> bool:
    import didkit  # at the first batch: most requests have nothing to verify

    try:
        return not orjson.loads(await didkit.verify_credential(text, OPTIONS))["errors"]
    except Exception:  # didkit raises on what it cannot read: an error of that credential alone
        return False


async def _verify_all(texts: Sequence[str]) -> list[bool]:
    if len(texts) == 1:  # without a task of its own
        return [await _verify(texts[0])]
    return list(await asyncio.gather(*map(_verify, texts)))


def start(texts: Sequence[str]) -> Future[list[bool]] | None:
    """Ask didkit about each credential without waiting; None where it can no longer answer in this process."""
    return None if _is_dead else asyncio.run_coroutine_threadsafe(_verify_all(texts), _running_loop())


def wait(future: Future[list[bool]], timeout: float) -> list[bool]:
    """The answers to :func:`start`; VerifierDown when they take over ``timeout`` seconds from now."""
    try:
        return future.result(timeout)
    except FutureTimeout:
        future.cancel()
        raise VerifierDown(f"didkit gave no answer within {timeout} seconds") from None


def verify(texts: Sequence[str], timeout: float) -> list[bool]:
    """Whether didkit finds no error in each credential; VerifierDown when it takes over ``timeout`` seconds."""
    if not texts:
        return []
    future = start(texts)
    return _elsewhere.verify(texts, timeout) if future is None else wait(future, timeout)
