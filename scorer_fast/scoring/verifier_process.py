"""didkit in a process of its own, for one whose own didkit is dead.

didkit keeps threads, and a fork leaves them in the parent: in a child of a process that had verified
something, it never answers. Such a child asks a fresh interpreter over a pipe, a line a batch. It knows no
Django and no settings, ends with its parent's pipe, and costs some 25 MB: a way out, not the usual way.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import orjson

from ..errors import VerifierDown

STARTING_SECONDS = 10.0  # on top of a first batch's own time


class VerifierProcess:
    """One other process, started at the first batch and again when it is gone; one batch at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def verify(self, texts: Sequence[str], timeout: float) -> list[bool]:
        """As :func:`scorer_fast.scoring.verifier.verify`."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._end()
                self._process = self._start()
                timeout += STARTING_SECONDS
            try:
                return self._ask(self._process, texts, timeout)
            except (OSError, ValueError) as error:
                self._end()
                raise VerifierDown("the verifying process gave no answer") from error

    def abandon(self) -> None:
        """In a forked child: let go of the parent's pipes, or the process would outlive the parent."""
        self._lock = threading.Lock()
        if self._process is not None:
            self._process.returncode = 0  # not this process's child to wait for
            self._close(self._process)
            self._process = None

    def stop(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._close(self._process)
            self._process.wait()
            self._process = None

    @staticmethod
    def _close(process: subprocess.Popen[bytes]) -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )

    def _ask(self, process: subprocess.Popen[bytes], texts: Sequence[str], timeout: float) -> list[bool]:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(stdin, False)
        until = time.monotonic() + timeout
        question = memoryview(orjson.dumps(list(texts)) + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            poll = select.poll()
            poll.register(stdout, select.POLLIN)
            if question:
                poll.register(stdin, select.POLLOUT)
            ready = dict(poll.poll(max(until - time.monotonic(), 0) * 1000))
            if not ready:
                raise TimeoutError
            if stdin in ready:
                question = question[os.write(stdin, question) :]
            if stdout in ready:
                some = os.read(stdout, 65_536)
                if not some:
                    raise ValueError("the verifying process has ended")
                answer += some
        found: list[bool] = orjson.loads(answer)
        if len(found) != len(texts):
            raise ValueError("the verifying process answered something else")
        return found


def serve() -> None:
    """Answer batches until standard input ends."""
    from .verifier import verify

    answers = os.dup(1)
    os.dup2(2, 1)  # whatever prints must not answer
    for line in sys.stdin.buffer:
        os.write(answers, orjson.dumps(verify(orjson.loads(line), timeout=3600)) + b"\n")
    os._exit(0)  # didkit's threads outlive the interpreter: leave without tearing it down
