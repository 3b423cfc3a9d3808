"""`andon check`: what is wrong with an installation, and what to do about it, before it runs."""

from __future__ import annotations

import os
import shutil
import stat
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from edge.audit.signatures import unsigned_because
from edge.brokers.rights import published_topics
from edge.bundles.store import store_of
from edge.caps import PLAUSIBLE_NS
from edge.checks.box import box_finding, scopes_finding
from edge.checks.brokers import broker_findings
from edge.checks.rationales import rationale_finding
from edge.checks.volume import volume_of
from edge.commissioning.watch import joined
from edge.configuration.config import effective, load
from edge.configuration.position_settings import need_assets
from edge.configuration.words import hint
from edge.errors import AndonError, ConfigError
from edge.gateway.timekeeping import synchronised
from edge.samples.layouts import asset_layouts
from edge.trust import Signs
from kb.errors import KnowledgeError
from kb.snapshots.snapshot import Snapshot
from models.bundles.bundle import is_unfitted
from models.bundles.store import load as load_bundle
from models.errors import ModelError
from models.fitting.budget import budget_words, divisions_of
from models.fitting.positions import divided, is_pattern

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from edge.configuration.config import GatewayConfig
    from models.bundles.bundle import Bundle


@dataclass(slots=True)
class Findings:
    """What was looked at: (what, fine, detail)."""

    rows: list[tuple[str, bool, str]] = field(default_factory=list)
    traded: Table | None = None  # what other settings of the journal would come to

    def add(self, what: str, *, fine: bool, detail: str) -> None:
        """Note one finding."""
        self.rows.append((what, fine, detail))

    @property
    def bad(self) -> int:
        """How many are not fine."""
        return sum(not fine for _, fine, _ in self.rows)


def check_file(path: Path, *, console: Console) -> int:
    """Check a configuration file and everything that it names.

    Returns 0, or 1 when something is wrong.
    """
    try:
        config = load(path)
    except AndonError as error:
        console.print(f"configuration: {error}", markup=False)
        return 1
    bundle, findings = looked_at(config, path)
    _show(config, bundle, findings, console)
    return 1 if findings.bad else 0


def looked_at(config: GatewayConfig, path: Path) -> tuple[Bundle | None, Findings]:
    """The bundle that counts, and all that was found. path: the configuration's file."""
    findings = Findings()
    findings.add("configuration", fine=True, detail=str(path))
    why = closed(config.path(config.journal.dir))
    if why:  # which bundle counts, whether this box may speak: all of that stands there
        findings.add("state", fine=False, detail=why)
    bundle = None if why else _check_bundle(config, findings, path)
    if not why:
        _check_configured(config, findings)
    _check_knowledge(config, findings)
    if not why:
        _check_signatures(config, findings)
    for what, fine, detail in broker_findings(config):
        findings.add(what, fine=fine, detail=detail)
    _check_clock(config, findings)
    if why:
        return bundle, findings
    _check_state(config, findings)
    for what, fine, detail in (
        box_finding(config, path),
        scopes_finding(config),
        rationale_finding(config, bundle),
    ):
        findings.add(what, fine=fine, detail=detail)
    if bundle is not None:
        _check_volume(config, bundle, findings)
    return bundle, findings


def _check_bundle(config: GatewayConfig, findings: Findings, file: Path) -> Bundle | None:
    path = config.path(config.model.bundle)
    try:
        begun = joined(config)
        path = store_of(config).current()[1]
        bundle = load_bundle(path) if begun is None else begun
        asset_layouts(config.settings, bundle)
    except (AndonError, ModelError) as error:
        hint = f"{error}; make one with `andon fit RECORDING -o {path} --config {file}`"
        findings.add("bundle", fine=False, detail=hint)
        return None
    assets = ", ".join(model.asset for model in bundle.assets[:8])
    findings.add("bundle", fine=True, detail=f"{bundle.sha256[:12]}: {assets}; self-test passed")
    bare = [model.asset for model in bundle.assets if is_unfitted(model.metrics)]
    if bare and config.commissioning is not None:
        detail = f"to be learned, until then only limits ring: {', '.join(bare)}"
        findings.add("commissioning", fine=True, detail=detail)
    _check_channels(config, bundle, findings)
    _check_context(config, bundle, findings, file)
    _check_positions(config, bundle, findings, file)
    _check_operators(config, bundle, findings)
    return bundle


def _check_configured(config: GatewayConfig, findings: Findings) -> None:
    """A configured bundle that another one has set aside is one that somebody may go back to."""
    store = store_of(config)
    try:
        aside = store.set_aside()
    except ConfigError:  # what counts is gone: that was told already
        return
    if not aside:
        return
    try:
        load_bundle(store.configured)
    except ModelError as error:
        hint = f"{aside}. The configured one is damaged: {error}; copy it back, or name another"
        findings.add("configured bundle", fine=False, detail=hint)
        return
    findings.add("configured bundle", fine=True, detail=f"{aside}; both passed the self-test")


def _check_channels(config: GatewayConfig, bundle: Bundle, findings: Findings) -> None:
    models = {model.asset: model for model in bundle.assets}
    for asset in config.asset:
        names = {channel.name for channel in models[asset.id].channels}
        partners = {name for group in asset.redundant for name in group}
        named = {*asset.tags.values(), *asset.safety, *asset.on_change, *partners}
        unknown = named - names
        if unknown:
            has = ", ".join(sorted(names))
            detail = f"{', '.join(sorted(unknown))} not in the bundle, which has {has}"
            findings.add(f"asset {asset.id}", fine=False, detail=detail)
    missing = sorted(set(models) - {asset.id for asset in config.asset})
    if missing and config.asset:
        detail = f"not configured, default settings count: {', '.join(missing)}"
        findings.add("assets", fine=True, detail=detail)


def _check_context(config: GatewayConfig, bundle: Bundle, findings: Findings, file: Path) -> None:
    """A tag of state that was fitted as a signal would ring at every start and calibration."""
    models = {model.asset: model for model in bundle.assets}
    for asset in config.asset:
        names = {channel.name for channel in models[asset.id].channels}
        both = [c.tag for c in asset.context if asset.tags.get(c.tag, c.tag) in names]
        if both:
            detail = (
                f"context tags here, but channels of the bundle: {', '.join(both)}; "
                f"fit again with --config {file}"
            )
            findings.add(f"asset {asset.id}", fine=False, detail=detail)


def _check_operators(config: GatewayConfig, bundle: Bundle, findings: Findings) -> None:
    """Rights on an asset that is nowhere are a typing error: somebody lacks what was meant."""
    if not config.operator and (may := config.trust.unknown_may):
        detail = (
            f"none listed: everybody whom the broker lets in may {', '.join(may)}; say who may do"
            " what with [[operator]], and set unknown_may = [] under [trust]"
        )
        findings.add("operators", fine=True, detail=detail)
    there = {model.asset for model in bundle.assets} | {asset.id for asset in config.asset}
    for operator in config.operator:
        lost = [one for one in operator.assets if not is_pattern(one) and one not in there]
        if lost:
            detail = f"there is no asset {lost[0]!r}{hint(lost[0], sorted(there))}"
            findings.add(f"operator {operator.name}", fine=False, detail=detail)


def _check_positions(config: GatewayConfig, bundle: Bundle, findings: Findings, file: Path) -> None:
    """Budgets count from the next fit on: until then thresholds are divided as in the bundle."""
    if not config.position:
        return
    try:
        idle = need_assets(config, file, (model.asset for model in bundle.assets))
        planned = divided(
            (model.asset for model in bundle.assets),
            config.position,
            alerts_per_day=bundle.alerts_per_day,
        )
    except (ConfigError, ModelError) as error:
        findings.add("positions", fine=False, detail=str(error))
        return
    told = ", ".join(f"{one.name or 'others'} {one.alerts_per_day:g}" for one in planned)
    detail = f"false alerts a day: {told}"
    if idle:
        detail += f"; no asset matches {', '.join(idle)} so far"
    if set(planned) != set(divisions_of(bundle)):
        detail += (
            f"; the bundle is divided otherwise ({budget_words(bundle)}): to divide it anew, andon"
            f" fit --into {store_of(config).current()[1]} --config {file} -o DIR"
        )
    findings.add("positions", fine=True, detail=detail)


def _check_clock(config: GatewayConfig, findings: Findings) -> None:
    """Whether somebody keeps our clock: not knowing is no trouble, one that was never set is."""
    shows = f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}"
    if time.time_ns() < PLAUSIBLE_NS:
        detail = f"it shows {shows} and was never set: start a time service, or set it"
        findings.add("clock", fine=config.clock == "plant", detail=detail)
        return
    kept = {
        True: "a time service keeps it",
        False: "no time service keeps it: once sources agree on another time, orders suppress"
        " nothing; health tells, under clock",
        None: "whether a time service keeps it cannot be told here",
    }[synchronised()]
    findings.add("clock", fine=True, detail=f"it shows {shows}; {kept}")


def _check_knowledge(config: GatewayConfig, findings: Findings) -> None:
    if not config.kb.snapshot:
        findings.add(
            "knowledge", fine=True, detail="none: nothing is suppressed, alerts cite nothing"
        )
        return
    path = config.path(config.kb.snapshot)
    try:
        snapshot = Snapshot.open(path)
        snapshot.warm()  # a gateway does so behind its start, and would be the first to know
    except KnowledgeError as error:
        hint = f"{error}; make one with `andon kb build DIR -o {path}`"
        findings.add("knowledge", fine=False, detail=hint)
        return
    scopes = len(snapshot.scope_rows())
    detail = f"{snapshot.sha256[:12]}: {len(snapshot.proposals())} proposals, {scopes} scope rows"
    if not scopes:
        detail += "; without an approved scope table work can only annotate"
    findings.add("knowledge", fine=True, detail=detail)
    unread = snapshot.manifest.quarantined
    if unread:  # an approved limit or scope among them does not count
        first = unread[0]
        detail = (
            f"{len(unread)} files or rows were not read, or have a note; first {first.path}"
            f"{f', line {first.line}' if first.line else ''}: {first.cause}; "
            f"all stand in {path}/manifest.json"
        )
        findings.add("not read", fine=True, detail=detail)
    snapshot.close()


def _check_signatures(config: GatewayConfig, findings: Findings) -> None:
    """Where signatures are required, what is there without one keeps everything loud."""
    held = config.path(config.trust.file) if config.trust.file else None
    if held is not None and held.stat().st_mode & stat.S_IWOTH:
        hint = f"{held} can be changed by everybody here, and says whom to believe"
        findings.add("trust", fine=False, detail=f"{hint}; chmod o-w {held}")
    if not config.trust.require_signed:
        return
    try:
        bundle = store_of(config).current()[1]
    except AndonError:
        bundle = config.path(config.model.bundle)
    needed = [(bundle, Signs.BUNDLE)]
    if config.kb.snapshot:
        needed.append((config.path(config.kb.snapshot), Signs.SNAPSHOT))
    for path, what in needed:
        if not path.exists():  # it was told already that it is not there
            continue
        lacks = unsigned_because(path, config.trust.may_sign(what), now_ns=time.time_ns())
        if lacks:
            hint = (
                f"{lacks}: nothing will be suppressed; sign it with `andon sign {path} --key KEY`"
            )
            findings.add("signature", fine=False, detail=hint)
        else:
            findings.add("signature", fine=True, detail=str(path))


def closed(state: Path) -> str:
    """Why this user cannot see what a gateway keeps; "" where one can, or there is nothing yet.

    Asked first: whether a file is there is answered with no, or with an error, by what is closed.
    """
    try:
        with os.scandir(state) as entries:
            next(entries, None)
    except PermissionError as error:
        return (
            f"{state}: {error.strerror}, so that half of this could not be looked at; look as root"
            " or as the gateway's user"
        )
    except OSError:  # not there yet, or no directory: told where it is used
        return ""
    return ""


def _check_state(config: GatewayConfig, findings: Findings) -> None:
    """Whether the state directory, or the nearest one above it, can be written."""
    state = config.path(config.journal.dir).resolve()
    there = next(path for path in (state, *state.parents) if path.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        findings.add("state", fine=True, detail=str(state))
        return
    hint = f"{there} is no directory that can be written; see [journal] dir, or its permissions"
    findings.add("state", fine=False, detail=hint)


def _check_volume(config: GatewayConfig, bundle: Bundle, findings: Findings) -> None:
    """What is written a day, what is kept, and what that means for a small flash."""
    found = volume_of(config, bundle)
    findings.add("disk", fine=True, detail=found.detail)
    findings.traded = found.traded
    path = config.path(config.journal.dir).resolve()
    there = next(place for place in (path, *path.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < found.kept:
        needs = f"the journal may need {found.kept / 1e6:.0f} MB"
        hint = f"only {free / 1e6:.0f} MB free at {there}, {needs}"
        findings.add(
            "free space", fine=False, detail=f"{hint}; free some, or lower [journal] bytes_max"
        )


def _show(
    config: GatewayConfig, bundle: Bundle | None, findings: Findings, console: Console
) -> None:
    """Print the long things first, so that what is to be done stands where the eye is: last."""
    console.print("effective configuration:")
    console.print(effective(config), markup=False, highlight=False)
    console.print("publishes:")
    assets = [one.asset for one in bundle.assets] if bundle else [one.id for one in config.asset]
    try:
        topics = published_topics(config, assets)
    except (
        AndonError,
        OSError,
    ) as error:  # of what a gateway keeps, which may be closed to this user
        topics = [f"and what cannot be told: {error}"]
    for topic in topics:
        console.print(f"  {topic}", markup=False, highlight=False)
    grid = Table(show_header=False, box=None)
    for what, fine, detail in sorted(findings.rows, key=lambda row: not row[1]):
        grid.add_row("[green]ok[/]" if fine else "[red]FAULT[/]", what, escape(detail))
    if findings.traded is not None:
        console.print("bytes against what a power cut takes, [journal]:", markup=False)
        console.print(findings.traded)
    console.print(grid)
    said = f"{findings.bad} fault{'s' * (findings.bad > 1)}" if findings.bad else "no faults"
    console.print(said, highlight=False)
