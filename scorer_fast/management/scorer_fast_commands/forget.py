"""Take an address out of what this app keeps."""

from __future__ import annotations

import logging
from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand
from django.db import transaction

from scorer_fast.cutover import flags
from scorer_fast.db import forget as sql
from scorer_fast.scoring.verifier import VERIFIER
from scorer_fast.settings import conf

from ._changes import remedies, who

HELP = "Take an address out of samples, kept readings and remembered signatures; the host's own tables stay."

logger = logging.getLogger("scorer_fast.forget")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("address", help="20 bytes of hex, in any case")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    alias = conf.database
    with remedies(), transaction.atomic(using=alias):
        address = flags.addresses([options["address"]])
        if not address:  # no text is part of every text
            raise flags.InvalidChange("Name one address: scorer_fast forget 0x…")
        address = "0x" + address.removeprefix("0x")
        passports = sql.list_passport_ids(alias, address)
        gone = {
            "samples of mismatches": sql.delete_samples(alias, address),
            "remembered signatures": sql.delete_digests(alias, address, VERIFIER),
            "failures of rescorings": sql.delete_failures(alias, address),
            "kept readings": sum(_delete_readings(alias, passports)),
        }
        listed = sql.list_listed(alias, address)
    # Without the address, which is what was to be forgotten.
    logger.info("an address was forgotten", extra={"by": who(""), "deleted": sum(gone.values())})
    for what, number in gone.items():
        command.stdout.write(f"{number} {what} deleted")
    for where in listed:
        command.stdout.write(f"It still stands {where}: somebody decided so.")


def _delete_readings(alias: str, passports: list[int]) -> list[int]:
    """Of every table of this app that keeps something by passport."""
    models = apps.get_app_config("scorer_fast").get_models()
    keeping = [model for model in models if model._meta.pk and model._meta.pk.name == "passport_id"]
    return [model._default_manager.using(alias).filter(pk__in=passports).delete()[0] for model in keeping]
