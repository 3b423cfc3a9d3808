"""Fitting from recordings.

Tables and journals as training samples, aligned the way the gateway aligns them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.config import load as load_config
from edge.errors import RecordingError
from edge.journal_table import journal_sha256, readings_by_asset, samples_table
from edge.mapping import load_mapping
from edge.recording import accepted_rows, is_journal, journal_messages, parse_rows, read_table
from edge.settings import AssetSettings, GatewaySettings
from models.assemble import make_bundle
from models.fit import FitOptions, TrainingSamples, fit_asset
from models.store import load as load_bundle
from models.store import save as save_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from rich.console import Console

    from edge.mapping import Mapping
    from edge.recording import Table
    from models.bundle import Bundle

GATEWAY_FILE: Final = "gateway.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRequest:
    """What to fit from where. Empty and None are: not given."""

    recording: Path
    out: Path
    into: Path | None = None  # parent bundle
    rows: str = ""
    alerts_per_day: float | None = None
    mapping: Path | None = None
    asset: str = ""
    config: Path | None = None


def fit_recording(request: FitRequest, *, console: Console) -> None:
    """Fit the assets of a recording and write a bundle. Raises AndonError or ModelError."""
    path, into = request.recording, request.into
    begin_s = time.monotonic()
    if is_journal(path):
        refuse_table_options(path, rows=request.rows, asset=request.asset, mapping=request.mapping)
        samples = journal_samples(path, settings=settings_beside(path, request.config))
    else:
        mapping = load_mapping(request.mapping) if request.mapping else None
        table = table_samples(path, rows=request.rows, mapping=mapping, asset=request.asset)
        samples = [(table, "rows")]
    with console.status("fitting") as status:
        bundle = fit_bundle(
            samples,
            parent=load_bundle(into) if into else None,
            alerts_per_day=request.alerts_per_day,
            on_asset=lambda name: status.update(f"fitting {name}"),
        )
    save_bundle(bundle, request.out)
    took_s = time.monotonic() - begin_s
    console.print(
        f"{request.out}: {len(bundle.assets)} assets, {bundle.sha256[:12]}, {took_s:.1f} s"
    )
    for model in bundle.assets:
        console.print(
            f"  {model.asset}: {model.training.rows_used} rows, {len(model.channels)} channels, "
            f"alerts at score {model.threshold_on:.2f}"
        )


def refuse_table_options(path: Path, *, rows: str, asset: str, mapping: Path | None) -> None:
    """A journal names its assets and times itself. Raises RecordingError for what it cannot take.

    Left out in silence, an option would give another result than was asked for.
    """
    given = {"--rows": rows, "--asset": asset, "--mapping": mapping}
    useless = [name for name, value in given.items() if value]
    if useless:
        raise RecordingError(f"{path} is a journal: {', '.join(useless)} is for tables; leave out")


def fit_bundle(
    samples: Sequence[tuple[TrainingSamples, str]],
    *,
    parent: Bundle | None = None,
    alerts_per_day: float | None = None,
    on_asset: Callable[[str], object] = str,
) -> Bundle:
    """Fit each asset with its alignment and join them with `parent`'s; `on_asset` hears of each.

    Raises ModelError.
    """
    fits = []
    for one, alignment in samples:
        on_asset(one.asset)
        fits.append(fit_asset(one, FitOptions(alignment=alignment)))
    return make_bundle(
        fits, parent=parent, alerts_per_day=alerts_per_day, created_at_ns=time.time_ns()
    )


def table_samples(path: Path, *, rows: str, mapping: Mapping | None, asset: str) -> TrainingSamples:
    """One asset's samples of a table. Raises RecordingError."""
    chosen = parse_rows(rows) if rows else (None, None)
    table = read_table(path, mapping=mapping, rows=chosen, asset=asset)
    return samples_of(table, taken=accepted_rows(table))


def settings_beside(path: Path, config_path: Path | None) -> GatewaySettings:
    """Settings for a journal: those given, else of a gateway.toml beside it, else the defaults."""
    folder = path if path.is_dir() else path.parent
    for candidate in (config_path, folder / GATEWAY_FILE, folder.parent / GATEWAY_FILE):
        if candidate is not None and candidate.is_file():
            return load_config(candidate).settings
    return GatewaySettings(site="site", clock="plant")


def journal_samples(path: Path, *, settings: GatewaySettings) -> list[tuple[TrainingSamples, str]]:
    """Every asset's samples of a journal, each with its alignment.

    Rows, or grid where tags come apart.

    Raises RecordingError when nothing in it can be read.
    """
    readings = readings_by_asset(journal_messages(path), sources=settings.source)
    if not readings:
        raise RecordingError(f"{path}: no message in it can be read as sensor values")
    sha256 = journal_sha256(path)
    assets = {asset.id: asset for asset in settings.asset}
    samples = []
    for name, found in sorted(readings.items()):
        asset = assets.get(name) or AssetSettings(id=name)
        table = samples_table(path, asset, found, sha256=sha256)
        samples.append((samples_of(table), table.alignment))
    return samples


def samples_of(table: Table, *, taken: NDArray[np.intp] | None = None) -> TrainingSamples:
    """A table's rows as training samples.

    `taken` (m,) are those that alignment would keep, None: all.
    """
    rows = np.arange(len(table.values)) if taken is None else taken
    return TrainingSamples(
        asset=table.asset,
        channels=table.channels,
        values=table.values[rows],
        t_ns=table.t_ns[rows] if table.has_time else None,
        period_ns=table.period_ns,
        running=None if table.running is None else table.running[rows],
        sha256=table.sha256,
        rows=(table.row_first, table.row_first + len(table.values)),
    )
