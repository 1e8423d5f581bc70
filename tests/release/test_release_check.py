"""The script that walks a release: what it finds missing, and what a distribution may hold."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release_check", ROOT / ".ci" / "release_check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_version_stands_in_the_project_and_in_the_package(script: ModuleType, tmp_path: Path) -> None:
    assert script.version(tmp_path) == script.project()["version"]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("## Unreleased\n\n- something\n\n## 1.2.0\n\n- it\n", "Unreleased"),
        ("## Unreleased\n\n## 1.1.0\n\n- it\n", "section 1.2.0"),
        ("## Unreleased\n\n## 1.2.0 - 2026-11-28\n\n- it\n", ""),
        ("## [1.2.0] - 2026-11-28\n\n- it\n", ""),
    ],
)
def test_the_changelog(script: ModuleType, text: str, missing: str) -> None:
    if not missing:
        assert script.judged_changelog(text, "1.2.0") == "section 1.2.0"
        return
    with pytest.raises(script.Missing, match=missing):
        script.judged_changelog(text, "1.2.0")


WHEEL = ["scorer_fast/__init__.py", "scorer_fast-1.dist-info/METADATA"]
SOURCE = [
    f"scorer_fast-1/{name}"
    for name in (
        "CHANGELOG.md", "LICENSE", "README.md", "docs/install.md", "docs/operations.md", "scorer_fast/py.typed",
    )
]  # fmt: skip


@pytest.mark.parametrize(
    ("wheel", "source", "said"),
    [
        (WHEEL, SOURCE, ""),
        ([*WHEEL, "tests/__init__.py"], SOURCE, "tests/__init__.py"),
        (WHEEL, [*SOURCE, "scorer_fast-1/tests/test_x.py"], "tests/test_x.py"),
        (WHEEL, SOURCE[1:], "lacks CHANGELOG.md"),
    ],
)
def test_what_a_distribution_holds(script: ModuleType, wheel: list[str], source: list[str], said: str) -> None:
    if not said:
        script.look_into(wheel, source)
        return
    with pytest.raises(script.Missing, match=said):
        script.look_into(wheel, source)


def test_a_step_that_fails_says_what_ran_and_what_it_said(script: ModuleType) -> None:
    with pytest.raises(script.Missing, match=r"(?s)git no-such-command failed.*is not a git command"):
        script.run("git", "no-such-command")


def test_the_example_for_compose_gives_the_server_all_it_requires(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable that settings.production requires, and images that the server can use."""
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    given = compose["services"]["server"]["environment"]
    required = set()
    for line in (ROOT / "settings" / "production.py").read_text().splitlines():
        for opening in ('env.required("', 'env.required_words("'):
            if opening in line:
                required.add(line.partition(opening)[2].partition('"')[0])
    assert required >= {"SECRET_KEY", "DATABASE_URL", "REDIS_URL"}
    assert required <= set(given)
    assert compose["services"]["migrate"]["environment"] == given
    assert {"server", "migrate", "postgres", "redis"} == set(compose["services"])


def test_a_worker_has_two_threads_wherever_it_is_started() -> None:
    assert '"--threads", "2"' in (ROOT / "Dockerfile").read_text()
    assert "THREADS ?= 2\n" in (ROOT / "Makefile").read_text()
