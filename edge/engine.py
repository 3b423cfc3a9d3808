"""The engine: stimuli in, effects out.

It owns all mutable state of the gateway and is its only mutator.

    bytes -> wire -> align -> ring + scoring -> events -> jobs, decide -> alerts -> effects

It reads no clock, does no IO and logs nothing: time is an argument, effects leave as values. The
journal of stimuli and the artifacts it names determine every effect; production, backtest and tests
run this same class.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, TypeVar, cast

from edge.alerts.annunciate import Annunciator
from edge.alerts.numbering import raise_floors
from edge.asset import Asset
from edge.copying import Copying
from edge.desk import Desk, Knowledge, learn
from edge.errors import WireError
from edge.records import (
    AlertStands,
    BundleSwapped,
    CommissionTold,
    JobTold,
    JournalHole,
    MessageReceived,
    RetrievalDone,
    Shed,
    ShellFault,
    SnapshotSwapped,
    Started,
    TickDue,
)
from edge.samples.align import Aligner
from edge.samples.arrivals import Arrivals, gap_ns
from edge.samples.clock import PlantClock, process_began, time_moved, time_went_back
from edge.samples.layouts import asset_layouts
from edge.samples.own_clock import STEP_BACK_NS, OwnClock
from edge.samples.ring import Ring
from edge.samples.scoring import Parts
from edge.state import first_state, seen_change, with_align
from edge.takeover import take_over, warm_anew
from edge.taking import Taking
from edge.verdicts.decide import decide
from edge.wire import topics
from edge.work import anew, commands, durable, witness
from edge.work.commission import Commissioning
from edge.work.order_intake import orders_due, take_orders
from edge.work.set_aside import SetAside
from edge.work.shed import shed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np

    from edge.alerts.alerts import AlertRecord
    from edge.alerts.group import Group
    from edge.alerts.load import LoadReport
    from edge.copying import Keep
    from edge.desk import Rule
    from edge.records import Effect, Stimulus
    from edge.samples.drift import Drifting
    from edge.samples.layouts import AssetLayout
    from edge.samples.scoring import Parameters, Score
    from edge.settings import GatewaySettings
    from edge.state import EngineState
    from edge.takeover import Fitted
    from models.bundles.bundle import Bundle

MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
_Told = TypeVar("_Told", bound="Stimulus")


class Engine:
    """One gateway's mind. `handle` is the only door."""

    def __init__(  # noqa: PLR0913 - one door, and everything that it is made of
        self,
        settings: GatewaySettings,
        *,
        bundle: Bundle,
        detectors: Sequence[Score],
        derive: Callable[[int, np.ndarray], Parameters],
        knowledge: Knowledge | None = None,
        knowledge_of: Callable[[str], Knowledge | None] | None = None,
        bundle_of: Callable[[str], Fitted | None] | None = None,
        verify: Callable[[str, bytes, str], bool] | None = None,
        rule: Rule = decide,
        version: str = "",
        state: EngineState | None = None,
        together: bool = True,
    ) -> None:
        """Put an engine together, from nothing or from a checkpoint's `state`.

        detectors: the loaded graphs of the bundle, one a part. `derive(row, keep)` gives a row's
        parameters without some channels, as a stack of one; `knowledge_of(sha256)` and
        `bundle_of(sha256)` open another snapshot or bundle when one is swapped in;
        `verify(public_key, content, signature)` checks commands; `rule` is another one only where
        clauses are measured, `together` as of `Taking`; no bit depends on that. Raises ConfigError.
        """
        self.settings = settings
        self.handling: Stimulus | None = None  # whoever catches an error names it
        self._bundle, self._bundle_of, self._together = bundle, bundle_of, together
        layouts = asset_layouts(settings, bundle)
        parts = Parts(bundle, detectors)
        if state is None:
            state = first_state(bundle, rows=parts.initial_state())
        self._state = state
        self._knowledge_of = knowledge_of
        self._clock = PlantClock(settings.engine.future_ms_max, state=state.clock)
        self._own = OwnClock(settings, state=state.own_clock)
        self._topics = topics.Topics(settings.prefix, settings.site)
        lineage = {"bundle_sha256": bundle.sha256, "snapshot_sha256": "", "version": version}
        self._desk = Desk(
            settings=settings,
            parts=parts,
            derive=derive,
            verify=verify,
            rule=rule,
            state=state.rows,
            ring=Ring({m.asset: len(m.channels) for m in bundle.assets}, state=state.ring),
            lineage=lineage,
            suspects=state.suspects,
            own_clock=state.own_clock,
            not_durable=state.not_durable,
        )
        warm_anew(bundle, state, self._desk)
        self._aside = SetAside(state, desk=self._desk, topics=self._topics)
        self._staff(layouts)
        learn(knowledge, self._desk, self._state)

    def _staff(self, layouts: Sequence[AssetLayout]) -> None:
        """Everything that there is once for each asset of the bundle, over what is remembered."""
        settings, state, desk = self.settings, self._state, self._desk
        self._aligner = Aligner(layouts, settings.engine, state=state.align)
        self.commissioning = Commissioning(self._bundle, state.assets, desk=self._desk)
        self._annunciator = self._desk.annunciator = Annunciator(state=state, desk=self._desk)
        self._assets = {
            m.asset: Asset(m, settings.of_asset(m.asset), desk=desk, state=state.assets[m.asset])
            for m in self._bundle.assets
        }
        self._arrivals = Arrivals(
            settings,
            assets=self._assets,
            aligner=self._aligner,
            clock=self._clock,
            own=self._own,
            state=state,
            now=self._now,
            desk=self._desk,
        )
        self._taking = Taking(
            self._assets,
            desk=self._desk,
            state=state,
            commissioning=self.commissioning,
            gaps_ns={m.asset: gap_ns(settings, m) for m in self._bundle.assets},
            together=self._together,
        )

    # --- the door ---

    def handle(self, stimulus: Stimulus, *, now_ns: int) -> tuple[Effect, ...]:
        """Take one stimulus; returns what is to be done about it, in order.

        `now_ns` is the wall clock when the stimulus was taken; with `clock = "plant"` only its
        order matters. Any exception out of here is a bug of ours: the world's are only counted.
        """
        return self.handle_group((stimulus,), now_ns=now_ns)

    def handle_group(self, stimuli: Iterable[Stimulus], *, now_ns: int) -> tuple[Effect, ...]:
        """Take stimuli of one time, one after another; messages in a row cost less this way."""
        for kind, some in groupby(stimuli, type):
            if kind is MessageReceived:
                messages = cast("list[MessageReceived]", [*some])
                self._arrivals.take_group(messages, self._message, self._each, now_ns=now_ns)
            else:
                for stimulus in self._each(some):
                    self._take_one(stimulus, now_ns=now_ns)
        effects = tuple(self._desk.effects)
        self._desk.effects.clear()
        return effects

    def _each(self, stimuli: Iterable[_Told]) -> Iterator[_Told]:
        for self.handling in stimuli:
            yield self.handling

    def _take_one(self, stimulus: Stimulus, *, now_ns: int) -> None:
        match stimulus:
            case TickDue():
                self._tick(self._now(now_ns), final=stimulus.final)
            case RetrievalDone():
                found = self._taking.explained(stimulus, t_ns=self._now(now_ns))
                self._count("retrievals_stale", by=not found)
            case Shed():
                self._desk.before_all()
                self._desk.stirred.update(shed(stimulus, self._state, t_ns=self._now(now_ns)))
            case _:
                self._taking.stir()
                self._told(stimulus, now_ns=now_ns)

    def _told(self, stimulus: Stimulus, *, now_ns: int) -> None:
        """What is rare: restarts, other knowledge or detectors, jobs from elsewhere."""
        if isinstance(stimulus, Started):
            self._own.begins(now_ns, known_ns=self._state.now_ns)
            raise_floors(self._state, stimulus.generation)
        t_ns = self._now(now_ns)
        if isinstance(stimulus, Started | BundleSwapped):
            self._take_bundle(stimulus, t_ns=t_ns)
        match stimulus:
            case Started() | SnapshotSwapped():
                self._knows_anew(stimulus, t_ns=t_ns)
            case AlertStands(group=cause) if cause:
                self._annunciator.say_again(stimulus, t_ns=t_ns)
            case AlertStands(asset=name) if name in self._assets:
                self._assets[name].say_again(stimulus, t_ns=t_ns)
            case CommissionTold():
                self.commissioning.told(stimulus, t_ns=t_ns)
            case JobTold(job=job) if job.asset in self._assets:
                witness.add_job(self._assets[job.asset], job)
            case JobTold():
                self._count("jobs_unknown_asset")
            case ShellFault() | JournalHole() as fault:
                durable.told(fault, self._assets, self._desk, self._state, t_ns=t_ns)

    def _knows_anew(self, stimulus: Started | SnapshotSwapped, *, t_ns: int) -> None:
        """A process began, or another snapshot counts."""
        if isinstance(stimulus, Started):  # who takes what stands behind it
            process_began(self._state)
            self._count("starts")
            self._desk.lineage["version"] = stimulus.version
        before, sha256 = self._desk.proposed, stimulus.snapshot_sha256
        if self._knowledge_of is not None and sha256 != self._desk.lineage["snapshot_sha256"]:
            learn(self._knowledge_of(sha256), self._desk, self._state)
        lists = [before, self._desk.proposed]
        anew.known(self._assets, self._state, lists, t_ns=t_ns)

    @property
    def state(self) -> EngineState:
        """All that it remembers, as a checkpoint keeps it."""
        self._arrivals.settle()
        self._aligner.show()
        self._taking.settle_states()
        return self._state

    @property
    def outline(self) -> EngineState:
        """The same for less: without what waits, and what samples alone move but for their time."""
        self._taking.settle_times()
        return self._state

    def copied(self, keep: Keep) -> tuple[Copying, EngineState]:
        """Have `keep` copy all assets as they are now, each before it changes; and all else."""
        self._arrivals.settle()
        made = Copying(self._state.assets, settle=self._taking.settle_states, keep=keep)
        self._desk.copying = made
        return made, with_align(self.outline, self._aligner.kept())

    def counts(self) -> dict[str, int]:
        """Everything counted so far, by reason; what was not accepted is never silent."""
        self._arrivals.settle()
        return {**self._state.counts, **self._aligner.counts, **self._annunciator.counts()}

    def blind(self) -> tuple[str, ...]:
        """Assets whose newest sample has no score: warming up, stopped, or gapped."""
        return self._taking.blind()

    def tell_rows(self) -> None:
        """From here on what becomes of every sample is an effect too."""
        self._desk.tells_rows = True

    def drifts(self) -> Iterator[Drifting | None]:
        """What of each normal operation moved, told as it is taken; None: nothing to compare."""
        for asset in self._assets.values():
            yield asset.drift.report()

    def open_questions(self) -> tuple[Effect, ...]:
        """Retrievals of which the answer never came, to be asked again after a restart."""
        for record in self.alerts():
            if record.alert_id and not record.explained:
                self._desk.ask(record)
        questions = tuple(self._desk.effects)
        self._desk.effects.clear()
        return questions

    def alerts(self) -> tuple[AlertRecord, ...]:
        """Every alert as it is now, three an asset; without an id where nothing happened yet."""
        return tuple(r for one in self._assets.values() for r in one.state.alerts.values())

    def groups(self) -> dict[str, Group | None]:
        """By the last level of its topic, the newest group alert of each cause; None: none yet."""
        return self._annunciator.groups()

    def load(self) -> LoadReport:
        """The alarm load of this shift and the one before."""
        return self._annunciator.report(now_ns=self._state.now_ns)

    @property
    def guessed(self) -> frozenset[str]:
        """Assets of which the mode of operation is guessed, not told."""
        return frozenset(m.asset for m in self._bundle.assets if m.found is not None)

    @property
    def now_ns(self) -> int:
        """Its own idea of now: plant or wall time, ns; 0 before anything came."""
        return self._state.now_ns

    def _now(self, wall_ns: int) -> int:
        state, plant = self._state, self.settings.clock == "plant"
        now_ns = self._clock.now_ns if plant else self._own.shows(wall_ns)
        if not plant and state.now_ns - now_ns > STEP_BACK_NS:
            self._count("clock_steps_back")
            self._taking.stir()
            for asset in self._assets.values():
                asset.clock_stepped_back(state.now_ns)
            self._annunciator.clock_stepped_back()
            time_went_back(state, now_ns)
        time_moved(state, now_ns, leaps=not plant)
        return state.now_ns

    def _count(self, name: str, by: int = 1) -> None:
        self._state.counts[name] = self._state.counts.get(name, 0) + by

    # --- messages ---

    def _message(self, message: MessageReceived, now_ns: int) -> None:
        if self._aside.skips(message):
            return
        try:
            command = self._topics.parse_command(message.topic)
            if command is not None:
                self._taking.stir()
                commands.operator_command(
                    message, operator=command[0], name=command[1], assets=self._assets,
                    desk=self._desk, state=self._state, now_ns=self._now(now_ns),
                )  # fmt: skip
            elif message.topic == topics.CLOCK_TOPIC:
                self._clock.observe_message(message.payload, topic=message.topic)
            else:
                self._arrivals.take(message, now_ns=now_ns)
                self._count("messages")
                self._aside.was_good(message)
        except WireError as error:
            self._aside.was_refused(message, error)

    # --- ticks ---

    def _tick(self, now_ns: int, *, final: bool) -> None:
        doubted = self._state.own_clock.doubted  # orders open once it is known what time it is
        if not doubted and orders_due(self._desk, self._state, now_ns=now_ns):
            self._taking.stir()
            take_orders(self._assets, desk=self._desk, state=self._state, now_ns=now_ns)
        self._arrivals.settle()
        self._arrivals.settle_blocks(now_ns=now_ns, final=final)
        changes, sheaves = self._aligner.samples(now_ns=now_ns, final=final)
        for change in changes:
            self._taking.stir_one(change.asset)
            seen_change(self._assets[change.asset].state, change)
            witness.plant_edge(self._assets[change.asset], change, desk=self._desk)
        for step in self._annunciator.in_step(sheaves):
            self._taking.take(step)
        self._settle_time(now_ns)

    def _settle_time(self, now_ns: int) -> None:
        """What time alone brings: fuses of silent assets, gaps, decimated scores."""
        engine = self.settings.engine
        tells, due = self._taking.tells(now_ns)
        self._annunciator.settle(now_ns)
        # samples before a boundary may still be on their way for this long
        until_ns = now_ns - engine.late_ms_max * MILLISECOND_NS
        self._taking.settle(now_ns, until_ns, self._arrivals.ahead_ns, tells=tells)
        if self._state.anew:
            self._taking.stir()
            anew.judge(self._assets, self._desk, self._state, t_ns=until_ns)
        self.commissioning.settle(now_ns, due=due)
        if due:
            self._annunciator.look(now_ns=now_ns)

    def _take_bundle(self, stimulus: Started | BundleSwapped, *, t_ns: int) -> None:
        """From here on another bundle scores; what is open goes on, and rows warm on the ring."""
        sha256, told = stimulus.bundle_sha256, isinstance(stimulus, BundleSwapped)
        because = stimulus.because if isinstance(stimulus, BundleSwapped) else "a restart"
        if self._bundle_of is None or sha256 in ("", self._state.bundle_sha256):
            return
        fitted = self._bundle_of(sha256)
        self._count("bundles_missing" if fitted is None else "bundles_swapped", by=told)
        if fitted is None:  # a journal names what nobody kept
            return
        layouts = asset_layouts(self.settings, fitted.bundle)
        take_over(self._bundle, fitted, self.state, self._desk, because=because, t_ns=t_ns)
        self._bundle = fitted.bundle
        self._staff(layouts)
        if self.settings.trust.require_signed and self._knowledge_of is not None:
            known = self._knowledge_of(self._desk.lineage["snapshot_sha256"])  # signed by whom
            learn(known, self._desk, self._state)
