"""The host answers every recorded case as the host it stands for did (`replay.py --legacy`)."""

from pathlib import Path
from typing import Any

import pytest

from tests.contract import replay

GOLDEN = Path(replay.__file__).parent / "golden-2026-07"
CASES = {file.name.removesuffix(".json.gz"): file for file in sorted(GOLDEN.glob("*.json.gz"))}
FAMILIES = sorted({name.split("_")[0] for name in CASES})


def read(name: str) -> dict[str, Any]:
    """The case, with what the host answers and writes as its expectation."""
    case: dict[str, Any] = replay.read(CASES[name])
    legacy = case.get("legacy")
    if legacy:
        case["steps"][-1]["expect"] = legacy["expect"]
        case["expect_rows"] = legacy["expect_rows"]
        if "first" in legacy:
            case["steps"][0]["expect"] = legacy["expect"]
    case["after"] = sorted({*case["after"], *case["expect_rows"]})
    return case


def differences(case: dict[str, Any], tables: list[str]) -> list[str]:
    got = replay.run_case(case, tables)
    lines = [
        line
        for number, (step, answer) in enumerate(zip(case["steps"], got["steps"], strict=True))
        for line in replay.diff(step["expect"], answer, f"step{number}")
    ]
    expected = case["expect_rows"]
    return lines + replay.diff(expected, {table: got["after"].get(table) for table in expected}, "rows")


@pytest.fixture(scope="module")
def tables() -> list[str]:
    """Every table that any case fills or looks at: each case starts with all of them empty."""
    cases = [read(name) for name in CASES]
    return sorted({table for case in cases for table in [*case["seed"], *case["after"]]})


@pytest.mark.django_db(transaction=True)
@pytest.mark.urls("tests.host.urls")
@pytest.mark.parametrize("family", FAMILIES)
def test_recorded_cases(family: str, tables: list[str], subtests: pytest.Subtests) -> None:
    for name in CASES:
        if name.split("_")[0] == family:
            with subtests.test(name):
                assert not differences(read(name), tables)
