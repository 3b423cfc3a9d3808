"""What a person sees of an asset before putting it into service, and the word that does it.

All of it comes from the newest checkpoint of the gateway and from the bundle that scores there, so
it is what the gateway itself has seen.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import msgspec

from edge.alerts.explain import headline
from edge.assembly.assembly import assemble
from edge.audit.chain import iso
from edge.audit.signatures import read_key
from edge.bundles.approvals import unapproved_because
from edge.bundles.store import store_of
from edge.commissioning.book import ACCEPTED, WITHDRAWN, book_of, counts, word_content
from edge.configuration.config import load as load_config
from edge.configuration.rationale_table import lacking
from edge.errors import ConfigError
from edge.records import Track
from edge.samples.sensor_faults import SENSOR_CLASSES
from edge.storage.checkpoint import newest
from edge.work.blind import blind_channels
from edge.work.commission import DAY_HOURS, HOUR_NS, Stage
from models.bundles.bundle import CONTAMINATED, UNSTEADY, is_unfitted
from models.fitting.budget import expected_alerts, shares_of
from models.fitting.extremes import usual_excess

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.commissioning.book import Word
    from edge.configuration.config import GatewayConfig
    from edge.samples.drift import Drifting
    from edge.state import AssetState
    from models.bundles.bundle import AssetModel, Bundle

RANG_SHOWN_MAX: Final = 5
DAY_H: Final = 24.0
TIMES_BUDGET: Final = 2.0  # so many times the budget in the shadow is worth a doubt


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One asset as it stands. Counts of days, hours, modes and alerts are of this stage alone.

    hours: of samples while it ran and no work went on. hours_of_day, hours_never: 0 to 23, UTC.
    modes_never: with a baseline and not seen since; modes_bare: met, without a baseline.
    alerts_expected_per_day: by its own tail and threshold; alerts_budget_per_day: its part of the
    budget. rang: what it would have rung, the newest last. blind: channels that nobody watches,
    each with the reason. NaN: not known.
    """

    asset: str
    stage: str
    by: str
    bundle_sha256: str
    learned_rows: int
    learned_hours: float
    days: int
    hours: float
    hours_of_day: tuple[int, ...]
    hours_never: tuple[int, ...]
    modes_seen: tuple[str, ...]
    modes_never: tuple[str, ...]
    modes_bare: tuple[str, ...]
    ran: bool
    stood: bool
    alerts_expected_per_day: float
    alerts_budget_per_day: float
    alerts_shadow: int
    alerts_shadow_per_day: float
    rang: tuple[str, ...]
    blind: tuple[str, ...]
    broken: tuple[str, ...]
    drift: tuple[str, ...]
    doubts: tuple[str, ...]
    trouble: str = ""


class Acceptance:
    """The commissioning of the gateway that a configuration describes, for one person."""

    def __init__(self, config_path: Path) -> None:
        """Read configuration, bundle and newest checkpoint. Raises AndonError or ModelError."""
        self.config: GatewayConfig = load_config(config_path)
        if self.config.commissioning is None:
            raise ConfigError(
                f"{config_path}: there is no [commissioning], so every asset is in service"
            )
        assembly = assemble(self.config)
        place = self.config.path(self.config.journal.dir) / "checkpoints"
        found, troubles = newest(place, fingerprint=assembly.fingerprint_of)
        if found is None:
            why = troubles[0] if troubles else f"{place}: there is none"
            raise ConfigError(
                f"{why}; what an asset has shown is known from a checkpoint of its gateway: run"
                f" it with this configuration first, `andon run {config_path}`; the first"
                " checkpoint comes some ten seconds after it began"
            )
        assembly.restore(found.state)
        self._state = assembly.engine.state
        self._drifts = dict(zip(self._state.assets, assembly.engine.drifts(), strict=True))
        bundle = assembly.bundle_of(self._state.bundle_sha256)
        assert bundle is not None, "the checkpoint fits it"
        self.bundle: Bundle = bundle.bundle
        self._models = {model.asset: model for model in self.bundle.assets}
        self._usual = usual_excess([model.tail for model in self.bundle.assets])
        self._shares = shares_of(self.bundle)

    def assets(self, named: Sequence[str], *, every: bool, withdraw: bool) -> list[str]:
        """The assets that are meant. Raises ConfigError for one that is not in the right stage."""
        wanted = Stage.IN_SERVICE if withdraw else Stage.SHADOW
        stages = {a: s.commission.stage for a, s in self._state.assets.items() if s.commission}
        if withdraw:  # an accepted asset may be learning again
            states = self._state.assets
            stages |= dict.fromkeys((a for a in stages if _accepted(states[a])), wanted)
        if every:
            named = [asset for asset, stage in stages.items() if stage is wanted]
            if not named:
                raise ConfigError(f"no asset is {wanted}; stages are {_listed(stages)}")
        for asset in named:
            if asset not in stages:
                raise ConfigError(f"{asset} is not commissioned here; {_listed(stages)}")
            if stages[asset] is not wanted:
                raise ConfigError(_why_not(asset, stages[asset], withdraw=withdraw))
        return list(named)

    def standing(self, asset: str) -> Standing:
        """What is known of one asset that is commissioned here."""
        state, model = self._state.assets[asset], self._models[asset]
        commission = state.commission
        assert commission is not None, "only these are shown"
        seen = tuple(h for h in range(DAY_HOURS) if commission.hours >> h & 1)
        learned = not is_unfitted(model.metrics)
        hours = commission.live_ns / HOUR_NS
        alerts = sum(commission.rang.values())
        known = [f"{mode.value:g}" for mode in model.modes]
        blind = blind_channels(self.bundle, model, commission)
        standing = Standing(
            asset=asset,
            stage=commission.stage,
            by=commission.by,
            bundle_sha256=self.bundle.sha256,
            learned_rows=model.training.rows_used,
            learned_hours=round(model.training.rows_used * model.period_ns / HOUR_NS, 2),
            days=commission.days,
            hours=round(hours, 2),
            hours_of_day=seen,
            hours_never=tuple(h for h in range(DAY_HOURS) if h not in seen),
            modes_seen=tuple(sorted(commission.modes)),
            modes_never=tuple(name for name in known if name not in commission.modes),
            modes_bare=tuple(f"{value:g}" for value in state.modes_unseen),
            ran=commission.rows > 0,
            stood=commission.stopped > 0,
            alerts_expected_per_day=expected_alerts(model, usual=self._usual)
            if learned
            else float("nan"),
            alerts_budget_per_day=self._shares[asset],
            alerts_shadow=alerts,
            alerts_shadow_per_day=alerts / hours * DAY_H if hours else float("nan"),
            rang=_rang(state),
            blind=tuple(f"{name}: {why}" for name, why in blind.items()),
            broken=_broken(state),
            drift=_drift(self._drifts.get(asset)),
            doubts=(),
            trouble=commission.trouble,
        )
        doubts = self._doubts(standing, model)
        return msgspec.structs.replace(standing, doubts=tuple(doubts))

    def write(
        self,
        standings: Sequence[Standing],
        *,
        by: str,
        because: str,
        withdraw: bool,
        key: Path | None,
    ) -> None:
        """Write a person's word on some assets.

        Raises ConfigError where it would not count: without a signature or approvals that are
        required.
        """
        what, sha256 = (WITHDRAWN if withdraw else ACCEPTED), self.bundle.sha256
        if not by.strip():
            raise ConfigError("nobody is named; add --by NAME")
        history = store_of(self.config).history()
        if not withdraw and (lacks := unapproved_because(self.config, history, sha256, by=by)):
            raise ConfigError(lacks)
        secret = read_key(key) if key is not None else None

        def finish(word: Word) -> Word:
            if secret is not None:
                signed = secret.sign(word_content(self.config.site, word))
                word = msgspec.structs.replace(word, signature=base64.b64encode(signed).decode())
            if not counts(self.config, word):
                raise ConfigError(
                    f"the word of {by} does not count: signatures are required, and this has none"
                    f" by the key of [trust.operators] {by}; add --key"
                )
            return word

        book_of(self.config).write(
            what,
            {one.asset: msgspec.json.encode(one).decode() for one in standings},
            bundle_sha256=sha256,
            by=by,
            because=because,
            finish=finish,
        )

    def _doubts(self, one: Standing, model: AssetModel) -> list[str]:
        """Why somebody may want to wait, a line each."""
        settings = self.config.settings.of_asset(one.asset)
        tells_stops = any(tag.role == "run" for tag in settings.context)
        complete = not lacking([settings])
        budget = f"its part of the budget is {one.alerts_budget_per_day:.2g}"
        many = TIMES_BUDGET * one.alerts_budget_per_day
        rang = one.alerts_shadow > 1 and one.alerts_shadow_per_day > many
        unlike = model.metrics.get(CONTAMINATED, 0.0)
        unsteady = 100 * model.metrics.get(UNSTEADY, 0.0)
        found = {
            f"seen for {one.hours:.1f} h since it was learned: less than a day": one.hours < DAY_H,
            f"learned from {one.learned_hours:.1f} h: less than a day": one.learned_hours < DAY_H,
            f"{one.alerts_expected_per_day:.2g} alerts a day are expected, {budget}": (
                one.alerts_expected_per_day > one.alerts_budget_per_day
            ),
            f"it would have rung {one.alerts_shadow_per_day:.2g} times a day, {budget}": rang,
            **{f"blind: {line}": True for line in one.blind},
            **{f"sensor: {line}": True for line in one.broken},
            **{f"drift: {line}": True for line in one.drift},
            f"modes that were learned, and not seen since: {', '.join(one.modes_never)}": bool(
                one.modes_never
            ),
            f"modes without a baseline, not scored: {', '.join(one.modes_bare)}": bool(
                one.modes_bare
            ),
            "it has not stood still yet: no stop and no start was seen": (
                tells_stops and not one.stood
            ),
            f"{unlike:.0f} rows were unlike the rest, and not learned": unlike > 0,
            f"{unsteady:.0f} % of the rows are unlike the rest": unsteady > 0,
            one.trouble: bool(one.trouble),
            "consequence, cause or action is missing: its audience stays the engineer": (
                not complete
            ),
        }
        return [line for line, holds in found.items() if holds]


def _rang(state: AssetState) -> tuple[str, ...]:
    """What an asset has rung, for engineers or for all: what is over, and what goes on."""
    over = [
        f"{iso(event.begin_ns)} {event.klass}: "
        f"{', '.join(part.channel for part in event.contributions[:2]) or 'no channel'}, over"
        for event in state.past
    ]
    active = [
        f"{iso(record.begin_ns)} {headline(record)}, goes on"
        for record in state.alerts.values()
        if record.active
    ]
    return tuple([*over, *active][-RANG_SHOWN_MAX:])


def _broken(state: AssetState) -> tuple[str, ...]:
    """Channels whose sensors are wrong now."""
    record = state.alerts[Track.SENSOR]
    if not (record.active or record.suppressed):
        return ()
    return tuple(
        f"{part.channel} {SENSOR_CLASSES.get(part.direction, part.direction)}"
        for part in record.contributions
    )


def _drift(found: Drifting | None) -> tuple[str, ...]:
    """What of an asset has moved since it was learned."""
    if found is None or not found.since_ns:
        return ()
    since = iso(found.since_ns)
    lines = [f"{one.channel}: {' and '.join(one.kinds)}, since {since}" for one in found.channels]
    return tuple(lines) or (f"its scores, since {since}",)


def _accepted(state: AssetState) -> bool:
    return state.commission is not None and state.commission.in_service


def _why_not(asset: str, stage: Stage, *, withdraw: bool) -> str:
    if withdraw:
        return f"{asset} is {stage}, not in service: there is nothing to withdraw"
    if stage is Stage.IN_SERVICE:
        return f"{asset} is in service already"
    return f"{asset} is {stage}: nothing was learned of it yet, so there is nothing to accept"


def _listed(stages: dict[str, Stage]) -> str:
    return ", ".join(f"{asset} {stage}" for asset, stage in stages.items()) or "none"
