"""Flags as people change them in the Django admin; findings and verdicts as they are shown there."""

import html
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from pytest_django import Settings

from scorer_fast.cutover import flags, guard_queries
from scorer_fast.cutover.shadow import finding_queries as sql
from scorer_fast.models import FlagLog, GuardVerdict, KillSwitch, Latch, Mismatch, MismatchSample, OperationFlag

from .conftest import OWNER

pytestmark = pytest.mark.django_db
ADMIN = "/admin/scorer_fast"


@pytest.fixture(autouse=True)
def plain_urls(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.cutover.small_host"


def form(**given: str) -> dict[str, str]:
    inline = {"log-TOTAL_FORMS": "0", "log-INITIAL_FORMS": "0"}
    return {"mode": "legacy", "percent": "0", "allow": "", "deny": "", "reason": "a test", **inline, **given}


def log() -> list[tuple[Any, ...]]:
    return list(
        FlagLog.objects.order_by("id").values_list("operation_id", "from_value", "to_value", "changed_by", "reason")
    )


def test_a_flag_is_added_and_changed_with_a_reason(admin_client: Client) -> None:
    added = admin_client.post(
        f"{ADMIN}/operationflag/add/", form(operation="v2_score", mode="split", percent="5", reason="slowly")
    )
    assert added.status_code == 302, added.content
    changed = admin_client.post(
        f"{ADMIN}/operationflag/v2_score/change/",
        form(mode="fast", deny=OWNER.upper().replace("X", "x"), reason="all of it"),
    )
    assert changed.status_code == 302, changed.content
    assert log() == [
        ("v2_score", "legacy", "split 5.00 %", "admin", "slowly"),
        ("v2_score", "split 5.00 %", f"fast; deny {OWNER}", "admin", "all of it"),
    ]
    row = OperationFlag.objects.get()
    assert (row.mode, row.deny, row.updated_by) == ("fast", OWNER, "admin")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reason": ""}, "This field is required"),
        ({"reason": "  "}, "This field is required"),
        ({"percent": "100.01", "mode": "split"}, "0 to 100, at most two decimals"),
        ({"percent": "-1", "mode": "split"}, "0 to 100, at most two decimals"),
        ({"allow": "0x12"}, "is no address"),
        ({"mode": "quick"}, "Select a valid choice"),
        ({"operation": "v3_score"}, "Select a valid choice"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused_in_the_form(
    admin_client: Client, given: dict[str, str], message: str
) -> None:
    answer = admin_client.post(f"{ADMIN}/operationflag/add/", form(**{"operation": "v2_score", **given}))
    assert answer.status_code == 200
    assert message in answer.content.decode()
    assert log() == []
    assert not OperationFlag.objects.exists()


def test_the_page_of_a_flag_shows_its_log_and_lets_nobody_change_it(admin_client: Client) -> None:
    flags.set_mode("v2_score", "fast", None, "because of the load", "ann")
    page = admin_client.get(f"{ADMIN}/operationflag/v2_score/change/").content.decode()
    assert "because of the load" in page
    assert 'name="log-0-reason"' not in page
    assert "deletelink" not in page
    assert admin_client.get(f"{ADMIN}/operationflag/").status_code == 200
    assert admin_client.get(f"{ADMIN}/flaglog/").status_code == 200
    line = FlagLog.objects.get()
    page = admin_client.get(f"{ADMIN}/flaglog/{line.pk}/change/").content.decode()
    assert 'name="_save"' not in page
    for url in (
        f"{ADMIN}/flaglog/add/",
        f"{ADMIN}/flaglog/{line.pk}/delete/",
        f"{ADMIN}/operationflag/v2_score/delete/",
    ):
        assert admin_client.post(url, {"post": "yes"}).status_code == 403
    assert FlagLog.objects.count() == OperationFlag.objects.count() == 1


def test_an_operation_that_has_a_flag_is_not_offered_again(admin_client: Client) -> None:
    flags.set_mode("v2_score", "fast", None, "a test", "ann")
    page = admin_client.get(f"{ADMIN}/operationflag/add/").content.decode()
    assert '<option value="embed_score">' in page
    assert '<option value="v2_score">' not in page


def test_a_kill_switch_is_thrown_and_released_with_a_reason(admin_client: Client) -> None:
    url = f"{ADMIN}/killswitch/"
    assert "required" in admin_client.post(f"{url}add/", {"target": "all", "active": "on"}).content.decode()
    assert not KillSwitch.objects.exists()
    admin_client.post(f"{url}add/", {"target": "all", "active": "on", "reason": "smoke"})
    assert "required" in admin_client.post(f"{url}all/change/", {"reason": ""}).content.decode()
    assert KillSwitch.objects.get().active
    admin_client.post(f"{url}all/change/", {"reason": "it was toast"})
    assert log() == [
        ("all", "released", "killed", "admin", "smoke"),
        ("all", "killed", "released", "admin", "it was toast"),
    ]
    assert admin_client.get(url).status_code == 200


def lift(client: Client, latch: Latch, reason: str) -> str:
    answer = client.post(
        f"{ADMIN}/latch/", {"action": "lift", "_selected_action": [latch.pk], "reason": reason}, follow=True
    )
    return answer.content.decode()


def test_a_latch_is_lifted_with_a_reason_alone(admin_client: Client) -> None:
    flags.latch("v2_score", rule="p95", value="9 ms", limit="5 ms", window="5 min", sample=1000)
    latch = Latch.objects.get()
    page = admin_client.get(f"{ADMIN}/latch/{latch.pk}/change/").content.decode()
    assert 'name="rule"' not in page
    assert "Every change needs a reason" in lift(admin_client, latch, " ")
    latch.refresh_from_db()
    assert latch.lifted_at is None
    assert "Lifted: v2_score" in lift(admin_client, latch, "repaired")
    latch.refresh_from_db()
    assert (latch.lifted_by, latch.lift_reason) == ("admin", "repaired")
    assert log()[-1] == ("v2_score", "latched to legacy by p95", "legacy", "admin", "repaired")


def test_who_may_only_look_changes_nothing(client: Client) -> None:
    viewer = get_user_model().objects.create_user("viewer", password="x", is_staff=True)
    viewer.user_permissions.set(
        Permission.objects.filter(content_type__app_label="scorer_fast", codename__startswith="view_")
    )
    client.force_login(viewer)
    flags.set_mode("v2_score", "fast", None, "a test", "ann")
    flags.latch("v2_score", rule="p95", value="9 ms", limit="5 ms", window="5 min", sample=1000)
    assert client.get(f"{ADMIN}/operationflag/v2_score/change/").status_code == 200
    assert client.post(f"{ADMIN}/operationflag/v2_score/change/", form(mode="legacy")).status_code == 403
    assert client.post(f"{ADMIN}/killswitch/add/", {"target": "all", "reason": "x"}).status_code == 403
    lift(client, Latch.objects.get(), "I may not")
    assert Latch.objects.get().lifted_at is None
    assert OperationFlag.objects.get().mode == "fast"


# ---- what is shown, and changed by nobody

SEEN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def mismatch() -> Mismatch:
    group = sql.upsert_mismatch(
        "default", sql.GroupKey("check_bans", "mismatch", "body[].is_banned", "value", ""), SEEN, most=9
    )
    assert group is not None
    request = {
        "method": "POST",
        "path": "/internal/check-bans",
        "headers": {"Authorization": "<redacted>", "Content-Type": "application/json"},
        "body": [{"credentialSubject": {"hash": "<script>alert(1)</script>"}}],
    }
    sql.insert_sample(
        "default",
        group.id,
        SEEN,
        request=json.dumps(request),
        control=json.dumps({"status": 200, "body": [{"is_banned": True}], "value": True}),
        candidate=json.dumps({"status": 200, "body": [{"is_banned": False}], "value": False}),
    )
    return Mismatch.objects.get()


def test_a_group_of_mismatches_is_shown_with_its_samples(admin_client: Client, mismatch: Mismatch) -> None:
    listed = admin_client.get(f"{ADMIN}/mismatch/?category__exact=mismatch&operation__exact=check_bans&q=banned")
    assert "body[].is_banned" in listed.content.decode()
    page = admin_client.get(f"{ADMIN}/mismatch/{mismatch.pk}/change/").content.decode()
    assert "<script>alert" not in page
    assert 'name="_save"' not in page
    shown = html.unescape(page)
    assert (
        "curl --globoff --path-as-is -X POST http://localhost:8000/internal/check-bans "
        "-H 'Content-Type: application/json' -H 'Authorization: '\"$AUTHORIZATION\" "
        '--data-raw \'[{"credentialSubject": {"hash": "<script>alert(1)</script>"}}]\''
    ) in shown
    assert '"is_banned": true' in shown
    assert '"is_banned": false' in shown


def test_a_verdict_of_the_guard_is_shown(admin_client: Client) -> None:
    rules = [
        {"name": "mismatches", "verdict": "fine", "text": "none of 500 requests differed"},
        {"name": "p95", "verdict": "worse", "text": "p95 15 ms against 10 ms of the host (limit 1 ×)"},
    ]
    guard_queries.upsert_verdict("default", "v2_score", SEEN, "worse", json.dumps(rules))
    guard_queries.upsert_verdict("default", "", SEEN, "fine", "[]")
    listed = html.unescape(admin_client.get(f"{ADMIN}/guardverdict/").content.decode())
    assert "p95: p95 15 ms against 10 ms of the host (limit 1 ×)" in listed
    assert "1 verdict of the guard" in listed
    page = admin_client.get(f"{ADMIN}/guardverdict/v2_score/change/").content.decode()
    assert (
        "mismatches: fine; none of 500 requests differed\np95: worse; p95 15 ms against 10 ms of the host (limit 1 ×)"
    ) in html.unescape(page)
    assert 'name="_save"' not in page


def test_what_was_found_is_changed_by_nobody(admin_client: Client, mismatch: Mismatch) -> None:
    guard_queries.upsert_verdict("default", "v2_score", SEEN, "fine", "[]")
    for page, key in (("mismatch", str(mismatch.pk)), ("guardverdict", "v2_score")):
        for url in (f"{ADMIN}/{page}/add/", f"{ADMIN}/{page}/{key}/change/", f"{ADMIN}/{page}/{key}/delete/"):
            assert admin_client.post(url, {"post": "yes"}).status_code == 403
        assert "delete_selected" not in admin_client.get(f"{ADMIN}/{page}/").content.decode()
    assert (Mismatch.objects.count(), MismatchSample.objects.count(), GuardVerdict.objects.count()) == (1, 1, 1)
