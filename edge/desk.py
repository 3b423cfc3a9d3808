"""The desk that all assets share: settings, detector, history and knowledge in; effects out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from edge.alerts import announce
from edge.alerts.query import query_of
from edge.errors import WireError
from edge.records import Audited, Note, Retrieve, ShellFault, Witness
from edge.samples.own_clock import OwnClockState
from edge.trust import TrustedKey, none_counts
from edge.verdicts.decide import decide
from edge.verdicts.proposed import Proposed
from edge.wire.outgoing import ResultPayload
from edge.work.jobs import resolve_scope
from edge.work.rights import is_shared
from kb.records import FailureMode, Limit, Proposal, ScopeRow, Sensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edge.alerts.alerts import AlertRecord
    from edge.alerts.annunciate import Annunciator
    from edge.copying import Copying
    from edge.records import Decision, Effect, Job
    from edge.samples.ring import Ring
    from edge.samples.scoring import F32, Mask, Parameters, Parts
    from edge.settings import AssetSettings, GatewaySettings
    from edge.state import AssetState, EngineState
    from edge.verdicts.decide import Facts
    from edge.wire.commands import Command
    from kb.records import WorkKind
    from models.bundles.bundle import AssetModel

    Verify = Callable[[str, bytes, str], bool]  # (public key, content, signature)
    Rule = Callable[[Facts], Decision]


class Knowledge(msgspec.Struct, frozen=True, kw_only=True):
    """What the core knows of a snapshot: typed rows only. `verified`: its hashes were checked."""

    sha256: str
    proposals: tuple[Proposal, ...] = ()
    scope_rows: tuple[ScopeRow, ...] = ()
    failure_modes: tuple[FailureMode, ...] = ()
    limits: tuple[Limit, ...] = ()
    sensors: tuple[Sensor, ...] = ()
    verified: bool = True
    unsigned: str = "nobody has looked for its signature"  # "" of a valid one; else what is wrong
    signers: tuple[tuple[TrustedKey, ...], ...] = ()  # of bundle, of snapshot
    scope_signers: dict[str, tuple[TrustedKey, ...]] = {}  # of a row's table, by scope_id
    scope_older: dict[str, str] = {}  # why a row counts no more though its table is signed


@dataclass(slots=True, kw_only=True)
class Desk:
    """Everything an asset needs that is not its own. `effects` collects what leaves the core."""

    settings: GatewaySettings
    parts: Parts  # of the bundle, loaded
    state: list[F32]  # (rows, s) of the bundle's rows, a part
    derive: Callable[[int, Mask], Parameters]  # (row, keep (width,)) -> a stack of one
    ring: Ring
    lineage: dict[str, str]
    knowledge: Knowledge | None = None
    verify: Verify | None = None  # None: no signature is ever valid
    rule: Rule = decide
    proposed: Proposed = field(default_factory=lambda: Proposed(()))  # of the knowledge
    suspects: list[str]  # assets whose clock is ahead of the agreed time, or behind it
    own_clock: OwnClockState = field(default_factory=OwnClockState)
    effects: list[Effect] = field(default_factory=list)
    stirred: set[str] = field(default_factory=set)  # assets that others changed since the last look
    copying: Copying | None = None  # of all states as they were, for a checkpoint
    not_durable: str = ""  # why nothing can be audited now; "" it can
    tells_rows: bool = False  # whether what became of every sample is an effect too
    annunciator: Annunciator = field(init=False)  # set by the engine, which has the assets
    _limits: dict[str, tuple[Limit, ...]] = field(default_factory=dict)
    _limits_of: tuple[Limit, ...] = ()

    @property
    def width(self) -> int:
        """Channels of the bundle's widest asset."""
        return self.parts.width

    @property
    def sensors(self) -> tuple[Sensor, ...]:
        """Rows of the sensor tables; () while nothing is known."""
        return self.knowledge.sensors if self.knowledge is not None else ()

    def before(self, names: Iterable[str]) -> None:
        """The states of these assets are about to change."""
        if self.copying is not None:
            self.copying.take(names)

    def before_all(self) -> None:
        """Any state may be about to change."""
        if self.copying is not None:
            self.copying.finish()

    def alert_changed(self, record: AlertRecord, settings: AssetSettings) -> None:
        """Publish a revision of an alert on all its topics."""
        self.annunciator.hear(record, settings)
        self.effects.extend(
            announce.alert(record, settings, site=self.settings, lineage=self.lineage)
        )

    def jobs_changed(self, state: AssetState, proposals: Sequence[Proposal], *, t_ns: int) -> None:
        """Publish the full list of an asset's jobs, proposals and silences."""
        state.listed = True
        self.effects.append(announce.jobs(state, proposals, site=self.settings, t_ns=t_ns))

    def ask(self, record: AlertRecord) -> None:
        """Look for what the documents say; the verdict has gone out already."""
        self.effects.append(
            Retrieve(
                alert_id=record.alert_id,
                query=query_of(record, sensors=self.sensors),
                deadline_ms=self.settings.engine.retrieve_ms_max,
            )
        )

    @property
    def cooldown_ns(self) -> int:
        """How soon after it cleared an event goes on under its id."""
        return self.settings.engine.cooldown_s * 1_000_000_000

    def clock_agrees(self, asset: str) -> bool:
        """Whether the asset's clock is not alone ahead of the others, or behind."""
        return asset not in self.suspects

    def time_is_known(self, job: Job) -> bool:
        """Whether a job's times can be compared with now.

        An order's are another clock's than the plant's, and ours is doubted. While nobody has said
        what time it is, only work that the plant itself shows is known to go on.
        """
        if self.own_clock.unknown:
            return job.witness is Witness.PLANT
        return not (self.own_clock.doubted and job.witness is Witness.ORDER)

    def note(self, name: str, *, level: str = "info", **fields: str | float) -> None:
        """One log line, as data."""
        self.effects.append(Note(name=name, level=level, fields=dict(fields)))

    def audited(self, what: str, *, asset: str, t_ns: int, **facts: str | int) -> None:
        """One line of the audit trail; see `Audited`. An account of several people is named so."""
        if is_shared(str(facts.get("operator", "")), self.settings):
            facts["shared"] = 1
        self.effects.append(Audited(what=what, asset=asset, t_ns=t_ns, facts=dict(facts)))

    def audited_alert(self, what: str, record: AlertRecord, *, t_ns: int, **facts: str) -> None:
        """The same about a revision of an alert that has just been published."""
        self.audited(
            what,
            asset=record.asset,
            t_ns=t_ns,
            alert_id=record.alert_id,
            revision=record.revision,
            **{"job_id": record.job_id, **facts},
        )

    def scopes_of(self, asset: str, *, now_ns: int) -> tuple[ScopeRow, ...]:
        """The approved scope rows of an asset that were known by now."""
        rows = self.knowledge.scope_rows if self.knowledge is not None else ()
        return tuple(r for r in rows if r.asset == asset and r.recorded_at_ns <= now_ns)

    def scope_of(
        self, kind: WorkKind, asset: str, instrument: str, *, now_ns: int
    ) -> ScopeRow | None:
        """The approved scope row for exactly this work, known by now."""
        rows = self.knowledge.scope_rows if self.knowledge is not None else ()
        return resolve_scope(rows, kind=kind, asset=asset, instrument=instrument, now_ns=now_ns)

    def limits_of(self, asset: str) -> tuple[Limit, ...]:
        """Approved engineering limits of an asset's channels, whenever they became known."""
        known = self.knowledge.limits if self.knowledge is not None else ()
        if known is not self._limits_of:  # another snapshot
            self._limits_of = known
            self._limits = {}
            for limit in known:
                self._limits[limit.asset] = (*self._limits.get(limit.asset, ()), limit)
        return self._limits.get(asset, ())

    def budget(self, asset: str, *, spent: bool, t_ns: int, until: str) -> None:
        """Say once a shift that an asset may not suppress any more, and that it may again."""
        detail = (
            f"suppression budget of {asset} spent: whatever its jobs disturb rings until {until}"
            if spent
            else f"suppression budget of {asset}: a new shift has begun"
        )
        fault = ShellFault(name="suppression_budget", detail=detail, active=spent)
        self.effects.append(announce.system(fault, site=self.settings, t_ns=t_ns))
        self.note("suppression_budget", level="warning", asset=asset, detail=detail)

    def unsigned(self, job: Job, *, t_ns: int) -> str:
        """What keeps a job from counting as signed at a time; "" nothing, or none has to be."""
        if not self.settings.trust.require_signed:
            return ""
        if not job.signed:
            return f"{job.job_id} was told without a valid signature"
        known = self.knowledge
        if known is None or known.unsigned:
            return known.unsigned if known is not None else "there is no snapshot"
        why = [none_counts(keys, t_ns) for keys in known.signers]
        if job.scope_id:
            lacks = none_counts(known.scope_signers.get(job.scope_id, ()), t_ns)
            older = known.scope_older.get(job.scope_id, lacks)
            why.append(lacks and f"the scope table with {job.scope_id}: {older}")
        return next((one for one in why if one), "")

    def check_signature(self, command: Command) -> None:
        """Raise WireError for a command that may keep something quiet and lacks a signature."""
        if command.keeps_quiet and self.lacks_signature(command):
            known = self.settings.trust.of_operator(command.operator)
            why = "did not sign this" if known else "has no known key"
            message = f"signatures are required, and {command.operator} {why}"
            raise WireError(message, reason="command_unsigned", topic=command.topic)

    def lacks_signature(self, command: Command) -> bool:
        """Whether signatures are required, and this has none of its operator's that is valid."""
        trust = self.settings.trust
        valid = self.verify is not None and any(
            self.verify(key.public_key, command.signed_bytes, command.signature)
            for key in trust.of_operator(command.operator)
            if not key.lacks(command.body.ts * 1_000_000)
        )
        return trust.require_signed and not valid

    def score(self, model: AssetModel, score: float, *, t_ns: int) -> None:
        """Publish a decimated score for trends."""
        self.effects.append(announce.score(model, score, site=self.settings, t_ns=t_ns))

    def answer(
        self, operator: str, command: str, *, done: bool, detail: str, t_ns: int, rule: str = ""
    ) -> None:
        """Tell an operator what became of a command. rule: by which it was refused, "" by none."""
        site = self.settings
        said = announce.result(
            operator,
            ResultPayload(
                command=command,
                done=done,
                detail=detail,
                ts_ms=t_ns // 1_000_000,
                rule=rule,
                shared=int(is_shared(operator, site)),
            ),
            site=site,
        )
        self.effects.append(said)

    def shell_fault(self, fault: ShellFault, *, t_ns: int) -> None:
        """Our own trouble is an alert of its own topic."""
        self.effects.append(announce.system(fault, site=self.settings, t_ns=t_ns))
        self.note("shell_fault", level="error", fault=fault.name, detail=fault.detail)


def learn(knowledge: Knowledge | None, desk: Desk, state: EngineState) -> None:
    """From here on this is known."""
    known = knowledge.sha256 if knowledge is not None else ""
    if known != state.orders_of:  # also over a restart: the list is another one
        state.orders_of, state.orders_taken = known, 0
    desk.knowledge = knowledge
    desk.proposed = Proposed(knowledge.proposals if knowledge is not None else ())
    desk.lineage["snapshot_sha256"] = known
