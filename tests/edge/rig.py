"""A rig for the tests of the core: a real bundle of two small assets, the real engine, a script."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from edge.desk import Knowledge
from edge.engine import Engine
from edge.records import Audited, MessageReceived, Publish, TickDue
from edge.settings import AssetSettings, ContextTag, EngineSettings, GatewaySettings
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.takeover import Fitted
from edge.wire.readings import encode_rows
from kb.records import Citation, Proposal, ScopeRow, WorkKind
from models.bundles.assemble import make_bundle
from models.bundles.rows import without
from models.detector import detectors_of
from models.fitting.fit import FitOptions, fit_asset
from tests.models.plants import samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edge.records import Effect, Stimulus
    from edge.samples.scoring import Score
    from edge.work.jobs import JobRun
    from models.bundles.bundle import Bundle

S: Final = 1_000_000_000
START: Final = 1_760_000_000 * S
CHANNELS: Final = ("c0", "c1", "c2", "c3")
ASSETS: Final = ("r1", "r11")
QUOTE: Final = Citation(
    doc_id="wo-1", revision="1", chunk_id=7, start=0, end=3, sha256="00", quote="cal"
)


def var(rows: int, *, seed: int) -> NDArray[np.float64]:
    """A VAR(1) of four channels that know little of each other, in odd units (rows, 4)."""
    noise = np.random.default_rng(seed).normal(size=(rows, 4))
    noise[:, 1:] += 0.15 * noise[:, :-1]
    x = np.zeros((rows, 4))
    for t in range(1, rows):
        x[t] = 0.5 * x[t - 1] + noise[t]
    return np.asarray(x * np.geomspace(0.01, 50.0, 4) + np.linspace(-3.0, 400.0, 4))


@functools.cache
def bundle() -> Bundle:
    """Two assets of four channels, with stable made-up physics."""
    options = FitOptions(alignment="rows")
    return make_bundle(
        [
            fit_asset(samples(var(4000, seed=i), asset=asset), options)
            for i, asset in enumerate(ASSETS)
        ]
    )


@functools.cache
def detectors() -> tuple[Score, ...]:
    """The real graph, loaded once."""
    return detectors_of(bundle())


def derived(row: int, keep: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """Parameters of a row of `bundle` that sees only `keep` (c,)."""
    return without(bundle(), row, keep)


def fitted_of(other: Bundle) -> Fitted:
    """Another bundle, ready to score."""
    return Fitted(
        bundle=other,
        detectors=detectors_of(other),
        derive=lambda row, keep: without(other, row, keep),
    )


@functools.cache
def normal(asset: str) -> NDArray[np.float64]:
    """An hour and a half of normal operation (n, 4)."""
    return var(5400, seed=100 + len(asset))


def scope(**change: Any) -> ScopeRow:  # noqa: ANN401
    """The approved row: calibration of x on r1 may disturb c1."""
    row = ScopeRow(
        scope_id="s1",
        kind=WorkKind.CALIBRATION,
        asset="r1",
        instrument="x",
        channels=("c1",),
        expected_effect=0.3,
        duration_s_max=600,
        settle_s=60,
        recorded_at_ns=0,
        approved_by="qa",
        citation=QUOTE,
    )
    return msgspec.structs.replace(row, **change)


def order(**change: Any) -> Proposal:  # noqa: ANN401
    """An approved order with real times: from second 300 to 420."""
    proposal = Proposal(
        proposal_id="wo-1",
        kind=WorkKind.CALIBRATION,
        asset="r1",
        instrument="x",
        valid_from_ns=START + 300 * S,
        valid_to_ns=START + 420 * S,
        recorded_at_ns=START,
        source="order",
        approved=True,
        real_times=True,
        cancelled=False,
        confidence=0.9,
        citation=QUOTE,
    )
    return msgspec.structs.replace(proposal, **change)


def knowledge(
    *,
    proposals: Sequence[Proposal] = (),
    scopes: Sequence[ScopeRow] = (),
    verified: bool = True,
    sha256: str = "kb",
) -> Knowledge:
    """A snapshot's typed rows; without `scopes` the usual one."""
    return Knowledge(
        sha256=sha256,
        proposals=tuple(proposals),
        scope_rows=tuple(scopes) or (scope(),),
        verified=verified,
    )


def settings(**change: Any) -> GatewaySettings:  # noqa: ANN401
    """r1 with a run tag and a witness tag; `engine`, `safety`, `clock` and `source` may differ.

    `r1`: other settings of the asset; `context`: tags that it has besides.
    """
    more = change.pop("context", ())
    r1 = AssetSettings(
        id="r1",
        safety=change.pop("safety", ()),
        context=(
            ContextTag(tag="run", role="run"),
            ContextTag(tag="cal", role="witness", kind=WorkKind.CALIBRATION, instrument="x"),
            *more,
        ),
    )
    r1 = msgspec.structs.replace(r1, **change.pop("r1", {}))
    engine = EngineSettings(**change.pop("engine", {}))
    return GatewaySettings(site="s", engine=engine, asset=(r1,), **change)


class Rig:
    """A gateway's mind with a plant before it. `at` is the next second of the script."""

    def __init__(
        self,
        *,
        known: Knowledge | None = None,
        conf: GatewaySettings | None = None,
        state: EngineState | None = None,
        without_knowledge: bool = False,
        fitted: Fitted | None = None,
        others: Mapping[str, Fitted] | None = None,
    ) -> None:
        """`fitted`: another bundle to begin with; `others`: such as may be swapped in."""
        self.settings = conf or settings()
        self.known = None if without_knowledge else known or knowledge()
        self.swapped: dict[str, Knowledge] = {}
        begun = fitted or Fitted(bundle=bundle(), detectors=detectors(), derive=derived)
        self.fitted = {**(others or {}), begun.bundle.sha256: begun}
        self._begun = begun.bundle.sha256
        self.engine = self._engine(state)
        self.at = 0
        self.context: dict[str, float] = {"run": 1.0, "cal": 0.0}
        self.beating = True  # where the context has a tag `beat`, it counts the seconds
        self.sent: list[tuple[int, Stimulus]] = []
        self.effects: list[Effect] = []

    def _engine(self, state: EngineState | None) -> Engine:
        fitted = self.fitted[state.bundle_sha256 if state is not None else self._begun]
        return Engine(
            self.settings,
            bundle=fitted.bundle,
            detectors=fitted.detectors,
            derive=fitted.derive,
            knowledge=self.known,
            knowledge_of=self.swapped.__getitem__,
            bundle_of=self.fitted.get,
            state=state,
        )

    def restart(self) -> None:
        """Go on in a new process from packed state."""
        self.engine = self._engine(unpack(pack(self.engine.state), EngineState))

    # --- in ---

    @property
    def now_ns(self) -> int:
        """A little after the newest sample, when it has been closed."""
        return START + self.at * S - S // 4

    def give(self, stimulus: Stimulus, *, now_ns: int | None = None) -> None:
        """Hand the engine one stimulus."""
        now_ns = self.now_ns if now_ns is None else now_ns
        self.sent.append((now_ns, stimulus))
        self.effects.extend(self.engine.handle(stimulus, now_ns=now_ns))

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """One message from the broker."""
        sent = MessageReceived(topic=topic, payload=payload, received_ns=self.now_ns, retain=retain)
        self.give(sent)

    def run(
        self,
        seconds: int,
        shift: Mapping[str, float] | None = None,
        *,
        other: Mapping[str, float] | None = None,
        silent: Sequence[str] = (),
        step: int = 5,
        stuck: Sequence[str] = (),
    ) -> None:
        """Let the plant run: shift of r1's and r11's (`other`) channels in sigmas."""
        end = self.at + seconds
        while self.at < end:
            n = min(step, end - self.at)
            for asset, moved in (("r1", shift or {}), ("r11", other or {})):
                if asset not in silent:
                    self._rows(asset, n, moved, stuck if asset == "r1" else ())
            self.at += n
            self.give(TickDue())

    def _rows(self, asset: str, n: int, shift: Mapping[str, float], stuck: Sequence[str]) -> None:
        model = next(m for m in bundle().assets if m.asset == asset)
        rows = normal(asset)[self.at : self.at + n].copy()
        for name, sigmas in shift.items():
            i = CHANNELS.index(name)
            rows[:, i] += sigmas * model.sigma[i]
        for i in map(CHANNELS.index, stuck):
            rows[:, i] = normal(asset)[0, i]
        tags = list(CHANNELS)
        if asset == "r1":
            tags += list(self.context)
            context = np.tile(list(self.context.values()), (n, 1))
            if "beat" in self.context and self.beating:
                context[:, tags.index("beat") - len(CHANNELS)] = np.arange(self.at, self.at + n)
            rows = np.column_stack([rows, context])
        t_ns = [START + (self.at + i) * S for i in range(n)]
        for payload in encode_rows(tags, t_ns, rows.tolist(), shape="columnar"):
            self.give(
                MessageReceived(topic=f"plant/{asset}", payload=payload, received_ns=t_ns[-1]),
                now_ns=t_ns[-1],
            )

    def command(self, name: str, **body: Any) -> dict[str, Any]:  # noqa: ANN401
        """A command of the operator ann; returns the answer, {} when there is none."""
        body = {"ts": self.now_ns // 1_000_000, **body}
        if name in ("confirm", "job", "shelve", "oos"):  # each needs a reason; the tests of that
            body.setdefault("reason", "as planned")  # give one of their own
        before = len(self.effects)
        self.send(f"andon/s/cmd/ann/{name}", msgspec.json.encode(body))
        for effect in self.effects[before:]:
            if isinstance(effect, Publish) and "cmd_result" in effect.topic:
                answer: dict[str, Any] = msgspec.json.decode(effect.payload)
                return answer
        return {}

    # --- out ---

    def audited(self) -> list[str]:
        """What the audit trail says, in short."""
        return [effect.what for effect in self.effects if isinstance(effect, Audited)]

    @property
    def published(self) -> list[Publish]:
        """What left towards the broker."""
        return [effect for effect in self.effects if isinstance(effect, Publish)]

    def events(self, asset: str = "r1", track: str = "process") -> list[dict[str, Any]]:
        """Event revisions of one track in order."""
        found = [
            msgspec.json.decode(effect.payload)
            for effect in self.published
            if effect.topic == f"andon/s/event/{asset}"
        ]
        return [event for event in found if event["track"] == track]

    def said(self, asset: str = "r1", track: str = "process") -> list[str]:
        """The same in short: suppressed, ALERT, ANNOTATED, or the state of what does not ring."""
        return [
            "suppressed"
            if event["suppressed"]
            else event["decision"]
            if event["active"]
            else event["state"]
            for event in self.events(asset, track)
        ]

    def seconds(self, event: dict[str, Any]) -> float:
        """Second of the script at which a revision was made."""
        return float(event["ts_ms"] * 1_000_000 - START) / S

    @property
    def runs(self) -> list[JobRun]:
        """The jobs of r1."""
        return self.engine.state.assets["r1"].runs
