"""What one can set, switch or call has a heading of its own in ``docs``."""

import re
from collections import Counter
from pathlib import Path

import pytest

from scorer_fast.management import scorer_fast_commands
from scorer_fast.models.flags import Mode
from scorer_fast.settings import Guard, GuardLimits, Host, ScorerFast, keys

DOCS = Path(__file__).resolve().parents[2] / "docs"
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
