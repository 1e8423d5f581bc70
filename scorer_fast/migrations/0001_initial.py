from django.db import migrations, models

from scorer_fast.db.functions import FUNCTIONS


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="VerifiedCredential",
            fields=[
                ("digest", models.BinaryField(max_length=32, primary_key=True, serialize=False)),
                ("expires_at", models.DateTimeField(db_index=True)),
                ("verified_at", models.DateTimeField()),
            ],
            options={"verbose_name": "verified credential"},
        ),
        *(migrations.RunSQL(function.create, function.drop) for function in FUNCTIONS),
    ]
