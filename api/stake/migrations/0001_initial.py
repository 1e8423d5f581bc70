from django.db import migrations, models

import api.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Stake",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "chain",
                    models.IntegerField(
                        choices=[(1, "Ethereum"), (10, "Optimism"), (42161, "Arbitrum")], db_index=True
                    ),
                ),
                ("lock_time", models.DateTimeField()),
                ("unlock_time", models.DateTimeField()),
                (
                    "last_updated_in_block",
                    models.DecimalField(db_index=True, decimal_places=0, max_digits=78),
                ),
                ("staker", api.fields.EthAddressField(db_index=True, max_length=42)),
                ("stakee", api.fields.EthAddressField(db_index=True, max_length=42)),
                ("current_amount", models.DecimalField(decimal_places=18, max_digits=78)),
            ],
            options={
                "unique_together": {("staker", "stakee", "chain")},
            },
        ),
    ]
