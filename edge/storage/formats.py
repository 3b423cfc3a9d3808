"""Format numbers of what is on the disk, and what this version can read.

A file begins with eight bytes: a name, one digit and a line end. A larger digit is of a newer
version: it is refused, and nothing of it is touched. The digits have an odd number of set bits (1,
2, 4, 7, 8): no single flipped bit makes one of another, and what is damaged is no newer one.

    ANDONJ  journal     1: records of msgpack [now_ns, stimulus]
                        2: also groups of them, packed with zlib; stimuli `shed` and `hole`
                        4: packed with Zstandard; also groups of messages by columns
    ANDONC  state       1: position, fingerprint with the version of Andon in it, state
                        2: head and state apart, histories of the assets in files of their own; so
                           are their states, where the head names them
                        4: packed with Zstandard

A new stimulus, or another meaning of one, is a new format of the journal: an older version could
not take it again. A state that an older one would read wrongly is a new format of the state; a new
field with a default is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.errors import JournalError

if TYPE_CHECKING:
    from pathlib import Path

JOURNAL: Final = b"ANDONJ"
STATE: Final = b"ANDONC"
HISTORY: Final = b"ANDONH"
LINK: Final = b"ANDONL"
JOURNAL_FORMATS: Final = (1, 2, 4)
JOURNAL_FORMAT: Final = JOURNAL_FORMATS[-1]
STATE_FORMAT: Final = 4
MAGIC_BYTES: Final = 8
JOURNAL_SUFFIX: Final = ".journal"
CHECKPOINT_SUFFIX: Final = ".checkpoint"
HISTORY_SUFFIX: Final = ".history"
LINK_SUFFIX: Final = ".assets"


def magic(name: bytes, number: int) -> bytes:
    """The first eight bytes of a file of a format."""
    return b"%s%d\n" % (name, number)


def format_of(head: bytes, name: bytes) -> int:
    """The format number of a file that begins so; 0: it is no such file, or damaged."""
    digit = head[len(name) : len(name) + 1]
    if head[: len(name)] != name or head[len(name) + 1 : MAGIC_BYTES] != b"\n":
        return 0
    number = int(digit) if digit.isdigit() else 0
    return number if number.bit_count() % 2 else 0


def refuse_newer(*, journal: Path, checkpoints: Path) -> None:
    """Raise JournalError when a newer version wrote what is here; look at nothing but heads."""
    kinds = (
        (journal, JOURNAL_SUFFIX, JOURNAL, JOURNAL_FORMAT, "journal"),
        (checkpoints, CHECKPOINT_SUFFIX, STATE, STATE_FORMAT, "state"),
    )
    for folder, suffix, name, known, what in kinds:
        for path in sorted(folder.glob(f"*{suffix}"), reverse=True):
            found = format_of(_head(path), name)
            if found > known:
                raise JournalError(newer(path, what, found=found, known=known))


def newer(path: Path, what: str, *, found: int, known: int) -> str:
    """Why a file of a newer version is not read, and what to do."""
    return (
        f"{path}: {what} of format {found}, written by a newer Andon; this version reads up to"
        f" {known}. Nothing was changed: start the newer version again, or move {path.parent} away"
        " to begin without what it knows"
    )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAGIC_BYTES)
    except OSError:  # whoever needs it will say so
        return b""
