"""What is kept of a reading is taken while no row that it depends on has been written again, and says what reading
says.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from api.account.models import Community
from api.ceramic_cache.models import CeramicCache
from api.registry.models import HashScorerLink, HumanPoints, Stamp
from api.scorer_weighted.models import BinaryWeightedScorer
from scorer_fast.models import KeptReading
from scorer_fast.run import Run
from scorer_fast.scoring import read as reads
from scorer_fast.scoring import reading as readings
from scorer_fast.scoring import rescore
from scorer_fast.scoring.read import ScoringRow
from tests.factories import rows
from tests.factories.requests import good
from tests.factories.scoring import reading, score, timeless
from tests.scoring.drawn import post
from tests.scoring.stamp_writes import (
    OWNER,
    add_a_stamp,
    forget_a_signature,
    revoke,
    tamper,
    write_back,
    write_google,
)

pytestmark = pytest.mark.django_db(transaction=True)
POSTED = {"nullifiers": ("v0.0.0:posted",), "hash": None, "expires": "2099-01-01T00:00:00Z"}
SOME = [{**POSTED, "provider": name, "nullifiers": (f"v0.0.0:{name}",)} for name in ("Ens", 'Gi"t', "NFT")]


def is_kept() -> bool:
    return reading().is_kept


@pytest.fixture(autouse=True)
def without_samples(settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "REVERIFY_ONE_IN": 0}
    settings.CERAMIC_CACHE_SCORER_ID = 1


@pytest.fixture
def scored(one: Community) -> dict[str, Any]:
    """An address with two stamps, scored once."""
    rows.stamps(OWNER, "Google", "Ens")
    assert not is_kept()
    answer = score()
    assert is_kept()
    return answer


@pytest.mark.parametrize("times_scored", [0, 2], ids=["read anew", "kept"])
def test_stamps_come_in_row_order_and_posted_ones_behind_them(times_scored: int, one: Community) -> None:
    """A sum of floats depends on it in its last digits; where the rows lie does not."""
    from scorer_fast.scoring.payloads import Entry, posted_stamps

    rows.stamps(OWNER, "Google", "Ens", "NFT")
    CeramicCache.objects.filter(provider="Google").update(updated_at=datetime.now(UTC))  # lies behind the others now
    for _ in range(times_scored):
        score()
    stored = list(CeramicCache.objects.order_by("id").values_list("id", flat=True))
    posted = [
        each.stamp for each in posted_stamps([Entry(name, {"proof": {"proofValue": "p"}}) for name in ("B", "A")])
    ]
    row = reading(posted=posted)
    assert row.is_kept is bool(times_scored)
    assert [stamp.key for stamp in row.stamps] == [*stored, -1, -2]


def assert_it_says_what_reading_anew_says() -> ScoringRow:
    kept = reading()
    assert kept.is_kept
    KeptReading.objects.all().delete()
    anew = reading()
    assert not anew.is_kept
    assert anew._replace(is_kept=True, seen=kept.seen) == kept
    return kept


def test_it_says_what_reading_anew_says(scored: dict[str, Any]) -> None:
    assert len(assert_it_says_what_reading_anew_says().stamps) == 2
    assert timeless(score()) == timeless(scored)


@pytest.mark.parametrize(
    ("stored", "are_scored"),
    [((), False), (("Google",), False), (("Google", "Ens"), False), (("Google", "Ens"), True)],
)
def test_a_post_keeps_what_reading_anew_says(stored: tuple[str, ...], are_scored: bool, one: Community) -> None:
    rows.stamps(OWNER, *stored)
    if are_scored:
        score()
    answer = post(OWNER, SOME)
    kept = assert_it_says_what_reading_anew_says()
    assert {stamp.provider for stamp in kept.stamps} == {*stored, *(stamp["provider"] for stamp in SOME)}
    assert all(stamp.remembered for stamp in kept.stamps)
    assert timeless(score()) == timeless(answer["score"])


@pytest.mark.parametrize("credential", [{"issuer": 1e22, "name": [1.0, 1.10, -0.0, 1e-7, "é\u007f\n"], "é": {}}])
def test_a_posted_stamp_is_read_as_it_was_posted(credential: dict[str, Any], one: Community) -> None:
    """Text and digest are those that PostgreSQL gives once it is stored."""
    from scorer_fast.scoring.payloads import Entry, posted_stamps

    (posted,) = posted_stamps([Entry("Odd", {**credential, "proof": {"proofValue": "p"}})])
    CeramicCache.objects.create(address=OWNER, provider="Odd", stamp={**credential, "proof": {"proofValue": "p"}})
    (stored,) = reading(texts=True).stamps
    assert (stored.text, stored.digest) == (posted.stamp.text, posted.stamp.digest)


@pytest.mark.parametrize("operation", ["embed_add_stamps", "cache_add_stamps", "cache_patch_stamps"])
@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 10**400], ids=["63", "64", "-63", "400"])
def test_a_posted_number_beyond_64_bits_is_kept_as_it_is_read(number: int, operation: str, one: Community) -> None:
    subject = {"provider": "Google", "id": number, "nullifiers": [number], "hash": number}
    stamp = {"issuer": number, "credentialSubject": subject, "proof": {"proofValue": "p"}}
    payload = {"scorer_id": 1, "stamps": [stamp]} if operation == "embed_add_stamps" else [subject | {"stamp": stamp}]
    request = good(operation, OWNER).with_(body=payload)
    assert request.send().status_code in (200, 201)
    assert_it_says_what_reading_anew_says()


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
        assert score()["score"] == "1.50000"
    assert [record.message for record in caplog.records] == ["signatures and readings could not be remembered"]
    assert [record.sqlstate for record in caplog.records] == ["23514"]  # type: ignore[attr-defined]
    assert reading().stamps[0].remembered, "the signature is"


def test_it_brings_the_texts_where_they_are_asked_for(scored: dict[str, Any]) -> None:
    texts = {stamp.key: stamp.text for stamp in reading(texts=True).stamps}
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, stamp::text FROM ceramic_cache_ceramiccache")
        assert texts == dict(cursor.fetchall())


# ---- what makes it void


def delete_softly() -> None:
    write_google("deleted_at = now()")


def rewrite_copies() -> None:
    for stamp in list(Stamp.objects.all()):
        stamp.delete()
        Stamp.objects.create(provider=stamp.provider, credential=stamp.credential, passport_id=stamp.passport_id)


def change_a_copy() -> None:
    Stamp.objects.filter(provider="Google").update(credential={})


def rewrite_a_copy() -> None:
    Stamp.objects.filter(provider="Google").update(provider="Google")


def lose_a_copy() -> None:
    Stamp.objects.filter(provider="Google").delete()


def add_a_copy() -> None:
    stamp = Stamp.objects.first()
    Stamp.objects.create(provider="Github", credential=stamp.credential, passport_id=stamp.passport_id)


def a_link() -> Any:
    return HashScorerLink.objects.filter(pk=HashScorerLink.objects.first().pk)


def lose_a_link() -> None:
    a_link().delete()


def give_a_link_away() -> None:
    a_link().update(address=rows.RIVAL)


def let_a_link_expire() -> None:
    a_link().update(expires_at=rows.PAST)


def forget_all_signatures() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE scorer_fast_verifiedcredential")


WRITES = [
    tamper,
    write_back,
    delete_softly,
    revoke,
    rewrite_copies,
    change_a_copy,
    rewrite_a_copy,
    lose_a_copy,
    add_a_copy,
    lose_a_link,
    give_a_link_away,
    let_a_link_expire,
    forget_a_signature,
    forget_all_signatures,
    add_a_stamp,
]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("in_one_transaction", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_any_write_makes_it_void(
    write: Callable[[], None], in_one_transaction: bool, together: bool, scored: dict[str, Any]
) -> None:
    """Also one that leaves ``updated_at`` alone; what is decided then is what is decided with nothing kept."""
    if in_one_transaction:
        with transaction.atomic():
            write()
            assert not is_kept()
            write_back()
            assert not is_kept()
    else:
        write()
    assert not is_kept()

    def score_again() -> dict[str, Any]:
        if together:
            rescore.work(rescore.begin(1, only_changed=False), lambda step: None)
        return timeless(score())

    answer = score_again()
    KeptReading.objects.all().delete()
    assert score_again() == answer


def test_a_tampered_stamp_no_longer_counts(scored: dict[str, Any]) -> None:
    tamper()
    for _ in range(3):
        assert set(score()["stamps"]) == {"Ens"}


def test_another_verifier_or_format_reads_anew(scored: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as another:
        another.setattr(reads, "READER", "2 another\n")
        assert not is_kept()
    monkeypatch.setattr(reads, "VERIFIER", "another\n")
    monkeypatch.setattr(reads, "READER", "1 another\n")
    row = reading()
    assert not row.is_kept
    assert not any(stamp.remembered for stamp in row.stamps)


def test_links_of_others_are_part_of_it(one: Community) -> None:
    """A clash is kept too, and the holder's link is watched."""
    rows.stamps(rows.RIVAL, "Google", nullifiers=["v0.0.0:shared"])
    rows.stamps(OWNER, "Google", nullifiers=["v0.0.0:shared"])
    score(rows.RIVAL)
    for _ in range(2):
        assert score()["stamps"]["Google"]["dedup"]
    assert_it_says_what_reading_anew_says()
    score()
    assert is_kept()
    HashScorerLink.objects.update(expires_at=rows.PAST)
    assert not is_kept()
    assert not score()["stamps"]["Google"]["dedup"]


def test_a_nullifier_that_nobody_held_is_watched(one: Community, settings: Settings) -> None:
    """With one version of nullifiers off, the others have no link; another address may get one."""
    settings.FF_MULTI_NULLIFIER = "off"
    rows.stamps(OWNER, "Google", nullifiers=["v0.0.0:own", "v1.0.0:free"])
    score()
    assert is_kept()
    rows.link("v1.0.0:free", rows.RIVAL)
    assert not is_kept()
    assert_it_says_what_reading_anew_says_after_scoring()


def assert_it_says_what_reading_anew_says_after_scoring() -> None:
    score()
    assert_it_says_what_reading_anew_says()


def test_links_of_another_community_do_not_matter(one: Community, scored: dict[str, Any]) -> None:
    rows.community(one.account, 2)
    rows.link("v0.0.0:elsewhere", OWNER, community_id=2)
    assert is_kept()


def test_nothing_is_kept_of_an_address_with_very_many_links(one: Community) -> None:
    rows.stamps(OWNER, "Google")
    HashScorerLink.objects.bulk_create(
        HashScorerLink(hash=f"v0.0.0:{number}", address=OWNER, expires_at=rows.FAR, community_id=1)
        for number in range(400)
    )
    for _ in range(3):
        score()
        assert not is_kept()


def test_what_another_wrote_between_read_and_write_is_not_kept(one: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder of a clashing link renews it after it was read: what was read of it must not be kept as what is."""
    rows.stamps(OWNER, "Google", nullifiers=["v0.0.0:shared"])
    rows.link("v0.0.0:shared", rows.RIVAL, rows.FAR)
    real = readings.kept_of

    def renewed(*arguments: Any) -> Any:
        HashScorerLink.objects.update(expires_at=rows.FAR + timedelta(days=1))
        return real(*arguments)

    monkeypatch.setattr("scorer_fast.scoring.write.kept_of", renewed)
    score()
    assert not KeptReading.objects.exists()


# ---- time and rules are asked each time


def test_an_expiry_that_passes_is_seen(one: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    rows.stamps(OWNER, "Ens", expires=now + timedelta(days=3))
    rows.stamps(OWNER, "Google", expires=now + timedelta(days=2))
    score()
    for days, counting in ((1, {"Ens", "Google"}), (2, {"Ens"}), (4, set())):
        monkeypatch.setattr(Run, "now", lambda self, days=days: now + timedelta(days=days, seconds=1))
        assert set(score()["stamps"]) == counting


def test_issuers_are_those_of_now(scored: dict[str, Any], settings: Settings) -> None:
    settings.TRUSTED_IAM_ISSUERS = ["did:key:another"]
    assert is_kept()
    assert score()["stamps"] == {}


def test_weights_and_threshold_are_those_of_now(scored: dict[str, Any]) -> None:
    BinaryWeightedScorer.objects.update(weights={"Google": "20.5"}, threshold="7")
    answer = score()
    assert is_kept()
    assert (answer["score"], answer["threshold"], answer["passing_score"]) == ("20.50000", "7.00000", True)


def test_points_are_awarded_on_what_is_kept(settings: Settings) -> None:
    rows.world_of_one(threshold="1", in_program=True)
    rows.points_config()
    rows.stamps(OWNER, "Google", nullifiers=["v0.0.0:a", "v0.0.0:b"])
    score()
    assert is_kept()
    expected = sorted(HumanPoints.objects.values_list("action", "provider", "tx_hash"))
    assert ("HKY", "Google", "v0.0.0:b") in expected
    HumanPoints.objects.all().delete()
    score()
    assert sorted(HumanPoints.objects.values_list("action", "provider", "tx_hash")) == expected


def test_an_unreadable_stamp_is_logged_at_each_scoring(one: Community, caplog: pytest.LogCaptureFixture) -> None:
    rows.stamps(OWNER, "Google", "Ens")
    write_google("stamp = jsonb_set(stamp, '{credentialSubject,nullifiers}', '5')")
    for _ in range(3):
        score()
    assert sum("left out" in record.message for record in caplog.records) == 3


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1e400", "18446744073709551616", "1e308"])
@pytest.mark.parametrize("field", ["hash", "provider", "nullifiers"])
def test_a_number_beyond_a_double_is_one_stamp_left_out(number: str, field: str, one: Community) -> None:
    """One by one, from what is kept, and in bulk."""
    rows.stamps(OWNER, "Google", "Ens")
    write_google(f"stamp = jsonb_set(stamp, '{{credentialSubject,{field}}}', '{number}')")
    for _ in range(2):
        assert set(score()["stamps"]) == {"Ens"}
        assert_it_says_what_reading_anew_says()
        ended = rescore.work(rescore.begin(1, only_changed=False), lambda step: None)
        assert (ended.scored, ended.failed) == (1, 0)


# ---- how long


def test_nothing_is_kept_where_the_setting_says_so(one: Community, settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "KEEP_READINGS_DAYS": 0}
    rows.stamps(OWNER, "Google")
    for _ in range(3):
        score()
    assert not KeptReading.objects.exists()


def test_old_ones_are_pruned_with_the_signatures(scored: dict[str, Any], settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "PRUNE_EVERY_SECONDS": 1}
    KeptReading.objects.update(kept_at=rows.PAST)
    readings._next = 0.0
    score()
    assert not KeptReading.objects.filter(kept_at=rows.PAST).exists()


def test_what_is_kept_in_a_transaction_that_is_rolled_back_is_gone(one: Community) -> None:
    rows.stamps(OWNER, "Google")
    with transaction.atomic():
        score()
        transaction.set_rollback(True)
    assert not KeptReading.objects.exists()
