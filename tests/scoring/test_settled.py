"""What came of an address's stamps is taken over while no row, no rule and no expiry says otherwise."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from django.db import connection, transaction
from pytest_django import Settings

from api.account.models import Community
from api.registry.models import HashScorerLink, HumanPoints, Stamp
from api.scorer_weighted.models import BinaryWeightedScorer
from scorer_fast.db.functions import TRIGGERS, create_missing
from scorer_fast.domain.settled import Settled
from scorer_fast.models import Generation, KeptReading, SettledReading, VerifiedCredential
from scorer_fast.scoring import rescore
from scorer_fast.scoring import service as scoring
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
    write_google,
)

pytestmark = pytest.mark.django_db(transaction=True)
POSTED = {"nullifiers": ("v0.0.0:posted",), "hash": None, "expires": "2099-01-01T00:00:00Z"}


def reading(*, in_full: bool = False, verifier: str = VERIFIER, now: datetime | None = None) -> ScoringRow:
    row = read_scoring(
        "default",
        CommunityKey(1, external=False),
        OWNER,
        verifier=verifier,
        rules=scoring.rules().of_settling(),
        now=now or datetime.now(UTC),
        points=True,
        in_full=in_full,
    )
    assert row is not None
    return row


def settled() -> Settled | None:
    return reading().settled


@pytest.fixture
def scored(one: Community, settings: Settings) -> orjson.Fragment:
    """An address with two stamps, scored once."""
    settings.SCORER_FAST = {**settings.SCORER_FAST, "REVERIFY_ONE_IN": 0}
    rows.stamps(OWNER, "Google", "Ens")
    assert settled() is None
    return internal_score(1, OWNER)


def test_it_is_settled_from_the_first_scoring_on(scored: orjson.Fragment) -> None:
    row = reading()
    assert row.settled is not None
    assert [provider for provider, _ in row.settled.counting] == ["Google", "Ens"]
    assert not row.is_in_full
    assert row.stamp_count == 2
    assert (row.stamps, row.links, row.stored_stamps) == ((), {}, ())
    assert without_times(internal_score(1, OWNER)) == without_times(scored)


def test_a_rehearsal_reads_the_rest_too(scored: orjson.Fragment) -> None:
    row = reading(in_full=True)
    assert row.settled is not None
    assert row.is_in_full
    assert len(row.stamps) == len(row.links) == len(row.stored_stamps) == 2


def delete_softly() -> None:
    write_google("deleted_at = now()")


def rewrite_a_copy() -> None:
    Stamp.objects.filter(provider="Google").update(provider="Google")


def lose_a_copy() -> None:
    Stamp.objects.filter(provider="Google").delete()


def add_a_copy() -> None:
    stamp = Stamp.objects.first()
    Stamp.objects.create(provider="Github", credential=stamp.credential, passport_id=stamp.passport_id)


def lose_a_link() -> None:
    HashScorerLink.objects.filter(pk=HashScorerLink.objects.first().pk).delete()


def give_a_link_away() -> None:
    HashScorerLink.objects.filter(pk=HashScorerLink.objects.first().pk).update(address=rows.RIVAL)


def let_a_link_expire() -> None:
    HashScorerLink.objects.filter(pk=HashScorerLink.objects.first().pk).update(expires_at=rows.PAST)


def forget_all_signatures() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE scorer_fast_verifiedcredential")


@pytest.mark.parametrize(
    "write",
    [
        tamper,
        write_back,
        delete_softly,
        revoke,
        rewrite_a_copy,
        lose_a_copy,
        add_a_copy,
        lose_a_link,
        give_a_link_away,
        let_a_link_expire,
        forget_a_signature,
        forget_all_signatures,
        add_a_stamp,
    ],
)
@pytest.mark.parametrize("in_one_transaction", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_any_write_makes_it_void(
    write: Callable[[], None], in_one_transaction: bool, together: bool, scored: orjson.Fragment
) -> None:
    """And what is decided then is what is decided with nothing kept; one by one and in bulk."""
    if in_one_transaction:
        with transaction.atomic():
            write()
            write_back()
    else:
        write()
    assert settled() is None

    def score() -> dict[str, Any]:
        if together:
            rescore.work(rescore.begin(1, only_changed=False), lambda step: None)
        return without_times(internal_score(1, OWNER))

    answer = score()
    KeptReading.objects.all().delete()
    SettledReading.objects.all().delete()
    assert score() == answer


def test_another_verifier_and_other_rules_decide_anew(scored: orjson.Fragment, settings: Settings) -> None:
    assert reading(verifier="another\n").settled is None
    issuers = settings.TRUSTED_IAM_ISSUERS
    settings.TRUSTED_IAM_ISSUERS = [*issuers, "did:key:another"]
    assert settled() is None
    settings.TRUSTED_IAM_ISSUERS = issuers
    assert settled() is not None


def test_it_ends_with_the_first_expiry(one: Community) -> None:
    now = datetime.now(UTC)
    rows.stamps(OWNER, "Ens", expires=now + timedelta(days=3))
    rows.stamps(OWNER, "Google", expires=now + timedelta(days=2))
    internal_score(1, OWNER)
    assert reading(now=now + timedelta(days=1)).settled is not None
    assert reading(now=now + timedelta(days=2, seconds=1)).settled is None


def test_it_does_not_hold_before_an_expiry_that_has_passed(one: Community) -> None:
    now = datetime.now(UTC)
    rows.stamps(OWNER, "Ens", expires=now - timedelta(days=3))
    rows.stamps(OWNER, "Google")
    internal_score(1, OWNER)
    row = reading()
    assert row.settled is not None
    assert row.stamp_count == 2
    assert [provider for provider, _ in row.settled.counting] == ["Google"]
    assert reading(now=now - timedelta(days=4)).settled is None


def test_an_address_without_stamps_is_settled(one: Community) -> None:
    internal_score(1, OWNER)
    answer = internal_score(1, OWNER)
    assert settled() == Settled(0, None, None, [], None)
    assert without_times(internal_score(1, OWNER)) == without_times(answer)


def test_a_clash_is_never_settled(one: Community) -> None:
    rows.stamps(rows.RIVAL, "Google", nullifiers=["v0.0.0:shared"])
    rows.stamps(OWNER, "Google", nullifiers=["v0.0.0:shared"])
    internal_score(1, rows.RIVAL)
    for _ in range(3):
        assert body_of(internal_score(1, OWNER))["stamps"]["Google"]["dedup"]
        assert settled() is None


def test_a_bad_signature_is_never_settled(one: Community) -> None:
    rows.stamps(OWNER, "Google", "Ens")
    tamper()
    for _ in range(3):
        assert set(body_of(internal_score(1, OWNER))["stamps"]) == {"Ens"}
        assert settled() is None


def test_an_unreadable_stamp_is_never_settled(one: Community, caplog: pytest.LogCaptureFixture) -> None:
    """It is to be logged at each scoring."""
    rows.stamps(OWNER, "Google", "Ens")
    write_google("stamp = jsonb_set(stamp, '{credentialSubject,nullifiers}', '5')")
    for _ in range(3):
        internal_score(1, OWNER)
        assert settled() is None
    assert sum("left out" in record.message for record in caplog.records) == 3


def test_too_many_links_are_not_settled(one: Community) -> None:
    rows.stamps(OWNER, "Google")
    HashScorerLink.objects.bulk_create(
        HashScorerLink(hash=f"v0.0.0:{number}", address=OWNER, expires_at=rows.FAR, community_id=1)
        for number in range(400)
    )
    for _ in range(3):
        internal_score(1, OWNER)
        assert settled() is None


def test_links_of_another_community_do_not_matter(one: Community, scored: orjson.Fragment) -> None:
    rows.community(one.account, 2)
    rows.link("v0.0.0:elsewhere", OWNER, community_id=2)
    assert settled() is not None


def test_points_are_awarded_on_what_is_settled(settings: Settings) -> None:
    one = rows.world_of_one(threshold="1", in_program=True)
    rows.points_config()
    rows.stamps(OWNER, "Google", nullifiers=["v0.0.0:a", "v0.0.0:b"])
    internal_score(1, OWNER)
    found = settled()
    assert found is not None
    assert found.marks is not None
    expected = sorted(HumanPoints.objects.values_list("action", "provider", "tx_hash"))
    assert ("HKY", "Google", "v0.0.0:b") in expected
    HumanPoints.objects.all().delete()
    internal_score(1, OWNER)
    assert sorted(HumanPoints.objects.values_list("action", "provider", "tx_hash")) == expected
    assert one.pk == 1


def test_a_community_that_joins_the_program_needs_marks(one: Community, scored: orjson.Fragment) -> None:
    assert settled() is not None
    Community.objects.update(human_points_program=True)
    assert settled() is None
    internal_score(1, OWNER)
    assert settled() is not None


def test_weights_and_threshold_are_those_of_now(scored: orjson.Fragment) -> None:
    BinaryWeightedScorer.objects.update(weights={"Google": "20.5"}, threshold="7")
    answer = body_of(internal_score(1, OWNER))
    assert settled() is not None
    assert (answer["score"], answer["threshold"], answer["passing_score"]) == ("20.50000", "7.00000", True)


def test_only_signatures_that_matter_begin_another_generation(scored: orjson.Fragment) -> None:
    VerifiedCredential.objects.create(digest=b"1" * 32, expires_at=rows.PAST, verified_at=rows.PAST)
    before = list(Generation.objects.values())
    VerifiedCredential.objects.filter(expires_at=rows.PAST).delete()
    assert list(Generation.objects.values()) == before
    assert settled() is not None
    VerifiedCredential.objects.first().delete()
    assert list(Generation.objects.values()) != before


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda trigger: str(trigger.name))
def test_a_trigger_that_is_missing_is_made(trigger: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(trigger.drop)
    assert create_missing("default") == 1
    assert create_missing("default") == 0


def test_nothing_is_kept_where_the_setting_says_so(one: Community, settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "KEEP_READINGS_DAYS": 0}
    rows.stamps(OWNER, "Google")
    for _ in range(3):
        internal_score(1, OWNER)
    assert not SettledReading.objects.exists()


# ---- a posted stamp beyond what is settled


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[ScoringRow]:
    """What the scoring reads from here on came to."""
    found: list[ScoringRow] = []
    read = scoring.read_scoring

    def read_and_keep(*args: Any, **options: Any) -> Any:
        found.append(read(*args, **options))
        return found[-1]

    monkeypatch.setattr(scoring, "read_scoring", read_and_keep)
    return found


def test_a_posted_stamp_alone_is_read(scored: orjson.Fragment, settings: Settings, reads: list[ScoringRow]) -> None:
    settings.CERAMIC_CACHE_SCORER_ID = 1
    answer = post(OWNER, [{**POSTED, "provider": "Github"}])
    assert [(row.is_in_full, len(row.stamps), row.stamp_count) for row in reads] == [(False, 1, 3)]
    assert list(answer["score"]["stamps"]) == ["Google", "Ens", "Github"], "in the order of the rows"
    assert answer["score"]["score"] == "21.12300"
    assert [stamp["provider"] for stamp in answer["stamps"]] == ["Google", "Ens", "Github"]
    assert Stamp.objects.count() == HashScorerLink.objects.count() == 3


def test_where_it_names_a_nullifier_of_the_address_s_own_all_are_read(
    scored: orjson.Fragment, settings: Settings, reads: list[ScoringRow]
) -> None:
    settings.CERAMIC_CACHE_SCORER_ID = 1
    own = HashScorerLink.objects.first()
    answer = post(OWNER, [{**POSTED, "provider": "Github", "nullifiers": (own.hash,)}])
    assert [(row.is_in_full, len(row.stamps)) for row in reads] == [(False, 1), (True, 3)]
    assert set(answer["score"]["stamps"]) == {"Google", "Ens", "Github"}
    assert HashScorerLink.objects.count() == 2


def test_a_posted_stamp_that_replaces_one_reads_all(
    scored: orjson.Fragment, settings: Settings, reads: list[ScoringRow]
) -> None:
    settings.CERAMIC_CACHE_SCORER_ID = 1
    post(OWNER, [{**POSTED, "provider": "Google"}])
    assert [row.is_in_full for row in reads] == [True]
