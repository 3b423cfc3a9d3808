"""A stretch of what one asset sent, taken out of a journal or a table: a copy in memory.

It is put through engines of its own as it was, and with faults in it, several copies side by side:
one call of the detector scores them all. Nothing here knows the gateway that wrote the journal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.assembly.assembly import Assembly
from edge.errors import RecordingError
from edge.records import MessageReceived, TickDue
from edge.samples.layouts import AssetLayout
from edge.settings import Source
from edge.storage.journal_table import aligned
from edge.wire.readings import encode_rows
from edge.wire.topics import source_of
from models.bundles.check import own_rows
from simulator.heard import newest_of
from simulator.wave_stretch import WaveInjection, records_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from edge.batches import Readings
    from edge.recordings.recording import TimedMessage
    from edge.records import Stimulus
    from edge.settings import AssetSettings, GatewaySettings
    from models.bundles.bundle import AssetModel, Bundle
    from simulator.injections import Injection
    from simulator.wave_stretch import Heard, WaveRecord

BLOCK_SAMPLES: Final = 20  # sent at a time: more make the detector's blocks dearer, fewer the rest
BLOCK_VALUES_MAX: Final = 20_000  # at most 25 B each: far from a payload that would be refused
DAY_NS: Final = 24 * 3_600 * 10**9
TOPIC: Final = "prove/{asset}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Rows (n, k) of one set of tags within one span of time.

    now_ns: by the engine's clock, when the span was heard.
    """

    now_ns: int
    span: int
    tags: tuple[str, ...]
    units: dict[str, str] | None
    t_ns: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stretch:
    """What one asset sent over some hours.

    t_ns, values (n, c), running (n,): as aligned for its bundle; NaN: not known. blocks: as sent.
    messages: the very messages; heard_ns: when each was heard, by the gateway's clock. waves: of
    its waveforms, whose features are among the blocks. cut: whether there was more than is ever
    taken.
    """

    settings: GatewaySettings
    bundle: Bundle
    model: AssetModel
    messages: tuple[TimedMessage, ...]
    heard_ns: tuple[int, ...]
    blocks: tuple[Block, ...]
    t_ns: NDArray[np.int64]
    values: NDArray[np.float32]
    running: NDArray[np.bool_]
    context: dict[str, dict[float, int]]  # tag -> value -> how often it was sent
    unknown: tuple[str, ...]  # tags that sent numbers and are neither channel nor context
    cut: bool
    waves: tuple[WaveRecord, ...] = ()

    @property
    def asset(self) -> str:
        """Its id."""
        return self.model.asset

    @property
    def layout(self) -> AssetLayout:
        """How its tags become channels."""
        return AssetLayout.of(self.model, self.settings.of_asset(self.asset))

    @property
    def days(self) -> float:
        """How long it is."""
        return float(self.t_ns[-1] - self.t_ns[0] + self.model.period_ns) / DAY_NS

    def as_sent(self) -> Iterator[tuple[int, Stimulus]]:
        """The messages as they came, with a tick after each span."""
        span_ns = _span_ns(self.model)
        before = now_ns = 0
        for message, heard_ns in zip(self.messages, self.heard_ns, strict=True):
            if before and heard_ns // span_ns != before:
                yield now_ns, TickDue()
            before, now_ns = heard_ns // span_ns, max(now_ns, heard_ns)
            received_ns = message.t_ns  # the time of rows that have none of their own
            yield (
                now_ns,
                _received(message.topic, message.payload, received_ns, retain=message.retain),
            )
        yield now_ns, TickDue()
        yield now_ns, TickDue(final=True)

    def copies(
        self, injected: Sequence[Sequence[Injection | WaveInjection]], *, until_ns: int
    ) -> Iterator[tuple[int, Stimulus]]:
        """Copies of it with faults: injected[k] are those of copy k, which do not overlap.

        until_ns: of samples, where to end.
        """
        layout = self.layout
        names = copy_names(self.asset, len(injected))
        needed = (b.now_ns for b in self.blocks if len(b.t_ns) and b.t_ns.min() <= until_ns)
        last_ns = max(needed, default=0) + _span_ns(self.model)
        now_ns = span = 0
        for block in self.blocks:
            if block.now_ns > last_ns:
                break
            if span and block.span != span:
                yield now_ns, TickDue()
            now_ns, span = max(now_ns, block.now_ns), block.span
            payload = _encoded(block, block.t_ns, block.values)
            for name, faults in zip(names, injected, strict=True):
                sent = self._disturbed(block, faults, layout)
                if sent is None or len(sent):
                    told = payload if sent is None else sent
                    yield now_ns, _received(TOPIC.replace("{asset}", name), told, now_ns)
        yield now_ns, TickDue()
        yield now_ns, TickDue(final=True)

    def _disturbed(
        self, block: Block, faults: Sequence[Injection | WaveInjection], layout: AssetLayout
    ) -> bytes | None:
        """A block's payload with the faults that lie in it; None: as it was; empty: not sent."""
        values = block.values
        for fault in faults:
            if isinstance(fault, WaveInjection):
                if fault.tags == block.tags:
                    sent, values = fault.replaced(block.t_ns, values)
                    if not sent.all():
                        return (
                            _encoded(block, block.t_ns[sent], values[sent]) if sent.any() else b""
                        )
                continue
            column = next(
                (i for i, tag in enumerate(block.tags) if layout.columns.get(tag) == fault.channel),
                None,
            )
            if column is None or not fault.hits(block.t_ns).any():
                continue
            ran = running_at(self.t_ns, self.running, block.t_ns)
            values = values.copy()
            values[:, column] = fault.disturb(values[:, column], block.t_ns, ran)
        if values is block.values:
            return None
        if any(record.tags == block.tags for record in self.waves):  # null is a feature's value
            return _encoded(block, block.t_ns, values)
        spoken = np.isfinite(values).any(axis=1)
        return _encoded(block, block.t_ns[spoken], values[spoken]) if spoken.any() else b""


def read_stretch(
    messages: Iterable[TimedMessage],
    settings: GatewaySettings,
    bundle: Bundle,
    model: AssetModel,
    *,
    hours: float,
) -> Stretch:
    """The newest `hours` of one asset among messages in order, by the gateway's clock.

    Raises RecordingError for none.
    """
    kept, heard_ns, cut = newest_of(messages, settings, model, hours=hours)
    if not kept:
        topics = ", ".join(source.topic for source in settings.source)
        raise RecordingError(
            f"no message that can be read names asset {model.asset!r}; looked for {topics}; "
            "run the gateway a while, or give --recording"
        )
    asset = settings.of_asset(model.asset)
    layout = AssetLayout.of(model, asset)
    waves = records_of(
        asset, kept, {t: j for t, j in layout.columns.items() if j < layout.channels}
    )
    if waves:
        kept = _with_features(kept, waves)
    readings = [one for _, heard in kept for one in heard]
    batches, _ = aligned(layout, readings)
    t_ns = np.concatenate([batch.t_ns for batch in batches])
    if not len(t_ns):
        names = ", ".join(channel.name for channel in model.channels)
        raise RecordingError(f"{model.asset} sent none of the channels of its bundle: {names}")
    running = np.concatenate([batch.running for batch in batches])
    context, unknown = _beside_channels(readings, layout, asset)
    return Stretch(
        settings=settings,
        bundle=bundle,
        model=model,
        messages=tuple(message for message, _ in kept),
        heard_ns=heard_ns,
        blocks=tuple(_blocks(kept, heard_ns, model)),
        t_ns=t_ns,
        values=np.concatenate([batch.values for batch in batches]),
        running=running,
        context=context,
        unknown=unknown,
        cut=cut,
        waves=tuple(one.while_running(running_at(t_ns, running, one.ends_ns)) for one in waves),
    )


def running_at(
    t_ns: NDArray[np.int64], running: NDArray[np.bool_], times_ns: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether it ran (m,) at some times, by samples (n,) at t_ns."""
    at = np.minimum(np.searchsorted(t_ns, times_ns), len(t_ns) - 1)
    ran: NDArray[np.bool_] = running[at]
    return ran


def copy_names(asset: str, count: int) -> tuple[str, ...]:
    """Ids of copies of an asset."""
    return tuple(f"{asset}-{k}" for k in range(count))


def engine_of(stretch: Stretch, count: int = 0) -> Assembly:
    """An engine that knows this asset alone, or `count` copies of it instead; no snapshot."""
    settings, bundle, model = stretch.settings, stretch.bundle, stretch.model
    names = copy_names(model.asset, count) if count else (model.asset,)
    rows = own_rows(model)
    where = {row: i for i, row in enumerate(rows)}
    models = tuple(
        msgspec.structs.replace(
            model,
            asset=name,
            row_running=_moved(where, model.row_running, k * len(rows)),
            row_stopped=_moved(where, model.row_stopped, k * len(rows)),
            row_season=_moved(where, model.row_season, k * len(rows)),
            modes=tuple(
                msgspec.structs.replace(mode, row=_moved(where, mode.row, k * len(rows)))
                for mode in model.modes
            ),
        )
        for k, name in enumerate(names)
    )
    index = np.array(rows * len(names), np.intp)
    part, first = bundle.place(rows[0])
    alone = replace(bundle, assets=models, parts=(part.taken(index + first - rows[0]),))
    own = settings.of_asset(model.asset)
    settings = msgspec.structs.replace(settings, asset=(own,))  # the others are not in its bundle
    if count:
        source = source_of(model.asset, settings.source)
        interval_ms = source.interval_ms_max if source is not None else 0
        settings = msgspec.structs.replace(
            settings,
            source=(Source(topic=TOPIC, interval_ms_max=interval_ms),),
            asset=tuple(msgspec.structs.replace(own, id=name) for name in names),
        )
    return Assembly(settings, bundle=alone, snapshot=None)


def _moved(where: dict[int, int], row: int, by: int) -> int:
    return where[row] + by if row >= 0 else -1


def _with_features(kept: Heard, waves: Sequence[WaveRecord]) -> Heard:
    """What was heard, with the features of each block beside the message that carried it."""
    said = [list(readings) for _, readings in kept]
    for record in waves:
        carried = dict(zip(record.ends_ns.tolist(), record.at.tolist(), strict=True))
        index = np.searchsorted(record.ends_ns, [int(one.t_ns[0]) for one in record.features])
        for one, i in zip(record.features, index.tolist(), strict=True):
            end_ns = int(record.ends_ns[min(i, len(record.ends_ns) - 1)])
            said[carried[end_ns]].append(one)
    return [(message, tuple(mine)) for (message, _), mine in zip(kept, said, strict=True)]


def _span_ns(model: AssetModel) -> int:
    return BLOCK_SAMPLES * model.period_ns


def _blocks(kept: Heard, heard_ns: Sequence[int], model: AssetModel) -> Iterator[Block]:
    """Messages with the same tags joined within each span of time, as far as one may carry."""
    span_ns = _span_ns(model)
    spans: dict[int, dict[tuple[str, ...], list[Readings]]] = {}
    newest: dict[int, int] = {}
    for (_, heard), at_ns in zip(kept, heard_ns, strict=True):
        span = at_ns // span_ns
        newest[span] = max(newest.get(span, 0), at_ns)
        for one in heard:
            key = (*one.tags, "", *(f"{tag}\x1f{unit}" for tag, unit in (one.units or {}).items()))
            spans.setdefault(span, {}).setdefault(key, []).append(one)
    for span, by_tags in spans.items():
        for parts in by_tags.values():
            t_ns = np.concatenate([one.t_ns for one in parts])
            values = np.concatenate([one.values for one in parts])
            rows = max(BLOCK_VALUES_MAX // (len(parts[0].tags) + 1), 1)
            for first in range(0, max(len(t_ns), 1), rows):
                yield Block(
                    now_ns=newest[span],
                    span=span,
                    tags=parts[0].tags,
                    units=parts[0].units,
                    t_ns=t_ns[first : first + rows],
                    values=values[first : first + rows],
                )


def _beside_channels(
    readings: Sequence[Readings], layout: AssetLayout, asset: AssetSettings
) -> tuple[dict[str, dict[float, int]], tuple[str, ...]]:
    """How often each context tag had which value, and tags with numbers that go nowhere."""
    tags = {one.tag for one in asset.context if one.role in ("run", "info")}
    seen: dict[str, dict[float, int]] = {}
    unknown: dict[str, None] = {}
    for one in readings:
        for i, tag in enumerate(one.tags):
            column = one.values[:, i]
            if tag in tags:
                counted = seen.setdefault(tag, {})
                found, counts = np.unique(column[np.isfinite(column)], return_counts=True)
                for value, count in zip(found.tolist(), counts.tolist(), strict=True):
                    counted[value] = counted.get(value, 0) + count
            elif tag not in layout.columns and np.isfinite(column).any():
                unknown[tag] = None
    return seen, tuple(unknown)


def _encoded(block: Block, t_ns: NDArray[np.int64], values: NDArray[np.float64]) -> bytes:
    rows, times = values.tolist(), t_ns.tolist()
    return encode_rows(block.tags, times, rows, shape="columnar", units=block.units)[0]


def _received(topic: str, payload: bytes, now_ns: int, *, retain: bool = False) -> MessageReceived:
    return MessageReceived(topic=topic, payload=payload, received_ns=now_ns, qos=1, retain=retain)
