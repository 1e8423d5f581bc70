"""The two settings of the host: with `scorer_fast` by its two lines, and as it was before."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.test import override_settings
from pytest_django import Settings

from api.demo_issuer import Claim
from scorer_fast.http.catalogue import BY_ID
from tests.host import plain_settings, world
from tests.host import settings as with_scorer_fast
from tests.host.asks import of_operation

HOST = Path(plain_settings.__file__).parent
OWNER = world.address(1)
# The tests' own modules: they hold both sides together.
OF_TESTS = {"both_sides.py", "strategies.py", "settings.py", "plain_settings.py"}
MODULES = sorted(
    file
    for file in [*HOST.glob("*.py"), *HOST.glob("views/*.py")]
    if file.name not in OF_TESTS and not file.name.startswith("test_")
)


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(HOST)))
def test_the_host_uses_nothing_of_scorer_fast(file: Path) -> None:
    """Nor what would bring it in: a baseline that borrows from the fast path measures nothing."""
    for name in imported(file):
        assert name.split(".")[0] != "scorer_fast"
        assert name not in {"tests.host.both_sides", "tests.host.strategies"}


def test_two_lines_are_all_the_difference() -> None:
    assert [app for app in with_scorer_fast.INSTALLED_APPS if app not in plain_settings.INSTALLED_APPS] == [
        "scorer_fast"
    ]
    assert [
        *plain_settings.MIDDLEWARE,
        "scorer_fast.cutover.middleware.ScorerFastMiddleware",
    ] == with_scorer_fast.MIDDLEWARE
    names = {name for name in dir(plain_settings) if name.isupper()}
    assert names == {name for name in dir(with_scorer_fast) if name.isupper()}
    changed = {name for name in names if getattr(plain_settings, name) != getattr(with_scorer_fast, name)}
    assert changed == {"INSTALLED_APPS", "MIDDLEWARE"}
    for name in ("INSTALLED_APPS", "MIDDLEWARE"):
        assert not [entry for entry in getattr(plain_settings, name) if "scorer_fast" in entry]


@pytest.mark.django_db(transaction=True)
@pytest.mark.urls("tests.host.urls")
@pytest.mark.parametrize("operation", BY_ID)
def test_while_legacy_each_answer_is_the_hosts_to_the_byte(operation: str, settings: Settings) -> None:
    for name, value in world.SETTINGS.items():
        setattr(settings, name, value)
    world.make_community(world.make_account(), 1, {"Google": "1.5", "Ens": 3})
    world.give([Claim(OWNER, "Google"), Claim(OWNER, "Ens")])
    good = of_operation(operation, OWNER, "Google", "Github")
    for ask in (replace(good, headers={}), replace(good, body="odd"), replace(good, method="PUT"), good):
        ask.answer()  # so that both find the same: the address scored, the stamp posted or deleted
        with override_settings(MIDDLEWARE=plain_settings.MIDDLEWARE):
            control = wire(ask.answer())
        with override_settings(MIDDLEWARE=with_scorer_fast.MIDDLEWARE):
            assert wire(ask.answer()) == control


def wire(response: HttpResponse) -> tuple[int, list[tuple[str, str]], bytes]:
    """All that is sent, but for the moment and for ids that no second request gets again."""
    body = re.sub(rb'"(last_score_timestamp|created)": "[^"]*"|"id": \d+', b"", response.content)
    return response.status_code, sorted(response.headers.items()), body
