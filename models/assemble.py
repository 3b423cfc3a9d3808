"""Join fitted assets into a bundle or a child of one. Pure: the same input gives the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from models.bundle import AssetFit, AssetModel, Bundle, ModeRow, RowFit, Spec, StreamRow, StreamSpec
from models.check import check_values
from models.detector import detector_of
from models.errors import ModelError
from models.extremes import usual_excess
from models.rows import graph_of, padded, parameter_names, stored
from models.store import sealed
from models.thresholds import ALERTS_PER_DAY, replayed, thresholds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SELFTEST_ROWS: Final = 4
SELFTEST_SAMPLES: Final = 48
replace = msgspec.structs.replace


def make_bundle(
    fits: Sequence[AssetFit],
    *,
    parent: Bundle | None = None,
    alerts_per_day: float | None = None,
    created_at_ns: int = 0,
) -> Bundle:
    """Make a bundle of fitted assets; with `parent` a child that has them added or replaced.

    alerts_per_day: budget of one operator position, divided over all assets of the result; None:
    the parent's, else ALERTS_PER_DAY. Every threshold is recomputed from stored tails; the parent's
    detectors stay as they are, and so does the parent. Raises ModelError where assets do not fit
    together.
    """
    if alerts_per_day is None:
        alerts_per_day = parent.alerts_per_day if parent else ALERTS_PER_DAY
    names = [fit.asset for fit in fits]
    if len(set(names)) < len(names) or not (fits or parent):
        raise ModelError(f"assets {names}: each asset is fitted once, and at least one is needed")
    kept = [m for m in parent.assets if m.asset not in names] if parent else []
    spec = _common_spec(fits, parent)
    rows: list[RowFit | StreamRow] = []
    models: list[AssetModel] = []
    for model in kept:
        assert parent is not None
        c = len(model.channels)
        stopped = stored(parent, model.row_stopped, c) if model.row_stopped >= 0 else None
        modes = [
            (mode.value, None if mode.row == model.row_running else stored(parent, mode.row, c))
            for mode in model.modes
        ]
        _place(rows, models, model, (stored(parent, model.row_running, c), stopped), modes)
    for fit in fits:
        _place(rows, models, _model_of(fit), (fit.running, fit.stopped), fit.modes)
    models = _with_thresholds(models, alerts_per_day)
    new = {fit.asset: fit for fit in fits}
    models = [_replayed(m, new[m.asset]) if m.asset in new else m for m in models]
    arrays = _stack([padded(row, spec) for row in rows])
    parameters = {name: arrays[name] for name in parameter_names(spec)}
    graph = graph_of(spec)
    bundle = Bundle(
        sha256="",
        spec=spec,
        graph=graph,
        parameters=parameters,
        moments=arrays["moments"],
        wanders=arrays["wanders"],
        learned=arrays["learned"],
        assets=tuple(sorted(models, key=lambda model: model.asset)),
        alerts_per_day=float(alerts_per_day),
        parent=parent.sha256 if parent else "",
        created_at_ns=created_at_ns,
        selftest=_selftest(graph, spec, parameters),
    )
    check_values(bundle)
    return sealed(bundle)


def _common_spec(fits: Sequence[AssetFit], parent: Bundle | None) -> Spec | StreamSpec:
    """The shape that all assets share; only the number of channels may differ between them."""
    specs = [fit.spec for fit in fits] + ([parent.spec] if parent else [])
    first = specs[0]
    for fit, spec in zip(fits, specs, strict=False):
        if replace(spec, channels=0) != replace(first, channels=0):
            raise ModelError(
                f"{fit.asset} was fitted with {spec}, the rest of the bundle with {first};"
                " fit it with the same options"
            )
    if parent and replace(first, channels=0) != replace(parent.spec, channels=0):
        raise ModelError(f"the parent was fitted with {parent.spec}, the new asset with {first}")
    periods = {fit.period_ns for fit in fits} | {
        m.period_ns for m in (parent.assets if parent else ())
    }
    if len(periods) > 1:
        raise ModelError(f"one rate a bundle: sampling periods are {sorted(periods)} ns")
    return replace(first, channels=max(spec.channels for spec in specs))


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
    )


def _place(
    rows: list[RowFit | StreamRow],
    models: list[AssetModel],
    model: AssetModel,
    baselines: tuple[RowFit | StreamRow, RowFit | StreamRow | None],
    modes: Sequence[tuple[float, RowFit | StreamRow | None]],
) -> None:
    """Append an asset with its rows."""
    running, stopped = baselines
    at = len(rows)
    rows += [running] if stopped is None else [running, stopped]
    own = []
    for value, row in modes:
        own.append(ModeRow(value=value, row=at if row is None else len(rows)))
        rows += [] if row is None else [row]
    models.append(
        replace(model, row_running=at, row_stopped=at + 1 if stopped else -1, modes=tuple(own))
    )


def _with_thresholds(models: Sequence[AssetModel], alerts_per_day: float) -> list[AssetModel]:
    """The assets with thresholds by the budget that they share."""
    usual = usual_excess([model.tail for model in models])
    found = []
    for model in models:
        on, off = thresholds(
            model.tail,
            alerts_per_day=alerts_per_day,
            assets=len(models),
            stopped=model.tail_stopped,
            usual=usual,
        )
        replay = model.replay if on >= model.threshold_on else None
        found.append(replace(model, threshold_on=on, threshold_off=off, replay=replay))
    return found


def _replayed(model: AssetModel, fit: AssetFit) -> AssetModel:
    """A new asset with what its unseen rows make of its thresholds."""
    scores = [each for each in fit.scores if each is not None]
    if not scores:
        return model
    on, off = model.threshold_on, model.threshold_off
    return replace(model, replay=replayed(scores, on=on, off=off, period_ns=model.period_ns))


def _stack(rows: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _selftest(
    graph: bytes, spec: Spec | StreamSpec, parameters: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Samples with holes and a gap, and the scores that this machine gives them."""
    chance = np.random.default_rng(0)
    rows = np.arange(min(SELFTEST_ROWS, len(parameters["present"])))
    own = {name: value[rows] for name, value in parameters.items()}
    shape = (len(rows), SELFTEST_SAMPLES, spec.channels)
    z = chance.normal(scale=0.5, size=shape).astype(np.float32)
    x = own["center"][:, None] + z / own["scale"][:, None]
    valid = np.broadcast_to(own["present"][:, None], shape) & (chance.random(shape) > 0.1)
    valid[:, :8] = own["present"][:, None]
    valid[:, 24:26] = False
    detector = detector_of(graph)
    score, _ = detector.score(x, valid, detector.initial_state(len(rows)), own)
    return {"x": x, "valid": valid, "rows": rows, "score": score}
