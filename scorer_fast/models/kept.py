from django.contrib.postgres.fields import ArrayField
from django.db import models


class KeptReading(models.Model):
    """What scoring read of a passport's stamps: facts about versions of rows, true for as long as the rows stay so.

    Decoding twenty credentials is most of a scoring read. ``stamps`` are the readings of the rows of the cache that
    ``live_versions`` names (``id,xmin,ctid``); ``stored_stamps`` says of the rows that ``stored_versions`` names which
    row of the cache each equals. A row that has been written again has another version, and is read anew.
    Which signatures were remembered holds in the ``generation`` it was read in. All of it may be deleted.
    """

    passport_id = models.BigIntegerField(primary_key=True)
    verifier = models.TextField()
    live_versions = ArrayField(models.TextField())
    stamps = models.TextField()
    stored_versions = ArrayField(models.TextField())
    stored_stamps = models.TextField()
    nullifiers = ArrayField(models.TextField())
    generation = models.UUIDField()
    kept_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "kept reading"

    def __str__(self) -> str:
        return f"Reading of passport #{self.passport_id}"


class SettledReading(models.Model):
    """What came of a passport's stamps where nothing but the score was left to write.

    Each readable stamp counts, and links and copies are as they should be: ``reading`` (JSON, see
    ``scoring/kept.py``) says which providers count. It holds from ``valid_from`` until ``valid_until`` (the earliest
    expiry), in its ``generation``, while the ``token`` over the rules and the versions of all rows is the same.
    ``has_marks``: whether it says what human points are awarded for. All of it may be deleted.
    """

    passport_id = models.BigIntegerField(primary_key=True)
    token = models.BinaryField(max_length=32)
    generation = models.UUIDField()
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField()
    has_marks = models.BooleanField()
    reading = models.TextField()
    kept_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "settled reading"

    def __str__(self) -> str:
        return f"Settled reading of passport #{self.passport_id}"


class Generation(models.Model):
    """Another value since each time a remembered signature was forgotten that still mattered; one row, or none yet.

    A trigger writes it, whoever deletes signatures: what is kept in another generation is void.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    value = models.UUIDField()

    class Meta:
        verbose_name = "generation of remembered signatures"

    def __str__(self) -> str:
        return str(self.value)
