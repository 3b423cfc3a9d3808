"""What a proof says: its records, which are also the keys of its JSON."""

from __future__ import annotations

import msgspec


class KindProof(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of fault of one channel, or of one waveform, of which a sigma is its usual RMS.

    sizes_sigma: sizes tried, () where the kind has none; trials, rang: at each size, or all in all.
    found_sigma, found_size: the smallest size that rang in the wanted share of its trials, in
    sigmas and in the channel's unit; None: there was none, or the kind has no sizes.
    delay_median_s, rang_as: of that size, or of the kind; rang_as: track and class. named_share: of
    what rang, how often the channel was named; None: nothing rang.
    """

    kind: str
    sizes_sigma: tuple[float, ...]
    trials: tuple[int, ...]
    rang: tuple[int, ...]
    found: bool
    found_sigma: float | None
    found_size: float | None
    delay_median_s: float | None
    rang_as: str
    named_share: float | None

    @property
    def shares(self) -> tuple[float | None, ...]:
        """Share of the trials that rang, at each size; None: not tried."""
        pairs = zip(self.rang, self.trials, strict=True)
        return tuple(rang / trials if trials else None for rang, trials in pairs)


class ChannelProof(msgspec.Struct, frozen=True, kw_only=True):
    """One channel. sigma: its usual spread, in its unit; None: it is not in the bundle.

    blind: no fault that comes in sizes rang at any; because: what is known of the cause.
    absent_share: of the samples, without a value. waveform: it is one, and no channel; features:
    the channels that are taken of it; sigma: its RMS while the machine runs, None: not known.
    """

    channel: str
    unit: str
    sigma: float | None
    absent_share: float
    blind: bool
    because: str
    kinds: tuple[KindProof, ...]
    waveform: bool = False
    features: tuple[str, ...] = ()


class AlertRate(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts of the stretch as it was.

    alerts: of the process that rang as ALERT; beside_work: that rang as ANNOTATED, since somebody
    works there; sensor, comms: of those tracks. beyond: too many for the budget to be chance.
    """

    alerts: int
    beside_work: int
    sensor: int
    comms: int
    days: float
    alerts_per_day: float
    budget_per_day: float
    beyond: bool


class AssetProof(msgspec.Struct, frozen=True, kw_only=True):
    """One asset. Counts are of samples or, in values_refused, of values, by reason.

    states: samples by run state; context: tag -> value -> how often it was sent. trials: faults
    that were judged; trials_void: that met an alert which was there before; trials_unplaced: for
    which there was no place.
    """

    asset: str
    begin: str
    end: str
    hours: float
    cut: bool
    days_seen: tuple[str, ...]
    states: dict[str, int]
    context: dict[str, dict[str, int]]
    samples: int
    samples_unscored: dict[str, int]
    values_refused: dict[str, int]
    fault_s: float
    rate: AlertRate
    trials: int
    trials_void: int
    trials_unplaced: int
    channels: tuple[ChannelProof, ...]

    @property
    def blind(self) -> tuple[str, ...]:
        """Channels that are blind."""
        return tuple(one.channel for one in self.channels if one.blind)

    @property
    def passed(self) -> bool:
        """Whether no channel is blind and the alerts are within the budget."""
        return not self.blind and not self.rate.beyond


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What `andon prove` found. passed: of all assets."""

    source: str
    bundle_sha256: str
    seed: int
    share_wanted: float
    trials_a_size: int
    trials: int
    passed: bool
    assets: tuple[AssetProof, ...]
