"""What the app reads of its settings: at each use, with defaults, and no exception for what cannot be read."""

import logging
import timeit
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.signals import setting_changed
from pytest_django import Settings

from scorer_fast.settings import Guard, GuardLimits, Host, ScorerFast, conf, keys


def test_each_setting_is_an_attribute_of_its_lower_case_name(settings: Settings) -> None:
    settings.SCORER_FAST = {}
    assert {key: getattr(conf, key.lower()) for key in keys(ScorerFast)} == {
        key: getattr(ScorerFast(), key.lower()) for key in keys(ScorerFast)
    }
    for name in Host.model_fields:
        getattr(conf, name)


def test_a_new_value_is_read_at_the_next_use(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SCORER_FAST = {"WRITE_ATTEMPTS": 2}
    assert conf.write_attempts == 2
    # A host's test that sets it without a signal.
    monkeypatch.setattr(django_settings, "SCORER_FAST", {"WRITE_ATTEMPTS": 3})
    monkeypatch.setattr(django_settings, "CGRANTS_API_TOKEN", "another")
    monkeypatch.setattr(django_settings, "FF_API_ANALYTICS", "on")
    assert (conf.write_attempts, conf.internal_token, conf.api_analytics) == (3, "another", True)
    monkeypatch.undo()
    assert (conf.write_attempts, conf.internal_token, conf.api_analytics) == (2, "test-internal-token", False)


def test_a_dict_changed_in_place_is_read_after_the_signal(settings: Settings) -> None:
    settings.SCORER_FAST = {"WRITE_ATTEMPTS": 2}
    assert conf.write_attempts == 2
    settings.SCORER_FAST["WRITE_ATTEMPTS"] = 4
    setting_changed.send(sender=None, setting="SCORER_FAST", value=settings.SCORER_FAST, enter=True)
    assert conf.write_attempts == 4


def test_a_setting_that_is_taken_away_is_its_default(settings: Settings) -> None:
    settings.MAX_BULK_CACHE_SIZE = 7
    assert conf.max_bulk_cache_size == 7
    del settings.MAX_BULK_CACHE_SIZE
    del settings.SCORER_FAST
    assert (conf.max_bulk_cache_size, conf.background) == (100, True)


@pytest.mark.parametrize(
    ("given", "attribute", "read"),
    [
        ({"WRITE_ATTEMPTS": "five"}, "write_attempts", 5),
        ({"WRITE_ATTEMPTS": 0}, "write_attempts", 5),
        ({"WEIGHTS_CACHE_SECONDS": 3600}, "weights_cache_seconds", 60),
        ({"FLAGS_REFRESH_SECONDS": float("nan")}, "flags_refresh_seconds", 1.0),
        ({"CHECK_INTERNAL_TOKEN": "no"}, "check_internal_token", True),
        ({"OPT_HEADER_ALLOWED": "nobody"}, "opt_header_allowed", "none"),
        ({"KILL": 1}, "kill", True),
        ({"KILL": None}, "kill", True),
        ({"GUARD": {"MIN_SAMPLE": None}}, "guard", Guard()),
        ([], "write_attempts", 5),
    ],
)
def test_what_cannot_be_read_is_the_default_or_the_careful_value(
    given: Any, attribute: str, read: Any, settings: Settings
) -> None:
    """A host whose settings are wrong goes on serving; `manage.py check` and the log say what is wrong."""
    settings.SCORER_FAST = {**given, "SPLIT_SALT": "another"} if isinstance(given, dict) else given
    assert getattr(conf, attribute) == read
    if given:
        assert conf.split_salt == "another"


def test_it_is_logged_once_without_the_value(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.SCORER_FAST = {"SPLIT_SALT": 5, "SPLIT_SALTT": "secret"}
    with caplog.at_level(logging.ERROR):
        assert [conf.split_salt, conf.split_salt] == ["scorer_fast"] * 2
    (record,) = [each for each in caplog.records if each.name == "scorer_fast.settings"]
    assert record.settings == ["SPLIT_SALT", "SPLIT_SALTT"]


def test_kill_is_true_false_or_text(settings: Settings) -> None:
    for given, read in ((["v2_score", "cache"], "v2_score,cache"), ("v2_score", "v2_score"), (True, True), ((), "")):
        settings.SCORER_FAST = {"KILL": given}
        assert conf.kill == read


@pytest.mark.parametrize("given", ["", None, "first"])
def test_ids_that_are_no_numbers_are_none(given: Any, settings: Settings) -> None:
    settings.CERAMIC_CACHE_SCORER_ID = settings.DEMO_API_SCORER_ID = given
    assert (conf.cache_scorer_id, conf.demo_scorer_id) == (None, None)


def test_the_host_may_leave_its_settings_empty(settings: Settings) -> None:
    settings.CGRANTS_API_TOKEN = settings.TRUSTED_IAM_ISSUERS = settings.DEMO_API_KEY_ALIASES = None
    settings.REGISTRY_API_READ_DB = settings.NINJA_JWT = settings.HUMAN_POINTS_START_TIMESTAMP = None
    assert (conf.internal_token, conf.trusted_issuers, conf.demo_api_key_aliases) == ("", frozenset(), frozenset())
    assert (conf.read_database, conf.jwt_signing_key) == ("default", settings.SECRET_KEY)
    assert conf.human_points_start == datetime(1970, 1, 1, tzinfo=UTC)


def test_limits_of_one_operation_go_over_those_of_all(settings: Settings) -> None:
    settings.SCORER_FAST = {
        "GUARD": {"P95_RATIO": 1.2, "OPERATIONS": {"check_bans": {"P95_RATIO": None, "P95_TIMES": 50}}}
    }
    defaults = GuardLimits().model_dump(by_alias=True)
    assert conf.guard_limits() == conf.guard_limits("v2_score") == {**defaults, "P95_RATIO": 1.2}
    assert conf.guard_limits("check_bans") == {**defaults, "P95_RATIO": None, "P95_TIMES": 50}


def test_reading_a_setting_costs_no_validation() -> None:
    """0.2 µs where it was measured; a model built at each use would be 20."""
    for attribute in ("write_attempts", "internal_token"):
        assert min(timeit.repeat(lambda name=attribute: getattr(conf, name), number=1000, repeat=20)) < 0.002
