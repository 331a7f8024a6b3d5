"""The protocol of the OSD's `rbd` class: names of objects and the encoding of what its methods take and return.

librbd calls the same methods, but on an image that it has opened first, and one key of metadata at a time. Numbers are
little-endian; a text is a 32-bit length and UTF-8; a map is a 32-bit count and that many pairs of texts. Pure: no I/O.
"""

import struct
from collections.abc import Mapping

CLASS_NAME = "rbd"
DIRECTORY = "rbd_directory"
TRASH = "rbd_trash"
HEADER_PREFIX = "rbd_header."
ID_PREFIX = "rbd_id."
OBJECT_MAP_PREFIX = "rbd_object_map."

METADATA_KEYS_PER_READ = 64
"""Keys that one call of `metadata_list` returns at most; an image of Sutler's has about ten."""

_U64 = struct.Struct("<Q")

# The number of existing objects in one byte of an object map, which has two bits for each: 0 is "does not exist".
_EXISTING = bytes(sum(1 for shift in (0, 2, 4, 6) if byte >> shift & 3) for byte in range(256))


def encode_text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<I", len(raw)) + raw


def encode_map(metadata: Mapping[str, str]) -> bytes:
    """The argument of `metadata_set`."""
    parts = [struct.pack("<I", len(metadata))]
    for key, value in sorted(metadata.items()):
        parts += [encode_text(key), encode_text(value)]
    return b"".join(parts)


def encode_metadata_list(after: str = "", most: int = METADATA_KEYS_PER_READ) -> bytes:
    """The argument of `metadata_list`: the key to start after, and the number of keys."""
    return encode_text(after) + _U64.pack(most)


def decode_text(data: bytes) -> str:
    return _decode_text_at(data, 0)[0]


def decode_map(data: bytes) -> dict[str, str]:
    (count,) = struct.unpack_from("<I", data)
    texts = decode_texts(data, 4, 2 * count)
    return dict(zip(texts[::2], texts[1::2], strict=True))


def decode_texts(data: bytes, offset: int, count: int) -> list[str]:
    """So many texts, one after the other, from the offset on."""
    texts: list[str] = []
    for _ in range(count):
        text, offset = _decode_text_at(data, offset)
        texts.append(text)
    return texts


def count_objects(object_map: bytes) -> int:
    """The number of existing objects in the answer of `object_map_load`: header, bits, checksums; a length each."""
    (length,) = struct.unpack_from("<I", object_map)
    (objects,) = _U64.unpack_from(object_map, 4 + length - _U64.size)
    start = 4 + length
    return sum(object_map[start : start + (objects + 3) // 4].translate(_EXISTING))


def _decode_text_at(data: bytes, offset: int) -> tuple[str, int]:
    """The text at the offset, and the offset behind it."""
    (length,) = struct.unpack_from("<I", data, offset)
    start = offset + 4
    return data[start : start + length].decode(errors="replace"), start + length
