"""Commissioning measured: an hour of record against a day, and a cell that begins with nothing.

    python -m benchmarks.commissioning hours --cells weld,pump --seeds 0:3
    python -m benchmarks.commissioning life --cells pump --seeds 0:3

`hours` fits each cell on an hour and on a day before a shift, and runs the same
shifts through both: one without faults or jobs for false alarms, one with faults. `life` gives a
gateway nothing but a configuration, an hour and a half of normal operation and then a shift with
faults, accepts its assets in the middle of that, and counts what was heard when. Signals and
detector alone count: no knowledge base is read.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.assembly.assembly import Assembly
from edge.assessment.assess import assess
from edge.bundles.store import store_of
from edge.bundles.training import fit_bundle
from edge.bundles.watch import BundleWatch, assembled
from edge.commissioning.watch import CommissionWatch
from edge.configuration.config import GatewayConfig, load
from edge.gateway.telemetry import Telemetry
from edge.records import CommissionTold, Publish, TickDue
from edge.replays.backtest import Backtest, episodes_of, with_ticks
from edge.storage.journal_writer import JournalWriter
from models.samples import TrainingSamples
from simulator.cells import TYPES, simulate
from simulator.cells.simulation import Wish, normal_cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.records import Stimulus
    from edge.work.commission import Stage
    from models.bundles.bundle import Bundle
    from simulator.scenario import Scenario

MACHINES: Final = 2
SHIFT_HOURS: Final = 8.0
RECORDS_HOURS: Final = (1.0, 24.0)
BEFORE_HOURS: Final = 1.5
LOOK_NS: Final = 60 * 10**9  # plant time between two looks of the loop at its upkeep
MINUTE_NS: Final = 60 * 10**9


def fitted(cell: str, seed: int, hours: float, *, end_ns: int) -> Bundle:
    """A bundle of a record of normal operation that ends where a shift begins; a day has a night.

    The hours of a day before the shift are those of its night, in which nothing runs: so each
    length is a record of its own.
    """
    wish = Wish(seed=seed, machines=MACHINES, hours=hours)
    normal = normal_cell(TYPES[cell], wish, end_ns=end_ns)
    samples = [
        TrainingSamples(
            asset=asset,
            channels=normal.channels,
            values=normal.values[asset],
            t_ns=normal.t_ns,
            period_ns=normal.period_ns,
            running=normal.running(asset),
        )
        for asset in normal.assets
    ]
    return fit_bundle([(one, "rows") for one in samples])


def run(scenario: Scenario, bundle: Bundle) -> Backtest:
    """A shift through the engine."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "gateway.toml"
        path.write_text(scenario.gateway, encoding="utf-8")
        settings = load(path, environment={}).settings
    backtest = Backtest(Assembly(settings, bundle=bundle, snapshot=None).engine)
    backtest.run(with_ticks(scenario.messages()))
    return backtest


def hours(cells: list[str], seeds: range) -> None:
    """False alarms a day and faults found, for each cell and length of record."""
    for cell in cells:
        found: dict[float, list[int]] = {length: [0, 0, 0] for length in RECORDS_HOURS}
        days = 0.0
        for seed in seeds:
            calm = simulate(
                cell, seed=seed, hours=SHIFT_HOURS, assets=MACHINES, faults=False, jobs=False
            )
            bad = simulate(cell, seed=seed, hours=SHIFT_HOURS, assets=MACHINES, jobs=False)
            days += SHIFT_HOURS / 24
            for length in RECORDS_HOURS:
                bundle = fitted(cell, seed, length, end_ns=calm.begin_ns)
                figures = assess(run(bad, bundle).episodes(), bad.truth)
                row = found[length]
                row[0] += sum(one.rang for one in run(calm, bundle).episodes())
                row[1] += figures.faults_found
                row[2] += figures.faults_total
        for length, (false, heard, total) in found.items():
            print(  # as it comes: a cell takes minutes
                f"{cell}: {length:g} h of record: {false / days:.1f} false alarms a day"
                f" ({false} in {days:.1f} days of {MACHINES} assets), {heard} of {total} faults",
                flush=True,
            )


@dataclass
class Life:
    """A gateway but for its broker, from its configuration on."""

    config: GatewayConfig
    assembly: Assembly
    journal: JournalWriter
    bundles: BundleWatch
    watch: CommissionWatch
    now_ns: int = 0
    fit_s: float = 0.0
    published: list[tuple[int, Publish]] = field(default_factory=list)
    scored_ns: dict[str, int] = field(default_factory=dict)  # first score of each asset

    def give(self, stimulus: Stimulus) -> None:
        """Journaled, then taken."""
        self.journal.append([(self.now_ns, stimulus)])
        effects = self.assembly.engine.handle(stimulus, now_ns=self.now_ns)
        self.published += [(self.now_ns, e) for e in effects if isinstance(e, Publish)]
        for asset, state in self.assembly.engine.state.assets.items():
            if not math.isnan(state.last_score):
                self.scored_ns.setdefault(asset, self.now_ns)

    def look(self) -> None:
        """What the loop does each second; plant time stands while a fit goes on."""
        begin_s = time.monotonic()
        self.journal.sync()
        for told in self.watch.look():
            self.give(told)
        while self.watch._fit is not None:  # noqa: SLF001 - there is no clock to wait by
            time.sleep(0.05)
            for told in self.watch.look():
                self.give(told)
            self.fit_s = max(self.fit_s, time.monotonic() - begin_s)
        self.bundles.look()
        if self.bundles._opening is not None:  # noqa: SLF001 - likewise
            self.bundles._opening.join()  # noqa: SLF001 - likewise
        for swapped in self.bundles.look():
            self.give(swapped)
            self.bundles.taken()

    def run(self, stimuli: Iterator[tuple[int, Stimulus]]) -> None:
        """The plant runs."""
        looked_ns = 0
        for now_ns, stimulus in stimuli:
            self.now_ns = now_ns
            self.give(stimulus)
            if isinstance(stimulus, TickDue) and now_ns - looked_ns >= LOOK_NS:
                looked_ns = now_ns
                self.look()

    def stages(self) -> dict[str, Stage]:
        """Where each asset stands."""
        states = self.assembly.engine.state.assets.items()
        return {a: s.commission.stage for a, s in states if s.commission is not None}

    def events(self) -> list[dict[str, Any]]:
        """Event revisions so far."""
        return [msgspec.json.decode(p.payload) for _, p in self.published if "/event/" in p.topic]


def begin(folder: Path, gateway: str) -> Life:
    """A gateway with nothing but a configuration."""
    path = folder / "gateway.toml"
    text = gateway.replace('bundle = "bundle"', 'bundle = ""')
    text = text.replace('snapshot = "snapshot"', 'snapshot = ""')
    path.write_text(f"{text}\n[commissioning]\n", encoding="utf-8")
    config = load(path, environment={})
    assembly, store = assembled(config), store_of(config)
    return Life(
        config=config,
        assembly=assembly,
        journal=JournalWriter(config.path(config.journal.dir) / "journal"),
        bundles=BundleWatch(config, assembly, Telemetry(), store),
        watch=CommissionWatch(config, assembly, store),
    )


def life(cell: str, seeds: range) -> None:
    """What was heard while it learned, in the shadow, and in service."""
    for seed in seeds:
        shift = simulate(cell, seed=seed, hours=SHIFT_HOURS, assets=MACHINES, jobs=False)
        wish = Wish(seed=seed, machines=MACHINES, hours=BEFORE_HOURS)
        before = normal_cell(TYPES[cell], wish, end_ns=shift.begin_ns)
        with tempfile.TemporaryDirectory(prefix="andon-life-") as scratch:
            one = begin(Path(scratch), shift.gateway)
            one.run(with_ticks(before.messages()))
            scored_ns = min(one.scored_ns.values())
            early = sum("/event/" in p.topic for t, p in one.published if t < scored_ns)
            learned = {a: (t - before.begin_ns) / MINUTE_NS for a, t in one.scored_ns.items()}
            stages = one.stages()
            half_ns = (shift.begin_ns + shift.truth.end_ns) // 2
            stimuli = list(with_ticks(shift.messages()))
            one.run(s for s in stimuli if s[0] < half_ns)
            shadow = one.events()
            for asset in shift.assets:
                one.give(CommissionTold(what="accepted", asset=asset, by="benchmark"))
            one.run(s for s in stimuli if s[0] >= half_ns)
            service = one.events()[len(shadow) :]
            one.journal.close()
        first = ", ".join(f"{a} {m:.0f}" for a, m in sorted(learned.items()))
        figures = assess(episodes_of(one.events()), shift.truth)
        asked = sum(e["annunciate"] for e in shadow)
        stood = ", ".join(sorted(set(stages.values())))
        print(
            f"{cell} {seed}: first score in minute {first}; the fit took {one.fit_s:.1f} s;"
            f" {early} alerts before that; stages {stood};"
            f" in the shadow {len({(e['id'], e['count']) for e in shadow})} events, {asked} asked;"
            f" in service {len({(e['id'], e['count']) for e in service if e['annunciate']})} rang;"
            f" {figures.faults_found} of {figures.faults_total} faults found, heard by somebody"
        )


def main() -> None:
    """Measure what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("hours", "life"))
    parser.add_argument("--cells", default="weld,cnc,pump,gearbox")
    parser.add_argument("--seeds", default="0:2", help="half-open, as 0:2")
    options = parser.parse_args()
    low, high = (int(part) for part in options.seeds.split(":"))
    cells = options.cells.split(",")
    if options.what == "hours":
        hours(cells, range(low, high))
    else:
        for cell in cells:
            life(cell, range(low, high))


if __name__ == "__main__":
    main()
