"""didkit, asked about whole batches on one long-lived event loop.

One daemon thread per process runs the loop, started at the first batch (so after any fork) and never
torn down: a loop that ends while didkit's own threads live can crash the interpreter at exit.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from importlib.metadata import version

import orjson

from ..errors import VerifierDown

OPTIONS = '{"proofPurpose":"assertionMethod"}'
# What a remembered signature is remembered for: another version or other options ask again.
VERIFIER = f"didkit {version('didkit')} {OPTIONS}\n"

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def _forget_loop() -> None:
    global _lock, _loop
    _lock, _loop = threading.Lock(), None


os.register_at_fork(after_in_child=_forget_loop)


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
    return list(await asyncio.gather(*map(_verify, texts)))


def verify(texts: Sequence[str], timeout: float) -> list[bool]:
    """Whether didkit finds no error in each credential; VerifierDown when it takes over ``timeout`` seconds."""
    if not texts:
        return []
    future = asyncio.run_coroutine_threadsafe(_verify_all(texts), _running_loop())
    try:
        return future.result(timeout)
    except FutureTimeout:
        future.cancel()
        raise VerifierDown(f"didkit gave no answer within {timeout} seconds") from None
