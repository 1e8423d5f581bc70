"""Real threads with connections of their own, that start each round together."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

from django.db import connections

T = TypeVar("T")
LONG = 120  # seconds after which a test gives up on a thread


class Crew:
    """Threads that keep their connections from round to round."""

    def __init__(self, size: int) -> None:
        self._jobs: list[SimpleQueue[Any]] = [SimpleQueue() for _ in range(size)]
        self._done: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()
        self._threads = [threading.Thread(target=self._work, args=pair, daemon=True) for pair in enumerate(self._jobs)]
        for thread in self._threads:
            thread.start()

    def together(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """What each call returned, in order; all begin at once, and the first exception of any is raised."""
        assert len(calls) <= len(self._jobs)
        barrier = threading.Barrier(len(calls))
        for jobs, call in zip(self._jobs, calls, strict=False):
            jobs.put((barrier, call))
        results: dict[int, T] = {}
        errors = []
        for _ in calls:
            number, result, error = self._done.get(timeout=LONG)
            results[number] = result
            if error is not None:
                errors.append(error)
        if errors:
            raise errors[0]
        return [results[number] for number in range(len(calls))]

    def dismiss(self) -> None:
        for jobs in self._jobs:
            jobs.put(None)
        for thread in self._threads:
            thread.join(LONG)

    def _work(self, number: int, jobs: "SimpleQueue[Any]") -> None:
        try:
            while (job := jobs.get()) is not None:
                barrier, call = job
                try:
                    barrier.wait(LONG)
                    self._done.put((number, call(), None))
                except BaseException as error:
                    self._done.put((number, None, error))
        finally:
            connections.close_all()


@contextmanager
def crew(size: int) -> Iterator[Crew]:
    """A crew for as long as the block lasts."""
    made = Crew(size)
    try:
        yield made
    finally:
        made.dismiss()
