"""What a snapshot says about itself; every byte of it counts."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

FORMAT: Final = 4


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """Something in the source folder that could not be read or is not believed, and why.

    What cannot be read is not in the snapshot; an order that is not believed is not approved there.
    """

    path: str
    line: int  # from 1; 0 is the whole file
    cause: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much a snapshot holds; `embedded` of its vectors were computed, the others reused."""

    documents: int
    chunks: int
    vectors: int
    embedded: int
    proposals: int
    scope_rows: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hashes, counts and lineage; `sha256`, of all the rest, names the snapshot."""

    format: int = FORMAT
    created_ns: int
    parent: str  # sha256 of the snapshot whose vectors were reused; "" for none
    source: str  # the folder that it was read from, as a path of the machine that read it
    embedder_sha256: str
    files: dict[str, str]  # name -> sha256
    counts: Counts
    quarantined: tuple[Quarantined, ...]
    sha256: str = ""

    def sealed(self) -> Manifest:
        """The same manifest with its own hash filled in."""
        blank = msgspec.structs.replace(self, sha256="")
        return msgspec.structs.replace(self, sha256=hashlib.sha256(blank.encoded()).hexdigest())

    def encoded(self) -> bytes:
        """The one way to write it."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @classmethod
    def decoded(cls, stored: bytes) -> Manifest:
        """Read and check: one changed byte is an error. Raises ValueError."""
        manifest = msgspec.json.decode(stored, type=cls)
        if manifest.format != FORMAT:
            raise ValueError(f"format {manifest.format}, this release reads {FORMAT}")
        if manifest.encoded() != stored or manifest.sealed() != manifest:
            raise ValueError("its own hash does not fit its content")
        return manifest
