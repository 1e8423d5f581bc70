"""Every setting this app reads, one typed property each, read at the call.

The host's own settings keep their names; this app's live in the dict ``SCORER_FAST``.
A property never caches: ``override_settings`` and a changed setting are seen by the next request.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from django.conf import settings

OWN: dict[str, Any] = {
    # -- database and scoring
    "DATABASE": "default",  # alias that scoring reads and writes
    "WRITE_ATTEMPTS": 5,  # read-decide-write rounds before 503
    "WEIGHTS_CACHE_SECONDS": 60,  # seconds a process may answer the weights endpoints from memory
    "REVERIFY_ONE_IN": 10_000,  # one remembered signature in so many is checked again; 0: never
    "VERIFY_TIMEOUT_SECONDS": 20.0,  # seconds didkit may take for one request's batch
    "PRUNE_EVERY_SECONDS": 3600,  # seconds between removals of remembered signatures that expired; 0: only by command
    "KEEP_READINGS_DAYS": 30,  # days that what was read of unchanged stamps spares decoding them again; 0: never
    "AWAIT_RESCORES": False,  # True: also a score of unchanged stamps is on disk before it is answered
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
    "OPT_HEADER_ALLOWED": "all",  # who may: "all", "internal" (callers with the internal token), "none"
    "FLAGS_REFRESH_SECONDS": 1.0,  # seconds between two looks at the flag tables
    "FLAGS_INLINE": False,  # True: no thread; a request looks when the last look is that old
    # -- taking over from the host: when the fast path fails
    "CIRCUIT_FAILURES": 5,  # unexpected exceptions of an operation that open its circuit; 0: never
    "CIRCUIT_WINDOW_SECONDS": 60.0,  # seconds in which they are counted
    "CIRCUIT_COOLDOWN_SECONDS": 30.0,  # seconds the host answers before one request tries again
    # -- taking over from the host: under ASGI
    "ASGI_THREADS": 8,  # threads per process that serve the fast path, each with a connection of its own
    "ASGI_QUEUE": 64,  # requests that may wait for a thread; beyond it the host's own view answers
    "ASGI_CONN_MAX_AGE": 60,  # seconds of such a connection where CONN_MAX_AGE is 0; None: no limit
    # -- taking over from the host: figures
    "MEASURE_LEGACY": False,  # True: operations in mode legacy are measured too
    # -- shadow, figures and guard
    "SHADOW_SAMPLE": 1.0,  # share of an operation's requests that shadow looks at, 0 to 1
    "SHADOW_AA": False,  # True: shadow asks the host twice (operations that only read) and measures its noise
    "SHADOW_QUEUE": 200,  # requests per process waiting to be compared; more are dropped and counted
    "SHADOW_DEADLINE_SECONDS": 10.0,  # seconds after the host's answer to compare in; then it is dropped
    "SHADOW_READ_TIMEOUT_SECONDS": 2.0,  # seconds the reads before and after the host's view may take
    "SHADOW_SAMPLES_PER_GROUP": 20,  # redacted examples kept per group of mismatches
    "SHADOW_GROUPS_PER_OPERATION": 200,  # groups kept per operation; further paths count as "other"
    "KEEP_MISMATCHES_DAYS": 30,  # days a group of mismatches is kept after it was last seen
    "KEEP_FIGURES_DAYS": 7,  # days latency figures and shadow counts are kept
    "FIGURES_FLUSH_SECONDS": 5.0,  # seconds between a process adding its figures to the database's
    "GUARD": {},  # limits over GUARD_DEFAULTS; those of one operation under "OPERATIONS", by its id
    # -- bulk rescoring
    "RESCORE_BATCH": 250,  # addresses scored in one transaction, at most 1000
    "RESCORE_ADDRESSES_PER_SECOND": 0.0,  # most that one process rescores; 0: as fast as it goes
}

OPT_HEADER_CHOICES = ("all", "internal", "none")  # of OPT_HEADER_ALLOWED

GUARD_DEFAULTS: dict[str, Any] = {
    "INTERVAL_SECONDS": 30.0,  # seconds between two judgements by the workers; 0: only by command
    "DRY_RUN": False,  # True: judge and log, latch nothing
    "WINDOW_SECONDS": 600,  # how far back the fast path's figures count
    "BASELINE_SECONDS": 86_400,  # how far back the host's count, where the window has too few of them
    "MIN_SAMPLE": 200,  # requests of the fast path, and of the host, below which nothing is judged
    "ERROR_POINTS": 0.1,  # percentage points the error rate may be above the host's; None: not judged
    "ERROR_PERCENT": None,  # percent the error rate may be, whatever the host's is; None: not judged
    "P95_RATIO": 1.0,  # the fast path's p95 over the host's; None: not judged
    "P95_ABOVE_MS": None,  # milliseconds the fast path's p95 may be above the host's; None: not judged
    "P95_MS": None,  # milliseconds the p95 may be, whatever the host's is; None: not judged
    "MISMATCHES": 0,  # real mismatches that may be seen within the window below; None: not judged
    "MISMATCH_WINDOW_SECONDS": 3600,
    "LATCH_SHADOW": True,  # False: what is only shadowed is reported, not latched
}

# Numbers that may also be None: no limit, or a rule that is not judged.
MAY_BE_NONE = frozenset(
    {"ASGI_CONN_MAX_AGE", "ERROR_POINTS", "ERROR_PERCENT", "P95_RATIO", "P95_ABOVE_MS", "P95_MS", "MISMATCHES"}
)


# What Django's proxy has looked up before; it forgets what is set anew. By the proxy itself a name is a call in Python.
_READ: dict[str, Any] = object.__getattribute__(settings, "__dict__")


def _setting(name: str, *default: Any) -> Any:
    """``getattr(settings, name, *default)``."""
    try:
        return _READ[name]
    except KeyError:
        return getattr(settings, name, *default)


def own(name: str) -> Any:
    """The value of ``SCORER_FAST[name]``, or its default; KeyError for a name this app does not know."""
    given = _setting("SCORER_FAST", None)
    if given and name in given:
        return given[name]
    return OWN[name]


def _flag(name: str) -> bool:
    return bool(_setting(name, "off") == "on")


class Conf:
    """The settings as typed values; the single instance is :data:`conf`."""

    # ---- the host's, by their names

    @property
    def jwt_signing_key(self) -> str:
        """``NINJA_JWT["SIGNING_KEY"]``, else ``SECRET_KEY``: what access tokens are signed with."""
        key = (_setting("NINJA_JWT", None) or {}).get("SIGNING_KEY") or _setting("SECRET_KEY")
        return cast(str, key)

    @property
    def cache_scorer_id(self) -> int | None:
        """``CERAMIC_CACHE_SCORER_ID``: the community of the ceramic-cache operations; None when it is no number."""
        try:
            return int(_setting("CERAMIC_CACHE_SCORER_ID", "") or "")
        except (TypeError, ValueError):
            return None

    @property
    def internal_token(self) -> str:
        """``CGRANTS_API_TOKEN``; empty refuses all."""
        return _setting("CGRANTS_API_TOKEN", None) or ""

    @property
    def trusted_issuers(self) -> frozenset[str]:
        """``TRUSTED_IAM_ISSUERS``: DIDs whose credentials count."""
        return frozenset(_setting("TRUSTED_IAM_ISSUERS", None) or ())

    @property
    def max_bulk_cache_size(self) -> int:
        """``MAX_BULK_CACHE_SIZE``: most entries of one payload; 100."""
        return int(_setting("MAX_BULK_CACHE_SIZE", 100))

    @property
    def human_points_enabled(self) -> bool:
        return bool(_setting("HUMAN_POINTS_ENABLED", False))

    @property
    def human_points_start(self) -> datetime:
        """``HUMAN_POINTS_START_TIMESTAMP`` (Unix seconds): before it nothing is awarded."""
        return datetime.fromtimestamp(int(_setting("HUMAN_POINTS_START_TIMESTAMP", 0) or 0), UTC)

    @property
    def human_points_mta_enabled(self) -> bool:
        return bool(_setting("HUMAN_POINTS_MTA_ENABLED", False))

    @property
    def api_analytics(self) -> bool:
        return _flag("FF_API_ANALYTICS")

    @property
    def multi_nullifier(self) -> bool:
        return _flag("FF_MULTI_NULLIFIER")

    @property
    def demo_api_key(self) -> str:
        return _setting("DEMO_API_KEY", None) or ""

    @property
    def demo_api_key_aliases(self) -> tuple[str, ...]:
        return tuple(_setting("DEMO_API_KEY_ALIASES", None) or ())

    @property
    def demo_scorer_id(self) -> int | None:
        """``DEMO_API_SCORER_ID``: what a negative scorer id stands for; None when unset."""
        try:
            return int(_setting("DEMO_API_SCORER_ID", "") or "")
        except (TypeError, ValueError):
            return None

    @property
    def rate_limit_enabled(self) -> bool:
        return bool(_setting("RATELIMIT_ENABLE", True))

    @property
    def read_database(self) -> str:
        """``REGISTRY_API_READ_DB``: alias that pure look-ups read from."""
        return _setting("REGISTRY_API_READ_DB", None) or "default"

    # ---- this app's own, in SCORER_FAST

    @property
    def database(self) -> str:
        return str(own("DATABASE"))

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
    def keep_readings_days(self) -> float:
        return float(own("KEEP_READINGS_DAYS"))

    @property
    def await_rescores(self) -> bool:
        return bool(own("AWAIT_RESCORES"))

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
    def kill(self) -> Any:
        """``SCORER_FAST["KILL"]``: True, or operations and groups as a list or by commas."""
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
    def measure_legacy(self) -> bool:
        return bool(own("MEASURE_LEGACY"))

    @property
    def asgi_conn_max_age(self) -> float | None:
        age = own("ASGI_CONN_MAX_AGE")
        return None if age is None else float(age)

    # ---- shadow, figures and guard, in SCORER_FAST

    @property
    def shadow_sample(self) -> float:
        return float(own("SHADOW_SAMPLE"))

    @property
    def shadow_aa(self) -> bool:
        return bool(own("SHADOW_AA"))

    @property
    def shadow_queue(self) -> int:
        return int(own("SHADOW_QUEUE"))

    @property
    def shadow_deadline_seconds(self) -> float:
        return float(own("SHADOW_DEADLINE_SECONDS"))

    @property
    def shadow_read_timeout_seconds(self) -> float:
        return float(own("SHADOW_READ_TIMEOUT_SECONDS"))

    @property
    def shadow_samples_per_group(self) -> int:
        return int(own("SHADOW_SAMPLES_PER_GROUP"))

    @property
    def shadow_groups_per_operation(self) -> int:
        return int(own("SHADOW_GROUPS_PER_OPERATION"))

    @property
    def keep_mismatches_days(self) -> float:
        return float(own("KEEP_MISMATCHES_DAYS"))

    @property
    def keep_figures_days(self) -> float:
        return float(own("KEEP_FIGURES_DAYS"))

    @property
    def figures_flush_seconds(self) -> float:
        return float(own("FIGURES_FLUSH_SECONDS"))

    def guard_limits(self, operation_id: str | None = None) -> dict[str, Any]:
        """The guard's limits: GUARD over GUARD_DEFAULTS, and over both what GUARD says of one operation."""
        given = {key: value for key, value in own("GUARD").items() if key != "OPERATIONS"}
        one = own("GUARD").get("OPERATIONS", {}).get(operation_id, {}) if operation_id else {}
        return {**GUARD_DEFAULTS, **given, **one}

    # ---- bulk rescoring, in SCORER_FAST

    @property
    def rescore_batch(self) -> int:
        return int(own("RESCORE_BATCH"))

    @property
    def rescore_addresses_per_second(self) -> float:
        return float(own("RESCORE_ADDRESSES_PER_SECOND"))


conf = Conf()
