"""The first fit: what it learns, accelerometers included, and what it leaves as it was."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest

from edge.bundles.store import loaded, store_of
from edge.commissioning import fit as commission_fit
from edge.commissioning.fit import LEAD_SEGMENTS_MAX, first_needed, learn
from edge.commissioning.learned import LearnRequest
from edge.commissioning.watch import joined, prepare
from edge.configuration.config import load
from edge.errors import JournalError
from edge.records import MessageReceived
from edge.storage.journal import segments
from edge.storage.journal_writer import JournalWriter
from edge.wire.readings import encode_rows
from edge.wire.waveform import encode_block
from models.bundles.assemble import make_bundle
from models.bundles.bundle import is_unfitted
from models.bundles.store import save
from models.fitting.budget import divisions_of
from tests.edge.test_waveforms import BEGIN, RATE, S, noise
from tests.models.plants import fitted, plant

if TYPE_CHECKING:
    from pathlib import Path

    from edge.configuration.config import GatewayConfig
    from models.bundles.bundle import Bundle

TOML: Final = """
site = "s"
[journal]
dir = "state"
[commissioning]
learn_minutes = 2
learn_rows = 100
[[asset]]
id = "g1"
units = { Load = "kW" }
[[asset.waveform]]
tag = "v"
topic = "blocks/{asset}"
encoding = "float32"
header = true
rate_hz = 4096.0
block = 2048
rpm = 1500.0
channels = { rms = "v_rms", envelope_shaft0 = "v_shaft" }
"""


def recorded(folder: Path) -> Path:
    """The configuration, with a journal of some minutes of load and blocks beside it."""
    file = folder / "gateway.toml"
    file.write_text(TOML)
    journal = JournalWriter(folder / "state" / "journal")
    loads = np.random.default_rng(0).normal(size=(300, 1)).tolist()
    for k, load_kw in enumerate(loads):
        t_ns = BEGIN + k * S
        (told,) = encode_rows(["Load"], [t_ns], [load_kw], shape="columnar")
        block = encode_block(noise(k), t_ns=t_ns - S // 2, rate_hz=RATE, rpm=math.nan)
        for topic, payload in (("plant/g1", told), ("blocks/g1", block)):
            message = MessageReceived(topic=topic, payload=payload, received_ns=t_ns)
            journal.append([(t_ns, message)])
    journal.close()
    return file


def learned(config: GatewayConfig, begun: Bundle) -> Bundle:
    """What the first fit makes of the record."""
    made = learn(
        LearnRequest(config=config, bundle_sha256=begun.sha256, since_ns={"g1": BEGIN + 20 * S})
    )
    assert not made.failed
    path = store_of(config).find(made.bundle_sha256)
    assert path is not None
    return loaded(path, made.bundle_sha256)


def test_features_of_a_waveform_are_channels_and_are_learned(tmp_path: Path) -> None:
    """Nobody names them: the settings of the waveform do, units included."""
    file = recorded(tmp_path)
    config = load(file)
    begun = joined(config)
    assert begun is not None
    channels = [(channel.name, channel.unit) for channel in begun.assets[0].channels]
    assert channels == [("Load", "kW"), ("v_rms", "m/s2"), ("v_shaft", "dB")]
    prepare(config)
    made = learned(config, begun)
    part, row = made.place(made.assets[0].row_running)
    assert part.parameters["present"][row, :3].tolist() == [True, True, True]


def test_thresholds_of_assets_in_service_stay_when_another_joins_and_is_learned(
    tmp_path: Path,
) -> None:
    """They were approved as they are: what a gateway makes by itself does not move them."""
    file = recorded(tmp_path)
    parent = make_bundle([fitted(asset="r1"), fitted(asset="r2", seed=2)])
    save(parent, tmp_path / "first")
    named = '[model]\nbundle = "first"\n[commissioning]\nassets = ["g1"]\n'
    file.write_text(TOML.replace("[commissioning]\n", named))
    config = load(file)
    prepare(config)
    sha256, path = store_of(config).current()
    begun = loaded(path, sha256)
    made = learned(config, begun)

    def rings(bundle: Bundle) -> dict[str, tuple[float, float]]:
        return {m.asset: (m.threshold_on, m.threshold_off) for m in bundle.assets}

    assert rings(parent).items() < rings(begun).items()
    assert rings(parent).items() < rings(made).items()
    assert [is_unfitted(m.metrics) for m in (*begun.assets, *made.assets)].count(True) == 1


def test_the_first_fit_divides_the_budget_of_the_position(tmp_path: Path) -> None:
    """Before it and after it: what the configuration says of the asset that learns."""
    file = recorded(tmp_path)
    desk = '[[position]]\nname = "desk"\nalerts_per_day = 1.5\nassets = ["g1"]\n'
    file.write_text(TOML + desk)
    config = load(file)
    begun = joined(config)
    assert begun is not None
    assert [(one.name, one.share) for one in divisions_of(begun)] == [("desk", 1.5)]
    prepare(config)
    made = learned(config, begun)
    assert [(one.name, one.share) for one in divisions_of(made)] == [("desk", 1.5)]
    plain = make_bundle((), parent=made, positions=())
    assert plain.assets[0].threshold_on <= made.assets[0].threshold_on


LONG: Final = """
site = "s"
[journal]
dir = "state"
[commissioning]
learn_minutes = 10
learn_rows = 100
[[asset]]
id = "r1"
units = { c0 = "bar", c1 = "bar", c2 = "bar", c3 = "bar" }
context = [{ tag = "mode", role = "mode" }]
"""


def long_journal(
    folder: Path,
    rows: int,
    *,
    segment_bytes_max: int = 20_000,
    toml: str = LONG,
    step_ns: int = S,
    runs: dict[int, float] | None = None,
) -> GatewayConfig:
    """A journal of many small segments; the mode was told once, before all of it.

    runs: what the run tag says before a row; once each, as tags reported by exception do.
    """
    folder.mkdir()
    (folder / "gateway.toml").write_text(toml)
    journal = JournalWriter(folder / "state" / "journal", segment_bytes_max=segment_bytes_max)

    def say(topic: str, payload: bytes, t_ns: int) -> None:
        message = MessageReceived(topic=topic, payload=payload, received_ns=t_ns)
        journal.append([(t_ns, message)])

    values = plant(rows, seed=3)
    (told,) = encode_rows(["mode"], [BEGIN], [[2.0]], shape="columnar")
    say("plant/r1", told, BEGIN)
    for first in range(0, rows, 10):
        t_ns = [BEGIN + (first + i) * step_ns for i in range(10)]
        if runs and first in runs:
            (told,) = encode_rows(["run"], t_ns[:1], [[runs[first]]], shape="columnar")
            say("plant/r1", told, t_ns[0])
        some = values[first : first + 10].tolist()
        for payload in encode_rows(["c0", "c1", "c2", "c3"], t_ns, some, shape="columnar"):
            say("plant/r1", payload, t_ns[-1])
            say("plant/other", payload, t_ns[-1])
    journal.close()
    config = load(folder / "gateway.toml")
    prepare(config)
    return config


def fitted_from(config: GatewayConfig, since_ns: int, until_ns: int | None = None) -> Bundle:
    """The bundle of the first fit."""
    begun = store_of(config).current()[0]
    until = {} if until_ns is None else {"r1": until_ns}
    made = learn(
        LearnRequest(config=config, bundle_sha256=begun, since_ns={"r1": since_ns}, until_ns=until)
    )
    assert not made.failed
    path = store_of(config).find(made.bundle_sha256)
    assert path is not None
    return loaded(path, made.bundle_sha256)


def damage(config: GatewayConfig, count: int) -> None:
    """What stands in the first so many segments cannot be read any more."""
    journal = config.path(config.journal.dir) / "journal"
    for _, path in segments(journal)[:count]:
        stored = path.read_bytes()
        path.write_bytes(stored[:100] + b"?" + stored[101:])


def test_of_a_long_journal_only_what_is_learned_from_is_read(tmp_path: Path) -> None:
    """The same rows however it is cut into segments; what is older is not even opened."""
    since_ns = BEGIN + 3000 * S
    whole = long_journal(tmp_path / "whole", 4000, segment_bytes_max=64 << 20)
    (reference,) = fitted_from(whole, since_ns).assets
    assert reference.training.rows == (0, 1000)
    cut = long_journal(tmp_path / "cut", 4000)
    count = len(segments(tmp_path / "cut" / "state" / "journal"))
    assert count > 20
    damage(cut, count // 2)
    (model,) = fitted_from(cut, since_ns).assets
    assert model.training.sha256 == reference.training.sha256


def test_rows_are_the_newest_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An asset that was not fitted for weeks is fitted on the last of them."""
    monkeypatch.setattr(commission_fit, "ROWS_MAX", 500)
    config = long_journal(tmp_path / "site", 4000)
    damage(config, 5)
    (model,) = fitted_from(config, BEGIN).assets
    assert model.training.rows == (0, 1200), "twice ten minutes, which is more than 500"
    damage(config, len(segments(tmp_path / "site" / "state" / "journal")))
    with pytest.raises(JournalError):
        fitted_from(config, BEGIN)


def test_context_told_long_before_is_looked_for_within_a_bound(tmp_path: Path) -> None:
    """The mode stands at the very beginning: a few segments further back, and no more."""
    config = long_journal(tmp_path / "near", 1000)
    since_ns = BEGIN + 700 * S
    begun = store_of(config).current()[0]
    request = LearnRequest(config=config, bundle_sha256=begun, since_ns={"r1": since_ns})
    numbers = [n for n, _ in segments(tmp_path / "near" / "state" / "journal")]
    after = first_needed(request, period_ns=S)
    needed = next(n for n in numbers if after is None or n >= after.segment)
    bare = request.config.asset[0]
    free = msgspec.structs.replace(
        request.config, asset=(msgspec.structs.replace(bare, context=()),)
    )
    without = first_needed(msgspec.structs.replace(request, config=free), period_ns=S)
    assert without is not None
    assert needed == max(without.segment - LEAD_SEGMENTS_MAX, numbers[0])


def test_a_quick_plant_is_learned_for_as_many_minutes_as_a_slow_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle supposes a row a second; ten came in each."""
    monkeypatch.setattr(commission_fit, "ROWS_MAX", 500)
    toml = LONG.replace("learn_minutes = 10", "learn_minutes = 2")
    config = long_journal(tmp_path / "site", 4000, toml=toml, step_ns=S // 10)
    damage(config, 5)
    (model,) = fitted_from(config, BEGIN).assets
    assert model.period_ns == S // 10
    assert model.training.rows == (0, 2400), "twice two minutes"


RUNS: Final = LONG.replace('tag = "mode", role = "mode"', 'tag = "run", role = "run"')


def test_a_fit_that_was_delayed_over_a_stop_learns_what_ran_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that stood still take no place of those that ran; of them no more is learned."""
    monkeypatch.setattr(commission_fit, "ROWS_MAX", 500)
    config = long_journal(tmp_path / "site", 4500, toml=RUNS, runs={0: 1.0, 600: 1.0, 2000: 0.0})
    damage(config, 5)
    (model,) = fitted_from(config, BEGIN, BEGIN + 1999 * S).assets
    assert model.training.rows == (0, 1200 + 1199)
    assert model.row_stopped != -1


def test_a_stop_between_counts_as_no_row_however_the_journal_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run tag spoke at its changes alone, so most segments do not say that it stood."""
    monkeypatch.setattr(commission_fit, "ROWS_MAX", 500)
    runs = {0: 1.0, 1000: 1.0, 2000: 0.0, 3000: 1.0}
    config = long_journal(tmp_path / "site", 3500, toml=RUNS, runs=runs)
    damage(config, 5)
    (model,) = fitted_from(config, BEGIN, BEGIN + 3499 * S).assets
    assert model.training.rows == (0, 500 + 1000 + 700)
