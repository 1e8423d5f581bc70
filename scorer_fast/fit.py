"""Whether the host is what its revision says, and what of it this version does not know. Doctor reports it.

Each finding is level, subject, what was found, remedy and number, as ``doctor.Finding`` has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from django.apps import apps
from django.conf import settings
from django.urls import Resolver404, URLPattern, URLResolver, get_resolver, resolve

from . import linked, revision
from .db import requirements as needs
from .http.catalogue import OPERATIONS
from .http.tokens import public_key
from .settings import Host, conf, keys

Said = tuple[str, str, str, str, str]
REQUIRED, ADVISED, FINE = "required", "advised", "fine"
# What the host's settings begin with, where they are about what the operations do.
PREFIXES = ("HUMAN_POINTS_", "SIWE_", "CERAMIC_CACHE_", "DEMO_API_", "FF_")
ADDRESS = "0x" + "0" * 40
SAMPLES = {"address": ADDRESS, "scorer_id": "1", "round_id": "1", "list": "name", "provider_id": "name"}
# The tables that scoring inserts into.
INSERTED = (
    "account_accountapikeyanalytics", "ceramic_cache_ceramiccache", "registry_event", "registry_hashscorerlink",
    "registry_humanpoints", "registry_humanpointscommunityqualifiedusers", "registry_passport", "registry_score",
    "registry_stamp",
)  # fmt: skip


def look_at_host() -> Iterator[Said]:
    """The revision, and the host's models, settings and routes beside what it expects."""
    found = revision.found()
    yield FINE, "revision", f"the host is taken for one of {found.revision.name}: {found.why}", "", ""
    yield from _look_at_models(found.revision)
    yield from _look_at_settings(found.revision)
    yield from _look_at_routes()


def look_at_key_and_links() -> Iterator[Said]:
    """What the newer settings name: a key that can be read, a function that is there."""
    if revision.current().rs256_tokens and conf.siwe_public_key and public_key(conf.siwe_public_key) is None:
        yield (
            REQUIRED,
            "SIWE_JWT_PUBLIC_KEY",
            "it is no RSA public key in PEM form: every RS256 token is refused",
            "Give the text between and with -----BEGIN PUBLIC KEY----- and -----END PUBLIC KEY-----, its lines apart.",
            "W030",
        )
    try:
        linked.named(conf.linked_addresses)
    except Exception as error:
        yield (
            REQUIRED,
            'SCORER_FAST["LINKED_ADDRESSES"]',
            f"{conf.linked_addresses!r} cannot be imported ({type(error).__name__}): every scoring is left to the host",
            "Name a function by its dotted path, or leave it empty for the host's own.",
            "W031",
        )


def look_at_inserts(alias: str) -> Iterator[Said]:
    """Columns that an insert of this app would leave out, and the table does not take so; asks the database."""
    for table, column in needs.list_unfilled(alias, INSERTED):
        yield (
            REQUIRED,
            f"database {alias}",
            f"{table}.{column} must have a value, and this version does not know it: what is written there fails",
            "Leave the operations that write in mode legacy until a version that knows this host.",
            "W032",
        )


def _look_at_models(facts: revision.Revision) -> Iterator[Said]:
    labels = {table.rpartition("_")[0] for table in facts.tables}
    installed = {
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_label in labels and not model._meta.proxy
    }
    for what, tables in (
        (f"no installed model has {{}}: this is no host of {facts.name}", facts.tables - installed),
        (f"{{}} are tables of the host that are not of {facts.name}", installed - facts.tables),
    ):
        if tables:
            yield (
                ADVISED,
                "models",
                what.format(", ".join(sorted(tables))),
                f'See whether SCORER_FAST["CONTRACT"] should be another of {", ".join(revision.BY_NAME)}, or a newer '
                "version of scorer_fast knows this host; shadow before anything is switched.",
                "W033",
            )
    if facts.tables == installed:
        yield FINE, "models", f"those of {facts.name}, all {len(installed)} tables", "", ""


def _look_at_settings(facts: revision.Revision) -> Iterator[Said]:
    for name in facts.settings:
        if not hasattr(settings, name):
            yield ADVISED, name, f"a host of {facts.name} has it, and these settings do not", f"Set {name}.", "W034"
    known = {*keys(Host), *(name for each in revision.REVISIONS for name in each.settings)}
    unknown = sorted(name for name in dir(settings) if name.startswith(PREFIXES) and name not in known)
    if unknown:
        yield FINE, "settings", f"not known here, and not heeded: {', '.join(unknown)}", "", ""


def _look_at_routes() -> Iterator[Said]:
    lacking = [operation.id for operation in OPERATIONS if operation.is_there and not _is_routed(operation.path)]
    if lacking:
        yield (
            ADVISED,
            "routes",
            f"the host has none for {', '.join(lacking)}: in mode legacy, and where the fast path fails, that is a 404",
            "See whether these operations are served elsewhere (by Lambda functions, say).",
            "W035",
        )
    known = {_shape(operation.path) for operation in OPERATIONS}
    others = sorted({route for route in _routes(get_resolver()) if _is_near(route) and _shape(route) not in known})
    if others:
        yield (
            FINE,
            "routes",
            f"{len(others)} of the host's beside the operations stay its own: {', '.join(others)}",
            "",
            "",
        )


def _is_routed(path: str) -> bool:
    try:
        resolve(path.format_map(_Sample()))
    except Resolver404:
        return False
    return True


class _Sample(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return SAMPLES.get(name, "1")


def _routes(resolver: URLResolver, before: str = "/") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern, route)
        elif isinstance(pattern, URLPattern):
            yield route


_FIRST_WORDS = frozenset(operation.path.split("/")[1] for operation in OPERATIONS)


def _is_near(route: str) -> bool:
    return route.split("/")[1] in _FIRST_WORDS


def _shape(route: str) -> str:
    """A route without the names and kinds of its parameters."""
    return re.sub(r"<[^>]*>|\{[^}]*\}", "*", route)


def columns() -> Mapping[str, tuple[str, ...]]:
    """What the statements read and write, by table, of the host's revision."""
    return {**needs.COLUMNS, **revision.current().columns}


def indexes() -> tuple[needs.Index, ...]:
    """What the statements rely on, of the host's revision."""
    return (*needs.INDEXES, *(needs.Index(table, of) for table, of in revision.current().indexes))
