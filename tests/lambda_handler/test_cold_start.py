"""What a cold start takes is told part by part; whose imports they are is read from Python's own list."""

import json
import os
from pathlib import Path

import pytest
from django import VERSION

from scorer_fast.lambda_handler import HOST_HANDLER, SETUP, cold_start
from tests.factories.database import database_url
from tests.host import asks, world
from tests.lambda_handler.conftest import OWNER, fill
from tests.lambda_handler.events import HOST, READY, of_ask

pytestmark = pytest.mark.django_db(transaction=True)
# Of this app, and that it is the first to import: at most. With an ArrayField Django loads its test client before 5.1.
MODULES = 130 if VERSION >= (5, 1) else 175
LISTED = [  # name, depth, cumulative microseconds: the imported before the importing
    ("orjson", 2, 30),
    ("scorer_fast.settings", 1, 100),
    ("scorer_fast.cutover.flags", 0, 250),
    ("scorer_fast.apps", 1, 7),
    ("django.apps", 0, 90),
    ("scorer_fasting", 0, 1000),
]


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.lambda_handler.function_settings",
        "DATABASE_URL": database_url(),
        HOST_HANDLER: HOST["v2_score"],
        SETUP: READY,
    }


def test_this_apps_imports_are_told_from_the_hosts() -> None:
    assert cold_start.own_imports(LISTED) == (250 + 7, 4)
    assert cold_start.own_imports([]) == (0, 0)


@pytest.mark.parametrize("operation", sorted(cold_start.REQUESTS))
def test_each_function_is_asked_by_a_request_that_is_refused(operation: str) -> None:
    """But for the weights, which anybody may read; none of them writes."""
    from scorer_fast.lambda_handler import serving

    fill()
    before = world.CeramicCache.objects.count()
    status = serving.asked_fast(cold_start.event_of(operation))
    assert status == 200 if operation == "cache_weights" else 400 <= (status or 500) < 500
    assert world.CeramicCache.objects.count() == before


def test_a_start_is_measured_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill()
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    asked = tmp_path / "event.json"
    asked.write_text(json.dumps(of_ask(asks.of_operation("v2_score", OWNER, "Provider00", "Provider05"))))
    cold_start.main(["--event", str(asked), "--runs", "1", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"interpreter", "setup", "imports", "answer", "host", "waited", "modules", "compiled", "total"}
    assert all(seconds > 0 for part, seconds in found.items() if part not in ("compiled", "waited"))
    # This machine may be busy with other tests, so in modules, and as a share: Django's set-up alone is half a second.
    assert found["modules"] <= MODULES
    assert found["imports"] < cold_start.IMPORTS_LIMIT / 0.5 * found["setup"]


def test_a_table_for_people() -> None:
    start = cold_start.Start(0.02, 0.5, 0.1, 0.03, 0.8, 1.25, 120, 7)
    assert cold_start.told(start).splitlines() == [
        "   0.020 s  the interpreter",
        "   0.500 s  Django's and the host's own set-up",
        "   0.100 s  120 imports of scorer_fast (at most 0.35)",
        "   0.030 s  connection, flags and answer",
        "   0.650 s  until the first answer",
        "   0.820 s  for comparison: the host's handler, imported alone",
        "   1.250 s  more, waiting for a core: other processes have them, or a quota is used up",
        "7 modules have no bytecode and were compiled: python -m compileall, in the image",
    ]
    assert cold_start.middle([start, start._replace(setup=0.7), start._replace(setup=0.9)]).setup == 0.7


def test_a_process_that_cannot_answer_says_why() -> None:
    with pytest.raises(RuntimeError, match="No module named 'no'"):
        cold_start.measure(cold_start.event_of("v2_score"), environment={**environment(), SETUP: "no.such"})


def test_files_can_be_dropped_from_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text("1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    cold_start.forget_files(str(tmp_path / "none"))
