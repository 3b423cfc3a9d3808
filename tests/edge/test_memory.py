"""What a gateway's memory is spent on: parts that add up, and nothing written or changed."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import andon
from benchmarks.many_assets import bundle_of
from benchmarks.plant import Load
from edge.assembly.assembly import Assembly
from edge.checks.memory import live, weigh
from edge.samples.ring import Ring, RingState
from edge.settings import GatewaySettings
from edge.storage.heap import free_mb, give_back
from models.bundles import store
from models.bundles.store import save
from tests.edge.rig import bundle
from tests.waiting import wait_until

if TYPE_CHECKING:
    from models.bundles.bundle import AssetModel

# Of 8 channels, of which 33 kB are the values of its history: 81.6 kB with Python 3.11.
ASSET_BYTES_MAX = 82_800


@given(
    st.recursive(
        st.integers(10**6) | st.floats(allow_nan=False) | st.text(min_size=2),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
def test_every_object_is_counted_once(held: object) -> None:
    """By a walk that knows lists and dicts; what was weighed before weighs nothing."""
    found: dict[int, object] = {}

    def walk(one: object) -> None:
        if id(one) not in found:
            found[id(one)] = one
            inner = [*one, *one.values()] if isinstance(one, dict) else one
            for part in inner if isinstance(inner, list) else []:
                walk(part)

    walk(held)
    seen: set[int] = set()
    assert weigh([held], seen) == sum(map(sys.getsizeof, found.values()))
    assert weigh([held, [held]], seen) == sys.getsizeof([held])


def test_arrays_count_whole_and_once_whoever_views_them() -> None:
    """A view keeps all of what it looks into alive."""
    seen: set[int] = set()
    array = np.zeros(10_000)
    assert weigh([array[:3]], seen) >= array.nbytes
    assert weigh([array, array.reshape(100, 100)[5]], seen) < 1_000


def test_a_history_weighs_what_its_values_hold_and_two_bytes_a_sample() -> None:
    """And hardly more: the rest is a few objects an asset."""
    ring = Ring({f"m{i}": 8 for i in range(50)}, state=RingState(), capacity=512)
    held = sum(one.values.nbytes + 2 * 512 for one in ring.state.assets.values())
    found = weigh([ring.state], set())
    assert held < found < 1.04 * held


class Weighed:
    """Bundles of a few fits, each asset with numbers of its own, as a gateway loads them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Path] = []

    def made(self, assets: int) -> Path:
        """Where such a bundle is."""
        load = Load(assets=assets, channels=8, period_ms=1000, rows=64, batch_rows=1)
        plain, path = bundle_of(load), self._folder / str(assets)
        models = [_own(one, 1.0 + 1e-9 * i) for i, one in enumerate(plain.assets)]
        return save(replace(plain, assets=tuple(models)), path)

    @staticmethod
    def held(path: Path) -> int:
        """Bytes of a bundle and an engine that has lived with it, arrays included."""
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        assembly = Assembly(GatewaySettings(site="s"), bundle=store.load(path), snapshot=None)
        live(assembly.engine, assembly.bundle)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before


def _own(model: AssetModel, by: float) -> AssetModel:
    """A model whose numbers are like those of no other."""
    assert model.health is not None
    assert model.drift is not None
    health, drift = (
        {name: getattr(part, name) * by for name in names}
        for part, names in (
            (model.health, ("noise_low", "noise_high", "level_low", "level_high", "steps")),
            (model.drift, ("center", "sigma", "mean", "long_run")),
        )
    )
    more = {name: getattr(model, name) * by for name in ("usual_low", "usual_high", "center")}
    apart = {name: getattr(model.health, name) * by for name in ("apart_low", "apart_high")}
    return msgspec.structs.replace(
        model,
        health=msgspec.structs.replace(model.health, **health, **apart),
        drift=msgspec.structs.replace(model.drift, **drift),
        **more,
    )


@pytest.mark.not_counted
def test_an_asset_costs_no_more_than_it_did(tmp_path: Path) -> None:
    """Of all that is allocated, by how much it grows with the assets: bundle and engine.

    Counted lines are allocated too, and whatever else this process does only adds: the less of two.
    """
    weighed = Weighed(tmp_path)
    few, many = weighed.made(8), weighed.made(40)
    tracemalloc.start(1)
    try:
        weighed.held(few)  # what is made once
        grown = min(weighed.held(many) - weighed.held(few) for _ in range(2))
    finally:
        tracemalloc.stop()
    assert 33_000 < grown / 32 < ASSET_BYTES_MAX


def test_freed_memory_is_told_as_free() -> None:
    """What was taken in small pieces and let go, until it is given back."""
    if np.isnan(free_mb()):
        pytest.skip("this C library does not tell")
    give_back()
    pieces = [bytes(5_000) for _ in range(4_000)]  # 20 MB
    last = bytes(5_000)  # above them, so that the heap cannot shrink
    before = free_mb()
    del pieces
    assert free_mb() - before == pytest.approx(20.0, abs=3.0)
    assert last


def test_the_parts_of_a_gateway_add_up(tmp_path: Path) -> None:
    """To what is resident; nothing is written beside the configuration."""
    save(bundle(), tmp_path / "bundle")
    (tmp_path / "gateway.toml").write_text('site = "s"\n[model]\nbundle = "bundle"\n')
    before = sorted(tmp_path.rglob("*"))
    asked = ["memory", str(tmp_path / "gateway.toml")]
    done = CliRunner().invoke(andon.app, [*asked, "--json", "--pid", "self"])
    assert done.exit_code == 2
    done = CliRunner().invoke(andon.app, [*asked, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["rss_mb"] == pytest.approx(sum(one["mb"] for one in told["parts"]))
    assert told["rss_mb"] > 40
    assert (told["assets"], told["channels"]) == (2, 8)
    parts = {one["name"]: one for one in told["parts"]}
    history = parts["history of the newest samples"]
    assert history["mb"] * 1000 == pytest.approx(2 * history["an_asset_kb"])
    assert 4 * 4 * 1.024 < history["an_asset_kb"] < told["an_asset_kb"] < 1_000
    assert sorted(tmp_path.rglob("*")) == before
    shown = CliRunner().invoke(andon.app, asked).output
    assert "kB an asset" in shown


def test_a_running_gateway_is_set_beside_it_and_no_other_process(tmp_path: Path) -> None:
    """What is beyond what was weighed has a name; what is no gateway is told as what it is."""
    save(bundle(), tmp_path / "bundle")
    config = tmp_path / "gateway.toml"
    config.write_text('site = "s"\n[mqtt]\nport = 1\n[model]\nbundle = "bundle"\n')
    running = [sys.executable, "-m", "andon", "run", str(config)]
    with subprocess.Popen(running, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as one:
        try:
            line = Path(f"/proc/{one.pid}/cmdline")
            wait_until(lambda: str(config).encode() in line.read_bytes(), what="the program")
            asked = ["memory", str(config), "--pid", str(one.pid)]
            told = json.loads(CliRunner().invoke(andon.app, [*asked, "--json"]).output)
            shown = CliRunner().invoke(andon.app, asked).output
        finally:
            one.kill()
    assert told["running_rss_mb"] > 10
    assert told["running_beyond_mb"] == pytest.approx(told["running_rss_mb"] - told["rss_mb"])
    assert "than is weighed here" in shown
    assert "room that the interpreter and the C library keep" in shown
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)", "andon.toml", "run"]
    with subprocess.Popen(sleeping) as other:
        try:
            line = Path(f"/proc/{other.pid}/cmdline")
            wait_until(lambda: b"time.sleep" in line.read_bytes(), what="the program")
            done = CliRunner().invoke(andon.app, ["memory", str(config), "--pid", str(other.pid)])
        finally:
            other.kill()
    for refused in (done, CliRunner().invoke(andon.app, [*asked[:3], str(one.pid)])):
        assert refused.exit_code == 2
        assert "andon run" in " ".join(refused.output.replace("│", " ").split())
    assert "import time" in done.output


def test_what_cannot_be_opened_is_told_as_by_the_gateway(tmp_path: Path) -> None:
    """One line, and code 2."""
    (tmp_path / "gateway.toml").write_text('site = "s"\n[model]\nbundle = "bundle"\n')
    called = [sys.executable, "-m", "andon", "memory", str(tmp_path / "gateway.toml")]
    done = subprocess.run(called, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("andon: ")
    assert done.stderr.count("\n") == 1
