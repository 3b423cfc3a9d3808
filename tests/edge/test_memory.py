"""What a gateway's memory is spent on: parts that add up, and nothing written or changed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import andon
from edge.checks.memory import weigh
from edge.samples.ring import Ring, RingState
from edge.storage.heap import free_mb, give_back
from models.bundles.store import save
from tests.edge.rig import bundle

if TYPE_CHECKING:
    from pathlib import Path


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


def test_a_history_weighs_what_its_arrays_hold() -> None:
    """And hardly more: the rest is a few objects an asset."""
    ring = Ring({f"m{i}": 8 for i in range(50)}, state=RingState(), capacity=512)
    held = sum(one.t_ns.nbytes + one.values.nbytes for one in ring.state.assets.values())
    found = weigh([ring.state], set())
    assert held < found < 1.1 * held


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
    done = CliRunner().invoke(andon.app, [*asked, "--json", "--pid", "1"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["rss_mb"] == pytest.approx(sum(one["mb"] for one in told["parts"]))
    assert told["rss_mb"] > 40
    assert told["running_rss_mb"] > 0
    assert (told["assets"], told["channels"]) == (2, 8)
    parts = {one["name"]: one for one in told["parts"]}
    history = parts["history of the newest samples"]
    assert history["mb"] * 1000 == pytest.approx(2 * history["an_asset_kb"])
    assert 20 < history["an_asset_kb"] < told["an_asset_kb"] < 1_000
    assert sorted(tmp_path.rglob("*")) == before
    shown = CliRunner().invoke(andon.app, asked).output
    assert "kB an asset" in shown


def test_what_cannot_be_opened_is_told_as_by_the_gateway(tmp_path: Path) -> None:
    """One line, and code 2."""
    (tmp_path / "gateway.toml").write_text('site = "s"\n[model]\nbundle = "bundle"\n')
    called = [sys.executable, "-m", "andon", "memory", str(tmp_path / "gateway.toml")]
    done = subprocess.run(called, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("andon: ")
    assert done.stderr.count("\n") == 1
