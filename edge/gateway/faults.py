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
    from edge.storage.standby import StandbyOutbox


class Faults:
    """Which faults are there now."""

    def __init__(self) -> None:
        self._active: dict[str, str] = {}
        self._dropped = 0  # count at the last look

    @property
    def active(self) -> tuple[str, ...]:
        """Their names, in the order in which they began."""
        return tuple(self._active)

    def judge(self, name: str, detail: str) -> list[ShellFault]:
        """What to tell the engine now that `detail` is wrong with `name`; "" is nothing wrong.

        A fault that goes on is not told again, though its detail may change.
        """
        if detail:
            began = name not in self._active
            self._active[name] = detail
            return [ShellFault(name=name, detail=detail)] if began else []
        if name not in self._active:
            return []
        del self._active[name]
        over = [ShellFault(name=name, detail="it is over", active=False)]
        return over + [ShellFault(name=other, detail=why) for other, why in self._active.items()]

    def look(self, link: Link, outbox: StandbyOutbox, *, checkpoint: str) -> list[ShellFault]:
        """What has begun or ended since the last look; `checkpoint` says why the last one failed.

        Drops are over when none is added. A bug of ours stays until somebody restarts us, and so do
        alerts that were given up: nobody can hear of them while the broker is away.
        """
        dropped = link.counts.dropped_queue_full - self._dropped
        given_up = outbox.given_up_total
        self._dropped = link.counts.dropped_queue_full
        findings = {
            "messages_dropped": f"{dropped} messages found the queue full" if dropped else "",
            "alerts_given_up": f"{given_up} waited too long for the broker, the oldest, but never"
            f" the last word of a topic; {outbox.pending_count()} wait,"
            f" {outbox.waiting_bytes / 1e6:.1f} MB; see [outbox]"
            if given_up
            else "",
            "broker_refuses": link.refusal,
            "link_callback_failed": link.callback_error,
            "checkpoint_failed": checkpoint,
            "outbox_conflict": f"two contents under {outbox.conflict}" if outbox.conflict else "",
        }
        return [told for name, detail in findings.items() for told in self.judge(name, detail)]
