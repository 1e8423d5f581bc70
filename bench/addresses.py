"""Who is in the benchmark's database: every address, provider and key follows from a number."""

from __future__ import annotations

import hashlib

ADDRESSES = 10_000
STAMPS = 20  # per address
SCORED = 5_000  # the first so many addresses have been scored before; the others never
SPARES = 3_000  # addresses that hold one more signed stamp, to be posted
KEYS = 2_000  # API keys that still wait for their SHA-256
COMMUNITIES = 500  # beside the two that are scored: their weights are asked for

SCORER = 1  # the community of the API key
CACHE_SCORER = 2  # the one of the stamp cache, in the points program
API_KEY = "benchKEY.opens-nothing-but-a-database-of-the-benchmark"
INTERNAL_TOKEN = "bench-internal-token"
SECRET_KEY = "bench-secret-key-that-signs-tokens-for-nothing-else-0123456789"


def address(number: int) -> str:
    """The address of a number, spread over the whole range as real ones are."""
    return "0x" + hashlib.sha256(f"bench {number}".encode()).hexdigest()[:40]


def provider(number: int) -> str:
    """The provider of a stamp's number; number STAMPS is the one that is posted."""
    return f"Provider{number:02}"


def waiting_key(number: int) -> str:
    return f"wait{number:04}.opens-nothing-but-a-database-of-the-benchmark"
