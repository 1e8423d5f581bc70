"""Every test runs on a real PostgreSQL: settings.test starts the embedded one unless DATABASE_URL names
another. TEST_DB_SUFFIX keeps the databases of two runs apart; pytest-xdist's workers add a suffix each."""

from collections.abc import Iterator

import pytest
from django.core.cache import caches


@pytest.fixture(autouse=True)
def empty_caches() -> Iterator[None]:
    """What one test leaves in a cache (rate limits, weights) must not reach the next."""
    yield
    for cache in caches.all(initialized_only=True):
        cache.clear()
