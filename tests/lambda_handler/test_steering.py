"""This app's commands from events, where there is no shell."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from scorer_fast import lambda_handler
from scorer_fast.cutover import figures, flags
from scorer_fast.cutover.figures import Outcome
from scorer_fast.models import FlagLog, GuardEvidence, HistogramBucket, Latch, VerifiedCredential
from scorer_fast.scoring import rescore
from tests.lambda_handler.conftest import OWNER, fill
from tests.lambda_handler.events import Context, event

ARN = Context.invoked_function_arn


def manage(command: Any, reason: str = "", context: Any = None, **more: Any) -> dict[str, Any]:
    sent = {"command": command, **({"reason": reason} if reason else {}), **more}
    answer = lambda_handler.manage(sent, context or Context())
    return json.loads(json.dumps(answer))  # as Lambda hands it to who invoked it


pytestmark = pytest.mark.django_db(transaction=True)


def test_set_kill_lift_and_what_status_says_of_it() -> None:
    answer = manage("set v2_score split --percent 5", "the first addresses")
    assert (answer["ok"], answer["by"]) == (True, ARN)
    assert "v2_score: split 5.00 % (was legacy)" in answer["output"]
    log = FlagLog.objects.get()
    assert (log.operation_id, log.changed_by, log.reason) == ("v2_score", ARN, "the first addresses")

    flags.latch("v2_score", rule="p95", value="2", limit="1", window="60 s", sample=200)
    assert manage("lift v2_score", "mended")["ok"]
    assert Latch.objects.get().lifted_by == ARN
    assert manage("kill v2_score", "what I saw")["output"][0] == "v2_score: killed"
    status = manage("status")
    [found] = [one for one in status["result"]["operations"] if one["operation"] == "v2_score"]
    assert (found["mode"], found["percent"]) == ("split", "5.00")
    assert [kill["target"] for kill in status["result"]["kill_switches"]] == ["v2_score"]
    assert manage(["kill", "v2_score", "--release"], "seen to")["ok"]


def test_a_rollout() -> None:
    answer = manage("rollout start v2_score --steps shadow,50,100 --hold 30m", "the first one")
    assert (answer["ok"], answer["result"][0]["started_by"]) == (True, ARN)
    assert manage("rollout status")["result"][0]["target"] == "v2_score"


def test_the_event_cannot_say_who_it_was() -> None:
    assert manage("set v2_score shadow --by somebody", "a try", by="somebody else")["ok"]
    assert {log.changed_by for log in FlagLog.objects.all()} == {ARN}


@pytest.mark.parametrize(
    ("context", "by"),
    [
        (
            SimpleNamespace(identity=SimpleNamespace(cognito_identity_id="eu-west-1:1"), invoked_function_arn="x"),
            "eu-west-1:1",
        ),
        (SimpleNamespace(identity=None, invoked_function_arn=ARN), ARN),
        (SimpleNamespace(function_name="steer"), "steer"),
        (None, "lambda"),
    ],
)
def test_who_is_logged(context: Any, by: str) -> None:
    answer = lambda_handler.manage({"command": "set v2_score shadow", "reason": "a try"}, context)
    assert (answer["by"], FlagLog.objects.get().changed_by) == (by, by)


@pytest.mark.parametrize(
    "sent",
    [
        {"command": "set v2_score fast"},  # why?
        {"command": "set v2_score"},
        {"command": "set v2_scores fast", "reason": "a try"},
        {"command": "set --help", "reason": "a try"},
        {"command": "lift v2_score", "reason": "it is not latched"},
        {"command": "compare"},  # asks servers
        {"command": "flush"},
        {"command": ""},
        {"command": "set 'v2_score", "reason": "an open quote"},
        {"command": {"set": "v2_score"}},
        {"command": 5},
        {"reason": "nothing"},
        {},
        [],
        event("POST", "/", '{"command": "kill"}'),
        event("POST", "/") | {"command": "kill all", "reason": "over HTTP"},
    ],
)
def test_what_is_refused_says_why_and_changes_nothing(sent: Any) -> None:
    answer = lambda_handler.manage(sent, Context())
    assert (answer["ok"], bool(answer["error"])) == (False, True)
    assert not FlagLog.objects.exists()


def test_the_guard_judges_by_schedule() -> None:
    answer = manage("guard")
    assert (answer["ok"], answer["result"]) == (True, [])
    flags.set_mode("v2_score", "fast", None, "a test", "test")
    for number in range(400):
        figures.record(
            "v2_score", "fast" if number % 2 else "legacy", 0.1, Outcome.FALLBACK if number % 2 else Outcome.OK, number
        )
    figures.flush()
    assert manage("guard")["ok"]  # a step begins with its first judgement, and counts minutes that are over
    minute = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=3)
    GuardEvidence.objects.update(since=minute, until=minute)
    HistogramBucket.objects.update(minute=minute)
    answer = manage("guard")
    assert not answer["ok"]
    assert "v2_score" in answer["error"]
    assert answer["result"][0]["verdict"] == "worse"
    assert Latch.objects.get().operation == "v2_score"


def test_pruning() -> None:
    long_ago = datetime.now(UTC) - timedelta(days=400)
    VerifiedCredential.objects.create(digest=b"1" * 32, expires_at=long_ago, verified_at=long_ago)
    figures.record("v2_score", "fast", 0.1, Outcome.OK)
    figures.flush()
    HistogramBucket.objects.update(minute=long_ago)
    answer = manage("prune")
    assert answer["output"] == ["Forgotten: 1 signatures, 0 readings, 1 figures, 0 groups of mismatches."]
    assert not VerifiedCredential.objects.exists()
    assert not HistogramBucket.objects.exists()


def test_a_rescoring_goes_on_at_the_next_event(monkeypatch: pytest.MonkeyPatch) -> None:
    fill()
    assert Client().get(f"/internal/embed/score/1/{OWNER}").status_code == 200
    assert manage("rescore --scorer 77")["ok"] is False
    real = rescore.begin

    def slowly(*arguments: Any, **more: Any) -> Any:
        begun = real(*arguments, **more)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")
        return begun

    with monkeypatch.context() as patch:
        patch.setattr(rescore, "begin", slowly)
        answer = manage("rescore --scorer 1", context=Context(5.2))
    assert not answer["ok"]
    assert "Stopped" in answer["error"]
    answer = manage("rescore --scorer 1")
    assert answer["ok"], answer
    assert "1 of 1 addresses" in " ".join(answer["output"])
