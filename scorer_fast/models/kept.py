from django.contrib.postgres.fields import ArrayField
from django.db import models


class KeptReading(models.Model):
    """What scoring read of a passport's stamps, kept for the next time. All of it may be deleted or lost.

    ``reading`` is taken in place of reading anew while the ``token`` over the versions of all rows it depends on is the
    same (``db/functions/token_1.sql``), and the signatures of ``verified`` are all still remembered. ``others``:
    nullifiers of the stamps that the address does not hold; who holds them is part of the token.
    """

    passport_id = models.BigIntegerField(primary_key=True)
    token = models.BinaryField(max_length=32)
    reading = models.TextField()
    others = ArrayField(models.TextField())
    verified = ArrayField(models.BinaryField())
    kept_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "kept reading"

    def __str__(self) -> str:
        return f"Reading of passport #{self.passport_id}"
