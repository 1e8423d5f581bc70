"""Turns: threads of one process read and decide side by side, and write one after the other, as they began."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class GivenUp(Exception):
    """The line has come to an end before this turn came."""


class Turn:
    """A place in the line. Whoever has one must end it, whatever becomes of the work."""

    def __init__(self, turns: Turns, number: int) -> None:
        self._turns = turns
        self._number = number
        self._moves = turns.moves

    def comes(self) -> bool:
        """Wait until all before have ended; whether nothing that was read since the last call has moved.

        GivenUp where they never will.
        """
        with self._turns.changed:
            self._wait()
            if self._turns.is_given_up:
                raise GivenUp
            is_as_read = self._turns.moves == self._moves
            self._moves = self._turns.moves
        return is_as_read

    def end(self, *, moved: bool) -> None:
        """Let the next one come; ``moved``: whether what it has read of others may be different now."""
        with self._turns.changed:
            self._wait()
            self._turns.moves += moved
            self._turns.next_to_end += 1
            self._turns.changed.notify_all()

    def _wait(self) -> None:
        turns = self._turns
        turns.changed.wait_for(lambda: turns.next_to_end == self._number or turns.is_given_up)


class Turns:
    """The line: numbers are given in the order in which work is taken, and end in that order."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.next_to_end = 0
        self.moves = 0
        self.is_given_up = False
        self._taking = threading.Lock()
        self._taken = 0

    def take(self, work: Callable[[], T | None]) -> tuple[T, Turn] | None:
        """What ``work`` gives, and the turn of it; None where it gives none."""
        with self._taking:
            found = work()
            if found is None:
                return None
            with self.changed:
                turn = Turn(self, self._taken)
            self._taken += 1
            return found, turn

    def give_up(self) -> None:
        """Let nobody wait any longer: somebody may have left the line without ending the turn."""
        with self.changed:
            self.is_given_up = True
            self.changed.notify_all()
