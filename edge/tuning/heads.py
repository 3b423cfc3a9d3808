"""Heads learned from labelled events: one for all assets with the same channels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge.assessment.label_words import NORMAL
from edge.tuning.report import CurveRow, first_ring
from edge.tuning.windows import fault_windows, quiet_windows, ring_window
from models.errors import ModelError
from models.heads.heads import (
    SIZES,
    HeadFit,
    classify,
    learning_curve,
    takes_head,
    train_head,
    with_baseline,
    with_heads,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.assessment.labelled import Event
    from edge.tuning.replay import Recorded, Replay
    from models.bundles.bundle import Bundle

CLASSES_MIN: Final = 2
QUIET_AN_ASSET: Final = 40  # windows of quiet stretches, where nobody labelled any as normal


@dataclass(slots=True, kw_only=True)
class Heads:
    """What was learned. fits: by asset; windows: label -> how many; skipped: sizes of the curve."""

    fits: dict[str, HeadFit] = field(default_factory=dict)
    curve: list[CurveRow] = field(default_factory=list)
    windows: dict[str, int] = field(default_factory=dict)
    skipped: tuple[int, ...] = ()
    notes: list[str] = field(default_factory=list)

    def put_on(self, bundle: Bundle, *, created_at_ns: int) -> Bundle:
        """A bundle with these heads, itself where there are none."""
        if not self.fits:
            return bundle
        return with_heads(bundle, self.fits, created_at_ns=created_at_ns)


def learn(
    bundle: Bundle,
    recorded: Sequence[Recorded],
    runs: Sequence[Replay],
    events: Sequence[Event],
    *,
    seed: int,
    tell: Callable[[str], object],
) -> Heads:
    """Heads of every family of assets of which at least two classes were labelled.

    runs: replays with `bundle`. What is held back is not learned from. Raises ModelError.
    """
    heads = Heads()
    learned = [event for event in events if not event.held]
    windows = fault_windows(recorded, learned)
    if windows and not any(window.label == NORMAL for window in windows):
        calm = quiet_windows(recorded, runs, events, count=QUIET_AN_ASSET)
        windows += calm
        taken = f"{len(calm)} stretches in which nothing was labelled and nothing rang"
        heads.notes.append(f"nobody labelled normal operation: {taken} were taken for it")
    for window in windows:
        heads.windows[window.label] = heads.windows.get(window.label, 0) + 1
    deaf = {m.asset for m in bundle.assets if not takes_head(bundle, m.asset)}
    if labelled := sorted(deaf & {window.asset for window in windows}):
        named = ", ".join(labelled)
        heads.notes.append(f"{named}: no head: an imported model is not asked for failure modes")
    reached: set[int] = set()
    for family in _families(bundle, deaf):
        mine = [window for window in windows if window.asset in family]
        every, mine = len(mine), with_baseline(bundle, family[0], mine)
        if every > len(mine):
            unseen = f"{every - len(mine)} windows of modes without a baseline were left out"
            heads.notes.append(f"{', '.join(family)}: {unseen}")
        classes = {window.label for window in mine}
        if len(classes) < CLASSES_MIN or classes == {NORMAL}:
            continue
        asset = min(window.asset for window in mine)
        shown = ", ".join(family)
        tell(f"learning to name {len(classes)} classes of {shown} from {len(mine)} windows")
        try:
            fit = train_head(bundle, asset, mine, seed=seed)
            points = learning_curve(bundle, asset, mine, sizes=SIZES, seed=seed)
        except ModelError as error:
            heads.notes.append(f"{shown}: no head: {error}")
            continue
        heads.fits |= dict.fromkeys(family, fit)
        reached |= {point.size for point in points}
        heads.curve += [
            CurveRow(
                assets=family,
                size=point.size,
                accuracy=point.accuracy,
                answered=point.answered,
                abstained=point.abstained,
            )
            for point in points
        ]
    heads.skipped = tuple(size for size in SIZES if size not in reached)
    if not heads.fits:
        heads.notes.append("no head: it takes labelled events of at least one failure mode")
    return heads


def answers(
    bundle: Bundle,
    heads: Heads,
    recorded: Sequence[Recorded],
    runs: Sequence[Replay],
    events: Sequence[Event],
) -> dict[str, str | None]:
    """What the head calls each event that names a mode, soon after it rang; None: it abstains.

    An event that did not ring, or of an asset without a head, has no answer.
    """
    found: dict[str, str | None] = {}
    for event in events:
        table = recorded[event.recording].tables.get(event.asset)
        ring = first_ring(event, runs[event.recording].episodes)
        if not event.names_mode or event.asset not in heads.fits or table is None or ring is None:
            continue
        begin_ns = max(ring.begin_ns, event.begin_ns)
        window = ring_window(table, event, begin_ns, max(ring.rang_ns, begin_ns))
        if window is not None:
            label = classify(bundle, event.asset, [window])[0].label
            found[event.event_id] = None if label == NORMAL else label
    return found


def _families(bundle: Bundle, deaf: set[str]) -> list[tuple[str, ...]]:
    """Assets that have the same channels, together, by name; without those that take no head."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for model in bundle.assets:
        if model.asset in deaf:
            continue
        key = tuple((channel.name, channel.unit) for channel in model.channels)
        found.setdefault(key, []).append(model.asset)
    return [tuple(sorted(names)) for names in found.values()]
