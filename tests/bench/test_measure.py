"""What a round says of a cell: its turns, their times and their CPU."""

import pytest

pytest.importorskip("psycopg", reason="the benchmark asks its database by psycopg 3, whatever the service uses")
from bench import measure, traffic
from bench.measure import Bench, Cell, Sample, Size
from scorer_fast.http.catalogue import BY_ID

ONE, EIGHT = Cell("fast", "v2_score", "steady", 1), Cell("fast", "v2_score", "steady", 8)
FLOOR = Cell("fast", "floor", "steady", 1)


def sample(p50: float, cpu: float, requests: int) -> Sample:
    return Sample(p50=p50, p95=p50, p99=p50, rps=1 / p50, cpu=cpu, database_cpu=0, load_cpu=0, requests=requests)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Cell, Size]]:
    """The turns that were taken; the third of concurrency 1 is disturbed."""
    taken: list[tuple[Cell, Size]] = []

    def turn(self: Bench, cell: Cell, size: Size, *, before: str = "") -> Sample:
        taken.append((cell, size))
        disturbed = cell == ONE and sum(one == ONE for one, _ in taken) == 3
        return sample(9.0 if disturbed else 1.0 if cell == FLOOR else 2.0, 1.0, size.count)

    monkeypatch.setattr(Bench, "measure", turn)
    return taken


def test_concurrency_1_has_its_share_in_turns(measured: list[tuple[Cell, Size]]) -> None:
    plan = [(ONE, Size(0.3, 40), ""), (EIGHT, Size(0.6, 40), "")]
    bench = Bench(None, {}, None, None)  # type: ignore[arg-type]  # nothing is measured
    bench.rounds(plan, [(FLOOR, Size(0.1, 20))], rounds=2)
    assert measured.count((ONE, Size(pytest.approx(0.1), 14))) == 2 * measure.TURNS  # type: ignore[arg-type]
    assert measured.count((EIGHT, Size(0.6, 40))) == 2
    assert [one.p50 for one in bench.figures.samples[ONE]] == [2.0, 2.0]
    assert bench.figures.ratio(ONE, FLOOR, "p50") == 2.0


def test_cpu_is_that_of_all_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = iter([sample(1.0, 0.0, 10), sample(3.0, 2.0, 30), sample(2.0, 0.0, 20)])
    monkeypatch.setattr(Bench, "measure", lambda *_, **__: next(turns))
    bench = Bench(None, {}, None, None)  # type: ignore[arg-type]  # nothing is measured
    bench.rounds([(ONE, Size(0.3, 60), "")], [], rounds=1)
    [made] = bench.figures.samples[ONE]
    assert (made.p50, made.cpu, made.requests) == (2.0, 1.0, 60)


def test_every_operation_is_measured() -> None:
    assert set(traffic.OPERATIONS) == set(BY_ID)
