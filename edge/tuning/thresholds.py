"""Thresholds moved by what people said of alerts, tried out on the recordings by the real engine.

Up, where alerts were called nuisance or expected: the smallest step that silences most of them. The
floor: no step is taken with which an event that has to ring, and was found before, is missed, held
back or not. Down, where events were missed and nobody called an alert nuisance: the smallest step
that finds most of them within the asset's share of the alert budget. A score is -log10 of a
probability, so a step of 1 is ten times rarer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from edge.assessment.labelled import rang_in
from edge.records import Track
from edge.tuning.replay import DAY_NS, FOUND, Recorded, Replay
from edge.tuning.replay import replay as run_replay
from models.bundles.store import sealed
from models.fitting.budget import shares_of
from models.fitting.thresholds import shifted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from edge.assessment.assess import Episode
    from edge.assessment.labelled import Event
    from kb.snapshots.snapshot import Snapshot
    from models.bundles.bundle import AssetModel, Bundle

UP: Final = (0.25, 0.5, 1.0, 1.5)  # further up an asset would be deaf rather than quiet
DOWN: Final = (-0.15, -0.3, -0.5, -0.8)
AFTERMATH_NS: Final = 300 * 10**9  # a ring this soon after an event is about it


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step that was tried on one asset. quiet: labelled alerts of nothing that still ring.

    found: events that have to ring and do; held ones count for the floor and not for these.
    lost: events found before and missed with it. within_budget: of the asset's share.
    """

    asset: str
    shift: float
    quiet: int
    found: int
    lost: int
    other_per_day: float
    within_budget: bool


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided of one asset, and what it was decided from; steps[0] is where it stood."""

    asset: str
    shift: float
    because: str
    steps: tuple[Step, ...]


def with_shifts(bundle: Bundle, shifts: Mapping[str, float]) -> Bundle:
    """The bundle with thresholds moved; the same one where none is."""
    if not any(shifts.values()):
        return bundle
    return sealed(replace(bundle, assets=tuple(_moved(m, shifts) for m in bundle.assets)))


def _moved(model: AssetModel, shifts: Mapping[str, float]) -> AssetModel:
    shift = shifts.get(model.asset, 0.0)
    if not shift:
        return model
    on, off = shifted(model.threshold_on, shift)
    replay = model.replay if on >= model.threshold_on else None  # lower, it may ring more
    return msgspec.structs.replace(model, threshold_on=on, threshold_off=off, replay=replay)


def found_in(
    recorded: Sequence[Recorded], replays: Sequence[Replay], events: Sequence[Event]
) -> dict[str, float]:
    """Events that rang in time, each with its delay in s, by id; those that did not are not in."""
    found: dict[str, float] = {}
    for at, (one, run) in enumerate(zip(recorded, replays, strict=True)):
        outcomes = run.outcomes([event for event in events if event.recording == at], one.span)
        found |= {i: each.delay_s for i, each in outcomes.items() if each.outcome == FOUND}
    return found


def other_rings(
    events: Sequence[Event], replays: Sequence[Replay], *, asset: str
) -> list[tuple[int, Episode]]:
    """Alerts of an asset's process that are about no labelled event, with their recording."""
    rings = []
    for at, run in enumerate(replays):
        mine = [e for e in events if e.recording == at and e.asset == asset and e.is_fault]
        rings += [
            (at, one)
            for one in run.episodes
            if one.rang
            and one.asset == asset
            and one.track == Track.PROCESS
            and not any(
                one.rang_ns <= event.end_ns + AFTERMATH_NS
                and (one.ended_ns or one.rang_ns + 1) > event.begin_ns
                for event in mine
            )
        ]
    return rings


def move_thresholds(
    recorded: Sequence[Recorded],
    bundle: Bundle,
    events: Sequence[Event],
    *,
    before: Sequence[Replay],
    snapshot: Snapshot | None,
    progress: Callable[[str], object] = str,
) -> list[Moved]:
    """What to do with each asset of which there are labels. before: replays with `bundle`."""
    known = found_in(recorded, before, events)
    start = {
        model.asset: _step(model.asset, 0.0, recorded, bundle, events, before, known=known)
        for model in bundle.assets
        if any(event.asset == model.asset for event in events)
    }
    ways = {asset: _way(asset, step, events, known) for asset, step in start.items()}
    tried = {asset: [step] for asset, step in start.items()}
    going = {asset for asset, way in ways.items() if way}
    for i in range(len(UP)):
        if not going:
            break
        shifts = {asset: ways[asset][i] for asset in going}
        progress(f"thresholds, step {i + 1} of {len(UP)}: {', '.join(sorted(going))}")
        stepped = with_shifts(bundle, shifts)
        runs = [run_replay(one, stepped, snapshot=snapshot) for one in recorded]
        for asset in sorted(going):
            step = _step(asset, shifts[asset], recorded, bundle, events, runs, known=known)
            tried[asset].append(step)
            if step.lost or not step.within_budget or (ways[asset] is UP and not step.quiet):
                going.discard(asset)
    return [_decided(asset, ways[asset], steps) for asset, steps in sorted(tried.items())]


def _way(
    asset: str, start: Step, events: Iterable[Event], known: Mapping[str, float]
) -> tuple[float, ...]:
    """Which steps are worth trying; () none."""
    if start.quiet:
        return UP
    missed = [
        event
        for event in events
        if event.asset == asset
        and event.is_fault
        and event.label != "sensor"
        and not event.held
        and event.event_id not in known
    ]
    return DOWN if missed else ()


def _step(
    asset: str,
    shift: float,
    recorded: Sequence[Recorded],
    bundle: Bundle,
    events: Sequence[Event],
    runs: Sequence[Replay],
    *,
    known: Mapping[str, float],
) -> Step:
    """What one asset shows in some replays. known: what was found before any step."""
    mine = [event for event in events if event.asset == asset]
    found = found_in(recorded, runs, mine)
    learned = [event for event in mine if not event.held]
    quiet = sum(
        bool(rang_in(event, runs[event.recording].episodes)) for event in learned if event.is_quiet
    )
    days = sum(one.days for one in recorded if asset in one.tables)
    others = len(other_rings(mine, runs, asset=asset))
    share = shares_of(bundle)[asset]
    # one more may be about to come: a short recording without any says little of a day
    within = shift >= 0 or (others + 1) / days <= share
    return Step(
        asset=asset,
        shift=shift,
        quiet=quiet,
        found=sum(event.event_id in found for event in learned),
        lost=sum(event.event_id in known and event.event_id not in found for event in mine),
        other_per_day=others / max(days, 1.0 / DAY_NS),
        within_budget=within,
    )


def _decided(asset: str, way: tuple[float, ...], steps: Sequence[Step]) -> Moved:
    """The smallest step that does most, among those that keep the floor and the budget."""
    start, *more = steps
    held = [step for step in more if not step.lost and step.within_budget]
    best = start
    for step in held:
        better = step.quiet < best.quiet if way is UP else step.found > best.found
        best = step if better else best
    if not way:
        because = "no alert was called nuisance or expected, and no event was missed"
    elif best is not start and way is UP:
        because = f"{start.quiet - best.quiet} of {start.quiet} alerts of nothing are silent"
    elif best is not start:
        because = f"{best.found - start.found} events more are found, within the budget"
    elif any(step.lost for step in more):
        because = "stays: with any step that helps, an event found before would be missed"
    elif any(not step.within_budget for step in more):
        because = "stays: lower, it would ring more often than the alert budget bears"
    else:
        because = "stays: no step that was tried helps"
    return Moved(asset=asset, shift=best.shift, because=because, steps=tuple(steps))
