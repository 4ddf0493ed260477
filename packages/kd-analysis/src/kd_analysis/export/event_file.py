"""TensorBoard's event files, written without it: protocol buffers in records that carry masked CRC-32C sums.

A record is its length (8 bytes), the sum of these, the data, the sum of the data, all little-endian. The data is an
`Event` of tensorflow/core/util/event.proto, of which only what scalars need is written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

_POLYNOMIAL = 0x82F63B78
"""Castagnoli's, with its bits reversed."""
_MASK_DELTA = 0xA282EAD8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types of protocol buffers."""


def event_file(scalars: Iterable[tuple[float, int, Mapping[str, float]]], began: float) -> bytes:
    """The whole file, begun at `began`. Each of `scalars` is (time in seconds since 1970, step, value by tag)."""
    events = [_event(began, file_version="brain.Event:2")]
    events += [_event(wall_time, step=step, values=values) for wall_time, step, values in scalars]
    return b"".join(map(record, events))


def record(data: bytes) -> bytes:
    """`data` with its length and both sums."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


def masked_crc(data: bytes) -> int:
    """CRC-32C, rotated and shifted so that a sum over sums is not trivial."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    crc, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _table() -> Iterator[int]:
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        yield byte


_TABLE = tuple(_table())


def _event(
    wall_time: float, *, step: int = 0, file_version: str = "", values: Mapping[str, float] | None = None
) -> bytes:
    """message Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }"""
    data = _key(1, _FIXED64) + struct.pack("<d", wall_time)
    if step:
        data += _key(2, _VARINT) + _varint(step)
    if file_version:
        data += _length_delimited(3, file_version.encode())
    if values is not None:
        data += _length_delimited(5, b"".join(_length_delimited(1, _value(*pair)) for pair in values.items()))
    return data


def _value(tag: str, value: float) -> bytes:
    """message Summary.Value { string tag = 1; float simple_value = 2; }"""
    return _length_delimited(1, tag.encode()) + _key(2, _FIXED32) + struct.pack("<f", value)


def _length_delimited(field: int, data: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(data)) + data


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that there are more. Raises ValueError below 0."""
    if number < 0:
        raise ValueError(f"{number} is negative")
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])
