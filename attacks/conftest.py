"""The same database as the suite's, and its order of clearing."""

from tests.conftest import *  # noqa: F403
