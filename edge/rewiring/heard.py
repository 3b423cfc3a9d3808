"""Heard: what a plant sends now, by asset and tag, through the sources that the gateway reads.

Memory is bounded; what has no place is counted. A value that the broker retained says what was once
sent, and nothing of now: the topic of a tag that was renamed keeps one for ever.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from edge.errors import WireError
from edge.samples.decoders import Decoders
from edge.samples.sparkplug import Sparkplug
from edge.wire.topics import match_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edge.batches import Readings
    from edge.rewiring.expected import ExpectedAsset
    from edge.settings import Source

NUMBERS_MAX: Final = 1_024  # newest of a tag, 8 KiB: its quantiles of 5 % have fifty beyond each
TAGS_MAX: Final = 40_000  # of all assets, 400 MB at most
TEXTS_MAX: Final = 4  # that are told apart and shown as examples
TEXT_CHARS_MAX: Final = 40


class Level(NamedTuple):
    """Where values lie: median, 5 % and 95 % quantiles, standard deviation by the quartiles.

    A machine that stops is told to stand a moment after its values fall: 5 % may be of that.
    """

    median: float
    low: float
    high: float
    sigma: float


class Values:
    """What came of one tag while its asset ran, or where nobody says whether it does."""

    __slots__ = (
        "_at",
        "_level",
        "_numbers",
        "absent",
        "count",
        "retained",
        "standing",
        "texts",
        "unit",
    )

    def __init__(self) -> None:
        self._numbers, self._at = array("d"), 0
        self._level: Level | None = None  # of these, until the next come
        self.count = 0  # numbers
        self.standing = 0  # of these, while the asset did not run: not kept
        self.absent = 0  # null, or of bad quality
        self.retained = 0  # of whatever kind, by the broker
        self.texts: dict[str, int] = {}
        self.unit = ""  # as the sender states it

    @property
    def came(self) -> bool:
        """Whether the sender knows this tag now."""
        return bool(self.count or self.absent or self.texts)

    @property
    def kept(self) -> int:
        """How many numbers there are to compare."""
        return len(self._numbers)

    @property
    def numbers(self) -> NDArray[np.float64]:
        """Newest numbers (n,) while it ran, in no order."""
        return np.array(self._numbers, np.float64)

    def take(self, values: NDArray[np.float64], running: NDArray[np.bool_]) -> None:
        """Note values (n,), NaN where absent; running (n,)."""
        self._level = None
        there = np.isfinite(values)
        self.absent += int((~there).sum())
        self.count += int(there.sum())
        self.standing += int((there & ~running).sum())
        for value in values[there & running][-NUMBERS_MAX:].tolist():
            if len(self._numbers) < NUMBERS_MAX:
                self._numbers.append(value)
            else:
                self._numbers[self._at] = value
                self._at = (self._at + 1) % NUMBERS_MAX

    def take_text(self, text: str) -> None:
        """Note a text, which is absent among the numbers."""
        self.absent -= 1
        shown = text[:TEXT_CHARS_MAX]
        if shown in self.texts or len(self.texts) < TEXTS_MAX:
            self.texts[shown] = self.texts.get(shown, 0) + 1

    def level(self) -> Level | None:
        """Where its numbers lie; None: none came while it ran."""
        if self._level is None and self._numbers:
            shares = (0.05, 0.25, 0.5, 0.75, 0.95)
            low, q1, median, q3, high = np.quantile(self.numbers, shares).tolist()
            self._level = Level(median, low, high, (q3 - q1) / 1.349)  # of a normal distribution
        return self._level


class Heard:
    """Takes messages of a plant. expected: for the tags that say whether an asset runs."""

    def __init__(
        self,
        sources: Sequence[Source],
        expected: dict[str, ExpectedAsset],
        *,
        tags_max: int = TAGS_MAX,
    ) -> None:
        self._sources, self._expected, self._left = sources, expected, tags_max
        self._runs: dict[str, bool] = {}
        self._counts: dict[str, int] = {}
        self._decoders = Decoders(self._counts, sparkplug=Sparkplug({}, {}), points={})
        self.assets: dict[str, dict[str, Values]] = {}
        self.messages = 0
        self.refused: dict[str, int] = {}  # messages that could not be read, by reason
        self.beyond = 0  # values for which there was no place

    def take(self, topic: str, payload: bytes, *, received_ns: int, retained: bool) -> None:
        """Take one message; one of no source of the gateway's is none of ours."""
        source = match_source(topic, self._sources)
        if source is None:
            return
        self.messages += 1
        try:
            told = self._decoders.take(
                payload, topic=topic, source=source[0], asset=source[1], received_ns=received_ns
            )
        except WireError as error:
            self.refused[error.reason] = self.refused.get(error.reason, 0) + 1
            return
        for readings in told:
            self._note(readings, retained=retained)

    @property
    def nameless(self) -> int:
        """Values of which no birth and no metadata have told the name."""
        counts = self._counts
        return counts.get("waiting_for_birth", 0) + counts.get("waiting_for_metadata", 0)

    def says(self) -> str:
        """What has come so far."""
        return f"{self.messages} messages, {len(self.assets)} assets"

    def _note(self, readings: Readings, *, retained: bool) -> None:
        running = self._running(readings)
        texts: dict[str, list[str]] = {}
        for tag, _, text in readings.texts:
            texts.setdefault(tag, []).append(text)
        for tag, values in self._places(readings):
            mine = readings.values[:, readings.tags.index(tag)]
            if retained:
                values.retained += len(mine)
                continue
            values.take(mine, running)
            for text in texts.get(tag, ()):
                values.take_text(text)
            values.unit = (readings.units or {}).get(tag, "") or values.unit

    def _places(self, readings: Readings) -> Iterator[tuple[str, Values]]:
        """Where the values of each tag are noted."""
        known = self.assets.setdefault(readings.asset, {}) if self._left else None
        known = self.assets.get(readings.asset, {}) if known is None else known
        for tag in readings.tags:
            if tag not in known:
                if not self._left:
                    self.beyond += len(readings.t_ns)
                    continue
                self._left -= 1
                known[tag] = Values()
            yield tag, known[tag]

    def _running(self, readings: Readings) -> NDArray[np.bool_]:
        """Whether the asset ran at each row (n,): by this message, else by the newest before."""
        asset = readings.asset
        expected = self._expected.get(asset)
        n = len(readings.t_ns)
        if expected is None or expected.run is None:
            return np.ones(n, bool)
        tag, values = expected.run
        if tag not in readings.tags:
            return np.full(n, self._runs.get(asset, True))
        told = readings.values[:, readings.tags.index(tag)]
        running = np.isin(told, list(values)) | np.isnan(told)
        if n and np.isfinite(told[-1]):
            self._runs[asset] = bool(running[-1])
        return running
