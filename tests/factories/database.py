"""The tests' own database, for another process or another driver's connection."""

from urllib.parse import quote

from django.db import connection


def database_url() -> str:
    """Where it is, in the form that ``DATABASE_URL`` takes."""
    given = connection.settings_dict
    user = quote(given["USER"], safe="")
    secret = f":{quote(given['PASSWORD'], safe='')}" if given["PASSWORD"] else ""
    where = f"{quote(given['HOST'], safe='')}:{given['PORT'] or 5432}"
    return f"postgres://{user}{secret}@{where}/{given['NAME']}"
