"""A reload in the middle of a shift, wherever it falls, changes no verdict, job, silence or ack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.handover import handed_over
from edge.records import Publish
from edge.settings import ContextTag
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from tests.edge.rig import Rig, knowledge, order

if TYPE_CHECKING:
    from edge.records import Stimulus
    from edge.settings import GatewaySettings

KINDS: Final = ("event", "alert", "job", "cmd_result")


def elsewhere(before: GatewaySettings) -> GatewaySettings:
    """Settings that mean the same: one more context tag, before the others, that never comes."""
    (r1,) = before.asset
    more = ContextTag(tag="recipe", role="info")
    r1 = msgspec.structs.replace(r1, context=(more, *r1.context))
    return msgspec.structs.replace(before, asset=(r1,))


class Reloaded(Rig):
    """A rig that takes over other settings before its stimulus number `at_stimulus`."""

    def __init__(self, at_stimulus: int | None = None) -> None:
        super().__init__(known=knowledge(proposals=[order()]))
        self._at_stimulus, self._count = at_stimulus, 0

    def give(self, stimulus: Stimulus, *, now_ns: int | None = None) -> None:
        """Take over where it is time, as a gateway does over a checkpoint."""
        if self._count == self._at_stimulus:
            after = elsewhere(self.settings)
            state = handed_over(self.engine.state, self.settings, after)
            self.settings = after
            self.engine = self._engine(unpack(pack(state), EngineState))
        self._count += 1
        super().give(stimulus, now_ns=now_ns)

    def said_of_all(self) -> list[tuple[str, bytes]]:
        """Everything that people see, in order."""
        return [
            (effect.topic, effect.payload)
            for effect in self.effects
            if isinstance(effect, Publish) and effect.topic.split("/")[2] in KINDS
        ]

    @property
    def stimuli(self) -> int:
        """How many came."""
        return self._count


def shift(rig: Reloaded) -> None:
    """A job that keeps an event quiet, an alert that is acknowledged, one shelved, a gap."""
    rig.run(295)
    rig.context["cal"] = 1.0
    rig.run(40, {"c1": 9.0})
    rig.run(80)
    rig.context["cal"] = 0.0
    rig.run(40)
    rig.run(60, other={"c2": 12.0})
    for event in rig.events("r11"):
        rig.command("ack", alert_id=event["id"])
    rig.command("shelve", asset="r11", track="process", minutes=5)
    rig.run(120)
    rig.run(60, {"c3": 12.0}, other={"c1": 12.0})
    rig.run(60, silent=["r11"])
    rig.run(90)


@pytest.fixture(scope="module")
def whole() -> Reloaded:
    """The shift without a reload."""
    rig = Reloaded()
    shift(rig)
    return rig


def test_the_shift_has_all_of_it(whole: Reloaded) -> None:
    """Otherwise nothing is shown by what stays."""
    assert "suppressed" in whole.said()
    assert "ALERT" in whole.said()
    assert any(event["acked"] for event in whole.events("r11"))
    assert any(event["shelved"] for event in whole.events("r11"))
    assert whole.said("r11", "comms")
    assert whole.runs


@pytest.mark.parametrize("part", range(24))
@pytest.mark.not_counted
def test_a_reload_changes_nothing_that_is_said(whole: Reloaded, part: int) -> None:
    """Byte for byte, at each of 24 places between two stimuli."""
    at = 1 + part * (whole.stimuli - 2) // 23
    rig = Reloaded(at)
    shift(rig)
    assert rig.said_of_all() == whole.said_of_all()
    assert rig.settings != whole.settings
