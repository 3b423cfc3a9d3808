"""A gateway but for its broker, begun from its configuration: what tests of commissioning share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
from typer.testing import CliRunner

import andon
from edge.bundles.store import store_of
from edge.bundles.watch import BundleWatch, assembled
from edge.commissioning.watch import CommissionWatch
from edge.configuration.config import GatewayConfig, load
from edge.gateway.app import JUDGE_S
from edge.gateway.telemetry import Telemetry
from edge.records import MessageReceived, Publish, TickDue
from edge.storage.checkpoint import Checkpoint, save
from edge.storage.journal_writer import JournalWriter
from edge.storage.restore import restore, started
from edge.wire.readings import encode_rows
from edge.work.commission import Stage
from tests.edge.app_broker import BEGIN_NS
from tests.models.plants import plant

if TYPE_CHECKING:
    from pathlib import Path

    from edge.assembly.assembly import Assembly
    from edge.records import Effect, Stimulus

S: Final = 10**9
TAGS: Final = ("c0", "c1", "c2", "c3")
TOML: Final = """
site = "s"
clock = "plant"
[mqtt]
port = 1
[journal]
dir = "state"
[engine]
clear_samples = 5
[commissioning]
learn_minutes = {minutes}
learn_rows = 200
{more}
[[asset]]
id = "r1"
tags = {{ c0 = "c0", c1 = "c1", c2 = "c2", c3 = "c3" }}
units = {{ c0 = "bar" }}
"""


class Site:
    """A gateway but for its broker: journal, engine, and what the loop looks at now and then."""

    def __init__(
        self, folder: Path, more: str = "", *, step_s: float = 1.0, minutes: float = 5.0
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.file = folder / "gateway.toml"
        self.file.write_text(TOML.format(more=more, minutes=minutes))
        self.config: GatewayConfig = load(self.file)
        self.state = folder / "state"
        self.values, self.row, self.step_ns = plant(9000, seed=5), 0, round(step_s * S)
        self.effects: list[Effect] = []
        self.silent: tuple[str, ...] = ()
        self.open()

    def open(self) -> None:
        """A process begins."""
        self.assembly: Assembly = assembled(self.config)
        self.journal = JournalWriter(self.state / "journal")
        store = store_of(self.config)
        self.bundles = BundleWatch(self.config, self.assembly, Telemetry(), store)
        self.watch = CommissionWatch(self.config, self.assembly, store)
        restore(
            self.assembly,
            journal=self.state / "journal",
            checkpoints=self.state / "checkpoints",
            keep=lambda _: None,
        )
        self.give(started(self.assembly))
        self.look()

    def close(self) -> None:
        """It ends."""
        self.watch.stop()
        self.journal.close()

    @property
    def now_ns(self) -> int:
        """Of the newest row."""
        return BEGIN_NS + self.row * self.step_ns

    def give(self, stimulus: Stimulus) -> None:
        """Journaled, then taken."""
        self.at = self.journal.append([(self.now_ns, stimulus)])
        self.effects += self.assembly.engine.handle(stimulus, now_ns=self.now_ns)

    def look(self) -> None:
        """What the loop does each second; a fit and an opening are waited for."""
        for told in self.watch.look():
            self.give(told)
        if self.bundles._opening is not None:
            self.bundles._opening.join()
        for swapped in self.bundles.look():
            self.give(swapped)
            self.bundles.taken()

    def run(self, rows: int, shift: float = 0.0) -> None:
        """The plant runs."""
        end = self.row + rows
        while self.row < end:
            t_ns = [BEGIN_NS + (self.row + i) * self.step_ns for i in range(10)]
            values = self.values[self.row : self.row + 10] + shift * self.values.std(axis=0)
            chosen = [i for i, tag in enumerate(TAGS) if tag not in self.silent]
            tags = [TAGS[i] for i in chosen]
            for payload in encode_rows(tags, t_ns, values[:, chosen].tolist(), shape="columnar"):
                self.row += 10
                self.give(
                    MessageReceived(topic="plant/r1", payload=payload, received_ns=self.now_ns)
                )
            self.give(TickDue())

    def settle(self) -> None:
        """Until no fit and no takeover goes on."""
        until_s = time.monotonic() + 120.0
        self.journal.sync()
        self.look()
        while self.watch._fit is not None and time.monotonic() < until_s:
            time.sleep(JUDGE_S / 20)
            self.look()
        for _ in range(3):
            self.look()
        self.run(10)

    def checkpoint(self) -> None:
        """As the gateway writes one."""
        self.journal.sync()
        save(
            self.state / "checkpoints",
            Checkpoint(
                position=self.at,
                fingerprint=self.assembly.fingerprint,
                state=self.assembly.engine.state,
            ),
        )

    def told(self) -> list[dict[str, Any]]:
        """What the retained topic said."""
        mine = [e for e in self.effects if isinstance(e, Publish) and "/commissioning/" in e.topic]
        return [msgspec.json.decode(e.payload) for e in mine]

    def events(self) -> list[dict[str, Any]]:
        """Event revisions."""
        mine = [e for e in self.effects if isinstance(e, Publish) and "/event/" in e.topic]
        return [msgspec.json.decode(e.payload) for e in mine]

    def stage(self) -> Stage:
        """Where r1 stands."""
        commission = self.assembly.engine.state.assets["r1"].commission
        assert commission is not None
        return commission.stage

    def accept(self, *more: str) -> tuple[int, str]:
        """The command; its exit code and what it says."""
        self.checkpoint()
        said = CliRunner().invoke(andon.app, ["accept", "--config", str(self.file), *more])
        return said.exit_code, f"{said.output} {said.exception or ''}"


def learned(folder: Path, more: str = "", **plant_of: Any) -> Site:  # noqa: ANN401
    """A site whose asset is in the shadow."""
    site = Site(folder, more, **plant_of)
    site.run(310)
    site.settle()
    assert site.stage() is Stage.SHADOW, site.told()[-1]
    return site
