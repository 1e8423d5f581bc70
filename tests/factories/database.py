"""The tests' own database, for another process or another driver's connection."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote

from django.db import connection


def database_url() -> str:
    """Where it is, in the form that ``DATABASE_URL`` takes."""
    given = connection.settings_dict
    user = quote(given["USER"], safe="")
    secret = f":{quote(given['PASSWORD'], safe='')}" if given["PASSWORD"] else ""
    where = f"{quote(given['HOST'], safe='')}:{given['PORT'] or 5432}"
    return f"postgres://{user}{secret}@{where}/{given['NAME']}"


@contextmanager
def session(url: str = "") -> Iterator[Any]:
    """A cursor of a connection of the driver's own, psycopg or psycopg2, each statement committed by itself."""
    driver: Any = connection.Database
    with closing(driver.connect(url or database_url())) as made:
        made.autocommit = True
        yield made.cursor()
