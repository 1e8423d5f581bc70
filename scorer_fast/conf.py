"""Every setting this app reads, one typed property each, read at the call.

The host's own settings keep their names; this app's live in the dict ``SCORER_FAST``.
A property never caches: ``override_settings`` and a changed setting are seen by the next request.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

OWN: dict[str, Any] = {
    # -- database and scoring
    "DATABASE": "default",  # alias that scoring reads and writes
    "WRITE_ATTEMPTS": 5,  # read-decide-write rounds before 503
    "WEIGHTS_CACHE_SECONDS": 60,  # seconds a process may answer the weights endpoints from memory
    "REVERIFY_ONE_IN": 10_000,  # one remembered signature in so many is checked again; 0: never
    "VERIFY_TIMEOUT_SECONDS": 20.0,  # seconds didkit may take for one request's batch
    "PRUNE_EVERY_SECONDS": 3600,  # seconds between removals of remembered signatures that expired; 0: only by command
    "BACKGROUND": True,  # False: nothing of this app runs off the request's thread
    # -- who may do what
    "CHECK_INTERNAL_TOKEN": True,  # False only behind a private load balancer
    "ENFORCE_READ_SCORES": True,  # False: a key with read_scores false may read, as on the host
    "ENFORCE_TOKEN_ADDRESS": True,  # False: a token reads any address, as on the host
    "PBKDF2_FAILURES_PER_MINUTE": 10,  # wrong secrets per key prefix and process that may cost a PBKDF2 run
    # -- taking over from the host: flags
    "KILL": False,  # True, or a list of operation ids and groups: the host answers, whatever the flags say
    "MODES": {},  # mode of an operation without a row in the flag table, by id or group; "*": all others
    "SPLIT_SALT": "scorer_fast",  # part of every bucket; another salt deals all subjects anew
    "OPT_HEADERS": {"X-Use-Fast-Scorer": ("true", "false"), "X-Use-Rust-Scorer": ("true",)},  # values heeded
    "OPT_HEADER_ALLOWED": "all",  # who may choose by header: "all", "internal" (with the internal token), "none"
    "FLAGS_REFRESH_SECONDS": 1.0,  # seconds between two looks at the flag tables
    "FLAGS_INLINE": False,  # True: no thread, the request looks when the last look is that old (tests, Lambda)
    # -- taking over from the host: when the fast path fails
    "CIRCUIT_FAILURES": 5,  # unexpected exceptions of one operation in a process that open its circuit; 0: never
    "CIRCUIT_WINDOW_SECONDS": 60.0,  # seconds in which they are counted
    "CIRCUIT_COOLDOWN_SECONDS": 30.0,  # seconds the host answers before one request tries again
    # -- taking over from the host: under ASGI
    "ASGI_THREADS": 8,  # threads per process that serve the fast path, each with a connection of its own
    "ASGI_QUEUE": 64,  # requests that may wait for a thread; beyond it the host's own view answers
    "ASGI_CONN_MAX_AGE": 60,  # seconds such a connection lives where the host's CONN_MAX_AGE is 0; None: for ever
}


def own(name: str) -> Any:
    """The value of ``SCORER_FAST[name]``, or its default; KeyError for a name this app does not know."""
    given = getattr(settings, "SCORER_FAST", None)
    if given and name in given:
        return given[name]
    return OWN[name]


def _flag(name: str) -> bool:
    return getattr(settings, name, "off") == "on"


class Conf:
    """The settings as typed values; the single instance is :data:`conf`."""

    # ---- the host's, by their names

    @property
    def jwt_signing_key(self) -> str:
        """``NINJA_JWT["SIGNING_KEY"]``, else ``SECRET_KEY``: what access tokens are signed with."""
        return (getattr(settings, "NINJA_JWT", None) or {}).get("SIGNING_KEY") or settings.SECRET_KEY

    @property
    def cache_scorer_id(self) -> int | None:
        """``CERAMIC_CACHE_SCORER_ID``: the community of the ceramic-cache operations; None when it is no number."""
        try:
            return int(getattr(settings, "CERAMIC_CACHE_SCORER_ID", "") or "")
        except (TypeError, ValueError):
            return None

    @property
    def internal_token(self) -> str:
        """``CGRANTS_API_TOKEN``; empty refuses all."""
        return getattr(settings, "CGRANTS_API_TOKEN", None) or ""

    @property
    def trusted_issuers(self) -> frozenset[str]:
        """``TRUSTED_IAM_ISSUERS``: DIDs whose credentials count."""
        return frozenset(getattr(settings, "TRUSTED_IAM_ISSUERS", None) or ())

    @property
    def max_bulk_cache_size(self) -> int:
        """``MAX_BULK_CACHE_SIZE``: most entries of one payload; 100."""
        return int(getattr(settings, "MAX_BULK_CACHE_SIZE", 100))

    @property
    def human_points_enabled(self) -> bool:
        return bool(getattr(settings, "HUMAN_POINTS_ENABLED", False))

    @property
    def human_points_start(self) -> datetime:
        """``HUMAN_POINTS_START_TIMESTAMP`` (Unix seconds): before it nothing is awarded."""
        return datetime.fromtimestamp(int(getattr(settings, "HUMAN_POINTS_START_TIMESTAMP", 0) or 0), UTC)

    @property
    def human_points_mta_enabled(self) -> bool:
        return bool(getattr(settings, "HUMAN_POINTS_MTA_ENABLED", False))

    @property
    def api_analytics(self) -> bool:
        return _flag("FF_API_ANALYTICS")

    @property
    def multi_nullifier(self) -> bool:
        return _flag("FF_MULTI_NULLIFIER")

    @property
    def demo_api_key(self) -> str:
        return getattr(settings, "DEMO_API_KEY", None) or ""

    @property
    def demo_api_key_aliases(self) -> tuple[str, ...]:
        return tuple(getattr(settings, "DEMO_API_KEY_ALIASES", None) or ())

    @property
    def demo_scorer_id(self) -> int | None:
        """``DEMO_API_SCORER_ID``: what a negative scorer id stands for; None when unset."""
        try:
            return int(getattr(settings, "DEMO_API_SCORER_ID", "") or "")
        except (TypeError, ValueError):
            return None

    @property
    def rate_limit_enabled(self) -> bool:
        return bool(getattr(settings, "RATELIMIT_ENABLE", True))

    @property
    def read_database(self) -> str:
        """``REGISTRY_API_READ_DB``: alias that pure look-ups read from."""
        return getattr(settings, "REGISTRY_API_READ_DB", None) or "default"

    # ---- this app's own, in SCORER_FAST

    @property
    def database(self) -> str:
        return own("DATABASE")

    @property
    def write_attempts(self) -> int:
        return int(own("WRITE_ATTEMPTS"))

    @property
    def weights_cache_seconds(self) -> float:
        return min(float(own("WEIGHTS_CACHE_SECONDS")), 60.0)

    @property
    def reverify_one_in(self) -> int:
        return int(own("REVERIFY_ONE_IN"))

    @property
    def verify_timeout_seconds(self) -> float:
        return float(own("VERIFY_TIMEOUT_SECONDS"))

    @property
    def prune_every_seconds(self) -> float:
        return float(own("PRUNE_EVERY_SECONDS"))

    @property
    def background(self) -> bool:
        return bool(own("BACKGROUND"))

    @property
    def check_internal_token(self) -> bool:
        return bool(own("CHECK_INTERNAL_TOKEN"))

    @property
    def enforce_read_scores(self) -> bool:
        return bool(own("ENFORCE_READ_SCORES"))

    @property
    def enforce_token_address(self) -> bool:
        return bool(own("ENFORCE_TOKEN_ADDRESS"))

    @property
    def pbkdf2_failures_per_minute(self) -> int:
        return int(own("PBKDF2_FAILURES_PER_MINUTE"))

    # ---- taking over from the host

    @property
    def kill(self) -> bool | str | Collection[str]:
        return own("KILL")

    @property
    def modes(self) -> Mapping[str, str]:
        """Mode by operation id, group or ``"*"``, for operations that have no row in the flag table."""
        return own("MODES") or {}

    @property
    def split_salt(self) -> str:
        return str(own("SPLIT_SALT"))

    @property
    def opt_headers(self) -> Mapping[str, Collection[str]]:
        """Header name to the values of it that are heeded: ``"true"`` opts in, ``"false"`` out."""
        return own("OPT_HEADERS") or {}

    @property
    def opt_header_allowed(self) -> str:
        return str(own("OPT_HEADER_ALLOWED"))

    @property
    def flags_refresh_seconds(self) -> float:
        return float(own("FLAGS_REFRESH_SECONDS"))

    @property
    def flags_inline(self) -> bool:
        """Whether requests look at the flags themselves; always where nothing may run in the background."""
        return bool(own("FLAGS_INLINE")) or not self.background

    @property
    def circuit_failures(self) -> int:
        return int(own("CIRCUIT_FAILURES"))

    @property
    def circuit_window_seconds(self) -> float:
        return float(own("CIRCUIT_WINDOW_SECONDS"))

    @property
    def circuit_cooldown_seconds(self) -> float:
        return float(own("CIRCUIT_COOLDOWN_SECONDS"))

    @property
    def asgi_threads(self) -> int:
        return max(int(own("ASGI_THREADS")), 1)

    @property
    def asgi_queue(self) -> int:
        return max(int(own("ASGI_QUEUE")), 0)

    @property
    def asgi_conn_max_age(self) -> float | None:
        age = own("ASGI_CONN_MAX_AGE")
        return None if age is None else float(age)


conf = Conf()
