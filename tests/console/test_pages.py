"""The console's pages: what they show, to whom, what an action says before it is taken, and what a page costs."""

import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from pytest_django import Settings

from scorer_fast.cutover import figure_queries, figures, flags, guard_queries, rollout, rollout_queries
from scorer_fast.cutover.figures import Outcome
from scorer_fast.cutover.shadow import finding_queries
from scorer_fast.http.catalogue import OPERATIONS
from scorer_fast.models import FlagLog, KillSwitch, Mismatch, OperationFlag
from tests.cutover.conftest import MIDDLEWARE
from tests.guards.statements import sent

pytestmark = pytest.mark.django_db
CONSOLE = "/admin/scorer_fast/console/"
SCORE = f"{CONSOLE}v2_score/"
WHO = {"reason": "a test", "by": "ann"}


@pytest.fixture(autouse=True)
def behind(settings: Settings) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, MIDDLEWARE]
    settings.ROOT_URLCONF = "tests.cutover.small_host"


def user(*permissions: str) -> Client:
    name = "-".join(permissions) or "nobody"
    person = get_user_model().objects.create_user(name, password="x", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=[f"{one}_console" for one in permissions]))
    client = Client()
    client.force_login(person)
    return client


def text(page: Any) -> str:
    """What a page says, without its tags."""
    content = re.sub(r"<(svg|style|script).*?</\1>", "", page.content.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", content).replace("&#x27;", "'").split())


def measure(operation: str, side: str, milliseconds: float, *, times: int = 100, failed: int = 0) -> None:
    for number in range(times):
        outcome = Outcome.ERROR if number < failed else Outcome.OK
        figures.record(operation, side, milliseconds / 1000, outcome, None)


def log() -> list[tuple[Any, ...]]:
    lines = FlagLog.objects.order_by("id")
    return list(lines.values_list("operation_id", "from_value", "to_value", "changed_by", "reason"))


# ---- what is shown


def test_every_operation_is_shown_with_who_really_answers(admin_client: Client) -> None:
    flags.set_mode("v2_score", "split", 25, **WHO)
    flags.set_mode("check_bans", "fast", **WHO)
    flags.kill("check_bans", reason="smoke", by="ben")
    measure("v2_score", "fast", 9.6, times=25)
    measure("v2_score", "legacy", 160, times=75)
    figures.flush()
    page = admin_client.get(CONSOLE)
    shown = text(page)
    assert all(operation.id in shown for operation in OPERATIONS)
    assert "v2_score split 25 % both 25.0 % 10.0 0.0 % / 0.0 % 9.7 / 170" in shown
    assert "check_bans fast legacy (kill switch)" in shown
    assert "gtc_stake legacy legacy (no flag)" in shown
    assert shown.index("1 thing needs a person") < shown.index("Operation Asked")
    assert "check_bans: killed since" in shown
    assert "by ben: smoke" in shown
    assert page.content.count(b"<svg") >= 2 * len(OPERATIONS)


def test_it_is_linked_from_the_index(admin_client: Client) -> None:
    assert f'href="{CONSOLE}"' in admin_client.get("/admin/").content.decode()


def test_one_operation_in_full(admin_client: Client) -> None:
    flags.set_mode("v2_score", "split", 5, **WHO)
    measure("v2_score", "fast", 9.6, times=25, failed=2)
    measure("v2_score", "legacy", 160)
    figures.count("v2_score", "matched", 50)
    figures.flush()
    rule = {"name": "p95", "verdict": "worse", "text": "p95 160 ms against 9.6 ms (limit 1)", "window": "600 s"}
    rules = json.dumps([{**rule, "value": "1", "limit": "1", "fast_sample": 52, "host_sample": 7, "needs": 0}])
    guard_queries.upsert_verdict("default", "v2_score", datetime.now(UTC), "worse", rules)
    for period in ("1h", "24h", "7d", "nonsense"):
        shown = text(admin_client.get(SCORE, {"period": period}))
    assert "Fast path 25 2 (8.00 %) 9.7 9.7 9.7 Host 100 0 (0.00 %) 170" in shown
    assert "p95 worse p95 160 ms against 9.6 ms (limit 1) 600 s 52 7" in shown
    assert "ok 23 100" in shown
    assert "error 2 0" in shown
    assert "matched 50" in shown
    assert "legacy split 5.00 % ann a test" in shown
    assert admin_client.get(f"{CONSOLE}v3_score/").status_code == 404


def test_an_operation_nobody_has_asked_for_yet(admin_client: Client) -> None:
    shown = text(admin_client.get(f"{CONSOLE}gtc_stake/"))
    assert "Not judged yet." in shown
    assert "Never changed." in shown
    assert "No requests in this period." in shown


NOW = datetime(2026, 6, 1, 3, 12, 7, tzinfo=UTC)


@pytest.fixture
def mismatch() -> Mismatch:
    key = finding_queries.GroupKey("v2_score", "mismatch", "body.score", "value", "")
    group = finding_queries.upsert_mismatch("default", key, NOW, most=9)
    assert group is not None
    request = {"method": "GET", "path": "/v2/stamps/1/score/0xa1", "headers": {"X-Api-Key": "***"}, "body": None}
    sides = [json.dumps({"status": 200, "body": {"score": score}}) for score in ("<script>1", "2")]
    finding_queries.insert_sample(
        "default", group.id, NOW, request=json.dumps(request), control=sides[0], candidate=sides[1]
    )
    return Mismatch.objects.get()


def test_a_sample_shows_both_sides_with_what_differs_marked(admin_client: Client, mismatch: Mismatch) -> None:
    for url in (SCORE, f"/admin/scorer_fast/mismatch/{mismatch.pk}/change/"):
        page = admin_client.get(url).content.decode()
        assert "<script>1" not in page
        marked = re.findall(r'<tr class="differs"><td>(.*?)</td><td>(.*?)</td>', page)
        assert marked == [("  &quot;score&quot;: &quot;&lt;script&gt;1&quot;", "  &quot;score&quot;: &quot;2&quot;")]
        assert "curl --globoff --path-as-is -X GET http://testserver/v2/stamps/1/score/0xa1" in page
        assert "2026-06-01 03:12:07" in page


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_strict_content_security_policy_lets_it_be(admin_client: Client, mismatch: Mismatch) -> None:
    """No inline script or style, nothing from elsewhere."""
    flags.set_mode("v2_score", "split", 5, **WHO)
    measure("v2_score", "fast", 5)
    figures.flush()
    for url in (CONSOLE, SCORE):
        parser = _Tags()
        parser.feed(admin_client.get(url).content.decode())
        for tag, attributes in parser.found:
            assert tag != "style"
            assert tag != "script" or attributes.get("src")
            assert not [name for name in attributes if name == "style" or name.startswith("on")]
            for name in ("src", "href", "action"):
                assert not (attributes.get(name) or "").startswith(("http:", "https:", "//", "data:"))


def test_a_page_costs_a_bounded_number_of_statements(admin_client: Client, mismatch: Mismatch) -> None:
    """Also with seven days of figures of every operation."""
    hours = [NOW.replace(minute=0, second=0) + timedelta(hours=one) for one in range(24 * 7)]
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for operation in OPERATIONS:
        flags.set_mode(operation.id, "split", 5, **WHO)
        figure_queries.add_figures(
            "default",
            [
                figure_queries.FigureRow(operation.id, side, now - (hours[-1] - hour), "ok", bucket, 100, 1, 1)
                for hour in hours
                for side in ("fast", "legacy")
                for bucket in (100, 150, 200)
            ],
        )
    rollout.start("gtc_stake", "25,50", "1h", now=datetime.now(UTC), **WHO)
    admin_client.get(CONSOLE)
    with sent() as overview:
        assert admin_client.get(CONSOLE).status_code == 200
    assert len(overview) <= 14, overview
    with sent() as one:
        assert admin_client.get(SCORE, {"period": "7d"}).status_code == 200
    assert len(one) <= 18, one


def test_lists_are_in_plain_words(admin_client: Client, mismatch: Mismatch) -> None:
    flags.set_mode("v2_score", "fast", **WHO)
    flags.latch("v2_score", rule="p95", value="160 ms", limit="9.6 ms", window="600 s", sample=52)
    flags.lift("v2_score", **WHO)
    rollout.start("gtc_stake", "25,50", "1h", now=NOW, **WHO)
    for name, words in {
        "flaglog": ["legacy", "fast", "ann", "4 changes of flags"],
        "latch": ["v2_score", "160 ms (limit 9.6 ms, 600 s, 52 requests)", "ann"],
        "mismatch": ["body.score", "2026-06-01 03:12:07"],
        "rollout": ["25 (1 of 2)", "widens by itself"],
    }.items():
        shown = text(admin_client.get(f"/admin/scorer_fast/{name}/"))
        assert all(word in shown for word in words), (words, shown)
        assert "By by" not in shown
        assert admin_client.get(f"/admin/scorer_fast/{name}/add/").status_code == 403


# ---- what is done


def ask(client: Client, action: str, operation: str = "v2_score", **given: str) -> Any:
    return client.post(f"{CONSOLE}{operation}/{action}/", {"reason": "because", **given}, follow=True)


def do(client: Client, action: str, operation: str = "v2_score", **given: str) -> str:
    """Confirm an action; what the page says then."""
    return text(ask(client, action, operation, confirmed="1", **given))


def test_a_change_says_what_it_will_do_and_is_made_when_it_is_confirmed(admin_client: Client) -> None:
    measure("v2_score", "legacy", 160, times=8000)
    figures.flush()
    said = text(ask(admin_client, "set", mode="split", percent="5"))
    assert (
        "v2_score goes from legacy to split 5 %. 5 % of addresses go to the fast path, about 40 requests a minute."
        in said
    )
    assert not OperationFlag.objects.exists()
    assert "v2_score: split 5.00 % (was legacy)" in do(admin_client, "set", mode="split", percent="5")
    assert log() == [("v2_score", "legacy", "split 5.00 %", "admin", "because")]
    assert "95 % of addresses go to the fast path" in text(ask(admin_client, "set", mode="fast"))


def test_whoever_goes_back_need_not_empty_the_percentage_that_the_page_filled_in(admin_client: Client) -> None:
    flags.set_mode("v2_score", "split", 5, **WHO)
    page = admin_client.get(SCORE).content.decode()
    filled = {name: "5.00" for name in ("percent", "percent_was") if re.search(rf'name="{name}" value="5.00"', page)}
    assert len(filled) == 2
    assert "goes from split 5 % to legacy. 5 % of addresses go back" in text(
        ask(admin_client, "set", mode="legacy", **filled)
    )
    assert "v2_score: legacy (was split 5.00 %)" in do(admin_client, "set", mode="legacy", **filled)


def test_what_moves_is_told_from_who_answers_now(admin_client: Client) -> None:
    measure("v2_score", "legacy", 160, times=20)
    figures.flush()
    flags.set_mode("v2_score", "split", 50, **WHO)
    flags.latch("v2_score", rule="p95", value="160 ms", limit="9.6 ms", window="600 s", sample=52)
    back = "v2_score goes back to split 50 %. 50 % of addresses go to the fast path, about 1 request a minute."
    assert back in text(ask(admin_client, "lift"))
    assert "No address changes sides now: the host answers all the same (latch)." in text(
        ask(admin_client, "set", mode="fast")
    )
    flags.kill("all", **WHO)
    assert "The host still answers v2_score: kill switch." in text(ask(admin_client, "lift"))
    assert "The host still answers v2_score: latch." in text(ask(admin_client, "release", scope="all"))
    flags.lift("v2_score", **WHO)
    assert back in text(ask(admin_client, "release", scope="all"))


def test_a_release_says_what_is_killed_still(admin_client: Client) -> None:
    flags.kill("all", **WHO)
    assert '<option value="all" selected>' in admin_client.get(SCORE).content.decode()
    assert "it stays killed by the switch of every operation" in text(ask(admin_client, "release", scope="operation"))
    assert "v2_score: was released already; still killed: all" in do(admin_client, "release", scope="operation")
    shown = text(admin_client.get(CONSOLE))
    assert "Killed: all since" in shown
    assert "(holds nothing back now: the flags say legacy)" in shown


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"mode": "fast", "percent": "5"}, "Mode fast takes no percentage. For 5 % of addresses choose split."),
        ({"mode": "split"}, "Mode split needs a percentage"),
        ({"mode": "split", "percent": "101"}, "less than or equal to 100"),
        ({"mode": "split", "percent": "5", "allow": "0x12"}, "'0x12' is no address"),
        ({"mode": "quick"}, "not one of the available choices"),
        ({"mode": "fast", "reason": "  "}, "This field is required"),
    ],
)
def test_what_cannot_be_set_is_said(admin_client: Client, given: dict[str, str], problem: str) -> None:
    for confirmed in ({}, {"confirmed": "1"}):
        assert problem in text(ask(admin_client, "set", **given, **confirmed))
    assert log() == []


def test_an_operation_its_group_and_everything_are_killed_and_released(admin_client: Client) -> None:
    assert "The host answers v2_score, internal_score within about a second" in text(
        ask(admin_client, "kill", scope="group")
    )
    assert not KillSwitch.objects.exists()
    assert "v2_score, internal_score: killed" in do(admin_client, "kill", scope="group")
    assert "v2_score: was killed already" in do(admin_client, "kill", scope="operation")
    assert "all: killed" in do(admin_client, "kill", "gtc_stake", scope="all")
    assert "v2_score: released" in do(admin_client, "release", scope="operation")
    assert "all: released" in do(admin_client, "release", scope="all")
    assert [row.target for row in KillSwitch.objects.filter(active=True)] == ["internal_score"]


def test_a_latch_is_lifted_once(admin_client: Client) -> None:
    flags.set_mode("v2_score", "split", 5, **WHO)
    flags.latch("v2_score", rule="p95", value="160 ms", limit="9.6 ms", window="600 s", sample=52)
    assert "Lift the latch" in text(admin_client.get(SCORE))
    assert "v2_score: lifted (was latched by p95)" in do(admin_client, "lift")
    assert "v2_score is not latched" in do(admin_client, "lift")
    assert "Lift the latch" not in text(admin_client.get(SCORE))


def test_a_rollout_is_started_paused_resumed_and_aborted(admin_client: Client) -> None:
    given = {"scope": "group", "steps": "shadow,5,25", "hold": "1h"}
    assert "v2_score, internal_score go to shadow now, then on without anybody: shadow, 5 %, 25 %. Each" in text(
        ask(admin_client, "rollout-start", **given)
    )
    measure("v2_score", "legacy", 160, times=8000)
    figures.flush()
    said = do(admin_client, "rollout-start", **given)
    assert "running, step 1 of 3 (shadow)" in said
    assert "The next step, 5 %: 5 % of addresses go to the fast path, about 40 requests a minute." in said
    assert "paused" in do(admin_client, "rollout-pause")
    assert "running" in do(admin_client, "rollout-resume")
    assert "aborted" in do(admin_client, "rollout-abort")
    assert "No rollout of v2_score is under way" in do(admin_client, "rollout-abort")
    assert rollout_queries.list_rollouts("default")[0].state == "aborted"
    assert "Each step must be wider" in do(admin_client, "rollout-start", **{**given, "steps": "5,5"})
    assert "is no time" in do(admin_client, "rollout-start", **{**given, "hold": "soon"})


def test_nothing_is_done_by_looking(admin_client: Client) -> None:
    assert admin_client.get(f"{SCORE}kill/").status_code == 302
    assert admin_client.post(f"{SCORE}destroy/", {"reason": "x"}).status_code == 404
    assert log() == []


# ---- who may


def test_viewing_changing_and_killing_are_three_permissions() -> None:
    nobody, viewer, changer, killer = user(), user("view"), user("view", "change"), user("view", "kill")
    assert nobody.get(CONSOLE).status_code == nobody.get(SCORE).status_code == 403
    offered = {
        client: re.findall(r"<summary>(.*?)</summary>", client.get(SCORE).content.decode())
        for client in (viewer, changer, killer)
    }
    assert list(offered.values()) == [[], ["Set the mode", "Start a rollout"], ["Kill"]]
    change, kill = {"mode": "fast", "confirmed": "1"}, {"scope": "operation", "confirmed": "1"}
    assert [ask(client, "set", **change).status_code for client in (nobody, viewer, killer)] == [403] * 3
    assert [ask(client, "kill", **kill).status_code for client in (nobody, viewer, changer)] == [403] * 3
    assert log() == []
    ask(changer, "set", **change)
    ask(killer, "kill", **kill)
    assert [(line[2], line[3]) for line in log()] == [("fast", "view-change"), ("killed", "view-kill")]
    assert f'href="{CONSOLE}"' in viewer.get("/admin/").content.decode()
    assert Client().get(CONSOLE).status_code == 302  # to the login
