"""``make load``: its numbers are the local server's, its people are signed, and it refuses strangers' servers."""

import ast
import json
import os
import subprocess
from pathlib import Path

import pytest

from api.demo_issuer import ISSUERS
from load import people
from scorer_fast.http.catalogue import BY_ID

ROOT = Path(__file__).resolve().parents[2]
LOCUSTFILE = ROOT / "load" / "locustfile.py"


def default(name: str) -> str:
    """The value that stands in for an environment variable that is not set."""
    for node in ast.walk(ast.parse(LOCUSTFILE.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "os.environ.get":
            key, value = (ast.literal_eval(argument) for argument in node.args)
            if key == name:
                return str(value)
    raise LookupError(name)


def test_its_defaults_are_those_of_make_run() -> None:
    local = (ROOT / "settings" / "local.py").read_text()
    demo = next((ROOT / "api").glob("*/management/commands/seed_demo.py")).read_text()
    assert default("LOAD_SIGNING_KEY") in local
    assert default("LOAD_INTERNAL_TOKEN") in local
    assert f'API_KEY = "{default("LOAD_API_KEY")}"' in demo


def test_it_asks_for_operations_by_their_names() -> None:
    asked = {
        node.args[0].value.partition(",")[0]
        for node in ast.walk(ast.parse(LOCUSTFILE.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "self.ask"
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(asked) == 14
    assert asked <= set(BY_ID)


def test_people_bring_stamps_that_the_demo_issuer_signed(tmp_path: Path) -> None:
    people.write(tmp_path / "people.jsonl", 2)
    lines = [json.loads(line) for line in (tmp_path / "people.jsonl").read_text().splitlines()]
    assert len({line["address"] for line in lines}) == 2
    for line in lines:
        assert [stamp["provider"] for stamp in line["stamps"]] == list(people.PROVIDERS)
        for stamp in line["stamps"]:
            assert stamp["stamp"]["issuer"] in ISSUERS.values()
            assert line["address"] in stamp["stamp"]["credentialSubject"]["id"]


@pytest.mark.parametrize(
    "target",
    [
        *("https://example.org", "http://10.0.0.1:8000", "http://127.0.0.1.example.org"),
        *("http://127.0.0.1:8000@example.org", "http://localhost@example.org/", "localhost:8000"),
    ],
)
def test_a_server_elsewhere_must_be_confirmed(target: str) -> None:
    environment = {**os.environ, "TARGET": target, "CONFIRM": ""}
    done = subprocess.run(
        [ROOT / "load" / "run", "false"], env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode == 2
    assert "CONFIRM=yes" in done.stderr
