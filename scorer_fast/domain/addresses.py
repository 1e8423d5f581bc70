"""Ethereum addresses as this service takes them. EIP-55 (checksums) is computed by pycryptodome's Keccak."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"(?:0x)?[0-9a-f]{40}\Z")


def is_address(lowered: str) -> bool:
    """Whether a lower-cased text is 20 bytes of hex, with or without ``0x``."""
    return _ADDRESS.match(lowered) is not None


def is_address_as_written(address: str) -> bool:
    """Whether ``address`` is 20 bytes of hex and, where it mixes case, is spelled as EIP-55 says: ``0x`` included."""
    lowered = address.lower()
    if not is_address(lowered):
        return False
    digits = address[-40:]
    if digits in (digits.lower(), digits.upper()):
        return True
    return address == "0x" + checksummed(digits.lower())


def checksummed(digits: str) -> str:
    """The EIP-55 spelling of forty lower-case hex digits (source: EIP-55, Keccak-256 of the ASCII digits)."""
    from Crypto.Hash import keccak  # only mixed-case input pays for the import

    digest = keccak.new(digest_bits=256, data=digits.encode()).hexdigest()
    return "".join(
        digit.upper() if int(nibble, 16) >= 8 else digit for digit, nibble in zip(digits, digest, strict=False)
    )
