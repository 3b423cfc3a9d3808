"""What a type of cell is: its channels, faults, work and words, as data. Planning is the same.

A cell type is a table of channels, a way to make their normal signals, the faults and the work with
the channels that they touch, and the words that its people use. Everything else, from the plan of a
shift to the papers, follows from that.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from simulator.cells import signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from enum import StrEnum

    from numpy.typing import NDArray

    from kb.records import WorkKind
    from simulator.cells.signals import ChannelForm, Course
    from simulator.faults import FaultForm, PlannedFault
    from simulator.jobs import Work


class Normal(Protocol):
    """Makes n seconds of normal operation of one machine."""

    def __call__(  # noqa: D102
        self,
        seed: int,
        number: int,
        *,
        phase: int,
        n: int,
        calm: Sequence[tuple[int, int]] = (),
        renewed: Sequence[int] = (),
    ) -> Course: ...


class Stricken(Protocol):
    """Makes the same n seconds of a scenario with faults where they act, not where they show."""

    def __call__(  # noqa: D102
        self,
        seed: int,
        number: int,
        *,
        n: int,
        calm: Sequence[tuple[int, int]],
        renewed: Sequence[int],
        faults: Sequence[PlannedFault],
    ) -> Course: ...


class Blocks(Protocol):
    """Makes the same n seconds as fast waveforms: the payload of each row, in order."""

    def __call__(  # noqa: D102
        self,
        seed: int,
        number: int,
        *,
        phase: int,
        n: int,
        begin_ns: int,
        calm: Sequence[tuple[int, int]] = (),
        faults: Sequence[PlannedFault] = (),
    ) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Waves:
    """How a cell sends waveforms instead of channels, where it is asked to.

    channels: that a gateway makes of them. toml: of each asset, saying so.
    """

    blocks: Blocks
    channels: tuple[str, ...]
    toml: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One row of a failure-mode table; signs: channel -> high, low, stuck, missing or any."""

    signs: Mapping[str, str]
    cause: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What moves signals without being work or a fault, as the messy cell has it.

    signs: channel -> sign and share of its size. said: what people write of it, if they do.
    """

    name: str  # changeover, material_lot, warm_up
    signs: Mapping[str, float]
    fades: bool  # decays from its full size, or holds it to its end
    minutes: tuple[int, int]
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a gateway is told of the cell's machines. `{n}` stands for the machine's number."""

    functional_location: str
    area: str
    consequence: str
    cause: str
    action: str


@dataclass(frozen=True, kw_only=True, eq=False)
class CellType:
    """A type of cell. See the module."""

    name: str  # weld, cnc, pump
    site: str
    prefix: str  # of asset ids: r1, r2
    call: str  # what people write before a machine's number: R1
    noun: str  # what a machine is: robot
    stream: tuple[int, ...]  # keeps its random numbers apart from those of other cells
    channels: tuple[ChannelForm, ...]
    mode_tag: str  # context tag that says what it does
    normal: Normal
    wired: Callable[[int, int], Work]  # seed, number -> the work that its function-check bit means
    forms: Mapping[StrEnum, FaultForm]
    one_sided: frozenset[str]  # channels that a fault can only raise
    works: tuple[Work, ...]
    leading: tuple[Work, ...]  # those beside, under and after which faults are placed
    checks: tuple[Work, ...]  # one of these a shift, and all of `upkeep`
    upkeep: tuple[Work, ...]
    renewing: Work | None  # work that sets wear back
    twins: Mapping[tuple[WorkKind, str], StrEnum]  # of leading work: the fault that looks like it
    fault_talk: Mapping[StrEnum, tuple[str, ...]]
    small_talk: tuple[str, ...]
    place: Place
    limit_groups: Mapping[str, tuple[str, ...]]  # of the manuals: field of a text -> channels
    modes: Mapping[StrEnum, Mode]
    aliases: Mapping[str, tuple[str, ...]]  # channel -> how people call it
    period_s: int = 1  # between two rows; plans stay in whole seconds
    stricken: Stricken | None = None  # of faults that are no offsets of channels
    inside: frozenset[StrEnum] = frozenset()  # the kinds that `stricken` makes
    waves: Waves | None = None
    # what an instrument can show, where that is no matter of its channel's noise
    ranges: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the tables fit together; AssertionError says which does not."""
        names = set(self.channel_names)
        assert {work.key for work in self.leading} == set(self.twins), "leading work has a twin"
        assert all(set(work.channels) <= names for work in self.works), "work on unknown channels"
        assert set(self.forms) == set(self.modes) == set(self.fault_talk), "a fault lacks a table"
        for work in self.leading:
            signs = self.forms[self.twins[work.key]].signs
            assert not signs or len(signs) == len(work.channels), f"{work.instrument}: no twin"

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels, in their order."""
        return tuple(channel.name for channel in self.channels)

    @property
    def kinds(self) -> tuple[StrEnum, ...]:
        """What breaks, in a fixed order."""
        return tuple(self.forms)

    @property
    def context_tags(self) -> tuple[str, ...]:
        """Tags that are not scored."""
        return ("run_state", "cal_mode", self.mode_tag)

    @property
    def gated(self) -> NDArray[np.bool_]:
        """Which channels follow the run state (c,)."""
        return np.array([channel.gated for channel in self.channels])

    def asset(self, number: int) -> str:
        """Id of a machine."""
        return f"{self.prefix}{number}"

    def called(self, number: int) -> str:
        """How people write a machine's name."""
        return f"{self.call}{number}"

    def seeds(self, seed: int, *key: int) -> np.random.Generator:
        """Return the generator of one purpose; no other cell's or purpose's draws move it."""
        return signals.seeds(seed, *self.stream, *key)


@functools.lru_cache(maxsize=4096)
def reference(
    cell: CellType, seed: int, number: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure mean and sigma (c,), (c,) of a machine's running samples over two normal days.

    Sigma includes wear, lots, modes and duty: it is the unit of every size that a scenario states.
    """
    course = cell.normal(seed, number, phase=2, n=signals.REFERENCE_S)
    running = course.values[course.running]
    return running.mean(axis=0), running.std(axis=0)
