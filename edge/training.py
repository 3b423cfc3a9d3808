"""Fitting from recordings: tables and journals as training samples, aligned the way the gateway aligns them."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.align import Aligner, AlignState, AssetLayout
from edge.config import load as load_config
from edge.errors import RecordingError, WireError
from edge.journal import segments
from edge.mapping import load_mapping
from edge.recording import is_journal, journal_messages, parse_rows, read_table
from edge.settings import EngineSettings, GatewaySettings
from edge.wire.readings import decode_readings
from edge.wire.topics import match_source
from models.assemble import make_bundle
from models.bundle import Channel
from models.fit import FitOptions, TrainingSamples, fit_asset
from models.store import load as load_bundle
from models.store import save as save_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from edge.mapping import Mapping
    from edge.recording import TimedMessage
    from edge.records import Readings
    from edge.settings import AssetSettings

ABSENT_SHARE_MAX: Final = 0.2  # with more holes than this, tags do not come together: use a grid
GATEWAY_FILE: Final = "gateway.toml"


def fit_recording(
    path: Path,
    out: Path,
    *,
    into: Path | None,
    rows: str,
    alerts_per_day: float | None,
    mapping_path: Path | None,
    asset: str,
    config_path: Path | None,
    console: Console,
) -> None:
    """Fit the assets of a recording and write a bundle. Raises AndonError or ModelError."""
    begin_s = time.monotonic()
    if is_journal(path):
        samples = journal_samples(path, settings=settings_beside(path, config_path))
    else:
        mapping = load_mapping(mapping_path) if mapping_path else None
        samples = [(table_samples(path, rows=rows, mapping=mapping, asset=asset), "rows")]
    fits = []
    with console.status("fitting") as status:
        for i, (one, alignment) in enumerate(samples):
            status.update(f"fitting {one.asset} ({i + 1} of {len(samples)})")
            fits.append(fit_asset(one, FitOptions(alignment=alignment)))
    bundle = make_bundle(
        fits,
        parent=load_bundle(into) if into else None,
        alerts_per_day=alerts_per_day,
        created_at_ns=time.time_ns(),
    )
    save_bundle(bundle, out)
    took_s = time.monotonic() - begin_s
    console.print(f"{out}: {len(bundle.assets)} assets, {bundle.sha256[:12]}, {took_s:.1f} s")
    for model in bundle.assets:
        console.print(
            f"  {model.asset}: {model.training.rows_used} rows, {len(model.channels)} channels, "
            f"alerts at score {model.threshold_on:.2f}"
        )


def table_samples(path: Path, *, rows: str, mapping: Mapping | None, asset: str) -> TrainingSamples:
    """One asset's samples from a table. Raises RecordingError."""
    table = read_table(
        path, mapping=mapping, rows=parse_rows(rows) if rows else None, asset=asset
    )
    first = parse_rows(rows)[0] or 0 if rows else 0
    return TrainingSamples(
        asset=table.asset,
        channels=tuple(Channel(name=c.name, unit=c.unit) for c in table.channels),
        values=table.values,
        t_ns=table.t_ns if table.has_time else None,
        period_ns=table.period_ns,
        running=table.running,
        sha256=table.sha256,
        rows=(first, first + len(table.values)),
    )


def settings_beside(path: Path, config_path: Path | None) -> GatewaySettings:
    """Settings for a journal: those given, else of a gateway.toml beside it, else the defaults."""
    folder = path if path.is_dir() else path.parent
    for candidate in (config_path, folder / GATEWAY_FILE, folder.parent / GATEWAY_FILE):
        if candidate is not None and candidate.is_file():
            return load_config(candidate).settings
    return GatewaySettings(site="site", clock="plant")


def journal_samples(path: Path, *, settings: GatewaySettings) -> list[tuple[TrainingSamples, str]]:
    """Every asset's samples of a journal, each with its alignment: rows, or grid where tags come apart.

    Raises RecordingError when nothing in it can be read.
    """
    readings: dict[str, list[Readings]] = {}
    for one in _readings(journal_messages(path), settings):
        readings.setdefault(one.asset, []).append(one)
    if not readings:
        raise RecordingError(f"{path}: no message in it can be read as sensor values")
    sha256 = _journal_hash(path)
    assets = {asset.id: asset for asset in settings.asset}
    return [
        _samples(asset, found, assets.get(asset), sha256=sha256)
        for asset, found in sorted(readings.items())
    ]


def _readings(
    messages: Iterator[TimedMessage], settings: GatewaySettings
) -> Iterator[Readings]:
    for message in messages:
        source = match_source(message.topic, settings.source)
        if source is None or message.topic.startswith(f"{settings.prefix}/"):
            continue
        try:
            yield from decode_readings(
                message.payload, topic=message.topic, asset=source[1], received_ns=message.t_ns
            )
        except WireError:
            continue  # the gateway would count it; it is no sample


def _samples(
    asset: str, readings: list[Readings], settings: AssetSettings | None, *, sha256: str
) -> tuple[TrainingSamples, str]:
    context = settings.context if settings is not None else ()
    not_scored = {tag.tag for tag in context}
    names = settings.tags if settings is not None else {}
    units = settings.units if settings is not None else {}
    tags = list(dict.fromkeys(tag for r in readings for tag in r.tags if tag not in not_scored))
    channels = tuple(Channel(name=names.get(tag, tag), unit=units.get(tag, "")) for tag in tags)
    times = np.unique(np.concatenate([r.t_ns for r in readings]))
    period_ns = int(np.median(np.diff(times))) if len(times) > 1 else 1_000_000_000
    given = sum(int(np.isfinite(r.values).sum()) for r in readings)
    absent = 1.0 - given / max(1, len(times) * (len(tags) + len(not_scored)))
    grid = absent > ABSENT_SHARE_MAX
    if grid:
        per_tag = [np.diff(np.sort(_times_of(readings, tag))) for tag in tags]
        period_ns = int(np.median(np.concatenate([d for d in per_tag if len(d)])))
    layout = AssetLayout(
        asset=asset,
        columns={tag: i for i, tag in enumerate([*tags, *(c.tag for c in context)])},
        units=("",) * (len(tags) + len(context)),
        channels=len(tags),
        context=context,
        period_ns=period_ns,
        grid=grid,
        on_change=np.array(
            [names.get(tag, tag) in (settings.on_change if settings else ()) for tag in tags]
            + [True] * len(context)
        ),
    )
    aligner = Aligner([layout], EngineSettings(), state=AlignState())
    batches = []
    for one in readings:
        aligner.push(one, future_ns=2**63 - 1)
        batches += aligner.close(now_ns=0)
    batches += aligner.close(now_ns=0, final=True)
    values = np.concatenate([batch.values for batch in batches]).astype(np.float64)
    samples = TrainingSamples(
        asset=asset,
        channels=channels,
        values=values,
        t_ns=np.concatenate([batch.t_ns for batch in batches]),
        period_ns=period_ns,
        running=np.concatenate([batch.running for batch in batches]),
        sha256=sha256,
        rows=(0, len(values)),
    )
    return samples, "grid" if grid else "rows"


def _times_of(readings: list[Readings], tag: str) -> np.ndarray:
    return np.concatenate([r.t_ns for r in readings if tag in r.tags])


def _journal_hash(path: Path) -> str:
    files = [p for _, p in segments(path)] if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
