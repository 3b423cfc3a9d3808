"""What a fit came to, in lines for whoever ran it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from models.bundles.bundle import CONTAMINATED, UNSTEADY, is_unfitted
from models.bundles.card import mode_news
from models.fitting.budget import (
    position_replays,
    position_words,
    replay_words,
    shares_of,
    threshold_notes,
)
from models.fitting.season_words import season_news

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.bundles.bundle import AssetModel, Bundle
    from models.samples import TrainingSamples

NAMES_SHOWN_MAX: Final = 12  # of channels or topics, in a line


def described(bundle: Bundle, fitted: dict[str, TrainingSamples]) -> list[str]:
    """Each asset's rows, channels and threshold; of those just fitted what never changed."""
    lines = [position_words(one) for one in position_replays(bundle)] if bundle.positions else []
    shares, notes = shares_of(bundle), threshold_notes(bundle)
    for model in bundle.assets:
        names = [channel.name for channel in model.channels]
        lines.append(
            f"{model.asset}: {model.training.rows_used} rows, alerts at score "
            f"{model.threshold_on:.2f}, {len(names)} channels: {listed(names)}"
        )
        if model.asset in fitted and not is_unfitted(model.metrics):
            said = (replay_words(model, shares[model.asset]), notes.get(model.asset))
            lines += [f"{model.asset}: {line}" for line in said if line]
        training = model.training
        if model.asset in fitted and training.jobs_excluded:
            lines.append(
                f"{model.asset}: {training.rows_excluded} rows left out, settling included, of"
                f" {len(training.jobs_excluded)} jobs: {listed(training.jobs_excluded)}"
            )
        if model.asset in fitted:
            news = (*mode_news(model), *season_news(model))
            lines += [f"{model.asset}: {line}" for line in news] + _unlike(model)
        still = _still(fitted[model.asset]) if model.asset in fitted else []
        if still:
            lines.append(
                f"{model.asset}: warning: {listed(still)} never changed here; a longer recording "
                "may show more, a tag of state belongs into the context"
            )
    return lines


def _unlike(model: AssetModel) -> list[str]:
    """Rows of the record that were unlike the rest of it."""
    left_out = model.metrics.get(CONTAMINATED)
    unsteady = model.metrics.get(UNSTEADY)
    if left_out:
        why = "they were unlike the rest; were they a fault, or work that nobody told of?"
        return [f"{model.asset}: {left_out:.0f} rows left out: {why}"]
    if unsteady:
        many = "too many to be left out; fit it on one way of running"
        share = f"{100 * unsteady:.0f} %"
        return [f"{model.asset}: warning: {share} of the rows are unlike the rest, {many}"]
    return []


def _still(samples: TrainingSamples) -> list[str]:
    """Channels that kept one value, or had none."""
    still = []
    for i, channel in enumerate(samples.channels):
        values = samples.values[:, i]
        finite = values[np.isfinite(values)]
        if not finite.size or finite.min() == finite.max():
            still.append(channel.name)
    return still


def changed(bundle: Bundle, parent: Bundle | None, fitted: dict[str, TrainingSamples]) -> list[str]:
    """What is otherwise than in the parent: assets replaced, thresholds of the others."""
    lines = []
    models = {model.asset: model for model in bundle.assets}
    for old in parent.assets if parent else ():
        if old.asset in fitted:
            lines.append(f"{old.asset}: replaces the one of that name in the parent")
        elif old.asset not in models:
            lines.append(f"{old.asset}: of the parent, and not in this one")
        else:
            before, now = f"{old.threshold_on:.2f}", f"{models[old.asset].threshold_on:.2f}"
            if before != now:
                why = "the usual tail is shared by all assets, an alert budget by a position's"
                lines.append(f"{old.asset}: alerts at score {before} -> {now}: {why}")
    return lines


def listed(names: Sequence[str]) -> str:
    """Names in a line, up to a bound."""
    more = len(names) - NAMES_SHOWN_MAX
    return ", ".join(names[:NAMES_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
