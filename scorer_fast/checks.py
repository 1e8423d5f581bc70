"""System checks of this app, numbered, each with its remedy; ``doctor.py`` looks, this module reports.

Errors are what keeps the fast path from working at all. What the database lacks is a warning, so that
``migrate`` can still run and mend it; ``manage.py scorer_fast doctor`` fails for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from .settings import conf

if TYPE_CHECKING:
    from .doctor import Finding

# What looks is imported by the check that runs: a process that runs none starts without.


@register("scorer_fast")
def check_settings(**_: Any) -> list[CheckMessage]:
    """Settings, middleware, packages; connects to nothing."""
    from . import doctor as diagnosis

    own = list(diagnosis.look_at_own_settings())
    if any(finding.number == "E001" for finding in own):
        return messages(own)
    return messages(
        [
            *own,
            *diagnosis.look_at_host_settings(),
            *diagnosis.look_at_middleware(),
            *diagnosis.look_at_databases(),
            *diagnosis.look_at_packages(),
        ]
    )


@register(Tags.security, deploy=True)
def check_exposure(**_: Any) -> list[CheckMessage]:
    """What is safe in some places only: with ``check --deploy``."""
    from . import doctor as diagnosis

    return messages(diagnosis.look_at_exposure())


@register(Tags.database)
def check_schema(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Tables, columns and own migrations: with ``check --database``."""
    from . import doctor as diagnosis

    findings: list[Finding] = []
    for alias in databases or ():
        if alias not in (conf.database, conf.read_database):
            continue
        if connections[alias].vendor != "postgresql":
            continue
        try:
            # A database nobody has migrated yet is about to be: `migrate` runs this check first.
            if not MigrationRecorder(connections[alias]).has_table():
                continue
            findings += diagnosis.look_at_server(alias)
            findings += [each for each in diagnosis.look_at_session(alias) if each.number != "W018"]
            findings += diagnosis.look_at_own_tables(alias)
            findings += diagnosis.look_at_statements(alias)
            findings += diagnosis.look_at_rates(alias)
        except Exception as error:
            findings.append(
                diagnosis.required(
                    "W010",
                    f"database {alias}",
                    f"it cannot be asked ({type(error).__name__})",
                    "See that the server runs and that DATABASES says how to reach it.",
                )
            )
    return messages(findings)


_LEVELS: dict[str, type[Error | Warning | Info]] = {"E": Error, "W": Warning, "I": Info}


def messages(findings: Iterable[Finding]) -> list[CheckMessage]:
    """Findings as Django reports them; what is fine is not reported."""
    return [
        _LEVELS[finding.number[0]](
            f"{finding.about}: {finding.what}.", hint=finding.remedy, id=f"scorer_fast.{finding.number}"
        )
        for finding in findings
        if finding.number
    ]
