"""Proof of a detector on its own plant: what would ring, and what is blind.

Known faults are put into a copy of what the gateway took, one at a time a copy, and the very engine
of the gateway says what would have rung. The smallest size of a kind that rings in nine of ten
trials is what the channel can show; the stretch as it was tells what that costs in alerts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

from edge.errors import RecordingError
from edge.records import Track
from models.fitting.budget import shares_of
from simulator.injections import SIZES, InjectedKind
from simulator.proof import AlertRate, AssetProof, ChannelProof, KindProof, Proof
from simulator.stretch import read_stretch
from simulator.trials import (
    FAULT_SAMPLES,
    PLACES_MIN,
    SETTLE_SAMPLES,
    all_trials,
    places,
    quiet,
    run_base,
    run_trials,
)
from simulator.wave_faults import WAVE_SIZES, WaveKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from edge.recordings.recording import TimedMessage
    from edge.settings import GatewaySettings
    from models.bundles.bundle import Bundle
    from simulator.stretch import Stretch
    from simulator.trials import Base, Outcome, Tried

    Progress = Callable[[str, int, int], None]

SHARE_WANTED: Final = 0.9  # of the trials of a size
TRIALS_A_SIZE: Final = 5  # all of them have to ring: four of five are not nine of ten
ACCELERATION: Final = "m/s2"  # that all waveforms are taken in
CHANCE_MAX: Final = 0.05  # of so many alerts where the budget is kept; below it, it is not
SECOND_NS: Final = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRequest:
    """What to prove. assets: () is all of the bundle; source: where the messages are from."""

    settings: GatewaySettings
    bundle: Bundle
    source: str
    assets: tuple[str, ...] = ()
    hours: float = 24.0
    seed: int = 1
    trials_a_size: int = TRIALS_A_SIZE


def prove(
    request: ProofRequest,
    messages: Callable[[], Iterable[TimedMessage]],
    *,
    progress: Progress,
) -> Proof:
    """Prove one asset after the other. messages: opens the stream anew for each of them.

    progress: hears asset, trials done, trials in all. Raises RecordingError for an asset that is
    unknown, silent, or not long enough in quiet running operation.
    """
    models = {model.asset: model for model in request.bundle.assets}
    unknown = [asset for asset in request.assets if asset not in models]
    if unknown:
        message = f"the bundle has no asset {unknown[0]!r}; it has {', '.join(models)}"
        raise RecordingError(message)
    proofs = []
    for asset in request.assets or models:
        progress(asset, 0, 1)
        stretch = read_stretch(
            messages(), request.settings, request.bundle, models[asset], hours=request.hours
        )
        proofs.append(_prove_asset(stretch, request, progress))
    return Proof(
        source=request.source,
        bundle_sha256=request.bundle.sha256,
        seed=request.seed,
        share_wanted=SHARE_WANTED,
        trials_a_size=request.trials_a_size,
        trials=sum(proof.trials for proof in proofs),
        passed=all(proof.passed for proof in proofs),
        assets=tuple(proofs),
    )


def _prove_asset(stretch: Stretch, request: ProofRequest, progress: Progress) -> AssetProof:
    base = run_base(stretch)
    calm = quiet(stretch, base)
    found = len(places(stretch, calm))
    if found < PLACES_MIN:
        raise RecordingError(_too_short(stretch, calm.mean(), found))
    trials = all_trials(_plain(stretch), len(stretch.waves), request.trials_a_size)
    tried = run_trials(
        stretch,
        base,
        trials,
        seed=request.seed,
        told=lambda done, total: progress(stretch.asset, done, total),
    )
    t_ns = stretch.t_ns
    return AssetProof(
        asset=stretch.asset,
        begin=_iso(int(t_ns[0])),
        end=_iso(int(t_ns[-1])),
        hours=round(stretch.days * 24.0, 3),
        cut=stretch.cut,
        days_seen=_days(stretch),
        states={
            "running": int(stretch.running.sum()),
            "not_running": int((~stretch.running).sum()),
        },
        context={
            tag: {f"{value:g}": count for value, count in sorted(counted.items())}
            for tag, counted in stretch.context.items()
        },
        samples=len(t_ns),
        samples_unscored=_unscored(stretch, base),
        values_refused=dict(sorted(base.counts.items())),
        fault_s=FAULT_SAMPLES * stretch.model.period_ns / SECOND_NS,
        rate=_rate(stretch, base, request.bundle),
        trials=len(tried.outcomes),
        trials_void=tried.void,
        trials_unplaced=len(tried.unplaced),
        channels=_channels(stretch, tried),
    )


def _too_short(stretch: Stretch, calm_share: float, found: int) -> str:
    needed_s = (FAULT_SAMPLES + SETTLE_SAMPLES) * stretch.model.period_ns / SECOND_NS
    return (
        f"{stretch.asset}: {stretch.days * 24:.3g} h with {found} places for a fault, expected at"
        f" least {PLACES_MIN} of {needed_s:.0f} s each in quiet running operation"
        f" ({calm_share:.0%} of the samples were scored and quiet,"
        f" {stretch.running.mean():.0%} running); take more --hours, or a longer --recording"
    )


def _iso(t_ns: int) -> str:
    return datetime.fromtimestamp(t_ns / SECOND_NS, UTC).isoformat(timespec="seconds")


def _days(stretch: Stretch) -> tuple[str, ...]:
    """Days, UTC, on which it sent anything."""
    days = np.unique(stretch.t_ns.astype("datetime64[ns]").astype("datetime64[D]"))
    return tuple(str(day) for day in days)


def _unscored(stretch: Stretch, base: Base) -> dict[str, int]:
    """Samples without a score, by reason; told in spans of the samples that are sent at a time."""
    blind = ~base.scored
    silent = blind & ~np.isfinite(stretch.values).any(axis=1)
    no_baseline = stretch.model.row_stopped < 0
    stopped = blind & ~silent & ~stretch.running & no_baseline
    counted = {
        "no value": int(silent.sum()),
        "stopped, without a baseline of that": int(stopped.sum()),
        "settling": int((blind & ~silent & ~stopped).sum()),
    }
    return {reason: count for reason, count in counted.items() if count}


def _rate(stretch: Stretch, base: Base, bundle: Bundle) -> AlertRate:
    rang = [one for one in base.episodes if one.rang]
    process = [one for one in rang if one.track == Track.PROCESS]
    alerts = sum(one.decision != "ANNOTATED" for one in process)
    budget = shares_of(bundle)[stretch.asset]
    a_day = alerts / stretch.days
    # A short stretch with one alert says little of a day: the budget is missed where keeping it
    # would bring so many in one of twenty such stretches only.
    rare = float(stats.poisson.sf(alerts - 1, budget * stretch.days)) < CHANCE_MAX
    return AlertRate(
        alerts=alerts,
        beside_work=len(process) - alerts,
        sensor=sum(one.track == Track.SENSOR for one in rang),
        comms=sum(one.track == Track.COMMS for one in rang),
        days=round(stretch.days, 4),
        alerts_per_day=round(a_day, 3),
        budget_per_day=round(budget, 4),
        beyond=a_day > budget and rare,
    )


def _channels(stretch: Stretch, tried: Tried) -> tuple[ChannelProof, ...]:
    model = stretch.model
    absent = np.isnan(stretch.values).mean(axis=0)
    unplaced = Counter(t.channel for t in tried.unplaced if isinstance(t.kind, InjectedKind))
    proofs = []
    for j in _plain(stretch):
        channel = model.channels[j]
        sigma = float(model.sigma[j])
        mine = [
            one
            for one in tried.outcomes
            if one.trial.channel == j and isinstance(one.trial.kind, InjectedKind)
        ]
        kinds = tuple(
            _kind([one for one in mine if one.trial.kind is kind], kind, sigma)
            for kind in InjectedKind
        )
        blind = not any(one.found for one in kinds if one.sizes_sigma)
        proofs.append(
            ChannelProof(
                channel=channel.name,
                unit=channel.unit,
                sigma=sigma,
                absent_share=round(float(absent[j]), 4),
                blind=blind,
                because=_because(blind, tried=bool(mine), unplaced=unplaced[j]),
                kinds=kinds,
            )
        )
    unscored = tuple(
        ChannelProof(
            channel=tag,
            unit="",
            sigma=None,
            absent_share=0.0,
            blind=True,
            because="not in the bundle, so it is not scored",
            kinds=(),
        )
        for tag in stretch.unknown
    )
    waves = (_wave(stretch, tried, k, absent) for k in range(len(stretch.waves)))
    return (*proofs, *waves, *unscored)


def _plain(stretch: Stretch) -> list[int]:
    """Channels that are sent as they are; of those that come of a waveform its blocks are tried."""
    made = {column for record in stretch.waves for column in record.columns}
    return [j for j in range(len(stretch.model.channels)) if j not in made]


def _wave(stretch: Stretch, tried: Tried, k: int, absent: NDArray[np.floating]) -> ChannelProof:
    """What a waveform shows; absent: (c,) share of the samples without each channel."""
    record = stretch.waves[k]
    of = [t for t in tried.outcomes if isinstance(t.trial.kind, WaveKind) and t.trial.channel == k]
    kinds = tuple(
        _kind([one for one in of if one.trial.kind is kind], kind, record.usual)
        for kind in WaveKind
    )
    blind = not any(one.found for one in kinds if one.sizes_sigma)
    unplaced = sum(isinstance(t.kind, WaveKind) and t.channel == k for t in tried.unplaced)
    because = _because(blind, tried=bool(of), unplaced=unplaced)
    if blind and of:
        most = f"{WAVE_SIZES[-1]:g} times its usual RMS"
        because = f"neither more vibration nor impulses of up to {most} rang often enough"
    columns = list(record.columns)
    return ChannelProof(
        channel=record.form.tag,
        unit=ACCELERATION,
        sigma=record.usual if np.isfinite(record.usual) else None,
        absent_share=round(float(absent[columns].mean()), 4) if columns else 1.0,
        blind=blind,
        because=because if columns else "none of its features is in the bundle",
        kinds=kinds,
        waveform=True,
        features=tuple(stretch.model.channels[j].name for j in columns),
    )


def _because(blind: bool, *, tried: bool, unplaced: int) -> str:  # noqa: FBT001 - read at the call
    if not blind:
        return ""
    if not tried:
        return "no values while it ran" if unplaced else "nothing could be tried"
    return f"no step, ramp or noise of up to {SIZES[-1]:g} sigmas rang often enough"


def _kind(outcomes: Sequence[Outcome], kind: InjectedKind | WaveKind, sigma: float) -> KindProof:
    """What all trials of one kind on one channel came to."""
    sizes = kind.sizes
    by_size = [[one for one in outcomes if one.trial.sigmas == size] for size in sizes or (0.0,)]
    trials = tuple(len(those) for those in by_size)
    rang = tuple(sum(one.rang for one in those) for those in by_size)
    at = next(
        (i for i, n in enumerate(trials) if n and rang[i] >= SHARE_WANTED * n),
        None,
    )
    shown = [one for one in (outcomes if at is None else by_size[at]) if one.rang]
    heard = [one for one in outcomes if one.rang]
    ways = Counter(one.rang_as for one in shown)
    sized = bool(sizes) and at is not None
    return KindProof(
        kind=kind.value,
        sizes_sigma=sizes,
        trials=trials,
        rang=rang,
        found=at is not None,
        found_sigma=sizes[at] if sized and at is not None else None,
        found_size=sizes[at] * sigma if sized and at is not None else None,
        delay_median_s=float(np.median([one.delay_s for one in shown])) if shown else None,
        rang_as=min(ways, key=lambda way: (-ways[way], way)) if ways else "",
        named_share=round(sum(one.named for one in heard) / len(heard), 3) if heard else None,
    )
