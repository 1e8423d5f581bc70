"""Before anything of a request is read or counted: whether its address is the fast path's to score."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import HttpRequest

from .. import linked
from ..domain.addresses import is_address
from ..errors import Refused
from .catalogue import Operation, Subject


def require_alone(operation: Operation, request: HttpRequest, path: Mapping[str, str]) -> None:
    """HandedOver where ``operation`` scores anew, and the address is linked to others; ``path``: its parameters.

    One that answers what is stored first asks by itself, before it scores.
    """
    if not operation.writes or operation.stored_first:
        return
    address = _of_token(request) if operation.subject is Subject.TOKEN else path.get("address", "").lower()
    if is_address(address):  # else the request is refused, and nothing scored
        linked.require_alone(address)


def _of_token(request: HttpRequest) -> str:
    from . import tokens  # here: cryptography takes longer to load than all else, and few operations have a token

    try:
        return tokens.address_of(request.META.get("HTTP_AUTHORIZATION", "").rpartition(" ")[2])
    except Refused:
        return ""
