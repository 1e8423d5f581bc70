"""What a cold start of one of the host's Lambda functions takes, part by part, in new interpreters.

    SCORER_FAST_HOST_HANDLER=v2.aws_lambdas.stamp_score_GET.handler python -m scorer_fast.lambda_handler.cold_start

Run it where the function's code and environment are (its container image, say), with the database in reach. It asks
the operation by a request that is refused, so that nothing is written; ``--event FILE`` asks by an event of yours, for
real. ``--bare`` has the files of Python and of its packages out of the file cache before each start, as a new instance.

A process imports in one order: what Django or the host have imported already is theirs, not this app's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from .environment import HOST_HANDLER

IMPORTS_LIMIT = 0.35  # seconds, of this app's own imports, beside Django's and the host's
PACKAGE = (__package__ or "").partition(".")[0]
NOBODY = "0x" + "0" * 40
NO_KEY = "no-such.key"  # looked up, and not found

# Refused before anything is read of an address; nothing is written.
REQUESTS: dict[str, tuple[str, str]] = {
    "v2_score": ("GET", f"/v2/stamps/1/score/{NOBODY}"),
    "embed_score": ("GET", "/internal/embed/score/1/none"),
    "embed_add_stamps": ("POST", "/internal/embed/stamps/none"),
    "embed_validate_api_key": ("GET", "/internal/embed/validate-api-key"),
    "cache_add_stamps": ("POST", "/ceramic-cache/stamps/bulk"),
    "cache_patch_stamps": ("PATCH", "/ceramic-cache/stamps/bulk"),
    "cache_delete_stamps": ("DELETE", "/ceramic-cache/stamps/bulk"),
    "cache_get_score": ("GET", f"/ceramic-cache/score/{NOBODY}"),
    "cache_calc_score": ("POST", f"/ceramic-cache/score/{NOBODY}"),
    "cache_get_stamps": ("GET", "/ceramic-cache/stamp"),
    "cache_weights": ("GET", "/ceramic-cache/weights"),
}

# What one new interpreter does; it says on its standard error when each part ends, among -X importtime's lines.
STARTED = """
import sys, time
def mark(part):
    sys.stderr.flush()
    sys.stderr.write(f"\\npart {part} {time.monotonic()}\\n")
    sys.stderr.flush()
mark("interpreter")
"""
OURS = (
    STARTED
    + """
import json
from scorer_fast import lambda_handler
lambda_handler.set_up()
mark("setup")
from scorer_fast.lambda_handler import serving
mark("imports")
status = serving.asked_fast(json.loads(sys.argv[1]))
mark("answer")
if status is None or status >= 500:
    sys.exit(f"the fast path did not answer (status {status}): is the database in reach?")
"""
)
HOSTS = (
    STARTED
    + """
from importlib import import_module
import_module(sys.argv[1])
mark("host")
"""
)


class Start(NamedTuple):
    """Seconds of one start. ``setup`` and ``answer`` are without this app's ``imports``; ``host`` is what importing
    the host's own handler takes a process without this app's handler (0 where there is none)."""

    interpreter: float
    setup: float
    imports: float
    answer: float
    host: float

    @property
    def total(self) -> float:
        """Until the first answer is there."""
        return self.interpreter + self.setup + self.imports + self.answer


class Part(NamedTuple):
    """One part of a process: when it ended, and the seconds of this app's imports in it."""

    name: str
    ended: float
    imports: float


def measure(event: dict[str, Any], *, environment: dict[str, str] | None = None, bare: bool = False) -> Start:
    """One start that answers ``event``; RuntimeError with what the process said where it failed."""
    environment = dict(os.environ) if environment is None else environment
    began, parts = _run(OURS, json.dumps(event), environment, bare)
    seconds = dict(zip((part.name for part in parts), _durations(began, parts), strict=True))
    ours = {part.name: part.imports for part in parts}
    host = 0.0
    name = environment.get(HOST_HANDLER, "").rpartition(".")[0]
    if name:
        host_began, host_parts = _run(HOSTS, name, environment, bare)
        host = _durations(host_began, host_parts)[-1]
    return Start(
        interpreter=seconds["interpreter"],
        setup=seconds["setup"] - ours["setup"],
        imports=sum(ours.values()),
        answer=seconds["imports"] - ours["imports"] + seconds["answer"] - ours["answer"],
        host=host,
    )


def _durations(began: float, parts: list[Part]) -> list[float]:
    ends = [began, *(part.ended for part in parts)]
    return [later - earlier for earlier, later in pairwise(ends)]


def _run(program: str, argument: str, environment: dict[str, str], bare: bool) -> tuple[float, list[Part]]:
    if bare:
        forget_files()
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program, argument],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        said = [line for line in ended.stderr.splitlines() if not line.startswith("import time:")]
        raise RuntimeError("\n".join(said[-20:]))
    return began, list(_parts(ended.stderr))


def _parts(lines: str) -> Iterator[Part]:
    seen: list[tuple[str, int, int]] = []
    for line in lines.splitlines():
        if line.startswith("part "):
            _, name, ended = line.split()
            yield Part(name, float(ended), own_imports(seen) / 1_000_000)
            seen = []
        elif line.startswith("import time:") and "|" in line:
            _, cumulative, name = line.removeprefix("import time:").split("|")
            if cumulative.strip().isdigit():
                seen.append((name.strip(), (len(name) - len(name.lstrip()) - 1) // 2, int(cumulative)))


def own_imports(imported: list[tuple[str, int, int]]) -> int:
    """Microseconds of this app's modules and what they were the first to import.

    ``imported``: name, depth and cumulative microseconds of each import, the imported before the importing, as
    Python's ``-X importtime`` lists them.
    """
    total, inside = 0, None
    for name, depth, cumulative in reversed(imported):
        if inside is not None and depth > inside:
            continue
        inside = None
        if name.partition(".")[0] == PACKAGE:
            total += cumulative
            inside = depth
    return total


def forget_files() -> None:
    """Have the system drop the files of Python and of its packages from its cache; those that others map stay."""
    places = {sysconfig.get_path(name) for name in ("stdlib", "platlib", "purelib")} | {os.getcwd()}
    for place in sorted(places):
        for path in Path(place).rglob("*"):
            if path.suffix in (".py", ".pyc", ".so") and path.is_file():
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(descriptor)


def event_of(operation: str) -> dict[str, Any]:
    """An event of ``operation`` that is refused."""
    method, path = REQUESTS[operation]
    return {
        "httpMethod": method,
        "path": path,
        "headers": {"x-api-key": NO_KEY},
        "queryStringParameters": {},
        "body": "{}",
    }


def middle(starts: list[Start]) -> Start:
    """The median of each part."""
    return Start(*(median(part) for part in zip(*starts, strict=True)))


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 where this app's imports take longer than ``IMPORTS_LIMIT``."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description="What a cold start takes.")
    parser.add_argument("--operation", choices=REQUESTS, default="v2_score")
    parser.add_argument("--event", type=Path, help="a file with an event that is answered for real")
    parser.add_argument("--bare", action="store_true", help="drop Python's files from the file cache before each start")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="for programs")
    chosen = parser.parse_args(arguments)
    event = json.loads(chosen.event.read_text()) if chosen.event else event_of(chosen.operation)
    found = middle([measure(event, bare=chosen.bare) for _ in range(chosen.runs)])
    if chosen.json:
        sys.stdout.write(json.dumps({**found._asdict(), "total": found.total}) + "\n")
    else:
        sys.stdout.write(told(found))
    return int(found.imports > IMPORTS_LIMIT)


def told(start: Start) -> str:
    """A start as a table."""
    rows = [
        ("the interpreter", start.interpreter),
        ("Django's and the host's own set-up", start.setup),
        (f"imports of {PACKAGE} (at most {IMPORTS_LIMIT})", start.imports),
        ("connection, flags and answer", start.answer),
        ("until the first answer", start.total),
    ]
    if start.host:
        rows.append(("for comparison: the host's handler, imported alone", start.interpreter + start.host))
    return "".join(f"{seconds:8.3f} s  {name}\n" for name, seconds in rows)


if __name__ == "__main__":
    sys.exit(main())
