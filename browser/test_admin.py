"""What the people who run the service do in the admin, as they do it: with a mouse and a keyboard."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from scorer_fast.cutover.shadow import finding_queries as sql
from scorer_fast.models import FlagLog, KillSwitch, Latch, OperationFlag

pytestmark = pytest.mark.django_db(transaction=True)
NAME, PASSWORD = "operator", "correct horse battery staple"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def admin(page: Page, live_server: Any, django_user_model: Any) -> Page:
    """The admin's first page, signed in."""
    django_user_model.objects.create_superuser(NAME, password=PASSWORD)
    page.goto(f"{live_server.url}/admin/")
    page.get_by_label("Username").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Site administration")).to_be_visible()
    return page


def test_an_operation_is_moved_to_five_percent_and_back(admin: Page, screenshots: Path) -> None:
    admin.get_by_role("link", name="Operation flags", exact=True).click()
    admin.get_by_role("link", name="Add operation flag").click()
    admin.get_by_label("Operation:").select_option("v2_score")
    admin.get_by_label("Mode:").select_option("split")
    admin.get_by_label("Percent:").fill("5")
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.get_by_text("This field is required.")).to_be_visible()  # the reason
    assert not OperationFlag.objects.exists()
    admin.get_by_label("Reason:").fill("begin with one in twenty")
    admin.get_by_role("button", name="Save", exact=True).click()
    admin.locator("#result_list").get_by_role("link", name="v2_score").click()
    expect(admin.get_by_text("begin with one in twenty")).to_be_visible()
    admin.screenshot(path=screenshots / "flag.png", full_page=True)
    admin.get_by_label("Mode:").select_option("legacy")
    admin.get_by_label("Reason:").fill("for the night")
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.locator("#result_list").get_by_role("link", name="v2_score")).to_be_visible()
    lines = FlagLog.objects.order_by("id").values_list("from_value", "to_value", "changed_by", "reason")
    assert list(lines) == [
        ("legacy", "split 5.00 %", NAME, "begin with one in twenty"),
        ("split 5.00 %", "legacy", NAME, "for the night"),
    ]


def test_everything_is_stopped_at_once(admin: Page, screenshots: Path) -> None:
    admin.get_by_role("link", name="Kill switches", exact=True).click()
    admin.get_by_role("link", name="Add kill switch").click()
    admin.get_by_label("Target:").select_option("all")
    admin.get_by_label("Active").check()
    admin.get_by_label("Reason:").fill("smoke")
    admin.screenshot(path=screenshots / "kill.png", full_page=True)
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.locator("#result_list").get_by_role("link", name="all", exact=True)).to_be_visible()
    assert KillSwitch.objects.get().active


def test_a_latch_is_lifted(admin: Page, live_server: Any) -> None:
    latch = Latch.objects.create(
        operation="v2_score", rule="p95", value="80 ms", limit="50 ms", window="600 s", sample=1000, created_at=NOW
    )
    admin.goto(f"{live_server.url}/admin/scorer_fast/latch/{latch.pk}/change/")
    for fact in ("p95", "80 ms", "50 ms", "600 s", "1000"):
        expect(admin.get_by_text(fact, exact=True).first).to_be_visible()
    admin.goto(f"{live_server.url}/admin/scorer_fast/latch/")
    admin.locator("input.action-select").check()
    admin.get_by_label("Action:").select_option(label="Lift (needs a reason)")
    admin.get_by_label("Reason (to lift)").fill("repaired")
    admin.get_by_role("button", name="Go").click()
    expect(admin.get_by_text("Lifted: v2_score")).to_be_visible()
    latch.refresh_from_db()
    assert (latch.lifted_by, latch.lift_reason) == (NAME, "repaired")


def test_a_mismatch_is_looked_at(admin: Page, live_server: Any, screenshots: Path) -> None:
    group = sql.upsert_mismatch("default", sql.GroupKey("v2_score", "mismatch", "body.score", "value", ""), NOW, most=9)
    assert group is not None
    request = {"method": "GET", "path": "/v2/stamps/1/score/0xa1", "headers": {"X-Api-Key": "***"}, "body": None}
    sides = [json.dumps({"status": 200, "body": {"score": score}, "value": score}) for score in ("1", "2")]
    sql.insert_sample("default", group.id, NOW, request=json.dumps(request), control=sides[0], candidate=sides[1])
    admin.goto(f"{live_server.url}/admin/scorer_fast/mismatch/{group.id}/change/")
    expect(admin.get_by_text("body.score").first).to_be_visible()
    expect(admin.get_by_text("curl -X GET").first).to_be_visible()
    expect(admin.get_by_role("button", name="Save", exact=True)).to_have_count(0)
    admin.screenshot(path=screenshots / "mismatch.png", full_page=True)


def test_an_api_key_is_shown_once(admin: Page, django_user_model: Any) -> None:
    from api.account.models import Account, AccountAPIKey

    account = Account.objects.create(user=django_user_model.objects.get(), address="0x" + "a1" * 20)
    admin.get_by_role("link", name="API keys", exact=True).first.click()
    admin.get_by_role("link", name="Add").last.click()
    admin.get_by_label("Name:").fill("a partner")
    admin.get_by_label("Account:").fill(str(account.pk))
    admin.get_by_role("button", name="Save", exact=True).click()
    message = admin.locator(".messagelist").inner_text()
    key = AccountAPIKey.objects.get()
    assert key.prefix + "." in message
    admin.reload()
    expect(admin.get_by_text(f"{key.prefix}.")).to_have_count(0)
