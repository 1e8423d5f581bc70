"""The numbered system checks: each is raised by what it warns of, tells the remedy, and by nothing else."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django import VERSION
from django.core.checks import CheckMessage, Error, Info, Warning, run_checks
from django.db import OperationalError, connection, connections
from pytest_django import Settings

from scorer_fast import checks
from scorer_fast import doctor as diagnosis
from scorer_fast.db import trials
from scorer_fast.settings import GuardLimits, ScorerFast

MIDDLEWARE = diagnosis.MIDDLEWARE
ROOT = Path(__file__).resolve().parents[1]


def own(messages: list[CheckMessage]) -> list[CheckMessage]:
    return [message for message in messages if message.id and message.id.startswith("scorer_fast.")]


def raised(**options: Any) -> list[str]:
    """The numbers of this app's checks that complain; each says what to do."""
    messages = own(run_checks(**options))
    assert all(message.hint for message in messages)
    levels = {"E": Error, "W": Warning, "I": Info}
    assert all(isinstance(message, levels[message.id.removeprefix("scorer_fast.")[0]]) for message in messages)
    return [message.id.removeprefix("scorer_fast.") for message in messages]


def texts() -> str:
    return "\n".join(f"{message.msg} {message.hint}" for message in own(run_checks()))


def test_a_sound_project_raises_none() -> None:
    assert raised() == []


# ---- SCORER_FAST


def test_what_may_be_chosen_raises_none(settings: Settings) -> None:
    settings.SCORER_FAST = {
        "MODES": {"*": "shadow", "cache": "legacy", "v2_score": "fast"},
        "OPT_HEADER_ALLOWED": "internal",
    }
    assert raised() == []


RULES = ("ERROR_POINTS", "ERROR_PERCENT", "P95_RATIO", "P95_TIMES", "MISMATCHES")


@pytest.mark.parametrize(
    "given",
    [
        {"GUARD": dict.fromkeys(RULES)},
        {"GUARD": {"P95_RATIO": 1.2, "OPERATIONS": {"check_bans": {"P95_RATIO": None, "P95_TIMES": 50}}}},
        {"ASGI_CONN_MAX_AGE": None},
        {"KILL": True},
        {"KILL": ["v2_score", "cache"]},
        {"KILL": ("all",)},
        {"KILL": "v2_score, cache"},
    ],
)
def test_what_the_documents_show_raises_none(settings: Settings, given: dict[str, Any]) -> None:
    """An error of a check stops every command of the host, `migrate` and all."""
    settings.SCORER_FAST = given
    assert raised() == []


@pytest.mark.parametrize("given", [[], "x", 1])
def test_e001_it_is_no_dict(settings: Settings, given: Any) -> None:
    settings.SCORER_FAST = given
    assert raised() == ["E001"]


def test_it_may_be_left_out(settings: Settings) -> None:
    del settings.SCORER_FAST
    assert raised() == []


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"SHADOW_SAMPEL": 1}, "Did you mean 'SHADOW_SAMPLE'?"),
        ({"zzz": 1}, "docs/operations.md"),
        ({"GUARD": {"P95_RATOI": 1}}, "Did you mean 'P95_RATIO'?"),
        ({"GUARD": {"OPERATIONS": {"v2_scores": {}}}}, "Did you mean 'v2_score'?"),
        ({"GUARD": {"OPERATIONS": {"v2_score": {"MIN_SAMPLES": 1}}}}, "Did you mean 'MIN_SAMPLE'?"),
        ({"MODES": {"v2_scores": "fast"}}, "Did you mean 'v2_score'?"),
        ({"KILL": ["v2_scores"]}, "Did you mean 'v2_score'?"),
    ],
)
def test_e002_an_unknown_key(settings: Settings, given: dict[str, Any], hint: str) -> None:
    settings.SCORER_FAST = given
    assert raised() == ["E002"]
    assert hint in texts()


@pytest.mark.parametrize(
    "given",
    [
        {"SHADOW_SAMPLE": "1"},
        {"SHADOW_SAMPLE": True},
        {"BACKGROUND": 1},
        {"BACKGROUND": None},
        {"DATABASE": 1},
        {"GUARD": []},
        {"GUARD": {"MIN_SAMPLE": "many"}},
        {"GUARD": {"OPERATIONS": {"v2_score": {"DRY_RUN": "yes"}}}},
        {"MODES": {"score": "fats"}},
        {"MODES": {"*": None}},
        {"OPT_HEADER_ALLOWED": "nobody"},
        {"GUARD": {"P95_TIMES": "many"}},
        {"GUARD": {"MIN_SAMPLE": None}},
        {"KILL": 1},
        {"KILL": None},
    ],
)
def test_e003_a_value_of_another_kind(settings: Settings, given: dict[str, Any]) -> None:
    settings.SCORER_FAST = given
    assert raised() == ["E003"]


def test_every_default_fits_itself(settings: Settings) -> None:
    limits = GuardLimits().model_dump(by_alias=True)
    defaults = ScorerFast().model_dump(by_alias=True)
    settings.SCORER_FAST = {**defaults, "GUARD": {**limits, "OPERATIONS": {"v2_score": limits}}}
    assert raised() == []
    settings.SCORER_FAST = {
        "GUARD": {"P95_RATIO": None, "P95_TIMES": 50.5, "OPERATIONS": {"v2_score": {"P95_TIMES": 5}}}
    }
    assert raised() == []


# ---- the host's settings


def test_e004_no_signing_key(settings: Settings) -> None:
    settings.NINJA_JWT = {"SIGNING_KEY": "a key of its own"}
    settings.SECRET_KEY_FALLBACKS = []
    assert raised() == []
    settings.NINJA_JWT = {}
    settings.SECRET_KEY = "-"
    assert raised() == []


def test_e004_is_raised_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer_fast.settings.Conf.jwt_signing_key", "")
    assert raised() == ["E004"]


def test_w003_no_internal_token(settings: Settings) -> None:
    settings.CGRANTS_API_TOKEN = ""
    assert raised() == ["W003"]
    settings.SCORER_FAST = {**settings.SCORER_FAST, "CHECK_INTERNAL_TOKEN": False}
    assert raised() == []
    assert "W006" in raised(include_deployment_checks=True)


def test_i001_any_context_counts(settings: Settings) -> None:
    """It is for owners to decide: no warning, and only where one looks at what is exposed."""
    assert "I001" in raised(include_deployment_checks=True)
    settings.SCORER_FAST = {**settings.SCORER_FAST, "STRICT_CONTEXT": True}
    assert "I001" not in raised(include_deployment_checks=True)


def test_w004_no_trusted_issuer(settings: Settings) -> None:
    settings.TRUSTED_IAM_ISSUERS = []
    assert raised() == ["W004"]


@pytest.mark.parametrize("given", ["", "first", None])
def test_w005_no_community_of_the_cache(settings: Settings, given: Any) -> None:
    settings.CERAMIC_CACHE_SCORER_ID = given
    assert raised() == ["W005"]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("MAX_BULK_CACHE_SIZE", "many"),
        ("CGRANTS_API_TOKEN", 5),
        ("HUMAN_POINTS_START_TIMESTAMP", "soon"),
        ("NINJA_JWT", "key"),
        ("DEMO_API_KEY_ALIASES", "abc"),
        ("REGISTRY_API_READ_DB", 1),
    ],
)
def test_e003_a_setting_of_the_host_of_another_kind(name: str, given: Any, settings: Settings) -> None:
    setattr(settings, name, given)
    (message,) = [each for each in own(run_checks()) if each.id == "scorer_fast.E003"]
    assert message.msg.startswith(f"{name}: ")


# ---- the middleware


def test_w001_no_request_reaches_the_app(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.host.urls"
    assert raised() == ["W001"]
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, MIDDLEWARE]
    assert raised() == []


def test_w002_the_line_is_not_the_last(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.host.urls"
    settings.MIDDLEWARE = [MIDDLEWARE, *settings.MIDDLEWARE]
    assert raised() == ["W002"]
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, MIDDLEWARE]
    assert raised() == ["W002"]
    assert "there twice" in texts()


# ---- databases and packages


def test_e005_an_alias_nobody_has(settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "DATABASE": "elsewhere"}
    assert raised() == ["E005"]
    settings.SCORER_FAST = {}
    settings.REGISTRY_API_READ_DB = "replica"
    assert raised() == ["E005"]


def test_e006_another_kind_of_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.databases, "other", {**connections.databases["default"], "ENGINE": SQLITE})
    monkeypatch.setattr("scorer_fast.settings.Conf.read_database", "other")
    assert raised() == ["E006"]


SQLITE = "django.db.backends.sqlite3"


@pytest.mark.parametrize(
    ("databases", "arguments", "warning"),
    [
        ({"default": {"ENGINE": SQLITE, "NAME": ":memory:"}}, [], "W007"),
        ({"default": {"ENGINE": SQLITE, "NAME": ":memory:"}}, ["--database", "default"], "W007"),
        ({}, [], "W007"),
        ({"default": {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": 1, "NAME": "x"}},
         ["--database", "default"], "W010"),
        ({"default": {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": 1, "NAME": "x"}}, [], ""),
    ],
    ids=["sqlite", "sqlite is asked", "no database", "a server that is down", "nothing is asked"],
)  # fmt: skip
def test_check_where_there_is_no_postgresql_warns_and_passes(
    databases: dict[str, Any], arguments: list[str], warning: str, tmp_path: Path
) -> None:
    """As in a step of the host's CI: a process of its own with the host's other settings."""
    if warning == "W010" and VERSION[:2] == (5, 0):
        pytest.skip("Django 5.0 itself asks the database for its version, wherever a model has a UniqueConstraint")
    (tmp_path / "step.py").write_text(f"from settings.test import *\nDATABASES = {databases!r}\n")
    done = subprocess.run(
        [sys.executable, "manage.py", "check", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "step",
            "PYTHONPATH": str(tmp_path),
            "DATABASE_URL": "postgres://x",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.findall(r"scorer_fast\.(\w\d+)", done.stderr) == ([warning] if warning else [])


def hide(monkeypatch: pytest.MonkeyPatch, *hidden: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in hidden else find(name, *rest))


def test_e008_no_didkit(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "didkit")
    assert raised() == ["E008"]


# ---- the schema, only where the database is asked for


def test_without_a_database_nothing_is_asked() -> None:
    """This test has no access to the database."""
    assert raised() == []


@pytest.mark.django_db
def test_w011_what_the_host_lacks() -> None:
    assert raised(databases=["default"]) == []
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE stake_stake RENAME TO elsewhere")
    assert raised(databases=["default"]) == ["W011"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "setting", ["DateStyle = 'German'", "transaction_read_only = on"], ids=["times nobody can read", "read-only"]
)
def test_w016_a_session_that_cannot_serve(setting: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL {setting}")
    assert raised(databases=["default"])[0] == "W016"


@pytest.mark.django_db
def test_w013_own_migrations() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'scorer_fast'")
    assert raised(databases=["default"]) == ["W013"]


@pytest.mark.django_db
def test_w010_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Any:
        raise OperationalError("no route")

    monkeypatch.setattr(trials, "get_session", away)
    assert raised(databases=["default"]) == ["W010"]


@pytest.mark.django_db
def test_a_database_that_is_about_to_be_migrated_is_left_alone() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE stake_stake RENAME TO elsewhere")
        cursor.execute("ALTER TABLE django_migrations RENAME TO no_migrations_yet")
    assert raised(databases=["default"]) == []


@pytest.mark.django_db
def test_other_databases_are_left_alone(settings: Settings) -> None:
    assert checks.check_schema(databases=["analytics"]) == []
    assert checks.check_schema(databases=None) == []
