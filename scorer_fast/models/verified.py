from django.db import models


class VerifiedCredential(models.Model):
    """A signature that didkit found good, by the digest of exactly what it was given.

    The digest is made in one place, the scoring read (``scoring/read.py``): SHA-256 over the
    verifier's name, version and options and the credential's text. Only good results are kept.
    """

    digest = models.BinaryField(primary_key=True, max_length=32)
    expires_at = models.DateTimeField(db_index=True)
    verified_at = models.DateTimeField()

    class Meta:
        verbose_name = "verified credential"

    def __str__(self) -> str:
        return bytes(self.digest).hex()
