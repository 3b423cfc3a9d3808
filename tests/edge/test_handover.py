"""A state that is read with other settings: each tag keeps what it said, and nothing else moves."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.assembly.assembly import Assembly
from edge.configuration.changes import changes
from edge.configuration.config import GatewayConfig
from edge.configuration.sections import ModelConfig, MqttConfig
from edge.handover import handed_over
from edge.samples.pending import Aside, AssetAlign
from edge.settings import AssetSettings, ContextTag, EngineSettings, GatewaySettings
from edge.state import first_state
from tests.edge.rig import START, bundle

TAGS = st.lists(st.sampled_from("tuvwx"), unique=True, max_size=5)
CHANNELS = 4


def _settings(tags: list[str], *, role: str = "info") -> GatewaySettings:
    context = tuple(ContextTag(tag=tag, role=role) for tag in tags)
    return GatewaySettings(site="s", asset=(AssetSettings(id="r1", context=context),))


@given(before=TAGS, after=TAGS)
def test_what_a_tag_said_is_where_the_tag_is_now(before: list[str], after: list[str]) -> None:
    """Rows that wait, held values and asides; a tag that has come knows nothing."""
    width = CHANNELS + len(before)
    marks = np.array([*range(CHANNELS), *(100.0 + ord(tag) for tag in before)])
    align = AssetAlign.empty(width)
    align.t_ns, align.spoken = np.array([START, START + 1]), np.array([True, False])
    align.values = np.vstack([marks, marks + 1000.0])
    align.value_t_ns = np.full((2, width), START)
    align.retained = np.zeros((2, width), bool)
    align.held = marks.copy()
    align.asides = [
        Aside(t_ns=START, column=CHANNELS + i, value=float(ord(tag)), retained=False)
        for i, tag in enumerate(before)
    ]
    state = first_state(bundle(), rows=[])
    state.align.assets["r1"] = align
    state.assets["r1"].context = {tag: [(START, 1.0)] for tag in before}
    moved = handed_over(state, _settings(before), _settings(after))
    said = moved.align.assets["r1"]
    assert said.values.shape == (2, CHANNELS + len(after))
    np.testing.assert_array_equal(said.held[:CHANNELS], marks[:CHANNELS])
    for i, tag in enumerate(after):
        told = 100.0 + ord(tag) if tag in before else np.nan
        np.testing.assert_array_equal(said.held[CHANNELS + i], told)
        np.testing.assert_array_equal(said.values[:, CHANNELS + i], [told, told + 1000.0])
    for aside in said.asides:
        assert float(ord(after[aside.column - CHANNELS])) == aside.value
    gone = set(before) - set(after)
    assert moved.align.counts.get("context_left", 0) == 3 * len(gone)
    assert set(moved.assets["r1"].context) == set(before) & set(after)
    assert state.align.assets["r1"] is align, "the state that was given is whole"
    assert align.values.shape == (2, width)


def test_a_tag_that_means_something_else_is_forgotten() -> None:
    """What was an information may be a witness now: its old edge opens nothing."""
    state = first_state(bundle(), rows=[])
    state.assets["r1"].edges_ns = {"t": [START]}
    state.assets["r1"].beats = {"t": [START]}
    moved = handed_over(state, _settings(["t"]), _settings(["t"], role="run"))
    assert not moved.assets["r1"].edges_ns
    assert not moved.assets["r1"].beats
    assert state.assets["r1"].edges_ns == {"t": [START]}


def test_an_engine_goes_on_with_other_settings() -> None:
    """Its checkpoint fits the new settings from then on, and no longer the old."""
    assembly = Assembly(_settings(["t"]), bundle=bundle(), snapshot=None)
    before = assembly.fingerprint
    assembly.hand_over(_settings(["u", "t"]))
    assert assembly.fingerprint != before
    fresh = Assembly(_settings(["u", "t"]), bundle=bundle(), snapshot=None)
    assert assembly.fingerprint == fresh.fingerprint
    assert assembly.engine.settings == fresh.engine.settings


def _config(**change: object) -> GatewayConfig:
    least = GatewayConfig(site="s", model=ModelConfig(bundle="b"))
    return msgspec.structs.replace(least, **change)


def test_a_difference_is_told_by_asset_and_key() -> None:
    """What came, went and changed, each on its line."""
    before = _config(asset=(AssetSettings(id="a", severity=1), AssetSettings(id="b")))
    after = _config(
        asset=(AssetSettings(id="c"), AssetSettings(id="a", severity=2, tags={"T": "x"})),
        engine=EngineSettings(clear_samples=7),
    )
    found = changes(before, after)
    assert not found.on_restart
    assert "asset a severity: 1 -> 2" in found.lines
    assert '+ asset a tags T: "x"' in found.lines
    assert "engine clear_samples: 60 -> 7" in found.lines
    assert any(line.startswith("- asset b:") for line in found.lines)
    assert any(line.startswith("+ asset c:") for line in found.lines)
    assert not changes(after, after).lines


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"site": "t"}, "site"),
        ({"clock": "plant"}, "clock"),
        ({"mqtt": MqttConfig(port=1)}, "mqtt"),
        ({"asset": (AssetSettings(id="a", safety=("x",)),)}, "safety of asset a"),
    ],
)
def test_what_needs_a_restart_is_named(change: dict[str, object], word: str) -> None:
    """With the reason."""
    (reason,) = changes(_config(), _config(**change)).on_restart
    assert reason.startswith(f"{word} changes: ")
