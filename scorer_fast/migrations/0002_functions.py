"""The database's functions, whose text is frozen in the file beside this one."""

from pathlib import Path

from django.db import migrations

from ._postgresql import PostgreSQL

DROP = """
DROP FUNCTION IF EXISTS scorer_fast_flags_1;
DROP FUNCTION IF EXISTS scorer_fast_contributions_1;
DROP FUNCTION IF EXISTS scorer_fast_stored_score_1;
DROP FUNCTION IF EXISTS scorer_fast_write_batch_1;
DROP FUNCTION IF EXISTS scorer_fast_write_scoring_1;
DROP FUNCTION IF EXISTS scorer_fast_queue_1;
DROP FUNCTION IF EXISTS scorer_fast_keep_1;
DROP FUNCTION IF EXISTS scorer_fast_remember_1;
DROP FUNCTION IF EXISTS scorer_fast_award_1;
DROP FUNCTION IF EXISTS scorer_fast_claim_1;
DROP FUNCTION IF EXISTS scorer_fast_read_scoring_1;
DROP FUNCTION IF EXISTS scorer_fast_reading_1;
DROP FUNCTION IF EXISTS scorer_fast_stamps_listed_1;
DROP FUNCTION IF EXISTS scorer_fast_points_1;
DROP FUNCTION IF EXISTS scorer_fast_weights_1;
DROP FUNCTION IF EXISTS scorer_fast_links_1;
DROP FUNCTION IF EXISTS scorer_fast_digest_1;
DROP FUNCTION IF EXISTS scorer_fast_token_1;
DROP FUNCTION IF EXISTS scorer_fast_versions_1;
DROP FUNCTION IF EXISTS scorer_fast_live_1;
"""


class Migration(migrations.Migration):
    dependencies = [("scorer_fast", "0001_initial")]

    operations = [PostgreSQL(Path(__file__).with_suffix(".sql").read_text(), DROP)]
