"""The journal of a running gateway, and its checkpoints, as a backup takes them."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from edge.boxes.archive import BackupError
from edge.storage.formats import CHECKPOINT_SUFFIX, HISTORY_SUFFIX, LINK_SUFFIX
from edge.storage.journal import is_written, segments, written_s
from edge.storage.journal_writer import DAY_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.boxes.archive import ArchiveWriter

POLL_S: Final = 0.02
GROUPS: Final = 2  # that a gateway takes behind a place: then all up to it is in its outbox
GROUP_S_MAX: Final = 20.0  # it ticks several times a second; a slow one takes a second or two
TRIES: Final = 20


class Cut(NamedTuple):
    """Where a copy of a journal begins and ends; segment 0: there is none."""

    first: int
    segment: int
    offset: int


def settled(journal: Path, checkpoints: Path, *, tell: Callable[[str], object]) -> Cut:
    """A place in the journal, behind which a running gateway has gone on.

    So whatever it decided up to there stands in its outbox. Behind one that hangs it is the newest
    checkpoint, which is written when that is so. Raises BackupError for one that hangs without.
    """
    end = _end(journal)
    if not end.segment or not is_written(journal):
        return end
    seen, grown = end, 0
    deadline_s = time.monotonic() + GROUP_S_MAX
    while grown < GROUPS and time.monotonic() < deadline_s:
        time.sleep(POLL_S)
        now = _end(journal)
        grown += now[1:] > seen[1:]
        seen = now
    if grown >= GROUPS or not is_written(journal):
        return end
    tell("the gateway takes nothing; up to its newest checkpoint")
    place = checkpoint_place(checkpoints)
    if place is None:
        raise BackupError(
            f"{journal}: a gateway holds it, takes nothing and has no checkpoint; stop it, then"
            " back up again"
        )
    return Cut(end.first, *place)


def checkpoint_place(checkpoints: Path) -> tuple[int, int] | None:
    """Segment and byte of the newest checkpoint, by its name; None: there is none."""
    found = []
    for path in checkpoints.glob(f"*-*{CHECKPOINT_SUFFIX}"):
        with suppress(ValueError):
            segment, _, offset = path.stem.partition("-")
            found.append((int(segment), int(offset)))
    return max(found, default=None)


def copy_checkpoints(writer: ArchiveWriter, checkpoints: Path, name: str) -> None:
    """All checkpoints with the parts of histories and states that they name. Raises BackupError.

    The gateway drops the older ones, and parts, only behind a newer one: what was read while there
    came none belongs together.
    """
    for _ in range(TRIES):
        found = sorted(checkpoints.glob(f"*{CHECKPOINT_SUFFIX}"), reverse=True)
        parts = [*checkpoints.glob(f"*{HISTORY_SUFFIX}"), *checkpoints.glob(f"*{LINK_SUFFIX}")]
        try:
            with_bytes = [(path.name, path.read_bytes()) for path in (*found, *sorted(parts))]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise BackupError(f"{checkpoints}: {error.strerror}") from error
        if sorted(checkpoints.glob(f"*{CHECKPOINT_SUFFIX}"), reverse=True) != found:
            continue
        for file, content in with_bytes:
            writer.add_bytes(f"{name}/{file}", content)
        return
    raise BackupError(
        f"{checkpoints}: another checkpoint was written each time that they were read; raise"
        " [journal] checkpoint_s, or stop the gateway, then back up again"
    )


def copy_journal(
    writer: ArchiveWriter,
    journal: Path,
    name: str,
    *,
    cut: Cut,
    days: float | None,
    checkpoints: Path,
) -> tuple[Cut, str]:
    """Its segments up to `cut`; of those before the checkpoint's only `days`, None: all.

    Returns where the copy begins and ends, and what was left out on request, "" nothing. A segment
    that the gateway drops meanwhile is one that it would not have either. Raises BackupError.
    """
    place = checkpoint_place(checkpoints)
    needed = place[0] if place is not None else 0
    oldest_s = time.time() - days * DAY_S if days is not None else None
    left, first = 0, 0
    found = segments(journal)
    for (number, path), last_s in zip(found, written_s(found), strict=True):
        if number > cut.segment:
            break
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue
        with file:
            old = oldest_s is not None and last_s < oldest_s
            if old and not first and number < needed:
                left += 1
                continue
            first = first or number
            size = cut.offset if number == cut.segment else None
            writer.add(f"{name}/{path.name}", file, size_max=size)
    gone = ""
    if left:
        gone = (
            f"{left} segments of the journal older than {days:g} days: alerts of then cannot be"
            " explained again, fitted on, labelled or replayed; a restart does not need them"
        )
    return Cut(first, cut.segment, cut.offset), gone


def _end(journal: Path) -> Cut:
    """Where it is written now."""
    for _ in range(TRIES):
        found = segments(journal)
        if not found:
            return Cut(0, 0, 0)
        number, path = found[-1]
        with suppress(FileNotFoundError):
            return Cut(found[0][0], number, path.stat().st_size)
    return Cut(0, 0, 0)
