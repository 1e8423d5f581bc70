"""Ethereum addresses: 20 bytes in hexadecimal, mixed case only as an EIP-55 checksum."""

import re

from ninja.errors import HttpError

_SHAPE = re.compile(r"(0[xX])?[0-9a-fA-F]{40}\Z")

_ROUNDS = 24
_ROTATIONS = (
    (0, 36, 3, 41, 18),
    (1, 44, 10, 45, 2),
    (62, 6, 43, 15, 61),
    (28, 55, 25, 21, 56),
    (27, 20, 39, 8, 14),
)
_MASK = (1 << 64) - 1


def is_address(text: str) -> bool:
    return _SHAPE.match(text) is not None


def lower_or_400(address: str) -> str:
    """The address in lower case; 400 where it is none. A checksum in it is not looked at."""
    if not is_address(address):
        raise HttpError(400, "Invalid address.")
    return address.lower()


def checked_or_400(address: str) -> str:
    """The same, but mixed case must be the checksum of EIP-55, which begins with `0x`."""
    digits = address[-40:]
    mixed = digits.lower() != digits and digits.upper() != digits
    if not is_address(address) or (mixed and address != "0x" + checksum(digits)):
        raise HttpError(400, "Invalid address.")
    return address.lower()


def checksum(digits: str) -> str:
    """The 40 digits with the upper-case letters EIP-55 gives them."""
    digest = keccak256(digits.lower().encode()).hex()
    return "".join(
        char.upper() if int(nibble, 16) > 7 else char for char, nibble in zip(digits.lower(), digest, strict=False)
    )


def keccak256(data: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it (padding 0x01); `hashlib` has only SHA-3's padding."""
    rate = 136
    padded = bytearray(data + b"\x01" + b"\x00" * (rate - 1 - len(data) % rate))
    padded[-1] |= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), rate):
        for index in range(rate // 8):
            word = padded[start + index * 8 : start + index * 8 + 8]
            lanes[index % 5][index // 5] ^= int.from_bytes(word, "little")
        lanes = _permute(lanes)
    return b"".join(lanes[index % 5][index // 5].to_bytes(8, "little") for index in range(4))


def _permute(lanes: list[list[int]]) -> list[list[int]]:
    feedback = 1
    for _ in range(_ROUNDS):
        columns = [lane[0] ^ lane[1] ^ lane[2] ^ lane[3] ^ lane[4] for lane in lanes]
        parity = [columns[x - 1] ^ _rotate(columns[(x + 1) % 5], 1) for x in range(5)]
        moved = [[0] * 5 for _ in range(5)]
        for x in range(5):
            for y in range(5):
                moved[y][(2 * x + 3 * y) % 5] = _rotate(lanes[x][y] ^ parity[x], _ROTATIONS[x][y])
        lanes = [
            [moved[x][y] ^ (~moved[(x + 1) % 5][y] & moved[(x + 2) % 5][y] & _MASK) for y in range(5)] for x in range(5)
        ]
        for power in range(7):
            if feedback & 1:
                lanes[0][0] ^= 1 << ((1 << power) - 1)
            feedback = (feedback << 1) ^ (0x171 if feedback & 0x80 else 0)
    return lanes


def _rotate(word: int, by: int) -> int:
    return ((word << by) | (word >> (64 - by))) & _MASK
