"""Trials of a proof: which fault on which channel, where in the stretch, and whether it rang.

Trials share a run where they lie so far apart that the detector has forgotten the one before; what
was ringing before a trial began makes it void, and it is tried again elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.errors import RecordingError
from edge.records import MessageReceived, TickDue
from edge.replays.backtest import Backtest
from simulator.injections import InjectedKind, Injection
from simulator.stretch import copy_names, engine_of, running_at
from simulator.wave_faults import WaveFault, WaveKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from edge.assessment.assess import Episode
    from edge.records import Stimulus
    from simulator.stretch import Stretch
    from simulator.wave_stretch import WaveInjection

    Mask = NDArray[np.bool_]
    Told = Callable[[int, int], None]  # trials done, trials in all

FAULT_SAMPLES: Final = 480  # how long a fault lasts: what has not rung by then, rings too late
SETTLE_SAMPLES: Final = 240  # after it; an event clears after sixty
WARM_SAMPLES: Final = 300  # from the begin of the stretch, as a restarted gateway needs them
RUNNING_MIN: Final = 0.8  # of a fault's samples
PRESENT_MIN: Final = 0.5  # of a channel's samples in the place of a fault
PLACES_MIN: Final = 3  # in a stretch; fewer say little
COPIES: Final = 8  # side by side; more than ten assets that ring at once would be a flood
TRIES_MAX: Final = 3  # of a trial that was void
STANDING_MIN: Final = 0.5  # of the stretch; an alert that lasts longer hides no other track


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One fault to try. sigmas: its size, 0 where it has none; number: among those alike.

    channel: of the bundle; of a fault of a waveform, the number of the waveform in the stretch.
    """

    channel: int
    kind: InjectedKind | WaveKind
    sigmas: float
    number: int
    tries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a trial came to. delay_s: NaN where nothing rang; rang_as: track and class."""

    trial: Trial
    delay_s: float
    rang_as: str
    named: bool

    @property
    def rang(self) -> bool:
        """Whether somebody would have heard of it in time."""
        return not math.isnan(self.delay_s)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Base:
    """The stretch as it was. scored: (n,) whether there were scores; counts: of values refused."""

    episodes: tuple[Episode, ...]
    scored: Mask
    counts: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """All trials of an asset. void: that met an alert each time; unplaced: without a place."""

    outcomes: tuple[Outcome, ...]
    void: int
    unplaced: tuple[Trial, ...]


def run_base(stretch: Stretch) -> Base:
    """Put the stretch through an engine as it was sent."""
    engine = engine_of(stretch).engine
    backtest = Backtest(engine)
    scored = np.zeros(len(stretch.t_ns), bool)

    def watched() -> Iterator[tuple[int, Stimulus]]:
        first = 0
        for now_ns, stimulus in stretch.as_sent():
            yield now_ns, stimulus
            if isinstance(stimulus, TickDue):  # it has been handled by now
                end = int(np.searchsorted(stretch.t_ns, now_ns, side="right"))
                scored[first:end] = not engine.blind()
                first = end

    backtest.run(watched())
    ours = ("messages", "unknown_asset", "starts", "commands")
    counts = {name: n for name, n in engine.counts().items() if name not in ours}
    return Base(episodes=tuple(backtest.episodes()), scored=scored, counts=counts)


def standing(stretch: Stretch, base: Base) -> frozenset[str]:
    """Tracks on which one alert stood for most of the stretch."""
    long_ns = STANDING_MIN * (stretch.t_ns[-1] - stretch.t_ns[0])
    end_ns = int(stretch.t_ns[-1])
    return frozenset(
        one.track for one in base.episodes if (one.ended_ns or end_ns) - one.begin_ns > long_ns
    )


def quiet(stretch: Stretch, base: Base) -> Mask:
    """Samples (n,) that were scored and near which nothing rang."""
    t_ns, period_ns = stretch.t_ns, stretch.model.period_ns
    calm = base.scored.copy()
    calm[:WARM_SAMPLES] = False
    stood = standing(stretch, base)
    for one in base.episodes:
        if one.track in stood:
            continue
        end_ns = (one.ended_ns or int(t_ns[-1])) + SETTLE_SAMPLES * period_ns
        calm[(t_ns >= one.begin_ns) & (t_ns <= end_ns)] = False
    return calm


def places(stretch: Stretch, calm: Mask, *, first: int = 0) -> list[int]:
    """First samples of places for a fault from sample `first` on: quiet, running, apart."""
    unquiet = np.concatenate(([0], np.cumsum(~calm)))
    ran = np.concatenate(([0], np.cumsum(stretch.running)))
    found, i = [], first
    while i + FAULT_SAMPLES + 1 <= len(calm):
        end = i + FAULT_SAMPLES
        fits = unquiet[end] == unquiet[i] and stretch.running[i]
        if fits and ran[end] - ran[i] >= RUNNING_MIN * FAULT_SAMPLES:
            found.append(i)
            i = end + SETTLE_SAMPLES
        else:
            i += FAULT_SAMPLES // 16
    return found


def all_trials(channels: Iterable[int], waves: int, trials_a_size: int) -> list[Trial]:
    """Every kind and size on some channels and on so many waveforms, so many times."""
    tried: list[tuple[int, InjectedKind | WaveKind]] = [
        *((j, kind) for j in channels for kind in InjectedKind),
        *((k, kind) for k in range(waves) for kind in WaveKind),
    ]
    return [
        Trial(channel=at, kind=kind, sigmas=sigmas, number=number)
        for at, kind in tried
        for sigmas in kind.sizes or (0.0,)
        for number in range(trials_a_size)
    ]


def columns_of(stretch: Stretch, trial: Trial) -> tuple[int, ...]:
    """Channels of the bundle that a trial's fault is put into."""
    if isinstance(trial.kind, WaveKind):
        return stretch.waves[trial.channel].columns
    return (trial.channel,)


def run_trials(
    stretch: Stretch, base: Base, trials: Sequence[Trial], *, seed: int, told: Told
) -> Tried:
    """Put copies of the stretch with faults through engines, until every trial is judged."""
    chance = np.random.default_rng(seed)
    waiting = [trials[i] for i in chance.permutation(len(trials))]
    calm, stood = quiet(stretch, base), standing(stretch, base)
    outcomes: list[Outcome] = []
    void, empty = 0, 0
    while waiting and empty < TRIES_MAX:
        placed, waiting = _place(stretch, calm, waiting, chance)
        if not any(placed):
            empty += 1  # a shy channel may have a value elsewhere
            continue
        empty = 0
        episodes = _run(stretch, [[fault for _, fault in copy] for copy in placed])
        for name, copy in zip(copy_names(stretch.asset, COPIES), placed, strict=True):
            mine = [one for one in episodes if one.asset == name]
            for trial, fault in copy:
                outcome = judge(trial, fault, mine, stretch=stretch, stood=stood)
                if outcome is not None:
                    outcomes.append(outcome)
                elif trial.tries + 1 < TRIES_MAX:
                    waiting.append(replace(trial, tries=trial.tries + 1))
                else:
                    void += 1
        told(len(outcomes) + void, len(trials))
    return Tried(outcomes=tuple(outcomes), void=void, unplaced=tuple(waiting))


def _place(
    stretch: Stretch, calm: Mask, waiting: list[Trial], chance: np.random.Generator
) -> tuple[list[list[tuple[Trial, Injection | WaveInjection]]], list[Trial]]:
    """Trials for each copy with their places, in order of time, and those that wait on."""
    placed: list[list[tuple[Trial, Injection | WaveInjection]]] = [[] for _ in range(COPIES)]
    where = [
        places(stretch, calm, first=int(chance.integers(FAULT_SAMPLES + SETTLE_SAMPLES)))
        for _ in range(COPIES)
    ]
    spots = sorted((i, k) for k, found in enumerate(where) for i in found)
    left = list(waiting)
    for i, k in spots:
        known = np.isfinite(stretch.values[i : i + FAULT_SAMPLES]).mean(axis=0) >= PRESENT_MIN
        chosen = next((n for n, t in enumerate(left) if _can_be(stretch, t, known)), None)
        if chosen is None:
            continue
        trial = left.pop(chosen)
        placed[k].append((trial, _injection(stretch, trial, i, chance)))
        if not left:
            break
    return placed, left


def _can_be(stretch: Stretch, trial: Trial, known: Mask) -> bool:
    """Whether there is anything to put a fault into; known: (c,) channels with values there."""
    if isinstance(trial.kind, WaveKind) and math.isnan(stretch.waves[trial.channel].usual):
        return False
    return bool(known[list(columns_of(stretch, trial))].any())


def _injection(
    stretch: Stretch, trial: Trial, i: int, chance: np.random.Generator
) -> Injection | WaveInjection:
    """The fault of a trial at sample i."""
    if isinstance(trial.kind, WaveKind):
        return _of_wave(stretch, trial, trial.kind, i, chance)
    model, j = stretch.model, trial.channel
    before = stretch.values[: i + 1, j]
    held = before[np.isfinite(before)]
    sign = 1.0 if chance.random() < 0.5 else -1.0
    return Injection(
        kind=trial.kind,
        channel=j,
        begin_ns=int(stretch.t_ns[i]),
        end_ns=int(stretch.t_ns[i + FAULT_SAMPLES]),
        size=sign * trial.sigmas * float(model.sigma[j]),
        held=float(held[-1]) if len(held) else float(model.center[j]),
        resolution=float(model.health.steps[j]) if model.health is not None else 0.0,
        pattern=int(chance.integers(2**31)),
    )


def _of_wave(
    stretch: Stretch, trial: Trial, kind: WaveKind, i: int, chance: np.random.Generator
) -> WaveInjection:
    """The same of a waveform: its features with the fault in the blocks from sample i on."""
    record = stretch.waves[trial.channel]
    fault = WaveFault(
        kind=kind,
        begin_ns=int(stretch.t_ns[i]),
        end_ns=int(stretch.t_ns[i + FAULT_SAMPLES]),
        size=trial.sigmas,
        usual=record.usual,
        pattern=int(chance.integers(2**31)),
    )

    def ran(t_ns: int) -> bool:
        return bool(running_at(stretch.t_ns, stretch.running, np.array([t_ns]))[0])

    return record.with_fault(fault, running=ran)


def _run(
    stretch: Stretch, injected: Sequence[Sequence[Injection | WaveInjection]]
) -> list[Episode]:
    """What rang in copies. Raises RecordingError where one was not heard as it was sent."""
    until_ns = max(fault.end_ns for faults in injected for fault in faults)
    engine = engine_of(stretch, len(injected)).engine
    backtest = Backtest(engine)
    sent = 0

    def counted() -> Iterator[tuple[int, Stimulus]]:
        nonlocal sent
        for now_ns, stimulus in stretch.copies(injected, until_ns=until_ns):
            sent += isinstance(stimulus, MessageReceived)
            yield now_ns, stimulus

    backtest.run(counted())
    counts = engine.counts()
    if counts.get("messages", 0) < sent:  # a fault that nobody heard says nothing of a channel
        refused = {name: n for name, n in counts.items() if name.startswith("invalid_")}
        raise RecordingError(
            f"{stretch.asset}: of {sent} messages of the copies with faults the engine took "
            f"{counts.get('messages', 0)} ({refused}), expected all, so nothing can be proved on "
            "this stretch; take another with --hours, or a --recording"
        )
    return backtest.episodes()


def judge(
    trial: Trial,
    fault: Injection | WaveInjection,
    episodes: Sequence[Episode],
    *,
    stretch: Stretch,
    stood: frozenset[str],
) -> Outcome | None:
    """What a fault came to among the episodes of its copy; None: something rang already."""
    for one in episodes:
        open_still = not one.ended_ns or one.ended_ns > fault.begin_ns
        if one.track not in stood and one.opened_ns < fault.begin_ns and open_still:
            return None
    names = {stretch.model.channels[j].name for j in columns_of(stretch, trial)}
    rings = sorted(
        ((at, one) for one in episodes for at in (one.rang_ns, *one.rang_again_ns)),
        key=lambda ring: ring[0],
    )
    for at_ns, one in rings:
        if fault.begin_ns <= at_ns <= fault.end_ns:
            return Outcome(
                trial=trial,
                delay_s=(at_ns - fault.begin_ns) / 1e9,
                rang_as=f"{one.track}, {one.klass}",
                named=not names.isdisjoint((one.top_channel, *one.channels)),
            )
    return Outcome(trial=trial, delay_s=np.nan, rang_as="", named=False)
