"""Shelf: what an operator's silence means for the alerts of one asset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.alerts.explain import clock_text
from edge.work.commission import shadowed
from edge.work.silencing import SilenceKind, covered

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.alerts.alerts import AlertRecord
    from edge.desk import Desk
    from edge.state import AssetState
    from edge.work.silencing import Silence

# began, ended, as the audit trail says it
AUDITED: Final = {
    SilenceKind.SHELVED: ("shelved", "unshelved"),
    SilenceKind.OUT_OF_SERVICE: ("out_of_service", "in_service"),
}


class Shelf:
    """Tells on one asset's alerts that an operator silences them, and that it is over."""

    def __init__(self, state: AssetState, *, desk: Desk, publish: Callable[..., None]) -> None:
        self._state = state
        self._desk = desk
        self._publish = publish

    def flag(self, record: AlertRecord, *, t_ns: int) -> None:
        """Set an alert's flags as they are at a plant time, ns.

        Where acknowledgements are the SCADA's no alert waits here to be seen, so none is of ours.
        """
        if self._desk.settings.engine.scada_acks:
            record.acknowledge()
        silences, track = self._state.silences, record.track
        record.shelved = covered(silences, SilenceKind.SHELVED, track, t_ns)
        record.out_of_service = covered(silences, SilenceKind.OUT_OF_SERVICE, track, t_ns)
        record.shadow = shadowed(self._state, record, self._desk, t_ns=t_ns)

    def turn(self, t_ns: int) -> None:
        """Begin and end what is due at a plant time, ns."""
        for silence in list(self._state.silences):
            if not silence.begun and silence.begin_ns <= t_ns:
                silence.begun = True
                self._turned(silence, t_ns=t_ns, over=False)
            if silence.begun and silence.end_ns <= t_ns:
                self._state.silences.remove(silence)
                self._turned(silence, t_ns=t_ns, over=True)

    def _turned(self, silence: Silence, *, t_ns: int, over: bool) -> None:
        """Its alerts say so; what is active when it is over rings."""
        word = silence.kind.replace("_", " ")
        reason = f"{word} by {silence.operator} until {clock_text(silence.end_ns)}"
        if over:
            reason = f"{word}: ended by {silence.ended_by or 'itself'}"
        for record in self._state.alerts.values():
            if not record.alert_id or silence.track not in (None, record.track):
                continue
            self.flag(record, t_ns=t_ns)
            if over:
                record.unsilence()
            self._publish(record, t_ns=t_ns, reason=reason)
        began, ended = AUDITED[silence.kind]
        self._desk.audited(
            ended if over else began,
            asset=self._state.asset,
            t_ns=t_ns,
            operator=silence.ended_by if over else silence.operator,
            owner=silence.owner,
            track=silence.track or "",
            detail=reason if over else silence.reason,
        )
