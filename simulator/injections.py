"""Standard faults of one channel, put into values as they were sent.

What an acceptance asks of a detector is the same for every plant: a level that jumps, one that
creeps, a trembling that was not there, a value that stands still, and none at all. Sizes are in
sigmas of the channel's usual spread, as its bundle learned it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
    I64 = NDArray[np.int64]
    Mask = NDArray[np.bool_]

SIZES: Final = (1.0, 2.0, 3.0, 6.0)  # sigmas; six is what nobody should have to look for
RAMP_SHARE: Final = 0.5  # of a fault's time, until a ramp has reached its size


class InjectedKind(StrEnum):
    """What happens to a channel."""

    STEP = "step"
    RAMP = "ramp"
    NOISE = "noise"
    STUCK = "stuck"
    DROP_OUT = "drop_out"

    @property
    def sizes(self) -> tuple[float, ...]:
        """Sizes that it comes in, sigmas; (): a value that stands still or is absent has none."""
        sized = (InjectedKind.STEP, InjectedKind.RAMP, InjectedKind.NOISE)
        return SIZES if self in sized else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """One fault of one channel, from begin_ns to before end_ns.

    size: in the channel's unit, signed; the extra noise's standard deviation. held: what a stuck
    channel shows. resolution: least step between two values that it sends, 0: not known. pattern:
    seed of what is drawn.
    """

    kind: InjectedKind
    channel: int
    begin_ns: int
    end_ns: int
    size: float = 0.0
    held: float = np.nan
    resolution: float = 0.0
    pattern: int = 0

    def hits(self, t_ns: I64) -> Mask:
        """Which times (n,) lie in it."""
        inside: Mask = (t_ns >= self.begin_ns) & (t_ns < self.end_ns)
        return inside

    def disturb(self, values: F64, t_ns: I64, running: Mask) -> F64:
        """Values (n,) of the channel sent at t_ns (n,), with the fault; NaN: not sent.

        What moves with the process moves while it runs only, running (n,); a sensor that is stuck
        or silent is so always. The given values stay as they are.
        """
        inside = self.hits(t_ns)
        if self.kind is InjectedKind.DROP_OUT:
            return np.where(inside, np.nan, values)
        if self.kind is InjectedKind.STUCK:
            return np.where(inside & np.isfinite(values), self.held, values)
        offset = self._offset(t_ns)
        if self.resolution > 0.0:
            offset = np.round(offset / self.resolution) * self.resolution
        return np.where(inside & running, values + offset, values)

    def _offset(self, t_ns: I64) -> F64:
        if self.kind is InjectedKind.NOISE:
            rng = np.random.default_rng([self.pattern, int(t_ns[0]) if len(t_ns) else 0])
            return self.size * rng.standard_normal(len(t_ns))
        if self.kind is InjectedKind.RAMP:
            rise_ns = max(RAMP_SHARE * (self.end_ns - self.begin_ns), 1.0)
            return self.size * np.clip((t_ns - self.begin_ns) / rise_ns, 0.0, 1.0)
        return np.full(len(t_ns), self.size)
