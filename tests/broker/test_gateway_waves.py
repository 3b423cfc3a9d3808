"""Waveforms through a real broker: subscribed, journaled as bytes, and the same after a replay."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.assembly.assembly import assemble
from edge.bundles.training import fit_bundle, journal_samples, settings_beside
from edge.configuration.config import load
from edge.replays.backtest import Backtest
from edge.storage.journal import read_journal
from models.bundles.store import save as save_bundle
from simulator.cells import CELLS
from simulator.cells.gearbox import GEARBOX
from simulator.cells.gearbox_signals import CHANNEL_NAMES
from simulator.cells.simulation import Wish, normal_cell
from tests.broker.cells import listener
from tests.broker.gateways import GatewayProcess, newest_health, online, publish

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.conftest import Mosquitto

HOURS: Final = 0.2


def test_blocks_over_a_broker_fill_the_channels_and_replay_to_the_same_bits(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Every block is counted and none refused; the ring of a replay of the journal is bit-equal."""
    made = CELLS["gearbox"](seed=4, assets=1, hours=HOURS, waves=True)
    wish = Wish(seed=4, machines=1, hours=1.0, waves=True)
    made = replace(made, normal=partial(normal_cell, GEARBOX, wish, end_ns=made.begin_ns))
    made.write(tmp_path)
    settings = settings_beside(tmp_path / "training", None)
    bundle = fit_bundle(journal_samples(tmp_path / "training", settings=settings))
    save_bundle(bundle, tmp_path / "bundle")
    config = tmp_path / "gateway.toml"
    config.write_text(config.read_text().replace('snapshot = "snapshot"', ""))
    blocks = round(HOURS * 360)
    with (
        listener(mosquitto, tmp_path / "heard") as heard,
        GatewayProcess(config, port=mosquitto.port, state=tmp_path / "state") as gateway,
    ):
        gateway.start()
        online(heard, gateway)
        publish(mosquitto.port, made.messages())
        health = newest_health(
            heard, lambda h: h["counts"].get("blocks", 0) >= blocks, what="the last block"
        )
        assert gateway.stop() == 0
    refused = {name for name in health["counts"] if name.startswith(("invalid", "blocks_"))}
    assert refused <= {"blocks_speed_beyond"}  # it may stand still
    rings, names = [], [channel.name for channel in bundle.assets[0].channels]
    for _ in range(2):
        assembly = assemble(load(config, environment={}))
        journal = read_journal(tmp_path / "state" / "journal")
        Backtest(assembly.engine).run((entry.now_ns, entry.stimulus) for entry in journal)
        _, values, running = assembly.engine._desk.ring.last("g1", blocks)
        rings.append(values)
        line = names.index("Envelope Outer Race")
        assert np.isfinite(values[running][:-1, line]).mean() > 0.9  # but around stops
    assert rings[0].tobytes() == rings[1].tobytes()
    assert set(names) == set(CHANNEL_NAMES)
    assert len(rings[0]) >= blocks - 1
