"""What thresholds cost an operator: alerts a day expected, and what a replay of the record told.

A replay counts the events that unseen normal rows open at the thresholds of the bundle; how many a
day there are in truth is told by the interval of a Poisson rate (Garwood 1936). What an operator
position hears is the sum of its assets, each replayed for a time of its own: that is a weighted sum
of Poisson counts, with the gamma interval of Fay and Feuer (Statistics in Medicine 16, 1997), which
for one asset is Garwood's. The shortest replay sets the upper end of that interval, so those of
less than a day are left out of the sum.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from models.fitting.extremes import rate_at, usual_excess
from models.fitting.positions import divided
from models.fitting.thresholds import ON_MIN, levels_asked

if TYPE_CHECKING:
    from models.bundles.bundle import AssetModel, Bundle
    from models.fitting.extremes import Replay
    from models.fitting.positions import Division

INTERVAL: Final = 0.9  # of what is said of a replay
SUMMED_DAYS_MIN: Final = 1.0  # of a replay that counts in the sum of a position's assets


def expected_alerts(model: AssetModel, *, usual: float) -> float:
    """Alerts a day of one asset in normal operation, as its tails promise; errs to the high side.

    Of running or standing still, whichever has more. usual: `usual_excess` of the bundle.
    """
    tails = [tail for tail in (model.tail, model.tail_stopped) if tail is not None]
    return max(rate_at(tail, model.threshold_on, usual=usual) for tail in tails)


def divisions_of(bundle: Bundle) -> tuple[Division, ...]:
    """The operator positions of a bundle that have assets; "" is that of all that none names."""
    assets = [model.asset for model in bundle.assets]
    return divided(assets, bundle.positions, alerts_per_day=bundle.alerts_per_day)


def shares_of(bundle: Bundle) -> dict[str, float]:
    """Alerts a day that the budget of its position leaves to each asset."""
    return {asset: one.share for one in divisions_of(bundle) for asset in one.assets}


def budget_of(bundle: Bundle) -> float:
    """Alerts a day that all positions of a bundle bear together."""
    return sum(one.alerts_per_day for one in divisions_of(bundle))


def budget_words(bundle: Bundle) -> str:
    """The budgets of a bundle, alerts a day, for people."""
    if not bundle.positions:
        return f"{bundle.alerts_per_day:g}"
    named = [f"{one.name or 'others'} {one.alerts_per_day:g}" for one in divisions_of(bundle)]
    return ", ".join(named)


def alerts_a_day(*replays: Replay) -> tuple[float, float, float]:
    """Alerts a day of the replays of assets that run side by side, and their interval by INTERVAL.

    NaN where one is of no length, or there are none: nothing is known then.
    """
    from scipy import special  # noqa: PLC0415 - it loads slowly, and a start must be quick

    if not replays or any(replay.days <= 0.0 for replay in replays):
        return math.nan, math.nan, math.nan
    beyond = (1.0 - INTERVAL) / 2.0
    weights = [1.0 / replay.days for replay in replays]
    counted = list(zip(weights, (replay.episodes for replay in replays), strict=True))
    rate = sum(weight * count for weight, count in counted)
    spread = sum(weight**2 * count for weight, count in counted)
    largest = max(weights)
    low = (
        spread / (2.0 * rate) * 2.0 * float(special.gammaincinv(rate**2 / spread, beyond))
        if rate
        else 0.0
    )
    more, wider = rate + largest, spread + largest**2
    high = wider / (2.0 * more) * float(special.chdtri(2.0 * more**2 / wider, beyond))
    return rate, low, high


def contradicts(replay: Replay, share: float) -> bool:
    """Whether a replay rang more often than the asset's share of the budget, beyond chance.

    One of no length does not.
    """
    return alerts_a_day(replay)[1] > share


def replay_words(model: AssetModel, share: float) -> str:
    """What a replay says of the asset's share of the budget, alerts a day, for people."""
    if model.replay is None or model.replay.days <= 0.0:
        return "not replayed at this threshold: alerts a day are extrapolated"
    rate, low, high = alerts_a_day(model.replay)
    told = (
        f"replay of {model.replay.days:.3g} days not seen by the model: {rate:.2g} alerts a day"
        f" ({low:.2g} to {high:.2g}), its share of the budget is {share:.3g}"
    )
    if contradicts(model.replay, share):
        return f"{told}; warning: that is more than its share, so expect more than the budget"
    return told


def set_by_record(model: AssetModel, share: float, *, usual: float) -> bool:
    """Whether the record of an asset sets its threshold, rarer than its share of the budget asks.

    share: alerts a day   usual: `usual_excess` of the bundle. False also where labels moved it.
    """
    on, by_record = max(
        levels_asked(model.tail, alerts_per_day=share, stopped=model.tail_stopped, usual=usual)
    )
    return by_record and on > ON_MIN and math.isclose(on, model.threshold_on, rel_tol=1e-6)


def threshold_notes(bundle: Bundle) -> dict[str, str]:
    """Of each asset whose record sets its threshold and not its budget: that it does, in words."""
    usual = usual_excess([model.tail for model in bundle.assets])
    shares = shares_of(bundle)
    return {
        model.asset: "its threshold is set by what the record shows, rarer than the budget asks:"
        f" {expected_alerts(model, usual=usual):.3g} alerts a day expected, its share is"
        f" {shares[model.asset]:.3g}; a larger budget does not lower it"
        for model in bundle.assets
        if set_by_record(model, shares[model.asset], usual=usual)
    }


class PositionReplay(msgspec.Struct, frozen=True, kw_only=True):
    """What the replays of a position's assets say of its budget, alerts a day.

    position: "" is that of all assets that no other names. share: what the budget leaves to each of
    the assets. replayed: how many of them were, at their thresholds, for SUMMED_DAYS_MIN or longer;
    budget: of these alone. low, high: between which their rate is by INTERVAL; NaN where none was
    replayed so long. beyond: whether that is more than their budget, beyond chance.
    """

    position: str
    alerts_per_day: float
    share: float
    assets: tuple[str, ...]
    replayed: int
    budget: float
    rate: float
    low: float
    high: float
    beyond: bool


def position_replays(bundle: Bundle) -> tuple[PositionReplay, ...]:
    """What the replays say of each position that has assets."""
    replays = {model.asset: model.replay for model in bundle.assets}
    told = []
    for one in divisions_of(bundle):
        found = [replay for asset in one.assets if (replay := replays[asset]) is not None]
        mine = [replay for replay in found if replay.days >= SUMMED_DAYS_MIN]
        rate, low, high = alerts_a_day(*mine)
        told.append(
            PositionReplay(
                position=one.name,
                alerts_per_day=one.alerts_per_day,
                share=one.share,
                assets=one.assets,
                replayed=len(mine),
                budget=len(mine) * one.share,
                rate=rate,
                low=low,
                high=high,
                beyond=low > len(mine) * one.share,
            )
        )
    return tuple(told)


def position_words(one: PositionReplay) -> str:
    """A position, its budget, and what the replays say of it, for people."""
    n = len(one.assets)
    name = f"position {one.position}" if one.position else "assets of no named position"
    told = (
        f"{name}: {one.alerts_per_day:g} false alerts a day over {n} asset{'s' * (n != 1)},"
        f" {one.share:.3g} each"
    )
    told += f"; replayed for a day or more: {one.replayed} of {n}"
    if not one.replayed:
        return f"{told}: alerts a day are extrapolated"
    told += f": {one.rate:.2g} alerts a day ({one.low:.2g} to {one.high:.2g})"
    told += f" of {one.budget:.3g}" if one.replayed < n else ""
    if one.beyond:
        return f"{told}; warning: that is more than the budget bears, beyond chance"
    return told
