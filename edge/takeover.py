"""A takeover: another bundle scores from now on, and what the gateway has in its hands goes on.

Between ticks, on the state alone. Of an asset with the same channels everything stays: open events
under their ids, alerts, jobs, silences, health; its rows start from nothing and are taken over the
ring, which is what they would have seen. An asset that is gone ends its alerts with the reason. One
whose channels changed begins anew, with its jobs and silences; one that has come warms up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.alerts import explain
from edge.alerts.numbering import raise_floors
from edge.records import Track
from edge.samples.mode_rows import given, guess_again, rows_at
from edge.samples.pending import NEVER, AssetAlign, count
from edge.samples.quality import HealthState
from edge.samples.ring import Ring
from edge.samples.scoring import Parts, replay
from edge.state import TRACKS, AssetState, new_state
from edge.verdicts.events import TrackState
from edge.verdicts.lookback import Lookback
from edge.verdicts.timeline import JUDGE_SAMPLES
from edge.work.jobs import new_run

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from numpy.typing import NDArray

    from edge.desk import Desk
    from edge.samples.ring import History
    from edge.samples.scoring import F32, Mask, Parameters, Score
    from edge.state import EngineState
    from edge.work.jobs import JobRun
    from models.bundles.bundle import AssetModel, Bundle

NOBODY: Final = "no reason given"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A bundle that is ready to score: its detectors, and how rows without some channels are made.

    detectors: the loaded graphs, one a part.
    derive: (row, keep (width,)) -> parameters, a stack of one.
    """

    bundle: Bundle
    detectors: Sequence[Score]
    derive: Callable[[int, Mask], Parameters]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinship:
    """How the assets of two bundles relate, by id, in the order of their bundles."""

    same: tuple[str, ...]
    changed: tuple[str, ...]  # channels, units, period or alignment
    gone: tuple[str, ...]
    come: tuple[str, ...]


def kinship(before: Bundle, after: Bundle) -> Kinship:
    """Which assets stay, begin anew, go and come when one bundle follows another."""
    old = {model.asset: _shape(model) for model in before.assets}
    new = {model.asset: _shape(model) for model in after.assets}
    return Kinship(
        same=tuple(name for name in new if old.get(name) == new[name]),
        changed=tuple(name for name in new if name in old and old[name] != new[name]),
        gone=tuple(name for name in old if name not in new),
        come=tuple(name for name in new if name not in old),
    )


def take_over(
    before: Bundle, after: Fitted, state: EngineState, desk: Desk, *, because: str, t_ns: int
) -> Kinship:
    """Let `after` follow `before` in everything that is remembered; t_ns: plant time."""
    bundle = after.bundle
    kin = kinship(before, bundle)
    reason = f"detector {bundle.sha256[:12]} took over: {because or NOBODY}"
    for name in (*kin.gone, *kin.changed):
        _dismiss(state.assets[name], desk, reason=reason, t_ns=t_ns)
    _refit(kin, before, bundle, state, desk)
    desk.parts, desk.derive = Parts(bundle, after.detectors), after.derive
    desk.state = state.rows = desk.parts.initial_state()
    desk.ring = Ring({m.asset: len(m.channels) for m in bundle.assets}, state=state.ring)
    desk.lineage["bundle_sha256"] = state.bundle_sha256 = bundle.sha256
    old = {model.asset: model for model in before.assets}
    for model in bundle.assets:
        guess_again(old.get(model.asset), model, state.assets[model.asset], desk.ring)
    _warm(bundle, state, desk, parts=range(len(desk.parts.every)))
    for model in bundle.assets:
        state.assets[model.asset].modes_unseen = []  # of the bundle before
        _warm_jobs(model, state.assets[model.asset], desk)
        if model.asset in kin.same:
            _retell(model, state.assets[model.asset], desk, reason=reason, t_ns=t_ns)
    if kin.changed or kin.come:
        state.orders_taken = 0  # orders of these were passed over; whoever has taken one, knows it
    desk.note(
        "bundle_swapped",
        sha256=bundle.sha256,
        before=before.sha256,
        because=because or NOBODY,
        assets=len(kin.same),
        begin_anew=_listed(kin.changed),
        gone=_listed(kin.gone),
        come=_listed(kin.come),
    )
    return kin


def warm_anew(bundle: Bundle, state: EngineState, desk: Desk) -> None:
    """Rows whose detector keeps another state than the version before did begin from the ring."""
    fresh = desk.parts.initial_state()
    other = {
        i
        for i, (mine, theirs) in enumerate(zip(fresh, state.rows, strict=True))
        if mine.shape != theirs.shape
    }
    for i in other:
        state.rows[i] = fresh[i]
    _warm(bundle, state, desk, parts=other)
    for model in bundle.assets:
        if desk.parts.numbers[model.row_running] in other:
            _warm_jobs(model, state.assets[model.asset], desk)


def _shape(model: AssetModel) -> tuple[object, ...]:
    """What has to be equal for samples, history and health of an asset to mean the same."""
    return model.channels, model.period_ns, model.alignment


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


# --- assets that go, change and come ---


def _dismiss(state: AssetState, desk: Desk, *, reason: str, t_ns: int) -> None:
    """End what rings or is kept quiet of an asset whose detector is gone, and say why."""
    for record in state.alerts.values():
        if not (record.active or record.suppressed):
            continue
        hidden = record.suppressed
        record.clear(t_ns=t_ns)
        record.turn(t_ns=t_ns, reason=reason)
        desk.alert_changed(record, desk.settings.of_asset(state.asset))
        if hidden:
            desk.audited_alert("suppression_over", record, t_ns=t_ns, detail=reason)


def _refit(kin: Kinship, before: Bundle, after: Bundle, state: EngineState, desk: Desk) -> None:
    """Bring what is remembered by asset into the shape of the new bundle."""
    old = {model.asset: model for model in before.assets}
    for name in kin.gone:
        left = state.assets.pop(name)
        if left.runs or left.silences:  # the list is retained
            desk.jobs_changed(new_state(name, 0), (), t_ns=state.now_ns)
        align = state.align.assets.pop(name)
        count(state.align.counts, "asset_left", int((~np.isnan(align.values)).sum()))
        del state.ring.assets[name]
        if name in state.suspects:
            state.suspects.remove(name)
    for model in after.assets:
        name = model.asset
        if name in kin.come:
            state.assets[name] = new_state(name, len(model.channels))
            raise_floors(state)
        elif name in kin.changed:
            safety = desk.settings.of_asset(name).safety
            state.assets[name] = _begun_anew(state.assets[name], model, safety)
            del state.ring.assets[name]
            align = state.align.assets[name]
            state.align.assets[name] = _realigned(align, old[name], model, state.align.counts)


def _begun_anew(state: AssetState, model: AssetModel, safety: tuple[str, ...]) -> AssetState:
    """An asset with other channels: work, silences and ids go on; what has their shape does not.

    Without a level from before, a job's end cannot say that all is well: where it kept something
    quiet, that rings.
    """
    channels = [channel.name for channel in model.channels]
    for record in state.alerts.values():
        record.heard, record.heard_lost, record.level = (), True, ()
    for run in state.runs:
        run.mask = new_run(run.job, channels=channels, safety=safety).mask
        run.before = run.found = run.after_sum = run.after_count = None
        run.track, run.fresh_track = TrackState(), TrackState()
        run.rest_ready = run.fresh_ready = False
        run.rest_score = np.nan
    return msgspec.structs.replace(
        state,
        health=HealthState.empty(len(channels)),
        tracks={track: TrackState() for track in TRACKS},
        last_score=np.nan,
    )


def _realigned(
    align: AssetAlign, old: AssetModel, new: AssetModel, counts: dict[str, int]
) -> AssetAlign:
    """Rows that wait, and what is held, in the columns of other channels; context stays behind.

    What has no column any more is counted.
    """
    c_old, c_new = len(old.channels), len(new.channels)
    context = align.values.shape[1] - c_old
    units = {channel: i for i, channel in enumerate(new.channels)}
    pairs = [(i, units[channel]) for i, channel in enumerate(old.channels) if channel in units]
    pairs += [(c_old + i, c_new + i) for i in range(context)]
    source, target = np.array([p[0] for p in pairs], int), np.array([p[1] for p in pairs], int)
    lost = np.delete(align.values, source, axis=1)
    count(counts, "channel_left", int((~np.isnan(lost)).sum()))
    moved = AssetAlign.empty(c_new + context)
    moved.t_ns, moved.spoken, moved.closed_ns = align.t_ns, align.spoken, align.closed_ns
    rows = len(align.t_ns)
    moved.values = np.full((rows, c_new + context), np.nan)
    moved.value_t_ns = np.full((rows, c_new + context), NEVER, np.int64)
    moved.retained = np.zeros((rows, c_new + context), bool)
    for name in ("values", "value_t_ns", "retained"):
        getattr(moved, name)[:, target] = getattr(align, name)[:, source]
    for name in ("newest_ns", "held", "held_ns", "told"):
        getattr(moved, name)[target] = getattr(align, name)[source]
    moved.asides = [
        msgspec.structs.replace(aside, column=aside.column - c_old + c_new)
        for aside in align.asides
    ]
    return moved


# --- assets that stay ---


def _warm(bundle: Bundle, state: EngineState, desk: Desk, *, parts: Container[int]) -> None:
    """Take the rows of all assets of some parts over the samples that are still there.

    Assets of one part with as many of them go together, which is ten times faster than one by one.
    """
    groups: dict[tuple[int, int], list[tuple[AssetModel, History]]] = {}
    for model in bundle.assets:
        if desk.parts.numbers[model.row_running] not in parts:
            continue
        past = desk.ring.last(model.asset, len(desk.ring.state.assets[model.asset].t_ns))
        past = _since(past, _remembers_from_ns(state.assets[model.asset].runs, past))
        of = desk.parts.numbers[model.row_running]
        groups.setdefault((of, len(past[0])), []).append((model, past))
    for (of, _), group in groups.items():
        index, x, valid = [], [], []
        for model, (times, values, running) in group:
            at = rows_at(model, running, desk.ring.modes(model.asset, times))
            sound = _sound(desk.ring, model.asset, times, values)
            for row, seen, known in given(model, sound, times, at, width=desk.width):
                index.append(row)
                x.append(seen)
                valid.append(known)
        part, state_of = desk.parts.every[of], desk.state[of]
        own = np.array(index, np.intp) - part.first
        _, state_of[own] = replay(
            state_of[own], part.stack(index), np.stack(x), np.stack(valid), part=part
        )


def _sound(ring: Ring, asset: str, times: NDArray[np.int64], values: F32) -> F32:
    """Past values (n, c) without those that were no measurements, NaN in their place."""
    unsound = ring.unsound(asset, times)
    return values if unsound is None else np.where(unsound, np.float32(np.nan), values)


def _warm_jobs(model: AssetModel, state: AssetState, desk: Desk) -> None:
    """The same for the rows that open jobs have brought; those of a settling one begin with it."""
    lookback = Lookback(model, state=state, desk=desk)
    everything = np.ones(desk.width, bool)
    for run in state.runs:
        past = desk.ring.last(model.asset, len(desk.ring.state.assets[model.asset].t_ns))
        if run.masked:
            run.masked, _ = lookback.replayed(lookback.without(run.mask), past)
        if run.fresh:
            run.fresh, _ = lookback.replayed(everything, _since(past, run.close_ns))


def _remembers_from_ns(runs: Iterable[JobRun], past: History) -> int:
    """Since when the rows of an asset remember: a job that was judged left fresh ones behind."""
    begins = [0]
    for run in runs:
        if not (run.ended_ns and run.masks and run.fuse_end_ns and run.fresh_ready):
            continue
        judged = int(np.searchsorted(past[0], run.ended_ns, side="left"))
        newest = int(past[0][max(judged - JUDGE_SAMPLES, 0)]) if len(past[0]) else 0
        begins.append(run.close_ns or newest)
    return max(begins)


def _since(past: History, from_ns: int) -> History:
    first = int(np.searchsorted(past[0], from_ns, side="left"))
    return past[0][first:], past[1][first:], past[2][first:]


def _retell(model: AssetModel, state: AssetState, desk: Desk, *, reason: str, t_ns: int) -> None:
    """An event that goes on does so by another threshold: its alert says so under its id.

    A class that the head before gave it is taken back, with its row; a head that has come is asked
    anew.
    """
    record = state.alerts[Track.PROCESS]
    if not (record.active or record.suppressed):
        return
    record.threshold = model.threshold_on
    if record.fault is not None:
        named, said = record.fault.name.casefold(), explain.resembling(record.resembles)
        record.resembles = tuple(r for r in record.resembles if r.mode_id.casefold() != named)
        others = (sentence for sentence in record.sentences if sentence not in said)
        record.sentences = (*others, *explain.resembling(record.resembles))
    record.fault, record.samples, record.classified = None, 0, 0
    record.turn(t_ns=t_ns, reason=reason)
    desk.alert_changed(record, desk.settings.of_asset(state.asset))
