"""The compact protocol, held to bytes made by hand from its specification."""

from __future__ import annotations

import pytest

from openmmlo.leaderboard.thrift import TooMuch, Walk

PARTS = {
    "bool true, field 1": [0x11],
    "byte, field 2": [0x13, 7],
    "i16 of 2, field 3": [0x14, 4],
    "i32 of -1011, field 17": [0xE5, 0xE5, 0x0F],
    "double, field 18": [0x17, *[0] * 8],
    "binary 'ab', field 19": [0x18, 2, 0x61, 0x62],
    "list of three i32, field 20": [0x19, 0x35, 2, 4, 6],
    "list of fifteen bools, field 21": [0x19, 0xF1, 15, *[1] * 15],
    "struct of a false bool and i32 of 4, field 22": [0x1C, 0x12, 0x15, 8, 0],
    "i64 of -5 with its field id, 100, in full": [0x06, 0xC8, 0x01, 9],
    "end": [0],
}


def test_a_struct_of_every_kind() -> None:
    data = bytes(byte for part in PARTS.values() for byte in part)
    walk = Walk(data + b"what follows")
    assert walk.struct() == {
        1: True, 2: None, 3: 2, 17: -1011, 18: None, 19: None, 20: None, 21: None, 22: {1: False, 2: 4}, 100: -5,
    }  # fmt: skip
    assert walk.place == len(data)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "ends early"),
        (b"\x15", "ends early"),
        (b"\x15" + b"\xff" * 20, "without end"),
        (b"\x18\xff\xff\xff\xff\x07ab", "ends early"),
        (b"\x1c" * 50, "nested deeper"),
        (b"\x19\x19" + b"\x19" * 50, "nested deeper"),
        (b"\x1b\x00", "kind 11"),
        (b"\x19\xf5\xff\xff\xff\xff\x07" + b"\x02" * 200_000, "too many parts"),
        (b"\x15\x02" * 200_000, "too many parts"),
    ],
)
def test_what_is_no_struct(data: bytes, match: str) -> None:
    with pytest.raises(TooMuch, match=match):
        Walk(data).struct()
