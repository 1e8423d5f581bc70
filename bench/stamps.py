"""The signed stamps: made once, kept as compressed lines beside the database, so that a new schema signs none again.

python -m bench.stamps PART     # one of PARTS; the parts run as processes of their own
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson

from api.demo_issuer import Claim, sign_credentials
from bench.addresses import ADDRESSES, SPARES, STAMPS, address, provider

DATA = Path(__file__).resolve().parent / "data"
FOLDER = DATA / f"stamps-{ADDRESSES}x{STAMPS}"
PARTS = 20
ISSUED = datetime(2026, 1, 1, tzinfo=UTC)
EXPIRES = datetime(2046, 1, 1, tzinfo=UTC)  # the files are kept: nothing in them may run out


def part_file(part: int) -> Path:
    return FOLDER / f"part-{part:02}.jsonl.gz"


def claims(part: int) -> Iterator[Claim]:
    """The stamps of the part's addresses; the stamp to be posted is the last of an address that has one."""
    for number in range(part, ADDRESSES, PARTS):
        for stamp in range(STAMPS + (number < SPARES)):
            yield Claim(address(number), provider(stamp), issued=ISSUED, expires=EXPIRES)


def make(part: int) -> None:
    """Sign one part; the file appears when it is complete."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    unfinished = part_file(part).with_suffix(f".{os.getpid()}")
    with gzip.open(unfinished, "wb", compresslevel=5) as lines:
        for credential in sign_credentials(claims(part)):
            lines.write(orjson.dumps(credential) + b"\n")
    unfinished.rename(part_file(part))


def ensure() -> None:
    """Sign what is not there yet, on every core."""
    missing = [part for part in range(PARTS) if not part_file(part).exists()]
    total = ADDRESSES * STAMPS + SPARES
    if missing:
        print(f"Signing {total * len(missing) // PARTS:,} stamps (once) …", flush=True)
    running: list[subprocess.Popen[bytes]] = []
    for part in missing:
        running.append(subprocess.Popen([sys.executable, "-m", "bench.stamps", str(part)]))
        if len(running) >= (os.cpu_count() or 1):
            _finish(running.pop(0))
    for process in running:
        _finish(process)


def _finish(process: subprocess.Popen[bytes]) -> None:
    if process.wait():
        raise SystemExit("The stamps could not be signed.")


def read() -> Iterator[dict]:
    """Every signed credential."""
    for part in range(PARTS):
        with gzip.open(part_file(part), "rb") as lines:
            yield from map(orjson.loads, lines)


if __name__ == "__main__":
    make(int(sys.argv[1]))
