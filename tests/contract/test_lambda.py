"""Every recorded event, one test each: status, headers, body and the rows that it leaves."""

import sys
from pathlib import Path

import pytest

from scorer_fast.lambda_handler import HOST_HANDLER
from tests.contract import replay
from tests.contract.test_golden import load, problems

sys.modules.setdefault("replay", replay)  # as lambda_replay.py, a program, imports it
from tests.contract import lambda_replay  # noqa: E402

CASES = {
    f"{file.parent.name}/{file.name.removesuffix('.json.gz')}": file
    for file in Path(__file__).parent.glob("lambda-*/*.json.gz")
}


# The rows of this case are those of the host's Django view, which names the scorer; its function does not, in this case
# (see its "legacy") as in the eleven others that post.
NAMES_NO_SCORER = "lambda-2026-07/lambda_cache_post_without_dates"


@pytest.fixture(autouse=True)
def nobody_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOST_HANDLER, "")
    monkeypatch.setattr(lambda_replay, "HANDLER", lambda_replay.PRODUCT)
    monkeypatch.setattr(replay, "load", load)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", sorted(CASES))
def test_recorded_event(name: str) -> None:
    case = replay.read(CASES[name])
    case["after"] = sorted({*case["after"], *case["expect_rows"]})
    if name == NAMES_NO_SCORER:
        case["expect_rows"]["ceramic_cache_ceramiccache"] = case["legacy"]["expect_rows"]["ceramic_cache_ceramiccache"]
    found = problems(case, lambda_replay.run_case(case, []))
    assert not found, f"{name}: {case['note']}\n" + "\n".join(found)
