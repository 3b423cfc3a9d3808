"""Caps on what is kept: the journal's segments, the outbox and what stands by for it, dead letters.

Looked at between two turns of the loop. Of files only what may have changed is asked for its size.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from unittest import mock

from edge.gateway.lapse import Part
from edge.storage import dead_letters, outbox, standby
from edge.storage.journal_writer import SEGMENT_BYTES_MAX, SEGMENTS_KEPT_MIN
from edge.storage.outbox_table import WITHHELD
from tests.sim_gateway.again import BrokenError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.gateway.app import Gateway
    from tests.sim_gateway.disk import ForgetfulDisk
    from tests.sim_gateway.fate import Fate

OUTBOX_SLACK_BYTES: Final = 9_000_000  # of its file, beside twice its cap
NARROW: Final = 0.15  # of the seeds: caps that a minute reaches, which those of a month are not
NARROW_CAPS: Final = (
    (outbox, "PENDING_ROWS_MAX", 5),
    (standby, "MEMORY_ROWS_MAX", 4),
    (dead_letters, "WAITING_MAX", 1),
    (dead_letters, "FILE_BYTES_MAX", 400),
)
# what waits and is not the last word of a retained topic
EXPENDABLE: Final = """
SELECT count(*) FROM outbox WHERE delivered = 0 AND row NOT IN
    (SELECT max(row) FROM outbox WHERE retain = 1 AND delivered != 3 GROUP BY topic)
"""


@contextmanager
def drawn(seed: int) -> Iterator[bool]:
    """Caps of a seed, drawn apart, so that it is otherwise what it was; whether they are narrow."""
    narrow = random.Random(f"caps {seed}").random() < NARROW
    with ExitStack() as stack:
        for module, name, cap in NARROW_CAPS if narrow else ():
            stack.enter_context(mock.patch.object(module, name, cap))
        yield narrow


@dataclass(slots=True)
class Caps:
    """Of one seed."""

    fate: Fate
    disk: ForgetfulDisk
    state: Path
    life: int = -1
    begun: int = -1  # newest segment that was there before this process, or a lapse of it, ended
    known: tuple[int, bool, int] = (-1, False, 0)  # life, lapse and groups at the last look
    judged: int = 0  # segments by then
    sizes: dict[str, int] = field(default_factory=dict)  # of segments that are full
    rows: int = -1  # newest of the outbox, when its file was looked at
    letters: int = -1  # that were written, likewise

    def look(self, gateway: Gateway) -> int:
        """Returns how many segments the journal was judged by; 0: not yet. Raises BrokenError."""
        self._outbox(gateway)
        self._standby(gateway._durable.outbox)
        self._letters(gateway)
        return self._journal(gateway)

    def _journal(self, gateway: Gateway) -> int:
        """With a new segment the oldest go, until there is room for all of the new one.

        A power cut may bring back what went, and a disk that fails keeps it, until the next new
        one. A group is written whole: the last of a segment may be longer than what was left of it.
        """
        lapsed = Part.JOURNAL in gateway._durable.lapse.parts
        known = (self.fate.lives, lapsed, self.disk.groups)
        if known != self.known:  # else nothing was written since
            self.known, self.judged = known, 0
            self.judged = self._segments(gateway, lapsed=lapsed)
        return self.judged

    def _segments(self, gateway: Gateway, *, lapsed: bool) -> int:
        folder, bytes_max = self.state / "journal", gateway._config.journal.bytes_max
        names = self.disk.names(folder, ".journal")
        if not names:
            return 0
        newest, full = names[-1], names[:-1]
        number = int(newest.partition(".")[0])
        if self.life != self.fate.lives or lapsed:
            self.life, self.begun, self.sizes = self.fate.lives, number, {}
        if number <= self.begun:
            return 0
        if list(self.sizes) != full:
            self.sizes = {name: (folder / name).stat().st_size for name in full}
        segment_bytes_max = min(SEGMENT_BYTES_MAX, bytes_max // SEGMENTS_KEPT_MIN)
        begin = self.disk.group_at.get(newest, 0)  # of its newest group
        if begin >= segment_bytes_max:
            raise BrokenError(f"{newest} has {begin} B of {segment_bytes_max} B, and goes on")
        if (total := sum(self.sizes.values()) + begin) > bytes_max:
            raise BrokenError(f"the journal has {len(names)} segments, {total} B of {bytes_max} B")
        return len(names)

    def _outbox(self, gateway: Gateway) -> None:
        """Beyond its cap only last words wait, and what a lapse has brought, until the next row."""
        file, bytes_max = gateway._durable.outbox._file, gateway._config.outbox.bytes_max
        if file is None or file.newest_row == self.rows:
            return
        self.rows = file.newest_row
        rows_max = outbox.PENDING_ROWS_MAX
        rows_max += standby.MEMORY_ROWS_MAX if gateway._durable.lapse.lapses_total else 0
        if file.pending_count() > rows_max:
            with closing(sqlite3.connect(self.state / "outbox.sqlite")) as db:
                ((count,),) = db.execute(EXPENDABLE).fetchall()
            if count:
                raise BrokenError(f"{file.pending_count()} rows wait, {count} of no last word")
        if file.waiting_bytes > bytes_max:
            raise BrokenError(f"{file.waiting_bytes} B wait in the outbox")
        size = sum(path.stat().st_size for path in self.state.glob("outbox.sqlite*"))
        if size > 2 * bytes_max + OUTBOX_SLACK_BYTES:
            raise BrokenError(f"the outbox has {size} B on the disk")

    @staticmethod
    def _standby(kept: standby.StandbyOutbox) -> None:
        """Likewise in memory, where what is withheld may be the newest as well."""
        rows = kept._rows
        if not rows:
            return
        size = sum(len(one.row.payload) for one in rows.values())
        if len(rows) <= standby.MEMORY_ROWS_MAX and size <= standby.MEMORY_BYTES_MAX:
            return
        retained = [one for one in rows.values() if one.row.retain]
        said = {one.row.topic: one.row.row for one in retained if one.delivered != WITHHELD}
        newest = {one.row.topic: one.row.row for one in retained}
        if more := rows.keys() - {*said.values(), *newest.values()}:
            raise BrokenError(f"{len(rows)} rows, {size} B, in memory; {len(more)} no last words")

    def _letters(self, gateway: Gateway) -> None:
        letters = gateway._letters
        if len(letters._waiting) > dead_letters.WAITING_MAX:
            raise BrokenError(f"{len(letters._waiting)} dead letters wait")
        if letters.written == self.letters:
            return
        self.letters = letters.written
        for name in (dead_letters.NEWER, dead_letters.OLDER):
            path = letters._folder / name
            if path.exists() and path.stat().st_size > dead_letters.FILE_BYTES_MAX:
                raise BrokenError(f"{name} of the dead letters has {path.stat().st_size} B")
