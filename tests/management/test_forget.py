"""An address is taken out of what this app keeps; others stay, and so do the host's rows."""

from io import StringIO

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.utils import timezone

from api.account.models import Community
from api.ceramic_cache.models import CeramicCache
from scorer_fast.cutover import flags
from scorer_fast.models import KeptReading, Mismatch, MismatchSample, RescoreFailure, RescoreRun, VerifiedCredential
from tests.factories import rows
from tests.factories.requests import good

pytestmark = pytest.mark.django_db(transaction=True)
OWNER, OTHER = rows.OWNER, "0x" + "bc" * 20


def forget(address: str) -> list[str]:
    out = StringIO()
    call_command("scorer_fast", "forget", address, stdout=out)
    return out.getvalue().splitlines()


@pytest.fixture
def both(one: Community) -> None:
    """Two addresses, scored until everything that is kept is kept."""
    for owner in (OWNER, OTHER):
        rows.stamps(owner, "Google", "Github")
        for _ in range(3):
            assert good("internal_score", owner).send().status_code == 200


def by_passport() -> dict[str, set[str]]:
    """Per table of this app that keeps something by passport, whose."""
    from api.registry.models import Passport

    address = dict(Passport.objects.values_list("id", "address"))
    return {
        model.__name__: {address[pk] for pk in model._default_manager.values_list("pk", flat=True)}
        for model in apps.get_app_config("scorer_fast").get_models()
        if model._meta.pk.name == "passport_id"
    }


def test_what_is_kept_of_an_address_goes(both: None) -> None:
    assert by_passport()["KeptReading"] == {OWNER, OTHER}
    signatures = VerifiedCredential.objects.count()
    stamps = CeramicCache.objects.count()
    said = forget("0x" + OWNER[2:].upper())
    assert said[1] == f"{signatures // 2} remembered signatures deleted"
    assert all(OWNER not in whose for whose in by_passport().values())
    assert OTHER in by_passport()["KeptReading"]
    assert VerifiedCredential.objects.count() == signatures // 2 == 2
    assert CeramicCache.objects.count() == stamps
    # The next request finds all it needs, and scores as before.
    assert good("internal_score").send().json()["stamps"].keys() == {"Google", "Github"}
    assert KeptReading.objects.count() == 2


@pytest.mark.parametrize("written", [OWNER, OWNER.upper().replace("0X", "0x"), f"did:pkh:eip155:1:{OWNER}"])
def test_samples_that_name_it_go(written: str, one: Community) -> None:
    now = timezone.now()
    group = Mismatch.objects.create(operation="v2_score", path="score", kind="value", first_seen=now, last_seen=now)
    for place in ("request", "control", "candidate"):
        values = {"request": {}, "control": None, "candidate": None} | {place: {"body": [{"id": written}]}}
        MismatchSample.objects.create(mismatch=group, taken_at=now, **values)
    other = MismatchSample.objects.create(mismatch=group, taken_at=now, request={"path": f"/score/{OTHER}"})
    assert forget(OWNER)[0] == "3 samples of mismatches deleted"
    assert list(MismatchSample.objects.all()) == [other]
    assert Mismatch.objects.count() == 1


def test_failures_of_rescorings_go(one: Community) -> None:
    run = RescoreRun.objects.create(community_id=one.pk, started_at=timezone.now())
    for number, owner in enumerate((OWNER, OTHER)):
        RescoreFailure.objects.create(run=run, passport_id=number, address=owner, error="a weight is no number")
    assert "1 failures of rescorings deleted" in forget(OWNER)
    assert RescoreFailure.objects.get().address == OTHER


def test_it_says_where_the_address_stands_by_decision(one: Community) -> None:
    flags.set_mode("v2_score", "split", percent=5, allow=[OWNER], reason="our own", by="a test")
    said = forget(OWNER)
    assert "It still stands on a list of v2_score: somebody decided so." in said
    assert any("of the log of changes" in line for line in said)
    assert not any("stands" in line for line in forget(OTHER))


@pytest.mark.parametrize("address", ["somebody", "0x12", ""])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(CommandError):
        forget(address)
