"""What a request says, checked the way its operation asks for: its address, how much it brings."""

from __future__ import annotations

from collections.abc import Sized

from .domain.addresses import is_address, is_address_as_written
from .errors import Problem, Refused
from .settings import conf
from .telemetry import note


def lowered(address: str) -> str:
    """The address lower-cased; Refused when it is not 20 bytes of hex."""
    address = address.lower()
    if not is_address(address):
        raise Refused(Problem.INVALID_ADDRESS)
    note(address=address)
    return address


def lowered_as_written(address: str) -> str:
    """The address lower-cased; Refused when it is none, or mixes case without its EIP-55 checksum."""
    if not is_address_as_written(address):
        raise Refused(Problem.INVALID_ADDRESS)
    return lowered(address)


def as_given(address: str) -> str:
    """The address lower-cased, whatever it is; in span and log line only where it is one."""
    address = address.lower()
    if is_address(address):
        note(address=address)
    return address


def require_own(address: str, token_address: str) -> None:
    """Refused when a token is used for an address that is not its own (a setting restores the host's way)."""
    if conf.enforce_token_address and address != token_address:
        raise Refused(Problem.TOKEN_ADDRESS_MISMATCH)


def check_size(entries: Sized) -> None:
    """Refused where a payload has more entries than ``MAX_BULK_CACHE_SIZE``."""
    if len(entries) > conf.max_bulk_cache_size:
        raise Refused(Problem.TOO_MANY_STAMPS)


def storable(text: str) -> str:
    """``text``; Refused where no table can hold it, nor compare it with anything: NUL, lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused(Problem.NOT_STORABLE) from None
    if "\x00" in text:
        raise Refused(Problem.NOT_STORABLE)
    return text
