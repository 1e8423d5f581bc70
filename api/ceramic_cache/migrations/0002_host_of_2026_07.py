"""The host of 2026-07: live stamps of an address by an index of their own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ceramic_cache", "0001_initial"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="ceramiccache",
            name="ceramic_cache_address_live",
        ),
        migrations.AddIndex(
            model_name="ceramiccache",
            index=models.Index(
                condition=models.Q(("deleted_at__isnull", True)),
                fields=["address", "-id"],
                name="ceramic_cache_live_by_address",
            ),
        ),
    ]
