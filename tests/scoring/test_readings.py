"""A kept reading spares decoding stamps, and is used only while not one row it was read from has been written again."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from django.db import connection, transaction
from pytest_django import Settings

from api.account.models import Community
from api.ceramic_cache.models import CeramicCache
from api.registry.models import Stamp
from scorer_fast.models import KeptReading
from scorer_fast.scoring import verify as signatures
from scorer_fast.scoring.communities import CommunityKey
from scorer_fast.scoring.read import ScoringRow, read_scoring
from scorer_fast.scoring.score import internal_score
from scorer_fast.scoring.verifier import VERIFIER
from tests.factories import rows
from tests.scoring.drawn import post
from tests.scoring.stamp_writes import (
    OWNER,
    add_a_stamp,
    body_of,
    forget_a_signature,
    revoke,
    tamper,
    without_times,
    write_back,
)

pytestmark = pytest.mark.django_db(transaction=True)


def reading(**options: Any) -> ScoringRow:
    row = read_scoring(
        "default",
        CommunityKey(1, external=False),
        OWNER,
        verifier=VERIFIER,
        rules=None,
        now=rows.FAR,
        points=False,
        **options,
    )
    assert row is not None
    return row


def is_kept() -> bool:
    return reading().is_kept


@pytest.fixture
def scored(one: Community, settings: Settings) -> orjson.Fragment:
    """An address with two stamps, scored: its reading is kept."""
    settings.SCORER_FAST = {**settings.SCORER_FAST, "REVERIFY_ONE_IN": 0}
    rows.stamps(OWNER, "Google", "Ens")
    assert not is_kept()
    answer = internal_score(1, OWNER)
    assert is_kept()
    return answer


def assert_it_says_what_reading_anew_says() -> ScoringRow:
    kept = reading()
    assert kept.is_kept
    KeptReading.objects.all().delete()
    anew = reading()
    assert not anew.is_kept
    assert sorted(anew.stamps) == sorted(kept.stamps)
    assert sorted(anew.stored_stamps) == sorted(kept.stored_stamps)
    assert anew._replace(is_kept=True, known=kept.known, stamps=(), stored_stamps=()) == kept._replace(
        stamps=(), stored_stamps=()
    )
    return kept


def test_it_says_what_reading_anew_says(scored: orjson.Fragment) -> None:
    assert assert_it_says_what_reading_anew_says().known == 2
    assert without_times(internal_score(1, OWNER)) == without_times(scored)


POSTED = {"nullifiers": ("v0.0.0:posted",), "hash": None, "expires": "2099-01-01T00:00:00Z"}
SOME = [{**POSTED, "provider": name, "nullifiers": (f"v0.0.0:{name}",)} for name in ("Ens", 'Gi"t', "NFT")]


@pytest.mark.parametrize(
    ("stored", "are_scored"),
    [((), False), (("Google",), False), (("Google", "Ens"), False), (("Google", "Ens"), True)],
)
def test_a_post_keeps_what_reading_anew_says(
    stored: tuple[str, ...], are_scored: bool, one: Community, settings: Settings
) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "REVERIFY_ONE_IN": 0}
    settings.CERAMIC_CACHE_SCORER_ID = 1
    rows.stamps(OWNER, *stored)
    if are_scored:
        internal_score(1, OWNER)
    answer = post(OWNER, SOME)
    assert assert_it_says_what_reading_anew_says().known == len({*stored, *(stamp["provider"] for stamp in SOME)})
    assert without_times(internal_score(1, OWNER)) == without_times(answer["score"])


def test_a_post_keeps_what_it_finds_to_be_equal(one: Community, settings: Settings) -> None:
    """The copy of a stamp that is posted once more stays, and is known to be equal to the new row."""
    settings.SCORER_FAST = {**settings.SCORER_FAST, "REVERIFY_ONE_IN": 0}
    settings.CERAMIC_CACHE_SCORER_ID = 1
    post(OWNER, SOME)
    copies = sorted(Stamp.objects.values_list("pk", flat=True))
    post(OWNER, SOME)
    assert sorted(Stamp.objects.values_list("pk", flat=True)) == copies
    assert {stored.same_as for stored in assert_it_says_what_reading_anew_says().stored_stamps} == set(
        CeramicCache.objects.filter(deleted_at=None).values_list("pk", flat=True)
    )


@pytest.fixture
def none_can_be_kept() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE scorer_fast_keptreading ADD CONSTRAINT none CHECK (FALSE)")
        yield
        cursor.execute("ALTER TABLE scorer_fast_keptreading DROP CONSTRAINT none")


@pytest.mark.usefixtures("none_can_be_kept")
def test_what_cannot_be_kept_does_not_fail_the_request(one: Community, caplog: pytest.LogCaptureFixture) -> None:
    rows.stamps(OWNER, "Google")
    with caplog.at_level(logging.WARNING, "scorer_fast"):
        assert body_of(internal_score(1, OWNER))["score"] == "1.50000"
    assert [record.message for record in caplog.records] == ["signatures and readings could not be remembered"]
    assert [record.sqlstate for record in caplog.records] == ["23514"]  # type: ignore[attr-defined]
    assert reading().stamps[0].remembered, "the signature is"


def test_it_brings_the_texts_where_they_are_asked_for(scored: orjson.Fragment) -> None:
    texts = {stamp.key: stamp.text for stamp in reading(reverify=True).stamps}
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, stamp::text FROM ceramic_cache_ceramiccache")
        assert texts == dict(cursor.fetchall())


def rewrite_counting_stamps() -> None:
    for stamp in list(Stamp.objects.all()):
        stamp.delete()
        Stamp.objects.create(provider=stamp.provider, credential=stamp.credential, passport_id=stamp.passport_id)


def change_a_counting_stamp() -> None:
    Stamp.objects.filter(provider="Google").update(credential={})


@pytest.mark.parametrize(
    "write",
    [
        tamper,
        write_back,
        revoke,
        rewrite_counting_stamps,
        change_a_counting_stamp,
        forget_a_signature,
        add_a_stamp,
    ],
)
@pytest.mark.parametrize("in_one_transaction", [False, True])
def test_any_write_makes_it_void(write: Callable[[], None], in_one_transaction: bool, scored: orjson.Fragment) -> None:
    """Also one that leaves ``updated_at`` alone, and one of the same transaction."""
    if in_one_transaction:
        with transaction.atomic():
            write()
            assert not is_kept()
            write_back()
            assert not is_kept()
    else:
        write()
    assert not is_kept()


def test_a_tampered_stamp_no_longer_counts(scored: orjson.Fragment) -> None:
    tamper()
    assert set(body_of(internal_score(1, OWNER))["stamps"]) == {"Ens"}


def test_another_verifier_reads_anew(scored: orjson.Fragment) -> None:
    row = read_scoring(
        "default", CommunityKey(1, external=False), OWNER, verifier="another\n", rules=None, now=rows.FAR, points=False
    )
    assert row is not None
    assert not row.is_kept
    assert not any(stamp.remembered for stamp in row.stamps)


def test_nothing_is_kept_where_the_setting_says_so(one: Community, settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "KEEP_READINGS_DAYS": 0}
    rows.stamps(OWNER, "Google")
    for _ in range(3):
        internal_score(1, OWNER)
    assert not KeptReading.objects.exists()


def test_old_ones_are_pruned_with_the_signatures(scored: orjson.Fragment, settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "PRUNE_EVERY_SECONDS": 1}
    KeptReading.objects.update(kept_at=rows.PAST)
    signatures._next_prune = 0.0
    rows.stamps(OWNER, "Github")
    internal_score(1, OWNER)
    assert not KeptReading.objects.filter(kept_at=rows.PAST).exists()
