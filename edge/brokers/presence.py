"""Whether the brokers are there, for the log: what came, what went, what stays away, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.records import Note

if TYPE_CHECKING:
    from edge.brokers.link import Link
    from edge.brokers.links import LinkPair

ALONE_S: Final = 3.0  # without a broker, until we say so
ALONE_AGAIN_S: Final = 300.0


class Presence:
    """Looks at each link, and says each change once."""

    def __init__(self) -> None:
        self._there: dict[str, bool] = {}
        self._alone_due_s: dict[str, float] = {}

    def look(self, line: Link | LinkPair, now_s: float) -> list[Note]:
        """What the log is to say now; mostly nothing."""
        return [note for link in line.links for note in self._of(link, now_s)]

    def _of(self, link: Link, now_s: float) -> list[Note]:
        there, name = link.connected, link.name
        fields: dict[str, str | int | float] = {"to": link.broker}
        if name:
            fields["broker"] = name
        if link.cause and not there:
            fields["cause"] = link.cause
        due_s = self._alone_due_s.setdefault(name, now_s + ALONE_S)
        if there != self._there.get(name, False):
            self._there[name] = there
            self._alone_due_s[name] = now_s + ALONE_S
            said, level = ("connected", "info") if there else ("disconnected", "warning")
            if there and (why := link.reads_plainly):
                level, fields["reads_plainly"] = "warning", why
            return [Note(name=said, level=level, fields=fields)]
        if there or now_s < due_s:
            return []
        self._alone_due_s[name] = now_s + ALONE_AGAIN_S
        again = {**fields, "doing": "trying again and again"}
        return [Note(name="no_broker", level="warning", fields=again)]
