"""What a project needs so that the fast path can run in it: found out in one place, with the remedy of each.

The numbered system checks (``checks.py``) and ``manage.py scorer_fast doctor`` both read from here.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import json
import pkgutil
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import django
from django.apps import apps
from django.conf import settings
from django.core.cache import caches
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.test import RequestFactory
from django.urls import URLResolver, get_resolver
from pydantic import BaseModel, ValidationError

from . import fit, revision, samples
from .db import functions, trials
from .db import requirements as needs
from .db.connection import fetch_one
from .http.call import call
from .http.catalogue import BY_ID
from .lookups.api_key_queries import list_unreadable_rates
from .models.flags import Mode
from .scoring import write
from .settings import Guard, Host, ScorerFast, conf, host_values, keys

MIDDLEWARE = "scorer_fast.cutover.middleware.ScorerFastMiddleware"
REQUIRED, ADVISED, FINE = "required", "advised", "fine"
PER_PROCESS = ("LocMemCache", "DummyCache")
PLACES = ("db", "scoring", "lookups")  # where SQL constants stand, besides modules called ``*_queries``
PLANNED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")  # what EXPLAIN takes
OF_VALUES = ("22", "23", "P0", "SF")  # states that a function raises for parameters that are NULL
NOBODY = "0x" + "d0c7" * 10
DIDKIT_SECONDS = 60  # for a new process to import didkit and check two signatures


class Finding(NamedTuple):
    """One thing looked at: ``required`` (it is missing), ``advised`` or ``fine``; ``number``: the check's."""

    level: str
    about: str
    what: str
    remedy: str = ""
    number: str = ""


def required(number: str, about: str, what: str, remedy: str) -> Finding:
    """Something without which the fast path cannot work."""
    return Finding(REQUIRED, about, what, remedy, number)


def advised(number: str, about: str, what: str, remedy: str) -> Finding:
    """Something that works, and hardly as meant."""
    return Finding(ADVISED, about, what, remedy, number)


def fine(about: str, what: str) -> Finding:
    """Something that is as it should be."""
    return Finding(FINE, about, what)


# ---- settings


def look_at_own_settings() -> Iterator[Finding]:
    """``SCORER_FAST``: its keys and values."""
    given = getattr(settings, "SCORER_FAST", None)
    given = {} if given is None else given
    if not isinstance(given, dict):
        yield required("E001", "SCORER_FAST", f"it is a {type(given).__name__}", "Make SCORER_FAST a dict.")
        return
    targets = [*BY_ID, *dict.fromkeys(operation.group for operation in BY_ID.values())]
    context = {"operations": list(BY_ID), "targets": targets, "modes": Mode.values}
    yield from _refusals(ScorerFast, given, "SCORER_FAST", context)


def _refusals(model: type[BaseModel], given: dict[str, Any], name: str, context: Any = None) -> Iterator[Finding]:
    """What the model says of values it refuses; their text is not repeated, for some are secret."""
    try:
        model.model_validate(given, context=context)
    except ValidationError as error:
        refused = error.errors(include_url=False)
    else:
        return
    for each in refused:
        path = [str(part) for part in each["loc"]]
        if each["type"] in ("extra_forbidden", "invalid_key", "unknown"):
            known = each.get("ctx", {}).get("known") or keys(ScorerFast if len(path) == 1 else Guard)
            key = each["ctx"]["name"] if "ctx" in each else path.pop()
            close = difflib.get_close_matches(key, known, 1, 0.5)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            yield required(
                "E002", _subscript(name, path), f"the key {key!r} is unknown",
                f"{hint}docs/operations.md lists the keys; remove this one.",
            )  # fmt: skip
        else:
            what = f"{each['msg'][:1].lower()}{each['msg'][1:]}; it is a {type(each['input']).__name__}"
            yield required("E003", _subscript(name, path), what, "docs/operations.md says what it may be.")


def _subscript(name: str, path: Iterable[str]) -> str:
    first, *rest = [name, *path] if name else path
    return first + "".join(f'["{part}"]' for part in rest)


def look_at_host_settings() -> Iterator[Finding]:
    """The host's settings that the endpoints read."""
    yield from _refusals(Host, host_values(), "")
    if not conf.jwt_signing_key:
        yield required(
            "E004",
            "SECRET_KEY",
            "there is no key to check access tokens with",
            'Set NINJA_JWT["SIGNING_KEY"] or SECRET_KEY to what signs the access tokens.',
        )
    if not conf.internal_token and conf.check_internal_token:
        yield advised(
            "W003",
            "CGRANTS_API_TOKEN",
            "it is empty: every internal request is refused with 401",
            "Set CGRANTS_API_TOKEN to what internal callers send as Authorization.",
        )
    if not conf.trusted_issuers:
        yield advised(
            "W004",
            "TRUSTED_IAM_ISSUERS",
            "no issuer is trusted: every score is 0",
            "Set TRUSTED_IAM_ISSUERS to the DIDs whose stamps count.",
        )
    if conf.cache_scorer_id is None:
        yield advised(
            "W005",
            "CERAMIC_CACHE_SCORER_ID",
            "it is no number: the ceramic-cache operations have no community",
            "Set CERAMIC_CACHE_SCORER_ID to the id of the community they score for.",
        )

    for each in fit.look_at_key_and_links():
        yield Finding(*each)


def look_at_exposure() -> Iterator[Finding]:
    """Settings that are safe in some places only."""
    if not conf.check_internal_token:
        yield advised(
            "W006",
            'SCORER_FAST["CHECK_INTERNAL_TOKEN"]',
            "internal operations answer whoever can reach them",
            "Leave it True unless a private load balancer is the only way to these paths.",
        )

    if not conf.strict_context:
        yield Finding(
            FINE,
            'SCORER_FAST["STRICT_CONTEXT"]',
            "off, as on the host: the holder of an older stamp (Ed25519Signature2018) can rename its signed hash in "
            "the stamp's own context and write another one, which deduplication has not seen",
            "Set it to True where all issuers write one of the known forms (docs/operations.md, Hostile credentials).",
            "I001",
        )


def look_at_middleware() -> Iterator[Finding]:
    """Whether requests reach this app, and what runs around it."""
    names = list(settings.MIDDLEWARE)
    if MIDDLEWARE not in names:
        if _urls_are_included():
            yield fine("MIDDLEWARE", "the URLs of scorer_fast are included; no flag chooses")
            return
        yield advised(
            "W001",
            "MIDDLEWARE",
            "scorer_fast is installed, and no request reaches it: flags have no effect",
            f'Add "{MIDDLEWARE}" to MIDDLEWARE, as the last line.',
        )
        return
    after = names[names.index(MIDDLEWARE) + 1 :]
    if names.count(MIDDLEWARE) > 1:
        yield advised("W002", "MIDDLEWARE", "the line is there twice", "Keep the last one.")
    elif after:
        yield advised(
            "W002",
            "MIDDLEWARE",
            f"what comes after it is not done for the fast path: {', '.join(after)}",
            "Make it the last line, behind every place where the settings add to the list (MIDDLEWARE +=), "
            "unless skipping the others is meant.",
        )
    else:
        yield fine("MIDDLEWARE", "it is the last line")


def _urls_are_included() -> bool:
    def included(resolver: URLResolver) -> bool:
        return any(
            getattr(pattern.urlconf_name, "__name__", pattern.urlconf_name) == "scorer_fast.urls" or included(pattern)
            for pattern in resolver.url_patterns
            if isinstance(pattern, URLResolver)
        )

    return included(get_resolver())


# ---- what is installed


def look_at_databases() -> Iterator[Finding]:
    """The aliases, their engine and its driver; nothing is connected.

    A step of the host's CI may run without its database, or with SQLite: that is worth a warning there.
    """
    if not any(connections[alias].vendor == "postgresql" for alias in connections):
        engines = ", ".join(sorted({connections[alias].vendor for alias in connections}))
        yield required(
            "W007",
            "DATABASES",
            f"no database is PostgreSQL ({engines}): the fast path cannot work here",
            "Use django.db.backends.postgresql, or a back end built on it, wherever requests are answered.",
        )
        return
    for setting, alias in (
        ('SCORER_FAST["DATABASE"]', conf.database),
        ("REGISTRY_API_READ_DB", conf.read_database),
    ):
        if alias not in connections:
            yield required(
                "E005", setting, f"DATABASES has no {alias!r}", f"Name one of these: {', '.join(connections)}."
            )
        elif connections[alias].vendor != "postgresql":
            yield required(
                "E006",
                f"DATABASES[{alias!r}]",
                f"its engine is {connections[alias].vendor}; the statements are PostgreSQL's",
                "Use django.db.backends.postgresql, or a back end built on it.",
            )


def driver() -> str:
    """Name and version of the database driver Django takes; empty without one."""
    for module, names in (("psycopg", ("psycopg",)), ("psycopg2", ("psycopg2", "psycopg2-binary"))):
        if importlib.util.find_spec(module) is not None:
            return next((f"{module} {version}" for name in names if (version := _version(name))), module)
    return ""


def look_at_packages() -> Iterator[Finding]:
    """Packages that are imported late."""
    if importlib.util.find_spec("didkit") is None:
        yield required(
            "E008",
            "didkit",
            "it is not installed: no signature can be checked",
            "pip install didkit (it has builds for Python up to 3.12)",
        )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def look_at_versions() -> Iterator[Finding]:
    """What runs here."""
    packages = ("scorer_fast", "django-ninja", "didkit", "orjson", "django-ratelimit", "PyJWT")
    shown = [f"{name} {_version(name) or 'from source'}" for name in packages]
    yield fine("versions", f"Python {platform.python_version()}, Django {django.__version__}, {driver()}")
    yield fine("versions", ", ".join(shown))
    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        yield advised("", "versions", "tested with Python 3.11 and 3.12", "Use one of these.")


# ---- the database


def look_at_server(alias: str) -> Iterator[Finding]:
    """Which PostgreSQL it is: every statement is tested on the oldest and the newest supported one."""
    version = needs.get_server_version(alias)
    oldest, newest = needs.POSTGRES
    major = re.match(r"\d+", version)
    if major and oldest <= int(major[0]) <= newest:
        yield fine(f"database {alias}", f"PostgreSQL {version}")
        return
    yield advised(
        "W015",
        f"database {alias}",
        f"it is PostgreSQL {version or 'of an unknown version'}, tested with {oldest} to {newest}",
        f"Move the database to PostgreSQL {oldest} to {newest}, or keep every operation in shadow for a while first.",
    )


def look_at_session(alias: str) -> Iterator[Finding]:
    """How a session of the server's role reads and writes: time limits, isolation, how times are written."""
    about, session = f"database {alias}", trials.get_session(alias)
    role = f"ALTER ROLE {session.role} SET"
    if session.is_read_only and alias == conf.database:
        what = "a standby" if session.is_standby else "read-only"
        yield required("W016", about, f"it is {what}: nothing can be scored", "Name the primary in DATABASES.")
    try:
        datetime.fromisoformat(session.instant)
    except ValueError:
        what = f"times are not written as ISO says ({session.instant})"
        yield required("W016", about, what, f"{role} DateStyle = 'ISO, MDY';")
    if session.isolation != "read committed":
        yield advised(
            "W017",
            about,
            f"transactions are {session.isolation}: requests for one address that meet may end as 503",
            f"{role} default_transaction_isolation = 'read committed'; and no isolation_level in OPTIONS.",
        )
    limit = conf.statement_timeout_ms
    if session.statement_ms == 0 or session.statement_ms > limit > 0:
        what = f"a statement may take longer than STATEMENT_TIMEOUT_MS ({limit})"
        yield advised("W018", about, what, f"{role} statement_timeout = {limit};")
    if session.idle_ms == 0:
        what = "idle_in_transaction_session_timeout is 0: a client that hangs keeps its locks"
        yield advised("", about, what, f"{role} idle_in_transaction_session_timeout = '60s';")


def look_at_rates(alias: str) -> Iterator[Finding]:
    """Keys whose rate limit nobody can read, and so limits nothing."""
    if alias == conf.database and (prefixes := list_unreadable_rates(alias)):
        yield advised(
            "W020",
            "rate limits",
            f"those of the keys {', '.join(prefixes)} cannot be read: nothing is limited",
            "Write a number per period, as 125/15m; empty for none.",
        )


def look_at_pooler(alias: str) -> Iterator[Finding]:
    """Whether a pooler stands in front, and whether what Django is set to do goes through it."""
    about, pooler = f"database {alias}", trials.find_pooler(alias)
    if pooler is None:
        yield fine(about, "no pooler stands in front of it")
        return
    mode = "shares sessions between transactions" if pooler.shares_sessions else "keeps a session for each connection"
    yield fine(about, f"a pooler stands in front of it, and {mode}")
    if pooler.shares_sessions and pooler.is_preparing and pooler.carries_prepared is False:
        yield required(
            "W019",
            about,
            "the pooler does not carry prepared statements, which OPTIONS asks for",
            'Set OPTIONS["prepare_threshold"] to None, or PgBouncer\'s max_prepared_statements (1.21 and later).',
        )
    if pooler.shares_sessions and not connections[alias].settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        yield advised(
            "W019",
            about,
            "a cursor of Django's on the server ends with its transaction there",
            "Set DISABLE_SERVER_SIDE_CURSORS to True in DATABASES.",
        )


@cache
def statements() -> dict[str, str]:
    """Every SQL constant of this app, by module and name, in the order of the modules."""
    modules = sorted(module.name for module in pkgutil.walk_packages([str(Path(__file__).parent)], f"{__package__}."))
    return {
        f"{module.partition('.')[2]}.{name}": value
        for module in modules
        if module.split(".")[1] in PLACES or module.endswith("_queries")
        for name, value in vars(importlib.import_module(module)).items()
        if name.isupper() and isinstance(value, str) and value.lstrip().startswith("--")
    }


_TABLE = re.compile(r"\b(?:(?:FROM|JOIN|UPDATE)\s+(\w+_\w+)(?!\w|\s*\()(?:\s+AS\s+(\w+))?|INSERT INTO\s+(\w+))")
_QUERY = re.compile(r"\b(\w+) AS (?:MATERIALIZED )?\(")


@cache
def reads_of_functions() -> dict[str, str]:
    """Per function and alias a statement that reads what the function reads of one table.

    The server plans a function's own statements only once it gets to them, which may need rows that are not there.
    """
    found = {}
    for name in functions.NAMES:
        text = re.sub(r"--.*", "", functions.text(name))
        tables: dict[str, set[str]] = {}
        for table, alias, written in _TABLE.findall(text):
            if not table.startswith(("v_", "p_")) and table not in _QUERY.findall(text):
                tables.setdefault(alias or "t", set()).add(table or written)
        for alias, names in tables.items():
            is_one = len(names) == 1 and not re.search(rf"\)\s+AS {alias}\b", text)
            columns = sorted(set(re.findall(rf"\b{alias}\.(\w+)", text))) if is_one else []
            for table in sorted(names):
                wanted = ", ".join(f"{alias}.{column}" for column in columns)
                found[f"function {name}, {table} AS {alias}"] = f"SELECT {wanted} FROM {table} AS {alias}"
    return found


def look_at_statements(alias: str) -> Iterator[Finding]:
    """Plans every statement as the server's role: names, types, rights. What calls a function of ours is run too."""
    refused: dict[trials.Refusal, list[str]] = {}
    tried = 0
    there = revision.current().columns
    later = {table for each in revision.REVISIONS for table in each.columns if table not in there}
    with trials.undone(alias):
        for name, text in {**statements(), **reads_of_functions()}.items():
            if any(table in text for table in later):  # nobody asks it of a host of this revision
                continue
            first = next(line for line in text.splitlines() if line and not line.startswith("--"))
            is_asked = alias == conf.database or name.startswith("lookups.")  # else a replica, which only look-ups ask
            if not (first.startswith(PLANNED) and is_asked):
                continue
            tried += 1
            refusal = trials.refusal_of(alias, f"EXPLAIN {text}")
            if refusal is None and "FROM scorer_fast_" in text and first.startswith("SELECT"):
                refusal = trials.refusal_of(alias, text)
                if refusal is not None and refusal.state[:2] in OF_VALUES:
                    refusal = None
            if refusal is not None:
                refused.setdefault(refusal, []).append(name)
    yield from _refused(alias, refused)
    if not refused:
        yield fine(f"database {alias}", f"all {tried} statements can be run")


def look_at_scoring(alias: str) -> Iterator[Finding]:
    """Scores an address that nobody has: as a request, then with everything that a scoring can write. Nothing stays."""
    refused: dict[trials.Refusal, list[str]] = {}
    community_id, status = conf.cache_scorer_id or 0, 0
    with suppress(Exception), trials.overheard(alias) as heard, trials.undone(alias):
        for _ in ("a first score", "a later one"):
            request = RequestFactory().get(
                f"/internal/score/v2/{community_id}/{NOBODY}", headers={"Authorization": conf.internal_token}
            )
            status = call(request).status_code
    not_remembered = None
    try:
        with trials.undone(alias):
            row = fetch_one(alias, write.WRITE_SCORING, {"plan": json.dumps(_everything(community_id))})
            not_remembered = None if row is None else write.Written._make(row).not_remembered
    except DatabaseError as error:
        heard.append(trials.said(error))
    if not_remembered:
        heard.append(trials.Refusal(not_remembered, "what a scoring verified and read cannot be kept"))
    for refusal in heard:
        refused.setdefault(refusal, ["a scoring"])
    yield from _refused(alias, refused)
    if status == 404:
        yield advised(
            "",
            f"database {alias}",
            f"it has no community {community_id}: a request was not tried",
            "Set CERAMIC_CACHE_SCORER_ID to the id of the community that the ceramic-cache operations score for.",
        )
    if not refused:
        yield fine(f"database {alias}", "a scoring can be written; it was taken back")


def _everything(community_id: int) -> dict[str, Any]:
    """A plan for db/functions/write_scoring_1.sql that writes into every table a scoring can write into."""
    now, later = "2026-01-01T00:00:00+00:00", "2099-01-01T00:00:00+00:00"
    digest = "0d" * 32
    posted = {"provider": "Doctor", "stamp": {}, "proof_value": "", "issuance_date": now, "expiration_date": later}
    awards = [["HKY", "Doctor", "doctor", 0], ["SCB", "", "", 0]]
    return {
        "community_id": community_id, "address": NOBODY, "now": now, "live": "", "seen": "",
        "replaced": ["Doctor"], "posted": [posted], "new_links": [["doctor", NOBODY, later]], "changed_links": [],
        "gone": [0], "counting": [-1], "score": 0, "expiration_date": later,
        "awards": {"seen_rows": 0, "seen_communities": 0, "qualifies": True, "metamask_limit": None, "rows": awards},
        "event": {"pk": None, "fields": {"evidence": {}, "stamp_scores": {}, "stamps": {}}}, "dedup_events": [{}],
        "verified": [[digest, later]], "forgotten": ["0e" * 32],
        "kept": {"reader": "doctor", "reading": "", "others": [], "verified": [digest], "live_ids": [], "copy_ids": []},
    }  # fmt: skip


# What to do about what the server says, by SQLSTATE.
REMEDIES = {
    "42P01": "Run the host's migrations on this database, or see whether search_path hides the table.",
    "42703": "Run the host's migrations; its schema is older or newer than this version knows.",
    "42883": "manage.py migrate scorer_fast --database {alias}",
    "42501": "Let its owner say: GRANT SELECT, INSERT, UPDATE, DELETE ON {last} TO {role};",
    "23502": "Give the column a default, or take NOT NULL back: this version knows nothing of it.",
    "25006": "Name the primary in DATABASES.",
    "55P03": "Another session holds a lock: try again, and see pg_stat_activity.",
    "57014": "The statement took longer than 10 s: try again, and see pg_stat_activity.",
}
OTHERWISE = "See what was changed in the schema: the host's own migrations make it as it has to be."


def _refused(alias: str, refused: dict[trials.Refusal, list[str]]) -> Iterator[Finding]:
    role = trials.get_session(alias).role if refused else ""
    for refusal, names in refused.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        remedy = REMEDIES.get(refusal.state, OTHERWISE)
        yield required(
            "W011",
            f"database {alias}",
            f"{refusal.words} ({refusal.state}): {', '.join(names[:3])}{more}",
            remedy.format(alias=alias, role=role, last=refusal.words.split(" ")[-1]),
        )


def look_at_own_tables(alias: str) -> Iterator[Finding]:
    """This app's migrations and database functions."""
    executor = MigrationExecutor(connections[alias])
    wanted = {key for key in executor.loader.graph.nodes if key[0] == "scorer_fast"}
    missing = [f"migration {name}" for _, name in sorted(wanted - set(executor.loader.applied_migrations))]
    missing += [f"function {name}" for name in functions.list_missing(alias)]
    if missing:
        yield required(
            "W013",
            f"database {alias}",
            f"not there: {', '.join(missing)}",
            f"manage.py migrate scorer_fast --database {alias} (it makes what is missing, and changes nothing else)",
        )
    else:
        yield fine(f"database {alias}", "the migrations of scorer_fast are applied")


def look_at_indexes(alias: str) -> Iterator[Finding]:
    """The indexes the statements rely on."""
    wanted = fit.indexes()
    missing = needs.missing_indexes(alias, wanted)
    for index in missing:
        yield advised(
            "W014",
            f"database {alias}",
            f"{index.table} has no {'unique ' if index.unique else ''}index on ({', '.join(index.columns)})",
            index.remedy,
        )
    if not missing:
        yield fine(f"database {alias}", f"all {len(wanted)} indexes are there")


def look_at_inserts(alias: str) -> Iterator[Finding]:
    """Columns of the host that this version would leave out."""
    yield from (Finding(*each) for each in fit.look_at_inserts(alias))


# ---- what runs beside


def look_at_cache() -> Iterator[Finding]:
    """The cache that counts rate limits."""
    name = getattr(settings, "RATELIMIT_USE_CACHE", "default")
    try:
        cache = caches[name]
        cache.set("scorer_fast.doctor", 1, 5)
        answered = cache.get("scorer_fast.doctor") == 1
        cache.delete("scorer_fast.doctor")
    except Exception as error:
        yield advised(
            "", f"cache {name}", f"it cannot be reached ({type(error).__name__}): no rate limit holds",
            "Start it, or correct CACHES.",
        )  # fmt: skip
        return
    backend = type(cache).__name__
    if backend in PER_PROCESS or not answered:
        yield advised(
            "",
            f"cache {name}",
            f"{backend} is not shared: each process has a rate limit of its own",
            "Use the cache that the host's other processes use (Redis, Memcached).",
        )
    else:
        yield fine(f"cache {name}", f"{backend} answers")


_CHECK_SIGNATURES = """
import asyncio, json, os, sys
import didkit
async def check(text):
    return json.loads(await didkit.verify_credential(text, '{"proofPurpose":"assertionMethod"}'))["errors"]
async def check_all(texts):
    return [await check(text) for text in texts]
sys.stdout.write(json.dumps([didkit.get_version(), asyncio.run(check_all(json.load(sys.stdin)))]))
sys.stdout.flush()
os._exit(0)  # didkit's threads outlive the interpreter
"""


def look_at_didkit() -> Iterator[Finding]:
    """Whether didkit tells a good signature from a bad one, in a process of its own: it may bring it down."""
    bad = samples.EIP712.replace("Google", "Github")
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CHECK_SIGNATURES],
            input=json.dumps([samples.EIP712, samples.ED25519, bad]),
            capture_output=True,
            text=True,
            timeout=DIDKIT_SECONDS,
            check=True,
        )
        version, errors = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        yield required(
            "E008",
            "didkit",
            f"it cannot check a signature here ({type(error).__name__})",
            "Reinstall didkit for this Python and machine.",
        )
        return
    if errors[0] or errors[1] or not errors[2]:
        yield required(
            "E008",
            "didkit",
            f"version {version} judges known credentials wrongly",
            "Install didkit 0.3.2 or 0.3.3.",
        )
    else:
        yield fine("didkit", f"library {version}: both proof formats check out, and a tampered one does not")


# ---- all of it


def examine() -> list[Finding]:
    """Everything, in the order in which one would mend it; asks database, cache and didkit."""
    findings: list[Finding] = []
    for look in (
        look_at_versions,
        look_at_own_settings,
        look_at_host_settings,
        look_at_exposure,
        look_at_middleware,
        look_at_databases,
        look_at_packages,
    ):
        findings += look()
    findings += (Finding(*each) for each in fit.look_at_host())
    if not apps.is_installed("scorer_fast"):
        findings.append(
            required("", "INSTALLED_APPS", "scorer_fast is not in it", 'Add "scorer_fast" to INSTALLED_APPS.')
        )
    for alias in dict.fromkeys((conf.database, conf.read_database)):
        if alias in connections and connections[alias].vendor == "postgresql":
            findings += _ask(alias)
    findings += look_at_cache()
    if importlib.util.find_spec("didkit") is not None:
        findings += look_at_didkit()
    return findings


def _ask(alias: str) -> list[Finding]:
    # A replica has this app's functions because its primary has them; look-ups call one of them there.
    looks: list[Callable[[str], Iterable[Finding]]] = [
        look_at_server, look_at_session, look_at_pooler, look_at_own_tables, look_at_statements, look_at_indexes,
        look_at_rates,
    ]  # fmt: skip
    if alias == conf.database:
        looks += [look_at_scoring, look_at_inserts]
    findings: list[Finding] = []
    try:
        for look in looks:
            findings += look(alias)
    except Exception as error:
        findings.append(
            required(
                "W010",
                f"database {alias}",
                f"it cannot be asked ({type(error).__name__})",
                "See that the server runs and that DATABASES says how to reach it.",
            )
        )
    return findings
