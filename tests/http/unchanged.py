"""Asserting that a request wrote nothing: whole table states, before and after."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.factories import tables
from tests.factories.requests import Request


@contextmanager
def nothing_written() -> Iterator[None]:
    before = tables.state()
    yield
    after = tables.state()
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, f"written to: {', '.join(changed)}"


def refused(request: Request, status: int, detail: Any = None) -> Any:
    """Send; the answer has this status and a ``detail`` (this one, where given), and nothing was written."""
    with nothing_written():
        response = request.send()
    assert (response.status_code, set(response.json())) == (status, {"detail"}), response.content
    found = response.json()["detail"]
    assert found, "an empty detail"
    if detail is not None:
        assert found == detail
    return found
