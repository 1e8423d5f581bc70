"""What a provider weighs for a community."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)


class Weights:
    """Weight per provider; unknown providers count 0. Customization overrides the scorer's own weights.

    A weight is read the way Python's ``Decimal(value)`` reads it: a JSON string digit for digit, a JSON
    float with its whole binary expansion (kept on purpose: the sum must show the digits the host shows).
    """

    def __init__(self, weights_json: str | None, overrides: Iterable[tuple[str, str]] = ()) -> None:
        base = json.loads(weights_json) if weights_json else None
        self._weights: dict[str, Any] = base if isinstance(base, dict) else {}
        self._weights.update(overrides)

    def of(self, provider: str) -> Decimal:
        weight = self._weights.get(provider)
        return ZERO if weight is None else Decimal(weight)

    def as_floats(self) -> dict[str, float]:
        """Every provider's weight as the weights endpoints answer it."""
        return {provider: float(weight) for provider, weight in self._weights.items()}
