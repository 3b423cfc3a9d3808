"""Fitting from recordings.

Tables and journals as training samples, aligned the way the gateway aligns them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.bundles.fit_words import changed, described, listed
from edge.bundles.work_times import WorkTimes, read_jobs, texts_of, touched
from edge.configuration.config import load as load_config
from edge.configuration.config import need_bundle
from edge.configuration.position_settings import need_assets
from edge.errors import ConfigError, RecordingError
from edge.recordings.mapping import load_mapping
from edge.recordings.recording import (
    accepted_rows,
    is_journal,
    journal_messages,
    parse_rows,
    read_table,
)
from edge.settings import AssetSettings, GatewaySettings
from edge.storage.journal_table import (
    journal_sha256,
    readings_by_asset,
    samples_table,
    sends_numbers,
)
from edge.wire.topics import Topics
from models.bundles.assemble import make_bundle
from models.bundles.store import load as load_bundle
from models.bundles.store import save as save_bundle
from models.errors import ModelError
from models.fitting.conv import CONV, fit_conv
from models.fitting.fit import FitOptions, fit_asset, options_of
from models.fitting.kinds import DETECTORS, detector_kind
from models.fitting.season import UTC_CLOCKS
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from rich.console import Console

    from edge.recordings.mapping import Mapping
    from edge.recordings.recording import Table
    from edge.storage.journal_table import Heard
    from models.bundles.bundle import Bundle
    from models.fitting.positions import OperatorPosition

GATEWAY_FILE: Final = "gateway.toml"
MILLISECOND_NS: Final = 1_000_000
LEFT_OUT_SHOWN_MAX: Final = 8  # lines


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRequest:
    """What to fit from where. Empty and None are: not given.

    recording None: nothing is fitted, the budget of the parent is divided anew.
    """

    recording: Path | None
    out: Path
    into: Path | None = None  # parent bundle
    rows: str = ""
    alerts_per_day: float | None = None
    detector: str = "auto"
    find_modes: bool = False
    mapping: Path | None = None
    asset: str = ""
    config: Path | None = None
    jobs: Path | None = None  # a file of jobs, and a snapshot with orders: rows not to learn from
    kb: Path | None = None
    without: tuple[str, ...] = ()  # assets of the parent that are gone


def fit_recording(request: FitRequest, *, console: Console) -> None:
    """Fit the assets of a recording and write a bundle. Raises AndonError or ModelError.

    Without a recording and a budget it is refused: a child like its parent is not what was meant.
    """

    def tell(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    begin_s = time.monotonic()
    if request.detector not in (*DETECTORS, CONV):  # said before a long record is read
        kinds = ", ".join((*DETECTORS, CONV))
        raise ModelError(f"there is no detector {request.detector!r}; there are {kinds}")
    parent = load_bundle(need_bundle(request.into)) if request.into else None
    samples = requested_samples(request, tell) if request.recording is not None else []
    positions = requested_positions(request, samples, parent, tell)
    divides = request.alerts_per_day is not None or positions is not None
    if request.recording is None and not (divides or request.without):
        raise ConfigError(
            f"{request.config} has no [[position]], so there is no budget to divide anew; add one,"
            " give --alerts-per-day, or name a recording to fit"
        )
    with console.status("fitting") as status:
        bundle = fit_bundle(
            samples,
            parent=parent,
            alerts_per_day=request.alerts_per_day,
            positions=positions,
            detector=request.detector,
            find_modes=request.find_modes,
            without=request.without,
            on_asset=lambda name: status.update(f"fitting {name}"),
        )
    save_bundle(bundle, request.out)
    took_s = time.monotonic() - begin_s
    tell(f"{request.out}: {len(bundle.assets)} assets, {bundle.sha256[:12]}, {took_s:.1f} s")
    fitted = {one.asset: one for one, _ in samples}
    for line in (*described(bundle, fitted), *changed(bundle, parent, fitted)):
        tell(f"  {line}")


def requested_samples(
    request: FitRequest, tell: Callable[[str], object]
) -> list[tuple[TrainingSamples, str]]:
    """What is to be fitted, each with its alignment. Raises AndonError."""
    path = request.recording
    assert path is not None, "only what has one is read"
    if not is_journal(path):
        if request.config is None or not load_config(request.config).position:
            refuse_journal_options(path, config=request.config)
        mapping = load_mapping(request.mapping) if request.mapping else None
        work = _work(request, GatewaySettings(site="site"))
        table = table_samples(
            path, rows=request.rows, mapping=mapping, asset=request.asset, work=work
        )
        return [(table, "rows")]
    refuse_table_options(path, rows=request.rows, asset=request.asset, mapping=request.mapping)
    file = settings_file(path, request.config)
    none = "no --config and no gateway.toml beside it: every number that was sent is a channel"
    tell(f"{path}: tags and context are those of {file}" if file else f"{path}: {none}")
    settings = settings_beside(path, file)
    return journal_samples(path, settings=settings, tell=tell, work=_work(request, settings))


def requested_positions(
    request: FitRequest,
    samples: Sequence[tuple[TrainingSamples, str]],
    parent: Bundle | None,
    tell: Callable[[str], object],
) -> tuple[OperatorPosition, ...] | None:
    """Operator positions of the configuration; None: it has none, and the parent's count.

    Raises ConfigError where one names an asset that is nowhere.
    """
    path = request.recording
    journal = path is not None and is_journal(path)
    file = settings_file(path, request.config) if path and journal else request.config
    config = load_config(file) if file is not None else None
    if config is None or file is None or not config.position:
        return None
    assets = [one.asset for one, _ in samples]
    kept = [model.asset for model in parent.assets] if parent else []
    assets += [name for name in kept if name not in request.without]
    for pattern in need_assets(config, file, assets):
        tell(f"{file}: [[position]] has {pattern!r}, which matches no asset so far")
    if not journal:
        tell(f"{file}: of it [[position]] alone counts here")
    return config.position


def _work(request: FitRequest, settings: GatewaySettings) -> WorkTimes:
    """Work that is told besides the recording itself."""
    work = WorkTimes(settings, texts_of(request.kb))
    work.take_orders()
    if request.jobs is not None:
        work.take_jobs(read_jobs(request.jobs))
    return work


def refuse_journal_options(path: Path, *, config: Path | None) -> None:
    """A table's columns are named by its mapping. Raises RecordingError for a configuration."""
    if config is not None:
        raise RecordingError(
            f"{path} is a table: --config is for journals, leave it out; "
            "[context] of its mapping says which columns are no signals"
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
    positions: Sequence[OperatorPosition] | None = None,
    detector: str = "auto",
    find_modes: bool = False,
    without: Sequence[str] = (),
    on_asset: Callable[[str], object] = str,
) -> Bundle:
    """Fit each asset with its alignment and join them with `parent`'s; `on_asset` hears of each.

    alerts_per_day, positions, without: as in make_bundle. detector, find_modes: as in FitOptions;
    with auto, an asset that the parent has keeps its kind.
    Raises ModelError.
    """
    if detector == CONV:
        return make_bundle(
            fit_conv(samples, tell=on_asset),
            parent=parent,
            alerts_per_day=alerts_per_day,
            positions=positions,
            without=without,
            created_at_ns=time.time_ns(),
        )
    chosen = []
    for one, alignment in samples:
        options = FitOptions(detector=detector)
        if parent is not None and detector == "auto":
            options = options_of(parent, one.asset)
        if find_modes:
            options = msgspec.structs.replace(options, find_modes=True)
        detector_kind(one, options.detector)  # refused before anything is fitted
        chosen.append((one, msgspec.structs.replace(options, alignment=alignment)))
    fits = []
    for one, options in chosen:
        on_asset(one.asset)
        fits.append(fit_asset(one, options))
    return make_bundle(
        fits,
        parent=parent,
        alerts_per_day=alerts_per_day,
        positions=positions,
        without=without,
        created_at_ns=time.time_ns(),
    )


def table_samples(
    path: Path, *, rows: str, mapping: Mapping | None, asset: str, work: WorkTimes | None = None
) -> TrainingSamples:
    """One asset's samples of a table, without rows that `work` may have touched.

    Raises RecordingError.
    """
    chosen = parse_rows(rows) if rows else (None, None)
    table = read_table(path, mapping=mapping, rows=chosen, asset=asset)
    if work is not None:
        work.take_table(table)
    zone = mapping.time.zone if mapping and mapping.time.zone else UTC_CLOCKS.zone
    return samples_of(table, taken=accepted_rows(table), work=work, zone=zone)


def settings_file(path: Path, config_path: Path | None) -> Path | None:
    """The configuration for a journal: the given one, else a gateway.toml beside it, else None."""
    folder = path if path.is_dir() else path.parent
    for candidate in (config_path, folder / GATEWAY_FILE, folder.parent / GATEWAY_FILE):
        if candidate is not None and candidate.is_file():
            return candidate
    return None


def settings_beside(path: Path, config_path: Path | None) -> GatewaySettings:
    """Settings for a journal: those of `settings_file`, or the defaults."""
    file = settings_file(path, config_path)
    return load_config(file).settings if file else GatewaySettings(site="site", clock="plant")


def journal_samples(
    path: Path,
    *,
    settings: GatewaySettings,
    tell: Callable[[str], object] = str,
    work: WorkTimes | None = None,
) -> list[tuple[TrainingSamples, str]]:
    """Every asset's samples of a journal, each with its alignment.

    Rows, or grid where tags come apart. `tell` hears of what was left out, a line each; `work` of
    work that the journal tells of, and its rows are left out too.

    Raises RecordingError when nothing in it can be read.
    """
    root = Topics(settings.prefix, settings.site).root
    heard = readings_by_asset(
        journal_messages(path), sources=settings.source, root=root, assets=settings.asset
    )
    assets = {asset.id: asset for asset in settings.asset}
    found = {
        name: assets.get(name) or AssetSettings(id=name)
        for name, readings in sorted(heard.readings.items())
        if sends_numbers(readings, assets.get(name) or AssetSettings(id=name))
    }
    left_out = _left_out(heard, found)
    for line in left_out[:LEFT_OUT_SHOWN_MAX]:
        tell(line)
    if len(left_out) > LEFT_OUT_SHOWN_MAX:
        tell(f"and {len(left_out) - LEFT_OUT_SHOWN_MAX} more left out")
    if not found:
        topics = ", ".join(source.topic for source in settings.source)
        raise RecordingError(
            f"{path}: no message in it can be read as sensor values; looked for {topics}"
        )
    if work is not None:
        work.take_edges(heard.readings)
        work.take_journal(path)
        if work.unknown:
            tell(f"confirmed, and unknown here: {listed(work.unknown)}; --kb may know them")
    sha256 = journal_sha256(path)
    tables = [samples_table(path, a, heard.readings[n], sha256=sha256) for n, a in found.items()]
    if len({table.period_ns for table in tables}) > 1:  # a bundle has one rate
        rate_ns = _whole_ms(min(table.period_ns for table in tables))
        tables = [
            samples_table(path, asset, heard.readings[name], sha256=sha256, rate_ns=rate_ns)
            for name, asset in found.items()
        ]
    zone = settings.texts_zone or UTC_CLOCKS.zone
    return [(samples_of(table, work=work, zone=zone), table.alignment) for table in tables]


def _whole_ms(period_ns: int) -> int:
    """A period in whole milliseconds, ns: stamps say no more."""
    return max(round(period_ns / MILLISECOND_NS), 1) * MILLISECOND_NS


def _left_out(heard: Heard, found: dict[str, AssetSettings]) -> list[str]:
    """What was heard and cannot be fitted, a line each."""
    silent = [
        f"{listed(sorted(topics))}: no numbers, left out"
        for name, topics in sorted(heard.topics.items())
        if name not in found
    ]
    return silent + [f"{why}; left out" for _, why in sorted(heard.unread.items())]


def samples_of(
    table: Table,
    *,
    taken: NDArray[np.intp] | None = None,
    work: WorkTimes | None = None,
    zone: str = UTC_CLOCKS.zone,
) -> TrainingSamples:
    """A table's rows as training samples.

    `taken` (m,) are those that alignment would keep, None: all. Rows that `work` may have touched
    are excluded. zone: whose clocks the asset's day follows. Raises RecordingError where rows
    cannot be told.
    """
    rows = np.arange(len(table.values)) if taken is None else taken
    found = work.found(table.asset) if work is not None else ()
    if found and not table.has_time:
        raise RecordingError(
            f"{table.path} has no times, so rows of the jobs of {table.asset} cannot be found;"
            " name its time column in the mapping, or leave --jobs and --kb out"
        )
    excluded, jobs = touched(found, table.t_ns[rows])
    return TrainingSamples(
        asset=table.asset,
        channels=table.channels,
        values=table.values[rows],
        t_ns=table.t_ns[rows] if table.has_time else None,
        period_ns=table.period_ns,
        running=None if table.running is None else table.running[rows],
        mode=None if table.mode is None else table.mode[rows],
        excluded=excluded if jobs else None,
        jobs_excluded=tuple(jobs),
        sha256=table.sha256,
        rows=(table.row_first, table.row_first + len(table.values)),
        zone=zone,
    )
