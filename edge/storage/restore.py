"""Restoring: the newest checkpoint and the journal behind it put an engine where it was.

Only what was taken with the same detector and configuration is taken again. What others decided
stands as it was published, until we say otherwise as a later revision: a detector of another kind
knows nothing of it, and another snapshot or other settings may decide the same samples otherwise.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import TYPE_CHECKING, Final

from edge.alerts.group import GROUP
from edge.errors import AndonError
from edge.records import (
    AlertStands,
    Audited,
    BundleSwapped,
    Note,
    Publish,
    ShellFault,
    Started,
    TextTold,
    Track,
)
from edge.storage.checkpoint import newest
from edge.storage.disk import DISK
from edge.storage.journal import read_journal, segments
from edge.storage.journal_records import DamagedJournalError
from edge.work.durable import NOT_DURABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence
    from pathlib import Path

    from edge.assembly.assembly import Assembly
    from edge.engine import Engine
    from edge.records import Effect
    from edge.storage.disk import Disk
    from edge.storage.history import Histories
    from edge.storage.journal import Entry, Position
    from edge.storage.mending import Loss
    from edge.wire.topics import Topics

GROUP_MAX: Final = 1_000  # messages and lines of the trail kept in one transaction


class RestoreBrokenOffError(AndonError):
    """Somebody asked us to stop meanwhile."""


@dataclass(slots=True, kw_only=True)
class Restored:
    """What a restart has to say. `asked_again`: retrievals whose answer never came.

    gap: what is missing between the checkpoint and the journal; "" nothing.
    """

    stimuli: int = 0
    gap: str = ""
    from_checkpoint: bool = False
    asked_again: tuple[Effect, ...] = ()
    retained: dict[str, Publish] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)  # segments that had to be mended
    texts: list[TextTold] = field(default_factory=list)  # which may not have been noted

    @property
    def faults(self) -> dict[str, str]:
        """What operators must hear of, by name; "" of what is well."""
        damage = "; ".join(map(str, self.losses))
        if len(damage) > FAULT_CHARS_MAX:
            damage = f"{damage[:FAULT_CHARS_MAX]} ... ({len(self.losses)} segments)"
        return {"journal_gap": self.gap, "journal_damaged": damage}


FAULT_CHARS_MAX: Final = 500  # of a fault's detail; the log has all of it


def started(assembly: Assembly, *, generation: int = 1) -> Started:
    """The stimulus with which a process of these artifacts begins, on a box of a generation."""
    return Started(
        version=assembly.version,
        bundle_sha256=assembly.bundle.sha256,
        snapshot_sha256=assembly.snapshot_sha256,
        settings_sha256=assembly.settings_sha256,
        generation=generation,
    )


def restore(
    assembly: Assembly,
    *,
    journal: Path,
    checkpoints: Path,
    keep: Callable[[Sequence[Effect]], None],
    mend: Callable[[DamagedJournalError], Loss] | None = None,
    disk: Disk = DISK,
    go_on: Callable[[], bool] | None = None,
    histories: Histories | None = None,
) -> Restored:
    """Bring `assembly`'s engine to where the journal ends.

    `keep` gets what must be in the outbox and in the audit trail; `mend` puts a damaged segment in
    order, where what is behind the checkpoint needs it; `histories` go on where those of the
    checkpoint ended.

    Raises JournalError for a journal that cannot be read, RestoreBrokenOffError when `go_on` says
    so: then the engine is somewhere in between.
    """
    restored = Restored()
    found, troubles = newest(checkpoints, fingerprint=assembly.fingerprint_of, aside=disk)
    for trouble in troubles:
        _note(restored, "checkpoint_skipped", trouble)
    kept = segments(journal)
    if not kept:
        return restored
    after = found.position if found is not None else None
    first = kept[0][0]
    # a checkpoint that was skipped says by itself why nothing goes on from it
    if (after is not None and first > after.segment) or (not found and not troubles and first > 1):
        at = f"segment {after.segment}" if after is not None else "none"
        restored.gap = (
            f"the journal begins at segment {first}, the newest usable checkpoint is of {at}:"
            " what came between was dropped by [journal] bytes_max or days_max"
        )
        _note(restored, "journal_gap", restored.gap)
    foreign = _read_over(journal, after, assembly, restored, mend, go_on)
    if foreign is not None:
        found, after = None, foreign
        _note(restored, "journal_skipped", "taken with another bundle or configuration, or unknown")
    if found is not None:
        assembly.restore(found.state, version=found.written_by)
        restored.from_checkpoint = True
        if histories is not None:
            histories.go_on(found.history, found.state.ring)
    collects = gc.isenabled()
    gc.disable()  # every look at all that was just read finds that all of it is in use
    try:
        _replay(assembly, _while(go_on, read_journal(journal, after=after)), restored, keep)
    finally:
        if collects:
            gc.enable()
    for sha256 in sorted(assembly.missing):
        _note(restored, "snapshot_missing", missing_snapshot(sha256))
    for sha256 in sorted(assembly.missing_bundles):
        _note(restored, "bundle_missing", missing_bundle(sha256))
    restored.asked_again = assembly.engine.open_questions()
    return restored


def missing_snapshot(sha256: str) -> str:
    """What it means that a journal names a snapshot that nobody kept."""
    return (
        f"the journal names the snapshot {sha256[:12]}, which is not kept any more: where it"
        " counted, nothing is known and nothing was suppressed in taking it again"
    )


def missing_bundle(sha256: str) -> str:
    """What it means that a journal names a bundle that nobody kept."""
    return (
        f"the journal names the bundle {sha256[:12]}, which is not kept any more, damaged, or does"
        " not fit the configuration: where it counted, the one before scored on"
    )


def not_as_published(
    engine: Engine,
    newest: Callable[[str], tuple[str, int] | None],
    revision_of: Callable[[str, str], int],
    *,
    topics: Topics,
    contested: Container[str],
) -> tuple[AlertStands, ...]:
    """Alert topics that do not hold what the engine says.

    newest: (id, revision) that was put last for a topic; revision_of: the highest that was put for
    a topic and an id, 0 for none; contested: ids that were decided twice.
    """
    found = []
    for record in engine.alerts():
        topic = topics.alert(record.asset, record.track)
        stands = newest(topic)
        if stands is None:
            continue
        # Said, not leapt to: else each alert there is would be said again behind each leap.
        if stands != (record.alert_id, record.said) or record.alert_id in contested:
            found.append(
                AlertStands(
                    asset=record.asset,
                    track=record.track,
                    alert_id=stands[0],
                    revision=stands[1],
                    own_revision=revision_of(topic, record.alert_id),
                )
            )
    return (*found, *_groups_not_as_published(engine, newest, revision_of, topics, contested))


def _groups_not_as_published(
    engine: Engine,
    newest: Callable[[str], tuple[str, int] | None],
    revision_of: Callable[[str, str], int],
    topics: Topics,
    contested: Container[str],
) -> Iterable[AlertStands]:
    """The same of group alerts."""
    for cause, group in engine.groups().items():
        topic = topics.alert(GROUP, cause)
        stands = newest(topic)
        # one of a state from before 0.2 does not know what it said last
        ours = (group.group_id, group.said or group.revision) if group is not None else ("", 0)
        if stands is not None and (stands != ours or ours[0] in contested):
            yield AlertStands(
                asset=GROUP,
                track=Track.SYSTEM,
                alert_id=stands[0],
                revision=stands[1],
                own_revision=revision_of(topic, ours[0]),
                group=cause,
            )


def _replay(
    assembly: Assembly,
    entries: Iterable[Entry],
    restored: Restored,
    keep: Callable[[Sequence[Effect]], None],
) -> None:
    """Take stimuli again, at the times at which they were taken."""
    durable: list[Effect] = []
    for group in _groups(entries):
        restored.stimuli += len(group)
        stimuli = [entry.stimulus for entry in group]
        for effect in assembly.engine.handle_group(stimuli, now_ns=group[0].now_ns):
            match effect:
                case Audited() | Publish(key=tuple()):
                    durable.append(effect)
                case TextTold():
                    restored.texts.append(effect)
                case Publish(retain=True):
                    restored.retained[effect.topic] = effect
                case _:
                    pass
        if len(durable) >= GROUP_MAX:
            keep(durable)
            durable.clear()
    if durable:
        keep(durable)


def _groups(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Entries that were taken at one time, as they were: together."""
    for _, same in groupby(entries, key=lambda entry: entry.now_ns):
        while group := list(islice(same, GROUP_MAX)):
            yield group


def _read_over(
    journal: Path,
    after: Position | None,
    assembly: Assembly,
    restored: Restored,
    mend: Callable[[DamagedJournalError], Loss] | None,
    go_on: Callable[[], bool] | None,
) -> Position | None:
    """Read what is to be taken again, mend what cannot be read, and return what is foreign of it.

    Nothing has been taken by then, so that all that is whole is taken, and in its order.
    """
    seen: set[int] = set()
    while True:
        try:
            entries = _while(go_on, read_journal(journal, after=after))
            return _foreign_until(entries, after, assembly)
        except DamagedJournalError as damage:
            if mend is None or damage.number in seen:
                raise
            seen.add(damage.number)
            loss = mend(damage)
            restored.losses.append(loss)
            _note(restored, "journal_damaged", str(loss))


def _same(began: Started, after: Position | None, assembly: Assembly) -> bool:
    """Whether a process took what stands behind its start with what there is now.

    Another version does: where it decides otherwise, that is said as a later revision. Another
    snapshot changes what is known, not what the state means; nor do other settings of the engine
    behind a checkpoint that fits.
    """
    settled = after is not None or assembly.same_settings(began.settings_sha256)
    return settled and assembly.knows_bundle(began.bundle_sha256)


def _while(go_on: Callable[[], bool] | None, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Entries, until somebody does not want to go on. Raises RestoreBrokenOffError."""
    for entry in entries:
        if go_on is not None and not go_on():
            raise RestoreBrokenOffError("asked to stop while restoring")
        yield entry


def _foreign_until(
    entries: Iterable[Entry], after: Position | None, assembly: Assembly
) -> Position | None:
    """Behind the last stimulus that was taken with other artifacts; None: there is none.

    Another bundle is one that nobody kept; one that was kept can be taken again.
    """
    # Who took what stands before the first start is known by a checkpoint alone.
    foreign, until = after is None, None
    lapse: Entry | None = None  # of whom it is, the next stimulus says
    for entry in entries:
        began = isinstance(entry.stimulus, Started)
        if lapse is not None and not (
            _of_a_lapse(entry) or (began and entry.now_ns == lapse.now_ns)
        ):
            until = lapse.position
        if isinstance(entry.stimulus, Started):
            foreign = not _same(entry.stimulus, after, assembly)
        elif isinstance(entry.stimulus, BundleSwapped):
            foreign = foreign or not assembly.knows_bundle(entry.stimulus.bundle_sha256)
        lapse = entry if foreign and _of_a_lapse(entry) else None
        if foreign and lapse is None:
            until = entry.position
    return until if lapse is None else lapse.position


def _of_a_lapse(entry: Entry) -> bool:
    """Whether something is not durable: a process says so in one group with its start, before it.

    Revisions leap by that, so who takes them again has to know.
    """
    return isinstance(entry.stimulus, ShellFault) and entry.stimulus.name == NOT_DURABLE


def _note(restored: Restored, name: str, cause: str) -> None:
    restored.notes.append(Note(name=name, level="warning", fields={"cause": cause}))
