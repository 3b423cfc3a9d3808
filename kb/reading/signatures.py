"""Signatures that lie beside files of the source folder: kept as they are, judged elsewhere."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from kb.records import SignedTable

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX: Final = ".sig"
SIGNATURES_BYTES_MAX: Final = 1_024  # some ten lines; a longer file is none


def is_signature(path: Path) -> bool:
    """Whether a file is about the one whose name it has but for its ending."""
    return path.suffix == SUFFIX


def signature_bytes(path: Path) -> bytes:
    """What lies beside a file as its signatures; b"" nothing that could be any."""
    beside = path.with_name(path.name + SUFFIX)
    with suppress(OSError):
        plain = beside.is_file() and not beside.is_symlink()  # a pipe would be waited for
        if plain and beside.stat().st_size <= SIGNATURES_BYTES_MAX:
            return beside.read_bytes()
    return b""


def signed_table(path: Path, name: str, content: bytes) -> SignedTable | None:
    """A scope table with the signatures beside it; None: it has none that can be read."""
    signatures = signature_bytes(path)
    if not signatures.strip() or not signatures.isascii():
        return None
    return SignedTable(path=name, content=content, signatures=signatures.decode("ascii"))
