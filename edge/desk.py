"""The desk that all assets share: settings, detector, history and knowledge in; effects out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from edge import announce
from edge.jobs import resolve_scope
from edge.proposed import Proposed
from edge.query import query_of
from edge.records import Note, Retrieve
from kb.records import Proposal, ScopeRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.alerts import AlertRecord
    from edge.jobs import JobRun
    from edge.records import Effect, ShellFault
    from edge.ring import Ring
    from edge.scoring import F32, Mask, Parameters, Score
    from edge.settings import AssetSettings, GatewaySettings
    from kb.records import WorkKind
    from models.bundle import AssetModel


class Knowledge(msgspec.Struct, frozen=True, kw_only=True):
    """What the core knows of a snapshot: typed rows only. `verified`: its hashes were checked."""

    sha256: str
    proposals: tuple[Proposal, ...] = ()
    scope_rows: tuple[ScopeRow, ...] = ()
    verified: bool = True


@dataclass(slots=True, kw_only=True)
class Desk:
    """Everything an asset needs that is not its own. `effects` collects what leaves the core."""

    settings: GatewaySettings
    detector: Score
    parameters: Parameters  # stack of all rows of the bundle
    state: F32  # (rows, s) of the bundle's rows
    width: int  # channels of the bundle's widest asset
    derive: Callable[[int, Mask], Parameters]  # (row, keep (width,)) -> a stack of one
    ring: Ring
    lineage: dict[str, str]
    knowledge: Knowledge | None = None
    proposed: Proposed = field(default_factory=lambda: Proposed(()))  # of the knowledge
    suspects: list[str]  # assets whose clock ran ahead of the agreed time
    effects: list[Effect] = field(default_factory=list)

    def alert_changed(self, record: AlertRecord, settings: AssetSettings) -> None:
        """Publish a revision of an alert on all its topics."""
        self.effects.extend(
            announce.alert(record, settings, site=self.settings, lineage=self.lineage)
        )

    def jobs_changed(
        self, asset: str, runs: Sequence[JobRun], proposals: Sequence[Proposal], *, t_ns: int
    ) -> None:
        """Publish the full list of an asset's jobs and proposals."""
        self.effects.append(announce.jobs(asset, runs, proposals, site=self.settings, t_ns=t_ns))

    def ask(self, record: AlertRecord) -> None:
        """Look for what the documents say; the verdict has gone out already."""
        self.effects.append(
            Retrieve(
                alert_id=record.alert_id,
                query=query_of(record),
                deadline_ms=self.settings.engine.retrieve_ms_max,
            )
        )

    def clock_agrees(self, asset: str) -> bool:
        """Whether the asset's clock is not alone ahead of the others."""
        return asset not in self.suspects

    def note(self, name: str, *, level: str = "info", **fields: str | float) -> None:
        """One log line, as data."""
        self.effects.append(Note(name=name, level=level, fields=dict(fields)))

    def scope_of(
        self, kind: WorkKind, asset: str, instrument: str, *, now_ns: int
    ) -> ScopeRow | None:
        """The approved scope row for exactly this work, known by now."""
        rows = self.knowledge.scope_rows if self.knowledge is not None else ()
        return resolve_scope(rows, kind=kind, asset=asset, instrument=instrument, now_ns=now_ns)

    def score(self, model: AssetModel, score: float, *, t_ns: int) -> None:
        """Publish a decimated score for trends."""
        self.effects.append(announce.score(model, score, site=self.settings, t_ns=t_ns))

    def answer(self, operator: str, command: str, *, done: bool, detail: str, t_ns: int) -> None:
        """Tell an operator what became of a command."""
        site = self.settings
        self.effects.append(
            announce.result(operator, command, done=done, detail=detail, site=site, t_ns=t_ns)
        )

    def shell_fault(self, fault: ShellFault, *, t_ns: int) -> None:
        """Our own trouble is an alert of its own topic."""
        self.effects.append(announce.system(fault, site=self.settings, t_ns=t_ns))
        self.note("shell_fault", level="error", fault=fault.name, detail=fault.detail)
