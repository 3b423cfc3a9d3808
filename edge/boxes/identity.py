"""Which box this is: a random id made when its state began, and how often it has been replaced.

    box.json      below [journal] dir

A restored backup is another box of a higher generation. Boxes of one site are in one order, by
generation, then by when they began, so of any two both know which one counts.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import UNREADABLE, AndonError, ConfigError
from edge.storage.disk import CLOCK, DISK, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.storage.disk import Clock, Disk

FILE: Final = "box.json"
BYTES_MAX: Final = 65_536
ID_BYTES: Final = 8
GENERATION_MAX: Final = 100_000  # a number beyond it is a mistake or an attack
# A box believes no other that is further ahead: else one forged claim of the highest generation
# would leave none above it, and nobody could let the true box speak again.
AHEAD_MAX: Final = 1_000
FENCED_EXIT: Final = 77  # EX_NOPERM: a supervisor should not start us again


class Fenced(AndonError):  # noqa: N818 - a state of the box, and what it is called everywhere
    """Another box has taken over: this one says nothing any more."""


class Rank(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """Which of several boxes counts: the highest."""

    generation: int
    since_ms: int
    box: str


class Box(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A box, and what it knows of others. since_ms: wall clock when it began.

    takes_over: it was restored, and has not heard yet what stands at the broker. outbox_row: the
    newest row of the outbox that came from the box before. claimed: it has said on `fence` that it
    is there. fenced_by: the box that has taken over from it; None: none has.
    """

    box: str
    generation: int
    since_ms: int
    takes_over: bool = False
    outbox_row: int = 0
    claimed: bool = False
    fenced_by: Rank | None = None

    @property
    def rank(self) -> Rank:
        """Its place among the boxes of the site."""
        return Rank(generation=self.generation, since_ms=self.since_ms, box=self.box)


def new_box(
    *,
    generation: int = 1,
    takes_over: bool = False,
    outbox_row: int = 0,
    clock: Clock = CLOCK,
    token: Callable[[int], str] = secrets.token_hex,
) -> Box:
    """A box that begins now, with an id that no other has; token: draws one of so many bytes."""
    return Box(
        box=token(ID_BYTES),
        generation=generation,
        since_ms=clock.wall_ns() // 1_000_000,
        takes_over=takes_over,
        outbox_row=outbox_row,
    )


def read_box(state: Path) -> Box | None:
    """The box whose state a directory holds; None: it has none yet.

    Raises ConfigError for a file that does not say who it is.
    """
    path = state / FILE
    try:
        with path.open("rb") as file:
            stored = file.read(BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    try:
        box = msgspec.json.decode(stored, type=Box)
    except UNREADABLE as error:  # also of one that was cut at the cap
        raise ConfigError(
            f"{path}: {error}; expected the id of this box. Restore it from a backup. Removed, this"
            " box begins as a new one of generation 1, and gives way to any that replaced it"
        ) from error
    if not (box.box and 1 <= box.generation <= GENERATION_MAX):
        raise ConfigError(
            f"{path}: generation {box.generation} of {box.box!r}, expected 1 to {GENERATION_MAX}"
        )
    return box


def box_of(state: Path) -> Box:
    """The box whose state a directory holds, made where there is none. Raises ConfigError."""
    found = read_box(state)
    return found if found is not None else write_box(state, new_box())


def box_here(
    state: Path,
    *,
    disk: Disk = DISK,
    clock: Clock = CLOCK,
    token: Callable[[int], str] = secrets.token_hex,
) -> Box:
    """As `box_of`, but in memory where the disk does not take a new one.

    Raises ConfigError for a file that does not say who it is.
    """
    found = read_box(state)
    if found is None:
        found = new_box(clock=clock, token=token)
        with suppress(ConfigError):
            write_box(state, found, disk=disk)
    return found


def write_box(state: Path, box: Box, *, disk: Disk = DISK) -> Box:
    """Keep what is known of this box, all or nothing; returns it. Raises ConfigError."""
    path = state / FILE
    work = path.with_name(f".{FILE}.{os.getpid()}")
    try:
        disk.make_directory(state)
        with disk.open(work, "wb") as file:
            write_whole(disk, file, msgspec.json.format(msgspec.json.encode(box), indent=1) + b"\n")
            disk.sync(file)
        disk.replace(work, path)
        disk.sync_directory(state)
    except OSError as error:
        with suppress(OSError):
            disk.unlink(work)
        raise ConfigError(f"{path}: {error.strerror}; nothing has changed") from error
    return box


def fenced_words(box: Box, *, file: str = "CONFIG") -> str:
    """Why this box may not run, for people; "" it may. file: its configuration, where known."""
    by = box.fenced_by
    if by is None:
        return ""
    return (
        f"this box ({box.box}, generation {box.generation}) was replaced by box {by.box} of"
        f" generation {by.generation}, and says nothing any more. If it is this one that should"
        f" run: andon fence {file} --take-over --because WHY"
    )
