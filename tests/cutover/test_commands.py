"""``manage.py scorer_fast``: status, set, kill, lift."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection
from pytest_django import Settings

from scorer_fast.cutover import figures, flags, guard_queries
from scorer_fast.cutover import flag_queries as sql
from scorer_fast.cutover.flags import Mode
from scorer_fast.http.catalogue import BY_ID
from scorer_fast.management.commands.scorer_fast import subcommands
from scorer_fast.models import FlagLog, KillSwitch, OperationFlag

from .conftest import MIDDLEWARE, OWNER

pytestmark = pytest.mark.django_db
WHY = "--reason=a test"


@pytest.fixture(autouse=True)
def behind(settings: Settings) -> None:
    """This app stands in front of a host."""
    settings.MIDDLEWARE = [MIDDLEWARE]


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("scorer_fast", *arguments, stdout=out)
    return out.getvalue()


def status() -> dict[str, Any]:
    return json.loads(run("status", "--json"))


def operation(name: str) -> dict[str, Any]:
    return next(one for one in status()["operations"] if one["operation"] == name)


def modes() -> dict[str, tuple[str, str]]:
    return {row.operation: (row.mode, str(row.percent)) for row in OperationFlag.objects.all()}


def test_every_subcommand_has_what_the_command_asks_of_it() -> None:
    found = subcommands()
    assert {"status", "set", "kill", "lift"} <= set(found)
    for module in found.values():
        assert module.HELP
        assert callable(module.add_arguments)
        assert callable(module.run)


def test_set_one_operation() -> None:
    assert run("set", "v2_score", "split", "--percent=5", WHY, "--by=ann") == ("v2_score: split 5.00 % (was legacy)\n")
    assert modes() == {"v2_score": ("split", "5.00")}
    (line,) = FlagLog.objects.all()
    assert (line.changed_by, line.reason) == ("ann", "a test")


def test_set_keeps_the_percentage_of_a_split_that_stays_one() -> None:
    run("set", "v2_score", "split", "--percent", "12.5", WHY)
    assert run("set", "v2_score", "split", WHY) == "v2_score: split 12.50 % (as before)\n"


def test_set_a_group_and_all() -> None:
    run("set", "score", "shadow", WHY)
    assert set(modes()) == {"v2_score", "internal_score"}
    run("set", "all", "fast", WHY)
    assert modes() == dict.fromkeys(BY_ID, ("fast", "0.00"))


def test_set_edits_the_lists() -> None:
    other = "0x" + "b2" * 20
    run("set", "v2_score", "split", "--percent=0", "--allow", OWNER.upper().replace("X", "x"), other, WHY)
    assert operation("v2_score")["allow"] == [OWNER, other]
    run("set", "v2_score", "fast", "--deny", OWNER, WHY)
    run("set", "v2_score", "fast", "--unlist", other, WHY)
    assert (operation("v2_score")["allow"], operation("v2_score")["deny"]) == ([OWNER], [OWNER])


def test_all_or_nothing_of_a_group_is_set() -> None:
    with pytest.raises(CommandError, match="'0x12' is no address"):
        run("set", "score", "fast", "--allow", "0x12", WHY)
    assert modes() == {}


def test_set_says_what_still_holds_the_operation_back() -> None:
    flags.latch("v2_score", rule="p95", value="9 ms", limit="5 ms", window="5 min", sample=1000)
    flags.kill("all", reason="a test", by="test")
    said = run("set", "v2_score", "fast", WHY)
    assert "latched by p95" in said
    assert "scorer_fast lift v2_score --reason" in said
    assert "scorer_fast kill --release" in said


def test_set_says_that_it_has_paused_a_rollout() -> None:
    call_command("scorer_fast", "rollout", "start", "v2_score", WHY, stdout=StringIO())
    said = run("set", "score", "split", "--percent=5", WHY)
    assert "Rollout 1 of v2_score is paused." in re.sub(r"Rollout \d+", "Rollout 1", said)
    assert "scorer_fast rollout abort" in said
    assert "Rollout" not in run("set", "check_bans", "shadow", WHY)


def test_kill_and_release() -> None:
    assert run("kill", WHY) == "all: killed\n"
    assert run("kill", "all", WHY) == "all: was killed already\n"
    assert {one["answers"] for one in status()["operations"]} == {"legacy"}
    assert run("kill", "score", WHY) == "v2_score: killed\ninternal_score: killed\n"
    assert run("kill", "--release", WHY) == "all: released\nstill killed: internal_score, v2_score\n"
    run("kill", "score", "--release", WHY)
    assert not KillSwitch.objects.filter(active=True).exists()
    assert run("kill", "--release", WHY) == "all: was released already\n"


def test_release_says_what_else_kills(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setenv("SCORER_FAST_KILL", "1")
    settings.SCORER_FAST = {"KILL": ["v2_score"]}
    run("kill", WHY)
    assert run("kill", "--release", WHY).endswith(
        'still killed by: SCORER_FAST_KILL of this process, SCORER_FAST["KILL"]\n'
    )


def test_lift() -> None:
    flags.latch("v2_score", rule="errors", value="1 %", limit="0.1 %", window="5 min", sample=1000)
    assert operation("v2_score")["stopped_by"] == ["latch"]
    assert run("lift", "v2_score", WHY) == "v2_score: lifted (was latched by errors)\n"
    assert operation("v2_score")["stopped_by"] == []
    with pytest.raises(CommandError, match="v2_score is not latched"):
        run("lift", "v2_score", WHY)


@pytest.mark.parametrize(
    "arguments",
    [
        ("set", "v2_score", "fast"),
        ("kill",),
        ("kill", "--release"),
        ("kill", "v2_score"),
        ("lift", "v2_score"),
    ],
)
@pytest.mark.parametrize("reason", [(), ("--reason", "  ")])
def test_every_change_wants_a_reason(arguments: tuple[str, ...], reason: tuple[str, ...]) -> None:
    flags.latch("v2_score", rule="errors", value="1 %", limit="0.1 %", window="5 min", sample=1000)
    before = FlagLog.objects.count()
    with pytest.raises(CommandError, match="Every change needs a reason"):
        run(*arguments, *reason)
    assert FlagLog.objects.count() == before


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("set", "somebody", "fast"), "Operations: v2_score, .* Groups: cache, .* Or: all"),
        (("set", "v2_score", "quick"), "Choose one of: legacy, shadow, split, fast"),
        (("set", "v2_score", "split"), "Mode split needs a percentage: 0 to 100"),
        (("set", "v2_score", "split", "--percent=120"), "0 to 100, at most two decimals"),
        (("set", "v2_score", "fast", "--percent=50"), "takes no percentage.*set v2_score split --percent 50"),
        (("set", "v2_score", "shadow", "--percent=0"), "Mode shadow takes no percentage"),
        (("set", "v2_scores", "fast"), "Did you mean v2_score"),
        (("kill", "cach"), "Did you mean cache"),
        (("status", "chek_bans"), "Did you mean check_bans"),
        (("mismatches", "--operation=v3_score"), "Did you mean v2_score"),
        (("kill", "nobody"), "Groups: cache, .* Or: all"),
        (("lift", "nobody"), "Operations: v2_score"),
    ],
)
def test_what_is_wrong_comes_with_its_remedy(arguments: tuple[str, ...], remedy: str) -> None:
    with pytest.raises(CommandError, match=remedy):
        run(*arguments, *([] if arguments[0] in ("status", "mismatches") else [WHY]))


def test_the_hint_names_the_switch_that_holds() -> None:
    run("kill", "v2_score", WHY)
    assert "To release: scorer_fast kill v2_score --release --reason" in run("set", "v2_score", "shadow", WHY)


def test_a_group_is_lifted() -> None:
    for name in ("v2_score", "internal_score"):
        flags.latch(name, rule="errors", value="1 %", limit="0.1 %", window="5 min", sample=1000)
    assert run("lift", "score", WHY) == (
        "v2_score: lifted (was latched by errors)\ninternal_score: lifted (was latched by errors)\n"
    )
    with pytest.raises(CommandError, match="Nothing of score is latched"):
        run("lift", "score", WHY)


def test_going_to_fast_without_a_baseline_is_told() -> None:
    said = run("set", "v2_score", "fast", WHY)
    assert "v2_score: the guard has no baseline: 0 requests of the host are known" in said
    assert "scorer_fast set v2_score shadow" in said
    for _ in range(200):
        figures.record("v2_score", "legacy", 0.1, figures.Outcome.OK)
    figures.flush()
    assert "baseline" not in run("set", "v2_score", "fast", WHY)
    assert "baseline" not in run("set", "check_bans", "split", "--percent=5", WHY)


def test_nothing_is_said_into_a_closed_pipe() -> None:
    """`| head -1` has seen enough: no traceback."""
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} manage.py scorer_fast mismatches --rules | head -c 1"],
        capture_output=True,
        text=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "settings.test"},
        check=False,
    )
    assert ended.stderr == ""
    assert len(ended.stdout) == 1


def test_without_its_tables_it_says_to_migrate() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE scorer_fast_killswitch RENAME TO elsewhere")
    with pytest.raises(CommandError, match=r"manage\.py migrate scorer_fast"):
        run("kill", WHY)


def test_without_its_database_it_names_the_switch_that_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(alias: str) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(sql, "list_flags", lost)
    with pytest.raises(CommandError, match=f"'{DEFAULT_DB_ALIAS}' cannot be reached .* set SCORER_FAST_KILL=1"):
        run("status")


def test_status_shows_every_operation_and_what_overrides_it(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.SCORER_FAST = {"KILL": ["gtc_stake"], "MODES": {"allow_list": "fast"}}
    monkeypatch.setenv("SCORER_FAST_KILL", "cgrants")
    run("set", "all", "fast", WHY, "--by=ann")
    OperationFlag.objects.filter(operation="allow_list").delete()
    run("set", "embed_score", "split", "--percent=2.5", WHY)
    run("set", "embed_weights", "shadow", WHY)
    run("set", "check_bans", "legacy", WHY)
    run("kill", "v2_score", "--reason=bad", "--by=ben")
    flags.latch("internal_score", rule="errors", value="1 %", limit="0.1 %", window="5 min", sample=1000)
    shown = {one["operation"]: (one["mode"], one["answers"], one["stopped_by"]) for one in status()["operations"]}
    assert list(shown) == list(BY_ID)
    assert shown["embed_score"] == ("split", "both", [])
    assert shown["embed_weights"] == ("shadow", "legacy", [])
    assert shown["check_bans"] == ("legacy", "legacy", [])
    assert shown["allow_list"] == ("fast", "fast", [])
    assert shown["v2_score"] == ("fast", "legacy", ["kill switch"])
    assert shown["internal_score"] == ("fast", "legacy", ["latch"])
    assert shown["gtc_stake"] == ("fast", "legacy", ['setting SCORER_FAST["KILL"]'])
    assert shown["contributor_statistics"] == ("fast", "legacy", ["environment variable SCORER_FAST_KILL"])
    assert operation("embed_score")["percent"] == "2.50"
    (switch,) = status()["kill_switches"]
    assert (switch["target"], switch["by"], switch["reason"]) == ("v2_score", "ben", "bad")
    (latch,) = status()["latches"]
    assert (latch["operation"], latch["rule"], latch["sample"]) == ("internal_score", "errors", 1000)
    text = run("status")
    assert all(name in text for name in BY_ID)
    assert "split 2.5 %" in text
    assert "by ben: bad" in text
    assert "by errors: 1 %, limit 0.1 %, window 5 min, sample 1000" in " ".join(text.split())


def test_status_shows_the_guards_last_verdict() -> None:
    run("set", "v2_score", "fast", WHY)
    run("set", "embed_score", "split", "--percent=50", WHY)
    rule = {"name": "p95_ratio", "value": "1.500 of the host's p95", "limit": "1 of the host's p95"}
    seen = {"verdict": "worse", "window": "600 s", "sample": 900}
    at = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    guard_queries.upsert_verdict("default", "v2_score", at, "worse", json.dumps([{**rule, **seen}]))
    guard_queries.upsert_verdict("default", "embed_score", at, "fine", "[]")
    guard_queries.upsert_verdict("default", "", at, "fine", "[]")
    assert operation("v2_score")["guard"] == {
        "verdict": "worse",
        "judged_at": "2026-11-22T12:00:00+00:00",
        "rules": [{**rule, **seen}],
    }
    assert operation("embed_score")["guard"] == {
        "verdict": "fine",
        "judged_at": "2026-11-22T12:00:00+00:00",
        "rules": [],
    }
    assert operation("check_bans")["guard"] is None
    assert "! the guard says worse: p95_ratio 1.500 of the host's p95, limit 1 of the host's p95" in run("status")
    assert "guard: fine at 2026-11-22 12:00:00" in run("status", "embed_score")
    assert "guard: " not in run("status", "check_bans")


def test_the_modes_of_the_help_are_the_modes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("scorer_fast", "set", "--help")
    said = capsys.readouterr().out
    assert all(mode in said for mode in Mode.values)
