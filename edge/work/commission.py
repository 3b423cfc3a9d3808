"""Commissioning: a new asset learns, then shows itself to engineers, and rings once it is accepted.

    LEARNING     nothing was learned of it, accepted or not: limits ring, there is no score
    SHADOW       it is scored; its alerts are the engineer's and ask nobody for attention
    IN_SERVICE   a named person has accepted it

Whether it is accepted is all that is remembered of that: the rest follows from the bundle, so no
fit, rollback or restart can put an asset into service. An approved limit rings in every stage.
Assets without a section of commissioning are in service and nothing of this is kept of them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.caps import MODES_UNSEEN_MAX
from edge.records import Publish
from edge.samples.limits import level_name, newest_limits
from edge.wire.commissioning import COMMISSIONING_SCHEMA, CommissioningPayload
from edge.wire.outgoing import encode
from edge.wire.topics import Topics
from edge.work.blind import blind_channels
from models.bundles.bundle import is_unfitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge.alerts.alerts import AlertRecord
    from edge.batches import Batch
    from edge.desk import Desk
    from edge.records import CommissionTold
    from edge.settings import CommissioningSettings
    from edge.state import AssetState
    from models.bundles.bundle import AssetModel, Bundle

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 60 * MINUTE_NS
DAY_HOURS: Final = 24
GAP_NS_MAX: Final = MINUTE_NS  # between two samples; what is longer was not watched
GAP_PERIODS_MAX: Final = 3  # likewise, of a slow plant
TOLD_NS: Final = 30 * SECOND_NS  # plant time between two words on progress
AGAIN_SHARE: Final = 0.25  # of the minutes to learn, after a fit that failed
GATEWAY: Final = "the gateway"


class Stage(StrEnum):
    """Where an asset stands on its way into service."""

    LEARNING = "LEARNING"
    SHADOW = "SHADOW"
    IN_SERVICE = "IN_SERVICE"


class Commission(msgspec.Struct, kw_only=True):
    """What is remembered of one asset's commissioning. Times are plant time, ns; 0: not yet.

    in_service: by the word of `by`, for the reason given; word_sequence, word_sha256: which word of
    the book that is, 0 and "": none, or one that an older version told. stage, since_ns: as it was
    told last. All counts are of this stage alone. rows, live_ns: samples while it ran and no job
    was open, and the time that they cover; stopped: samples while it stood still. seen: values of
    each channel among the rows. modes: rows in each value of the mode tag. hours: bit h is set for
    hour h of the day, UTC; days: dates. rang: events that would have rung for operators, by track.
    trouble: why the last fit failed, retry_ns: of live_ns, when it is tried again.
    """

    in_service: bool = False
    by: str = ""
    because: str = ""
    word_sequence: int = 0
    word_sha256: str = ""
    stage: Stage = Stage.LEARNING
    since_ns: int = 0
    begun_ns: int = 0
    newest_ns: int = 0
    rows: int = 0
    live_ns: int = 0
    stopped: int = 0
    seen: list[int] = []
    modes: dict[str, int] = {}
    hours: int = 0
    days: int = 0
    day: int = -1
    rang: dict[str, int] = {}
    trouble: str = ""
    retry_ns: int = 0
    told_ns: int = 0

    def enter(self, stage: Stage, *, t_ns: int) -> None:
        """Begin another stage with nothing counted; who accepted it stays."""
        fresh = Commission(
            in_service=self.in_service,
            by=self.by,
            because=self.because,
            word_sequence=self.word_sequence,
            word_sha256=self.word_sha256,
            stage=stage,
            since_ns=t_ns,
        )
        for name in self.__struct_fields__:
            setattr(self, name, getattr(fresh, name))


def _word_of(commission: Commission) -> tuple[bool, str, str]:
    return commission.in_service, commission.by, commission.because


def shadowed(state: AssetState, record: AlertRecord, desk: Desk, *, t_ns: int) -> bool:
    """Whether an alert is for engineers alone: its asset is not in service, and no limit rings."""
    commission = state.commission
    if commission is None or commission.in_service or record.beyond:
        return False
    limits = desk.limits_of(state.asset)
    if not limits or not record.contributions:
        return True
    newest = newest_limits(limits, now_ns=t_ns)
    for part in record.contributions:
        rows = [row for row in newest.get(part.channel, ()) if row.unit in {"", part.unit}]
        if rows and level_name(rows, part.value):
            return False
    return True


def took(commission: Commission, model: AssetModel, segment: Batch, *, working: bool) -> None:
    """Count the samples of a segment; working: a job is open, and they show no normal operation."""
    if len(commission.seen) != len(model.channels):
        commission.seen = [0] * len(model.channels)
    finite = np.isfinite(segment.values)  # (n, c)
    heard = finite.any(axis=1)
    commission.stopped += int((heard & ~segment.running).sum())
    usable = heard & segment.running
    if working or not usable.any():
        return
    times = segment.t_ns[usable]
    before = commission.newest_ns or int(times[0])
    longest = max(GAP_NS_MAX, GAP_PERIODS_MAX * model.period_ns)
    steps = np.diff(times, prepend=before)
    commission.live_ns += int(steps[(steps > 0) & (steps <= longest)].sum())
    commission.begun_ns = commission.begun_ns or int(times[0])
    commission.newest_ns = max(commission.newest_ns, int(times[-1]))
    commission.rows += int(usable.sum())
    counted = finite[usable].sum(axis=0).tolist()
    commission.seen = [old + new for old, new in zip(commission.seen, counted, strict=True)]
    for hour in np.unique(times // HOUR_NS).tolist():
        commission.hours |= 1 << (hour % DAY_HOURS)
        if hour // DAY_HOURS > commission.day:
            commission.day, commission.days = hour // DAY_HOURS, commission.days + 1
    if segment.mode is not None:
        _count_modes(commission, segment.mode[usable])


def _count_modes(commission: Commission, modes: np.ndarray) -> None:
    values, counts = np.unique(modes[np.isfinite(modes)], return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        name = f"{value:g}"
        if name in commission.modes or len(commission.modes) < MODES_UNSEEN_MAX:
            commission.modes[name] = commission.modes.get(name, 0) + count


class Commissioning:
    """The commissioning of all assets of a bundle, over what is remembered of each."""

    def __init__(self, bundle: Bundle, states: Mapping[str, AssetState], *, desk: Desk) -> None:
        self._models = {model.asset: model for model in bundle.assets}
        self._bundle = bundle
        self._states = states
        self._desk = desk
        self._settings: CommissioningSettings | None = desk.settings.commissioning
        self._topics = Topics(desk.settings.prefix, desk.settings.site)
        self._fresh = self._settings is not None  # nobody has looked at this bundle yet
        for name, state in states.items():
            configured = self._settings is not None and self._settings.covers(name)
            if not configured:
                state.commission = None
            elif state.commission is None:
                state.commission = Commission()

    @property
    def _open(self) -> Iterable[tuple[AssetModel, Commission]]:
        for name, state in self._states.items():
            if state.commission is not None:
                yield self._models[name], state.commission

    def took(self, asset: str, segment: Batch) -> None:
        """A segment of an asset's samples was taken."""
        state, model = self._states[asset], self._models[asset]
        if state.commission is None:
            return
        if not state.commission.in_service or self._bare(asset):
            self._look(model, state.commission, t_ns=int(segment.t_ns[0]))
            working = any(run.unjudged for run in state.runs)
            took(state.commission, model, segment, working=working)

    def told(self, word: CommissionTold, *, t_ns: int) -> None:
        """A person's word on an asset, or that a fit of it failed."""
        state = self._states.get(word.asset)
        commission = state.commission if state is not None else None
        if state is None or commission is None:
            self._desk.note("commissioning_unknown", level="warning", asset=word.asset)
            return
        if word.what == "not_fitted":
            commission.trouble = word.because
            again = AGAIN_SHARE * self._needed_ns
            commission.retry_ns = commission.live_ns + max(int(again), MINUTE_NS)
            self._desk.note("not_fitted", level="warning", asset=word.asset, cause=word.because)
            self._publish(self._models[word.asset], commission, t_ns=t_ns)
            return
        accepted = word.what == "accepted"
        commission.word_sequence, commission.word_sha256 = word.sequence, word.sha256
        if (accepted, word.by, word.because) == _word_of(commission):
            return  # it is told anew at each start
        commission.in_service, commission.by, commission.because = accepted, word.by, word.because
        self._desk.audited(
            "accepted" if accepted else "withdrawn",
            asset=word.asset,
            t_ns=t_ns,
            operator=word.by,
            detail=f"bundle {word.bundle_sha256[:12]}: {word.because}".rstrip(": "),
        )
        self._look(self._models[word.asset], commission, t_ns=t_ns)
        self._retell(state, t_ns=t_ns)

    def settle(self, t_ns: int, *, due: bool) -> None:
        """Another bundle may have brought another stage; progress is told now and then."""
        if not (self._fresh or (due and self._settings is not None)):
            return
        self._fresh = False
        for model, commission in self._open:
            self._desk.before((model.asset,))
            self._look(model, commission, t_ns=t_ns)
            telling = due and commission.stage is not Stage.IN_SERVICE
            if telling and not 0 <= t_ns - commission.told_ns < TOLD_NS:
                self._publish(model, commission, t_ns=t_ns)

    def ready(self) -> list[tuple[str, int]]:
        """Assets of which enough was seen for a fit, each with the begin of what was seen, ns."""
        return [
            (model.asset, commission.begun_ns)
            for model, commission in self._open
            if self._bare(model.asset)  # the stage is told with the next tick
            and self._share(commission) >= 1.0
            and commission.live_ns >= commission.retry_ns
        ]

    def report(self) -> tuple[CommissioningPayload, ...]:
        """Every asset that has a section of commissioning, as it stands."""
        now_ns = max((c.newest_ns for _, c in self._open), default=0)
        return tuple(self._payload(model, c, t_ns=now_ns) for model, c in self._open)

    # --- inside ---

    def _bare(self, asset: str) -> bool:
        return is_unfitted(self._models[asset].metrics)

    def _look(self, model: AssetModel, commission: Commission, *, t_ns: int) -> None:
        """Enter the stage that word and bundle make, and say so."""
        stage = Stage.IN_SERVICE if commission.in_service else Stage.SHADOW
        stage = Stage.LEARNING if self._bare(model.asset) else stage
        if commission.stage is stage and commission.since_ns:
            return
        before = commission.stage if commission.since_ns else ""
        commission.enter(stage, t_ns=t_ns)
        self._desk.note(
            "commissioning", asset=model.asset, stage=stage, before=before, by=commission.by
        )
        self._publish(model, commission, t_ns=t_ns)

    def _retell(self, state: AssetState, *, t_ns: int) -> None:
        """What goes on rings from now on, or ceases to."""
        commission = state.commission
        assert commission is not None, "only these are told of"
        settings = self._desk.settings.of_asset(state.asset)
        word = "accepted" if commission.in_service else "withdrawn"
        for record in state.alerts.values():
            if not (record.active or record.suppressed):
                continue
            before, record.shadow = (
                record.shadow,
                shadowed(state, record, self._desk, t_ns=t_ns),
            )
            if record.shadow == before:
                continue
            if before and record.rings:
                record.unsilence()
                record.rung += 1
            record.turn(t_ns=t_ns, reason=f"the asset was {word} by {commission.by}")
            self._desk.alert_changed(record, settings)

    @property
    def _needed_ns(self) -> int:
        assert self._settings is not None, "without it no asset learns"
        return round(self._settings.learn_minutes * MINUTE_NS)

    def _share(self, commission: Commission) -> float:
        assert self._settings is not None, "without it no asset learns"
        rows = commission.rows / max(self._settings.learn_rows, 1)
        return min(rows, commission.live_ns / max(self._needed_ns, 1), 1.0)

    def _minutes_left(self, commission: Commission) -> float | None:
        """Live minutes until there is enough, at the rate so far; None: nothing seen yet."""
        if commission.stage is not Stage.LEARNING:
            return 0.0
        if not commission.rows or not commission.live_ns:
            return None
        assert self._settings is not None, "without it no asset learns"
        missing = max(self._settings.learn_rows - commission.rows, 0)
        left_ns = max(
            self._needed_ns - commission.live_ns,
            missing * commission.live_ns / commission.rows,
            commission.retry_ns - commission.live_ns,
            0,
        )
        return round(left_ns / MINUTE_NS, 1)

    def _publish(self, model: AssetModel, commission: Commission, *, t_ns: int) -> None:
        commission.told_ns = t_ns
        payload = encode(self._payload(model, commission, t_ns=t_ns))
        topic = self._topics.commissioning(model.asset)
        self._desk.effects.append(Publish(topic=topic, payload=payload, qos=1, retain=True))

    def _payload(
        self, model: AssetModel, commission: Commission, *, t_ns: int
    ) -> CommissioningPayload:
        assert self._settings is not None, "without it nothing is told"
        blind = blind_channels(self._bundle, model, commission)
        serving = commission.stage is Stage.IN_SERVICE
        return CommissioningPayload(
            schema=COMMISSIONING_SCHEMA,
            asset=model.asset,
            stage=commission.stage,
            stage_num=list(Stage).index(commission.stage),
            ts_ms=t_ns // 1_000_000,
            since_ms=commission.since_ns // 1_000_000,
            by=commission.by,
            because=commission.because,
            bundle=self._bundle.sha256,
            rows=commission.rows,
            rows_needed=self._settings.learn_rows,
            minutes=round(commission.live_ns / MINUTE_NS, 1),
            minutes_needed=self._settings.learn_minutes,
            minutes_left=self._minutes_left(commission),
            share=round(self._share(commission), 4) if not serving else 1.0,
            days=commission.days,
            hours_of_day=commission.hours.bit_count(),
            rows_stopped=commission.stopped,
            modes=", ".join(sorted(commission.modes)),
            channels=len(model.channels),
            blind=", ".join(blind),
            blind_count=len(blind),
            shadow_alerts=sum(commission.rang.values()),
            trouble=commission.trouble,
        )


def stage_text(state: AssetState) -> tuple[str, ...]:
    """What keeps an asset's alerts from operators, as a sentence; () where nothing does."""
    commission = state.commission
    if commission is None or commission.in_service:
        return ()
    if commission.stage is Stage.LEARNING:
        return ("It is learning: nothing is known of it yet, only approved limits ring.",)
    return ("It is in the shadow: engineers alone hear of it until `andon accept`.",)
