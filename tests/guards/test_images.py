"""The charts and the picture of the documents are drawn from what stands beside them."""

import hashlib
import json
from pathlib import Path

import pytest

from bench import charts

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "img"


@pytest.mark.parametrize("theme", charts.THEMES)
@pytest.mark.parametrize("name", charts.FIGURES)
def test_the_chart_shows_the_figures_of_the_last_run(name: str, theme: str) -> None:
    mark = charts.mark(charts.FIGURES[name](json.loads(charts.RESULTS.read_text())))
    assert mark in (IMAGES / f"{name}-{theme}.svg").read_text(), "draw it anew: make charts"


@pytest.mark.parametrize("theme", charts.THEMES)
def test_the_picture_is_that_of_its_source(theme: str) -> None:
    source = (IMAGES / "architecture.dot").read_bytes()
    drawn = (IMAGES / f"architecture-{theme}.svg").read_text()
    assert f"source_{hashlib.sha256(source).hexdigest()[:16]}" in drawn, "draw it anew: make diagrams"
    assert "@" not in drawn
