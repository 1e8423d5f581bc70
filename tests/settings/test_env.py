"""Environment variables: what they mean, and what is said of one that cannot be read."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from settings import env
from settings.base import cache, database


@pytest.mark.parametrize("written", ["1", "true", "YES", " on "])
def test_true_in_its_spellings(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("FLAG", written)
    assert env.flag("FLAG", False) is True


@pytest.mark.parametrize("written", ["0", "False", "no", "off"])
def test_false_in_its_spellings(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("FLAG", written)
    assert env.flag("FLAG", True) is False


@pytest.mark.parametrize("written", [None, "", "  "])
def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, written: str | None) -> None:
    monkeypatch.delenv("NAME", raising=False)
    if written is not None:
        monkeypatch.setenv("NAME", written)
    assert env.flag("NAME", True) is True
    assert env.number("NAME", 7) == 7
    assert env.words("NAME", ("a",)) == ["a"]
    with pytest.raises(ImproperlyConfigured, match="Set the environment variable NAME: a reason"):
        env.required("NAME", "a reason")


def test_words_are_parted_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAME", " a, b ,,c")
    assert env.words("NAME") == ["a", "b", "c"]
    assert env.required_words("NAME", "some") == ["a", "b", "c"]


def test_what_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAME", "perhaps")
    with pytest.raises(ImproperlyConfigured, match="NAME must be true or false"):
        env.flag("NAME", True)
    with pytest.raises(ImproperlyConfigured, match="NAME must be a whole number"):
        env.number("NAME", 1)


def test_a_database_url_with_options() -> None:
    found = database(
        "postgres://someone:p%40ss@db.example:6543/scores?sslmode=require",
        CONN_MAX_AGE=60,
        OPTIONS={"connect_timeout": 3},
    )
    expected = {"HOST": "db.example", "PORT": 6543, "USER": "someone", "PASSWORD": "p@ss", "NAME": "scores"}
    assert {name: found[name] for name in expected} == expected
    assert found["CONN_MAX_AGE"] == 60
    assert found["OPTIONS"] == {"sslmode": "require", "connect_timeout": 3}


def test_a_database_url_of_a_socket() -> None:
    assert database("postgres://postgres@%2Ftmp%2Fserver:5432/scores")["HOST"] == "/tmp/server"


@pytest.mark.parametrize("url", ["mysql://db.example/scores", "no url", "oops://secret@db/x"])
def test_a_database_url_of_something_else_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL") as caught:
        database(url)
    assert "secret" not in str(caught.value)


def test_redis_where_a_url_is_given_else_memory() -> None:
    assert cache("redis://cache.example:6379/1")["default"]["LOCATION"] == "redis://cache.example:6379/1"
    assert "locmem" in cache("")["default"]["BACKEND"]
