"""SQL that is left out on another database: one for other apps of the host, or a CI step's SQLite. Frozen."""

from typing import Any

from django.db import migrations


class PostgreSQL(migrations.RunSQL):
    """RunSQL where the database is PostgreSQL, else nothing."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_backwards(app_label, schema_editor, from_state, to_state)


NAME_THE_SCHEMAS = """
-- names, for this transaction, the schemas that are searched now
SELECT set_config('search_path', (SELECT string_agg(quote_ident(s.name), ', ')
                                  FROM unnest(current_schemas(FALSE)) AS s (name)), TRUE)
"""


class Functions(PostgreSQL):
    """Makes functions that are ``SET search_path FROM CURRENT``: the schemas are named first, so that a function finds
    its tables whatever a caller's search_path is."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(NAME_THE_SCHEMAS, params=None)
        super().database_forwards(app_label, schema_editor, from_state, to_state)
