"""How often somebody may try a password: by user, by address, and in all; in bounded memory.

What counts is failures of the last minutes. A user who is guessed at from elsewhere is not locked
out: an address from which this user has signed in before counts by itself.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_S: Final = 600.0
OF_ADDRESS: Final = 10  # failures in a window
OF_USER: Final = 20  # from all addresses together
OF_ALL: Final = 200  # of all users, from all addresses: some minutes of a processor
REMEMBERED: Final = 4_096  # users, addresses, and pairs of them; the oldest are forgotten


class Attempts:
    """Failures by whom and from where. Used by one thread."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """clock_s: seconds, never backwards."""
        self._clock_s = clock_s
        self._failed: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()
        self._good: OrderedDict[tuple[str, str], None] = OrderedDict()

    def begin(self, name: str, address: str) -> float:
        """Count an attempt as failed until it has succeeded, so that many at once count too.

        Returns 0.0, or for how many seconds it must not be tried; then it was not counted.
        """
        now_s = self._clock_s()
        asked = [("address", address, OF_ADDRESS), ("all", "", OF_ALL)]
        if (name, address) not in self._good:
            asked.append(("user", name, OF_USER))
        waits = [self._wait_s(kind, key, most, now_s) for kind, key, most in asked]
        if max(waits) > 0.0:
            return max(waits)
        for kind, key, most in asked:
            times = self._failed.setdefault((kind, key), deque(maxlen=most))
            times.append(now_s)
            self._failed.move_to_end((kind, key))
        while len(self._failed) > REMEMBERED:
            self._failed.popitem(last=False)
        return 0.0

    def succeeded(self, name: str, address: str) -> None:
        """It was the right password: what this address has failed at is forgotten."""
        self._failed.pop(("address", address), None)
        for key in (("all", ""), ("user", name)):
            times = self._failed.get(key)
            if times:
                times.pop()
        self._good[name, address] = None
        self._good.move_to_end((name, address))
        while len(self._good) > REMEMBERED:
            self._good.popitem(last=False)

    def untried(self, name: str, address: str, *, sent: bool) -> None:
        """Nobody has said yes or no: what `begin` counted is taken back.

        sent: a directory may have seen the password and counts by itself, so that its name does.
        """
        of_name = () if sent else (("user", name),)
        for key in (("address", address), ("all", ""), *of_name):
            times = self._failed.get(key)
            if times:
                times.pop()

    def __len__(self) -> int:
        return len(self._failed) + len(self._good)

    def _wait_s(self, kind: str, key: str, most: int, now_s: float) -> float:
        times = self._failed.get((kind, key))
        if times is None:
            return 0.0
        while times and times[0] <= now_s - WINDOW_S:
            times.popleft()
        return times[0] + WINDOW_S - now_s if len(times) >= most else 0.0
