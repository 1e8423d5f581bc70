"""Whoever takes work first ends first, and learns whether what it has read has moved."""

import threading
import time

import pytest

from scorer_fast.scoring.turns import GivenUp, Turn, Turns

WAIT = 10


def taken(turns: Turns) -> Turn:
    found = turns.take(lambda: "work")
    assert found is not None
    assert found[0] == "work"
    return found[1]


def test_without_work_there_is_no_turn() -> None:
    turns = Turns()
    assert turns.take(lambda: None) is None
    assert taken(turns).comes(), "and none is waited for"


def test_turns_come_in_the_order_in_which_they_were_taken() -> None:
    turns = Turns()
    line = [taken(turns) for _ in range(5)]
    ended: list[int] = []

    def wait_and_end(number: int) -> None:
        line[number].comes()
        ended.append(number)
        line[number].end(moved=False)

    threads = [threading.Thread(target=wait_and_end, args=(number,)) for number in (4, 2, 3, 1, 0)]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    for thread in threads:
        thread.join(WAIT)
    assert ended == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("moved", [False, True])
def test_a_turn_learns_what_moved_since_it_was_taken(moved: bool) -> None:
    turns = Turns()
    first, second = taken(turns), taken(turns)
    assert first.comes()
    first.end(moved=moved)
    assert second.comes() is not moved
    assert second.comes(), "it has read again"
    second.end(moved=False)
    assert taken(turns).comes(), "what moved before it was taken was read"


def test_a_turn_may_end_before_it_comes_and_then_waits() -> None:
    turns = Turns()
    first, second = taken(turns), taken(turns)
    thread = threading.Thread(target=lambda: second.end(moved=True))
    thread.start()
    time.sleep(0.02)
    assert thread.is_alive()
    first.end(moved=False)
    thread.join(WAIT)
    assert not thread.is_alive()


def test_nobody_waits_in_a_line_that_was_given_up() -> None:
    turns = Turns()
    taken(turns)
    second = taken(turns)
    failed: list[bool] = []

    def wait() -> None:
        try:
            second.comes()
        except GivenUp:
            failed.append(True)
        second.end(moved=False)

    thread = threading.Thread(target=wait)
    thread.start()
    turns.give_up()
    thread.join(WAIT)
    assert failed == [True]
