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
