"""A child bundle after a job has closed: fitted on what came since, compared, and only proposed.

A calibration may leave a lasting mark that is no fault, so the usual range has moved. Nothing
relearns by itself: the child goes into a directory of its own, beside figures of what would change,
and one command adopts it.
"""

from __future__ import annotations

import os
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from rich.markup import escape
from rich.table import Table as Grid

from edge.assembly.assembly import Assembly
from edge.audit.chain import iso
from edge.bundles.store import store_of
from edge.bundles.training import samples_of
from edge.bundles.work_times import WorkTimes, texts_of
from edge.configuration.config import load as load_config
from edge.configuration.config import need_bundle
from edge.errors import ConfigError
from edge.recordings.recording import journal_messages, table_messages
from edge.replays.backtest import Backtest, with_ticks
from edge.samples.layouts import asset_layouts
from edge.settings import AssetSettings, GatewaySettings
from edge.storage.journal_table import journal_sha256, readings_by_asset, samples_table
from edge.wire.topics import Topics
from models.bundles.assemble import make_bundle
from models.bundles.bundle import FOUND_BEFORE, is_unfitted
from models.bundles.card import mode_news
from models.bundles.store import load as load_bundle
from models.bundles.store import save as save_bundle
from models.errors import ModelError
from models.fitting.fit import fit_asset, options_of
from models.fitting.season import UTC_CLOCKS
from models.fitting.season_words import season_news

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from edge.bundles.work_times import Work
    from edge.configuration.config import GatewayConfig
    from edge.recordings.recording import Table
    from edge.storage.journal_table import Heard
    from models.bundles.bundle import AssetFit, AssetModel, Bundle

CHILD_ROWS_MIN: Final = 1_000
HELD_BACK_SHARE: Final = 0.2  # of the rows, the newest: both bundles are compared on them
WARM_ROWS: Final = 300  # before them, for states to settle
DAY_NS: Final = 86_400 * 10**9
PROPOSED: Final = "proposed"
_MODEL: Final = re.compile(r"(?ms)(^\[model\][^\[]*?^bundle\s*=\s*)(\"[^\"\n]*\"|'[^'\n]*')(?=\s)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRequest:
    """From which gateway's journal to propose. journal None: its own."""

    config: Path
    journal: Path | None = None
    rows_min: int = CHILD_ROWS_MIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """One asset after its newest closed job. held: first row that is not fitted on."""

    model: AssetModel
    job: Work
    table: Table
    held: int
    fit: AssetFit


def propose_bundle(request: ProposalRequest, *, console: Console) -> Path | None:
    """Fit a child of a gateway's bundle, and show what it would change; returns where it is.

    None: there is nothing to propose, and it was said why. Raises AndonError, ModelError or
    KnowledgeError.
    """

    def tell(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    config = load_config(request.config)
    place = store_of(config).configured
    parent = load_bundle(need_bundle(store_of(config).current()[1]))
    journal = request.journal or config.path(config.journal.dir) / "journal"
    with console.status("reading the journal"):
        tables, work = _heard(config, parent, journal)
    found = []
    for model in parent.assets:
        table, zone = tables.get(model.asset), config.settings.texts_zone
        said, since = _since(model, table, work, request.rows_min, parent, zone=zone)
        if since is None:
            tell(f"{model.asset}: {said}")
        else:
            found.append(since)
    if not found:
        tell("nothing to propose")
        return None
    newest_ns = max(int(since.table.t_ns[-1]) for since in found)
    child = make_bundle(
        [since.fit for since in found],
        parent=parent,
        positions=config.position or None,
        created_at_ns=newest_ns,
    )
    out = place.parent / PROPOSED / child.sha256[:12]
    if not out.exists():  # the same journal gives the same bytes
        save_bundle(child, out)
    tell(f"{out}: {child.sha256[:12]}, a child of {parent.sha256[:12]}; the gateway keeps its own")
    for since in found:
        tell(_said(since))
        model = next(one for one in child.assets if one.asset == since.model.asset)
        for line in (*mode_news(model), *season_news(model)):
            tell(f"  {model.asset}: {line}")
        if rang := alerts_rung(parent, since, slice(0, since.held)):
            tell(
                f"  {since.model.asset}: the parent rings {rang} times in the rows fitted on:"
                " if any of them is a fault, the child has learned it, and must not be adopted"
            )
    console.print(_compared(found, parent, child))
    if config.trust.require_signed:
        tell(f"signatures are required: first andon sign {out} --key KEY")
    named = f"{child.sha256[:12]} --config {request.config}"
    tell(f"to try it: andon model shadow {named}; to adopt it: andon model promote {named}")
    tell(f"or, with the gateway stopped: andon adopt-bundle {request.config} {out}")
    return out


def adoption_doubts(config_path: Path, bundle: Path) -> list[str]:
    """Why somebody may not mean to run with a bundle; none of a child that still knows every asset.

    Raises ModelError or ConfigError for one that cannot be opened.
    """
    config = load_config(config_path)
    new = load_bundle(need_bundle(bundle))
    learned = {model.asset: not is_unfitted(model.metrics) for model in new.assets}
    try:
        running = load_bundle(need_bundle(store_of(config).current()[1]))
    except (ConfigError, ModelError):  # whatever comes, it was worse before
        running = None
    doubts = []
    before = {m.asset for m in running.assets if not is_unfitted(m.metrics)} if running else set()
    bare = [asset for asset, fitted in learned.items() if not fitted]
    if lost := sorted(before.intersection(bare)):
        doubts.append(f"nothing was learned of {', '.join(lost)}: limits alone would ring there")
    elif running is None and len(bare) == len(learned):
        doubts.append("nothing was learned of any asset: limits alone would ring")
    if gone := sorted({m.asset for m in running.assets} - set(learned)) if running else []:
        doubts.append(f"it has no {', '.join(gone)}, which would not be watched any more")
    if forgot := sorted(m.asset for m in new.assets if FOUND_BEFORE in m.metrics):
        doubts.append(f"modes found before are not known of {', '.join(forgot)}: they would ring")
    if running is not None and running.sha256 not in (new.sha256, new.parent):
        doubts.append(f"it is no child of the running bundle {running.sha256[:12]}")
    return doubts


def adopt_bundle(config_path: Path, bundle: Path) -> str:
    """Let a configuration name another bundle; returns the one that it named.

    Raises ModelError or ConfigError for a bundle that is damaged or does not fit, and ConfigError
    for a file that has to be edited by hand; then nothing has changed.
    """
    config = load_config(config_path)
    asset_layouts(config.settings, load_bundle(need_bundle(bundle)))
    named = os.path.relpath(bundle.resolve(), config_path.resolve().parent)
    text = config_path.read_bytes().decode()
    by_hand = f'{config_path}: write it by hand: [model] bundle = "{named}"'
    if "model" not in tomllib.loads(text):
        text = f'{text.rstrip()}\n\n[model]\nbundle = ""\n'
    if len(_MODEL.findall(text)) != 1 or '"' in named or "\\" in named:
        raise ConfigError(by_hand)
    work = config_path.with_name(f".{config_path.name}.{os.getpid()}")
    try:
        work.write_bytes(_MODEL.sub(lambda at: f'{at.group(1)}"{named}"', text).encode())
        if load_config(work).model.bundle != named:  # the environment says otherwise, or a comment
            raise ConfigError(by_hand)
        work.chmod(config_path.stat().st_mode)
        work.replace(config_path)
    except OSError as error:
        raise ConfigError(f"{config_path}: {error.strerror}; nothing has changed") from error
    finally:
        with suppress(OSError):
            work.unlink(missing_ok=True)
    return config.model.bundle


def _heard(
    config: GatewayConfig, parent: Bundle, journal: Path
) -> tuple[dict[str, Table], WorkTimes]:
    """Samples of each asset of the bundle that spoke, and the work that is known of."""
    settings = config.settings
    root = Topics(settings.prefix, settings.site).root
    heard: Heard = readings_by_asset(
        journal_messages(journal), sources=settings.source, root=root, assets=settings.asset
    )
    work = WorkTimes(
        settings, texts_of(config.path(config.kb.snapshot) if config.kb.snapshot else None)
    )
    work.take_orders()
    work.take_edges(heard.readings)
    work.take_journal(journal)
    sha256 = journal_sha256(journal)
    tables = {}
    for model in parent.assets:
        readings = heard.readings.get(model.asset)
        if readings:
            asset = settings.of_asset(model.asset)
            tables[model.asset] = samples_table(
                journal, asset, readings, channels=model.channels, sha256=sha256
            )
    return tables, work


def _since(
    model: AssetModel,
    table: Table | None,
    work: WorkTimes,
    rows_min: int,
    parent: Bundle,
    *,
    zone: str,
) -> tuple[str, Since | None]:
    """What there is to fit of one asset; else why not.

    zone: of the gateway's clocks, which the asset's day follows; "": those of the model.
    """
    if table is None:
        return "the journal has no samples of it", None
    newest_ns = int(table.t_ns[-1])
    closed = [w for w in work.found(model.asset) if w.closed and w.over_ns <= newest_ns]
    if not closed:
        return "no job has closed and settled within this journal", None
    job = max(closed, key=lambda one: (one.over_ns, one.job_id))
    first = int(np.searchsorted(table.t_ns, job.over_ns))
    after = _rows(table, slice(first, None))
    samples = samples_of(after, work=work)
    usable = np.isfinite(samples.values).any(axis=1)
    if samples.running is not None:
        usable &= samples.running
    if samples.excluded is not None:
        usable &= ~samples.excluded
    count = int(usable.sum())
    if count < rows_min:
        at = iso(job.end_ns)
        return (
            f"{count} rows since {job.job_id} ({job.kind}) closed at {at} and settled:"
            f" {rows_min - count} more are needed"
        ), None
    held = int(np.searchsorted(np.cumsum(usable), count * (1 - HELD_BACK_SHARE)))
    fitted_on = samples_of(_rows(after, slice(0, held)), work=work)
    begin = table.row_first + first
    try:
        options = options_of(parent, model.asset)
    except ModelError as error:  # another's model: it is not for us to fit
        return str(error), None
    fit = fit_asset(
        replace(
            fitted_on,
            period_ns=model.period_ns,
            zone=zone or (model.season.clocks if model.season else UTC_CLOCKS).zone,
            rows=(begin, begin + held),
            jobs_excluded=tuple(dict.fromkeys((*fitted_on.jobs_excluded, job.job_id))),
        ),
        msgspec.structs.replace(options, alignment=model.alignment),
    )
    return "", Since(model=model, job=job, table=after, held=held, fit=fit)


def _rows(table: Table, chosen: slice) -> Table:
    return replace(
        table,
        t_ns=table.t_ns[chosen],
        values=table.values[chosen],
        running=None if table.running is None else table.running[chosen],
        mode=None if table.mode is None else table.mode[chosen],
    )


def _said(since: Since) -> str:
    """What one asset's detector was fitted on."""
    at = iso(since.job.end_ns)
    newest = since.table.t_ns.size - since.held
    return (
        f"  {since.model.asset}: {since.fit.training.rows_used} rows since {since.job.job_id}"
        f" ({since.job.kind}) closed at {at} and settled; the newest {newest} were held back"
    )


def _compared(found: Sequence[Since], parent: Bundle, child: Bundle) -> Grid:
    """Thresholds, levels and alerts of both, an asset and a channel a row."""
    grid = Grid(title="What would change", title_justify="left")
    for name in ("asset", "what", "parent", "child", "change"):
        grid.add_column(name)
    models = {model.asset: model for model in child.assets}
    for since in found:
        old, new = since.model, models[since.model.asset]
        asset = escape(old.asset)
        grid.add_row(asset, "threshold", f"{old.threshold_on:.2f}", f"{new.threshold_on:.2f}", "")
        moved = (new.center - old.center) / old.sigma
        for i, channel in enumerate(old.channels):
            unit = f" {channel.unit}" if channel.unit else ""
            before = f"{old.usual_low[i]:.4g} to {old.usual_high[i]:.4g}{unit}"
            now = f"{new.usual_low[i]:.4g} to {new.usual_high[i]:.4g}{unit}"
            change = f"level moved by {moved[i]:+.2f} sigma"
            grid.add_row(asset, f"usual {escape(channel.name)}", before, now, change)
        days = _days(since)
        held = slice(since.held, None)
        rang = [alerts_rung(bundle, since, held) for bundle in (parent, child)]
        hours = f"in {days * 24:.2g} h that neither has seen"
        daily = [f"{count / days:.3g} ({count})" for count in rang]
        grid.add_row(asset, "alerts a day", *daily, hours, end_section=True)
    return grid


def _days(since: Since) -> float:
    held = since.table.t_ns[since.held :]
    return max(float(held[-1] - held[0] + since.model.period_ns) / DAY_NS, 1e-9)


def alerts_rung(bundle: Bundle, since: Since, chosen: slice) -> int:
    """How often an asset would ring in some rows since its job, by the real engine."""
    asset = since.model.asset
    settings = GatewaySettings(site="proposal", clock="plant", asset=(AssetSettings(id=asset),))
    begin, end, _ = chosen.indices(since.table.t_ns.size)
    rows = _rows(since.table, slice(max(begin - WARM_ROWS, 0), end))
    if rows.running is not None:
        rows = replace(rows, values=np.where(rows.running[:, None], rows.values, np.nan))
    engine = Assembly(settings, bundle=bundle, snapshot=None).engine
    backtest = Backtest(engine)
    backtest.run(with_ticks(table_messages(rows)))
    from_ns = int(since.table.t_ns[begin])
    return sum(e.rang and e.asset == asset and e.begin_ns >= from_ns for e in backtest.episodes())
