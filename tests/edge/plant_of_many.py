"""A plant of a dozen assets that live wildly, before two engines: by columns, and one by one.

The second looks at every asset with each tick, whether time alone does anything to it or not.

Everything follows from one seed: who sends what in which cut, which sensors fail, who stands still,
what operators and documents say, when a process ends or another bundle takes over.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from edge.engine import Engine
from edge.records import (
    BundleSwapped,
    MessageReceived,
    RowsScored,
    Shed,
    SnapshotSwapped,
    Started,
    TickDue,
)
from edge.samples.usual import Trial
from edge.settings import AssetSettings, ContextTag, EngineSettings, GatewaySettings
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.wire.readings import encode_rows
from kb.records import Limit, Sensor, WorkKind
from models.bundles.assemble import make_bundle
from models.fitting.fit import FitOptions, fit_asset
from tests.edge.rig import QUOTE, START, S, fitted_of, knowledge, scope
from tests.models.plants import plant, samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.desk import Knowledge
    from edge.records import Effect, Stimulus
    from edge.takeover import Fitted
    from models.bundles.bundle import AssetFit, AssetModel

WIDE: Final = ("a0", "a1", "a2", "a3", "a4", "a5")
STOPS: Final = ("s0", "s1", "s2", "s3", "s4")  # machines with a run tag and a baseline of standing
SLIM: Final = ("t0", "t1", "t2", "t3", "t4")
ASSETS: Final = (*WIDE[:3], *STOPS, *SLIM, *WIDE[3:])
ROWS: Final = 1_600
TRAINED: Final = 1_500


@functools.cache
def fits() -> dict[str, AssetFit]:
    """One fit of each kind of machine."""
    running = np.ones(TRAINED, bool)
    running[300:700] = running[1100:1300] = False
    still = plant(TRAINED, seed=3)
    still[~running] = still[~running] * 0.05 + 1.0
    return {
        "a": fit_asset(samples(plant(TRAINED, seed=1)), FitOptions(alignment="rows")),
        "s": fit_asset(samples(still, running=running), FitOptions(alignment="rows")),
        "t": fit_asset(samples(plant(TRAINED, seed=2, c=3)), FitOptions(alignment="grid")),
        "b": fit_asset(samples(plant(TRAINED, seed=4)), FitOptions(alignment="rows")),
    }


@functools.cache
def bundles() -> tuple[Fitted, ...]:
    """Two bundles: in the other, some are fitted anew, one has gone and one has come."""
    known = fits()
    first = [replace(known[name[0]], asset=name) for name in ASSETS]
    other = [*(one if one.asset != "a1" else replace(known["b"], asset="a1") for one in first[:-1])]
    other.append(replace(known["a"], asset="a9"))
    return tuple(fitted_of(make_bundle(some)) for some in (first, other))


def settings() -> GatewaySettings:
    """Run tags, a witness, a heartbeat, channels that measure the same and a safety list."""
    run = ContextTag(tag="run", role="run")
    cal = ContextTag(tag="cal", role="witness", kind=WorkKind.CALIBRATION, instrument="x")
    beat = ContextTag(tag="beat", role="heartbeat", interval_ms_max=20_000)
    told = [AssetSettings(id=name, context=(run, cal), respond_min=1) for name in STOPS]
    told.append(AssetSettings(id="a0", context=(cal, beat), safety=("c0",)))
    told += [AssetSettings(id=name, redundant=(("c0", "c1", "c2"),)) for name in WIDE[1:3]]
    told.append(AssetSettings(id="a3", redundant=(("c1", "c3"),), on_change=("c2",)))
    told.append(AssetSettings(id="t0", context=(ContextTag(tag="recipe", role="mode"),)))
    engine = EngineSettings(escalate=True, score_publish_s=30)
    return GatewaySettings(site="s", engine=engine, asset=tuple(told))


def known_of(seed: int) -> Knowledge:
    """A snapshot with limits, near and far, and ranges of instruments."""
    chance = np.random.default_rng(seed)
    models = {one.asset: one for one in bundles()[0].bundle.assets}
    rows = [_limit(models[name], float(chance.uniform(3.0, 40.0)), name) for name in ASSETS[::2]]
    rows.append(msgspec.structs.replace(rows[0], limit_id="later", recorded_at_ns=START + 700 * S))
    sensors = tuple(
        Sensor(
            asset="", channel="c1", unit="", low=-1e4, high=float(chance.uniform(20.0, 1e4)),
            aliases=(), citation=QUOTE,
        )
        for _ in range(seed % 2)
    )  # fmt: skip
    scopes = (scope(asset="a0"), *(scope(asset=name, scope_id=name) for name in STOPS))
    made = knowledge(scopes=scopes, sha256=f"kb{seed}")
    return msgspec.structs.replace(made, limits=tuple(rows), sensors=sensors)


def _limit(model: AssetModel, sigmas: float, name: str) -> Limit:
    return Limit(
        limit_id=name,
        asset=name,
        channel="c2",
        unit="",
        low_low=None,
        low=float(model.center[2] - sigmas * model.sigma[2]),
        high=float(model.center[2] + sigmas * model.sigma[2]),
        high_high=None,
        recorded_at_ns=0,
        approved_by="qa",
        citation=QUOTE,
    )


def _all_of(count: int) -> Callable[[int, int, NDArray[np.int64], int], NDArray[np.bool_]]:
    return lambda *_: np.ones(count, bool)


class Both:
    """Two engines that take the same: one by columns where it can, one never."""

    def __init__(self, seed: int) -> None:
        """From a seed; of every other one each row is told too."""
        self.tells = bool(seed % 2)
        self.chance = np.random.default_rng(seed)
        self.bundles = {one.bundle.sha256: one for one in bundles()}
        self.known = {f"kb{i}": known_of(i) for i in range(3)}
        self.now_sha256 = bundles()[0].bundle.sha256
        self.knows = "kb0"
        self.engines = [self._engine(None, together) for together in (True, False)]
        self.effects: list[Effect] = []
        self.values = {name: _signal(name, i) for i, name in enumerate((*ASSETS, "a9"))}
        self.sent = dict.fromkeys((*ASSETS, "a9"), 0)
        self.failing: dict[str, tuple[str, int]] = {}
        self.stands: dict[str, int] = {}
        self.at = 0
        self.together = self.stood = 0  # asset-samples taken by columns; of standing machines

    def _engine(self, state: EngineState | None, together: bool) -> Engine:  # noqa: FBT001
        fitted = self.bundles[self.now_sha256 if state is None else state.bundle_sha256]
        engine = Engine(
            settings(),
            bundle=fitted.bundle,
            detectors=fitted.detectors,
            derive=fitted.derive,
            knowledge=self.known[self.knows],
            knowledge_of=self.known.get,
            bundle_of=self.bundles.get,
            state=state,
            together=together,
        )
        if not together:
            for slab in engine._taking._slabs.values():
                setattr(slab, "visits", _all_of(len(slab.assets)))  # noqa: B010 - a method
        if self.tells:
            engine.tell_rows()
        return engine

    @property
    def now_ns(self) -> int:
        """A little after the newest sample."""
        return START + self.at * S + S // 4

    def give(self, stimulus: Stimulus) -> None:
        """Hand both engines one stimulus; what they do about it must be the same."""
        mine, theirs = (engine.handle(stimulus, now_ns=self.now_ns) for engine in self.engines)
        assert [*map(_plain, mine)] == [*map(_plain, theirs)], f"at {self.at}: {stimulus}"
        self.effects += mine

    def compare(self) -> None:
        """All that they remember, bit for bit."""
        mine, theirs = (engine.state for engine in self.engines)
        if pack(mine) != pack(theirs):
            for name, one in mine.assets.items():
                assert pack(one) == pack(theirs.assets[name]), f"at {self.at}: {name}"
                assert pack(mine.ring.assets[name]) == pack(theirs.ring.assets[name]), name
            raise AssertionError(f"at {self.at}: states differ")

    # --- what happens ---

    def step(self) -> None:
        """Something of all that may happen, then a stretch of samples and a tick."""
        kind = self.chance.choice(len(HAPPENS), p=[p for p, _ in HAPPENS])
        HAPPENS[kind][1](self)
        n = int(self.chance.choice([1, 1, 1, 1, 2, 5, 33, 64, 200]))
        self.at = min(self.at + n, ROWS)
        order = [name for name in self.sent if self.chance.random() < 0.9]
        for name in order:
            self._send(name)
        self.give(TickDue())

    def _send(self, name: str) -> None:
        first, last = self.sent[name], self.at
        if name in self.failing and self.failing[name][0] == "silent":
            self.sent[name] = last if self.chance.random() < 0.5 else first
            return self._heal(name)
        self.sent[name] = last
        if last <= first:
            return None
        rows = self._spoilt(name, self.values[name][first:last].copy())
        tags = [f"c{i}" for i in range(rows.shape[1])]
        for tag, value in self._context(name).items():
            tags.append(tag)
            rows = np.column_stack([rows, np.full(len(rows), value)])
        t_ns = [START + (first + i) * S for i in range(len(rows))]
        for payload in encode_rows(tags, t_ns, rows.tolist(), shape="columnar"):
            sent = MessageReceived(topic=f"plant/{name}", payload=payload, received_ns=self.now_ns)
            self.give(sent)
        return self._heal(name)

    def _context(self, name: str) -> dict[str, float]:
        told: dict[str, float] = {}
        if name in STOPS:
            told["run"] = 0.0 if name in self.stands else 1.0
            told["cal"] = float(name == "s1" and self.at % 700 > 600)
        if name == "a0":
            told = {"cal": float(self.at % 900 > 800), "beat": float(self.at // 10)}
        return told | ({"recipe": float(self.at // 300)} if name == "t0" else {})

    def _spoilt(self, name: str, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        if name in self.stands:
            rows = rows * 0.05 + 1.0
        kind = self.failing.get(name, ("", 0))[0]
        if kind == "nan":
            rows[:, 1] = np.nan
        elif kind == "holes":
            rows[self.chance.random(rows.shape) < 0.3] = np.nan
        elif kind == "stuck":
            rows[:, 2] = self.values[name][0, 2]
        elif kind == "step":
            rows[:, 0] += 12.0 * self.values[name][:, 0].std()
        elif kind == "loud":
            rows[:, 2] += self.chance.normal(size=len(rows)) * 4.0 * self.values[name][:, 2].std()
        elif kind == "apart":
            rows[:, 1] += 5.0 * self.values[name][:, 1].std()
        elif kind == "dull":
            rows = np.repeat(rows[::5], 5, axis=0)[: len(rows)]
        return rows

    def _heal(self, name: str) -> None:
        for told in self.failing, self.stands:
            until = told.get(name, 0)
            if name in told and (until[1] if isinstance(until, tuple) else until) <= self.at:
                del told[name]

    def fail(self) -> None:
        """A sensor or a source begins to fail, or the process does."""
        kinds = ["nan", "holes", "stuck", "step", "loud", "apart", "dull", "silent"]
        until = self.at + int(self.chance.integers(1, 400))
        self.failing[str(self.chance.choice(ASSETS))] = str(self.chance.choice(kinds)), until

    def stand(self) -> None:
        """A machine stands still for a while."""
        until = self.at + int(self.chance.integers(1, 300))
        self.stands[str(self.chance.choice(STOPS))] = until

    def command(self) -> None:
        """An operator says something."""
        asset = str(self.chance.choice(ASSETS))
        ids = [one.alert_id for one in self.engines[1].alerts() if one.alert_id]
        bodies: list[tuple[str, dict[str, Any]]] = [
            ("shelve", {"asset": asset, "track": "process", "minutes": 2}),
            ("oos", {"asset": asset, "minutes": 2, "owner": "ann"}),
            ("job", {"asset": asset, "action": "check_in", "kind": "calibration",
                     "instrument": "x", "minutes": 3}),
            ("ack", {"alert_id": str(self.chance.choice(ids)) if ids else "none"}),
        ]  # fmt: skip
        name, body = bodies[int(self.chance.integers(len(bodies)))]
        body |= {"ts": self.now_ns // 10**6, "reason": "as planned"}
        topic, payload = f"andon/s/cmd/ann/{name}", msgspec.json.encode(body)
        self.give(MessageReceived(topic=topic, payload=payload, received_ns=self.now_ns))

    def learn(self) -> None:
        """Another snapshot counts."""
        self.knows = f"kb{int(self.chance.integers(3))}"
        self.give(SnapshotSwapped(snapshot_sha256=self.knows))

    def shed(self) -> None:
        """Messages were given up."""
        self.give(Shed(messages={str(self.chance.choice(ASSETS)): 3}))

    def restart(self) -> None:
        """A process ends, another one goes on."""
        states = [unpack(pack(engine.state), EngineState) for engine in self.engines]
        self.engines = [
            self._engine(state, together)
            for state, together in zip(states, (True, False), strict=True)
        ]
        self.give(
            Started(
                version="1", bundle_sha256=self.now_sha256, snapshot_sha256=self.knows,
                settings_sha256="s",
            )
        )  # fmt: skip

    def swap(self) -> None:
        """Another bundle scores."""
        others = [sha256 for sha256 in self.bundles if sha256 != self.now_sha256]
        self.now_sha256 = others[0]
        self.give(BundleSwapped(bundle_sha256=self.now_sha256))

    def rest(self) -> None:
        """Nothing."""


HAPPENS: Final = (
    (0.15, Both.fail),
    (0.05, Both.stand),
    (0.05, Both.command),
    (0.02, Both.learn),
    (0.02, Both.shed),
    (0.02, Both.restart),
    (0.02, Both.swap),
    (0.02, Both.compare),
    (0.65, Both.rest),
)


def _signal(name: str, seed: int) -> NDArray[np.float64]:
    """What an asset does in normal operation; of one the values are rounded, one wanders off."""
    rows = plant(ROWS + 1, seed=100 + seed, c=3 if name in SLIM else 4)
    if name in ("a4", "t2"):
        rows = np.round(rows / (0.3 * rows.std(axis=0))) * (0.3 * rows.std(axis=0))
    if name == "a5":
        rows[ROWS // 3 :] += 0.8 * rows.std(axis=0)
    return rows


def _plain(effect: Effect) -> object:
    """An effect that can be compared."""
    if not isinstance(effect, RowsScored):
        return effect
    rows = (effect.t_ns, effect.scores.view(np.uint32), effect.flags, effect.classes)
    return effect.asset, effect.threshold, [part.tolist() for part in rows]


def counted(both: Both, monkeypatch: Any) -> None:  # noqa: ANN401
    """Count what is taken by columns."""
    usual = Trial.commit

    def commit(trial: Trial) -> dict[int, NDArray[np.bool_]]:
        both.together += int(trial.alive.sum()) * trial.sheaf.t_ns.shape[1]
        both.stood += int((trial.alive & ~trial.ran).sum()) * trial.sheaf.t_ns.shape[1]
        return usual(trial)

    monkeypatch.setattr(Trial, "commit", commit)
