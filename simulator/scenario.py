"""A scenario: a recording with its faults, jobs, texts and truth, ready to fit, replay and judge.

DIR/recording/    journal of what crosses MQTT: plant data and operators' commands
DIR/training/     journal of a normal stretch before it
DIR/kb/           manuals, procedures, orders, schedule, logs, scope table
DIR/truth.json    what really happened (edge.assessment.truth.Truth)
DIR/gateway.toml  settings of a gateway for it; paths relative to DIR
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.errors import JournalError
from edge.recordings.recording import TimedMessage
from edge.records import MessageReceived
from edge.storage.journal_writer import JournalWriter
from edge.wire.readings import encode_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.assessment.truth import Truth
    from models.bundles.bundle import Channel
    from simulator.jobs import Command

BATCH_S: Final = 5  # that a cell's edge device collects into one message
TRAINING_BATCH_S: Final = 60  # nobody waits for it live: fewer messages read faster
BLOCK_TOPIC: Final = "plant/{asset}/vibration"
JOURNAL_GROUP: Final = 512  # messages a write
SEGMENT_BYTES_MAX: Final = 64 * 2**20
RECORDING_BYTES_MAX: Final = 2**40  # a recording is kept whole; its disk is the caller's
RECORDING_DAYS_MAX: Final = 36_500


@dataclass(frozen=True, kw_only=True, eq=False)
class Scenario:
    """Signals, messages and truth of a simulated cell. Arrays are never written to.

    values: asset -> (n, c) float64, as published; context: asset -> (n, k) float64, whole numbers.
    level, sigma: asset -> (c,), mean and standard deviation of normal running operation, wear
    included: the unit of every `size_sigma` in `truth`. texts: path under kb/ -> text. twins:
    (job_id, fault_id) that look alike; None where the cell is too small. cell: its type, a key of
    `simulator.cells.CELLS`. normal: makes the stretch
    before it, for fitting.
    """

    seed: int
    site: str
    begin_ns: int
    period_ns: int
    assets: tuple[str, ...]
    channels: tuple[Channel, ...]
    context_tags: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    context: Mapping[str, NDArray[np.float64]]
    level: Mapping[str, NDArray[np.float64]]
    sigma: Mapping[str, NDArray[np.float64]]
    truth: Truth
    gateway: str
    commands: tuple[Command, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    twins: tuple[str, str] | None = None
    cell: str = "weld"
    normal: Callable[[], Scenario] | None = None
    # asset -> makes the messages of its waveform, one a row; what a gateway makes of them,
    # block_channels, is not among the values that are sent
    blocks: Mapping[str, Callable[[], Iterator[bytes]]] = field(default_factory=dict)
    block_channels: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Samples of each asset."""
        return len(self.values[self.assets[0]])

    @property
    def t_ns(self) -> NDArray[np.int64]:
        """Plant time of each sample (n,)."""
        times: NDArray[np.int64] = self.begin_ns + self.period_ns * np.arange(
            self.rows, dtype=np.int64
        )
        return times

    def running(self, asset: str) -> NDArray[np.bool_]:
        """Whether the asset runs (n,)."""
        running: NDArray[np.bool_] = (
            self.context[asset][:, self.context_tags.index("run_state")] == 1.0
        )
        return running

    def rows_in(self, seconds: int) -> int:
        """Rows of so many seconds, at least one."""
        return max(1, seconds * 1_000_000_000 // self.period_ns)

    def messages(
        self, *, batch_rows: int | None = None, shape: str = "columnar"
    ) -> Iterator[TimedMessage]:
        """Yield what crosses MQTT, in order of time: a batch leaves at the time of its last row.

        Plant data of all assets, context tags among it, and the commands of operators. batch_rows:
        None: those of five seconds. Raises ValueError for batch_rows below 1.
        """
        batch_rows = self.rows_in(BATCH_S) if batch_rows is None else batch_rows
        if batch_rows < 1:
            raise ValueError(f"batch_rows is {batch_rows}, expected 1 or more")
        told = (
            TimedMessage(t_ns=command.t_ns, topic=command.topic, payload=command.payload)
            for command in self.commands
        )
        plant = self._plant(batch_rows=batch_rows, shape=shape)
        yield from heapq.merge(plant, told, key=lambda message: message.t_ns)

    def _plant(self, *, batch_rows: int, shape: str) -> Iterator[TimedMessage]:
        names = [channel.name for channel in self.channels]
        sent = [k for k, name in enumerate(names) if name not in self.block_channels]
        tags = [names[k] for k in sent] + list(self.context_tags)
        times = self.t_ns
        width = len(sent)
        blocks = {asset: made() for asset, made in self.blocks.items()}
        for first in range(0, self.rows, batch_rows):
            chosen = slice(first, first + batch_rows)
            t_ns = times[chosen].tolist()
            for asset in self.assets:
                values = self.values[asset][chosen, sent].tolist()
                context = self.context[asset][chosen].astype(np.int64).tolist()
                rows = [[*row, *ctx] for row, ctx in zip(values, context, strict=True)]
                assert not rows or len(rows[0]) == width + len(self.context_tags)
                for payload in encode_rows(tags, t_ns, rows, shape=shape):
                    yield TimedMessage(
                        t_ns=t_ns[-1], topic=f"plant/{asset}", payload=payload, begin_ns=t_ns[0]
                    )
                for payload in islice(blocks[asset], len(t_ns)) if asset in blocks else ():
                    yield TimedMessage(
                        t_ns=t_ns[-1],
                        topic=BLOCK_TOPIC.format(asset=asset),
                        payload=payload,
                        begin_ns=t_ns[0],
                    )

    def write(self, directory: Path, *, batch_rows: int | None = None) -> None:
        """Write the scenario into a directory that is made if needed; see the module's picture.

        Raises JournalError where a journal stands already or cannot be written, OSError for the
        other files.
        """
        directory.mkdir(parents=True, exist_ok=True)
        _write_journal(directory / "recording", self.messages(batch_rows=batch_rows))
        if self.normal is not None:
            before = self.normal()
            stretch = before.messages(batch_rows=before.rows_in(TRAINING_BATCH_S))
            _write_journal(directory / "training", stretch)
        for name, text in self.texts.items():
            path = directory / "kb" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        truth = msgspec.json.format(msgspec.json.encode(self.truth), indent=1)
        (directory / "truth.json").write_bytes(truth + b"\n")
        (directory / "gateway.toml").write_text(self.gateway, encoding="utf-8", newline="\n")


def _write_journal(directory: Path, messages: Iterator[TimedMessage]) -> None:
    """Keep messages as a gateway on the spot would have: received when they were sent."""
    if any(directory.glob("*.journal")):
        raise JournalError(f"{directory}: holds a recording already; name another directory")
    writer = JournalWriter(
        directory,
        segment_bytes_max=SEGMENT_BYTES_MAX,
        bytes_max=RECORDING_BYTES_MAX,
        days_max=RECORDING_DAYS_MAX,
        sync_s=3600.0,
        strict=False,
    )
    try:
        while group := list(islice(messages, JOURNAL_GROUP)):
            writer.append(
                [
                    (
                        message.t_ns,
                        MessageReceived(
                            topic=message.topic,
                            payload=message.payload,
                            received_ns=message.t_ns,
                            qos=message.qos,
                            retain=message.retain,
                        ),
                    )
                    for message in group
                ]
            )
        writer.sync()
    finally:
        writer.close()
