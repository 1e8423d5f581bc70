"""Every setting this app reads: one model of its own dict ``SCORER_FAST``, one of the host's settings it honours.

To add one: a line in ``ScorerFast`` (type, default, unit), named as its key but in lower case; a heading in
docs/operations.md; a line in CHANGELOG.md. Read it as ``conf.name`` where it is used, never at import.
The system checks report what the models refuse; a running process logs it and goes on with the default.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

from django.conf import settings
from django.core.signals import setting_changed
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from . import process

logger = logging.getLogger(__name__)

Names = TypeVar("Names", bound=Iterable[Any])
Model = TypeVar("Model", bound=BaseModel)

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]  # seconds, days, percent, milliseconds
Words = Annotated[frozenset[str], Field(strict=False)]  # any collection of strings, but no string


class GuardLimits(BaseModel):
    """When the guard takes an operation back from the fast path; a limit of None is not judged."""

    model_config = ConfigDict(alias_generator=str.upper, extra="forbid", frozen=True, strict=True)

    interval_seconds: Amount = 30.0  # seconds between two judgements by the workers; 0: only by command
    dry_run: bool = False  # True: judge and log, latch nothing
    false_alarms_a_year: Annotated[float, Field(gt=0)] = 1.0  # that are acceptable, of all operations together
    min_sample: Count = 200  # requests of the fast path, and of the host, below which nothing is fine
    error_points: Amount | None = 0.1  # percentage points the error rate may be above the host's
    p95_ratio: Amount | None = 1.0  # the fast path's p95 over the host's
    error_percent: Amount | None = 2.0  # percent the error rate may be where the host answers nothing any more
    p95_times: Amount | None = 4.0  # the p95 there, over what it was when it was last compared
    mismatches: Count | None = 0  # requests that may be answered otherwise within the window below
    min_compared: Count = 20  # requests compared below which no mismatch latches
    mismatch_window_seconds: Count = 3600  # how far back mismatches count
    latch_shadow: bool = True  # False: what is only shadowed is reported, not latched


def keys(model: type[BaseModel]) -> list[str]:
    """The names under which the settings of a model are written."""
    return [field.alias or name.upper() for name, field in model.model_fields.items()]


class Guard(GuardLimits):
    """The limits of all operations, and those of single ones over them."""

    operations: dict[str, GuardLimits] = {}  # by operation id; only the limits given count

    @field_validator("operations")
    @classmethod
    def _name_operations(cls, given: dict[str, GuardLimits], info: ValidationInfo) -> dict[str, GuardLimits]:
        return _known(given, info, "operations")


class ScorerFast(BaseModel):
    """``SCORER_FAST``, the dict of this app's own settings."""

    model_config = ConfigDict(alias_generator=str.upper, extra="forbid", frozen=True, strict=True)

    # -- the host's revision
    linked_addresses: str = ""  # dotted path of a function, address to addresses; "": the host's own, where it has one
    contract: Literal["auto", "2025-12", "2026-07"] = "auto"  # auto: found out from the host's models and settings
    # -- database and scoring
    database: str = "default"  # alias that scoring reads and writes
    write_attempts: Positive = 5  # read-decide-write rounds before 503
    weights_cache_seconds: Annotated[Amount, Field(le=60)] = 60  # a process may answer the weights from memory
    reverify_one_in: Count = 10_000  # one remembered signature in so many is checked again; 0: never
    verify_timeout_seconds: Amount = 20.0  # seconds didkit may take for one request's batch
    strict_context: bool = False  # True: a stamp whose own context is not one of the known forms does not count
    verifier_processes: Annotated[Count, Field(le=64)] = 2  # processes that run didkit; 0: it runs in the server's own
    prune_every_seconds: Amount = 3600  # between removals of remembered signatures that expired; 0: only by command
    keep_readings_days: Amount = 30  # days that what was read of unchanged stamps spares decoding them; 0: never
    lock_timeout_ms: Count = 2000  # milliseconds that a statement waits for a lock; 0: as long as the request may
    statement_timeout_ms: Count = 10_000  # milliseconds the role or the connection should allow; doctor compares
    request_deadline_seconds: Annotated[float, Field(gt=0)] = 10.0  # from its arrival; then 503
    await_rescores: bool = False  # True: also a score of unchanged stamps is on disk before it is answered
    background: bool = True  # False: nothing of this app runs off the request's thread
    # -- who may do what
    docs: Literal["on", "staff", "off"] = "staff"  # who sees the OpenAPI document and its page: all, the admin's staff
    check_internal_token: bool = True  # False only behind a private load balancer
    enforce_read_scores: bool = True  # False: a key with read_scores false may read, as on the host
    enforce_token_address: bool = True  # False: a token reads any address, as on the host
    pbkdf2_failures_per_minute: Count = 10  # wrong secrets per key prefix and process that may cost a PBKDF2 run
    # -- taking over from the host: flags
    kill: bool | str = (
        False  # True, or operation ids and groups (a list, or by commas): the host answers, whatever flags say
    )
    modes: dict[str, str] = {}  # mode of an operation without a row in the flag table, by id or group; "*": all others
    split_salt: str = "scorer_fast"  # part of every bucket; another salt deals all subjects anew
    opt_headers: dict[str, Words] = {  # values heeded, per header
        "X-Use-Fast-Scorer": frozenset({"true", "false"}),
        "X-Use-Rust-Scorer": frozenset({"true"}),
    }
    opt_header_allowed: Literal["all", "internal", "none"] = "all"  # internal: callers with the internal token
    flags_refresh_seconds: Amount = 1.0  # seconds between two looks at the flag tables
    flags_inline: bool = False  # True, or BACKGROUND False: a request looks when the last look is that old
    # -- taking over from the host: when the fast path fails
    circuit_failures: Count = 5  # unexpected exceptions of an operation that open its circuit; 0: never
    circuit_window_seconds: Amount = 60.0  # seconds in which they are counted
    circuit_cooldown_seconds: Amount = 30.0  # seconds the host answers before one request tries again
    # -- overload
    max_in_progress: Count = 64  # requests in progress per process, scorings three quarters; beyond it 503; 0: no bound
    shed_after_seconds: Amount = 0.5  # age at which a scoring is told to come again, a look-up at twice; 0: never
    # -- taking over from the host: under ASGI
    asgi_threads: Positive = 8  # threads per process that serve the fast path, each with a connection of its own
    asgi_queue: Count = 64  # requests that may wait for a thread, scorings in three quarters; beyond it 503
    asgi_conn_max_age: Amount | None = 60  # seconds of such a connection where CONN_MAX_AGE is 0; None: no limit
    # -- shadow, figures and guard
    control_percent: Annotated[Amount, Field(le=50)] = 1.0  # of a day's addresses that the host answers at 100 %
    measure_legacy: bool = False  # True: operations in mode legacy are measured too
    shadow_sample: Annotated[Amount, Field(le=1)] = 1.0  # share of an operation's requests that shadow looks at
    shadow_aa: bool = False  # True: shadow asks the host twice (operations that only read) and measures its noise
    shadow_queue: Count = 200  # requests per process waiting to be compared; more are dropped and counted
    shadow_deadline_seconds: Amount = 10.0  # seconds after the host's answer to compare in; then it is dropped
    shadow_read_timeout_seconds: Amount = 2.0  # seconds the reads before and after the host's view may take
    shadow_samples_per_group: Count = 20  # redacted examples kept per group of mismatches
    shadow_groups_per_operation: Count = 200  # groups kept per operation; further paths count as "other"
    keep_mismatches_days: Amount = 30  # days a group of mismatches is kept after it was last seen
    keep_figures_days: Amount = 7  # days latency figures and shadow counts are kept
    figures_flush_seconds: Amount = 5.0  # seconds between a process adding its figures to the database's
    guard: Guard = Guard()  # when the guard takes an operation back
    # -- bulk rescoring
    rescore_batch: Annotated[int, Field(ge=1, le=1000)] = 250  # addresses scored in one transaction
    rescore_addresses_per_second: Amount = 0.0  # most that one process rescores; 0: as fast as it goes

    @field_validator("kill", mode="before")
    @classmethod
    def _name_what_to_kill(cls, given: Any, info: ValidationInfo) -> Any:
        if isinstance(given, bool | str):
            return given
        if not isinstance(given, list | tuple | set | frozenset):
            raise PydanticCustomError("kill", "Input should be True, False, or names of operations and groups")
        return ",".join(map(str, _known(given, info, "targets", "all")))

    @field_validator("modes")
    @classmethod
    def _name_modes(cls, given: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        for name, mode in _known(given, info, "targets", "*").items():
            if info.context and mode not in info.context["modes"]:
                raise PydanticCustomError(
                    "mode", f"Mode of {name!r} should be one of {', '.join(info.context['modes'])}"
                )
        return given


def _known(given: Names, info: ValidationInfo, kind: str, *more: str) -> Names:
    """``given``, whose names the context knows; without a context, in a running process, any will do."""
    known = [*more, *info.context[kind]] if info.context else None
    for name in given:
        if known is not None and name not in known:
            raise PydanticCustomError("unknown", "the key {name} is unknown", {"name": str(name), "known": known})
    return given


def _number(given: Any) -> int | None:
    try:
        return int(given or "")
    except (TypeError, ValueError):
        return None


def _or(empty: Any) -> BeforeValidator:
    return BeforeValidator(lambda given: given or empty)


EPOCH = datetime.fromtimestamp(0, UTC)
Text = Annotated[str, _or("")]
Set = Annotated[frozenset[str], _or(frozenset())]
Mapping = Annotated[dict[str, Any], _or({})]
Truth = Annotated[bool, BeforeValidator(bool)]
Switch = Annotated[bool, BeforeValidator(lambda given: given == "on")]  # the host's "on" and "off"
Id = Annotated[int | None, BeforeValidator(_number)]  # None where it is no number
Instant = Annotated[datetime, BeforeValidator(lambda given: datetime.fromtimestamp(int(given or 0), UTC))]


class Host(BaseModel):
    """The host's settings that the endpoints honour, by the host's names."""

    model_config = ConfigDict(frozen=True)

    ninja_jwt: Mapping = Field(default={}, alias="NINJA_JWT")  # its SIGNING_KEY goes before SECRET_KEY
    cache_scorer_id: Id = Field(
        default=None, alias="CERAMIC_CACHE_SCORER_ID"
    )  # community of the ceramic-cache operations
    internal_token: Text = Field(default="", alias="CGRANTS_API_TOKEN")  # empty refuses all
    trusted_issuers: Set = Field(default=frozenset(), alias="TRUSTED_IAM_ISSUERS")  # DIDs whose credentials count
    max_bulk_cache_size: int = Field(default=100, alias="MAX_BULK_CACHE_SIZE")  # most entries of one payload
    human_points_enabled: Truth = Field(
        default=False, alias="HUMAN_POINTS_ENABLED"
    )  # show human points; award, 2025-12
    human_points_write_enabled: Truth = Field(
        default=False, alias="HUMAN_POINTS_WRITE_ENABLED"
    )  # award human points; since 2026-07
    siwe_public_key: Text = Field(default="", alias="SIWE_JWT_PUBLIC_KEY")  # PEM, for RS256 tokens; since 2026-07
    human_points_start: Instant = Field(
        default=EPOCH, alias="HUMAN_POINTS_START_TIMESTAMP"
    )  # Unix seconds; no award before
    human_points_mta_enabled: Truth = Field(default=False, alias="HUMAN_POINTS_MTA_ENABLED")  # award MTA too
    api_analytics: Switch = Field(default=False, alias="FF_API_ANALYTICS")  # "on": a row per call of a key
    multi_nullifier: Switch = Field(default=False, alias="FF_MULTI_NULLIFIER")  # "on": all nullifiers count
    demo_api_key: Text = Field(default="", alias="DEMO_API_KEY")  # a key that may be used by aliases
    demo_api_key_aliases: Set = Field(default=frozenset(), alias="DEMO_API_KEY_ALIASES")  # what stands for it
    demo_scorer_id: Id = Field(default=None, alias="DEMO_API_SCORER_ID")  # what a negative scorer id stands for
    v2_api: Switch = Field(default=True, alias="FF_V2_API")  # off where it is defined and not "on": no v2 routes
    rate_limit_enabled: Truth = Field(default=True, alias="RATELIMIT_ENABLE")  # False: no key has a limit
    read_database: Annotated[str, _or("default")] = Field(
        default="default", alias="REGISTRY_API_READ_DB"
    )  # alias that look-ups read from


# ---- reading them

# In place of a value that cannot be read, where the default would let more happen than may be meant.
CAREFUL = {"KILL": True, "OPT_HEADER_ALLOWED": "none"}

_ABSENT: Any = object()
# What Django's proxy has looked up before; it forgets what is set anew. By the proxy itself a name is a call in Python.
_READ: dict[str, Any] = object.__getattribute__(settings, "__dict__")
_own: tuple[Any, ScorerFast] = (_ABSENT, ScorerFast())  # the dict, and what it says
_host: tuple[dict[str, Any], Host] = ({}, Host())  # the values by name, and what they say


def _setting(name: str) -> Any:
    """``getattr(settings, name)``, or ``_ABSENT``."""
    try:
        return _READ[name]
    except KeyError:
        return getattr(settings, name, _ABSENT)


def own() -> ScorerFast:
    """The settings of ``SCORER_FAST`` now. A dict changed in place is seen after ``setting_changed``."""
    global _own
    given = _setting("SCORER_FAST")
    kept = _own
    if given is not kept[0]:
        values = dict(given) if isinstance(given, dict) else {}
        kept = _own = (given, _readable(ScorerFast, values))
    return kept[1]


def host(alias: str) -> Host:
    """The host's settings, that of ``alias`` as it is now."""
    global _host
    given, kept = _setting(alias), _host
    if kept[0].get(alias, _ABSENT) is not given:
        values = host_values()
        kept = _host = (values, _readable(Host, values))
    return kept[1]


def host_values() -> dict[str, Any]:
    """The host's settings that are there, as they are, by name."""
    return {name: value for name in keys(Host) if (value := _setting(name)) is not _ABSENT}


def _readable(model: type[Model], values: dict[str, Any]) -> Model:
    """The model of what can be read; the rest is logged, and is its default or the careful value."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        refused = {str(each["loc"][0]) for each in error.errors(include_input=False)}
        logger.error("settings that cannot be read: see manage.py check", extra={"settings": sorted(refused)})
    careful = {name: CAREFUL[name] for name in refused if name in CAREFUL}
    return model.model_validate({name: value for name, value in values.items() if name not in refused} | careful)


def _forget(**_: Any) -> None:
    global _own, _host
    _own, _host = (_ABSENT, ScorerFast()), ({}, Host())


setting_changed.connect(_forget)


class Conf:
    """Every field of both models as an attribute that is read at each use; the single instance is :data:`conf`."""

    @property
    def jwt_signing_key(self) -> str:
        """``NINJA_JWT["SIGNING_KEY"]``, else ``SECRET_KEY``: what access tokens are signed with."""
        return cast(str, host("NINJA_JWT").ninja_jwt.get("SIGNING_KEY") or settings.SECRET_KEY)

    @property
    def runs_threads(self) -> bool:
        """Whether anything of this app may run off the request's thread: ``BACKGROUND``, and never in Lambda."""
        return process.has_threads() and own().background

    def guard_limits(self, operation_id: str | None = None) -> dict[str, Any]:
        """The guard's limits by their keys, those of one operation over those of all."""
        guard = own().guard
        one = guard.operations.get(operation_id) if operation_id else None
        common = guard.model_dump(by_alias=True, exclude={"operations"})
        return common | one.model_dump(by_alias=True, exclude_unset=True) if one else common


def _read_own(name: str) -> property:
    return property(lambda _: getattr(own(), name))


def _read_host(name: str, alias: str) -> property:
    return property(lambda _: getattr(host(alias), name))


for _name in ScorerFast.model_fields:
    setattr(Conf, _name, _read_own(_name))
for _name, _field in Host.model_fields.items():
    setattr(Conf, _name, _read_host(_name, str(_field.alias)))

if TYPE_CHECKING:

    class _Typed(Conf, ScorerFast, Host):
        """What ``conf`` has, for type checkers."""


conf = cast("_Typed", Conf())
