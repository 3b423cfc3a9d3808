"""The outbox where its file cannot be written: memory stands by, and is moved into it later.

The same order, the same bytes, at least once. What is in memory alone is gone with the process,
and that is said while it lasts. Bounded: beyond it the oldest go, those first that were delivered,
never the last word of a retained topic.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from edge.errors import JournalError
from edge.storage.outbox_table import DELIVERED, OVERTAKEN, WITHHELD, OutboxRow, key_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Container, Mapping, Sequence

    from edge.records import Publish
    from edge.storage.outbox import Outbox
    from edge.storage.patience import Patience

MEMORY_ROWS_MAX: Final = 20_000
MEMORY_BYTES_MAX: Final = 64 << 20
Key = tuple[str, str, int]  # topic, id, revision
V = TypeVar("V")


@dataclass(slots=True)
class _Kept:
    """A message in memory."""

    row: OutboxRow
    key: tuple[str, int]
    delivered: int = 0  # as in the file


class StandbyOutbox:
    """An outbox that takes all that it is given; `trouble`: why not into its file, "" it does."""

    def __init__(self, opened: Callable[[], Outbox], *, patience: Patience) -> None:
        """opened: opens the file, and raises JournalError where that fails."""
        self.trouble = ""
        self._opened, self._patience = opened, patience
        self._file: Outbox | None = None
        self._rows: dict[int, _Kept] = {}
        self._by_key: dict[Key, int] = {}
        self._last: dict[str, int] = {}  # newest row of each topic
        self._bytes = 0
        self._next_row = 1
        self._overtook = False  # rows were handed out while the file could not be read,
        self._ahead: dict[str, int] = {}  # and from then on the newest of each retained topic
        self._owed: dict[int, int] = {}  # rows of the file that are done with, and not marked so
        self._conflicts, self._conflict, self._given_up = 0, "", 0
        self._contested: set[str] = set()
        try:
            self._file = opened()
        except JournalError as error:
            self.trouble = str(error)

    # --- what it has ---

    @property
    def answers(self) -> bool:
        """Whether what it says just now is all that is known: the file is not waited for."""
        return not self._patience.busy

    @property
    def contested(self) -> set[str]:
        """Alert ids that were decided with two contents and not said anew since."""
        return self._contested | (self._file.contested if self._file is not None else set())

    @property
    def has_file(self) -> bool:
        """Whether there is a file that tells what was said before."""
        return self._file is not None

    @property
    def in_memory(self) -> int:
        """Messages that wait in memory."""
        return sum(not kept.delivered for kept in self._rows.values())

    @property
    def conflicts_total(self) -> int:
        """Messages whose key had other bytes already."""
        return self._conflicts + (self._file.conflicts_total if self._file is not None else 0)

    @property
    def conflict(self) -> str:
        """Topic and key of the newest one, "" none."""
        return self._conflict or (self._file.conflict if self._file is not None else "")

    @property
    def given_up_total(self) -> int:
        """Messages that waited too long."""
        return self._given_up + (self._file.given_up_total if self._file is not None else 0)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of what waits."""
        of_file = self._file.waiting_bytes if self._file is not None else 0
        waiting = (len(kept.row.payload) for kept in self._rows.values() if not kept.delivered)
        return of_file + sum(waiting)

    def pending_count(self) -> int:
        """How many messages wait."""
        of_file = self._file.pending_count() - len(self._owed) if self._file is not None else 0
        return max(of_file, 0) + self.in_memory

    def pending(self, *, after: int = 0, limit: int = 1000) -> list[OutboxRow]:
        """Undelivered messages in the order in which they were decided, behind row `after`."""
        if not self._rows and self._file is not None and not self._file.pending_count():
            return []  # as nearly always: the file need not be asked
        owed = set(self._owed)
        of_file = self._of_file(
            lambda file: file.pending(after=after, limit=limit + len(owed)), None
        )
        rows = [row for row in of_file or () if row.row not in owed]
        # what was asked of the file and came to it too late is in both
        mine = {(k.row.topic, k.row.payload) for k in self._rows.values()} if rows else ()
        rows = [row for row in rows if (row.topic, row.payload) not in mine]
        rows = self._not_behind(rows)
        rows += [kept.row for n, kept in self._rows.items() if n > after and not kept.delivered]
        self._overtook |= of_file is None and bool(rows)
        if self._overtook:  # whoever reads on from there leaves out what waited in the file
            self._ahead |= {row.topic: row.row for row in rows[:limit] if row.retain}
        return rows[:limit]

    def _not_behind(self, rows: list[OutboxRow]) -> list[OutboxRow]:
        """Without what waited while the file could not be read, and has been overtaken."""
        late = [row.row for row in rows if row.row < self._ahead.get(row.topic, 0)]
        self._owed |= dict.fromkeys(late, DELIVERED)
        return [row for row in rows if row.row not in late]

    def newest(self, topic: str) -> tuple[str, int] | None:
        """(id, revision) of the last message that was put for a topic; None: there was none."""
        if topic in self._last:
            return self._rows[self._last[topic]].key
        return self._of_file(lambda file: file.newest(topic), None)

    def revision_of(self, topic: str, alert_id: str) -> int:
        """The highest revision that was put for a topic and an id; 0: none."""
        own = [rev for name, known, rev in self._by_key if (name, known) == (topic, alert_id)]
        return max([self._of_file(lambda file: file.revision_of(topic, alert_id), 0), *own])

    def payload_of(self, topic: str, key: tuple[str, int]) -> bytes | None:
        """What was put under a key; None: nothing, as far as it is known."""
        at = self._by_key.get((topic, *key))
        if at is not None:
            return self._rows[at].row.payload
        return self._of_file(lambda file: file.payload_of(topic, key), None)

    def standing(self) -> list[OutboxRow] | None:
        """The last message of each retained topic for which nothing waits.

        None while the file cannot be asked.
        """
        of_file = self._of_file(self._standing_in, None)
        if of_file is None and self._file is not None:
            return None
        last = self._last_said()
        rows = [row for row in of_file or () if row.topic not in last]
        rows += [kept.row for kept in last.values() if kept.delivered]
        return rows

    def _standing_in(self, file: Outbox) -> list[OutboxRow]:
        """What stands of the file, which may not know what was delivered."""
        newest: dict[str, OutboxRow] = {}
        rows = file.pending() if self._owed else []
        while rows:  # a thousand at a time: they may be of days
            newest |= {row.topic: row for row in rows if row.retain}
            rows = file.pending(after=rows[-1].row)
        said = (row for row in newest.values() if self._owed.get(row.row) == DELIVERED)
        return [*file.standing(), *said]

    def _last_said(self) -> dict[str, _Kept]:
        """In memory, the newest of each retained topic that is said, or will be."""
        said = (one for one in self._rows.values() if one.delivered != WITHHELD and one.row.retain)
        return {kept.row.topic: kept for kept in said}

    def withheld(self) -> set[str]:
        """Ids of which the last message on a retained topic is withheld."""
        nothing: list[str] = []
        last = map(self._rows.__getitem__, self._last.values())
        mine = {kept.key[0] for kept in last if kept.delivered == WITHHELD and kept.row.retain}
        return mine | set(self._of_file(lambda file: file.withheld(), nothing))

    def resolved(self) -> None:
        """What was contested has been said as a later revision."""
        self._conflict = ""
        self._contested.clear()
        if self._file is not None:
            self._file.resolved()

    def last_words(self, topics: Sequence[str]) -> list[OutboxRow]:
        """The last message of each of these topics, delivered or not."""
        nothing: list[OutboxRow] = []
        elsewhere = [topic for topic in topics if topic not in self._last]
        return [
            *(self._rows[self._last[topic]].row for topic in topics if topic in self._last),
            *self._of_file(lambda file: file.last_words(elsewhere), nothing),
        ]

    # --- what is done ---

    def change(self, what: Callable[[sqlite3.Connection], V]) -> V:
        """Do something to the rows of the file. Raises JournalError where it cannot be written."""
        file = self._file
        if file is None or self.trouble:
            raise JournalError(f"outbox cannot be written: {self.trouble}")
        return self._patience.run(lambda: file.change(what))

    def put(self, messages: Sequence[Publish]) -> list[str]:
        """Keep messages, in the file or in memory.

        Returns what could not be kept because its key has other bytes already.
        """
        file = self._file
        if file is not None and not self.trouble:
            try:
                return self._patience.run(lambda: file.put(messages))
            except JournalError as error:
                self._fail(error, late=len(messages))
        conflicts = []
        for message in messages:
            stands = self.payload_of(message.topic, key_of(message))
            if stands is None:
                self._keep(message)
            elif stands != message.payload:
                conflicts.append(f"{message.topic} {message.key}")
                self._contested.add(key_of(message)[0])
        self._conflicts += len(conflicts)
        self._conflict = conflicts[-1] if conflicts else self._conflict
        self._bound()
        return conflicts

    def delivered(self, rows: Sequence[int], *, mark: int = DELIVERED) -> None:
        """The broker has confirmed these rows; mark: or they are done with for another reason."""
        for row in rows:
            if row in self._rows:
                self._rows[row].delivered = mark
        of_file = [row for row in rows if row not in self._rows]
        file = self._file
        if of_file and file is not None and not self.trouble:
            try:
                self._patience.run(lambda: file.delivered(of_file, mark=mark))
            except JournalError as error:
                self._fail(error)
            else:
                return
        self._owed |= dict.fromkeys(of_file if file is not None else (), mark)

    @property
    def newest_row(self) -> int:
        """Number of the newest row of the file."""
        return self._file.newest_row if self._file is not None else 0

    def withhold(self, messages: Sequence[Publish]) -> None:
        """What has just been put is not to be said; it stands all the same."""
        rows = []
        for message in messages:
            at = self._by_key.get((message.topic, *key_of(message)))
            if at is None:
                at = self._row_in_file(message.topic, key_of(message))
            rows += [] if at is None else [at]
        self.delivered(rows, mark=WITHHELD)

    def hold_back(self, messages: Sequence[Publish]) -> bool:
        """Of what has just been put, what memory alone has is not to be said; whether any is."""
        mine = [one for one in messages if (one.topic, *key_of(one)) in self._by_key]
        self.withhold(mine)
        return bool(mine)

    def _row_in_file(self, topic: str, key: tuple[str, int]) -> int | None:
        return self._of_file(lambda file: file.row_of(topic, key), None)

    def overtaken(
        self, said: Mapping[str, tuple[str, int]], *, foreign: Container[str] = ()
    ) -> None:
        """Somebody has said these (id, revision) on retained topics: what waits before is not sent.

        The messages of an asset leave in their order, so all of that was said; and a journal that
        was damaged since may have decided it otherwise.
        """
        for topic, (alert_id, revision) in said.items():
            upto = revision + (topic in foreign)  # by somebody else: ours of that revision too
            for kept in self._rows.values():
                itself = (kept.key[1], kept.row.topic) == (revision, topic)
                before = kept.key[1] < upto or itself
                if kept.key[0] == alert_id and before and not kept.delivered:
                    kept.delivered = DELIVERED
        keys = [(known, rev + (one in foreign), rev, one) for one, (known, rev) in said.items()]
        with suppress(JournalError):  # a file that cannot be written says nothing now
            self.change(lambda database: database.executemany(OVERTAKEN, keys))

    def covered(self, until: int) -> None:
        """A checkpoint covers everything up to a row."""
        file = self._file
        if file is None or self.trouble:
            return
        try:
            self._patience.run(lambda: file.covered(until))
        except JournalError as error:
            self._fail(error)

    def recover(self) -> tuple[dict[int, int], bool]:
        """Move everything into the file, which can be written again.

        Returns the numbers of rows in the file by those in memory, and whether older rows may wait
        in it, because it was opened or could be read only now. Raises JournalError; then all is as
        it was.
        """
        if opened := self._file is None:
            self._file = self._patience.opened("outbox", self._opened)
        file = self._file
        kept = [(one.row, one.key, one.delivered) for one in self._rows.values()]
        said, overtook = self._last_said(), self._overtook
        ahead = {t: one.row.row for t, one in said.items() if one.delivered == DELIVERED}
        ahead |= {t: max(row, ahead.get(t, 0)) for t, row in self._ahead.items()}

        def move() -> dict[int, int]:
            numbers = file.adopt(kept)
            own = set(numbers.values())  # of these memory knows what became of them
            if opened and kept:
                file.superseded([*said], before=numbers[kept[0][0].row], but=own)
            for topic, row in ahead.items():  # what waits before what is said must not follow it
                file.superseded([topic], before=numbers.get(row, row), but=own)
            for mark in set(self._owed.values()):
                file.delivered([row for row, of in self._owed.items() if of == mark], mark=mark)
            return numbers

        try:
            numbers = self._patience.run(move)
        except JournalError:
            self._file = None if opened else self._file
            raise
        self._rows, self._by_key, self._last, self._bytes = {}, {}, {}, 0
        self._owed, self.trouble = {}, ""
        self._ahead, self._overtook = {}, False
        return numbers, opened or overtook

    def close(self) -> None:
        """Close the file, where nothing is being done to it."""
        if self._file is not None and not self._patience.busy:
            self._file.close()

    # --- memory ---

    def _fail(self, error: JournalError, *, late: int = 0) -> None:
        """late: messages of a put that was too slow: it may yet come to its end, and take numbers.

        Not one each: some of them may stand already, which nobody could look up meanwhile.
        """
        self.trouble = str(error)
        assert self._file is not None
        self._next_row = max(self._next_row, self._file.newest_row + 1 + late)

    def _of_file(self, read: Callable[[Outbox], V], nothing: V) -> V:
        """What the file says; nothing where it cannot be asked."""
        if self._file is None or self._patience.busy:
            return nothing
        try:
            return read(self._file)
        except JournalError as error:
            self._fail(error)
            return nothing

    def _keep(self, message: Publish) -> None:
        row = OutboxRow(
            row=self._next_row,
            topic=message.topic,
            payload=message.payload,
            qos=message.qos,
            retain=message.retain,
        )
        self._next_row += 1
        self._rows[row.row] = _Kept(row, key_of(message))
        self._by_key[message.topic, *key_of(message)] = row.row
        self._last[message.topic] = row.row
        self._bytes += len(message.payload)

    def _bound(self) -> None:
        if len(self._rows) <= MEMORY_ROWS_MAX and self._bytes <= MEMORY_BYTES_MAX:
            return
        last = {n for n in self._last.values() if self._rows[n].row.retain}
        last |= {kept.row.row for kept in self._last_said().values()}
        order = sorted(self._rows, key=lambda n: (not self._rows[n].delivered, n))
        for n in order:
            if len(self._rows) <= 0.95 * MEMORY_ROWS_MAX and self._bytes <= 0.95 * MEMORY_BYTES_MAX:
                return
            if n in last:
                continue
            kept = self._rows.pop(n)
            del self._by_key[kept.row.topic, *kept.key]
            if self._last.get(kept.row.topic) == n:
                del self._last[kept.row.topic]
            self._bytes -= len(kept.row.payload)
            self._given_up += not kept.delivered
