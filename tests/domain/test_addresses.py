"""Addresses as they may be written, with the checksums that EIP-55 itself gives as examples."""

import pytest

from scorer_fast.domain.addresses import checksummed, is_address, is_address_as_written

EIP55 = [
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]
ALL_CAPS = ["0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D"]
ALL_LOWER = ["0xde709f2102306220921060314715629080e2fb77", "0x27b1fdb04752bbc536007a920d24acb045561c26"]


@pytest.mark.parametrize("address", EIP55 + ALL_CAPS + ALL_LOWER)
def test_the_examples_of_eip55(address: str) -> None:
    assert checksummed(address[2:].lower()) == address[2:]
    assert is_address_as_written(address)
    assert is_address_as_written(address.lower())
    assert is_address_as_written(address.upper())
    assert is_address_as_written(address[2:].lower())
    assert is_address_as_written(address[2:].upper())


@pytest.mark.parametrize("address", EIP55)
def test_a_checksum_begins_with_0x(address: str) -> None:
    """As eth_utils compares it, which the host asks: without, or with another prefix, mixed case is none."""
    assert not is_address_as_written(address[2:])
    assert not is_address_as_written("0X" + address[2:])


@pytest.mark.parametrize("address", EIP55)
def test_a_mixed_case_that_is_no_checksum_is_none(address: str) -> None:
    wrong = address[:-1] + address[-1].swapcase() if address[-1].isalpha() else address.swapcase()
    assert not is_address_as_written(wrong)
    assert is_address(wrong.lower())


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("0x" + "ab" * 20, True),
        ("ab" * 20, True),
        ("0x" + "0" * 40, True),
        ("", False),
        ("0x", False),
        ("0x" + "ab" * 19, False),
        ("0x" + "ab" * 21, False),
        ("0x" + "ab" * 19 + "ag", False),
        ("0x" + "ab" * 20 + "\n", False),
        (" 0x" + "ab" * 20, False),
        ("0x0x" + "ab" * 20, False),
        ("0x" + "\u0661" * 40, False),
        ("0x" + "ab" * 19 + "a\x00", False),
        ("me.eth", False),
    ],
)
def test_twenty_bytes_of_hex(address: str, good: bool) -> None:
    assert is_address(address) is good
    assert is_address_as_written(address) is good
