"""Other boxes of the site, as a gateway hears them on `fence`.

Lesser ones and claims that no box can have made change nothing. One that replaced it takes over for
good, and claims again where the broker forgot that or somebody else claims.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.wire.fence import FENCE_SCHEMA, FencePayload, decode_claim
from edge.wire.outgoing import encode
from tests.sim_gateway.broker import FENCE
from tests.sim_gateway.fate import START_NS

if TYPE_CHECKING:
    from tests.sim_gateway.broker import Broker
    from tests.sim_gateway.fate import Fate

ANSWER_S_MAX: Final = 1.0  # until it claims again; a box waits longer where nothing stands
TRY_S: Final = 0.3  # between two looks whether the broker is there


def _claim(box: str, *, generation: int, since_ms: int) -> bytes:
    run_ms = since_ms
    return encode(
        FencePayload(
            schema=FENCE_SCHEMA,
            box=box,
            generation=generation,
            since_ms=since_ms,
            run=box,
            run_ms=run_ms,
            ts_ms=since_ms,
        )
    )


class Rivals:
    """For one seed. `took_over`: one of them speaks for the site from now on."""

    def __init__(self, fate: Fate, broker: Broker) -> None:
        self._fate, self._broker = fate, broker
        self.took_over = False
        now_ms = START_NS // 1_000_000
        # before any wall clock of ours, however it has stepped
        self._lesser = _claim("lesser", generation=1, since_ms=now_ms - 10**9)
        self._newer = _claim("newer", generation=2, since_ms=now_ms)
        self._forged = [
            _claim("forged", generation=10**6, since_ms=now_ms),
            _claim("forged", generation=5_000, since_ms=now_ms),
            _claim("forged", generation=0, since_ms=now_ms),
            b'{"schema":"andon/fence/1"}',
            bytes(range(40)),
            b"",
        ]

    def disturb(self) -> None:
        """A box that was replaced comes back, or somebody writes where only boxes may."""
        draw = self._fate.draw
        self._broker.told(FENCE, draw.choice([self._lesser, self._lesser, *self._forged]))
        self._claim_soon()

    def take_over(self) -> None:
        """One that was restored from a backup begins."""
        self.took_over = True
        self._fate.note("another box takes over")
        if self._fate.chance(0.5):  # the same client id
            self._broker.cut()
        self._say()

    def heard(self, topic: str, payload: bytes) -> None:
        """Something was published; of another box it is answered."""
        claim = decode_claim(payload) if topic == FENCE else None
        if claim is not None and claim.box != "newer":
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
        self._broker.told(FENCE, self._newer)
