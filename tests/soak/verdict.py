"""Whether a soak shows that nothing grows, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.soak.usage import Slope

SLOPE_MAX: Final = 1.0
MESSAGES_SHORT: Final = 2_000_000  # below, a few megabytes of warm-up are a slope, or hide one
HANDLES_MORE_MAX: Final = 3
THREADS_MORE_MAX: Final = 2


def faults(figures: Mapping[str, Any], slope: Slope) -> list[str]:
    """What failed. figures: as the last line of a soak has them."""
    wrong = []
    if figures["exit_code"] != 0:
        wrong.append(f"the gateway ended with {figures['exit_code']}")
    for what, most in (("handles", HANDLES_MORE_MAX), ("threads", THREADS_MORE_MAX)):
        begin, end = figures[f"{what}_begin"], figures[f"{what}_end"]
        if end > begin + most:
            wrong.append(f"{what} grew from {begin} to {end}, at most {most} more are allowed")
    if math.isnan(slope.slope):
        wrong.append("too few looks for a slope: let it run longer")
    elif not slope.slope < SLOPE_MAX:
        said = f"memory grows by {slope.slope:.2f} MB per million messages ({slope.low:.2f} to"
        said += f" {slope.high:.2f}), and must by less than {SLOPE_MAX:g}"
        if slope.low < SLOPE_MAX or figures["messages"] < MESSAGES_SHORT:
            said += "; the run was too short to tell that from its warm-up: let it run longer"
        wrong.append(said)
    return wrong


def outcome(wrong: Sequence[str], *, messages: int) -> str:
    """All of it in a sentence, and whether that shows anything yet."""
    if wrong:
        return f"failed: {'; '.join(wrong)}"
    if messages < MESSAGES_SHORT:
        return (
            f"nothing grew in {messages:,} messages; to show it takes {MESSAGES_SHORT:,} at least"
        )
    return "passed: nothing grows"
