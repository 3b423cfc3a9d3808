"""The fit of assets that have learned enough, as a process of its own: no loop waits for it.

    python -m edge.commissioning.fit < LearnRequest > Learned        both JSON

It reads the journal behind the gateway, aligns it as the gateway does, leaves out what work may
have touched and what is unlike the rest, as every fit does, and keeps a child bundle in the
gateway's store. Whether that counts is for the gateway to say.

Of a long journal only the newest segments are read: those that hold what it is to learn from, and
at most so many rows of it while it ran, and some before them for context that was told earlier.
Which rows are learned depends on times and counts alone, not on where segments end, as long as
values come in their order.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.bundles.store import loaded, store_of
from edge.bundles.work_times import WorkTimes, texts_of, touched
from edge.commissioning.learned import Learned, LearnRequest
from edge.commissioning.live_values import LiveCount, live_from_ns
from edge.errors import AndonError, ConfigError
from edge.recordings.recording import journal_messages
from edge.samples.layouts import AssetLayout
from edge.samples.waveforms import block_topics
from edge.storage.journal import Position, segments
from edge.storage.journal_table import NEVER_FUTURE_NS, aligned, readings_by_asset
from edge.wire.topics import Topics, match_source
from kb.errors import KnowledgeError
from kb.retrieval.embed import make_known
from models.bundles.assemble import make_bundle
from models.bundles.bundle import is_unfitted
from models.bundles.store import save, sealed
from models.bundles.unfitted import unfitted
from models.errors import ModelError
from models.fitting.fit import fit_asset, options_of
from models.fitting.season import UTC_CLOCKS
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.batches import Readings
    from edge.configuration.config import GatewayConfig
    from edge.recordings.recording import TimedMessage
    from edge.samples.sparkplug import Birth
    from edge.settings import GatewaySettings
    from edge.storage.journal_table import Heard
    from models.bundles.bundle import AssetFit, AssetModel, Bundle

NICE: Final = 10  # scoring goes first
OTHER_RATE: Final = 1.5  # so many times apart, the period of the bundle is not the plant's
MILLISECOND_NS: Final = 1_000_000
ROWS_MAX: Final = 100_000  # of an asset, the newest that ran: a fit of 8 channels takes 10 s
TIMES: Final = 2.0  # what was asked for, where that is more: half of it may have to be left out
READ_TIMES: Final = 4  # so many times the values that it needs are read at most, stops included
LEAD_SEGMENTS_MAX: Final = 4  # before these, until every context tag was told; 256 MB
UNREAD_MAX: Final = 3  # topics with what could not be read that are named for an asset
MINUTE_NS: Final = 60_000_000_000


def learn(request: LearnRequest) -> Learned:
    """Fit what can be fitted, and keep a bundle of it.

    Raises AndonError, KnowledgeError or ModelError where nothing can be read or kept.
    """
    config, store = request.config, store_of(request.config)
    path = store.find(request.bundle_sha256)
    if path is None:
        raise ConfigError(f"bundle {request.bundle_sha256[:12]} is not kept any more")
    parent = loaded(path, request.bundle_sha256)
    wanted = [m for m in parent.assets if m.asset in request.since_ns]
    told, work = _heard(request, period_ns=parent.assets[0].period_ns)
    heard = told.readings
    parent, period_ns = _at_rate(parent, wanted, heard)
    fits, rows, failed = [], {}, {}
    for model in wanted:
        rated = msgspec.structs.replace(model, period_ns=period_ns)
        readings = heard.get(model.asset, ())
        try:
            samples = _samples(rated, readings, request, work=work)
            options = msgspec.structs.replace(
                options_of(parent, model.asset), alignment=model.alignment
            )
            fit = fit_asset(samples, options)
        except ModelError as error:
            failed[model.asset] = "; ".join([str(error), *_unread(told, model.asset, config)])
            continue
        fits.append(fit)
        rows[model.asset] = fit.training.rows_used
    if not fits:
        return Learned(failed=failed)
    newest_ns = max(int(r.t_ns.max()) for fit in fits for r in heard[fit.asset])
    positions = config.position or None
    made = make_bundle(fits, parent=parent, positions=positions, created_at_ns=newest_ns)
    child = as_before(made, parent, fits)
    # at another rate it was made of one that nobody keeps; it grew from the one that scores
    child = sealed(replace(child, parent=request.bundle_sha256))
    work_place = store.directory / f".learned-{os.getpid()}"
    try:
        save(child, work_place)
        store.keep(work_place)
    finally:
        shutil.rmtree(work_place, ignore_errors=True)
    return Learned(bundle_sha256=child.sha256, rows=rows, failed=failed)


def as_before(child: Bundle, parent: Bundle, fits: Sequence[AssetFit]) -> Bundle:
    """A child whose other assets ring as in its parent, though more share the budget now.

    What a gateway makes by itself moves no threshold that people have approved; the next bundle
    that somebody makes divides the budget anew.
    """
    new = {fit.asset for fit in fits}
    old = {model.asset: model for model in parent.assets if model.asset not in new}
    assets = [
        msgspec.structs.replace(
            model,
            threshold_on=old[model.asset].threshold_on,
            threshold_off=old[model.asset].threshold_off,
            replay=old[model.asset].replay,
        )
        if model.asset in old
        else model
        for model in child.assets
    ]
    return sealed(replace(child, assets=tuple(assets)))


def _asked_ns(config: GatewayConfig, period_ns: int) -> int:
    """How much time while it ran is learned from at least, ns."""
    asked = config.commissioning
    if asked is None:
        return 0
    return round(TIMES * max(asked.learn_minutes * MINUTE_NS, asked.learn_rows * period_ns))


def _needed(config: GatewayConfig, readings: Sequence[Readings], *, period_ns: int) -> int:
    """How many values of a tag are learned from, of what came while it ran, at the plant's rate."""
    step = _step(readings)
    step_ns = max(_whole_ms(step), 1) if step is not None else period_ns
    return max(ROWS_MAX, -(-_asked_ns(config, max(period_ns, step_ns)) // step_ns))


def _unread(heard: Heard, asset: str, config: GatewayConfig) -> list[str]:
    """Why something of an asset could not be read, or had no names; not more than some lines."""
    sources, lines = config.settings.source, []
    for topic, why in sorted(heard.unread.items()):
        source = match_source(topic, sources)
        if source is not None and source[1] == asset:
            lines.append(why)
    return lines[:UNREAD_MAX]


def _heard(request: LearnRequest, *, period_ns: int) -> tuple[Heard, WorkTimes]:
    """What the journal says of the assets that are asked for, and what work is known of."""
    config, settings = request.config, request.config.settings
    journal, root = _journal(config), Topics(settings.prefix, settings.site).root
    births = dict(request.births)
    after = first_needed(request, period_ns=period_ns, births=births)
    ours = [asset for asset in settings.asset if asset.id in request.since_ns]
    messages = _about(journal_messages(journal, after=after), settings, set(request.since_ns))
    heard = readings_by_asset(
        messages, sources=settings.source, root=root, assets=ours, births=births
    )
    if config.kb.embedder:
        make_known(config.path(config.kb.embedder))
    texts = texts_of(config.path(config.kb.snapshot) if config.kb.snapshot else None)
    work = WorkTimes(settings, texts)
    work.take_orders()
    work.take_jobs(request.jobs)
    work.take_edges(heard.readings)
    work.take_journal(journal, after=after)
    return heard, work


def _journal(config: GatewayConfig) -> Path:
    return config.path(config.journal.dir) / "journal"


def first_needed(
    request: LearnRequest, *, period_ns: int, births: dict[str, Birth] | None = None
) -> Position | None:
    """Where reading the journal begins; None: where the journal does. period_ns: as supposed.

    births: of Sparkplug B, as the gateway knows them; those that were not true yet where reading
    begins are taken out.

    Segment by segment from the newest, until each asset has as many values of a tag as are learned
    from, or most of what it says is older than that; then on until its context was told, within
    a bound.
    """
    settings, journal = request.config.settings, _journal(request.config)
    assets = [asset for asset in settings.asset if asset.id in request.since_ns]
    context = {one.id: one.context for one in assets}
    counts = {
        asset: LiveCount(context.get(asset, ()), until_ns=_until_ns(request, asset))
        for asset in request.since_ns
    }
    births = {} if births is None else births
    untold = {(one.id, tag.tag) for one in assets for tag in one.context}
    lead = 0
    for number, path in reversed(segments(journal)):
        if not counts:
            if not untold or lead == LEAD_SEGMENTS_MAX:
                return Position(number + 1, 0)
            lead += 1
        heard = _of_segment(path, request, births)
        for asset, readings in heard.readings.items():
            untold -= {(asset, tag) for one in readings for tag in one.tags}
            if asset not in counts:
                continue
            counts[asset].older(readings)
            every = np.concatenate([one.t_ns for one in readings])
            # the median: one clock that is wrong must not end it
            old = np.median(every) < request.since_ns[asset]
            needed = _needed(request.config, readings, period_ns=period_ns)
            if old or counts[asset].has(needed, among=READ_TIMES * needed):
                del counts[asset]
    return None


def _of_segment(path: Path, request: LearnRequest, births: dict[str, Birth]) -> Heard:
    """What a segment says. births: true when it ends; those true when it begins are left."""
    settings, wanted = request.config.settings, set(request.since_ns)
    assets = [asset for asset in settings.asset if asset.id in wanted]
    while True:
        told = dict(births)
        messages = _about(journal_messages(path), settings, wanted)
        heard = readings_by_asset(messages, sources=settings.source, assets=assets, births=told)
        # born or dead in it: what was true before is not known, so it is read without
        changed = [key for key, birth in births.items() if told.get(key) is not birth]
        for key in changed:
            del births[key]
        if not changed:
            return heard


def _until_ns(request: LearnRequest, asset: str) -> int:
    return request.until_ns.get(asset) or NEVER_FUTURE_NS


def _about(
    messages: Iterator[TimedMessage], settings: GatewaySettings, assets: set[str]
) -> Iterator[TimedMessage]:
    """Messages that may be about some assets: of the others nothing is held in memory."""
    blocks = set(block_topics(asset for asset in settings.asset if asset.id in assets))
    for message in messages:
        source = match_source(message.topic, settings.source)
        told = source is not None and source[1] in {"", *assets}
        if told or message.topic in blocks:
            yield message


def _at_rate(
    parent: Bundle, wanted: Sequence[AssetModel], heard: dict[str, list[Readings]]
) -> tuple[Bundle, int]:
    """The parent at the rate of the plant, and that rate.

    A bundle has one rate, which before the first fit is what somebody supposed: until then it may
    still be set right.
    """
    supposed = parent.assets[0].period_ns
    steps = [step for model in wanted if (step := _step(heard.get(model.asset, ()))) is not None]
    measured = _whole_ms(min(steps)) if steps else supposed
    alike = supposed / OTHER_RATE <= measured <= supposed * OTHER_RATE
    if alike or not measured or not all(is_unfitted(m.metrics) for m in parent.assets):
        return parent, supposed
    bare: list[AssetFit] = [
        unfitted(
            model.asset,
            model.channels,
            period_ns=measured,
            usual_low=model.usual_low,
            usual_high=model.usual_high,
        )
        for model in parent.assets
    ]
    rated = make_bundle(bare, alerts_per_day=parent.alerts_per_day, positions=parent.positions)
    return rated, measured


def _step(readings: Sequence[Readings]) -> float | None:
    """The usual time between two values of an asset's quickest tag, ns; None: too few came."""
    times: dict[str, list[np.ndarray]] = {}
    for message in readings:
        for i, tag in enumerate(message.tags):
            spoke = np.isfinite(message.values[:, i])
            times.setdefault(tag, []).append(message.t_ns[spoke])
    steps = [np.diff(np.unique(np.concatenate(parts))) for parts in times.values()]
    medians = [float(np.median(step)) for step in steps if step.size]
    return min(medians) if medians else None


def _whole_ms(step_ns: float) -> int:
    """A step in whole milliseconds, ns."""
    return round(step_ns / MILLISECOND_NS) * MILLISECOND_NS


def _samples(
    model: AssetModel, readings: Sequence[Readings], request: LearnRequest, *, work: WorkTimes
) -> TrainingSamples:
    """Rows as the gateway aligns them, the newest from a time on.

    Of a stop at their end no more than of what ran before. Raises ModelError where there are none.
    """
    config, settings = request.config, request.config.settings
    asset, until_ns = settings.of_asset(model.asset), _until_ns(request, model.asset)
    count = _needed(config, readings, period_ns=model.period_ns)
    from_ns = live_from_ns(readings, asset.context, until_ns=until_ns, count=count)
    from_ns = max(from_ns, request.since_ns[model.asset])
    batches, _ = aligned(AssetLayout.of(model, asset), readings) if readings else ([], {})
    t_ns = np.concatenate([batch.t_ns for batch in batches]) if batches else np.empty(0, np.int64)
    kept = (t_ns >= from_ns) & (t_ns - until_ns <= max(until_ns - from_ns, 0))
    if not kept.any():
        raise ModelError(f"{model.asset}: the journal has no samples of it any more")
    values = np.concatenate([batch.values for batch in batches])[kept].astype(np.float64)
    running = np.concatenate([batch.running for batch in batches])[kept]
    modes = [batch.mode for batch in batches if batch.mode is not None]
    excluded, jobs = touched(work.found(model.asset), t_ns[kept])
    return TrainingSamples(
        asset=model.asset,
        channels=model.channels,
        values=values,
        t_ns=t_ns[kept],
        period_ns=model.period_ns,
        running=running if any(tag.role == "run" for tag in asset.context) else None,
        mode=np.concatenate(modes)[kept] if len(modes) == len(batches) else None,
        excluded=excluded if jobs else None,
        jobs_excluded=tuple(jobs),
        # a journal that is still written has no hash of its own: that of the rows names them
        sha256=hashlib.sha256(t_ns[kept].tobytes() + values.tobytes()).hexdigest(),
        rows=(0, int(kept.sum())),
        zone=settings.texts_zone or UTC_CLOCKS.zone,
    )


def main() -> int:
    """Answer one request; whatever is wrong with the world is an answer too."""
    os.nice(NICE)
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=LearnRequest)
    try:
        learned = learn(request)
    except (AndonError, KnowledgeError, ModelError) as error:
        learned = Learned(failed=dict.fromkeys(request.since_ns, str(error)))
    sys.stdout.buffer.write(msgspec.json.encode(learned))
    return 0


if __name__ == "__main__":
    sys.exit(main())
