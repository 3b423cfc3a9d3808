"""Faults of the shell that operators must hear of, while they last.

They enter the engine as stimuli, so they stand in the journal like everything else that rings. The
alert topic of the gateway holds one of them at a time: when one ends, those that go on are said
again, or the topic would read as if all were well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.brokers.link import INPUT
from edge.records import ShellFault
from edge.storage.disk import CLOCK

if TYPE_CHECKING:
    from edge.brokers.link import Link
    from edge.brokers.links import LinkPair
    from edge.storage.disk import Clock
    from edge.storage.standby import StandbyOutbox

LOST_S: Final = 10.0  # without the input broker; a restart of it takes less


class Faults:
    """Which faults are there now."""

    def __init__(self, clock: Clock = CLOCK) -> None:
        self._clock = clock
        self._active: dict[str, str] = {}
        self._broker_dropped = 0  # at the last look

    @property
    def active(self) -> tuple[str, ...]:
        """Their names, in the order in which they began."""
        return tuple(self._active)

    def judge(self, name: str, detail: str, *, anew: bool = False) -> list[ShellFault]:
        """What to tell the engine now that `detail` is wrong with `name`; "" is nothing wrong.

        A fault that goes on is not told again, though its detail may change; only with `anew` is
        another detail news.
        """
        if detail:
            began = name not in self._active or (anew and self._active[name] != detail)
            self._active[name] = detail
            return [ShellFault(name=name, detail=detail)] if began else []
        if name not in self._active:
            return []
        del self._active[name]
        over = [ShellFault(name=name, detail="it is over", active=False)]
        return over + [ShellFault(name=other, detail=why) for other, why in self._active.items()]

    def look(
        self, link: Link | LinkPair, outbox: StandbyOutbox, *, checkpoint: str
    ) -> list[ShellFault]:
        """What has begun or ended since the last look; `checkpoint` says why the last one failed.

        A bug of ours stays until somebody restarts us, and so do
        alerts that were given up: nobody can hear of them while the broker is away.
        """
        dropped = link.counts.broker_dropped - self._broker_dropped
        self._broker_dropped = link.counts.broker_dropped
        given_up = outbox.given_up_total
        findings = {
            "alerts_given_up": f"{given_up} waited too long for the broker, the oldest, but never"
            f" the last word of a topic; {outbox.pending_count()} wait,"
            f" {outbox.waiting_bytes / 1e6:.1f} MB; see [outbox]"
            if given_up
            else "",
            **_of_links(link.links, self._clock.wall_ns() / 1e9),
            "broker_drops": f"the broker dropped {dropped} messages" if dropped else "",
            "checkpoint_failed": checkpoint,
            "outbox_conflict": f"two contents under {outbox.conflict}" if outbox.conflict else "",
        }
        return [told for name, detail in findings.items() for told in self.judge(name, detail)]


def _of_links(links: tuple[Link, ...], now_s: float) -> dict[str, str]:
    """What is wrong with each; of two, the name of a fault says which."""
    found: dict[str, str] = {}
    for link in links:
        which = f"{link.name}_" if link.name else ""
        ending = [said for span in link.spans if (said := span.trouble(now_s))]
        found |= {
            f"{which}broker_refuses": f"broker {link.broker}: {link.refusal}" * bool(link.refusal),
            f"{which}client_id_shared": link.rival,
            f"{which}certificate_ends": f"broker {link.broker}: {'; '.join(ending)}" * bool(ending),
            f"{which}link_callback_failed": link.callback_error,
        }
        if link.name == INPUT:  # the output's own absence nobody could hear of
            cause = f": {link.cause}" if link.cause else ""
            lost = f"broker {link.broker}: no values come for {LOST_S:.0f} s or more{cause}"
            found["input_broker_lost"] = lost * (link.away_s >= LOST_S)
    return found
