"""A table of channels, as an engineer keeps one: `channel,unit,aliases,asset`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kb.drafts.channel_names import KnownChannel
from kb.errors import KnowledgeError
from kb.reading.front_matter import SourceError, is_asset_id
from kb.reading.rows import csv_rows

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kb.records import Sensor


def channel_table(path: Path) -> tuple[list[KnownChannel], list[str]]:
    """Channels and assets of a CSV table with a column `channel`. Raises KnowledgeError.

    The columns `unit`, `aliases` (with `;` between them) and `asset` may be missing.
    """
    try:
        rows, bad = csv_rows(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, SourceError) as error:
        raise KnowledgeError(f"{path}: {error}") from error
    if bad:
        raise KnowledgeError(f"{path}, line {bad[0].line}: {bad[0].cause}")
    if not rows or "channel" not in rows[0].cells:
        raise KnowledgeError(f"{path}: no column `channel`; expected channel,unit,aliases,asset")
    channels = [
        KnownChannel(
            name=row.cells["channel"],
            unit=row.cells.get("unit", ""),
            aliases=_parts(row.cells.get("aliases", "")),
        )
        for row in rows
        if row.cells["channel"]
    ]
    assets = [row.cells.get("asset", "") for row in rows]
    return channels, list(dict.fromkeys(asset for asset in assets if is_asset_id(asset)))


def of_sensors(sensors: Iterable[Sensor]) -> list[KnownChannel]:
    """Channels of a snapshot's sensor tables."""
    return [KnownChannel(name=s.channel, unit=s.unit, aliases=s.aliases) for s in sensors]


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in re.split(r"[;|]", text) if part.strip())
