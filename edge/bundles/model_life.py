"""What people want of a gateway's bundles: look at them, compare, approve, promote, go back."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from edge.audit.chain import iso
from edge.audit.signatures import read_key, unsigned_because
from edge.bundles.approvals import approval_content, approvers, unapproved_because
from edge.bundles.child import adoption_doubts
from edge.bundles.shadow import read_report
from edge.bundles.store import PROMOTIONS, loaded, store_of
from edge.configuration.config import load as load_config
from edge.errors import ConfigError
from edge.samples.layouts import asset_layouts
from edge.trust import Signs
from models.bundles.bundle import StreamSpec, is_unfitted, kind_of
from models.bundles.card import model_card
from models.bundles.tabled_kinds import EnsembleSpec, PcaSpec
from models.fitting.budget import (
    alerts_a_day,
    budget_of,
    budget_words,
    position_replays,
    shares_of,
    threshold_notes,
)
from models.fitting.standing import standing, standing_words
from models.foreign.imported import ImportedSpec

if TYPE_CHECKING:
    from pathlib import Path

    from edge.bundles.store import Act, BundleStore
    from edge.configuration.config import GatewayConfig
    from models.bundles.bundle import AnySpec, AssetModel, Bundle
    from models.fitting.extremes import Replay

LEVEL_SIGMA: Final = 0.25  # a level that moved by less is not worth a line


class BundleRow(msgspec.Struct, frozen=True, kw_only=True):
    """One bundle in the list. state: current, shadow, approved, retired or candidate.

    signed: `yes`, `no`, or `unknown key` where no key of [trust] made its signature.
    """

    sha256: str
    state: str
    made: str
    parent: str
    assets: int
    alerts_per_day: float
    signed: str
    approved_by: tuple[str, ...]
    path: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an operator or engineer would notice. asset "": of the whole bundle."""

    asset: str
    what: str
    before: str
    after: str
    change: str = ""


class Life:
    """The bundles of the gateway that a configuration describes."""

    def __init__(self, config_path: Path) -> None:
        """Read the configuration. Raises ConfigError."""
        self.config_path = config_path
        self.config: GatewayConfig = load_config(config_path)
        self.store: BundleStore = store_of(self.config)

    # --- look ---

    def rows(self) -> list[BundleRow]:
        """Every bundle that there is, newest first. Raises ModelError for a damaged one."""
        history = self.store.history()
        rows = []
        for sha256, path in self.store.places().items():
            bundle = loaded(path, sha256)
            row = BundleRow(
                sha256=sha256,
                state=self._state(sha256, history),
                made=iso(bundle.created_at_ns),
                parent=bundle.parent,
                assets=len(bundle.assets),
                alerts_per_day=budget_of(bundle),
                signed=self._signed(path),
                approved_by=approvers(self.config, history, sha256),
                path=str(path),
            )
            rows.append((bundle.created_at_ns, row))
        return [row for _, row in sorted(rows, key=lambda one: (-one[0], one[1].sha256))]

    def shown(self, named: str) -> dict[str, Any]:
        """All that is known of one bundle. Raises ConfigError or ModelError."""
        sha256, path = self.store.resolve(named)
        bundle = loaded(path, sha256)
        history = self.store.history()
        report = self.store.report(sha256)
        shares, notes = shares_of(bundle), threshold_notes(bundle)
        return {
            "sha256": sha256,
            "path": str(path),
            "state": self._state(sha256, history),
            "signed": self._signed(path),
            "approved_by": approvers(self.config, history, sha256),
            "made": iso(bundle.created_at_ns),
            "parent": bundle.parent,
            "alerts_per_day": budget_of(bundle),
            "positions": [msgspec.to_builtins(one) for one in position_replays(bundle)],
            "specs": [msgspec.to_builtins(part.spec) for part in bundle.parts],
            "assets": [
                _asset(bundle, one, share=shares[one.asset], note=notes.get(one.asset, ""))
                for one in bundle.assets
            ],
            "history": [
                {"at": iso(act.at_ns), "what": act.what, "by": act.by, "because": act.because}
                for act in history
                if act.bundle_sha256 == sha256
            ],
            "shadow": msgspec.json.decode(report) if report and read_report(report) else None,
            "card": model_card(bundle),
        }

    def changes(self, before: str, after: str) -> list[Change]:
        """What differs between two bundles. Raises ConfigError or ModelError."""
        return changes_of(*(self._open(named)[0] for named in (before, after)))

    # --- change ---

    def promote(
        self, named: str, *, by: str, because: str, even_so: bool, only_better: bool
    ) -> list[str]:
        """Let a bundle count from now on; returns why not, () where it does.

        Raises ConfigError or ModelError for one that cannot be used at all: damaged, unsigned or
        not approved where that is required, or unlike the configuration.
        """
        bundle, path = self._open(named)
        sha256 = bundle.sha256
        counts, _ = self.store.current()
        if sha256 == counts:
            return [f"{sha256[:12]} counts already"]
        asset_layouts(self.config.settings, bundle)
        self._need_signature(path)
        if lacks := unapproved_because(self.config, self.store.history(), sha256, by=by):
            raise ConfigError(lacks)
        doubts = adoption_doubts(self.config_path, path)
        if only_better:
            doubts += self._not_better(sha256, counts)
        if doubts and not even_so:
            return doubts
        self._point(sha256, path, by=by, because=because, what="promoted")
        return []

    def rollback(self, named: str, *, by: str, because: str) -> tuple[str, str]:
        """Let the bundle before count again, or the one named; returns hashes before and after.

        Raises ConfigError where none counted before, and without a name after a rollback,
        ModelError for a damaged one.
        """
        counts, _ = self.store.current()
        bundle, path = self._open(named or self.store.one_before())
        acts = [act for act in self.store.history() if act.what in PROMOTIONS]
        ever = {one for act in acts for one in (act.bundle_sha256, act.before_sha256)}
        if bundle.sha256 == counts or bundle.sha256 not in ever:
            said = "counts now" if bundle.sha256 == counts else "never counted: promote it instead"
            raise ConfigError(f"bundle {bundle.sha256[:12]} {said}")
        asset_layouts(self.config.settings, bundle)
        self._need_signature(path)
        self._point(bundle.sha256, path, by=by, because=because, what="rolled_back")
        return counts, bundle.sha256

    def approve(self, named: str, *, by: str, because: str, key: Path | None) -> str:
        """A person's word for a bundle; returns its hash.

        Raises ConfigError where signatures are required and this has none that counts.
        """
        bundle, path = self._open(named)
        sha256 = bundle.sha256
        self.store.keep(path)
        signature = ""
        if key is not None:
            content = approval_content(self.config.site, sha256, by)
            signature = base64.b64encode(read_key(key).sign(content)).decode()
        act = self.store.note("approved", sha256, by=by, because=because, signature=signature)
        if by not in approvers(self.config, [act], sha256):
            raise ConfigError(
                f"the word of {by} does not count: signatures are required, and this has none by"
                f" the key of [trust.operators] {by}; add --key"
            )
        return sha256

    def shadowed(self, named: str, *, by: str) -> str:
        """Note that a candidate scores in the shadow from now on; returns its hash."""
        bundle, path = self._open(named)
        asset_layouts(self.config.settings, bundle)
        self.store.keep(path)
        self.store.note("shadowed", bundle.sha256, by=by)
        return bundle.sha256

    def unshadow(self, *, by: str) -> str:
        """Note that none does any more; returns which one did, "" none."""
        sha256 = in_shadow(self.store.history())
        if sha256:
            self.store.note("unshadowed", sha256, by=by)
        return sha256

    # --- inside ---

    def _open(self, named: str) -> tuple[Bundle, Path]:
        sha256, path = self.store.resolve(named)
        return loaded(path, sha256), path

    def _point(self, sha256: str, path: Path, *, by: str, because: str, what: str) -> None:
        _, counts = self.store.current()
        self.store.keep(counts)
        self.store.keep(path)
        watch_s = self.config.model.watch_s if what == "promoted" else 0
        self.store.point(sha256, by=by, because=because, what=what, watch_s=watch_s)

    def _need_signature(self, path: Path) -> None:
        if self.config.trust.require_signed and (lacks := self._unsigned(path)):
            raise ConfigError(f"{lacks}; first andon sign {path} --key KEY")

    def _unsigned(self, path: Path) -> str:
        keys = self.config.trust.may_sign(Signs.BUNDLE)
        return unsigned_because(path, keys, now_ns=time.time_ns())

    def _signed(self, path: Path) -> str:
        lacks = self._unsigned(path)
        return "unknown key" if "no known key" in lacks else "no" if lacks else "yes"

    def _state(self, sha256: str, history: list[Act]) -> str:
        if self.store.current()[0] == sha256:
            return "current"
        if in_shadow(history) == sha256:
            return "shadow"
        left = [i for i, act in enumerate(history) if act.before_sha256 == sha256]
        said = [
            i for i, a in enumerate(history) if a.what == "approved" and a.bundle_sha256 == sha256
        ]
        if said and (not left or said[-1] > left[-1]):
            return "approved"
        return "retired" if left else "candidate"

    def _not_better(self, sha256: str, counts: str) -> list[str]:
        report = read_report(self.store.report(sha256) or b"")
        if report is None:
            why = "it was never in the shadow, or its report is damaged"
            return [f"{why}: andon model shadow {sha256[:12]}"]
        if report.current.bundle_sha256 != counts:
            return [f"its shadow ran beside {report.current.bundle_sha256[:12]}, not what counts"]
        return report.worse_because()


def in_shadow(history: list[Act]) -> str:
    """Hash of the candidate that scores in the shadow, as the history says; "" none."""
    newest = next((act for act in reversed(history) if "shadowed" in act.what), None)
    return newest.bundle_sha256 if newest is not None and newest.what == "shadowed" else ""


def changes_of(before: Bundle, after: Bundle) -> list[Change]:
    """What differs, first of the whole, then asset by asset in the order of their names."""
    changes = [
        Change(asset="", what=what, before=old, after=new)
        for what, old, new in (
            ("alerts a day", budget_words(before), budget_words(after)),
            ("detector", _specs(before), _specs(after)),
            ("parent", before.parent[:12] or "none", after.parent[:12] or "none"),
        )
        if old != new
    ]
    old_models = {model.asset: model for model in before.assets}
    new_models = {model.asset: model for model in after.assets}
    for asset in sorted(old_models.keys() | new_models.keys()):
        if asset not in new_models:
            changes.append(Change(asset=asset, what="asset", before="watched", after="not watched"))
        elif asset not in old_models:
            changes.append(Change(asset=asset, what="asset", before="not watched", after="watched"))
        else:
            kinds = [_kind(before, old_models[asset]), _kind(after, new_models[asset])]
            if kinds[0] != kinds[1]:
                changes.append(
                    Change(asset=asset, what="detector", before=kinds[0], after=kinds[1])
                )
            words = standing_words(after, new_models[asset])
            changes += [
                Change(asset=asset, what=what, before=old, after=words[what])
                for what, old in standing_words(before, old_models[asset]).items()
                if old != words[what]
            ]
            changes += _asset_changes(old_models[asset], new_models[asset])
    return changes


def _asset_changes(old: AssetModel, new: AssetModel) -> list[Change]:
    asset, changes = new.asset, []

    def say(what: str, before: str, after: str, change: str = "") -> None:
        if before != after:
            changes.append(
                Change(asset=asset, what=what, before=before, after=after, change=change)
            )

    say("threshold", f"{old.threshold_on:.2f}", f"{new.threshold_on:.2f}")
    say("threshold off", f"{old.threshold_off:.2f}", f"{new.threshold_off:.2f}")
    say("sampling", f"{old.period_ns / 1e9:g} s", f"{new.period_ns / 1e9:g} s")
    say("rows fitted on", str(old.training.rows_used), str(new.training.rows_used))
    say("learned", _learned(old), _learned(new))
    channels = {channel.name: i for i, channel in enumerate(old.channels)}
    for i, channel in enumerate(new.channels):
        j = channels.pop(channel.name, None)
        name = f"channel {channel.name}"
        if j is None:
            say(name, "not there", "scored", "the asset begins anew")
            continue
        unit = old.channels[j].unit
        if unit != channel.unit:
            say(name, unit or "no unit", channel.unit or "no unit", "the asset begins anew")
            continue
        moved = float((new.center[i] - old.center[j]) / old.sigma[j])
        wider = float(new.sigma[i] / old.sigma[j])
        if abs(moved) >= LEVEL_SIGMA or abs(np.log2(wider)) >= LEVEL_SIGMA:
            say(
                f"usual {channel.name}",
                f"{old.usual_low[j]:.4g} to {old.usual_high[j]:.4g} {unit}".rstrip(),
                f"{new.usual_low[i]:.4g} to {new.usual_high[i]:.4g} {unit}".rstrip(),
                f"level moved by {moved:+.2f} sigma, spread {wider:.2f} times",
            )
    for name in channels:
        say(f"channel {name}", "scored", "gone", "the asset begins anew")
    for name in sorted(old.metrics.keys() | new.metrics.keys()):
        values = (old.metrics.get(name), new.metrics.get(name))
        say(name, *("none" if value is None else f"{value:.4g}" for value in values))
    return changes


def _learned(model: AssetModel) -> str:
    return "nothing" if is_unfitted(model.metrics) else "yes"


def _kind(bundle: Bundle, model: AssetModel) -> str:
    return kind_of(bundle.place(model.row_running)[0].spec)


def _specs(bundle: Bundle) -> str:
    return "; ".join(_spec(part.spec) for part in bundle.parts)


def _spec(spec: AnySpec) -> str:
    rates = ", ".join(f"{rate:g}" for rate in spec.lambdas)
    if isinstance(spec, StreamSpec):
        return f"streams of one channel, {spec.season} samples a day, rates {rates}"
    if isinstance(spec, EnsembleSpec):
        return f"an ensemble of {spec.members} histograms, rates {rates}"
    if isinstance(spec, PcaSpec):
        return f"principal components, rates {rates}, {spec.channels} channels wide"
    if isinstance(spec, ImportedSpec):
        return f"imported {spec.origin.file} {spec.origin.sha256[:12]}, {spec.kind}"
    return f"{spec.lags} lags, rates {rates}, {spec.channels} channels wide"


def _asset(bundle: Bundle, model: AssetModel, *, share: float, note: str) -> dict[str, Any]:
    training = model.training
    return {
        "asset": model.asset,
        "detector": _kind(bundle, model),
        "channels": [channel.name for channel in model.channels],
        "period_s": model.period_ns / 1e9,
        "threshold_on": model.threshold_on,
        "threshold_off": model.threshold_off,
        "alerts_per_day_share": share,
        "threshold_note": note,
        "recording_sha256": training.sha256,
        "rows": list(training.rows),
        "rows_used": training.rows_used,
        "rows_excluded": training.rows_excluded,
        "jobs_excluded": list(training.jobs_excluded),
        "metrics": model.metrics,
        "replay": None if model.replay is None else _replay(model.replay),
        **standing(bundle, model),
    }


def _replay(replay: Replay) -> dict[str, Any]:
    rate, low, high = alerts_a_day(replay)
    told = {"episodes": replay.episodes, "days": replay.days}
    return told | {"alerts_a_day": rate, "low": low, "high": high}
