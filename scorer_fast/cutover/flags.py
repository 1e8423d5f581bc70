"""Who answers an operation: one snapshot per process, which only its first request waits for.

Invariant: what stops the fast path is asked before anything that may choose it. From the top:
environment variable, setting, kill switch in the database, latched rollback; then the mode; then,
in modes split and fast, header, deny list, allow list and percentage. No snapshot known: the host.
"""

from __future__ import annotations

import atexit
import hmac
import json
import logging
import os
import re
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import lru_cache
from typing import Any

from django.core.signals import setting_changed
from django.db import connections, transaction
from django.http import HttpRequest

from .. import process
from ..db import watchdog
from ..http import call
from ..http.catalogue import BY_ID, OPERATIONS, Operation
from ..models.flags import Mode
from ..settings import conf
from . import flag_queries as sql
from . import rollout_rows, signals, split

logger = logging.getLogger(__name__)

ENVIRONMENT = "SCORER_FAST_KILL"
ALL = "all"
LOOK_SECONDS = 3.0  # that a look may take at most, whatever the server does
_ON = frozenset({"1", "true", "yes", "on", ALL})
_OFF = frozenset({"", "0", "false", "no", "off"})


class Route(Enum):
    """What one request gets."""

    PLAIN = "the host, and nobody can tell that this app is there"
    LEGACY = "the host"
    SHADOW = "the host, and the fast path is compared with it"
    FAST = "the fast path"


class InvalidChange(ValueError):
    """A change of flags that cannot be made; the text names the remedy."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One operation's flag; ``buckets`` of 10,000 are the percentage, addresses are lower-case."""

    mode: Mode
    buckets: int = 0
    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All flags as at one look. ``known`` is False until the first look succeeded."""

    known: bool = False
    flags: Mapping[str, Flag] = field(default_factory=dict)
    killed: frozenset[str] = frozenset()
    latched: frozenset[str] = frozenset()


UNKNOWN = Snapshot()


# ---- choosing


def choose(operation: Operation, request: HttpRequest, snapshot: Snapshot) -> Route:
    """Who answers ``request``; the body is read only in mode split and for lists of addresses."""
    if not snapshot.known:
        return Route.PLAIN
    flag = snapshot.flags.get(operation.id) or by_setting(operation)
    if flag.mode is Mode.LEGACY:
        return Route.PLAIN
    if operation.id in stopped() or operation.id in snapshot.killed or operation.id in snapshot.latched:
        return Route.LEGACY
    if flag.mode is Mode.SHADOW:
        return Route.SHADOW
    opted = _opted(request)
    if opted is not None:
        return Route.FAST if opted else Route.LEGACY
    if flag.allow or flag.deny:
        address = split.address(operation, request)
        if address in flag.deny:
            return Route.LEGACY
        if address in flag.allow:
            return Route.FAST
    if flag.mode is Mode.FAST or flag.buckets >= split.BUCKETS:
        return _compared() if is_control(operation, request) else Route.FAST
    if flag.buckets <= 0:
        return Route.LEGACY
    bucket = split.bucket(conf.split_salt, operation.group, split.subject(operation, request))
    return Route.FAST if bucket < flag.buckets else _compared()


def _compared() -> Route:
    """The host answers those who are not moved yet; the shadow looks on, or wrong answers would go unnoticed.

    Where there are no threads, clients would wait for the comparison.
    """
    return Route.SHADOW if conf.runs_threads else Route.LEGACY


def is_control(operation: Operation, request: HttpRequest) -> bool:
    """Whether ``request`` is of the few that the host answers at 100 %, so that there is something to compare with.

    Other addresses each day: nobody stays on the slow side. None in Lambda, where the host's handler would have to
    be imported for them.
    """
    buckets = int(conf.control_percent * 100) if process.has_threads() else 0
    if buckets <= 0:
        return False
    salt = f"{conf.split_salt} {time.time() // 86_400:.0f}"
    return split.bucket(salt, operation.group, split.subject(operation, request)) < buckets


_LEGACY = Flag(Mode.LEGACY)


def by_setting(operation: Operation) -> Flag:
    """The flag of an operation that has no row: ``SCORER_FAST["MODES"]``, else legacy."""
    modes = conf.modes
    if not modes:
        return _LEGACY
    mode = modes.get(operation.id) or modes.get(operation.group) or modes.get("*")
    return Flag(Mode(mode)) if mode in Mode.values else _LEGACY


def _opted(request: HttpRequest) -> bool | None:
    """What a header asks for; None when none does, or its sender may not."""
    for name, heeded in conf.opt_headers.items():
        given: str | None = request.META.get(_meta(name))
        if given is None:
            continue
        word = given.strip().lower()
        if word in heeded and word in ("true", "false") and _may_opt(request):
            return word == "true"
    return None


@lru_cache(maxsize=64)
def _meta(header: str) -> str:
    """A header's key in ``META``; ``request.headers`` would first copy all of them."""
    return "HTTP_" + header.upper().replace("-", "_")


def _may_opt(request: HttpRequest) -> bool:
    allowed = conf.opt_header_allowed
    if allowed == "internal":
        token = conf.internal_token
        given = request.META.get("HTTP_AUTHORIZATION", "")
        return bool(token) and hmac.compare_digest(given.encode(), token.encode())
    return allowed == "all"


def stopped() -> frozenset[str]:
    """Operations that the environment variable or the setting ``KILL`` give back to the host."""
    variable = os.environ.get(ENVIRONMENT)
    setting = conf.kill
    if not variable and not setting:
        return frozenset()
    return stopped_by_environment() | stopped_by_setting()


def stopped_by_environment() -> frozenset[str]:
    """Operations that the environment variable ``SCORER_FAST_KILL`` names; ``1`` names all."""
    return _named(os.environ.get(ENVIRONMENT, ""))


def stopped_by_setting() -> frozenset[str]:
    """Operations that ``SCORER_FAST["KILL"]`` names; True names all."""
    setting = conf.kill
    if isinstance(setting, bool) or setting is None:
        return frozenset(BY_ID) if setting else frozenset()
    return _named(setting if isinstance(setting, str) else ",".join(map(str, setting)))


@lru_cache(maxsize=64)
def _named(text: str) -> frozenset[str]:
    """The operations in a list of ids and groups. A word nobody knows stops them all: a kill switch
    that cannot be read must not leave the fast path on."""
    words = [word.lower() for word in re.split(r"[\s,;]+", text.strip()) if word]
    if not words or (len(words) == 1 and words[0] in _OFF):
        return frozenset()
    named: set[str] = set()
    for word in words:
        ids = members(word)
        if not ids:
            if word not in _ON:
                logger.error("kill switch names an unknown operation; all are stopped", extra={"word": word})
            return frozenset(BY_ID)
        named.update(ids)
    return frozenset(named)


def members(target: str) -> tuple[str, ...]:
    """Ids of the operations that ``target`` (an id, a group or ``all``) stands for; none when unknown."""
    if target == ALL:
        return tuple(BY_ID)
    if target in BY_ID:
        return (target,)
    return tuple(operation.id for operation in OPERATIONS if operation.group == target)


# ---- the snapshot


def _read(alias: str) -> Snapshot:
    return _parsed(sql.read_flags(alias))


@lru_cache(maxsize=2)
def _parsed(text: str) -> Snapshot:
    """The snapshot that a look found; the same one while nothing has changed."""
    found = json.loads(text)
    flags = {
        operation: Flag(Mode(mode), int(Decimal(percent) * 100), frozenset(allow.split()), frozenset(deny.split()))
        for operation, mode, percent, allow, deny in found["flags"]
    }
    killed = frozenset(id_ for target in found["killed"] for id_ in members(target))
    return Snapshot(True, flags, killed, frozenset(found["latched"]))


def _has_use_of_the_fast_path(snapshot: Snapshot) -> bool:
    flags = (snapshot.flags.get(operation.id) or by_setting(operation) for operation in OPERATIONS)
    return any(flag.mode is not Mode.LEGACY for flag in flags)


class _Watch:
    """The last known snapshot of this process, and the thread that looks for a newer one."""

    def __init__(self) -> None:
        self.snapshot = UNKNOWN
        self.looked_at = float("-inf")  # monotonic seconds, of the last attempt
        self.has_looked = False
        self.away = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ending = False

    def in_background(self) -> Snapshot:
        if self._thread is None or not self._thread.is_alive():
            self._first_look()
            self._start()
        return self.snapshot

    def _first_look(self) -> None:
        """A fresh process's first request looks itself: that its worker was recycled is no step back to the host."""
        alias = conf.database
        if connections[alias].in_atomic_block:
            return  # what is seen there may be rolled back
        with self._lock:
            if not self.has_looked:
                self.look(alias)

    def in_line(self) -> Snapshot:
        alias = conf.database
        if connections[alias].in_atomic_block:
            # Seen from inside a transaction that may be rolled back: good for this request alone.
            try:
                with transaction.atomic(using=alias):
                    return _read(alias)
            except Exception:
                return self.snapshot
        # A look in the future is one from a test that had moved the clock.
        if not 0 <= time.monotonic() - self.looked_at < conf.flags_refresh_seconds:
            self.look(alias)
        return self.snapshot

    def look(self, alias: str, *, prepare: bool = False) -> None:
        """Replace the snapshot, or keep the last known one where the store is away.

        ``prepare``: have the fast path loaded before any request may take it.
        """
        self.looked_at = time.monotonic()
        self.has_looked = True
        try:
            with watchdog.until(time.monotonic() + LOOK_SECONDS, alias):
                seen = _read(alias)
            if prepare and _has_use_of_the_fast_path(seen):
                with suppress(Exception):  # the request that meets it again has it logged, and goes to the host
                    call.prepare()
            self.snapshot = seen
        except Exception as error:
            if not self.away:
                known = "the last known ones hold" if self.snapshot.known else "none known: the host answers"
                logger.warning("flags cannot be read; %s (%s)", known, type(error).__name__)
            self.away = True
            return
        if self.away:
            logger.info("flags can be read again")
        self.away = False

    def forget_age(self) -> None:
        self.looked_at = float("-inf")
        self._wake.set()

    def end(self, seconds: float = 2.0) -> None:
        """End the thread for good, and wait at most ``seconds`` for it."""
        self._ending = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="scorer-fast-flags", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._ending:
            alias = conf.database
            self.look(alias, prepare=True)
            # Its connection stays for the next look, unless it may be why there was nothing to see, or is a pool's.
            connection = connections[alias]
            if self.away or connection.settings_dict["OPTIONS"].get("pool"):
                with suppress(Exception):
                    connection.close()
            self._wake.wait(max(conf.flags_refresh_seconds, 0.05))
            if not self._ending:
                self._wake.clear()
        connections.close_all()


_watch = _Watch()


def current() -> Snapshot:
    """The flags as this process knows them; no query but a process's first, unless :func:`looks_in_line`."""
    return _watch.in_line() if _is_in_line() else _watch.in_background()


def looks_in_line() -> bool:
    """Whether :func:`current` may ask the database: before the first look, in tests, in Lambda, without threads."""
    return not _watch.has_looked or _is_in_line()


def _is_in_line() -> bool:
    return conf.flags_inline or not conf.runs_threads


def reset() -> None:
    """Forget all that this process knows, as after a fork: the next request starts anew."""
    global _watch
    _watch.end()
    _watch = _Watch()


def _after_fork() -> None:
    global _watch
    _watch = _Watch()  # the parent's thread and lock stayed there


os.register_at_fork(after_in_child=_after_fork)
atexit.register(lambda: _watch.end())  # no look may be under way while the interpreter is torn down


def _on_setting_changed(*, setting: str, **_: Any) -> None:
    if setting == "SCORER_FAST":
        _watch.forget_age()


setting_changed.connect(_on_setting_changed, dispatch_uid="scorer_fast.flags")


# ---- changing


def describe(row: sql.FlagRow | None) -> str:
    """A flag as a line of the log."""
    if row is None:
        return Mode.LEGACY.value
    text = f"split {row.percent:.2f} %" if row.mode == Mode.SPLIT else str(row.mode)
    if row.allow:
        text += f"; allow {', '.join(row.allow.split())}"
    if row.deny:
        text += f"; deny {', '.join(row.deny.split())}"
    return text


def set_mode(
    operation_id: str,
    mode: str,
    percent: Decimal | float | str | None = None,
    reason: str = "",
    by: str = "",
    *,
    allow: Collection[str] | None = None,
    deny: Collection[str] | None = None,
    rollout: int | None = None,
) -> tuple[str, str]:
    """Set an operation's flag and log it; what it was and what it is now.

    ``percent`` (0 to 100, two decimals) is asked for by mode split alone; None keeps the split's present one. Mode
    fast with a percentage between 0 and 100 is refused: one of the two was meant.
    ``allow`` and ``deny`` replace the lists; None keeps them. ``rollout``: the number of the rollout that sets it;
    anybody else's change pauses the operation's rollout.
    """
    if operation_id not in BY_ID:
        raise InvalidChange(f"There is no operation {operation_id!r}. Known: {', '.join(BY_ID)}.")
    reason, by = reason_of(reason), who(by)
    try:
        chosen = Mode(mode)
    except ValueError:
        raise InvalidChange(f"There is no mode {mode!r}. Choose one of: {', '.join(Mode.values)}.") from None
    with transaction.atomic(using=conf.database):
        sql.lock_flags(conf.database)
        before = sql.get_flag(conf.database, operation_id)
        row = sql.FlagRow(
            operation=operation_id,
            mode=chosen.value,
            percent=_percent(chosen, percent, before),
            allow=addresses(allow) if allow is not None else (before.allow if before else ""),
            deny=addresses(deny) if deny is not None else (before.deny if before else ""),
            updated_at=datetime.now(UTC),
            updated_by=by,
        )
        was, is_ = describe(before), describe(row)
        if before is None or was != is_:
            sql.upsert_flag(conf.database, row)
            log(operation_id, was, is_, reason, by)
            if rollout is None:
                _interrupt_rollout(operation_id, reason, by, row.updated_at)
    return was, is_


def _interrupt_rollout(operation_id: str, reason: str, by: str, now: datetime) -> None:
    rollout_rows.interrupted(operation_id, reason=reason, by=by, now=now)


def kill(target: str, *, reason: str, by: str) -> bool:
    """Give ``target`` (an operation or ``all``) to the host; False when it already was."""
    return _throw(target, True, reason, by)


def release(target: str, *, reason: str, by: str) -> bool:
    """Take back :func:`kill` of ``target``; False when it was not killed."""
    return _throw(target, False, reason, by)


def latch(
    operation_id: str,
    *,
    rule: str,
    value: object,
    limit: object,
    window: object,
    sample: int,
    by: str = "guard",
) -> None:
    """Roll an operation back to the host until a person lifts it; nothing where it is latched already.

    ``value``, ``limit`` and ``window`` are kept as text, with their units.
    """
    row = sql.LatchRow(operation_id, rule, str(value), str(limit), str(window), sample, datetime.now(UTC))
    alias = conf.database
    with transaction.atomic(using=alias):
        if sql.insert_latch(alias, row):
            was = describe(sql.get_flag(alias, operation_id))
            seen = f"{rule}: {value}, limit {limit}, window {window}, sample {sample}"
            log(operation_id, was, f"latched to legacy by {rule}", seen, who(by))
            what = {"rule": rule, "value": row.value, "limit": row.limit}
            signals.on_commit(signals.latched, operation=operation_id, by=who(by), reason=seen, **what)


def lift(operation_id: str, *, reason: str, by: str) -> str:
    """Lift an operation's latch; the rule that had set it."""
    reason, by = reason_of(reason), who(by)
    alias = conf.database
    with transaction.atomic(using=alias):
        rule = sql.lift_latch(alias, operation_id, now=datetime.now(UTC), by=by, reason=reason)
        if rule is None:
            raise InvalidChange(f"{operation_id} is not latched. `scorer_fast status` shows what is.")
        log(
            operation_id,
            f"latched to legacy by {rule}",
            describe(sql.get_flag(alias, operation_id)),
            reason,
            by,
        )
        signals.on_commit(signals.lifted, operation=operation_id, by=by, reason=reason)
    return rule


def _throw(target: str, active: bool, reason: str, by: str) -> bool:
    if target != ALL and target not in BY_ID:
        raise InvalidChange(f"There is no operation {target!r}. Known: all, {', '.join(BY_ID)}.")
    reason, by = reason_of(reason), who(by)
    alias = conf.database
    with transaction.atomic(using=alias):
        thrown = sql.upsert_kill(alias, sql.KillRow(target, active, datetime.now(UTC), by, reason))
        if thrown:
            was, is_ = ("released", "killed") if active else ("killed", "released")
            log(target, was, is_, reason, by)
            sent = signals.killed if active else signals.released
            signals.on_commit(sent, operation=target, by=by, reason=reason)
    return thrown


def log(operation: str, was: str, is_: str, reason: str, by: str) -> None:
    """Append a line to the log of changes, in the transaction of the change."""
    alias = conf.database
    sql.insert_log(alias, sql.LogRow(operation, datetime.now(UTC), by, was, is_, reason))
    _watch.forget_age()
    transaction.on_commit(lambda: _watch.forget_age(), using=alias)


def reason_of(given: str) -> str:
    """A reason as it is kept; InvalidChange without one."""
    text = (given or "").strip()
    if not text:
        raise InvalidChange("Every change needs a reason: say in a few words why.")
    return text


def who(given: str) -> str:
    """Who makes a change, as it is kept."""
    return (given or "").strip()[:150] or "unknown"


def _percent(mode: Mode, given: Decimal | float | str | None, before: sql.FlagRow | None) -> Decimal:
    if mode is not Mode.SPLIT:
        if mode is Mode.FAST and given is not None and 0 < percentage(given) < 100:
            raise InvalidChange(
                f"Mode fast is for all subjects and takes no percentage. For {given} % of them: mode split."
            )
        return Decimal(0)
    if given is None:
        if before is not None and before.mode == Mode.SPLIT:
            return before.percent
        raise InvalidChange("Mode split needs a percentage: 0 to 100, at most two decimals.")
    return percentage(given)


def percentage(given: Decimal | float | str) -> Decimal:
    """A percentage as it is stored: 0 to 100, two decimals."""
    try:
        percent = Decimal(str(given))
        if 0 <= percent <= 100 and percent == percent.quantize(Decimal("0.01")):
            return percent.quantize(Decimal("0.01"))
    except InvalidOperation:
        pass
    raise InvalidChange(f"'{given}' is no percentage: 0 to 100, at most two decimals.")


def addresses(given: Collection[str]) -> str:
    """Addresses as they are stored: lower-case, sorted, one a line."""
    lowered = sorted({address.strip().lower() for address in given if address.strip()})
    for address in lowered:
        if not split.is_address(address):
            raise InvalidChange(f"{address!r} is no address: 20 bytes of hex, with or without 0x.")
    return "\n".join(lowered)
