"""What refused each attack, in its own words, for `make attacks` to show."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Final

TOLD: Final[defaultdict[str, list[str]]] = defaultdict(list)  # test -> messages, in order


def refused_with(message: object) -> None:
    """The running test was refused with this message, which it has looked at."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    TOLD[test].append(" ".join(str(message).split()))
