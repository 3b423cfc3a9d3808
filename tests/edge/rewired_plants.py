"""Simulated plants whose tags are renamed, rescaled and re-typed, and the truth of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from edge.settings import AssetSettings, ContextTag, GatewaySettings
from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel
from models.fitting.fit import FitOptions, fit_asset
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from models.bundles.bundle import Bundle

S: Final = 10**9
BEGIN_NS: Final = 1_772_427_600 * S
ASSET: Final = "press4"
# name, unit, level, standard deviation, decimals that its sender has
CHANNELS: Final = (
    ("PT_101", "bar", 6.2, 0.15, 3),
    ("PT_102", "bar", 2.1, 0.05, 3),
    ("TT_101", "degC", 63.0, 1.2, 1),
    ("FT_201", "l/min", 38.0, 2.0, 2),
    ("MotorCurrent", "A", 14.2, 0.8, 2),
    ("SpindleSpeed", "rpm", 1480.0, 6.0, 0),
    ("VIB_X", "mm/s", 1.9, 0.25, 3),
    ("VIB_Y", "mm/s", 2.6, 0.3, 3),
    ("TankLevel1", "%", 57.0, 4.0, 1),
    ("GuardDoor", "", 0.0, 0.0, 0),
)
NAMES: Final = tuple(channel[0] for channel in CHANNELS)
RENAMES: Final[dict[str, Callable[[str], str]]] = {
    "PV": lambda name: f"{name.replace('_', '')}_PV",
    "lower": str.lower,
    "dashes": lambda name: name.replace("_", "-"),
    "folder": lambda name: f"Line3.Press4.{name}",
    "version": lambda name: f"{name}_v2",
    "input": lambda name: f"AI_{name}",
}
# by unit: new unit, value of it; None: no unit is known that it might be
RESCALES: Final[dict[str, tuple[tuple[str, float, float], ...]]] = {
    "bar": (("kPa", 100.0, 0.0), ("psi", 14.503774, 0.0), ("mbar", 1000.0, 0.0)),
    "degC": (("degF", 1.8, 32.0), ("K", 1.0, 273.15)),
    "l/min": (("l/h", 60.0, 0.0), ("m3/h", 0.06, 0.0)),
    "A": (("mA", 1000.0, 0.0),),
    "mm/s": (("in/s", 1 / 25.4, 0.0),),
    "%": (("/100", 0.01, 0.0),),
}


def values(rows: int, seed: int) -> NDArray[np.float64]:
    """What the sensors say (rows, 10): each wanders about its level; the guard door is shut."""
    rng = np.random.default_rng(seed)
    x = np.zeros((rows, len(CHANNELS)))
    x[0] = rng.normal(size=len(CHANNELS))
    for t in range(1, rows):
        x[t] = 0.7 * x[t - 1] + np.sqrt(1 - 0.49) * rng.normal(size=len(CHANNELS))
    told = np.array([c[2] for c in CHANNELS]) + x * np.array([c[3] for c in CHANNELS])
    told[:, -1] = rng.random(rows) < 0.05
    for i, channel in enumerate(CHANNELS):
        told[:, i] = np.round(told[:, i], channel[4])
    return np.asarray(told, np.float64)


@functools.cache
def bundle() -> Bundle:
    """A fit of an hour of it."""
    samples = TrainingSamples(
        asset=ASSET,
        channels=tuple(Channel(name=name, unit=unit) for name, unit, *_ in CHANNELS),
        values=values(3600, seed=1),
        period_ns=S,
    )
    return make_bundle([fit_asset(samples, FitOptions(alignment="rows"))])


def settings() -> GatewaySettings:
    """One asset with a run tag, tags called as channels."""
    asset = AssetSettings(id=ASSET, context=(ContextTag(tag="Running", role="run"),))
    return GatewaySettings(site="s", asset=(asset,))


@dataclass
class Plant:
    """What a plant sends after somebody changed it. Changes are made to it before `messages`."""

    seed: int
    asset: str = ASSET
    names: dict[str, str] = field(default_factory=lambda: {name: name for name in NAMES})
    change: dict[str, Callable[[float], Any]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    new: dict[str, tuple[float, float]] = field(default_factory=dict)
    standing: frozenset[int] = frozenset()  # seconds in which the press stands, all zero

    def messages(self, rows: int) -> Iterator[tuple[str, bytes, int]]:
        """Topic, payload and time of each second."""
        told = values(rows, seed=1_000 + self.seed)
        rng = np.random.default_rng(2_000 + self.seed)
        for t in range(rows):
            at_ns = BEGIN_NS + t * S
            stands = t in self.standing
            row: dict[str, Any] = {}
            for name, value in zip(NAMES, told[t].tolist(), strict=True):
                if name in self.names:
                    now = 0.0 if stands else value
                    row[self.names[name]] = self.change[name](now) if name in self.change else now
            for name, (level, sigma) in self.new.items():
                row[name] = float(rng.normal(level, sigma))
            row["Running"] = 0 if stands else 1
            for name, value in row.items():
                body = {"tag": name, "value": value, "ts": at_ns // 10**6}
                if name in self.units:
                    body["unit"] = self.units[name]
                yield f"plant/{self.asset}", msgspec.json.encode(body), at_ns
