"""Fixtures for the suites that ask the operations; each suite's conftest.py imports what it uses."""

import pytest
from pytest_django import Settings

from api.account.models import Community
from scorer_fast.lookups import weights
from tests.factories import rows
from tests.host import world


@pytest.fixture(autouse=True)
def host_settings(settings: Settings) -> Settings:
    """The settings that ``tests.host.world`` describes; nothing remembered by an earlier test."""
    for name, value in world.SETTINGS.items():
        setattr(settings, name, value)
    settings.PASSWORD_HASHERS = ["tests.factories.rows.QuickPBKDF2"]
    weights.forget()
    return settings


@pytest.fixture
def one(db: None) -> Community:
    """Community 1 of an account with the key ``rows.API_KEY``."""
    return rows.world_of_one()
