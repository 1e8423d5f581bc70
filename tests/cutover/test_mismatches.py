"""What the shadow found, shown, exported, sent again and forgotten."""

import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from scorer_fast.cutover import curl, figure_queries
from scorer_fast.cutover.compare import IGNORED
from scorer_fast.cutover.deliberate import DELIBERATE
from scorer_fast.cutover.shadow import finding_queries as sql
from scorer_fast.models import Mismatch, MismatchSample

pytestmark = pytest.mark.django_db
SEEN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
REQUEST = {
    "method": "POST",
    "path": "/internal/check-bans",
    "headers": {"Authorization": "<redacted>", "Content-Type": "application/json"},
    "body": [{"credentialSubject": {"hash": "it's"}}],
}


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("scorer_fast", "mismatches", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def found() -> None:
    for operation, category, path, rule, times in (
        ("check_bans", "mismatch", "body[].is_banned", "", 2),
        ("v2_score", "deliberate", "status", "key_expired", 1),
    ):
        for _ in range(times):
            group = sql.upsert_mismatch("default", sql.GroupKey(operation, category, path, "value", rule), SEEN, most=9)
            assert group is not None
            sql.insert_sample(
                "default",
                group.id,
                SEEN,
                request=json.dumps(REQUEST),
                control=json.dumps({"status": 200, "body": [], "value": 1}),
                candidate=json.dumps({"status": 200, "body": [], "value": 2}),
            )
    figure_queries.add_counts("default", [figure_queries.CountRow("check_bans", datetime.now(UTC), "mismatched", 2, 1)])


def test_nothing_found() -> None:
    assert run() == "No differences kept.\n"
    assert json.loads(run("--json")) == {"groups": [], "outcomes": {}}


def test_no_curl_line_is_said_beside_them(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("scorer_fast", "mismatches", "--curl")
    assert capsys.readouterr() == ("", "No samples kept.\n")


@pytest.mark.usefixtures("found")
def test_groups_and_outcomes_are_shown() -> None:
    assert run().splitlines() == [
        "check_bans: 2 mismatched",
        "mismatch    check_bans  body[].is_banned  value  2 times, last 2026-11-22T12:00:00+00:00",
        "deliberate  v2_score  status  value (key_expired)  1 times, last 2026-11-22T12:00:00+00:00",
    ]
    assert "v2_score" not in run("--operation", "check_bans")
    assert "check_bans  body" not in run("--category", "deliberate")
    shown = json.loads(run("--json", "--operation", "check_bans"))
    assert shown == {
        "groups": [
            {
                "operation": "check_bans",
                "category": "mismatch",
                "path": "body[].is_banned",
                "kind": "value",
                "rule": "",
                "count": 2,
                "first_seen": SEEN.isoformat(),
                "last_seen": SEEN.isoformat(),
            }
        ],
        "outcomes": {"check_bans": {"mismatched": 2}},
    }


@pytest.mark.usefixtures("found")
def test_samples_are_exported_as_json_lines(tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    assert run("--export", str(file)) == f"3 samples written to {file}.\n"
    lines: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["operation"] for line in lines] == ["check_bans", "check_bans", "v2_score"]
    assert lines[0]["request"] == REQUEST
    assert lines[0]["control"] == {"status": 200, "body": [], "value": 1}
    assert lines[0]["candidate"]["value"] == 2
    assert lines[0]["curl"].startswith("curl --globoff --path-as-is -X POST http://localhost:8000/internal/check-bans ")
    printed = run("--export", "-", "--operation", "v2_score").splitlines()
    assert [json.loads(line)["rule"] for line in printed] == ["key_expired"]
    with pytest.raises(CommandError, match="/nowhere/x cannot be written: No such file or directory"):
        run("--export", "/nowhere/x")


@pytest.mark.usefixtures("found")
def test_samples_can_be_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHORIZATION", "the token")
    lines = run("--curl", "--base", "https://scorer.example", "--operation", "check_bans").splitlines()
    assert lines[0].startswith("curl --globoff --path-as-is -X POST https://scorer.example/internal/check-bans")
    (one, _) = curl.parse(lines)
    assert one.headers == {"Authorization": "the token", "Content-Type": "application/json"}
    assert json.loads(one.body) == REQUEST["body"]
    (exported, _) = curl.parse(run("--export", "-", "--operation", "check_bans").splitlines())
    assert (exported.method, exported.path, exported.body) == (one.method, one.path, one.body)


@pytest.mark.usefixtures("found")
def test_groups_are_forgotten_once_mended() -> None:
    assert run("--forget", "--operation", "check_bans") == "1 groups forgotten.\n"
    assert list(Mismatch.objects.values_list("operation", flat=True)) == ["v2_score"]
    assert MismatchSample.objects.count() == 1


def test_every_rule_is_printed_with_its_reason() -> None:
    printed = run("--rules")
    for rule in IGNORED:
        assert f"{rule.name}  at " in printed
        assert rule.reason in printed
    for deliberate in DELIBERATE:
        assert deliberate.name in printed
        assert deliberate.line in printed
