"""Marks that faults and maintenance work leave in a signal; the kinds of fault of a weld robot.

A mark is an offset of one channel in sigmas of its normal running operation, or a held value. It is
drawn as a plan first and rendered later, so that the same plant with and without it differs in
nothing else. Seconds are whole samples since the begin of the scenario; intervals are half-open.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

RAMP_SHARE: Final = 0.3  # of a mark's length, until a ramp has reached its size
RAMP_S_MIN: Final = 60
RAMP_S_MAX: Final = 600  # a slower ramp of 1.5 sigma is wear, not a fault
EDGE_S: Final = 3  # nothing in a plant jumps within one sample
SPAN_LEVELS: Final = (0.5, 1.0, 0.0, 1.0)  # of the size, as a span check goes through them
FADE_RATE: Final = 3.5  # time constants in the length of a mark that fades
BURST_LOW: Final = 0.6  # a slipping drive never quite recovers between its slips


class Shape(StrEnum):
    """How a mark runs over its time."""

    STEP = "step"
    RAMP = "ramp"
    SPAN = "span"
    SPIKES = "spikes"
    BURSTS = "bursts"
    FLAT = "flat"
    FADE = "fade"


class FaultKind(StrEnum):
    """What breaks on a weld robot."""

    CONTACT_TIP_WEAR = "contact_tip_wear"
    GAS_FLOW_LOSS = "gas_flow_loss"
    WIRE_FEED_SLIP = "wire_feed_slip"
    DRIFTING_SENSOR = "drifting_sensor"
    DEAD_SENSOR = "dead_sensor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One channel's share of a fault or job.

    size: largest mean deviation, signed, in sigmas of the channel; of a dead zero it is not used.
    noise: sd of extra white noise, in sigmas. pattern: seed of the parts that are drawn when it is
    rendered.
    """

    channel: str
    shape: Shape
    size: float
    begin_s: int
    end_s: int
    noise: float = 0.0
    zero: bool = False
    pattern: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultForm:
    """Channels of a kind with the sign of their change, its shape, extra noise per sigma of size.

    No channels: any single one. zero_share: of flat ones, how many read zero instead of a held
    value; below 1 only where the fault stands alone.
    """

    signs: tuple[tuple[str, int], ...]
    shape: Shape
    noise: float = 0.0
    zero_share: float = 0.0

    def is_zero(self, drawn: float, *, situation: str) -> bool:
        """Whether a fault of this form reads zero. drawn: evenly from 0 to 1."""
        alone = situation == "alone" or self.zero_share >= 1.0
        return self.shape is Shape.FLAT and alone and drawn < self.zero_share


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """A fault of one machine. size: of its first mark, sigmas; unused where that is a dead zero.

    robot: the machine's number, a robot's in the weld cell.
    """

    fault_id: str
    robot: int
    kind: StrEnum
    situation: str  # alone | during_job | neighbour | after_cancelled
    begin_s: int
    end_s: int
    size: float
    marks: tuple[Mark, ...]

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels that it changes."""
        return tuple(mark.channel for mark in self.marks)


# Physics of the signs: a worn tip lengthens the arc path (voltage up, current down); a starved or
# leaking gas line loses flow and pressure; a slipping drive turns faster for less wire.
FORMS: Final[dict[StrEnum, FaultForm]] = {
    FaultKind.CONTACT_TIP_WEAR: FaultForm(
        signs=(("Secondary Weld Voltage", 1), ("Primary Weld Current", -1)),
        shape=Shape.STEP,
        noise=0.2,
    ),
    FaultKind.GAS_FLOW_LOSS: FaultForm(
        signs=(("CO2 Weld Flow", -1), ("Pressure", -1)), shape=Shape.STEP
    ),
    FaultKind.WIRE_FEED_SLIP: FaultForm(
        signs=(("Wire Consumed", -1), ("Feed", 1)), shape=Shape.BURSTS
    ),
    FaultKind.DRIFTING_SENSOR: FaultForm(signs=(), shape=Shape.RAMP),
    FaultKind.DEAD_SENSOR: FaultForm(signs=(), shape=Shape.FLAT, zero_share=0.3),
}
assert set(FORMS) == set(FaultKind), "every kind has a form"


ONE_SIDED: Final = frozenset({"TCP Deviation"})  # a deviation has no other side


def feasible_kinds(
    channels: Sequence[str], forms: Mapping[StrEnum, FaultForm] = FORMS
) -> tuple[StrEnum, ...]:
    """Kinds of fault that can lie wholly within these channels, in a fixed order."""
    inside = set(channels)
    return tuple(
        kind for kind in forms if inside and {name for name, _ in forms[kind].signs} <= inside
    )


def fault_marks(
    kind: StrEnum,
    *,
    channels: Sequence[str],
    size: float,
    begin_s: int,
    end_s: int,
    rng: np.random.Generator,
    forms: Mapping[StrEnum, FaultForm] = FORMS,
    one_sided: Collection[str] = ONE_SIDED,
) -> tuple[Mark, ...]:
    """Draw the marks of a fault within the allowed channels; the first mark carries the whole size.

    `size` is positive, in sigmas. Always takes the same number of draws, whatever the kind.
    """
    form = forms[kind]
    chosen = channels[int(rng.integers(len(channels)))]
    sign = 1 if rng.random() < 0.5 else -1
    share = float(rng.uniform(0.6, 0.85))
    pattern = int(rng.integers(2**31))
    signs = form.signs or ((chosen, 1 if chosen in one_sided else sign),)
    return tuple(
        Mark(
            channel=name,
            shape=form.shape,
            size=direction * size * (1.0 if i == 0 else share),
            begin_s=begin_s,
            end_s=end_s,
            noise=form.noise * size,
            pattern=pattern,
        )
        for i, (name, direction) in enumerate(signs)
    )


def render(mark: Mark) -> NDArray[np.float64]:
    """Draw a mark's offsets in sigmas (end_s - begin_s,); a flat one's distance from the mean."""
    n = mark.end_s - mark.begin_s
    rng = np.random.default_rng(np.random.SeedSequence([mark.pattern, n]))
    course = _COURSES[mark.shape](n, rng)
    offsets: NDArray[np.float64] = mark.size * course
    if mark.noise:
        channel_rng = np.random.default_rng(
            np.random.SeedSequence([mark.pattern, *mark.channel.encode()])
        )
        offsets = offsets + mark.noise * channel_rng.standard_normal(n)
    return offsets


def _step(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    del rng
    return np.minimum(1.0, (1.0 + np.arange(n)) / EDGE_S)


def ramp_s(n: int) -> int:
    """Seconds until a ramp of length n has reached its size."""
    return int(np.clip(RAMP_SHARE * n, RAMP_S_MIN, RAMP_S_MAX))


def _ramp(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    del rng
    return np.minimum(1.0, (1.0 + np.arange(n)) / ramp_s(n))


def _span(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Points of a span check, each held equally long, gone through once or twice."""
    levels = np.array(SPAN_LEVELS * int(rng.integers(1, 3)))
    course: NDArray[np.float64] = levels[np.arange(n) * len(levels) // n]
    return course


def _spikes(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Short strokes with a decay, as of air blasts and test arcs."""
    course = np.zeros(n)
    starts = np.cumsum(rng.integers(15, 50, size=n // 15 + 1))
    for start, width in zip(starts, rng.integers(4, 11, size=len(starts)), strict=True):
        end = min(n, start + width)
        if start < end:
            course[start:end] = np.exp(-np.arange(end - start) / (1.5 * width))
    return course


def _bursts(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Slip and half recovery by turns, 10 to 40 s each; begins with a slip."""
    dwell = rng.integers(10, 40, size=n // 10 + 1)
    levels = np.where(np.arange(len(dwell)) % 2 == 0, 1.0, BURST_LOW)
    course: NDArray[np.float64] = np.repeat(levels, dwell)[:n]
    return course


def _fade(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Full at once, then ever less: a third of the time takes it to a third."""
    del rng
    return np.exp(-np.arange(n) / (n / FADE_RATE))


def _flat(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    del rng
    return np.ones(n)


_COURSES: Final = {
    Shape.STEP: _step,
    Shape.RAMP: _ramp,
    Shape.SPAN: _span,
    Shape.SPIKES: _spikes,
    Shape.BURSTS: _bursts,
    Shape.FLAT: _flat,
    Shape.FADE: _fade,
}
assert set(_COURSES) == set(Shape), "every shape has a course"
