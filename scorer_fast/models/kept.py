from django.contrib.postgres.fields import ArrayField
from django.db import models


class KeptReading(models.Model):
    """What scoring read of a passport's stamps, while not one of their rows has been written again.

    Decoding twenty credentials is most of a scoring read. ``versions`` names the verifier and the exact row
    versions the reading is of; any other version, and it is read anew. Whether a signature is good is not kept
    here: ``digests`` must all still be in the table of verified credentials. All of it may be deleted.
    """

    passport_id = models.BigIntegerField(primary_key=True)
    versions = models.TextField()
    stamps = models.TextField()
    stored_stamps = models.TextField(null=True)
    nullifiers = ArrayField(models.TextField())
    digests = ArrayField(models.BinaryField())
    kept_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "kept reading"

    def __str__(self) -> str:
        return f"Reading of passport #{self.passport_id}"
