"""Plain arrays in an archive, read without trust: no objects, nothing packed, no more than stands.

numpy's own reader takes what a header says: a shape of terabytes, a zip that unpacks to gigabytes,
text that it parses as Python. Here a header is the one line that we write, and an array is as large
as the bytes behind it.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEMBERS_MAX: Final = 64
DIMENSIONS_MAX: Final = 8
SUFFIX: Final = ".npy"
_MAGIC: Final = b"\x93NUMPY\x01\x00"
_LENGTH: Final = struct.Struct("<H")
_HEADER: Final = re.compile(
    rb"\{'descr': '([<|][biuf][1248])', 'fortran_order': (True|False),"
    rb" 'shape': \(((?:\d{1,15},? ?)*)\), \} *\n"
)
# of members that are packed, encrypted, cut off, or of a version that Python does not know
_ARCHIVE_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    OverflowError,
)


def plain_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Arrays by name, as `np.savez` keeps them. Raises ValueError for anything else."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            members = packed.infolist()
            if len(members) > MEMBERS_MAX:
                raise ValueError(f"{len(members)} arrays, at most {MEMBERS_MAX}")
            if sum(one.file_size for one in members) > len(content):
                raise ValueError("members that unpack to more than is stored")
            if any(one.compress_type != zipfile.ZIP_STORED for one in members):
                raise ValueError("a member that is packed")
            return {one.filename.removesuffix(SUFFIX): _array(packed.read(one)) for one in members}
    except _ARCHIVE_ERRORS as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _array(stored: bytes) -> NDArray[Any]:
    """One array from the bytes of its file. Raises ValueError."""
    begin = len(_MAGIC) + _LENGTH.size
    if not stored.startswith(_MAGIC) or len(stored) < begin:
        raise ValueError("no plain array")
    end = begin + _LENGTH.unpack_from(stored, len(_MAGIC))[0]
    found = _HEADER.fullmatch(stored[begin:end])
    if found is None:
        raise ValueError("an array of another kind than numbers and booleans")
    kind = np.dtype(found[1].decode())
    shape = tuple(int(size) for size in found[3].decode().replace(",", " ").split())
    if len(shape) > DIMENSIONS_MAX or math.prod(shape) * kind.itemsize != len(stored) - end:
        raise ValueError(f"an array of shape {shape} in {len(stored) - end} bytes")
    order = "F" if found[2] == b"True" else "C"
    flat = np.frombuffer(stored, kind, offset=end)
    if kind.kind == "b" and (flat.view(np.uint8) > 1).any():
        raise ValueError("a boolean that is neither true nor false")
    return flat.reshape(shape, order=order).copy(order)  # type: ignore[call-overload,no-any-return]
