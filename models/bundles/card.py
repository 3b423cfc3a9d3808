"""The model card of a bundle: what it is, what it was made of, what to expect of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from models.bundles.bundle import (
    CONTAMINATED,
    FOUND_BEFORE,
    MODE_OF_PARENT,
    SEASON_LEFT,
    SEASON_OF_PARENT,
    STOPPED_OF_PARENT,
    UNRESOLVED,
    UNSTEADY,
    StreamSpec,
    is_unfitted,
    kind_of,
)
from models.bundles.tabled_kinds import EnsembleSpec, PcaSpec
from models.bundles.tuned import tuned_lines
from models.fitting.budget import (
    expected_alerts,
    position_replays,
    position_words,
    replay_words,
    shares_of,
    threshold_notes,
)
from models.fitting.extremes import usual_excess
from models.fitting.positions import position_of
from models.fitting.season_words import season_lines
from models.foreign.imported import ImportedSpec, method_of
from models.graphs.head import heads_in
from models.samples import F32_MAX

if TYPE_CHECKING:
    from models.bundles.bundle import AnySpec, AssetModel, Bundle
    from models.fitting.mode_track import FoundModes

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
OWN_LINES: Final = (  # metrics told in words
    UNRESOLVED,
    MODE_OF_PARENT,
    STOPPED_OF_PARENT,
    FOUND_BEFORE,
    SEASON_LEFT,
    SEASON_OF_PARENT,
)
LEVELS_SHOWN_MAX: Final = 3  # channels of a mode; the first ones
JOBS_SHOWN_MAX: Final = 12  # of an asset; bundle.json names all
ASSETS_SHOWN_MAX: Final = 12  # of a part; all have a section of their own


def model_card(bundle: Bundle) -> str:
    """Markdown for people; all of it is in bundle.json too, and of heads in model.onnx."""
    made = EPOCH + timedelta(microseconds=bundle.created_at_ns // 1000)
    lines = [
        "# Detector bundle",
        "",
        f"- made {made.isoformat(timespec='seconds')}",
        f"- grown from bundle {bundle.parent}" if bundle.parent else "- without a parent",
        *_budget_lines(bundle),
        "",
        "## What it does",
        "",
        *_method_lines(bundle),
        "## Intended use",
        "",
        (
            "Watching the machines named below for what their own normal operation does not show,"
            " beside their controls and protections. It advises people; nothing may be switched by"
            " it, and no safety function may rest on it."
        ),
        "",
        *_data_lines(bundle),
        *_metric_lines(bundle),
        *_head_lines(bundle),
        "## Limits",
        "",
        (
            "- It knows the rows that it was fitted on. Normal operation that was not among them (a"
            " product, a season, a start) is strange to it."
        ),
        (
            "- Channels marked as wandering are watched by their changes: a lasting shift of such a"
            " channel shows when it happens, not for as long as it lasts."
        ),
        (
            "- The budget holds as far as the plant goes on as in training; a record of minutes"
            " says little about a day."
        ),
        *_validity_lines(bundle),
        "## Assets",
        "",
    ]
    shares, notes = shares_of(bundle), threshold_notes(bundle)
    for model in bundle.assets:
        lines += _asset_lines(
            bundle, model, share=shares[model.asset], note=notes.get(model.asset, "")
        )
    return "\n".join(lines) + "\n"


def _budget_lines(bundle: Bundle) -> list[str]:
    """How many alerts whose operator bears, over which assets, and what the replays say of it."""
    count = len(bundle.assets)
    told = (
        f"- alert budget {bundle.alerts_per_day:g} false alerts a day for the operator"
        f" position, divided over {count} asset{'s' * (count != 1)}"
    )
    if bundle.positions:
        told = "- alert budgets by operator position, each divided over its assets"
    return [told, *(f"- {position_words(one)}" for one in position_replays(bundle))]


def _method_lines(bundle: Bundle) -> list[str]:
    """What the detector of each part does, and of which assets."""
    lines = []
    for part in bundle.parts:
        mine = [m.asset for m in bundle.assets if bundle.place(m.row_running)[0] is part]
        if len(bundle.parts) > 1:
            more = len(mine) - ASSETS_SHOWN_MAX
            named = ", ".join(mine[:ASSETS_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
            lines += [f"### {kind_of(part.spec)}: {named}", ""]
        lines += [_method(part.spec), ""]
    return lines


def _method(spec: AnySpec) -> str:
    """What the detector does, in a paragraph."""
    if isinstance(spec, ImportedSpec):
        return method_of(spec)
    rates = ", ".join(f"{rate:g}" for rate in spec.lambdas)
    meaning = "The score is surprise: -log10 of the probability of something as strange"
    if isinstance(spec, StreamSpec):
        usual = "at this time of day on the days before" if spec.season else "just before"
        return (
            f"Each sample is compared with what was usual {usual}; what differs is averaged at"
            f" rates {rates}. Beside it stand the step from the sample before, and the distance of"
            f" the newest {spec.window} samples to {spec.bank} windows of normal operation."
            f" {meaning} among all samples so far: it goes on counting in service."
        )
    if isinstance(spec, EnsembleSpec):
        return (
            f"Each channel has a histogram of normal operation, and so has each of"
            f" {spec.projections} random sums of a few channels. How rare a sample is in them"
            f" together, averaged at rates {rates}, is compared with normal operation. {meaning} in"
            " normal operation. Channels without a valid value take their histograms with them, and"
            " the score keeps its meaning. A level that wanders is strange to it: such channels"
            " are better watched by `var`."
        )
    if isinstance(spec, PcaSpec):
        return (
            "The channels are taken together by their principal components. How far a sample is"
            f" within their plane (T-squared) and from it (Q), averaged at rates {rates}, is"
            f" compared with normal operation. {meaning} in normal operation. Channels without a"
            " valid value are left out, and the score keeps its meaning. A level that wanders is"
            " strange to it: such channels are better watched by `var`."
        )
    return (
        f"Each sample is predicted from the {spec.lags} before it (ridge VAR). What the prediction"
        f" leaves is averaged at rates {rates} and compared with normal operation, all channels"
        f" together and the one furthest off. {meaning} in normal operation. Channels without a"
        " valid value are left out, and the score keeps its meaning."
    )


def _data_lines(bundle: Bundle) -> list[str]:
    """Which recordings it was made of, each once with all that was taken from it."""
    recordings: dict[str, list[AssetModel]] = {}
    for model in bundle.assets:
        recordings.setdefault(model.training.sha256, []).append(model)
    lines = ["## Data", ""]
    for sha256, models in recordings.items():
        used = sum(model.training.rows_used for model in models)
        left = sum(model.training.rows_excluded for model in models)
        lines.append(
            f"- recording {sha256 or 'unnamed'}: {len(models)} asset{'s' * (len(models) != 1)},"
            f" {used} rows used, {left} left out for maintenance"
        )
    return [*lines, ""]


def _metric_lines(bundle: Bundle) -> list[str]:
    """What was measured of each asset when it was fitted."""
    lines = [
        "## Metrics",
        "",
        "Measured by the fit, on rows of normal operation that the measured model had not seen.",
        "Alerts expected are extrapolated from the tail of their scores, on the high side.",
        "",
        "| asset | alerts a day expected | metric | value |",
        "|---|---|---|---|",
    ]
    usual = usual_excess([model.tail for model in bundle.assets])
    for model in bundle.assets:
        asset = model.asset.replace("|", "\\|")
        shown = sorted(name for name in model.metrics if not name.startswith(OWN_LINES))
        lines.append(f"| {asset} | {expected_alerts(model, usual=usual):.3g} | | |")
        lines += [f"| {asset} | | {name} | {model.metrics[name]:.4g} |" for name in shown]
    return [*lines, ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _head_lines(bundle: Bundle) -> list[str]:
    """Which failure modes it names, and how well, as held back groups of labels showed."""
    heads = [head for part in bundle.parts for head in heads_in(part.graph)]
    if not heads:
        return []
    lines = [
        "## Failure modes",
        "",
        (
            "Named for open events by heads that were fitted on labelled windows; they decide"
            " nothing. Figures are of groups of labels that the measured head had not seen; it"
            " abstains where nothing that it knows is more likely than all else, or the window is"
            " unlike all of it."
        ),
        "",
        "| assets | failure mode | labelled windows |",
        "|---|---|---|",
    ]
    for note, _ in heads:
        assets = _cell(", ".join(note.assets))
        counts = [(_cell(name), f"{note.counts.get(name, 0)}") for name in note.classes]
        told = sorted((n, f"{v:.3g}") for n, v in note.metrics.items() if v is not None)
        lines += [f"| {assets} | {name} | {value} |" for name, value in (*counts, *told)]
    return [*lines, ""]


def _validity_lines(bundle: Bundle) -> list[str]:
    """What else bounds its use, as far as this bundle tells."""
    lines = []
    bare = [model.asset for model in bundle.assets if is_unfitted(model.metrics)]
    if bare:
        lines.append(
            f"- Nothing was learned of {', '.join(bare)}: only approved limits ring there."
        )
    one_state = [
        model.asset
        for model in bundle.assets
        if model.row_stopped < 0 and not is_unfitted(model.metrics)
    ]
    if one_state:
        lines.append(
            f"- Without a baseline while stopped: {', '.join(one_state)}; not scored then."
        )
    return [*lines, ""]


def _asset_lines(bundle: Bundle, model: AssetModel, *, share: float, note: str) -> list[str]:
    training = model.training
    part, row = bundle.place(model.row_running)
    begin, end = training.rows
    excluded = _excluded(training.jobs_excluded, training.rows_excluded)
    lines = [
        f"### {model.asset}",
        "",
        (
            f"- a sample each {model.period_ns / 1e9:g} s; opens at score {model.threshold_on:.2f},"
            f" ends below {model.threshold_off:.2f}"
        ),
        (
            f"- fitted on rows {begin}:{end} of recording {training.sha256[:12] or 'unnamed'},"
            f" {training.rows_used} with values; jobs left out: {excluded}"
        ),
        *_position_line(bundle, model),
        f"- {replay_words(model, share)}",
        *([f"- {note}"] if note else []),
        f"- baseline while stopped: {'yes' if model.row_stopped >= 0 else 'no'}",
        *_mode_lines(model),
        *(f"- {line}" for line in mode_news(model)),
        *season_lines(model, kind_of(part.spec)),
        *_contaminated_lines(model),
        *tuned_lines(model),
        *_hidden_lines(bundle, model),
        "",
        "| channel | unit | usual range | sigma | wanders | scored |",
        "|---|---|---|---|---|---|",
    ]
    for i, channel in enumerate(model.channels):
        usual = f"{model.usual_low[i]:.4g} to {model.usual_high[i]:.4g}"
        wanders = "yes" if part.wanders[row][i] else "no"
        name = channel.name.replace("|", "\\|")
        scored = "yes" if part.parameters["present"][row][i] else "no"
        lines.append(
            f"| {name} | {channel.unit} | {usual} | {model.sigma[i]:.4g} | {wanders} | {scored} |"
        )
    return [*lines, ""]


def _position_line(bundle: Bundle, model: AssetModel) -> list[str]:
    """Whose operator hears it, where there are several."""
    if not bundle.positions:
        return []
    return [f"- operator position: {position_of(model.asset, bundle.positions) or 'none named'}"]


def _excluded(jobs: tuple[str, ...], rows: int) -> str:
    """Which jobs were left out, and how many rows that took."""
    if not jobs:
        return "none"
    more = len(jobs) - JOBS_SHOWN_MAX
    named = ", ".join(jobs[:JOBS_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
    return f"{named} ({rows} rows, settling included)"


def _mode_lines(model: AssetModel) -> list[str]:
    """Operating modes that were seen."""
    if not model.modes:
        return []
    own = [f"{mode.value:g}" for mode in model.modes if mode.row != model.row_running]
    few = [f"{mode.value:g}" for mode in model.modes if mode.row == model.row_running]
    shared = f"; with too few rows for one: {', '.join(few)}" if few else ""
    return [f"- modes with a baseline of their own: {', '.join(own) or 'none'}{shared}"]


def mode_news(model: AssetModel) -> list[str]:
    """What somebody should know of an asset's modes before it goes into service, a line each."""
    kept = [m.value for m in model.modes if f"{MODE_OF_PARENT}{m.value:g}" in model.metrics]
    lines = []
    if kept:
        listed = ", ".join(f"{value:g}" for value in kept)
        lines.append(f"modes that the record did not show, with the baselines of before: {listed}")
    if STOPPED_OF_PARENT in model.metrics:
        lines.append("the record did not show it stopped: the baseline of before judges it then")
    if before := model.metrics.get(FOUND_BEFORE):
        lines.append(
            f"{before:.0f} modes were found before, and none in this record: those that it did not"
            " show will ring; fit a record that shows all, or give a tag of the role mode"
        )
    if model.found is not None:
        k = len(model.modes)
        levels = "; ".join(_levels(model, model.found, m) for m in range(k))
        lines.append(
            f"{k} modes that no tag tells were found, and are guessed from the levels: {levels};"
            " if one of them is a fault, leave its rows out; a tag of the role mode is surer"
        )
    return lines


def _levels(model: AssetModel, found: FoundModes, m: int) -> str:
    """Between which values the channels that tell modes apart are in one of them."""
    tells = np.flatnonzero(found.low_in[m] > -F32_MAX).tolist()
    shown = [
        f"{model.channels[j].name} {found.low_in[m, j]:.4g} to {found.high_in[m, j]:.4g}"
        for j in tells[:LEVELS_SHOWN_MAX]
    ]
    return f"{m}: {', '.join(shown)}"


def _contaminated_lines(model: AssetModel) -> list[str]:
    """What of the record was unlike the rest of it."""
    left_out = model.metrics.get(CONTAMINATED)
    unsteady = model.metrics.get(UNSTEADY)
    if left_out:
        return [f"- {left_out:.0f} rows left out: they were unlike the rest of the record"]
    if unsteady:
        many = "too many to be left out: is this one way of running, and normal?"
        return [f"- {100 * unsteady:.0f} % of the rows are unlike the rest, {many}"]
    return []


def _hidden_lines(bundle: Bundle, model: AssetModel) -> list[str]:
    """What of a channel this detector cannot see."""
    part, row = bundle.place(model.row_running)
    scored = part.parameters["present"][row]
    lines = []
    for i, channel in enumerate(model.channels):
        spread = model.metrics.get(f"{UNRESOLVED}{channel.name}")
        if spread is not None:
            fate = "only larger moves of it are seen" if scored[i] else "it is not scored"
            lines.append(
                f"- {channel.name} moved by {spread:.2g} around {model.center[i]:.6g}, less than"
                f" float32 shows, so {fate}; subtract an offset before it is sent, or leave it out"
            )
    return lines
