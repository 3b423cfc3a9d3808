"""What thresholds cost an operator: alerts a day expected, and what a replay of the record told.

A replay counts the events that unseen normal rows open at the thresholds of the bundle; how many a
day there are in truth is told by the interval of a Poisson rate (Garwood 1936).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scipy import stats

from models.extremes import rate_at

if TYPE_CHECKING:
    from models.bundle import AssetModel, Bundle
    from models.extremes import Replay

INTERVAL: Final = 0.9  # of what is said of a replay


def expected_alerts(model: AssetModel, *, usual: float) -> float:
    """Alerts a day of one asset in normal operation, as its tails promise; errs to the high side.

    Of running or standing still, whichever has more. usual: `usual_excess` of the bundle.
    """
    tails = [tail for tail in (model.tail, model.tail_stopped) if tail is not None]
    return max(rate_at(tail, model.threshold_on, usual=usual) for tail in tails)


def share_of(bundle: Bundle) -> float:
    """Alerts a day that the budget leaves to each asset."""
    return bundle.alerts_per_day / len(bundle.assets)


def alerts_a_day(replay: Replay) -> tuple[float, float, float]:
    """Alerts a day of a replay, and the interval that they are in by INTERVAL."""
    beyond, count = (1.0 - INTERVAL) / 2.0, replay.episodes
    days = max(replay.days, 1e-9)
    low = float(stats.chi2.ppf(beyond, 2 * count)) / 2.0 if count else 0.0
    high = float(stats.chi2.isf(beyond, 2 * count + 2)) / 2.0
    return count / days, low / days, high / days


def contradicts(bundle: Bundle, model: AssetModel) -> bool:
    """Whether a replay rang more often than the asset's share of the budget, beyond chance."""
    if model.replay is None:
        return False
    return alerts_a_day(model.replay)[1] > share_of(bundle)


def replay_words(bundle: Bundle, model: AssetModel) -> str:
    """What a replay says of the budget, for people."""
    if model.replay is None:
        return "not replayed at this threshold: alerts a day are extrapolated"
    rate, low, high = alerts_a_day(model.replay)
    share = share_of(bundle)
    told = (
        f"replay of {model.replay.days:.3g} days not seen by the model: {rate:.2g} alerts a day"
        f" ({low:.2g} to {high:.2g}), its share of the budget is {share:.3g}"
    )
    if contradicts(bundle, model):
        return f"{told}; warning: that is more than its share, so expect more than the budget"
    return told
