"""The audit trail for people: one row a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from edge.audit.chain import OWN, iso
from edge.logs import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.audit.chain import AuditRecord


def table(records: Iterable[AuditRecord]) -> Table:
    """Records as a table; times are plant time, of the trail's own records our clock."""
    made = Table("no.", "time", "what", "asset", "facts")
    for record in records:
        facts = ", ".join(f"{name} {value}" for name, value in record.facts.items())
        style = "dim" if record.what in OWN else None
        made.add_row(
            str(record.sequence),
            iso(record.t_ns),
            record.what,
            escape(shown(record.asset)),
            escape(shown(facts)),
            style=style,
        )
    return made
