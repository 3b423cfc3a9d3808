"""Shown: differences as lines on a terminal, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from edge.rewiring.comparing import Comparison

SHOWN: Final = 60  # differences; JSON has them all


def show(comparison: Comparison, *, console: Console) -> None:
    """Print what differs, what may be done, and how much was heard."""
    found = comparison.found
    if found:
        grid = Table(title="What has changed; nothing is mapped by itself", title_justify="left")
        for name in ("asset", "tag", "what", "found", "what to do"):
            grid.add_column(name, overflow="fold")
        for one in found[:SHOWN]:
            what = f"{one.kind.value}{'?' if one.sure == 'maybe' else ''}"
            cells = (one.asset, one.tag or "(all)", what, one.found, one.do)
            grid.add_row(*map(escape, cells))
        console.print(grid)

    def tell(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    if len(found) > SHOWN:
        tell(f"and {len(found) - SHOWN} more: --json")
    heard = comparison.heard
    told = f"{len(found) or 'no'} differences in {heard.messages} messages"
    told += f" of {comparison.seconds:.0f} s, {len(heard.assets)} assets"
    others = {
        "messages not read": sum(heard.refused.values()),
        "values without a name, as no birth or metadata was heard": heard.nameless,
        "values beyond what has room": heard.beyond,
        "messages came too fast": comparison.dropped,
    }
    tell(", ".join([told, *(f"{n} {what}" for what, n in others.items() if n)]))
    for reason, count in sorted(heard.refused.items()):
        tell(f"not read: {count} messages ({reason})")
    if not comparison.bundle:
        tell(f"names only were compared, as no detector is fitted: {comparison.unfitted}")


def as_json(comparison: Comparison) -> bytes:
    """Everything that was found, for scripts."""
    heard = comparison.heard
    told = {
        "differences": msgspec.to_builtins(comparison.found),
        "bundle": comparison.bundle or None,
        "seconds": round(comparison.seconds, 3),
        "messages": heard.messages,
        "not_read": heard.refused,
        "nameless": heard.nameless,
        "beyond": heard.beyond,
        "dropped": comparison.dropped,
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=2)
