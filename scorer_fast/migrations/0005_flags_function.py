"""One statement for a look at the flags; its text is frozen in the file beside this one."""

from pathlib import Path

from django.db import migrations

from ._postgresql import PostgreSQL


class Migration(migrations.Migration):
    dependencies = [("scorer_fast", "0004_rollouts")]

    operations = [
        PostgreSQL(Path(__file__).with_suffix(".sql").read_text(), "DROP FUNCTION IF EXISTS scorer_fast_flags_1;")
    ]
