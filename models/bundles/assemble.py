"""Join fitted assets into a bundle or a child of one. Pure: the same input gives the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from models.bundles.bundle import (
    FOUND_BEFORE,
    MODE_OF_PARENT,
    SEASON_OF_PARENT,
    STOPPED_OF_PARENT,
    AssetFit,
    AssetModel,
    Bundle,
    ModeRow,
    Part,
)
from models.bundles.check import check_values
from models.bundles.rows import graph_of, padded, parameter_names, stored
from models.bundles.store import sealed
from models.detector import detector_of
from models.errors import ModelError
from models.fitting.extremes import usual_excess
from models.fitting.positions import ALERTS_PER_DAY, divided
from models.fitting.season import moved
from models.fitting.thresholds import replayed, shifted, thresholds
from models.foreign.imported import ImportedSpec, selftest_samples
from models.heads.heads import carried

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.bundles.bundle import AnyRow, AnySpec
    from models.fitting.extremes import AlarmTail
    from models.fitting.positions import OperatorPosition
    from models.fitting.season import Season

SELFTEST_ROWS: Final = 4
SELFTEST_SAMPLES: Final = 48
replace = msgspec.structs.replace


def make_bundle(
    fits: Sequence[AssetFit],
    *,
    parent: Bundle | None = None,
    alerts_per_day: float | None = None,
    positions: Sequence[OperatorPosition] | None = None,
    without: Sequence[str] = (),
    created_at_ns: int = 0,
) -> Bundle:
    """Make a bundle of fitted assets; with `parent` a child that has them added or replaced.

    without: assets of the parent that the child is not to have.
    alerts_per_day: budget of the operator position of all assets that no other one names, divided
    over them; None: the parent's, else ALERTS_PER_DAY. positions: the others, each with a budget
    divided over its own; None: the parent's. Every threshold is recomputed from stored tails; the
    parent's detectors stay as they are, and so does the parent. Assets of one kind share a graph,
    and those of another stand beside them as a part of their own. Raises ModelError where assets do
    not fit together, or positions do not.
    """
    if alerts_per_day is None:
        alerts_per_day = parent.alerts_per_day if parent else ALERTS_PER_DAY
    if positions is None:
        positions = parent.positions if parent else ()
    there = [model.asset for model in parent.assets] if parent else []
    if absent := sorted(set(without) - set(there)):
        raise ModelError(f"the parent has no asset {', '.join(absent)}; it has {', '.join(there)}")
    names = [fit.asset for fit in fits]
    if len(set(names)) < len(names) or not (fits or parent):
        raise ModelError(f"assets {names}: each asset is fitted once, and at least one is needed")
    replaced = {*names, *without}
    entries = [_kept(parent, m) for m in parent.assets if m.asset not in replaced] if parent else []
    every = sorted([entry.model.asset for entry in entries] + names)
    if not every:
        raise ModelError("no asset would be left; a bundle has at least one")
    divisions = divided(every, positions, alerts_per_day=alerts_per_day)
    shares = {asset: one.share for one in divisions for asset in one.assets}
    entries += [_fitted(fit, parent, alerts_per_day=shares[fit.asset]) for fit in fits]
    _need_one_rate(entries)
    parts: list[Part] = []
    models: list[AssetModel] = []
    for group in _by_shape(entries):
        spec = replace(group[0].spec, channels=max(entry.spec.channels for entry in group))
        first = sum(part.rows for part in parts)
        rows: list[AnyRow] = []
        for entry in group:
            model, own = _placed(entry, first + len(rows))
            models.append(model)
            rows += own
        parts.append(_part(spec, rows, graph=group[0].graph))
    models = _with_thresholds(models, shares)
    new = {fit.asset: fit for fit in fits}
    models = [_replayed(m, new[m.asset]) if m.asset in new else m for m in models]
    plain = Bundle(
        sha256="",
        parts=tuple(parts),
        assets=tuple(sorted(models, key=lambda model: model.asset)),
        alerts_per_day=float(alerts_per_day),
        positions=tuple(positions),
        parent=parent.sha256 if parent else "",
        created_at_ns=created_at_ns,
    )
    bundle = plain if parent is None else carried(parent, plain)
    check_values(bundle)
    return sealed(bundle)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """An asset on its way into a bundle. modes: None shares the row of running."""

    model: AssetModel
    spec: AnySpec
    running: AnyRow
    stopped: AnyRow | None
    modes: Sequence[tuple[float, AnyRow | None]]
    season: AnyRow | None
    graph: bytes  # around an imported model, b"" of other kinds


def _kept(parent: Bundle, model: AssetModel) -> _Entry:
    """An asset that a parent has, as it was fitted."""
    c = len(model.channels)
    part, _ = parent.place(model.row_running)
    return _Entry(
        model=model,
        spec=replace(part.spec, channels=c),
        graph=part.graph if isinstance(part.spec, ImportedSpec) else b"",
        running=stored(parent, model.row_running, c),
        stopped=stored(parent, model.row_stopped, c) if model.row_stopped >= 0 else None,
        modes=[
            (mode.value, None if mode.row == model.row_running else stored(parent, mode.row, c))
            for mode in model.modes
        ],
        season=None if model.season is None else stored(parent, model.row_season, c),
    )


def _fitted(fit: AssetFit, parent: Bundle | None, *, alerts_per_day: float) -> _Entry:
    """An asset as it was fitted, with what its record did not show and the parent knows.

    The tail of several modes together is the parent's where that asks for the higher threshold.
    """
    before = _comparable(fit, parent)
    kept = _modes_of_parent(fit, parent)
    model, stopped = _model_of(fit), fit.stopped
    told = {f"{MODE_OF_PARENT}{value:g}": 1.0 for value, _ in kept}
    if before and kept:
        model = replace(model, tail=_harder(model.tail, before.tail, alerts_per_day))
    if parent and before and stopped is None and before.row_stopped >= 0:
        stopped = stored(parent, before.row_stopped, len(before.channels))
        model = replace(model, tail_stopped=before.tail_stopped)
        told[STOPPED_OF_PARENT] = 1.0
    row: AnyRow | None = fit.season_row
    if parent and before and (season := _season_of_parent(fit, before)) is not None:
        row = stored(parent, before.row_season, len(before.channels))
        model = replace(model, season=season, tail=_harder(model.tail, before.tail, alerts_per_day))
        told[SEASON_OF_PARENT] = 1.0
    old = _of_parent(fit, parent)
    if old and old.channels == fit.channels:  # as a head, what labels said of it goes on
        model = replace(model, tuned=old.tuned)
    if old and old.found and not fit.modes:
        told[FOUND_BEFORE] = float(len(old.modes))
    return _Entry(
        model=replace(model, metrics={**fit.metrics, **told}),
        spec=fit.spec,
        graph=fit.graph,
        running=fit.running,
        stopped=stopped,
        modes=[*_with_own(fit, kept), *kept],
        season=row,
    )


def _harder(tail: AlarmTail, before: AlarmTail, alerts_per_day: float) -> AlarmTail:
    """That of two tails which asks for the higher threshold, the first where they are equal."""
    tails = (tail, before)
    ons = [thresholds(each, alerts_per_day=alerts_per_day)[0] for each in tails]
    return tails[int(np.argmax(ons))]


def _season_of_parent(fit: AssetFit, before: AssetModel) -> Season | None:
    """What was usual by the hour, at the levels of now, where the record is too short to tell.

    None: it had no season, or the record has its own, or days enough to show that there is none.
    """
    own_modes = fit.found is not None or any(row is not None for _, row in fit.modes)
    if before.season is None or fit.hours is None or own_modes:
        return None
    return moved(before.season, fit.hours)


def _of_parent(fit: AssetFit, parent: Bundle | None) -> AssetModel | None:
    return next((m for m in parent.assets if m.asset == fit.asset), None) if parent else None


def _comparable(fit: AssetFit, parent: Bundle | None) -> AssetModel | None:
    """The parent's asset, of which baselines can stand beside the fit's; None: it has changed."""
    model = _of_parent(fit, parent)
    if parent is None or model is None:
        return None
    if (model.channels, model.period_ns) != (fit.channels, fit.period_ns):
        return None
    spec = parent.place(model.row_running)[0].spec
    return model if replace(spec, channels=fit.spec.channels) == fit.spec else None


def _modes_of_parent(fit: AssetFit, parent: Bundle | None) -> list[tuple[float, AnyRow]]:
    """Baselines of the modes of the parent's asset that the fit's record did not show.

    None where the asset has changed, or where modes are guessed: then they are not the same ones.
    """
    model = _comparable(fit, parent)
    if parent is None or model is None or not fit.modes or fit.found or model.found:
        return []
    shown = {value for value, _ in fit.modes}
    c = len(model.channels)
    return [(m.value, stored(parent, m.row, c)) for m in model.modes if m.value not in shown]


def _with_own(fit: AssetFit, kept: Sequence[object]) -> Sequence[tuple[float, AnyRow | None]]:
    """The fit's modes; the only one of a record beside others of the parent is no longer all."""
    if not kept or len(fit.modes) > 1:
        return fit.modes
    return [(value, row or fit.running) for value, row in fit.modes]


def _need_one_rate(entries: Sequence[_Entry]) -> None:
    periods = {entry.model.period_ns for entry in entries}
    if len(periods) > 1:
        raise ModelError(f"one rate a bundle: sampling periods are {sorted(periods)} ns")


def _by_shape(entries: Sequence[_Entry]) -> list[list[_Entry]]:
    """Assets that one graph can score together: only the number of channels may differ.

    Not that of an imported model: rows are not padded for it.
    """
    groups: dict[bytes, list[_Entry]] = {}
    for entry in entries:
        spec = entry.spec
        shape = spec if isinstance(spec, ImportedSpec) else replace(spec, channels=0)
        groups.setdefault(msgspec.json.encode(shape), []).append(entry)
    return [groups[shape] for shape in sorted(groups)]


def _part(spec: AnySpec, rows: Sequence[AnyRow], *, graph: bytes) -> Part:
    """The rows of one kind, stacked for their graph; b"": that follows from the spec."""
    arrays = _stack([padded(row, spec) for row in rows])
    parameters = {name: arrays[name] for name in parameter_names(spec)}
    graph = graph or graph_of(spec)
    return Part(
        spec=spec,
        graph=graph,
        parameters=parameters,
        moments=arrays["moments"],
        wanders=arrays["wanders"],
        learned=arrays["learned"],
        selftest=_selftest(graph, spec, parameters),
    )


def _model_of(fit: AssetFit) -> AssetModel:
    return AssetModel(
        asset=fit.asset,
        channels=fit.channels,
        period_ns=fit.period_ns,
        alignment=fit.alignment,
        row_running=-1,
        row_stopped=-1,
        threshold_on=0.0,
        threshold_off=0.0,
        usual_low=fit.usual_low,
        usual_high=fit.usual_high,
        center=fit.running.center,
        sigma=fit.running.sigma,
        stuck_samples_max=fit.stuck_samples_max,
        tail=fit.tail,
        tail_stopped=fit.tail_stopped,
        training=fit.training,
        metrics=fit.metrics,
        health=fit.health,
        drift=fit.drift,
        found=fit.found,
        season=fit.season,
    )


def _placed(entry: _Entry, at: int) -> tuple[AssetModel, list[AnyRow]]:
    """An asset with its rows, the first of which is row `at` of the bundle."""
    rows = [entry.running] if entry.stopped is None else [entry.running, entry.stopped]
    modes = []
    for value, row in entry.modes:
        modes.append(ModeRow(value=value, row=at if row is None else at + len(rows)))
        rows += [] if row is None else [row]
    stopped = at + 1 if entry.stopped else -1
    season = -1 if entry.season is None else at + len(rows)
    rows += [] if entry.season is None else [entry.season]
    own = {"row_running": at, "row_stopped": stopped, "row_season": season}
    return replace(entry.model, **own, modes=tuple(modes)), rows


def _with_thresholds(models: Sequence[AssetModel], shares: dict[str, float]) -> list[AssetModel]:
    """The assets with thresholds by what the budget of its position leaves to each."""
    usual = usual_excess([model.tail for model in models])
    found = []
    for model in models:
        on, off = thresholds(
            model.tail,
            alerts_per_day=shares[model.asset],
            stopped=model.tail_stopped,
            usual=usual,
        )
        if model.tuned is not None:  # what people's labels said of it goes on
            on, off = shifted(on, model.tuned.shift)
        replay = model.replay if on >= model.threshold_on else None
        found.append(replace(model, threshold_on=on, threshold_off=off, replay=replay))
    return found


def _replayed(model: AssetModel, fit: AssetFit) -> AssetModel:
    """A new asset with what its unseen rows make of its thresholds."""
    scores = [each for each in fit.scores if each is not None]
    kept = any(name.startswith((MODE_OF_PARENT, SEASON_OF_PARENT)) for name in model.metrics)
    if not scores or kept:  # of what is the parent's there are no scores here
        return model
    on, off = model.threshold_on, model.threshold_off
    return replace(model, replay=replayed(scores, on=on, off=off, period_ns=model.period_ns))


def _stack(rows: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _selftest(
    graph: bytes, spec: AnySpec, parameters: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Samples with holes and a gap, and the scores that this machine gives them."""
    chance = np.random.default_rng(0)
    rows = np.arange(min(SELFTEST_ROWS, len(parameters["present"])))
    own = {name: value[rows] for name, value in parameters.items()}
    samples, holes = SELFTEST_SAMPLES, 0.1
    if isinstance(spec, ImportedSpec):
        samples, holes = selftest_samples(spec)
    shape = (len(rows), samples, spec.channels)
    z = chance.normal(scale=0.5, size=shape).astype(np.float32)
    x = own["center"][:, None] + z / own["scale"][:, None]
    valid = np.broadcast_to(own["present"][:, None], shape) & (chance.random(shape) >= holes)
    valid[:, :8] = own["present"][:, None]
    valid[:, 24:26] = False
    detector = detector_of(graph)
    score, _ = detector.score(x, valid, detector.initial_state(len(rows)), own)
    return {"x": x, "valid": valid, "rows": rows, "score": score}
