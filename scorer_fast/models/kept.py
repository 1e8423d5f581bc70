from django.contrib.postgres.fields import ArrayField
from django.db import models


class KeptReading(models.Model):
    """What scoring read of a passport's stamps: facts about versions of rows, true for as long as the rows stay so.

    Decoding twenty credentials is most of a scoring read. ``stamps`` are the readings of the rows of the cache that
    ``live_versions`` names (``id,xmin,ctid``); ``stored_stamps`` says of the rows that ``stored_versions`` names which
    row of the cache each equals. A row that has been written again has another version, and is read anew.
    Whether a signature is good is not kept here: ``digests`` must all still be in the table of verified credentials.
    All of it may be deleted.
    """

    passport_id = models.BigIntegerField(primary_key=True)
    verifier = models.TextField()
    live_versions = ArrayField(models.TextField())
    stamps = models.TextField()
    stored_versions = ArrayField(models.TextField())
    stored_stamps = models.TextField()
    nullifiers = ArrayField(models.TextField())
    digests = ArrayField(models.BinaryField())
    kept_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "kept reading"

    def __str__(self) -> str:
        return f"Reading of passport #{self.passport_id}"
