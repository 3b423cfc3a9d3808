"""A plant of sixteen assets before the real engine: fourteen are fed from one compressor."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from edge.engine import Engine
from edge.records import MessageReceived, Publish, TickDue
from edge.settings import AssetSettings, EngineSettings, GatewaySettings
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.wire.readings import encode_rows
from models.bundles.assemble import make_bundle
from models.bundles.rows import without
from models.detector import detectors_of
from models.fitting.fit import FitOptions, fit_asset
from tests.edge.rig import CHANNELS, START, S, var
from tests.models.plants import samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.desk import Knowledge
    from edge.records import Effect, Stimulus
    from edge.samples.scoring import Score
    from models.bundles.bundle import Bundle

FED: Final = tuple(f"m{i:02}" for i in range(14))
ALONE: Final = ("p1", "p2")
ASSETS: Final = (*FED, *ALONE)
AIR: Final = "utility-compressed-air-2"


@functools.cache
def bundle() -> Bundle:
    """Sixteen assets of four channels."""
    options = FitOptions(alignment="rows")
    return make_bundle(
        [
            fit_asset(samples(var(1500, seed=i), asset=asset), options)
            for i, asset in enumerate(ASSETS)
        ]
    )


@functools.cache
def detectors() -> tuple[Score, ...]:
    """The real graph, loaded once."""
    return detectors_of(bundle())


@functools.cache
def normal(asset: str) -> np.ndarray:
    """Half an hour of normal operation (n, 4)."""
    return var(1800, seed=200 + ASSETS.index(asset))


def settings(
    *,
    assets: Mapping[str, dict[str, Any]] | None = None,
    **engine: Any,  # noqa: ANN401
) -> GatewaySettings:
    """The plant's settings; `assets` changes those of some."""
    configured = [
        AssetSettings(
            id=name,
            utilities=("compressed-air-2",) if name in FED else (),
            position="west" if name in FED else "east",
            **(assets or {}).get(name, {}),
        )
        for name in ASSETS
    ]
    return GatewaySettings(
        site="s", clock="plant", engine=EngineSettings(**engine), asset=tuple(configured)
    )


class FloodRig:
    """A script in seconds; every asset sends its rows, then there is a tick."""

    def __init__(
        self, conf: GatewaySettings | None = None, *, known: Knowledge | None = None
    ) -> None:
        self.settings = conf or settings()
        self.known = known
        self.engine = self._engine(None)
        self.at = 0
        self.sent: list[tuple[int, Stimulus]] = []
        self.effects: list[Effect] = []

    def _engine(self, state: EngineState | None) -> Engine:
        return Engine(
            self.settings,
            bundle=bundle(),
            detectors=detectors(),
            derive=lambda row, keep: without(bundle(), row, keep),
            knowledge=self.known,
            state=state,
        )

    def restart(self) -> None:
        """Go on in a new process from packed state."""
        self.engine = self._engine(unpack(pack(self.engine.state), EngineState))

    def give(self, stimulus: Stimulus, *, now_ns: int) -> None:
        """Hand the engine one stimulus."""
        self.sent.append((now_ns, stimulus))
        self.effects.extend(self.engine.handle(stimulus, now_ns=now_ns))

    def send(self, topic: str, body: dict[str, Any]) -> None:
        """One command."""
        now_ns = START + self.at * S
        payload = msgspec.json.encode({"ts": now_ns // 1_000_000, **body})
        self.give(MessageReceived(topic=topic, payload=payload, received_ns=now_ns), now_ns=now_ns)

    def run(self, until: int, faults: Mapping[str, tuple[int, int]], *, step: int) -> None:
        """To a second of the script; faults: asset -> (first second, end) of a shift of c1."""
        while self.at < until:
            n = min(step, until - self.at)
            now_ns = START + (self.at + n) * S - S // 4
            for asset in ASSETS:
                rows = self._rows(asset, n, faults.get(asset, (0, 0)))
                sent = MessageReceived(topic=f"plant/{asset}", payload=rows, received_ns=now_ns)
                self.give(sent, now_ns=now_ns)
            self.at += n
            self.give(TickDue(), now_ns=now_ns)

    def _rows(self, asset: str, n: int, fault: tuple[int, int]) -> bytes:
        model = next(m for m in bundle().assets if m.asset == asset)
        rows = normal(asset)[self.at : self.at + n].copy()
        seconds = np.arange(self.at, self.at + n)
        rows[(seconds >= fault[0]) & (seconds < fault[1]), 1] += 14 * model.sigma[1]
        t_ns = [START + int(second) * S for second in seconds]
        return encode_rows(CHANNELS, t_ns, rows.tolist(), shape="columnar")[0]

    def said(self, topic: str) -> list[dict[str, Any]]:
        """What was published on a topic below the site, in order."""
        found = [
            e for e in self.effects if isinstance(e, Publish) and e.topic == f"andon/s/{topic}"
        ]
        return [msgspec.json.decode(message.payload) for message in found]

    def contents(self) -> dict[tuple[str, tuple[str, int]], Any]:
        """Keyed payloads by topic, id and revision."""
        found: dict[tuple[str, tuple[str, int]], Any] = {}
        for effect in self.effects:
            if isinstance(effect, Publish) and effect.key is not None:
                assert (effect.topic, effect.key) not in found, "one key, one content"
                found[effect.topic, effect.key] = msgspec.json.decode(effect.payload)
        return found


def starved(assets: Sequence[str] = FED) -> dict[str, tuple[int, int]]:
    """The compressor fails at second 300: one machine after another, a few seconds apart."""
    return {asset: (300 + 4 * i, 600) for i, asset in enumerate(assets)}
