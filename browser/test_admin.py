"""What the people who run the service do in the admin, as they do it: with a mouse and a keyboard."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings

from scorer_fast.cutover import figure_queries, figures, flags, guard_queries, rollout
from scorer_fast.cutover.shadow import finding_queries
from scorer_fast.http.catalogue import OPERATIONS
from scorer_fast.models import FlagLog, KillSwitch

pytestmark = pytest.mark.django_db(transaction=True)
NAME, PASSWORD = "operator", "correct horse battery staple"
WHO = {"reason": "a test", "by": "ann"}
WIDTHS = {"wide": 1440, "narrow": 390}
# Pixels of the narrowest cell that has a word in it.
NARROWEST = """Math.min(1000, ...[...document.querySelectorAll("table.plain td, table.plain th")]
    .filter(each => each.clientWidth && each.innerText.length > 4).map(each => each.clientWidth))"""


@pytest.fixture(autouse=True)
def behind(settings: Settings) -> None:
    """In front of a host, and every page under a strict policy: nothing inline, nothing from elsewhere."""
    settings.MIDDLEWARE = [
        "browser.strict.StrictPolicy",
        *settings.MIDDLEWARE,
        "scorer_fast.cutover.middleware.ScorerFastMiddleware",
    ]


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


@pytest.fixture
def traffic() -> None:
    """An hour of figures of both sides of every operation, and things that happened."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    rows = []
    for number, operation in enumerate(OPERATIONS):
        for back in range(60):
            wave = 1 + 0.4 * math.sin(back / 6 + number)
            rows += [
                figure_queries.FigureRow(
                    operation.id, side, now - timedelta(minutes=back), outcome,
                    figures.bucket(seconds * wave * (1 + spread / 2)), count, count, 7,
                )
                for side, seconds, outcome, count in (
                    ("fast", 0.006, "ok", 20), ("legacy", 0.16, "ok", 60), ("legacy", 0.2, "error", 1)
                )
                for spread in range(4)
            ]  # fmt: skip
    figure_queries.add_figures("default", rows)
    for operation in OPERATIONS[:12]:
        flags.set_mode(operation.id, "split", 25, **WHO)
    flags.set_mode("cache_weights", "fast", **WHO)
    flags.set_mode("check_bans", "shadow", **WHO)
    flags.kill("embed_weights", reason="weights look odd since the deploy", by="ben")
    flags.latch("cache_add_stamps", rule="p95", value="160 ms", limit="9.6 ms", window="600 s", sample=520)
    rollout.start("stake", "shadow,1,5,25,50,100", "1h", now=datetime.now(UTC), **WHO)
    for outcome, amount in {"matched": 990, "mismatched": 10, "deliberate": 12, "queue_full": 3}.items():
        figures.count("v2_score", outcome, amount)
    figures.count("embed_score", "circuit_open", 940)
    figures.count("embed_score", "circuit_opened", 14)
    figures.flush()
    rules = [
        {
            "name": "mismatches",
            "verdict": "fine",
            "text": "none of 990 requests differed",
            "fast_sample": 990,
        },
        {
            "name": "p95",
            "verdict": "worse",
            "text": "p95 160 ms against 9.6 ms (limit 1)",
            "fast_sample": 520,
        },
    ]
    rules = [{"window": "600 s", "value": "1", "limit": "1", "host_sample": 900, "needs": 0, **rule} for rule in rules]
    guard_queries.upsert_verdict("default", "v2_score", now, "worse", json.dumps(rules))
    key = finding_queries.GroupKey("v2_score", "mismatch", "body.stamps.*.score", "value", "")
    group = finding_queries.upsert_mismatch("default", key, now, most=9)
    assert group is not None
    request = {"method": "GET", "path": "/v2/stamps/1/score/0xa1", "headers": {"X-Api-Key": "***"}, "body": None}
    stamps = {f"Provider{number:02}": {"score": "1.00000", "dedup": False} for number in range(40)}
    sides = [json.dumps({"status": 200, "body": {"score": score, "stamps": stamps}}) for score in ("1", "2")]
    finding_queries.insert_sample(
        "default", group.id, now, request=json.dumps(request), control=sides[0], candidate=sides[1]
    )


@pytest.fixture
def pictures(admin: Page, screenshots: Path) -> Callable[[str], None]:
    """Takes a page at both widths, light and dark; nothing may stick out sideways."""

    def take(name: str) -> None:
        for width_name, width in WIDTHS.items():
            admin.set_viewport_size({"width": width, "height": 900})
            for scheme in ("light", "dark"):
                admin.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                sticks_out = admin.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                assert sticks_out <= 0, f"{name} is {sticks_out} px too wide at {width}"
                assert admin.evaluate(NARROWEST) >= 30, f"{name} breaks words into letters at {width}"
                admin.screenshot(path=screenshots / f"{name}-{width_name}-{scheme}.png", full_page=True)
        admin.set_viewport_size({"width": 1440, "height": 900})
        admin.emulate_media(color_scheme="light")

    return take


def open_console(admin: Page, operation: str = "") -> None:
    admin.get_by_role("link", name="Console: who answers what").first.click()
    expect(admin.get_by_role("heading", name="Console")).to_be_visible()
    if operation:
        admin.locator("table.operations").get_by_role("link", name=operation, exact=True).click()
        expect(admin.get_by_role("heading", name=operation, exact=True)).to_be_visible()


def act(admin: Page, summary: str, **fields: str) -> None:
    """Open an action, fill it in, read what it will do, and confirm it."""
    admin.locator(".actions summary", has_text=summary).click()
    box = admin.locator(".actions details[open]")
    for name, value in {"reason": "as agreed", **fields}.items():
        field = box.locator(f"[name={name}]")
        if field.evaluate("each => each.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    box.get_by_role("button", name=summary).click()
    expect(admin.locator(".will")).to_be_visible()
    admin.get_by_role("button", name=summary).click()
    expect(admin.locator(".messagelist .success")).to_be_visible()


def test_the_overview_says_what_happens(admin: Page, traffic: None, pictures: Callable[[str], None]) -> None:
    open_console(admin)
    needs = admin.get_by_label("What needs a person")
    expect(needs).to_contain_text("embed_score: circuit open")
    expect(needs).to_contain_text("cache_add_stamps: latched by p95: 160 ms, limit 9.6 ms")
    expect(needs).to_contain_text("embed_weights: killed since")
    expect(admin.locator("table.operations tbody tr:not(.group)")).to_have_count(len(OPERATIONS))
    pictures("overview")


def test_one_operation_in_full(admin: Page, traffic: None, pictures: Callable[[str], None]) -> None:
    open_console(admin, "v2_score")
    expect(admin.locator("figure svg")).to_have_count(3)
    admin.locator("details.difference summary").click()
    sample = admin.locator(".sample .sides").bounding_box()
    assert sample is not None
    assert sample["height"] <= 900 * 0.6
    pictures("operation")
    for period in ("24 h", "7 d", "1 h"):
        admin.get_by_role("navigation", name="Period").get_by_role("link", name=period).click()
        expect(admin.locator("[aria-current=true]")).to_have_text(period)


def test_a_page_is_read_without_scripts(admin: Page, traffic: None, live_server: Any, chromium: Any) -> None:
    context = chromium.new_context(java_script_enabled=False, storage_state=admin.context.storage_state())
    plain = context.new_page()
    plain.goto(f"{live_server.url}/admin/scorer_fast/console/v2_score/")
    plain.locator("details.difference summary").click()
    expect(plain.get_by_text("curl --globoff").first).to_be_visible()
    context.close()


def test_an_operation_is_moved_and_back(admin: Page, traffic: None, pictures: Callable[[str], None]) -> None:
    open_console(admin, "gtc_stake")
    act(admin, "Abort the rollout")
    act(admin, "Set the mode", mode="split", percent="5")
    expect(admin.locator(".facts")).to_contain_text("split 5 %")
    admin.locator(".actions summary", has_text="Set the mode").click()
    box = admin.locator(".actions details[open]")
    box.locator("[name=percent]").fill("50")
    box.locator("[name=reason]").fill("wider")
    box.get_by_role("button").click()
    expect(admin.locator(".will")).to_contain_text("45 % of addresses go to the fast path, about")
    pictures("confirm")
    admin.get_by_role("link", name="No, go back").click()
    act(admin, "Set the mode", mode="legacy", percent="")
    lines = FlagLog.objects.filter(operation="gtc_stake").order_by("id").values_list("to_value", "changed_by")
    assert list(lines)[-2:] == [("split 5.00 %", NAME), ("legacy", NAME)]


def test_everything_is_stopped_at_once_and_released(admin: Page) -> None:
    open_console(admin, "v2_score")
    act(admin, "Kill", scope="all", reason="smoke")
    assert KillSwitch.objects.get().target == "all"
    act(admin, "Release the kill switch", scope="all")
    assert not KillSwitch.objects.get().active


def test_a_latch_is_lifted(admin: Page, traffic: None) -> None:
    open_console(admin, "cache_add_stamps")
    act(admin, "Lift the latch", reason="repaired")
    expect(admin.locator(".facts")).to_contain_text("both")


def test_a_rollout_from_start_to_end(admin: Page) -> None:
    open_console(admin, "check_bans")
    act(admin, "Start a rollout", scope="operation", steps="shadow,5,25", hold="10m")
    expect(admin.get_by_text("running, step 1 of 3 (shadow)").first).to_be_visible()
    act(admin, "Pause the rollout")
    act(admin, "Resume the rollout")
    act(admin, "Abort the rollout")
    expect(admin.locator(".facts")).to_contain_text("legacy")


@pytest.mark.parametrize("name", ["flaglog", "latch", "mismatch", "rollout"])
def test_no_column_of_a_list_is_cut_off(
    admin: Page, traffic: None, live_server: Any, name: str, screenshots: Path
) -> None:
    admin.set_viewport_size({"width": 1440, "height": 900})
    admin.goto(f"{live_server.url}/admin/scorer_fast/{name}/")
    table = admin.locator("#result_list")
    hidden = table.evaluate("each => each.parentElement.scrollWidth - each.parentElement.clientWidth")
    assert hidden <= 0
    admin.screenshot(path=screenshots / f"list-{name}.png", full_page=True)
    if not table.locator("tbody a").count():
        return
    table.locator("tbody a").first.click()
    expect(admin.locator("#content h1")).to_be_visible()
    for width_name, width in WIDTHS.items():
        admin.set_viewport_size({"width": width, "height": 900})
        assert admin.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        admin.screenshot(path=screenshots / f"item-{name}-{width_name}.png", full_page=True)


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
