"""A bundle before anything was recorded: of a table of approved limits, which then ring by it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.errors import ConfigError
from edge.samples.limits import newest_limits, strictest
from kb.reading.cleaning import clean
from kb.reading.front_matter import SourceError
from kb.reading.rows import csv_rows, jsonl_rows
from kb.reading.typed_tables import LIMIT_COLUMNS, limit
from kb.retrieval.cite import cite
from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel, is_unfitted
from models.bundles.store import load, save
from models.bundles.unfitted import unfitted

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from kb.reading.rows import Row
    from kb.records import Limit
    from models.bundles.bundle import AssetFit, Bundle

READERS: Final = {".csv": csv_rows, ".jsonl": jsonl_rows}
TABLE_BYTES_MAX: Final = 16 << 20
PERIOD_S_MAX: Final = 86_400.0
ALWAYS_NS: Final = 2**63 - 1


def fit_limits(
    table: Path, out: Path, *, period_s: float, into: Path | None, console: Console
) -> None:
    """Write a bundle of assets of which only limits are known. Raises AndonError or ModelError."""
    if not 0.001 <= period_s <= PERIOD_S_MAX:
        raise ConfigError(
            f"--period is {period_s:g} s, expected 0.001 to {PERIOD_S_MAX:g}: the seconds between"
            " two samples of the plant"
        )
    parent = load(into) if into is not None else None
    fits = assets_of(read_limits(table), period_ns=round(period_s * 1e9))
    _refuse_fitted(table, fits, parent)
    bundle = make_bundle(fits, parent=parent)
    save(bundle, out)
    lines = [f"{out}: {len(bundle.assets)} assets, {bundle.sha256[:12]}"]
    for fit in fits:
        named = ", ".join(f"{channel.name} {channel.unit}".strip() for channel in fit.channels)
        lines.append(f"  {fit.asset}: rings by its limits alone, nothing was learned: {named}")
    lines.append(f"the limits count once {table.name} is in a knowledge base: andon kb build")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def read_limits(table: Path) -> tuple[Limit, ...]:
    """The approved limits of a table; one bad row refuses it. Raises ConfigError."""
    reader = READERS.get(table.suffix.lower())
    if reader is None:
        raise ConfigError(f"{table}: expected a table of limits as .csv or .jsonl")
    try:
        if table.stat().st_size > TABLE_BYTES_MAX:
            raise ConfigError(f"{table} is over {TABLE_BYTES_MAX} bytes: split it by asset")
        text = clean(table.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{table}: {error.strerror}; expected a table of limits") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{table}: no UTF-8; store it as UTF-8") from error
    found: list[Limit] = []
    try:
        rows, bad = reader(text)
        for problem in bad:
            raise problem
        for row in rows:
            _need_columns(row)
            where = {"doc_id": table.name, "revision": ""}
            found.append(limit(row, cite(text, row.start, row.end, chunk_id=0, **where)))
    except SourceError as error:
        raise ConfigError(f"{table}, line {error.line}: {error.cause}; mend the row") from error
    if not found:
        raise ConfigError(f"{table} has no row; `andon kb propose-limits` drafts some from manuals")
    return tuple(found)


def _need_columns(row: Row) -> None:
    if missing := sorted(LIMIT_COLUMNS - row.cells.keys()):
        raise SourceError(row.line, f"columns are missing: {', '.join(missing)}")


def assets_of(limits: tuple[Limit, ...], *, period_ns: int) -> list[AssetFit]:
    """An unfitted asset for each that the limits name, channels in their order."""
    fits = []
    for asset in dict.fromkeys(one.asset for one in limits):
        newest = newest_limits([one for one in limits if one.asset == asset], now_ns=ALWAYS_NS)
        names = dict.fromkeys(one.channel for one in limits if one.asset == asset)
        rows = [newest[name] for name in names]
        units = [first.unit for first, *_ in rows]
        own = [
            strictest([row for row in told if row.unit == unit])
            for told, unit in zip(rows, units, strict=True)
        ]
        fits.append(
            unfitted(
                asset,
                [Channel(name=name, unit=unit) for name, unit in zip(names, units, strict=True)],
                period_ns=period_ns,
                usual_low=np.array([_first(one.low, one.low_low) for one in own]),
                usual_high=np.array([_first(one.high, one.high_high) for one in own]),
            )
        )
    return fits


def _refuse_fitted(table: Path, fits: list[AssetFit], parent: Bundle | None) -> None:
    learned = {m.asset for m in parent.assets if not is_unfitted(m.metrics)} if parent else set()
    if lost := sorted(learned & {fit.asset for fit in fits}):
        raise ConfigError(
            f"{table}: {', '.join(lost)} was learned already, and its limits ring beside what was"
            " learned; leave it out of the table"
        )


def _first(inner: float | None, outer: float | None) -> float:
    return next((level for level in (inner, outer) if level is not None), math.nan)
