"""Escalation: what nobody has acknowledged in its time to respond rings once more, a class higher.

Once an event, and only where `[engine] escalate` asks for it. What is suppressed, silenced by hand
or explained by work that became known later does not ring, so it does not escalate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.alerts.rationale import of_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.alerts.alerts import AlertRecord
    from edge.settings import AssetSettings, EngineSettings
    from edge.state import AssetState

MINUTE_NS: Final = 60_000_000_000


class Escalation:
    """Watches the alerts of one asset. Times are plant time, ns."""

    def __init__(
        self,
        settings: AssetSettings,
        engine: EngineSettings,
        *,
        state: AssetState,
        publish: Callable[..., None],
    ) -> None:
        self._settings, self._escalates = settings, engine.escalate
        self._state = state
        self._publish = publish

    def due(self) -> list[int]:
        """When each alert that waits would escalate; no time where nothing does."""
        if not self._escalates:
            return []
        records = self._state.alerts.values()
        return [self._due_ns(record) for record in records if self._waits(record)]

    def turn(self, t_ns: int) -> None:
        """Ring what has waited long enough by a time."""
        if not self._escalates:
            return
        for record in self._state.alerts.values():
            if self._waits(record) and self._due_ns(record) <= t_ns:
                record.escalated, record.quiet = True, False
                record.rung += 1
                within = f"not acknowledged in {self._respond_min(record)} min"
                reason = f"{within}: a class of severity higher"
                self._publish(record, t_ns=t_ns, reason=reason)

    def _due_ns(self, record: AlertRecord) -> int:
        return record.waits_ns + self._respond_min(record) * MINUTE_NS

    def _respond_min(self, record: AlertRecord) -> int:
        return of_record(record, self._settings).respond_min or 0

    def _waits(self, record: AlertRecord) -> bool:
        waits = record.waits_ns > 0 and not record.escalated and not record.excused_by
        return waits and self._respond_min(record) > 0
