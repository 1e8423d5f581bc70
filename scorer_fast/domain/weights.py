"""What a provider weighs for a community."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

ZERO = Decimal(0)


class Weighed(NamedTuple):
    """A provider's weight: as it is summed, as it is stored, and as it is answered (five places)."""

    exact: Decimal
    as_float: float
    written: str


NOTHING = Weighed(ZERO, 0.0, "0.00000")


class Weights:
    """Weight per provider; unknown providers count 0. Customization overrides the scorer's own weights.

    A weight is read the way Python's ``Decimal(value)`` reads it: a JSON string digit for digit, a JSON
    float with its whole binary expansion (kept on purpose: the sum must show the digits the host shows).
    """

    def __init__(self, weights_json: str | None, overrides: Iterable[tuple[str, str]] = ()) -> None:
        base = json.loads(weights_json) if weights_json else None
        self._weights: dict[str, Any] = base if isinstance(base, dict) else {}
        self._weights.update(overrides)
        self._weighed: dict[str, Weighed] = {}

    def of(self, provider: str) -> Decimal:
        return self.weigh(provider).exact

    def weigh(self, provider: str) -> Weighed:
        """The provider's weight in its three forms; an exception where it is no number."""
        known = self._weighed.get(provider)
        if known is None:
            weight = self._weights.get(provider)
            if weight is None:
                return NOTHING
            exact = Decimal(weight)
            as_float = float(exact)
            # Of the float's exact value, half-even.
            known = self._weighed[provider] = Weighed(exact, as_float, f"{as_float:.5f}")
        return known

    def as_floats(self) -> dict[str, float]:
        """Every provider's weight as the weights endpoints answer it."""
        return {provider: float(weight) for provider, weight in self._weights.items()}


@lru_cache(maxsize=256)
def weights_of(weights_json: str | None, overrides: tuple[tuple[str, str], ...]) -> Weights:
    """:class:`Weights` of those very texts: communities are few, and their weights change seldom."""
    return Weights(weights_json, overrides)
