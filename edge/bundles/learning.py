"""Learning: from a configuration to its first bundle: record, fit, adopt.

The recording stays, and is gone on with: whoever breaks off loses nothing. Only time in which
something came counts, as in commissioning.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from edge.brokers.links import endpoint_of
from edge.brokers.rights import command_filters, sensor_filters
from edge.bundles.child import adopt_bundle, adoption_doubts
from edge.bundles.fit_words import changed, described, listed
from edge.bundles.store import store_of
from edge.bundles.training import journal_samples
from edge.bundles.work_times import WorkTimes, texts_of
from edge.configuration.config import load as load_config
from edge.configuration.config import need_bundle
from edge.errors import AndonError, ConfigError, RecordingError, WireError
from edge.recordings.recorder import record
from edge.records import MessageReceived
from edge.samples.decoders import Decoders
from edge.samples.sparkplug import Sparkplug
from edge.storage.journal import read_journal, segments
from edge.wire.topics import match_source
from models.bundles.assemble import make_bundle
from models.bundles.store import load as load_bundle
from models.bundles.store import save
from models.errors import ModelError
from models.fitting.fit import FitOptions, fit_asset

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.console import Console

    from edge.brokers.inbox import Incoming
    from edge.configuration.config import GatewayConfig
    from edge.settings import GatewaySettings, Source
    from models.bundles.bundle import AssetFit, Bundle
    from models.samples import TrainingSamples

MINUTE_NS: Final = 60_000_000_000
GAP_NS_MAX: Final = MINUTE_NS  # of silence: longer is no time of the plant, as in commissioning
RATE_S: Final = 5.0  # over which a rate is told
ASSETS_MAX: Final = 100_000  # that are told apart; a gateway of more is not fitted in one go


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnRequest:
    """What to learn into which bundle. yes: adopt it whatever it changes."""

    config: Path
    recording: Path
    out: Path
    minutes: float
    yes: bool = False


class Progress:
    """Counts what comes while it is recorded."""

    def __init__(self, settings: GatewaySettings, *, minutes: float) -> None:
        self._sources = settings.source
        self._expected = {asset.id for asset in settings.asset}
        self._needed_ns = round(minutes * MINUTE_NS)
        self._decoders = Decoders({}, sparkplug=Sparkplug({}, {}), points={})
        self._newest_ns = 0
        self._since_s, self._since_count, self._rate = time.monotonic(), 0, 0.0
        self.heard_ns = 0  # time without its long gaps
        self.seen: set[str] = set()
        self.count = 0

    def take(self, came: Incoming) -> None:
        """Count one message."""
        self.see(came.topic, came.payload, came.received_ns)

    def see(self, topic: str, payload: bytes, received_ns: int) -> None:
        """Count one message of a time; those of no source do not count."""
        source = match_source(topic, self._sources)
        if source is None:
            return
        self.count += 1
        gap_ns = received_ns - self._newest_ns if self._newest_ns else 0
        if 0 < gap_ns <= GAP_NS_MAX:
            self.heard_ns += gap_ns
        self._newest_ns = max(self._newest_ns, received_ns)
        named = {source[1]} if source[1] else self._told(topic, payload, source[0], received_ns)
        if len(self.seen) < ASSETS_MAX:
            self.seen |= named

    def _told(self, topic: str, payload: bytes, source: Source, received_ns: int) -> set[str]:
        """Assets that a payload names; of what cannot be read the fit tells."""
        try:
            found = self._decoders.take(
                payload, topic=topic, source=source, asset="", received_ns=received_ns
            )
        except WireError:
            return set()
        return {readings.asset for readings in found}

    @property
    def minutes(self) -> float:
        """How long the plant has spoken."""
        return self.heard_ns / MINUTE_NS

    @property
    def enough(self) -> bool:
        """Whether it has spoken for as long as was asked for."""
        return self.heard_ns >= self._needed_ns

    @property
    def silent(self) -> list[str]:
        """Configured assets of which nothing was seen."""
        return sorted(self._expected - self.seen)

    def says(self) -> str:
        """Rate, assets and minutes left."""
        now_s = time.monotonic()
        if now_s - self._since_s >= RATE_S:
            self._rate = (self.count - self._since_count) / (now_s - self._since_s)
            self._since_s, self._since_count = now_s, self.count
        left = max(self._needed_ns - self.heard_ns, 0) / MINUTE_NS
        of = f" of {len(self._expected)}" if self._expected else ""
        return f"{self._rate:.0f} a second, {len(self.seen)}{of} assets, {left:.1f} minutes left"


def learn(request: LearnRequest, *, console: Console) -> int:
    """Record until enough was heard, fit it, and let the configuration name the bundle.

    Returns 0, or 1 where something is missing; then it has said what, and how to go on. Raises
    AndonError or ModelError.
    """

    def tell(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    config = load_config(request.config)
    if request.out.exists():
        raise ConfigError(f"{request.out} is there already; name another directory with --out")
    progress = Progress(config.settings, minutes=request.minutes)
    _replay(request.recording, progress)
    if progress.count:
        tell(f"{request.recording}: {progress.minutes:.1f} minutes are there already")
    if not progress.enough:
        _record(request, config, progress, console)
    if not progress.enough:
        tell(_broken_off(request, progress))
        return 1
    if progress.silent:
        tell(f"nothing came of {listed(progress.silent)}")
    fitted, failed = _fitted(request, config, tell=tell)
    for asset, why in failed.items():
        tell(f"{asset}: not learned: {why}")
    if not fitted:
        raise ModelError(
            f"{request.recording}: nothing could be learned of any asset; record longer with"
            " --minutes, while the machines run"
        )
    return _adopted(request, config, fitted, tell=tell)


def _replay(recording: Path, progress: Progress) -> None:
    """Count what an earlier call has recorded. Raises JournalError."""
    if recording.is_dir() and segments(recording):
        for entry in read_journal(recording):
            if isinstance(entry.stimulus, MessageReceived):
                one = entry.stimulus
                progress.see(one.topic, one.payload, one.received_ns)


def _record(
    request: LearnRequest, config: GatewayConfig, progress: Progress, console: Console
) -> None:
    """Record what the gateway would hear, commands of operators included: they tell of work."""
    filters = sensor_filters(config)
    if config.mqtt.output is None:
        filters += command_filters(config)
    # a client id of its own: with that of the configuration it would end the gateway's session
    endpoint = replace(endpoint_of(config), client_id="")
    record(
        request.recording,
        endpoint,
        filters=tuple(dict.fromkeys(filters)),
        prefix=config.prefix,
        seconds=0.0,
        messages_max=0,
        console=console,
        follower=progress,
    )


def _broken_off(request: LearnRequest, progress: Progress) -> str:
    """What there is, and how to go on."""
    have = progress.minutes
    silent = f", nothing of {listed(progress.silent)}" if progress.silent else ""
    told = (
        f"{request.recording} has {have:.1f} of {request.minutes:g} minutes, {progress.count}"
        f" messages of {len(progress.seen)} assets{silent}. Call the same command again to go on"
    )
    if have >= 1:
        told += f"; or learn from what is there: add --minutes {int(have)}"
    return told


def _fitted(
    request: LearnRequest, config: GatewayConfig, *, tell: Callable[[str], object]
) -> tuple[list[tuple[TrainingSamples, AssetFit]], dict[str, str]]:
    """A fit of each asset, and why there is none of the others."""
    settings = config.settings
    snapshot = config.path(config.kb.snapshot) if config.kb.snapshot else None
    work = WorkTimes(settings, texts_of(snapshot))
    work.take_orders()
    fits, failed = [], {}
    for samples, alignment in journal_samples(
        request.recording, settings=settings, tell=tell, work=work
    ):
        options = msgspec.structs.replace(FitOptions(), alignment=alignment)
        try:
            fits.append((samples, fit_asset(samples, options)))
        except ModelError as error:
            failed[samples.asset] = str(error)
    known = {samples.asset for samples, _ in fits} | set(failed)
    for asset in settings.asset:
        if asset.id not in known:
            failed[asset.id] = "no value of it came"
    return fits, failed


def _adopted(
    request: LearnRequest,
    config: GatewayConfig,
    fitted: Sequence[tuple[TrainingSamples, AssetFit]],
    *,
    tell: Callable[[str], object],
) -> int:
    """Write the bundle, say what changes, and let the configuration name it."""
    running = _running(config)
    bundle = make_bundle(
        [fit for _, fit in fitted],
        positions=config.position or None,
        created_at_ns=time.time_ns(),
    )
    save(bundle, request.out)
    samples = {one.asset: one for one, _ in fitted}
    tell(f"{request.out}: {len(bundle.assets)} assets, {bundle.sha256[:12]}")
    for line in (*described(bundle, samples), *changed(bundle, running, samples)):
        tell(f"  {line}")
    doubts = adoption_doubts(request.config, request.out)
    for doubt in doubts:
        tell(f"{request.out}: {doubt}")
    by_hand = f"andon adopt-bundle {request.config} {request.out}"
    if doubts and not request.yes:
        tell(f"{request.config} has not changed; if you mean it: {by_hand} --yes")
        return 1
    try:
        before = adopt_bundle(request.config, request.out)
    except AndonError as error:
        raise RecordingError(f"{error}; the bundle is there: mend that, then {by_hand}") from error
    now = load_config(request.config).model.bundle
    tell(f"{request.config}: [model] bundle was {before or 'not set'}, and is {now}")
    if config.commissioning is not None:
        tell("its alerts go to engineers until somebody accepts the assets: andon accept")
    tell(f"next: andon check {request.config}, then andon run {request.config}")
    return 0


def _running(config: GatewayConfig) -> Bundle | None:
    """The bundle that counts now; None: none, or it cannot be opened."""
    try:
        return load_bundle(need_bundle(store_of(config).current()[1]))
    except (ConfigError, ModelError):
        return None
