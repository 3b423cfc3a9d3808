"""Other boxes of the site, as a gateway hears them on `fence`.

Lesser ones and claims that no box can have made change nothing, also where somebody writes them
again and again while the gateway starts. One that replaced it takes over for
good, and claims again where the broker forgot that or somebody else claims.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.boxes.fence_key import FILE, fence_key_of
from edge.wire.fence import FENCE_SCHEMA, FencePayload, decode_claim
from edge.wire.outgoing import encode
from tests.sim_gateway.broker import FENCE
from tests.sim_gateway.fate import START_NS

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from edge.boxes.fence_key import FenceKey
    from tests.sim_gateway.broker import Broker
    from tests.sim_gateway.fate import Fate

ANSWER_S_MAX: Final = 1.0  # until it claims again; a box waits longer where nothing stands
TRY_S: Final = 0.3  # between two looks whether the broker is there


def _claim(box: str, *, generation: int, since_ms: int) -> FencePayload:
    return FencePayload(
        schema=FENCE_SCHEMA,
        box=box,
        generation=generation,
        since_ms=since_ms,
        run=box,
        run_ms=since_ms,
        ts_ms=since_ms,
    )


class Rivals:
    """For one seed. `took_over`: one of them speaks for the site from now on."""

    def __init__(self, fate: Fate, broker: Broker, state: Path) -> None:
        """state: the directory of the box, of which they are backups."""
        self._fate, self._broker, self._state = fate, broker, state
        self.took_over = False
        self._spoken = False  # by the box: until then it cannot know whose claims are genuine
        now_ms = START_NS // 1_000_000
        # before any wall clock of ours, however it has stepped, and of a box that begins in 1970
        self._lesser = _claim("lesser", generation=1, since_ms=1)
        self._newer = _claim("newer", generation=2, since_ms=now_ms)
        self._forged = [
            *(
                encode(_claim("forged", generation=generation, since_ms=now_ms))
                for generation in (10**6, 5_000, 0)
            ),
            b'{"schema":"andon/fence/1"}',
            bytes(range(40)),
            b"",
        ]

    def disturb(self) -> None:
        """A box that was replaced comes back, or somebody writes where only boxes may."""
        draw = self._fate.draw
        key, forged = self._key(), self._forged
        if (
            key is not None and self._spoken and not key.fresh
        ):  # higher than the box's own, of whoever has no key
            forged = [*forged, encode(self._newer)]
        lesser = self._lesser if key is None else key.sealed(FENCE, self._lesser)
        self._broker.told(FENCE, draw.choice([encode(lesser), encode(lesser), *forged]))
        self._claim_soon()

    def flood(self, draw: Random) -> None:
        """Somebody writes rubbish there, or clears it, now and again for ever."""
        every_s = draw.choice((0.05, 0.3, 2.0, 4.0))
        kinds = draw.choice((self._forged, [b""], [b"x"]))

        def again() -> None:
            self._broker.told(FENCE, draw.choice(kinds))
            self._claim_soon()
            self._fate.time.at(self._fate.time.now_s + every_s, again)

        again()

    def take_over(self) -> None:
        """One that was restored from a backup begins; without the box's key there is none."""
        key = self._key()
        if key is None:
            return
        self._newer = key.sealed(FENCE, self._newer)
        self.took_over = True
        self._fate.note("another box takes over")
        if self._fate.chance(0.5):  # the same client id
            self._broker.cut()
        self._say()

    def heard(self, topic: str, payload: bytes) -> None:
        """Something was published; of another box it is answered."""
        claim = decode_claim(payload) if topic == FENCE else None
        if claim is not None and claim.box != "newer":
            self._spoken |= claim.box not in ("lesser", "forged")
            self._claim_soon()

    def forgotten(self) -> None:
        """The broker has lost its store."""
        self._claim_soon()

    def _claim_soon(self) -> None:
        if self.took_over:
            fate = self._fate
            fate.time.at(fate.time.now_s + fate.draw.random() * ANSWER_S_MAX, self._say)

    def _say(self) -> None:
        if self._broker.down:
            self._fate.time.at(self._fate.time.now_s + TRY_S, self._say)
            return
        self._broker.told(FENCE, encode(self._newer))

    def _key(self) -> FenceKey | None:
        """The secret that a backup of the box has now."""
        return fence_key_of(self._state) if (self._state / FILE).exists() else None
