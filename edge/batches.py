"""What travels between wire and events: values as they came, context, and samples of a grid.

Times are int ns, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Values of one asset as one message brought them, by plant tag, before alignment."""

    asset: str
    tags: tuple[str, ...]
    t_ns: NDArray[np.int64]  # (n,) plant time, any order
    values: NDArray[np.float64]  # (n, k); NaN: absent or null
    texts: tuple[tuple[str, int, str], ...] = ()  # (tag, t_ns, value) of text-valued context tags
    units: dict[str, str] | None = None  # as the sender states them, if it does
    bad_quality: int = 0  # values that were sent with bad quality, and are NaN here


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextChange:
    """A context tag took a new value.

    `live` is False for a retained message and for the first value seen.
    """

    asset: str
    tag: str
    t_ns: int
    value: float
    previous: float  # NaN: none known
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Consecutive closed samples of one asset."""

    asset: str
    t_ns: NDArray[np.int64]  # (n,) strictly increasing
    values: NDArray[np.float32]  # (n, c) in the bundle's channel order; NaN: no valid value
    running: NDArray[np.bool_]  # (n,)
    changes: tuple[ContextChange, ...] = ()  # context changes up to the last sample, in time order
    mode: NDArray[np.float64] | None = (
        None  # (n,) of the mode tag, NaN: not told; None: no such tag
    )
    # (n,) whether anything at all was told for this grid time, context included; None: always
    heard: NDArray[np.bool_] | None = None

    def part(self, begin: int, end: int) -> Batch:
        """The samples from one to another; changes stay with the whole, where they were taken."""
        return Batch(
            asset=self.asset,
            t_ns=self.t_ns[begin:end],
            values=self.values[begin:end],
            running=self.running[begin:end],
            mode=None if self.mode is None else self.mode[begin:end],
            heard=None if self.heard is None else self.heard[begin:end],
        )
