"""Scenarios as messages and as directories."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from edge.assessment.truth import Truth
from edge.configuration.config import load
from edge.errors import JournalError
from edge.records import MessageReceived
from edge.storage.journal import read_journal
from simulator.cells.weld import simulate
from simulator.scenario import TRAINING_BATCH_S

if TYPE_CHECKING:
    from pathlib import Path

    from simulator.scenario import Scenario


@pytest.fixture(scope="module")
def cell() -> Scenario:
    """A shift of four robots."""
    return simulate(seed=21)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small cell as a directory, with one hour of training instead of a day."""
    directory = tmp_path_factory.mktemp("scenario") / "deep" / "cell"
    simulate(seed=21, robots=2, hours=4.0).write(directory, batch_rows=10)
    return directory


def test_messages_are_in_order_and_carry_every_sample_once(cell: Scenario) -> None:
    """Batches leave at the time of their last row; together they are the values, exactly."""
    rows: dict[str, list[list[float]]] = {asset: [] for asset in cell.assets}
    last_ns = 0
    commands = []
    for message in cell.messages(batch_rows=7):
        assert message.t_ns >= last_ns
        last_ns = message.t_ns
        asset = message.topic.removeprefix("plant/")
        body = json.loads(message.payload)
        if asset not in rows:
            commands.append((message.t_ns, message.topic, message.payload))
            continue
        assert body["ts"][-1] * 10**6 == message.t_ns
        assert len(body["ts"]) == len(body["v"]) <= 7
        rows[asset] += body["v"]
    assert commands == [(c.t_ns, c.topic, c.payload) for c in cell.commands]
    for asset in cell.assets:
        expected = np.hstack([cell.values[asset], cell.context[asset]])
        assert np.array_equal(np.array(rows[asset]), expected)


@pytest.mark.parametrize("shape", ["columnar", "wide", "single"])
def test_every_shape_says_the_same(cell: Scenario, shape: str) -> None:
    """The first two rows of r1 read alike in all three shapes."""
    told: dict[tuple[int, str], float] = {}
    for message in itertools.islice(cell.messages(batch_rows=2, shape=shape), 22):
        if message.topic != "plant/r1":
            continue
        body = json.loads(message.payload)
        if shape == "columnar":
            for ts, row in zip(body["ts"], body["v"], strict=True):
                told |= {(ts, tag): v for tag, v in zip(body["tags"], row, strict=True)}
        elif shape == "wide":
            told |= {(body["ts"], tag): v for tag, v in body.items() if tag != "ts"}
        else:
            told[body["ts"], body["tag"]] = body["value"]
    t_ms = (cell.t_ns[:2] // 10**6).tolist()
    for i, ts in enumerate(t_ms):
        for k, channel in enumerate(cell.channels):
            assert told[ts, channel.name] == cell.values["r1"][i, k]
        assert told[ts, "run_state"] == cell.context["r1"][i, 0]


def test_an_empty_batch_is_refused(cell: Scenario) -> None:
    """batch_rows counts rows, so it is at least one."""
    with pytest.raises(ValueError, match="batch_rows is 0"):
        next(cell.messages(batch_rows=0))


def test_commands_tell_of_person_witnessed_and_called_off_jobs() -> None:
    """Check-in and check-out at the job's times.

    A cancelled one is checked in and called off before.
    """
    by_job: dict[str, list[dict[str, object]]] = {}
    for seed in range(6):
        for command in (scenario := simulate(seed=seed)).commands:
            body = json.loads(command.payload)
            assert body["ts"] * 10**6 == command.t_ns
            assert command.topic.startswith("andon/weldcell/cmd/op-")
            by_job.setdefault(f"{seed}{body['job_id']}", []).append(body)
        for job in scenario.truth.jobs:
            told = by_job.get(f"{seed}{job.job_id}", [])
            actions = [body["action"] for body in told]
            if job.witness != "person":
                assert not told
            elif job.cancelled:
                assert actions == ["check_in", "cancel"]
                assert told[1]["ts"] * 10**6 < job.begin_ns  # type: ignore[operator]
            else:
                assert actions == ["check_in", "check_out"]
                assert [body["ts"] * 10**6 for body in told] == [job.begin_ns, job.end_ns]  # type: ignore[operator]
            assert all(
                (b["asset"], b["kind"], b["instrument"]) == (job.asset, job.kind, job.instrument)
                for b in told
            )


def test_a_written_scenario_reads_back(written: Path) -> None:
    """Recording and training are journals of the very messages; the truth is the truth."""
    cell = simulate(seed=21, robots=2, hours=4.0)
    assert cell.normal is not None
    for name, messages in (
        ("recording", cell.messages(batch_rows=10)),
        ("training", cell.normal().messages(batch_rows=TRAINING_BATCH_S)),
    ):
        entries = read_journal(written / name)
        for entry, message in itertools.zip_longest(entries, messages):
            assert isinstance(entry.stimulus, MessageReceived)
            assert entry.now_ns == entry.stimulus.received_ns == message.t_ns
            assert (entry.stimulus.topic, entry.stimulus.payload) == (
                message.topic,
                message.payload,
            )
    truth = msgspec.json.decode((written / "truth.json").read_bytes(), type=Truth)
    assert truth == cell.truth
    for name, text in cell.texts.items():
        assert (written / "kb" / name).read_text(encoding="utf-8") == text


def test_its_gateway_settings_load(written: Path) -> None:
    """gateway.toml is valid, on the plant clock, with every robot and its context tags."""
    config = load(written / "gateway.toml", environment={})
    assert (config.site, config.clock) == ("weldcell", "plant")
    assert [asset.id for asset in config.asset] == ["r1", "r2"]
    for asset in config.asset:
        assert [tag.role for tag in asset.context] == ["run", "witness", "info"]
        assert asset.consequence
        assert asset.action
        assert asset.cause
    assert config.path(config.model.bundle).parent == written


def test_a_directory_is_not_written_twice(written: Path) -> None:
    """Two recordings in one journal would be neither."""
    with pytest.raises(JournalError, match="holds a recording already"):
        simulate(seed=22, robots=2, hours=0.1).write(written)
