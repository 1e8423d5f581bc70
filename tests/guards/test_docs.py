"""What one can set, switch or call has a heading of its own in ``docs``."""

import re
from collections import Counter
from pathlib import Path

import pytest
from django.apps import apps

import scorer_fast
from scorer_fast import otel
from scorer_fast.management import scorer_fast_commands
from scorer_fast.models.flags import Mode
from scorer_fast.settings import Guard, GuardLimits, Host, ScorerFast, keys

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PACKAGE = Path(scorer_fast.__file__).parent
DJANGOS = {"migrations", "models", "static", "templates"}  # folders that every Django app may have
COMMANDS = sorted(
    path.stem for path in Path(scorer_fast_commands.__path__[0]).glob("*.py") if not path.stem.startswith("_")
)
HEADINGS = {
    "settings of SCORER_FAST": [f"`{name}`" for name in keys(ScorerFast)],
    "limits of the guard": [f"`{name}`" for name in keys(GuardLimits)],
    "settings of the host": [f"`{name}`" for name in keys(Host)],
    "modes": [f"Mode `{name}`" for name in Mode.values],
    "commands": [f"`scorer_fast {name}`" for name in COMMANDS],
}


def headings() -> Counter[str]:
    found: Counter[str] = Counter()
    for path in DOCS.glob("*.md"):
        text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
        found.update(re.findall(r"^#+ (.+?)\s*$", text, flags=re.MULTILINE))
    return found


@pytest.mark.parametrize("kind", HEADINGS)
def test_each_has_one_heading(kind: str) -> None:
    """A word in a sentence is no description: one looks for a heading."""
    there = headings()
    wrong = {heading: there[heading] for heading in HEADINGS[kind] if there[heading] != 1}
    assert not wrong, f"{kind} whose heading in docs/*.md is missing (0) or there twice: {wrong}"


def test_no_document_names_a_setting_that_is_none() -> None:
    """A renamed setting must not live on in the documents."""
    known = {*keys(ScorerFast), *keys(Guard)}
    found = [
        f"{path.name}: {name}"
        for path in sorted(DOCS.glob("*.md"))
        for name in re.findall(r'SCORER_FAST\["(\w+)"\]', path.read_text())
        if name not in known
    ]
    assert not found


def test_every_system_check_stands_in_its_table() -> None:
    """By its number, alone or as the end of a range."""
    said = re.sub(
        r"`W(\d+)` to `W(\d+)`",
        lambda found: " ".join(f"`W{number:03}`" for number in range(int(found[1]), int(found[2]) + 1)),
        (DOCS / "operations.md").read_text(),
    )
    numbers = {number for path in PACKAGE.rglob("*.py") for number in re.findall(r'"([EWI]\d{3})"', path.read_text())}
    assert numbers
    assert [number for number in sorted(numbers) if not re.search(rf"`(scorer_fast\.)?{number}`", said)] == []


def test_every_counter_stands_in_the_table_of_metrics() -> None:
    table = (DOCS / "monitoring.md").read_text()
    assert [name for name in otel.COUNTERS if f".{name.rpartition('.')[2]}`" not in table] == []


def test_what_is_stored_names_every_table() -> None:
    said = (DOCS / "security.md").read_text()
    tables = {model._meta.db_table for model in apps.get_app_config("scorer_fast").get_models()}
    assert [table for table in sorted(tables) if f"`{table}`" not in said] == []


def test_files_that_the_documents_name_are_there() -> None:
    """`folder/file.py`, of the repository or of the package; the diary names what is gone."""
    lost = []
    for path in (ROOT / "README.md", *sorted(DOCS.glob("*.md"))):
        text = path.read_text() if path.stem != "history" else ""
        for name in re.findall(r"`((?:[a-z_]+/)+[a-z_0-9]+\.(?:py|sql|md|json|yml))`", text):
            named = re.sub(r"^scorer_fast/", "", name)
            if not ((ROOT / name).exists() or (PACKAGE / named).exists() or name.endswith("name_2.sql")):
                lost.append(f"{path.name}: {name}")
    assert not lost


def test_the_layers_of_the_design_are_the_folders_that_are_there() -> None:
    design = (DOCS / "design.md").read_text()
    (layers,) = re.findall(r"^```\nscorer_fast/\n(.*?)^```", design, flags=re.MULTILINE | re.DOTALL)
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert set(re.findall(r"^  ([a-z_]+)/", layers, flags=re.MULTILINE)) == folders - DJANGOS
    assert [name for name in re.findall(r"\b(?!manage\.)[a-z_]+\.py", layers) if not (PACKAGE / name).exists()] == []
