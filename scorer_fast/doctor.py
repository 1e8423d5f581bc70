"""What a project needs so that the fast path can run in it: found out in one place, with the remedy of each.

The numbered system checks (``checks.py``) and ``manage.py scorer_fast doctor`` both read from here.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import json
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import django
from django.apps import apps
from django.conf import settings
from django.core.cache import caches
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.urls import URLResolver, get_resolver
from pydantic import BaseModel, ValidationError

from . import fit, samples
from .db import functions
from .db import requirements as needs
from .http.catalogue import BY_ID
from .lookups.api_key_queries import list_unreadable_rates
from .models.flags import Mode
from .settings import Guard, Host, ScorerFast, conf, host_values, keys

MIDDLEWARE = "scorer_fast.cutover.middleware.ScorerFastMiddleware"
REQUIRED, ADVISED, FINE = "required", "advised", "fine"
PER_PROCESS = ("LocMemCache", "DummyCache")
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
    """What the server and the connection's role make of a session: whether it writes, how long it waits, a pooler."""
    about = f"session of {alias}"
    session = needs.get_session(alias)
    if alias == conf.database and (session.is_read_only or session.is_standby):
        what = "the server is a standby" if session.is_standby else "it is read-only"
        yield required("W016", about, f"{what}: nothing can be scored", "Point DATABASES at the primary.")
    if session.isolation != "read committed":
        yield advised(
            "W017",
            about,
            f"its transactions are {session.isolation}: requests for one address that meet may end as 503",
            "ALTER ROLE … SET default_transaction_isolation = 'read committed', or score outside ATOMIC_REQUESTS.",
        )
    if session.statement_timeout == 0 or session.statement_timeout > conf.statement_timeout_ms > 0:
        yield advised(
            "W018",
            about,
            "a statement may take longer than STATEMENT_TIMEOUT_MS",
            f"ALTER ROLE … SET statement_timeout = {conf.statement_timeout_ms}, for the role of the servers.",
        )
    options = connections[alias].settings_dict["OPTIONS"]
    if needs.is_pooled(alias, session) and options.get("prepare_threshold") is not None:
        yield advised(
            "W019",
            about,
            "a pooler is in between, and statements are prepared in sessions that are not ours",
            'Set OPTIONS["prepare_threshold"] to None and DISABLE_SERVER_SIDE_CURSORS to True (this repository alone: '
            "PREPARE_THRESHOLD=0), unless the pooler carries prepared statements along.",
        )


def look_at_rates(alias: str) -> Iterator[Finding]:
    """Keys whose rate limit nobody can read, and so limits nothing."""
    if alias == conf.database and (prefixes := list_unreadable_rates(alias)):
        yield advised(
            "W020",
            "rate limits",
            f"those of the keys {', '.join(prefixes)} cannot be read: nothing is limited",
            "Write a number per period, as 125/15m; empty for none.",
        )


def look_at_schema(alias: str) -> Iterator[Finding]:
    """Tables, columns, functions and own migrations; asks the database."""
    wanted = fit.columns()
    there = needs.list_columns(alias, sorted(wanted))
    absent = [table for table in wanted if table not in there]
    if absent:
        yield required(
            "W011",
            f"database {alias}",
            f"{len(absent)} tables are missing: {', '.join(absent)}",
            "Run the host's migrations on this database, or see whether search_path hides them.",
        )
    incomplete = False
    for table in there:
        if missing := sorted(set(wanted[table]) - there[table]):
            incomplete = True
            yield required(
                "W012",
                f"database {alias}",
                f"{table} has no {', '.join(missing)}",
                "Run the host's migrations; its schema is older or newer than this version knows.",
            )
    if not absent and not incomplete:
        yield fine(f"database {alias}", f"all {len(there)} tables have the columns that are needed")


def look_at_own_tables(alias: str) -> Iterator[Finding]:
    """This app's migrations, database functions and triggers."""
    executor = MigrationExecutor(connections[alias])
    wanted = {key for key in executor.loader.graph.nodes if key[0] == "scorer_fast"}
    missing = sorted(name for _, name in wanted - set(executor.loader.applied_migrations))
    if missing:
        yield required(
            "W013",
            f"database {alias}",
            f"migrations of scorer_fast are not applied: {', '.join(missing)}",
            f"manage.py migrate scorer_fast --database {alias}",
        )
        return
    what = [f"the function scorer_fast_{name}" for name in functions.list_missing(alias)]
    for each in what:
        yield required(
            "W013",
            f"database {alias}",
            f"{each} is missing",
            f"manage.py migrate scorer_fast --database {alias} (it makes what is missing, and changes nothing else)",
        )
    if not what:
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
        look_at_server,
        look_at_own_tables,
        look_at_schema,
        look_at_indexes,
        look_at_session,
        look_at_rates,
        look_at_inserts,
    ]
    try:
        return [each for look in looks for each in look(alias)]
    except Exception as error:
        return [
            required(
                "W010",
                f"database {alias}",
                f"it cannot be asked ({type(error).__name__})",
                "See that the server runs and that DATABASES says how to reach it.",
            )
        ]
