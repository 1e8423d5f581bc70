"""Charts: what is drawn where."""

import re
from xml.etree import ElementTree

import pytest

from scorer_fast.console import charts
from scorer_fast.console.charts import Line, Mark

HOST = Line("host p95", "host p95", [160.0, None, 170.0, 150.0])
FAST = Line("fast p95", "fast p95", [None, None, 9.6, None])


def svg(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def test_a_line_is_broken_where_there_is_nothing_and_a_lone_value_is_a_dot() -> None:
    drawn = svg(charts.small([HOST, FAST], [], "a title"))
    assert [each.attrib["class"] for each in drawn.iter("polyline")] == ["line host p95"]
    assert [each.attrib["class"] for each in drawn.iter("circle")] == ["dot host p95", "dot fast p95"]
    assert drawn.attrib["aria-label"] == "a title"


def test_a_share_goes_from_bottom_to_top() -> None:
    (line,) = svg(charts.small([Line("share", "share", [0.0, 50.0, 100.0])], [], "", top=100)).iter("polyline")
    assert line.attrib["points"] == "0.0,32.0 75.0,17.0 150.0,2.0"


def test_marks_say_what_happened_and_are_left_out_where_they_do_not_fit() -> None:
    marks = [Mark(1.5, "killed", "ann: <b>"), Mark(-1, "changed", "before"), Mark(9, "changed", "after")]
    (mark,) = (each for each in svg(charts.small([HOST], marks, "")).iter("line"))
    assert mark.attrib["class"] == "mark killed"
    assert mark.find("title").text == "ann: <b>"  # type: ignore[union-attr]


@pytest.mark.parametrize("lines", [[], [Line("a", "a", [])], [Line("a", "a", [None])], [Line("a", "a", [0.0])]])
def test_nothing_to_draw_is_no_error(lines: list[Line]) -> None:
    svg(charts.small(lines, [], ""))
    svg(charts.large(lines, [], "", unit="ms", times=["a", "b"]))


def test_a_large_chart_has_axes_times_and_a_legend() -> None:
    drawn = svg(charts.large([HOST, FAST], [], "", unit="ms", times=["03:00", "03:30", "04:00"]))
    texts = [each.text for each in drawn.iter("text")]
    assert texts == ["1 ms", "10 ms", "100 ms", "1 s", "03:00", "03:30", "04:00", "host p95", "fast p95"]


def test_both_histograms_lie_over_each_other() -> None:
    drawn = svg(charts.histogram({"host": {0.16: 30, 0.2: 10}, "fast": {0.0096: 5}}, "latencies"))
    titles = [each.find("title").text for each in drawn.iter("rect") if each.find("title") is not None]  # type: ignore[union-attr]
    assert sum(float(re.search(r"([\d.]+) %", title)[1]) for title in titles if title.startswith("host")) == 100.0  # type: ignore[index,union-attr]
    assert any(title.startswith("fast: 100.0 % within ") for title in titles if title)
    assert "No requests" in charts.histogram({}, "latencies")
