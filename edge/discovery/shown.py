"""Shown: findings as tables on a terminal, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.markup import escape
from rich.table import Table

from edge.discovery.messages import MANY_TAGS
from edge.discovery.written import clock_of, pace, rhythm_of_channel

if TYPE_CHECKING:
    from rich.console import Console

    from edge.discovery.findings import Findings, FoundAsset

ASSETS_SHOWN: Final = 40
TAGS_SHOWN: Final = 12  # of one asset; the file has them all
UNREAD_SHOWN: Final = 8
TOLD_WHY: Final = (MANY_TAGS,)  # reasons that say what to do


def show(findings: Findings, *, dropped: int, console: Console) -> None:
    """Print tables of assets and of what was not understood."""
    if findings.assets:
        console.print(_table(findings))
    if len(findings.assets) > ASSETS_SHOWN:
        console.print(f"and {len(findings.assets) - ASSETS_SHOWN} more assets")

    def tell(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    counts = findings.counts
    told = f"{counts.values} messages of values in {findings.seconds:.0f} s"
    others = {
        "of Andon's own": counts.own,
        "commands, not looked at": counts.commands,
        "without values": counts.other,
        "not read": counts.unread,
        "beyond what has room": counts.beyond,
        "came too fast": dropped,
    }
    tell(", ".join([told, *(f"{n} {what}" for what, n in others.items() if n)]))
    for topic, refused in list(findings.refused.items())[:UNREAD_SHOWN]:
        tell(f"not read: {topic}: {refused.count} messages ({refused.reason}), as {refused.begins}")
        if refused.reason in TOLD_WHY:
            tell(f"  {refused.why.removeprefix(topic).removeprefix(': ')}")
    if len(findings.refused) > UNREAD_SHOWN:
        tell(f"and {len(findings.refused) - UNREAD_SHOWN} more topics that were not read")
    for note in findings.notes:
        tell(f"note: {note}")


def _table(findings: Findings) -> Table:
    grid = Table(title="What the broker carries", title_justify="left")
    for name in ("asset", "tag", "what", "unit", "comes", "seen"):
        grid.add_column(name)
    for asset in findings.assets[:ASSETS_SHOWN]:
        _rows(grid, asset)
    return grid


def _rows(grid: Table, asset: FoundAsset) -> None:
    rows = []
    for one in asset.channels:
        unit = f"{one.unit} (guess)" if one.unit_guess else one.unit
        kind = "on_change" if one.held else "cyclic"
        seen = rhythm_of_channel(one).rpartition(", ")[2]
        rows.append((one.tag, kind, unit, pace(one.rhythm), seen))
    for tag in asset.context:
        kind = f"{tag.role} (guess)" + (", witness?" if tag.work else "")
        rows.append((tag.tag, kind, "", "", tag.shown))
    beyond = len(rows) - TAGS_SHOWN
    if beyond > 0:
        rows = [*rows[:TAGS_SHOWN], (f"and {beyond} more", "", "", "", "")]
    heads = [f"[bold]{escape(asset.id)}[/]", escape(asset.shape), escape(clock_of(asset))]
    heads += [""] * (len(rows) - len(heads))
    for i, head in enumerate(heads):
        cells = rows[i] if i < len(rows) else ("",) * 5
        grid.add_row(head, *map(escape, cells), end_section=i == len(heads) - 1)


def as_json(findings: Findings, *, dropped: int) -> bytes:
    """Everything that was found, for scripts; an absent bound of values is null."""
    told: dict[str, Any] = msgspec.to_builtins(findings)
    return msgspec.json.format(msgspec.json.encode(told | {"dropped": dropped}), indent=2)
