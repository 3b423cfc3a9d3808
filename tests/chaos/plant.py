"""What a campaign sends: a weld cell's shift with something wrong every few minutes, and its twins.

The twins say the same as the bundle and the snapshot of the cell under other hashes, so that a
takeover at any moment changes no alert.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from edge.bundles.training import fit_bundle
from kb.snapshots.build import build
from models.bundles.store import save as save_bundle
from models.bundles.store import sealed
from models.samples import TrainingSamples
from simulator.cells import weld
from simulator.publish import SECOND_NS, with_clock

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from edge.recordings.recording import TimedMessage

ROBOTS: Final = 2
PLANT_S_PER_KILL: Final = 60.0
HOURS_MIN: Final = 0.5
TRAINING_HOURS: Final = 10.0
EVERY_ROWS: Final = 150  # between two disturbances of a robot
LAST_ROWS: Final = 12
SIGMA: Final = 12.0  # nobody argues about it
SETTINGS: Final = """
[engine]
health_publish_s = 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """A cell on disk, and what it sends. rows: of each asset; end_ns: when all are closed."""

    folder: Path
    config: Path
    assets: tuple[str, ...]
    rows: int
    end_ns: int
    messages: list[TimedMessage]

    @property
    def samples(self) -> int:
        """Samples of all assets."""
        return self.rows * len(self.assets)

    @property
    def bundles(self) -> tuple[Path, Path]:
        """The cell's bundle and its twin."""
        return self.folder / "bundle", self.folder / "twin"

    @property
    def snapshot(self) -> Path:
        """The snapshot in use; its twin is kept beside it."""
        return self.folder / "snapshot"


def make_plant(folder: Path, *, seed: int, kills: int, every_rows: int = EVERY_ROWS) -> Plant:
    """Simulate, fit and build; some 15 s of processor time."""
    hours = max(HOURS_MIN, kills * PLANT_S_PER_KILL / 3600)
    scenario = weld.simulate(seed=seed, robots=ROBOTS, hours=hours)
    for name, text in scenario.texts.items():
        path = folder / "kb" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    normal = weld.training(seed=seed, robots=ROBOTS, hours=TRAINING_HOURS)
    samples = [
        TrainingSamples(
            asset=asset,
            channels=normal.channels,
            values=normal.values[asset],
            period_ns=normal.period_ns,
            running=normal.running(asset),
        )
        for asset in normal.assets
    ]
    bundle = sealed(fit_bundle([(one, "rows") for one in samples]))
    save_bundle(bundle, folder / "bundle")
    twin = replace(bundle, created_at_ns=bundle.created_at_ns + 1, parent=bundle.sha256)
    save_bundle(sealed(twin), folder / "twin")
    _build_twins(folder, now_ns=scenario.begin_ns)
    config = folder / "gateway.toml"
    config.write_text(scenario.gateway, encoding="utf-8")
    sigma = {asset: normal.values[asset].std(axis=0) for asset in normal.assets}
    tags = [channel.name for channel in normal.channels]
    sent = with_clock(scenario.messages(), topic="plant/_clock", cadence_ns=5 * SECOND_NS)
    return Plant(
        folder=folder,
        config=config,
        assets=tuple(scenario.assets),
        rows=scenario.rows,
        end_ns=scenario.truth.end_ns,
        messages=[
            disturbed(message, tags, sigma, begin_ns=scenario.begin_ns, every_rows=every_rows)
            for message in sent
        ],
    )


def _build_twins(folder: Path, *, now_ns: int) -> None:
    """Two snapshots of the same texts but for a line about nothing; the first one is in use."""
    build(folder / "kb", folder / "snapshot", now_ns=now_ns)
    more = folder / "kb" / "canteen.md"
    more.write_text("# Canteen\n\nThe canteen opens at noon.\n", encoding="utf-8")
    build(folder / "kb", folder / "snapshot", now_ns=now_ns + 1)
    more.unlink()


def disturbed(
    message: TimedMessage,
    tags: list[str],
    sigma: dict[str, np.ndarray],
    *,
    begin_ns: int,
    every_rows: int = EVERY_ROWS,
) -> TimedMessage:
    """The message with a step on one channel where one is due; which one goes round.

    sigma: (c,) of each asset's channels, in the order of `tags`
    """
    asset = message.topic.rpartition("/")[2]
    if asset not in sigma:
        return message
    body = msgspec.json.decode(message.payload)
    phase = sorted(sigma).index(asset) * every_rows // len(sigma)
    changed = False
    for t_ms, values in zip(body["ts"], body["v"], strict=True):
        turn, at = divmod((t_ms * 1_000_000 - begin_ns) // SECOND_NS + phase, every_rows)
        if at < every_rows - LAST_ROWS:
            continue
        channel = int(turn) % len(tags)
        column = body["tags"].index(tags[channel])
        values[column] = round(values[column] + SIGMA * float(sigma[asset][channel]), 4)
        changed = True
    payload = msgspec.json.encode(body) if changed else message.payload
    return replace(message, payload=payload)


def remove(folder: Path) -> None:
    """Forget a campaign that went well."""
    shutil.rmtree(folder, ignore_errors=True)
