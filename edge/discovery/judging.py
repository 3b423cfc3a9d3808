"""Judging: from what was observed to findings that can be configured.

What is guessed errs towards what rings: a tag in doubt is a channel, a unit in doubt is a label,
and nothing is a witness, which could keep an alert quiet, without a person.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.caps import TAG_CHARS_MAX
from edge.discovery.findings import Findings, FoundAsset, FoundChannel, FoundContext
from edge.discovery.grouping import grouped
from edge.discovery.guesses import Role, role_of, unit_of, words_of
from edge.discovery.observed import BIRTH, METADATA, SERIES_MAX, STREAMS_MAX
from edge.discovery.rhythm import rhythm_of
from edge.settings import EngineSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.discovery.findings import FoundSource
    from edge.discovery.grouping import Grouped
    from edge.discovery.observed import Key, Observed, Stream
    from edge.discovery.offset import Offset
    from edge.discovery.series import Series

MS_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
ENGINE: Final = EngineSettings()
SLOWER: Final = 1.5  # times the grid: what comes more rarely is held on it; as hold_ms_max
FAR_APART: Final = 4.0  # times: then a slow asset is mostly values that are held
BEATS_SHARE: Final = 0.8  # of the values of a heartbeat that count on, or toggle
BEATS_MISSED: Final = 5  # of its steps: so long a heartbeat may stand still
SILENCES: Final = 4  # of the longest step that was seen: longer silence is a gap
VALUES_SHOWN: Final = 6
LATE_MS_MAX: Final = 60_000
CONTROL: Final = ("Node Control/", "Device Control/")  # of Sparkplug B, and the count of sessions
SESSION: Final = "bdSeq"


def judged(observed: Observed) -> Findings:
    """What a broker carries, as far as it was heard."""
    groups = grouped(observed.streams.values())
    parts: dict[str, list[Stream]] = defaultdict(list)
    for key, asset in groups.assets.items():
        parts[asset].append(observed.streams[key])
    found = [_asset(asset, streams, groups.tags) for asset, streams in sorted(parts.items())]
    assets = [one for one in found if one.channels]
    period_ns = _period_ns(assets)
    assets = [_held_on_grid(one, period_ns) for one in assets]
    offsets = [one.offset for one in assets if one.offset is not None]
    here = {one.id for one in assets}
    return Findings(
        assets=tuple(assets),
        sources=tuple(_timed_sources(groups, here, observed)),
        period_ns=period_ns,
        late_ms_max=_late_ms(offsets),
        seconds=(observed.to_ns - observed.from_ns) / SECOND_NS,
        counts=observed.counts,
        refused=observed.refused,
        notes=tuple(_notes(observed, groups, found, assets)),
    )


def _asset(asset: str, streams: Sequence[Stream], tags: Mapping[Key, str]) -> FoundAsset:
    """One asset of all that it sends. tags: of streams that have one in their topic."""
    best: dict[str, Series] = {}
    for stream in streams:
        for told, series in stream.series.items():
            tag = tags.get(stream.key, told)
            if tag not in best or series.count > best[tag].count:
                best[tag] = series
    channels, context, mute = [], [], []
    for tag, series in sorted(best.items()):
        if not 0 < len(tag) <= TAG_CHARS_MAX or not tag.isprintable():
            continue
        state = _context(tag, series)
        if state is not None:
            context.append(state)
        elif series.distinct:
            channels.append(_channel(tag, series))
        else:
            mute.append(tag)
    forms = max(streams, key=lambda one: one.messages)
    return FoundAsset(
        id=asset,
        form=forms.key.form,
        shape=forms.shape,
        topics=tuple(sorted(stream.key.topic for stream in streams)),
        channels=tuple(channels),
        context=tuple(_one_mode(context)),
        mute=tuple(mute),
        offset=forms.lags.offset,
        timed=forms.lags.untimed < forms.messages,
        messages=sum(stream.messages for stream in streams),
    )


def _channel(tag: str, series: Series) -> FoundChannel:
    rhythm = rhythm_of(series.times, count=series.count, repeats=series.repeats)
    guess = None if series.unit else unit_of(tag)
    held = ""
    if not rhythm.sure:
        held = f"only {series.count} values came"
    elif not rhythm.cyclic:
        held = "its steps are uneven"
    return FoundChannel(
        tag=tag,
        unit=series.unit or (guess.unit if guess else ""),
        unit_guess=guess.why if guess else "",
        rhythm=rhythm,
        held=held,
        low=series.low,
        high=series.high,
        count=series.count,
    )


def _context(tag: str, series: Series) -> FoundContext | None:
    """What a tag is if it is none to be scored; None: it is a channel, or has shown nothing."""
    if tag == SESSION or tag.startswith(CONTROL):
        return FoundContext(tag=tag, role="info", why="belongs to Sparkplug B", shown="")
    if series.texts:
        shown = ", ".join(list(series.texts)[:VALUES_SHOWN])
        return FoundContext(tag=tag, role="info", why="its values are texts", shown=shown)
    return _state(tag, series) if series.distinct else None


def _state(tag: str, series: Series) -> FoundContext | None:
    """What a tag with numbers is if it tells a state; None: it is a measurement."""
    steps = max(series.count - 1, 1)
    beating = series.whole and series.beats >= BEATS_SHARE * steps
    toggling = series.is_binary and series.changes >= BEATS_SHARE * steps
    role = role_of(tag, binary=series.is_binary, state=series.is_state, beating=beating or toggling)
    if role is None and series.is_binary and unit_of(tag) is None:
        role = Role("info", "it is 0 or 1")
    if role is None:
        return None
    wait_ms = 0
    if role.role == "heartbeat":
        wait_ms = -(-BEATS_MISSED * _longest_ns(series) // MS_NS)
        if not wait_ms:
            role = Role("info", f"{role.why}, but how often it beats is not known")
    return FoundContext(
        tag=tag,
        role=role.role,
        why=role.why,
        shown=", ".join(f"{value:g}" for value in sorted(series.distinct)[:VALUES_SHOWN]),
        work=role.work,
        interval_ms_max=wait_ms,
    )


def _longest_ns(series: Series) -> int:
    times = series.times
    return int(np.diff(times).max()) if len(times) > 1 else 0


def _one_mode(context: Sequence[FoundContext]) -> list[FoundContext]:
    """A machine has one mode at most: the tag that is called so, else the first."""
    modes = [one for one in context if one.role == "mode"]
    kept = next((one for one in modes if "mode" in words_of(one.tag)), next(iter(modes), None))
    return [
        replace(one, role="info", why=f"{one.why}; the mode is taken from another tag")
        if one in modes and one is not kept
        else one
        for one in context
    ]


def _quickest_ns(asset: FoundAsset) -> int:
    """The period of its quickest cyclic channel; 0: it has none."""
    periods = [one.rhythm.period_ns for one in asset.channels if one.rhythm.cyclic]
    return min(periods, default=0)


def _period_ns(assets: Sequence[FoundAsset]) -> int:
    """The grid of the gateway: its quickest channel, in whole ms.

    A bundle has one rate, and the first fit takes that of the quickest tag: what is slower is held.
    A second where nothing is cyclic.
    """
    periods = [period for one in assets if (period := _quickest_ns(one))]
    return max(round(min(periods, default=SECOND_NS) / MS_NS), 1) * MS_NS


def _held_on_grid(asset: FoundAsset, period_ns: int) -> FoundAsset:
    """Channels slower than the grid are held on it: between two values they would be absent."""
    channels = [
        replace(
            one,
            held=f"it comes every {one.rhythm.period_ns / SECOND_NS:.3g} s, beside a grid"
            f" of {period_ns / SECOND_NS:.3g} s",
        )
        if not one.held and one.rhythm.period_ns > SLOWER * period_ns
        else one
        for one in asset.channels
    ]
    return replace(asset, channels=tuple(channels))


def _late_ms(offsets: Sequence[Offset]) -> int:
    """How long a sample has to wait for its last values; 0: the default is long enough."""
    spread_ms = max((one.spread_ns for one in offsets), default=0) / MS_NS
    late_ms = min(round(2 * spread_ms / 100 + 0.5) * 100, LATE_MS_MAX)
    return late_ms if late_ms > ENGINE.late_ms_max else 0


def _timed_sources(groups: Grouped, here: set[str], observed: Observed) -> list[FoundSource]:
    """Sources of assets that are configured, with how long each may be silent."""
    found = []
    for source, keys in groups.sources.items():
        streams = [observed.streams[key] for key in keys if groups.assets[key] in here]
        if not streams:
            continue
        rhythms = [
            (rhythm_of(s.times, count=s.count, repeats=s.repeats), _longest_ns(s))
            for stream in streams
            for s in stream.series.values()
        ]
        steps = [step for _, step in rhythms if step]
        longest_ms = SILENCES * min(steps, default=0) // MS_NS
        wait_ms = longest_ms if longest_ms > ENGINE.comms_gap_s * 1000 else 0
        quiet = not any(one.cyclic for one, _ in rhythms)
        found.append(replace(source, interval_ms_max=int(wait_ms), quiet=quiet))
    return found


def _notes(
    observed: Observed,
    groups: Grouped,
    found: Sequence[FoundAsset],
    assets: Sequence[FoundAsset],
) -> list[str]:
    """What a person should know before they trust the rest."""
    counts = observed.counts
    notes = [f"{topic}: {why}; left out" for topic, why in sorted(groups.unusable.items())]
    without = sorted({one.id for one in found} - {one.id for one in assets})
    if without:
        names = ", ".join(without[:VALUES_SHOWN])
        notes.append(f"{len(without)} without any number to score, left out: {names}")
    nameless = observed.nameless
    if BIRTH in nameless:
        notes.append(
            f"{nameless[BIRTH]} values of Sparkplug B have no names: births are told once and not"
            " retained; listen while a node begins anew, or ask for a rebirth there"
        )
    if METADATA in nameless:
        notes.append(
            f"{nameless[METADATA]} values of the databus have no names: its metadata did not come;"
            " have --topic cover ie/m/#"
        )
    notes += _rates(assets)
    for one in assets:
        if one.offset is None:
            continue
        behind_ms = -one.offset.ns / MS_NS
        if behind_ms > ENGINE.behind_ms_max or -behind_ms > ENGINE.future_ms_max:
            way = "behind" if behind_ms > 0 else "ahead of"
            notes.append(
                f"{one.id}: its clock is {abs(behind_ms) / 1000:.1f} s {way} ours: the gateway will"
                " suspect it; set that clock"
            )
    if counts.beyond or observed.tags_beyond:
        notes.append(
            f"more than can be looked at at once: {counts.beyond} messages of topics beyond"
            f" {STREAMS_MAX}, {observed.tags_beyond} values of tags beyond {SERIES_MAX};"
            " narrow --topic"
        )
    return notes


def _rates(assets: Sequence[FoundAsset]) -> list[str]:
    """A line where assets speak at rates that one bundle hardly serves."""
    periods = {one.id: period for one in assets if (period := _quickest_ns(one))}
    grid_ns = _period_ns(assets)
    slow = sorted(asset for asset, period in periods.items() if period > FAR_APART * grid_ns)
    if not slow:
        return []
    quick = sorted(asset for asset, period in periods.items() if period < SLOWER * grid_ns)
    told = (
        f"assets speak at rates that are far apart: {', '.join(quick[:VALUES_SHOWN])} every"
        f" {grid_ns / SECOND_NS:.3g} s, {', '.join(slow[:VALUES_SHOWN])} every"
        f" {periods[slow[0]] / SECOND_NS:.3g} s or less often. A gateway has one rate, so the slow"
        " ones are held on that of the quick ones; two gateways, each with its own, see more"
    )
    return [told]
