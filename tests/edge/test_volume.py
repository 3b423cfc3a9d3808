"""Bytes a day, flash and what a power cut takes: the figures are about what is really written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from edge.checks.volume import volume_of
from edge.configuration.config import GatewayConfig
from edge.configuration.sections import JournalConfig
from edge.gateway.checkpoint_due import EVERY_S_MIN, every_s
from edge.records import MessageReceived
from edge.storage.checkpoint import Checkpoint, Packer, write
from edge.storage.journal import Position
from edge.storage.journal_writer import DAY_S, JournalWriter
from edge.storage.volume import Volume, bytes_per_day, of_states, state_bytes, volume
from edge.wire.readings import encode_rows
from tests.edge.rig import Rig, bundle

if TYPE_CHECKING:
    from pathlib import Path


def test_a_packed_journal_takes_about_what_is_said(tmp_path: Path) -> None:
    """The samples of a rig, in groups of twenty messages; within a factor of two."""
    rig = Rig()
    rig.run(600, step=1)
    writer = JournalWriter(tmp_path, compress=True)
    for first in range(0, len(rig.sent), 20):
        writer.append(rig.sent[first : first + 20])
    writer.close()
    a_day = writer.bytes_kept() / 600 * DAY_S
    said = bytes_per_day(2 * 5, values_per_message=5, ticks_per_s=1, compress=True)
    assert 0.5 < said / a_day < 2
    assert said < bytes_per_day(2 * 5, values_per_message=5, ticks_per_s=1)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(("shape", "of_message"), [("single", 1), ("wide", 8)])
def test_a_journal_of_small_messages_takes_about_what_is_said(
    tmp_path: Path, shape: str, of_message: int, *, compress: bool
) -> None:
    """A row of every machine a second, a message a row or a value; within a factor of 1.5."""
    writer = JournalWriter(tmp_path, compress=compress)
    chance, tags = np.random.default_rng(7), [f"c{i}" for i in range(8)]
    for at_s in range(60):
        t_ns, group = 10**18 + at_s * 10**9, list[tuple[int, MessageReceived]]()
        for i in range(10):
            row = chance.normal(20.0, 1.0, (1, 8)).round(3).tolist()
            for payload in encode_rows(tags, [t_ns], row, shape=shape):
                came_ns = t_ns + int(chance.integers(10**8))
                topic = f"plant/m{i:02d}"
                message = MessageReceived(topic=topic, payload=payload, received_ns=came_ns)
                group.append((came_ns, message))
        writer.append(group)
    writer.close()
    a_day = writer.bytes_kept() / 60 * DAY_S
    said = bytes_per_day(10 * 8, values_per_message=of_message, compress=compress)
    assert 1 / 1.5 < said / a_day < 1.5


def test_check_says_what_single_values_cost() -> None:
    """How a plant will send is not known before it does, so both are told."""
    journal = JournalConfig(compress=False)
    told = volume_of(GatewayConfig(site="s", journal=journal), bundle()).detail
    rows, _checkpoints, singles = map(int, re.findall(r"(\d+) MB a day", told))
    ticks = bytes_per_day(0.0, values_per_message=1.0, ticks_per_s=2.0) / 1e6
    assert "where each value is a message" in told
    assert singles > 2 * (rows - ticks)


def test_a_checkpoint_takes_about_what_is_said(tmp_path: Path) -> None:
    """Of an engine that has seen enough of everything to remember; within a factor of two."""
    rig = Rig()
    rig.run(1_500, step=50)
    kept = Checkpoint(position=Position(1, 8), fingerprint="f", state=rig.engine.state)
    made = Packer(tmp_path).packed(kept)
    write(made)
    assert 0.5 < state_bytes([4, 4]) / (made.path.stat().st_size + len(made.link())) < 2


def test_more_syncs_and_checkpoints_cost_flash_and_save_time() -> None:
    """Every setting of the trade moves what it is said to move, and nothing else."""

    def under(*, days_bytes: float = 2e9, every_s: float = 10.0, lost_s: float = 5.0) -> Volume:
        return volume(
            journal_bytes_per_day=1e9,
            of_state=1e6,
            history_bytes_per_s=1e3,
            bytes_max=days_bytes,
            days_max=30.0,
            checkpoint_s=every_s,
            lost_s=lost_s,
        )

    now, strict, often = under(), under(lost_s=0.0), under(every_s=2.0)
    assert strict.years < now.years
    assert often.years < now.years
    assert (often.replay_s, strict.lost_s, now.lost_s) == (2.0, 0.0, 5.0)
    assert (under(days_bytes=1e9).days_kept, now.days_kept) == (1.0, 2.0)


def test_a_busy_plant_has_checkpoints_more_often() -> None:
    """Within its bounds; a small one, and one without a bound of replays, as it is told."""

    def apart_s(assets: int, **change: float) -> float:
        journal = msgspec.structs.replace(JournalConfig(), **change)
        return every_s(journal, messages_per_s=assets, assets=assets, ticks_per_s=10.0)

    assert apart_s(20) == apart_s(10_000, replay_s=0.0) == 10.0
    assert EVERY_S_MIN < apart_s(1_000) < 10.0
    assert apart_s(10_000) == EVERY_S_MIN
    assert apart_s(10_000, checkpoint_s=1.0) == 1.0
    assert apart_s(1_000, replay_s=0.6) > apart_s(1_000)


def test_states_that_follow_each_other_closely_are_small() -> None:
    """And never more than whole ones."""
    assert of_states(1e6, samples=2) < of_states(1e6, samples=20) < 0.5e6
    assert of_states(1e6, samples=1e6) == 1e6
