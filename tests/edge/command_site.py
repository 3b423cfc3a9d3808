"""A site whose operators differ in rights, and what an attack on it must come to."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from edge.records import Audited, MessageReceived, Publish
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.trust import OperatorRights, TrustSettings
from models.fitting.positions import OperatorPosition
from tests.edge.rig import Rig, knowledge, order, settings
from tests.told import refused_with

CHECK_IN: Final = {
    "action": "check_in",
    "asset": "r1",
    "kind": "calibration",
    "instrument": "x",
    "reason": "as planned",
}
SHELVE: Final = {"asset": "r1", "minutes": 60, "reason": "waiting for the part"}
OUT: Final = {"asset": "r1", "minutes": 60, "reason": "gearbox out"}
OPERATORS: Final = (
    OperatorRights(name="ann"),
    OperatorRights(name="desk", shared=True),
    OperatorRights(name="bob", may=("ack", "feedback")),
    OperatorRights(name="eve", assets=("r11",)),
    OperatorRights(name="joe", positions=("hall 2",)),
    OperatorRights(name="pat", assets=("r1*",)),
)


_RUN: Final[list[bytes]] = []


class Site(Rig):
    """The rig, with operators whose rights differ and answers as they come."""

    def __init__(self, **trust: Any) -> None:  # noqa: ANN401
        conf = settings(
            operator=OPERATORS,
            trust=TrustSettings(**trust),
            position=(OperatorPosition(name="hall 2", assets=("r11",)),),
        )
        super().__init__(conf=conf, known=knowledge(proposals=[order(approved=False)]))
        if not _RUN:  # making it is the slow part, and every test begins with the same plant
            self.run(300)
            _RUN.append(pack(self.engine.state))
        self.engine, self.at = self._engine(unpack(_RUN[0], EngineState)), 300
        self.effects.clear()

    def body(self, **fields: Any) -> bytes:  # noqa: ANN401
        """A payload, sent now."""
        return self.aged(0, **fields)

    def aged(self, age_ms: int, **fields: Any) -> bytes:  # noqa: ANN401
        """A payload, sent so long ago."""
        return msgspec.json.encode({"ts": self.now_ns // 10**6 - age_ms, **fields})

    def say(
        self, operator: str, name: str, payload: bytes, *, retain: bool = False, dup: bool = False
    ) -> dict[str, Any] | None:
        """Send it; returns the answer, None: there was none."""
        topic, before = f"andon/s/cmd/{operator}/{name}", len(self.effects)
        self.give(MessageReceived(topic=topic, payload=payload, received_ns=self.now_ns,
                                  qos=1, retain=retain, dup=dup))  # fmt: skip
        for effect in self.effects[before:]:
            if isinstance(effect, Publish) and effect.topic == f"andon/s/cmd_result/{operator}":
                answer: dict[str, Any] = msgspec.json.decode(effect.payload)
                return answer
        return None

    def trail(self) -> list[Audited]:
        """What was audited."""
        return [effect for effect in self.effects if isinstance(effect, Audited)]

    def count(self, rule: str) -> int:
        """How often a rule has refused."""
        return self.engine.counts().get(f"invalid_{rule}", 0)

    def is_untouched(self) -> bool:
        """Whether nothing is kept quiet by anybody."""
        states = self.engine.state.assets.values()
        return not any(state.runs or state.silences for state in states)


def refused(
    site: Site, operator: str, name: str, payload: bytes, *, rule: str, says: str, **how: bool
) -> Audited | None:
    """Send an attack; it is refused by this rule, counted, and changes nothing.

    Returns its line of the trail; None: it has none.
    """
    before, lines = site.count(rule), len(site.trail())
    answer = site.say(operator, name, payload, **how)
    if not how.get("retain"):
        assert answer is not None
        assert (answer["done"], answer["rule"]) == (False, rule)
        assert says in answer["detail"]
    assert site.count(rule) == before + 1
    assert site.is_untouched()
    new = site.trail()[lines:]
    said = answer["detail"] if answer is not None else "not answered, and in the trail"
    refused_with(f"{rule}: {said}")
    if not new:
        return None
    (line,) = new
    assert (line.what, line.facts["rule"]) == ("command_refused", rule)
    assert (line.facts["operator"], line.facts["command"]) == (operator, name)
    assert says in str(line.facts["detail"])
    return line
