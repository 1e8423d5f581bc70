"""One process that verifies credentials, and that may die of it: both ends of its pipes.

The parent sends a batch as a line of JSON, a list of texts; the process answers with a line, a list of booleans. It
imports neither Django nor settings, gets no secret of the parent's environment, ends when the pipe from its parent does
(however the parent ended), and costs some 25 MB.

While it looks at a batch, a timer of the CPU time that it spends (``ITIMER_PROF``) is set: SIGPROF ends it, whatever
native code is doing. CPU time and not the clock's, so that a busy machine makes no credential a bad one.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import orjson

from ..errors import VerifierDown

CPU_SECONDS = 0.25  # for a batch, whatever it holds
CPU_SECONDS_EACH = 0.01  # more for each credential; the slowest format takes a fifth of it
STUCK_SECONDS = 1.0  # without an answer and without any work, twice: the process is stopped, or waits for something
MEMORY_BYTES = 1 << 30  # of data, as the kernel counts it: threads' stacks and what they reserve as well
STARTING_SECONDS = 10.0  # longest that a process that has been started needs to say so
LAST_SECONDS = 120.0  # after which a process whose question nobody waits for any longer gives it up
READY = b"ready\n"
PACKAGES = str(Path(__file__).parents[2])  # where this app is, wherever the working directory is by then

# Ends that say nothing about the credential: somebody outside wanted them.
FROM_OUTSIDE = frozenset({-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP})


class Died(Exception):
    """The process ended while it looked at a batch; ``by_itself``: of the batch, not by somebody's wish."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the verifying process ended with {status}")
        self.status = status
        self.by_itself = status not in FROM_OUTSIDE


class NotStarted(Exception):
    """No interpreter was found, or none of those found runs this module."""


class NotReady(Exception):
    """The process ended, or was not ready in time, before it was asked anything."""


class VerifierProcess:
    """One such process, started at once and not waited for; one batch at a time."""

    def __init__(self) -> None:
        self._interpreter, self._process = _start()
        self._is_ready = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def be_ready(self, until: float) -> None:
        """Wait until it can be asked; NotReady at ``until`` (monotonic seconds)."""
        if self._is_ready:
            return
        try:
            answer = self._exchange(b"", min(until, time.monotonic() + STARTING_SECONDS))
        except (Died, TimeoutError) as error:
            if isinstance(error, Died) and error.status > 0 and self._interpreter not in _able:
                _unable.add(self._interpreter)
            raise NotReady from error
        if answer != READY:
            raise NotReady
        _able.add(self._interpreter)
        self._is_ready = True

    def ask(self, texts: Sequence[str], until: float) -> list[bool]:
        """The answers in the texts' order; Died, or TimeoutError where it is stuck and at ``until`` (monotonic)."""
        found: list[bool] = orjson.loads(self._exchange(orjson.dumps(list(texts)) + b"\n", until))
        if len(found) != len(texts):
            raise Died(0)
        return found

    def end(self) -> None:
        """End the process, if it has not ended, and leave nothing of it."""
        self._process.kill()
        self._close()
        self._process.wait()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's pipes, or the process would outlive the parent."""
        self._process.returncode = 0  # not this process's child to wait for
        self._close()

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _exchange(self, question: bytes, until: float) -> bytes:
        """Send a line, or nothing, and receive one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        stdin, stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        rest = memoryview(question)
        answer = b""
        worked: str | None = None
        while not answer.endswith(b"\n"):
            poll = select.poll()
            poll.register(stdout, select.POLLIN)
            if rest:
                poll.register(stdin, select.POLLOUT)
            remaining = max(until - time.monotonic(), 0)
            ready = dict(poll.poll(min(remaining, STUCK_SECONDS) * 1000))
            if not ready:
                before, worked = worked, self._cpu_time()  # not asked for before it takes long
                if remaining <= STUCK_SECONDS or worked == before:
                    raise TimeoutError
            try:
                if stdin in ready:
                    rest = rest[os.write(stdin, rest) :]
                some = os.read(stdout, 65_536) if stdout in ready else None
            except BrokenPipeError:
                some = b""
            if some == b"":
                raise Died(self._status())
            answer += some or b""
        return answer

    def _status(self) -> int:
        """How the process ended, which has closed its pipe; 0 where somebody else has waited for it."""
        try:
            return self._process.wait(STUCK_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _cpu_time(self) -> str:
        """A text that changes while the process works; where there is no ``/proc`` it never does."""
        with suppress(OSError):
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return " ".join(fields[11:13])  # clock ticks of the process and of the kernel for it
        return ""


def interpreters() -> Iterator[str]:
    """Programs that may be this Python, the likeliest first: ``sys.executable`` is uWSGI's or an application's own
    where Python is embedded."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folders = [Path(sys.exec_prefix) / "bin", Path(sys.base_exec_prefix) / "bin", sysconfig.get_config_var("BINDIR")]
    candidates = [sys.executable, getattr(sys, "_base_executable", None)]
    candidates += [Path(folder) / f"python{version}" for folder in folders if folder]
    seen = set()
    for candidate in candidates:
        path = Path(candidate or "")
        if path.name.startswith("python") and path not in seen and os.access(path, os.X_OK):
            seen.add(path)
            yield str(path)


_able: set[str] = set()  # interpreters that have run this module
_unable: set[str] = set()  # those that could not


def _start() -> tuple[str, subprocess.Popen[bytes]]:
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "TMPDIR", "PYTHONHOME")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(map(os.path.abspath, (PACKAGES, *sys.path)))),
        "RUST_BACKTRACE": "0",  # didkit panics at some signatures; printing where takes longer than all the rest
    }
    for interpreter in interpreters():
        if interpreter in _unable:
            continue
        with suppress(FileNotFoundError, PermissionError):
            process = subprocess.Popen(
                [interpreter, "-S", "-P", "-c", f"from {__name__} import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env=environment,
                start_new_session=True,  # a terminal's Ctrl-C is for the parent
            )
            assert process.stdin is not None
            os.set_blocking(process.stdin.fileno(), False)
            return interpreter, process
    raise NotStarted


def serve() -> None:
    """Answer batches until standard input ends."""
    answers = os.dup(1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent may have requests to finish, and takes this one along
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF])
    for kind, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_DATA, MEMORY_BYTES)):
        with suppress(ValueError, OSError):  # lower already
            resource.setrlimit(kind, (most, most))

    from .verifier_local import verify

    verify(["{}"], LAST_SECONDS)  # didkit is loaded and has its threads
    quiet = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):  # what strangers make didkit say is no log
        os.dup2(quiet, output)
    os.write(answers, READY)
    for line in sys.stdin.buffer:
        texts = orjson.loads(line)
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS + CPU_SECONDS_EACH * len(texts))
        try:
            found = verify(texts, LAST_SECONDS)
        except VerifierDown:
            break
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(answers, orjson.dumps(found) + b"\n")
    os._exit(0)  # didkit's threads outlive the interpreter: leave without tearing it down
