"""A weld cell whose fault rings now: dashboards show the time of day, and commands carry it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from simulator.publish import SECOND_NS
from tests.broker.cells import make_cell
from tests.broker.gateways import newest_health, publish
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from edge.recordings.recording import TimedMessage
    from tests.broker.cells import Cell
    from tests.broker.conftest import Mosquitto
    from tests.broker.gateways import Subscriber

# Seconds of the shift: robot 1 rings for good, and is over. The tests see whether it is so.
RINGING_S: Final = 3_640
LATER_S: Final = 4_000  # it rings still; minutes have passed
OVER_S: Final = 4_500
ROOT: Final = "andon/weldcell"
ALERT: Final = f"{ROOT}/alert/r1/process"


@dataclass(slots=True, kw_only=True)
class Plant:
    """The cell, and how far its shift was told to a broker."""

    cell: Cell
    broker: Mosquitto
    heard: Subscriber
    told: int = 0

    def until(self, second: int) -> None:
        """Tell the shift on, and wait until the gateway has taken it and said what follows."""
        end_ns = self.cell.scenario.begin_ns + second * SECOND_NS
        messages: list[TimedMessage] = [
            message for message in self.cell.messages[self.told :] if message.t_ns < end_ns
        ]
        assert messages, "the shift is further than that"
        publish(self.broker.port, messages)
        self.told += len(messages)
        newest_health(
            self.heard,
            lambda health: (
                health["plant_ms"] >= messages[-1].t_ns // 1_000_000
                and health["queue_depth"] == 0
                and health["outbox_pending"] == 0
            ),
            what=f"second {second} of the shift",
        )

    def alert(self, **expected: object) -> Any:  # noqa: ANN401 - as JSON holds it
        """The newest word about robot 1, waited for until it is as expected."""
        found: list[Any] = []

        def look() -> bool:
            said = [one.body for one in self.heard.of("alert") if one.topic == ALERT]
            found[:] = said[-1:]
            return bool(said) and expected.items() <= said[-1].items()

        wait_until(look, seconds_max=60.0, what=f"an alert with {expected}")
        return found[0]


def cell_of_now(folder: Path) -> Cell:
    """A cell whose shift began so that its fault rings about now."""
    start_ns = (int(time.time()) - RINGING_S) * SECOND_NS
    return make_cell(folder, start_ns=start_ns)
