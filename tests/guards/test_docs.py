"""What one can set, switch or call is described: a heading or a mention in ``docs`` for every one of them."""

import re
from functools import cache
from pathlib import Path

import pytest

from scorer_fast.management import scorer_fast_commands
from scorer_fast.models.flags import Mode
from scorer_fast.settings import Guard, GuardLimits, ScorerFast, keys

DOCS = Path(__file__).resolve().parents[2] / "docs"
COMMANDS = sorted(
    path.stem for path in Path(scorer_fast_commands.__path__[0]).glob("*.py") if not path.stem.startswith("_")
)
DESCRIBED = {
    "settings of SCORER_FAST": keys(ScorerFast),
    "limits of the guard": keys(GuardLimits),
    "modes": sorted(Mode.values),
    "commands": COMMANDS,
}


@cache
def words() -> frozenset[str]:
    """Every word that stands as code (`like this`, or in an indented or fenced block) in any document."""
    found: set[str] = set()
    for path in DOCS.glob("*.md"):
        text = path.read_text()
        for code in re.findall(r"`+([^`]+)`+|^(?: {4}|\t)(.+)$", text, flags=re.MULTILINE):
            found.update(re.findall(r"\w+", " ".join(code)))
        for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE):
            found.update(re.findall(r"\w+", heading))
    return frozenset(found)


@pytest.mark.parametrize("kind", DESCRIBED)
def test_described(kind: str) -> None:
    missing = [name for name in DESCRIBED[kind] if name not in words()]
    assert not missing, f"{kind} that docs/*.md never name: {', '.join(missing)}"


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
