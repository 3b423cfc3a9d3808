"""When work went on at an asset, as a recording and its texts tell: rows not to learn from.

Told by edges of witness tags, by commands of operators, by jobs in a file, and by approved orders
with real times. For learning it is no matter whether a job might have suppressed: a row that work
may have touched is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.errors import UNREADABLE, RecordingError, WireError
from edge.records import Job, JobState, JobTold, MessageReceived
from edge.storage.journal import read_journal
from edge.wire.commands import MILLISECOND_NS, Confirm, JobCommand, decode_command
from edge.wire.topics import Topics
from edge.work.jobs import job_from_order, job_id_of, resolve_scope
from kb.records import Proposal, ScopeRow, WorkKind
from kb.snapshots.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.batches import Readings
    from edge.recordings.recording import Table
    from edge.settings import AssetSettings, GatewaySettings
    from edge.storage.journal import Position
    from edge.wire.commands import Command

SECOND_NS: Final = 1_000_000_000
FOREVER_NS: Final = 2**63 - 1


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """Work on one asset: [begin_ns, end_ns) and then settling. It goes on: end_ns FOREVER_NS."""

    job_id: str
    kind: WorkKind
    asset: str
    instrument: str
    begin_ns: int
    end_ns: int
    settle_s: int

    @property
    def over_ns(self) -> int:
        """When it has settled too."""
        return min(self.end_ns + self.settle_s * SECOND_NS, FOREVER_NS)

    @property
    def closed(self) -> bool:
        """Whether it is known to have ended."""
        return self.end_ns < FOREVER_NS


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot knows of work."""

    proposals: tuple[Proposal, ...] = ()
    scope_rows: tuple[ScopeRow, ...] = ()


def texts_of(path: Path | None) -> Texts:
    """What the snapshot at a path knows of work; nothing without one. Raises KnowledgeError."""
    if path is None:
        return Texts()
    with Snapshot.open(path) as snapshot:
        return Texts(proposals=snapshot.proposals(), scope_rows=snapshot.scope_rows())


class WorkTimes:
    """Collects work from where it is told."""

    def __init__(self, settings: GatewaySettings, texts: Texts | None = None) -> None:
        self._settings = settings
        self._texts = texts or Texts()
        self._work: dict[tuple[str, str], Work] = {}  # by asset and id
        self.unknown: list[str] = []  # confirmed proposals that no snapshot explains

    def found(self, asset: str) -> tuple[Work, ...]:
        """Work on an asset, by its begin."""
        own = [work for work in self._work.values() if work.asset == asset]
        return tuple(sorted(own, key=lambda work: (work.begin_ns, work.job_id)))

    def take_orders(self) -> None:
        """Approved orders with real times, as they were told last."""
        newest: dict[str, Proposal] = {}
        for proposal in self._texts.proposals:  # oldest record first
            newest[proposal.proposal_id] = proposal
        for proposal in newest.values():
            job = job_from_order(proposal, self._scope_of_order(proposal), self._settings.engine)
            if job is not None:
                self._add_job(job)

    def take_jobs(self, jobs: Iterable[Job]) -> None:
        """Jobs of a file, whatever opened them, but no mere proposals."""
        for job in jobs:
            if job.state is not JobState.PROPOSED:
                self._add_job(job)

    def take_edges(self, readings: Mapping[str, Sequence[Readings]]) -> None:
        """Witness tags: work goes on while one is not 0. readings: of each asset, k tags each."""
        for asset in self._settings.asset:
            for tag in asset.context:
                if tag.role == "witness" and tag.kind is not None:
                    series = _series(readings.get(asset.id, ()), tag.tag)
                    self._take_series(asset, tag.tag, tag.kind, tag.instrument, series)

    def take_table(self, table: Table) -> None:
        """The same of a table whose mapping names witness columns."""
        if table.mapping is None:
            return
        asset = table.mapping.asset_settings(table.asset)
        for tag in asset.context:
            values = table.context.get(tag.tag)
            if tag.role == "witness" and tag.kind is not None and values is not None:
                pairs = zip(table.t_ns.tolist(), values.tolist(), strict=True)
                series = sorted((pair for pair in pairs if np.isfinite(pair[1])), key=_time)
                self._take_series(asset, tag.tag, tag.kind, tag.instrument, series)

    def take_journal(self, path: Path, *, after: Position | None = None) -> None:
        """Commands of operators and jobs that the journal itself was told, behind `after`.

        Raises JournalError.
        """
        topics = Topics(self._settings.prefix, self._settings.site)
        for entry in read_journal(path, after=after):
            stimulus = entry.stimulus
            if isinstance(stimulus, JobTold):
                self._add_job(stimulus.job)
            if not isinstance(stimulus, MessageReceived) or stimulus.retain:
                continue
            try:
                named = topics.parse_command(stimulus.topic)
                if named is not None:
                    self._take_command(stimulus, *named)
            except (WireError, *UNREADABLE):
                continue  # the gateway refused it too

    def _take_series(
        self,
        asset: AssetSettings,
        tag: str,
        kind: WorkKind,
        instrument: str,
        series: Iterable[tuple[int, float]],
    ) -> None:
        begin_ns: int | None = None
        for t_ns, value in series:
            if value != 0.0 and begin_ns is None:
                begin_ns = t_ns
            elif value == 0.0 and begin_ns is not None:
                self._add(asset.id, kind, instrument, begin_ns, t_ns, told=tag)
                begin_ns = None
        if begin_ns is not None:
            self._add(asset.id, kind, instrument, begin_ns, FOREVER_NS, told=tag)

    def _take_command(self, message: MessageReceived, operator: str, name: str) -> None:
        # against its own time: whether it was stale then, the gateway's clock knew
        sent_ns = msgspec.json.decode(message.payload, type=_Sent).ts * MILLISECOND_NS
        command = decode_command(
            message.payload,
            topic=message.topic,
            operator=operator,
            name=name,
            retain=False,
            now_ns=sent_ns,
        )
        if isinstance(command.body, Confirm):
            self._confirmed(command.body, sent_ns)
        elif isinstance(command.body, JobCommand):
            self._told(command, command.body, sent_ns)

    def _confirmed(self, body: Confirm, sent_ns: int) -> None:
        known = [p for p in self._texts.proposals if p.proposal_id == body.proposal_id]
        if not known:
            self.unknown.append(body.proposal_id)
            return
        proposal = known[-1]
        begin_ns = proposal.valid_from_ns or sent_ns
        end_ns = proposal.valid_to_ns or max(begin_ns, sent_ns) + self._fuse_ns()
        where = (proposal.asset, proposal.kind, proposal.instrument)
        self._add(*where, begin_ns, end_ns, job_id=body.proposal_id)

    def _told(self, command: Command, body: JobCommand, sent_ns: int) -> None:
        if body.action == "check_in" and body.kind is not None:
            begin_ns = min(getattr(body, "valid_from_ns", None) or sent_ns, sent_ns)
            end_ns = body.valid_to_ns or sent_ns + self._fuse_ns()
            parts = (command.operator, body.asset, body.kind, body.instrument, body.ts)
            job_id = body.job_id or job_id_of(*parts)
            self._add(body.asset, body.kind, body.instrument, begin_ns, end_ns, job_id=job_id)
        elif body.action in ("check_out", "cancel"):
            for work in list(self._work.values()):
                if _means(body, work) and work.begin_ns <= sent_ns < work.end_ns:
                    key = (work.asset, work.job_id)
                    self._work[key] = msgspec.structs.replace(work, end_ns=sent_ns)

    def _add_job(self, job: Job) -> None:
        end_ns = job.valid_to_ns
        self._keep(
            Work(
                job_id=job.job_id,
                kind=job.kind,
                asset=job.asset,
                instrument=job.functional_location,
                begin_ns=job.valid_from_ns,
                end_ns=job.valid_from_ns + job.fuse_s * SECOND_NS if end_ns is None else end_ns,
                settle_s=job.settle_s,
            )
        )

    def _add(
        self,
        asset: str,
        kind: WorkKind,
        instrument: str,
        begin_ns: int,
        end_ns: int,
        *,
        told: str = "",
        job_id: str = "",
    ) -> None:
        rows = self._texts.scope_rows
        scope = resolve_scope(rows, kind=kind, asset=asset, instrument=instrument, now_ns=begin_ns)
        engine = self._settings.engine
        self._keep(
            Work(
                job_id=job_id or job_id_of(asset, told, begin_ns),
                kind=kind,
                asset=asset,
                instrument=instrument,
                begin_ns=begin_ns,
                end_ns=end_ns,
                settle_s=engine.settle_s if scope is None else scope.settle_s,
            )
        )

    def _keep(self, work: Work) -> None:
        """Told twice, it is as long as anybody said."""
        known = self._work.get((work.asset, work.job_id))
        if known is not None:
            begin_ns, end_ns = min(known.begin_ns, work.begin_ns), max(known.end_ns, work.end_ns)
            work = msgspec.structs.replace(work, begin_ns=begin_ns, end_ns=end_ns)
        self._work[work.asset, work.job_id] = work

    def _scope_of_order(self, order: Proposal) -> ScopeRow | None:
        return resolve_scope(
            self._texts.scope_rows,
            kind=order.kind,
            asset=order.asset,
            instrument=order.instrument,
            now_ns=order.valid_from_ns or order.recorded_at_ns,
        )

    def _fuse_ns(self) -> int:
        return self._settings.engine.fuse_s * SECOND_NS


class _Sent(msgspec.Struct, frozen=True):
    """Of any command: plant time, ms."""

    ts: int


def touched(work: Iterable[Work], t_ns: NDArray[np.int64]) -> tuple[NDArray[np.bool_], list[str]]:
    """Which samples at t_ns (n,) work may have touched (n,), and ids of the work that did."""
    inside = np.zeros(t_ns.size, np.bool_)
    ids = []
    for one in work:
        own = (t_ns >= one.begin_ns) & (t_ns < one.over_ns)
        if own.any():
            inside |= own
            ids.append(one.job_id)
    return inside, ids


def read_jobs(path: Path, *, signed: bool = False) -> list[Job]:
    """Jobs of a file, one JSON object a line; `signed`: its signature was found valid.

    What the file itself says about that counts for nothing. Raises RecordingError.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}") from error
    jobs = [_read_job(line, f"{path}:{i}") for i, line in enumerate(lines, 1) if line.strip()]
    return [msgspec.structs.replace(job, signed=signed) for job in jobs]


def _read_job(line: bytes, where: str) -> Job:
    try:
        return msgspec.json.decode(line, type=Job)
    except UNREADABLE as error:
        raise RecordingError(f"{where}: not a job: {error}") from error


def _means(body: JobCommand, work: Work) -> bool:
    if body.job_id:
        return body.job_id == work.job_id
    there = body.instrument in ("", work.instrument)
    return there and (body.asset, body.kind) == (work.asset, work.kind)


def _series(readings: Sequence[Readings], tag: str) -> list[tuple[int, float]]:
    """Times and values of one tag, by time; what is no number left out."""
    found = []
    for message in readings:
        if tag in message.tags:
            values = message.values[:, message.tags.index(tag)]
            pairs = zip(message.t_ns.tolist(), values.tolist(), strict=True)
            found += [(t_ns, value) for t_ns, value in pairs if np.isfinite(value)]
    return sorted(found, key=_time)


def _time(pair: tuple[int, float]) -> int:
    return pair[0]
