"""Shadow: a candidate scores live traffic beside the bundle that counts, and publishes nothing.

A process of its own reads the journal behind the gateway, so it cannot disturb it: two engines take
the same stimuli, one as the gateway did, one with the candidate. Both begin with the newest
checkpoint; the candidate takes over in its engine as it would in the gateway. What each publishes
is folded into episodes and compared; nothing of it leaves but a report.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.assembly.assembly import Assembly
from edge.bundles.probation import scorable
from edge.bundles.store import loaded
from edge.errors import UNREADABLE, ConfigError
from edge.records import BundleSwapped, Started, TickDue
from edge.replays.backtest import Backtest
from edge.state import EngineState
from edge.storage.checkpoint import newest, pack, unpack
from edge.storage.journal import Position, read_journal, segments
from kb.snapshots.snapshot import Snapshot
from models.fitting.budget import budget_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.assessment.assess import Episode
    from edge.bundles.store import BundleStore
    from edge.configuration.config import GatewayConfig
    from edge.records import Stimulus

DAY_NS: Final = 86_400 * 10**9
NEAR_NS: Final = 60 * 10**9  # alerts of one asset this far apart are of one event

# When a candidate counts as better; `docs/trust.md` says why each.
HOURS_MIN: Final = 24.0
FOUND_SHARE_MIN: Final = 0.9
DELAY_PERIODS_MAX: Final = 2.0
UNSCORED_MORE_MAX: Final = 0.01
COST_TIMES_MAX: Final = 2.0


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What one bundle did. alerts: episodes that rang; us_per_sample: processor time of the engine.

    unscored_share: of the samples that could have a score, NaN where there were none.
    """

    bundle_sha256: str
    alerts: int
    alerts_per_day: float
    unscored_share: float
    us_per_sample: float


class ShadowReport(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate beside the current bundle, over the same samples.

    both: alerts of one that match one of the other. agreement: these, of all that either rang, 0 to
    1, NaN of none. delay_s_median: by how much the candidate rang later, of these; NaN of none.
    """

    current: Side
    candidate: Side
    begin_ns: int  # plant time
    end_ns: int
    samples: int
    period_s: float  # the longest between samples of an asset
    budget_per_day: float  # of the candidate
    both: int
    agreement: float
    delay_s_median: float

    @property
    def hours(self) -> float:
        """Plant time that it covers."""
        return (self.end_ns - self.begin_ns) / DAY_NS * 24

    def worse_because(self) -> list[str]:
        """Why the candidate does not count as better, a line each; none where it does."""
        old, new = self.current, self.candidate
        rate_max = max(self.budget_per_day, old.alerts_per_day)
        found = self.both / old.alerts if old.alerts else 1.0
        delay_s_max = DELAY_PERIODS_MAX * self.period_s
        findings = (
            (self.hours < HOURS_MIN, f"{self.hours:.3g} h seen, {HOURS_MIN:g} needed"),
            (
                not new.alerts_per_day <= rate_max,
                f"{new.alerts_per_day:.3g} alerts a day, at most {rate_max:.3g} allowed",
            ),
            (
                found < FOUND_SHARE_MIN,
                (
                    f"it rang {self.both} of the {old.alerts} alerts that the current one rang,"
                    f" {FOUND_SHARE_MIN:.0%} needed"
                ),
            ),
            (
                self.delay_s_median > delay_s_max,
                f"it rings {self.delay_s_median:.3g} s later, at most {delay_s_max:g} s allowed",
            ),
            (
                not math.isnan(old.unscored_share)
                and not new.unscored_share <= old.unscored_share + UNSCORED_MORE_MAX,
                (
                    f"no score for {new.unscored_share:.1%} of its samples,"
                    f" {old.unscored_share:.1%} now"
                ),
            ),
            (
                not new.us_per_sample <= COST_TIMES_MAX * old.us_per_sample,
                f"{new.us_per_sample:.3g} us a sample, {old.us_per_sample:.3g} us now",
            ),
        )
        return [why for wrong, why in findings if wrong]


def read_report(content: bytes) -> ShadowReport | None:
    """A report as JSON has it, with null for NaN; None: it is damaged."""
    try:
        told = msgspec.json.decode(content, type=dict[str, object])
        report = msgspec.convert(_with_nan(told), ShadowReport)
        report.worse_because()  # numbers beyond all bounds are none of a run
    except UNREADABLE:
        return None
    return report


def _with_nan(told: object) -> object:
    if isinstance(told, dict):
        return {key: _with_nan(value) for key, value in told.items()}
    return math.nan if told is None else told


class _Runner:
    """One engine of the two, with what it published and what it cost."""

    def __init__(self, assembly: Assembly) -> None:
        self.assembly = assembly
        self.backtest = Backtest(assembly.engine)
        self.cost_ns = 0
        self.looks = self.unscored = 0
        self._seen: dict[str, int] = {}

    def take(self, now_ns: int, stimulus: Stimulus) -> None:
        """Take one stimulus, on the clock of this thread."""
        begin_ns = time.thread_time_ns()
        self.backtest.run([(now_ns, stimulus)])
        self.cost_ns += time.thread_time_ns() - begin_ns
        self.backtest.published.clear()  # only the episodes are looked at
        if isinstance(stimulus, TickDue):
            self._look()

    def written(self) -> int:
        """Samples that were ever taken."""
        return sum(ring.written for ring in self.assembly.engine.state.ring.assets.values())

    def _look(self) -> None:
        engine = self.assembly.engine
        state = engine.state
        for name, asset in state.assets.items():
            if asset.last_t_ns == self._seen.get(name, 0):
                continue
            self._seen[name] = asset.last_t_ns
            if scorable(state.ring.assets[name], guessed=name in engine.guessed):
                self.looks += 1
                self.unscored += math.isnan(asset.last_score)

    def side(self, episodes: Sequence[Episode], *, days: float, samples: int) -> Side:
        """What it did."""
        return Side(
            bundle_sha256=self.assembly.engine.state.bundle_sha256,
            alerts=len(episodes),
            alerts_per_day=len(episodes) / days if days else math.nan,
            unscored_share=self.unscored / self.looks if self.looks else math.nan,
            us_per_sample=self.cost_ns / 1e3 / samples if samples else math.nan,
        )


class Shadow:
    """A candidate behind one gateway's journal. `turn` takes what has come since."""

    def __init__(self, config: GatewayConfig, store: BundleStore, sha256: str) -> None:
        """Open everything, and begin where the newest checkpoint stands, else with the journal.

        Raises AndonError, ModelError or KnowledgeError.
        """
        state = config.path(config.journal.dir)
        self._journal = state / "journal"
        if not segments(self._journal):
            raise ConfigError(f"{self._journal} holds no journal; has a gateway run there?")
        current, place = store.current()
        candidate = store.find(sha256)
        if candidate is None or sha256 == current:
            said = "counts already" if candidate else "is not there"
            raise ConfigError(f"bundle {sha256[:12]} {said}; expected a candidate")
        self._snapshot = (
            Snapshot.open(config.path(config.kb.snapshot)) if config.kb.snapshot else None
        )
        bundle = loaded(place, current)
        self._old, self._new = (
            _Runner(
                Assembly(
                    config.settings,
                    bundle=bundle,
                    snapshot=self._snapshot,
                    bundle_path=place,
                    store=store,
                )
            )
            for _ in range(2)
        )
        self._at = self._from_checkpoint(state / "checkpoints")
        self._swap = BundleSwapped(bundle_sha256=sha256, because="a candidate in the shadow")
        self._old_sha256 = ""
        self._begin_ns = self._first = 0

    @property
    def moved_on(self) -> bool:
        """Whether another bundle counts than the one that it began beside."""
        begun, now = self._old_sha256, self._old.assembly.engine.state.bundle_sha256
        return bool(begun) and begun != now

    def turn(self) -> int:
        """Take what the journal has by now; returns how many stimuli that were."""
        taken = 0
        for entry in read_journal(self._journal, after=self._at):
            self._take(entry.now_ns, entry.stimulus)
            self._at = entry.position
            taken += 1
        return taken

    def report(self) -> ShadowReport:
        """What both did since the candidate took over in its engine."""
        engine = self._new.assembly.engine
        samples = self._old.written() - self._first
        days = max(engine.now_ns - self._begin_ns, 0) / DAY_NS
        old, new = (self._rang(one) for one in (self._old, self._new))
        delays_ns = matches(old, new)
        either = len(old) + len(new) - len(delays_ns)
        bundle = self._new.assembly.bundle_of(self._swap.bundle_sha256)
        assert bundle is not None, "it was opened at the start"
        return ShadowReport(
            current=self._old.side(old, days=days, samples=samples),
            candidate=self._new.side(new, days=days, samples=samples),
            begin_ns=self._begin_ns,
            end_ns=max(engine.now_ns, self._begin_ns),
            samples=samples,
            period_s=max(model.period_ns for model in bundle.bundle.assets) / 1e9,
            budget_per_day=budget_of(bundle.bundle),
            both=len(delays_ns),
            agreement=len(delays_ns) / either if either else math.nan,
            delay_s_median=float(np.median(delays_ns)) / 1e9 if delays_ns else math.nan,
        )

    def close(self) -> None:
        """Close the snapshot."""
        if self._snapshot is not None:
            self._snapshot.close()

    # --- inside ---

    def _take(self, now_ns: int, stimulus: Stimulus) -> None:
        self._old.take(now_ns, stimulus)
        if not self._old_sha256:
            self._begin(now_ns)
        if not self._begin_ns:  # on plant time, nothing has told any yet
            self._begin_ns = self._old.assembly.engine.now_ns
        if isinstance(stimulus, BundleSwapped):
            return  # the candidate stays
        if isinstance(stimulus, Started):
            stimulus = msgspec.structs.replace(stimulus, bundle_sha256="")
        self._new.take(now_ns, stimulus)

    def _begin(self, now_ns: int) -> None:
        """The candidate takes over in its engine, with whatever that has in its hands."""
        self._new.take(now_ns, self._swap)
        if self._new.assembly.engine.state.bundle_sha256 != self._swap.bundle_sha256:
            raise ConfigError(
                f"bundle {self._swap.bundle_sha256[:12]} does not open, or does not fit the"
                " configuration; `andon model show` says more"
            )
        self._old_sha256 = self._old.assembly.engine.state.bundle_sha256
        self._first = self._old.written()
        self._old.cost_ns = self._new.cost_ns = 0

    def _from_checkpoint(self, place: Path) -> Position | None:
        found, _ = newest(place, fingerprint=self._old.assembly.fingerprint_of)
        kept = segments(self._journal)
        if found is None or kept[0][0] > found.position.segment:
            return None
        copied = unpack(pack(found.state), EngineState)  # two engines must not share a state
        for runner, state in ((self._old, found.state), (self._new, copied)):
            runner.assembly.restore(state)
            runner.backtest = Backtest(runner.assembly.engine)
        return found.position

    def _rang(self, one: _Runner) -> list[Episode]:
        """Episodes that rang, and began since; those of silence are not a detector's."""
        return [
            episode
            for episode in one.backtest.episodes()
            if episode.rang and episode.begin_ns >= self._begin_ns and episode.track != "comms"
        ]


def matches(old: Sequence[Episode], new: Sequence[Episode]) -> list[int]:
    """By how much the second rang later, ns, for each pair of one event; each matches once."""
    left = list(new)
    delays = []
    for episode in sorted(old, key=lambda one: one.begin_ns):
        near = [one for one in left if _same_event(episode, one)]
        if near:
            best = min(near, key=lambda one: abs(one.begin_ns - episode.begin_ns))
            left.remove(best)
            delays.append(best.rang_ns - episode.rang_ns)
    return delays


def _same_event(a: Episode, b: Episode) -> bool:
    """Whether two alerts of one asset and track overlap, or nearly do."""
    if (a.asset, a.track) != (b.asset, b.track):
        return False
    forever = 2**62
    a_end, b_end = a.ended_ns or forever, b.ended_ns or forever
    return a.begin_ns <= b_end + NEAR_NS and b.begin_ns <= a_end + NEAR_NS
