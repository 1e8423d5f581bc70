"""What a cold start of one of the host's Lambda functions takes, part by part, in new interpreters.

    SCORER_FAST_HOST_HANDLER=v2.aws_lambdas.stamp_score_GET.handler python -m scorer_fast.lambda_handler.cold_start

Run it where the function's code and environment are (its container image, say), with the database in reach. It asks
the operation by a request that is refused, so that nothing is written; ``--event FILE`` asks by an event of yours, for
real. ``--bare`` has the files of Python and of its packages out of the file cache before each start, as a new instance.

A process imports in one order: what Django or the host have imported already is theirs, not this app's. Without
bytecode (``__pycache__``: pip writes it, some images leave it out) Python compiles every module at each start; the
command says so.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
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
    now = time.monotonic()
    try:
        with open("/proc/self/schedstat") as told:
            waited = int(told.read().split()[1]) / 1e9
    except (OSError, LookupError, ValueError):
        waited = 0.0
    sys.stderr.flush()
    sys.stderr.write(f"\\npart {part} {now} {waited}\\n")
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
import os
files = [getattr(module, "__cached__", None) for module in list(sys.modules.values())]
sys.stderr.write(f"compiled {sum(1 for file in files if file and not os.path.exists(file))}\\n")
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
    """Seconds of one start, but for those that it ``waited`` for a core. ``setup`` and ``answer`` are without this
    app's ``imports``; ``host`` is what importing the host's own handler takes a process without this app's handler
    (0 where there is none).

    ``modules``: how many modules the imports are. ``compiled``: modules of the process without bytecode.
    """

    interpreter: float
    setup: float
    imports: float
    answer: float
    host: float
    waited: float = 0.0
    modules: int = 0
    compiled: int = 0

    @property
    def total(self) -> float:
        """Until the first answer is there."""
        return self.interpreter + self.setup + self.imports + self.answer


class Part(NamedTuple):
    """One part of a process: its seconds, those of them that it waited for a core, and this app's imports in it, in
    seconds and in modules."""

    name: str
    seconds: float
    waited: float
    imports: float
    modules: int

    @property
    def busy(self) -> float:
        """Seconds but for the waiting."""
        return self.seconds - self.waited

    @property
    def own(self) -> float:
        """Seconds of the imports but for their share of the waiting."""
        return self.imports * self.busy / self.seconds


def measure(event: dict[str, Any], *, environment: dict[str, str] | None = None, bare: bool = False) -> Start:
    """One start that answers ``event``; RuntimeError with what the process said where it failed."""
    environment = dict(os.environ) if environment is None else environment
    parts, compiled = _run(OURS, json.dumps(event), environment, bare)
    interpreter, setup, imports, answer = parts
    name = environment.get(HOST_HANDLER, "").rpartition(".")[0]
    return Start(
        interpreter=interpreter.busy,
        setup=setup.busy - setup.own,
        imports=sum(part.own for part in parts),
        answer=imports.busy - imports.own + answer.busy - answer.own,
        host=_run(HOSTS, name, environment, bare)[0][-1].busy if name else 0.0,
        waited=sum(part.waited for part in parts),
        modules=sum(part.modules for part in parts),
        compiled=compiled,
    )


def _run(program: str, argument: str, environment: dict[str, str], bare: bool) -> tuple[list[Part], int]:
    """Its parts, and how many modules had no bytecode."""
    if bare:
        forget_files(environment.get("PYTHONPYCACHEPREFIX"))
    with tempfile.TemporaryFile("w+") as said:  # no pipe: it would have to wait for this process
        began = time.monotonic()
        command = [sys.executable, "-X", "importtime", "-c", program, argument]
        code = subprocess.run(command, env=environment, stdout=said, stderr=said, check=False).returncode
        said.seek(0)
        text = said.read()
    if code:
        lines = [line for line in text.splitlines() if not line.startswith("import time:")]
        raise RuntimeError("\n".join(lines[-20:]))
    compiled = re.search(r"^compiled (\d+)$", text, re.MULTILINE)
    return list(_parts(text, began)), int(compiled[1]) if compiled else 0


def _parts(lines: str, began: float) -> Iterator[Part]:
    seen: list[tuple[str, int, int]] = []
    last, waited_by_then = began, 0.0
    for line in lines.splitlines():
        if line.startswith("part "):
            _, name, ended, waited = line.split()
            microseconds, modules = own_imports(seen)
            yield Part(name, float(ended) - last, float(waited) - waited_by_then, microseconds / 1_000_000, modules)
            seen, last, waited_by_then = [], float(ended), float(waited)
        elif line.startswith("import time:") and "|" in line:
            _, cumulative, name = line.removeprefix("import time:").split("|")
            if cumulative.strip().isdigit():
                seen.append((name.strip(), (len(name) - len(name.lstrip()) - 1) // 2, int(cumulative)))


def own_imports(imported: list[tuple[str, int, int]]) -> tuple[int, int]:
    """Microseconds, and number, of this app's modules and what they were the first to import.

    ``imported``: name, depth and cumulative microseconds of each import, the imported before the importing, as
    Python's ``-X importtime`` lists them.
    """
    total, modules, inside = 0, 0, None
    for name, depth, cumulative in reversed(imported):
        if inside is not None and depth > inside:
            modules += 1
            continue
        inside = None
        if name.partition(".")[0] == PACKAGE:
            total += cumulative
            modules += 1
            inside = depth
    return total, modules


def forget_files(bytecode: str | None = None) -> None:
    """Have the system drop the files of Python and of its packages from its cache; those that others map stay.

    ``bytecode``: the folder where it is kept apart from them.
    """
    places = {sysconfig.get_path(name) for name in ("stdlib", "platlib", "purelib")} | {os.getcwd()}
    places |= {bytecode} if bytecode else set()
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
    found = Start(*(median(part) for part in zip(*starts, strict=True)))
    return found._replace(modules=int(found.modules), compiled=int(found.compiled))


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
        (f"{start.modules} imports of {PACKAGE} (at most {IMPORTS_LIMIT})", start.imports),
        ("connection, flags and answer", start.answer),
        ("until the first answer", start.total),
    ]
    if start.host:
        rows.append(("for comparison: the host's handler, imported alone", start.interpreter + start.host))
    if start.waited >= 0.0005:
        rows.append(("more, waiting for a core: other processes have them, or a quota is used up", start.waited))
    lines = [f"{seconds:8.3f} s  {name}" for name, seconds in rows]
    if start.compiled:
        lines.append(f"{start.compiled} modules have no bytecode and were compiled: python -m compileall, in the image")
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
