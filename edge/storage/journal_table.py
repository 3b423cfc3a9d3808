"""A journal read as a table: what it says about one asset, aligned as the engine aligns it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.caps import PENDING_ROWS_MAX
from edge.errors import RecordingError, WireError
from edge.recordings.recording import PERIOD_NS_DEFAULT, Table, journal_messages
from edge.samples.align import Aligner
from edge.samples.decoders import Decoders
from edge.samples.layouts import AssetLayout
from edge.samples.pending import AlignState
from edge.samples.sparkplug import Sparkplug
from edge.samples.waveforms import Waveforms
from edge.settings import EngineSettings, Source
from edge.storage.journal import segments
from edge.wire.topics import CLOCK_TOPIC, match_source
from models.bundles.bundle import Channel

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.batches import Batch, Readings
    from edge.recordings.recording import TimedMessage
    from edge.samples.sparkplug import Birth
    from edge.settings import AssetSettings

SAME_RATE: Final = 1.5  # times apart: further, and rows are put on the grid that is shared
TOGETHER_MIN: Final = 0.9  # share of times at which all channels speak
BLOCKS_TOGETHER: Final = 64  # of which features are taken at once: one pass costs less
NEVER_FUTURE_NS: Final = 2**63 - 1  # nothing in a recording is later than the end of time

WAITING: Final = {  # counts of values without a name, and what would have said it
    "waiting_for_birth": "a birth that names them",
    "waiting_for_metadata": "metadata that name them",
}


@dataclass(frozen=True, slots=True)
class Heard:
    """What messages say about each asset, and on which topics they came."""

    readings: dict[str, list[Readings]] = field(default_factory=dict)
    topics: dict[str, set[str]] = field(default_factory=dict)  # of each asset
    # topic without a readable message, or with values of Sparkplug B without a birth: why
    unread: dict[str, str] = field(default_factory=dict)


def journal_table(
    path: Path,
    asset: AssetSettings,
    *,
    channels: Sequence[Channel] = (),
    sources: Sequence[Source] = (Source(),),
    rows: tuple[int | None, int | None] | None = None,
) -> Table:
    """Read one asset's samples out of a journal, for fitting.

    Tags that `asset` lists as context are not channels; of the others, `channels` are kept, or all
    that ever sent a number, in the order in which they appeared. `rows` is half-open and counts
    samples. Where all channels speak at the same times these are the samples; else a grid at their
    median period is. Raises RecordingError or JournalError.
    """
    heard = readings_by_asset(journal_messages(path), sources=sources, assets=(asset,))
    readings = heard.readings.get(asset.id, [])
    if not readings:
        message = f"{path}: no message that can be read names asset {asset.id!r}"
        raise RecordingError(message)
    return samples_table(
        path, asset, readings, channels=channels, rows=rows, sha256=journal_sha256(path)
    )


def readings_by_asset(
    messages: Iterable[TimedMessage],
    *,
    sources: Sequence[Source] = (Source(),),
    root: str = "",
    assets: Sequence[AssetSettings],
    births: dict[str, Birth] | None = None,
) -> Heard:
    """Return what messages say about each asset; payloads that cannot be read are left out.

    So are the clock of a replay and what stands below `root`, where that is given: the gateway's
    own outputs and commands to it are no sensor values. Of the waveforms of `assets` the features
    are told. births: of Sparkplug B, as the first message finds them; changed in place.
    """
    heard, waves = Heard(), Waveforms(assets, state={}, counts={})
    unborn, blocks = _Unborn({} if births is None else births, [one.id for one in assets]), 0
    for message in messages:
        if waves.carries(message.topic):
            blocks += 1
            _take_block(waves, message, heard)
            if blocks % BLOCKS_TOGETHER == 0:
                _tell_features(waves, heard)
            continue
        source = match_source(message.topic, sources)
        ours = bool(root) and message.topic.startswith(f"{root}/")
        if source is None or ours or message.topic == CLOCK_TOPIC:
            continue
        try:
            decoded = unborn.take(message, *source)
        except WireError as error:
            heard.unread.setdefault(message.topic, str(error))
            continue
        for readings in decoded:
            heard.readings.setdefault(readings.asset, []).append(readings)
            heard.topics.setdefault(readings.asset, set()).add(message.topic)
            waves.heard(readings, future_ns=NEVER_FUTURE_NS)
    _tell_features(waves, heard, final=True)
    for topic in set[str]().union(*heard.topics.values()):
        heard.unread.pop(topic, None)
    for topic, (values, what) in unborn.waiting.items():
        heard.unread[topic] = f"{topic}: {values} values came without {what}"
    return heard


class _Unborn:
    """Reads messages, and counts by topic the values that nothing names: `waiting`, for what."""

    def __init__(self, births: dict[str, Birth], assets: Sequence[str]) -> None:
        self._counts: dict[str, int] = {}
        sparkplug = Sparkplug(births, self._counts, assets=frozenset(assets))
        self._decoders = Decoders(self._counts, sparkplug=sparkplug, points={})
        self.waiting: dict[str, tuple[int, str]] = {}

    def take(self, message: TimedMessage, source: Source, asset: str) -> tuple[Readings, ...]:
        """As `Decoders.take`."""
        topic = message.topic
        found = self._decoders.take(
            message.payload, topic=topic, source=source, asset=asset, received_ns=message.t_ns
        )
        for reason, what in WAITING.items():
            if waiting := self._counts.pop(reason, 0):
                before, _ = self.waiting.get(topic, (0, what))
                self.waiting[topic] = before + waiting, what
        return found


def _take_block(waves: Waveforms, message: TimedMessage, heard: Heard) -> None:
    try:
        for told in waves.read(
            message.payload,
            topic=message.topic,
            received_ns=message.t_ns,
            retain=message.retain,
        ):
            waves.put(told, future_ns=NEVER_FUTURE_NS)
            heard.topics.setdefault(told.asset, set()).add(message.topic)
    except WireError as error:
        heard.unread.setdefault(message.topic, str(error))


def _tell_features(waves: Waveforms, heard: Heard, *, final: bool = False) -> None:
    for readings in waves.settle(until_ns=None, final=final):
        heard.readings.setdefault(readings.asset, []).append(readings)


def sends_numbers(readings: Sequence[Readings], asset: AssetSettings) -> bool:
    """Tell whether an asset ever sent a number on a tag that is not one of its context."""
    ignore = {context.tag for context in asset.context}
    return any(
        tag not in ignore and bool(np.isfinite(message.values[:, i]).any())
        for message in readings
        for i, tag in enumerate(message.tags)
    )


def samples_table(
    path: Path,
    asset: AssetSettings,
    readings: Sequence[Readings],
    *,
    channels: Sequence[Channel] = (),
    rows: tuple[int | None, int | None] | None = None,
    sha256: str = "",
    rate_ns: int = 0,
) -> Table:
    """Align readings (n, k each) of one asset to samples; see journal_table.

    rate_ns: between two samples, where others are to share it; 0: as the tags come.
    """
    times = times_by_tag(readings, ignore={context.tag for context in asset.context})
    if not times:
        raise RecordingError(f"{path}: {asset.id} sent no numbers besides its context tags")
    named = {asset.tags.get(tag, tag): tag for tag in times}
    if not channels:
        units = {unit: text for r in readings for unit, text in (r.units or {}).items()}
        units |= asset.units
        channels = [Channel(name=name, unit=units.get(tag, "")) for name, tag in named.items()]
    missing = [channel.name for channel in channels if channel.name not in named]
    if missing:
        message = f"{path}: {asset.id} never sent {missing[0]!r}; it sent {', '.join(named)}"
        raise RecordingError(message)
    tags = [named[channel.name] for channel in channels]
    together, period_ns = _cadence([times[tag] for tag in tags], rate_ns)
    together = together and not asset.waveform  # blocks come apart from rows, whatever their times
    layout = AssetLayout(
        asset=asset.id,
        columns={tag: i for i, tag in enumerate(tags)}
        | {context.tag: len(tags) + i for i, context in enumerate(asset.context)},
        units=("",) * (len(tags) + len(asset.context)),
        channels=len(tags),
        context=asset.context,
        period_ns=period_ns,
        grid=not together,
        on_change=np.array(
            [c.name in asset.on_change for c in channels] + [True] * len(asset.context), np.bool_
        ),
    )
    batches, counts = aligned(layout, readings)
    chosen = slice(*rows) if rows else slice(None)
    t_ns = np.concatenate([batch.t_ns for batch in batches])[chosen]
    if not t_ns.size:
        message = f"{path}: {asset.id} has no samples in these rows"
        raise RecordingError(message)
    running = np.concatenate([batch.running for batch in batches])[chosen]
    values = np.concatenate([batch.values for batch in batches])[chosen].astype(np.float64)
    return Table(
        path=path,
        sha256=sha256,
        mapping=None,
        asset=asset.id,
        channels=tuple(channels),
        t_ns=t_ns,
        values=values,
        mode=_modes(batches, chosen),
        running=running if any(context.role == "run" for context in asset.context) else None,
        context={},
        labels={},
        truth=None,
        period_ns=period_ns,
        has_time=True,
        alignment="rows" if together else "grid",
        absent_cells=int(np.isnan(values).sum()),
        notes=tuple(f"{count} values {reason}" for reason, count in sorted(counts.items())),
    )


def times_by_tag(
    readings: Sequence[Readings], *, ignore: Container[str] = ()
) -> dict[str, NDArray[np.int64]]:
    """Return when each tag sent a number, sorted and each time once, by tag in order of arrival."""
    times: dict[str, list[NDArray[np.int64]]] = {}
    for message in readings:
        finite = np.isfinite(message.values)
        for i, tag in enumerate(message.tags):
            if tag not in ignore and finite[:, i].any():
                times.setdefault(tag, []).append(message.t_ns[finite[:, i]])
    return {tag: np.unique(np.concatenate(parts)) for tag, parts in times.items()}


def _cadence(times: Sequence[NDArray[np.int64]], rate_ns: int) -> tuple[bool, int]:
    """Return whether the tags speak together, and the median distance of their values.

    rate_ns: of the grid that they share with others, which then is the distance; 0: none.
    """
    steps = [np.diff(t_ns) for t_ns in times if t_ns.size > 1]
    period_ns = int(np.median([np.median(step) for step in steps])) if steps else PERIOD_NS_DEFAULT
    every = np.unique(np.concatenate(times))
    spoken = sum(t_ns.size for t_ns in times) / (every.size * len(times))
    alike = not rate_ns or rate_ns / SAME_RATE <= period_ns <= rate_ns * SAME_RATE
    return spoken >= TOGETHER_MIN and alike, rate_ns or max(period_ns, 1)


def aligned(
    layout: AssetLayout, readings: Sequence[Readings]
) -> tuple[list[Batch], dict[str, int]]:
    """Return closed batches in time order, and what could not be used, by reason."""
    aligner = Aligner([layout], EngineSettings(), state=AlignState())
    batches: list[Batch] = []
    waiting = 0
    for message in readings:
        aligner.push(message, future_ns=NEVER_FUTURE_NS)
        waiting += message.t_ns.size
        if waiting >= PENDING_ROWS_MAX // 4:
            # At no time of its own: only what later values have passed is closed.
            batches += aligner.close(now_ns=0)
            waiting = 0
    batches += aligner.close(now_ns=0, final=True)
    return batches, dict(aligner.counts)


def journal_sha256(path: Path) -> str:
    """Return the hash of a journal: of its segments' bytes, in order."""
    digest = hashlib.sha256()
    for part in [file for _, file in segments(path)] if path.is_dir() else [path]:
        digest.update(part.read_bytes())
    return digest.hexdigest()


def _modes(batches: Sequence[Batch], chosen: slice) -> NDArray[np.float64] | None:
    """The operating mode of the chosen samples (n,); None without a mode tag."""
    told = [batch.mode for batch in batches if batch.mode is not None]
    return np.concatenate(told)[chosen] if len(told) == len(batches) else None
