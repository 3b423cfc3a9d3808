"""A running gateway takes over what is promoted, refuses what it must not, and goes back by itself.

The gateway is the real one but for the broker; time is the plant's.
"""

from __future__ import annotations

import functools
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest

from edge.assembly.assembly import assemble
from edge.bundles import watch
from edge.bundles.probation import ALERTS_MIN, LOOKS_MIN, TICKS_MIN
from edge.bundles.store import BundleStore, store_of
from edge.bundles.watch import GATEWAY, BundleWatch, assembled
from edge.configuration.config import GatewayConfig
from edge.configuration.sections import JournalConfig, ModelConfig
from edge.errors import ConfigError
from edge.gateway.faults import Faults
from edge.gateway.telemetry import Telemetry
from edge.records import BundleSwapped, MessageReceived, TickDue
from edge.settings import AssetSettings, EngineSettings
from edge.wire.readings import encode_rows
from models.bundles.assemble import make_bundle
from models.bundles.store import save, sealed
from models.errors import ModelError
from tests.edge.app_broker import BEGIN_NS
from tests.models.plants import fitted, plant

if TYPE_CHECKING:
    from pathlib import Path

    from edge.records import Effect, Stimulus
    from models.bundles.bundle import Bundle

S: Final = 10**9
PAUSE_S: Final = 1e-3


@functools.cache
def first() -> Bundle:
    """What the configuration names."""
    return make_bundle([fitted(seed=1)])


@functools.cache
def second() -> Bundle:
    """Its child, fitted on other rows."""
    return make_bundle([fitted(seed=2)], parent=first())


@functools.cache
def jumpy() -> Bundle:
    """A child that takes a tenth of normal operation for strange."""
    bundle = make_bundle([fitted(seed=1)], parent=first())
    low = msgspec.structs.replace(bundle.assets[0], threshold_on=1.0, threshold_off=0.9)
    return sealed(replace(bundle, assets=(low,)))


class Site:
    """A gateway's engine, its bundles, and the loop's part that watches them."""

    def __init__(self, folder: Path, **model: Any) -> None:  # noqa: ANN401
        folder.mkdir(exist_ok=True)
        save(first(), folder / "first")
        self.config = GatewayConfig(
            site="s",
            clock="plant",
            model=ModelConfig(bundle="first", **model),
            journal=JournalConfig(dir="state"),
            engine=EngineSettings(clear_samples=5),
            base=str(folder),
        )
        self.folder = folder
        self.store: BundleStore = store_of(self.config)
        self.telemetry, self.faults = Telemetry(), Faults()
        self.sent: list[tuple[int, Stimulus]] = []
        self.effects: list[Effect] = []
        self.open()
        self.row = 0
        self.values = plant(4000, seed=5)

    def open(self) -> None:
        """A process begins."""
        self.assembly = assembled(self.config)
        self.watch = BundleWatch(self.config, self.assembly, self.telemetry, self.store)

    def promote(self, bundle: Bundle, watch_s: float = 3600.0) -> None:
        """As `andon model promote` does it."""
        path = self.folder / bundle.sha256[:8]
        if not path.exists():
            save(bundle, path)
        self.store.keep(path)
        self.store.point(bundle.sha256, by="ann", because="new pump", watch_s=watch_s)

    def give(self, stimulus: Stimulus, now_ns: int) -> None:
        """One stimulus to the engine."""
        self.sent.append((now_ns, stimulus))
        self.effects += self.assembly.engine.handle(stimulus, now_ns=now_ns)

    def look(self) -> list[BundleSwapped]:
        """The loop's look, until nothing is being opened; what comes is taken."""
        found = self.watch.look()
        if not found and self.watch._opening is not None:
            self.watch._opening.join()
            found = self.watch.look()
        for swapped in found:
            self.give(swapped, BEGIN_NS + self.row * S)
            self.watch.taken()
        return found

    def run(self, seconds: int, *, look: bool = True, each_s: int = 5) -> list[BundleSwapped]:
        """The plant runs; returns what took over meanwhile."""
        came: list[BundleSwapped] = []
        for _ in range(0, seconds, each_s):
            t_ns = [BEGIN_NS + (self.row + i) * S for i in range(each_s)]
            rows = self.values[self.row : self.row + each_s].tolist()
            for payload in encode_rows(["c0", "c1", "c2", "c3"], t_ns, rows, shape="columnar"):
                message = MessageReceived(topic="plant/r1", payload=payload, received_ns=t_ns[-1])
                self.give(message, t_ns[-1])
            self.row += each_s
            begin_s = time.perf_counter()
            self.give(TickDue(), t_ns[-1])
            self.telemetry.ticked((time.perf_counter() - begin_s) * 1e3)
            if look:
                came += self.look()
        return came

    @property
    def scores_with(self) -> str:
        """Hash of the bundle in the engine."""
        return self.assembly.engine.state.bundle_sha256

    def wrong(self) -> dict[str, str]:
        """What operators are told."""
        self.watch.judge(self.faults)
        return dict(self.faults._active)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A gateway that has run for a while; a busy computer changes no verdict of its second look."""
    monkeypatch.setattr(watch, "SECOND_LOOK_S_MAX", 600.0)
    one = Site(tmp_path / "site")
    one.run(60)
    return one


def test_what_is_promoted_takes_over_with_its_reason(site: Site) -> None:
    """Noticed by the file, opened aside, taken as one stimulus."""
    assert site.look() == []
    site.promote(second())
    assert site.look() == [
        BundleSwapped(bundle_sha256=second().sha256, because="promoted by ann: new pump")
    ]
    assert site.scores_with == site.assembly.bundle.sha256 == second().sha256
    assert site.look() == []
    assert math.isfinite(site.assembly.engine.state.assets["r1"].last_score)
    assert not site.wrong()


def test_a_bundle_that_fails_its_self_test_is_refused_and_the_pointer_put_back(site: Site) -> None:
    """Somebody who has the disk may write the pointer; what does not verify never scores."""
    site.promote(second())
    model = site.store.find(second().sha256)
    assert model is not None
    stored = (model / "model.onnx").read_bytes()
    (model / "model.onnx").write_bytes(stored[:-9] + b"x" + stored[-8:])
    assert site.look() == []
    assert site.scores_with == first().sha256
    assert site.store.current()[0] == first().sha256
    assert "model.onnx" in site.wrong()["bundle_refused"]
    assert site.store.history()[-1].by == GATEWAY
    (model / "model.onnx").write_bytes(stored)
    site.promote(second())
    assert len(site.look()) == 1, "mended, it is taken"
    assert not site.wrong()


def test_a_bundle_without_the_approval_that_is_required_is_refused(tmp_path: Path) -> None:
    """The gateway looks for itself: the commands are not the only ones that write."""
    site = Site(tmp_path / "site", approvals=1)
    site.run(20)
    site.promote(second())
    assert site.look() == []
    assert "approvals" in site.wrong()["bundle_refused"]
    site.store.note("approved", second().sha256, by="bea")
    site.promote(second())
    assert len(site.look()) == 1


def test_too_many_alerts_roll_it_back(site: Site) -> None:
    """Through the same stimulus, with the figures in the alert; the one before scores again."""
    site.promote(jumpy())
    assert len(site.look()) == 1
    came = site.run(900)
    (back,) = came
    assert back.bundle_sha256 == first().sha256
    assert f"{ALERTS_MIN + 1} alerts" in back.because
    assert site.scores_with == site.store.current()[0] == first().sha256
    assert back.because.removeprefix(f"rolled back by {GATEWAY}: ") in site.wrong()[
        "bundle_rolled_back"
    ]  # fmt: skip
    assert [act.what for act in site.store.history()] == ["promoted", "rolled_back"]
    assert site.run(60) == [], "what was rolled back does not come again"


def incident(site: Site) -> None:
    """A pump that jumps once in 150 s from now on; every detector rings for it."""
    for begin in range(site.row + 10, site.row + 1200, 150):
        site.values[begin : begin + 5, 1] += 3.0


def test_a_plant_that_fails_takes_no_bundle_back(site: Site) -> None:
    """The one before would have rung as much: it stays, and the history says why."""
    site.promote(second())
    assert len(site.look()) == 1
    incident(site)
    assert site.run(1200) == []
    rang = [a for a in site.assembly.engine.alerts() if a.rung]
    assert rang, "there was an incident"
    assert site.scores_with == site.store.current()[0] == second().sha256
    promoted, *kept = site.store.history()
    assert promoted.what == "promoted"
    assert {act.what for act in kept} == {"kept"}
    assert {(act.by, act.bundle_sha256) for act in kept} == {(GATEWAY, second().sha256)}
    assert f"{ALERTS_MIN + 1} alerts" in kept[0].because
    assert "it opens 6 events, the one before 6" in kept[0].because
    assert "bundle_rolled_back" not in site.wrong()


def test_an_incident_excuses_no_bundle_that_rings_more(site: Site) -> None:
    """Its own false alarms are seen among those of the plant."""
    site.promote(jumpy())
    assert len(site.look()) == 1
    site.values[site.row + 10 : site.row + 30, 1] += 40.0
    (back,) = site.run(900)
    assert back.bundle_sha256 == first().sha256
    assert "the one before" in back.because


def test_what_cannot_be_compared_is_taken_back(site: Site) -> None:
    """Of other units the one before knows nothing: that excuses no bundle."""
    low = jumpy().assets[0]
    channels = tuple(msgspec.structs.replace(one, unit="psi") for one in low.channels)
    other = msgspec.structs.replace(low, channels=channels)
    site.promote(sealed(replace(jumpy(), assets=(other,))))
    assert len(site.look()) == 1
    (back,) = site.run(900)
    assert back.bundle_sha256 == site.scores_with == first().sha256
    assert "nothing speaks for it; 1 had other channels" in back.because


def test_who_cannot_ask_the_bundle_before_keeps_what_scores(site: Site) -> None:
    """A rollback to what does not open would leave nothing; operators and the history hear it."""
    site.promote(jumpy())
    assert len(site.look()) == 1
    for place in (site.folder / "first", site.store.find(first().sha256)):
        assert place is not None
        (place / "parameters.npz").write_bytes(b"")
    assert site.run(900) == []
    assert site.scores_with == site.store.current()[0] == jumpy().sha256
    said = site.store.history()[-1]
    assert said.what == "kept"
    assert "parameters.npz" in said.because
    assert "can neither be asked nor take over" in site.wrong()["bundle_rolled_back"]


def test_without_a_watch_nothing_is_rolled_back(site: Site) -> None:
    """A person has said so; and after the time of the watch neither."""
    site.promote(jumpy(), watch_s=0)
    assert len(site.look()) == 1
    assert site.run(600) == []
    assert site.scores_with == jumpy().sha256


def test_a_good_bundle_passes_its_probation(site: Site) -> None:
    """Normal operation of ten minutes: no cause."""
    site.promote(second())
    assert len(site.look()) == 1
    assert site.run(600) == []
    assert site.scores_with == second().sha256


def test_slow_ticks_roll_it_back(site: Site) -> None:
    """Only when they are slower than a tick may be, and than they were."""
    site.promote(second())
    site.telemetry.ticks_ms.extend([90.0] * TICKS_MIN)
    assert len(site.look()) == 1
    site.telemetry.ticks_ms.extend([179.0] * TICKS_MIN)
    assert site.look() == [], "twice of before is the bound"
    site.telemetry.ticks_ms.extend([181.0] * (5 * TICKS_MIN))
    (back,) = site.look()
    assert "tick" in back.because
    assert site.scores_with == first().sha256


def test_ticks_of_many_seconds_roll_it_back_after_a_few(site: Site) -> None:
    """A hundred of them would take an hour; one that waited for something else is none."""
    site.promote(second())
    assert len(site.look()) == 1
    site.telemetry.ticks_ms.extend([60_000.0, *[1.0] * 8])
    assert site.look() == []
    site.telemetry.ticks_ms.clear()
    site.telemetry.ticks_ms.extend([30_000.0] * 4)
    assert site.look() == []
    site.telemetry.ticks_ms.append(30_000.0)
    (back,) = site.look()
    assert "every other tick takes 3e+04 ms" in back.because
    assert site.scores_with == first().sha256


def test_ticks_that_fall_behind_are_told_whatever_scores(site: Site) -> None:
    """A bundle that was there from the start has none to go back to; operators hear of it."""
    assert "ticks_late" not in site.wrong()
    site.telemetry.ticks_ms.clear()
    site.telemetry.ticks_ms.extend([99.0] * 300)
    assert "ticks_late" not in site.wrong()
    site.telemetry.ticks_ms.extend([400.0] * 301)
    assert "every other tick takes 400 ms" in site.wrong()["ticks_late"]
    site.telemetry.ticks_ms.extend([3.0] * 301)
    assert "ticks_late" not in site.wrong()


def test_samples_without_a_score_roll_it_back(site: Site) -> None:
    """One that gives NaN where there was a score, here because it never has enough samples."""
    site.promote(second())
    assert len(site.look()) == 1
    (part,) = site.assembly.engine._desk.parts.every
    never = np.full_like(part.parameters["settle"], 1e6)
    object.__setattr__(part, "parameters", {**part.parameters, "settle": never})
    came = site.run(5 * LOOKS_MIN + 5, each_s=5)
    (back,) = came
    assert "no score for" in back.because
    assert site.scores_with == first().sha256
    site.run(30)
    assert math.isfinite(site.assembly.engine.state.assets["r1"].last_score), "it scores again"


def test_a_machine_that_stands_still_is_no_fault_of_the_bundle(site: Site) -> None:
    """Samples without values cannot be scored by any."""
    site.promote(second())
    assert len(site.look()) == 1
    site.values[site.row :, 2] = np.nan
    assert site.run(5 * LOOKS_MIN + 5) == []


def test_a_bundle_that_no_longer_opens_at_a_start_gives_way(site: Site) -> None:
    """The one before it counts again, and the gateway says so as soon as it runs."""
    site.promote(second())
    site.look()
    place = site.store.find(second().sha256)
    assert place is not None
    (place / "parameters.npz").write_bytes(b"")
    with pytest.raises(ModelError):
        assemble(site.config)
    site.open()
    assert site.scores_with == first().sha256
    assert "parameters.npz" in site.wrong()["bundle_rolled_back"]
    assert site.store.current()[0] == first().sha256


def test_a_configured_bundle_that_does_not_open_has_none_to_give_way_to(site: Site) -> None:
    """Then the gateway does not start, as ever."""
    (site.folder / "first" / "parameters.npz").write_bytes(b"")
    with pytest.raises(ModelError):
        assembled(site.config)


def test_a_mistake_in_the_configuration_takes_no_bundle_back(site: Site) -> None:
    """An asset that no bundle has is for a person to mend."""
    site.promote(second())
    site.look()
    strange = msgspec.structs.replace(site.config, asset=(AssetSettings(id="r9"),))
    with pytest.raises(ConfigError, match="r9"):
        assembled(strange)
    assert site.store.current()[0] == second().sha256


def test_probation_goes_on_over_a_restart(site: Site) -> None:
    """The time is in the pointer."""
    site.promote(jumpy())
    site.look()
    state = site.assembly.engine.state
    site.open()
    site.assembly.restore(state)
    assert site.scores_with == jumpy().sha256
    (back,) = site.run(900)
    assert back.bundle_sha256 == first().sha256
