"""Faults of the shell that operators must hear of, while they last.

They enter the engine as stimuli, so they stand in the journal like everything else that rings. The
alert topic of the gateway holds one of them at a time: when one ends, those that go on are said
again, or the topic would read as if all were well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.records import ShellFault

if TYPE_CHECKING:
    from edge.gateway.link import Link
    from edge.storage.outbox import Outbox


class Faults:
    """Which faults are there now."""

    def __init__(self) -> None:
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

    def look(self, link: Link, outbox: Outbox, *, checkpoint: str) -> list[ShellFault]:
        """What has begun or ended since the last look; `checkpoint` says why the last one failed.

        A bug of ours stays until somebody restarts us, and so do
        alerts that were given up: nobody can hear of them while the broker is away.
        """
        dropped = link.counts.broker_dropped - self._broker_dropped
        self._broker_dropped = link.counts.broker_dropped
        given_up = outbox.given_up_total
        findings = {
            "alerts_given_up": f"{given_up} waited too long for the broker" if given_up else "",
            "broker_refuses": link.refusal,
            "broker_drops": f"the broker dropped {dropped} messages" if dropped else "",
            "link_callback_failed": link.callback_error,
            "checkpoint_failed": checkpoint,
            "outbox_conflict": f"two contents under {outbox.conflict}" if outbox.conflict else "",
        }
        return [told for name, detail in findings.items() for told in self.judge(name, detail)]
