"""What the values of a bundle must be, whoever wrote it: checked when made and when loaded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from models.bundles.bundle import (
    UNMASKED,
    Spec,
    StreamSpec,
    cannot_mask,
    is_unfitted,
    part_files,
)
from models.bundles.tabled_kinds import EnsembleSpec
from models.errors import ModelError
from models.fitting.drift import LEVELS
from models.fitting.positions import divided
from models.fitting.season import BINS
from models.fitting.var import FIT_Z_MAX
from models.foreign.imported import ImportedSpec
from models.graphs.head import heads_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from models.bundles.bundle import AnySpec, AssetModel, Bundle, Part
    from models.fitting.extremes import AlarmTail

PARTS_MAX: Final = 16  # each is a call of the model every tick
ALIGNMENTS: Final = ("grid", "rows")
ASSET_CHARS_MAX: Final = 64  # as in the gateway's topics
PAST_MAX: Final = 4_096  # samples that a stream's usual value is taken from
DAY_SAMPLES_MAX: Final = 1_440  # those of a day that is followed
MOMENT_MAX: Final = FIT_Z_MAX**2  # of values that are clipped before they are multiplied
ROUNDING: Final = 1e-9  # of a mean of such products
THRESHOLD_MAX: Final = 100.0  # -log10 of a probability; the tightest budgets ask for some twenty
ID_EXPECTED: Final = (
    f"1 to {ASSET_CHARS_MAX} printable characters without / + # or blanks at the ends, none of them"
    " a leading _: it is a level of MQTT topics"
)

VECTORS: Final = ("usual_low", "usual_high", "center", "sigma", "stuck_samples_max")
USUAL: Final = slice(2)  # of these; NaN where nothing was learned yet

# Whether it is so, what, found, expected. Nobody asks on after one that is so: what is told later
# may rely on it. There are dozens an asset: an array is made plain only of the one that is so.
Fault = tuple[bool, str, object, str]


def check_values(bundle: Bundle, path: Path | None = None) -> None:
    """Raise ModelError for the first value that no detector can have.

    path: directory that the bundle is in; None: it is being made. Shapes are taken to be right,
    except those of the vectors of assets.
    """
    arrays = [(part_files(at)[1], _array_faults(part)) for at, part in enumerate(bundle.parts)]
    heads = [
        (part_files(at)[0], _head_faults(bundle, part)) for at, part in enumerate(bundle.parts)
    ]
    described = (
        ("bundle.json", _specs_faults(bundle)),
        ("bundle.json", _asset_list_faults(bundle)),
    )
    for file, faults in (*described, *arrays, *heads):
        where = path / file if path else "the new bundle"
        for wrong, what, found, expected in faults:
            if wrong:
                plain = found.tolist() if isinstance(found, np.ndarray) else found
                raise ModelError(f"{where}: {what} is {plain!r}, expected {expected}")


def _specs_faults(bundle: Bundle) -> Iterator[Fault]:
    """What the shape of a part's detector must be."""
    for at, part in enumerate(bundle.parts):
        for wrong, what, found, expected in _spec_faults(part.spec):
            yield wrong, f"{what} of spec {at + 1}", found, expected


def _spec_faults(spec: AnySpec) -> Iterator[Fault]:
    """A rate of 0 never learns, one above 1 swings ever further; nothing is made of no samples."""
    rates = spec.lambdas
    sound = len(rates) > 0 and all(0 < rate <= 1 for rate in rates)
    yield not sound, "lambdas", rates, "at least one rate, each above 0 and at most 1"
    least = {"channels": 1}
    if isinstance(spec, StreamSpec):
        least |= dict.fromkeys(("seasons", "window", "bank", "nearest", "bins"), 1)
        least |= {"season": 0, "around": 0}
    elif isinstance(spec, ImportedSpec):
        least |= {"knots": 1, "window": 1}
    elif isinstance(spec, EnsembleSpec):
        least |= {"knots": 1, "bins": 1, "projections": 0}
    else:
        least |= {"knots": 1, "lags": 1} if isinstance(spec, Spec) else {"knots": 1}
    for name, lowest in least.items():
        yield getattr(spec, name) < lowest, name, getattr(spec, name), f"at least {lowest}"
    if isinstance(spec, StreamSpec):  # its arrays do not show these
        day, past = spec.season, spec.seasons * (2 * spec.around + 1)
        yield day > DAY_SAMPLES_MAX, "season", day, f"0 to {DAY_SAMPLES_MAX}"
        yield past > PAST_MAX, "seasons x (2 around + 1)", past, f"at most {PAST_MAX}"
        yield spec.nearest > spec.bank, "nearest", spec.nearest, f"at most bank, {spec.bank}"


def _asset_list_faults(bundle: Bundle) -> Iterator[Fault]:
    budget = bundle.alerts_per_day
    yield not 0 < budget < math.inf, "alerts_per_day", budget, "a number above 0"
    wrong = ""
    try:
        divided((m.asset for m in bundle.assets), bundle.positions, alerts_per_day=budget)
    except ModelError as error:
        wrong = str(error)
    yield bool(wrong), "positions", wrong, "each asset in one, each with a budget"
    yield not bundle.assets, "assets", [], "at least one"
    few = f"1 to {PARTS_MAX}: give assets one kind and one set of options, or split the bundle"
    yield not 0 < len(bundle.parts) <= PARTS_MAX, "number of parts", len(bundle.parts), few
    names = [model.asset for model in bundle.assets]
    for model in bundle.assets:
        yield not _is_id(model.asset), "asset", model.asset, ID_EXPECTED
        for faulty, what, found, expected in _asset_faults(model):
            if faulty:
                yield True, f"{what} of asset {model.asset}", found, expected
    yield len(set(names)) < len(names), "assets", names, "each once"
    rows = sorted(row for model in bundle.assets for row in own_rows(model))
    every = list(range(bundle.rows))
    yield from _mask_faults(bundle)
    yield (
        rows != every,
        "row_running and row_stopped and modes and season of all assets",
        rows,
        f"{every}, each once",
    )


def _mask_faults(bundle: Bundle) -> Iterator[Fault]:
    """What cannot be scored without some channels must say so: nothing of it is suppressed."""
    rows = range(bundle.rows)
    for model in bundle.assets:
        if model.row_running in rows:
            spec = bundle.place(model.row_running)[0].spec
            bold = isinstance(spec, ImportedSpec) and not spec.masks
            silent = bold and not cannot_mask(model.metrics)
            yield silent, f"metric {UNMASKED} of asset {model.asset}", "missing", "1"


def _array_faults(part: Part) -> Iterator[Fault]:
    moments = np.asarray(part.moments)
    arrays = {**part.parameters, "moments": moments, "learned": part.learned}
    for name, array in arrays.items():
        yield not np.isfinite(array).all(), f"an entry of {name}", "not finite", "a number"
    beyond = float(np.abs(moments).max(initial=0.0))
    above = beyond > MOMENT_MAX * (1 + ROUNDING)
    yield above, "size of an entry of moments", beyond, f"at most {MOMENT_MAX:g}"
    for name in ("scale", "learned", *(("error_scale",) if "error_scale" in arrays else ())):
        lowest = float(arrays[name].min(initial=np.inf))
        yield lowest <= 0, f"an entry of {name}", lowest, "above 0"
    for name in ("settle", "tail_counts", "tail_sums"):
        lowest = float(arrays.get(name, np.zeros(1)).min(initial=np.inf))
        yield lowest < 0, f"an entry of {name}", lowest, "at least 0"


def _head_faults(bundle: Bundle, part: Part) -> Iterator[Fault]:
    """What the heads of a part's graph must be, where it has any."""
    of_asset = {m.asset: tuple(channel.name for channel in m.channels) for m in bundle.assets}
    for note, arrays in heads_in(part.graph):
        for asset in note.assets:
            found = of_asset.get(asset)
            yield found != note.channels, f"the head's asset {asset}", found, f"{note.channels}"
        finite = all(np.isfinite(array).all() for array in arrays.values())
        yield not finite, f"an entry of the head of {note.assets}", "not finite", "a number"
        warmth = float(arrays["temperature"])
        yield warmth <= 0, f"the temperature of the head of {note.assets}", warmth, "above 0"
        wide = len(arrays["bound"]) == len(note.classes) == len(set(note.classes))
        yield not wide, f"classes of the head of {note.assets}", note.classes, "each once"


def _tail_faults(name: str, tail: AlarmTail | None) -> Iterator[Fault]:
    if tail is None:
        return
    yield not 0 < tail.score <= THRESHOLD_MAX, f"{name}.score", tail.score, "as of a threshold"
    for part in ("episodes_per_day", "excess"):
        value = getattr(tail, part)
        if not 0 < value < math.inf:
            yield True, f"{name}.{part}", value, "a number above 0"
    for part in ("peaks", "days"):
        value = getattr(tail, part)
        if not 0 <= value < math.inf:
            yield True, f"{name}.{part}", value, "a number, at least 0"
    yield not -1 < tail.shape < 1, f"{name}.shape", tail.shape, "between -1 and 1"


def _asset_faults(model: AssetModel) -> Iterator[Fault]:
    yield model.period_ns <= 0, "period_ns", model.period_ns, "above 0"
    yield model.alignment not in ALIGNMENTS, "alignment", model.alignment, " or ".join(ALIGNMENTS)
    modes = [mode.value for mode in model.modes]
    yield len(set(modes)) < len(modes), "modes", modes, "each once"
    channels, c = [channel.name for channel in model.channels], len(model.channels)
    yield not channels, "channels", channels, "at least one"
    yield len(set(channels)) < len(channels), "channels", channels, "each name once"
    on, off = model.threshold_on, model.threshold_off
    if not 0 < on <= THRESHOLD_MAX:
        yield True, "threshold_on", on, f"above 0 and at most {THRESHOLD_MAX:g}"
    if not 0 < off <= on:
        yield True, "threshold_off", off, f"above 0 and at most threshold_on, {on:g}"
    for name in ("tail", "tail_stopped"):
        yield from _tail_faults(name, getattr(model, name))
    vectors = [np.asarray(getattr(model, name)) for name in VECTORS]
    for name, vector in zip(VECTORS, vectors, strict=True):
        if vector.shape != (c,):
            yield True, name, vector, f"{c} numbers, one a channel"
    table = np.stack(vectors)  # (5, c): checked together, as single vectors take much longer
    known = np.isfinite(table)
    if is_unfitted(model.metrics):
        known[USUAL] |= np.isnan(table[USUAL])
    unknown = int(known.all(axis=1).argmin())
    yield not known.all(), VECTORS[unknown], table[unknown], "numbers, one a channel"
    low, high, _, sigma, stuck = table
    yield bool((sigma <= 0).any()), "sigma", sigma, "above 0"
    yield bool((low > high).any()), "usual_low", low, "nowhere above usual_high"
    yield bool((stuck < 1).any()), "stuck_samples_max", stuck, "at least 1"
    yield from _health_faults(model)
    yield from _found_faults(model)
    yield from _season_faults(model)
    yield from _drift_faults(model)


def _drift_faults(model: AssetModel) -> Iterator[Fault]:
    """What the record of normal operation by blocks must be, where there is one."""
    drift, c = model.drift, len(model.channels)
    if drift is None:
        return
    columns = LEVELS + 2 * c
    yield from _size_faults("drift", drift, dict.fromkeys(("mean", "long_run", "blocks"), columns))
    scaled = drift.center.shape == drift.sigma.shape == (c,) and bool((drift.sigma > 0).all())
    yield not scaled, "drift.sigma", drift.sigma, "above 0, one a channel"
    yield drift.levels.shape != (LEVELS,), "drift.levels", drift.levels, f"{LEVELS}"
    yield not drift.block_samples >= 1, "drift.block_samples", drift.block_samples, "1 or more"


def _size_faults(of: str, record: object, sizes: dict[str, int]) -> Iterator[Fault]:
    """Vectors of a record that have other sizes than these, or an infinite entry."""
    vectors = [np.asarray(getattr(record, name)) for name in sizes]
    for (name, size), vector in zip(sizes.items(), vectors, strict=True):
        if vector.shape != (size,):  # words are made of what is wrong alone: there are dozens
            yield True, f"{of}.{name}", vector, f"{size} numbers"
    if np.isinf(np.concatenate(vectors)).any():  # of all together, as in `_asset_faults`
        for name, vector in zip(sizes, vectors, strict=True):
            yield bool(np.isinf(vector).any()), f"{of}.{name}", vector, "no infinite ones"


def _health_faults(model: AssetModel) -> Iterator[Fault]:
    """What the record of the sensors must be, where there is one."""
    health, c = model.health, len(model.channels)
    if health is None:
        return
    pairs = np.asarray(health.pairs)
    m = len(pairs)
    names = ("noise_low", "noise_high", "level_low", "level_high", "present_min", "steps")
    sizes = {**dict.fromkeys(names, c), "apart_low": m, "apart_high": m}
    yield from _size_faults("health", health, sizes)
    of_channels = m == 0 or (pairs.shape == (m, 2) and bool(((pairs >= 0) & (pairs < c)).all()))
    yield not of_channels, "health.pairs", pairs, f"pairs of channels, 0 to {c - 1}"
    yield not health.repeats_max >= 1, "health.repeats_max", health.repeats_max, "at least 1"


def _found_faults(model: AssetModel) -> Iterator[Fault]:
    """Modes that were found belong to the rows of the asset, and say where they are."""
    found = model.found
    if found is None:
        return
    k, c = len(model.modes), len(model.channels)
    values = [mode.value for mode in model.modes]
    yield values != list(range(k)), "modes", values, "those found, by their numbers"
    for name in ("low", "high", "low_in", "high_in"):
        yield getattr(found, name).shape != (k, c), f"found.{name}", name, f"{k} x {c} numbers"
    yield found.follows.shape != (k, k), "found.follows", found.follows, f"{k} x {k}"
    for name in ("shortest", "longest"):
        yield getattr(found, name).shape != (k,), f"found.{name}", name, f"{k} numbers"
    every = [np.asarray(getattr(found, name)) for name in ("low", "high", "shortest", "longest")]
    yield not all(np.isfinite(e).all() for e in every), "found", "not finite", "numbers"
    yield found.transit < 0, "found.transit", found.transit, "0 or more"


def _season_faults(model: AssetModel) -> Iterator[Fault]:
    """What is usual at an hour has a row that judges it, and numbers for every half hour."""
    season, c = model.season, len(model.channels)
    yield (season is None) != (model.row_season == -1), "row_season", model.row_season, "a season's"
    if season is None:
        return
    tables = len(season.middle)
    for name in ("middle", "spread"):
        array = np.asarray(getattr(season, name))
        fits = array.shape == (tables, BINS, c) and tables > 0 and bool(np.isfinite(array).all())
        yield not fits, f"season.{name}", array.shape, f"numbers, k x {BINS} x {c}"
    yield bool((season.spread < 0.0).any()), "season.spread", "negative", "at least 0"
    known = len(season.days) == 7 and all(-1 <= day < tables for day in season.days)
    yield not known, "season.days", season.days, f"7 numbers, -1 to {tables - 1}"
    since, ahead = season.clocks.since_s, season.clocks.ahead_s
    told = len(since) == len(ahead) > 0 and list(since) == sorted(since)
    yield not told, "season.clocks.since_s", since, "times in their order, each with what is ahead"


def own_rows(model: AssetModel) -> list[int]:
    """The rows of an asset, each once: running, stopped, modes of their own, the season's."""
    states = [row for row in (model.row_running, model.row_stopped) if row != -1]
    states += [mode.row for mode in model.modes if mode.row != model.row_running]
    return states + ([model.row_season] if model.row_season != -1 else [])


def _is_id(text: str) -> bool:
    """Whether an id can be a level of an MQTT topic; the rule of the gateway."""
    return (
        0 < len(text) <= ASSET_CHARS_MAX
        and text.isprintable()
        and not text.startswith("_")  # ours: _gateway, _clock
        and not set(text) & set("/+#")
        and text == text.strip()
    )
