"""The weld cell's own manuals: what they propose against what the cell really does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kb.drafts.channel_names import ChannelNames, KnownChannel
from kb.drafts.limits import proposed_limits
from kb.drafts.modes import proposed_modes
from kb.drafts.rows import Source, sources
from kb.drafts.scope import proposed_scopes
from kb.retrieval.embed import shipped_embedder
from simulator.cells.documents import manuals
from simulator.cells.weld_signals import CHANNELS
from simulator.cells.weld_type import WELD
from simulator.jobs import WORKS

if TYPE_CHECKING:
    from pathlib import Path

FOUND_MIN = 0.9


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    """Manuals, policies and procedures of the cell."""
    folder: Path = tmp_path_factory.mktemp("weld")
    for name, text in manuals(WELD).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return sources([folder])


@pytest.fixture(scope="module")
def names() -> ChannelNames:
    """The channels of a robot."""
    known = [KnownChannel(name=channel.name, unit=channel.unit) for channel in CHANNELS]
    return ChannelNames(known, shipped_embedder())


def test_scope_rows_are_those_of_the_cell(texts: list[Source], names: ChannelNames) -> None:
    """Every row proposed is true, and nearly all true rows are proposed."""
    true = {(work.kind, work.instrument, frozenset(work.channels)) for work in WORKS}
    found = {(s.kind, s.instrument, frozenset(s.channels)) for s in proposed_scopes(texts, names)}
    assert found <= {(str(kind), *rest) for kind, *rest in true}
    assert len(found) >= FOUND_MIN * len(true)


def test_limits_are_those_of_the_channels(texts: list[Source], names: ChannelNames) -> None:
    """Each channel has its limits, once, around its usual level."""
    found = {limit.channel: limit for limit in proposed_limits(texts, names)}
    assert len(found) == len(CHANNELS)
    for channel in CHANNELS:
        limit = found[channel.name]
        assert limit.low is not None
        assert limit.high is not None
        assert limit.low < channel.level < limit.high
        assert limit.unit == channel.unit


def test_modes_name_only_channels_of_the_cell(texts: list[Source], names: ChannelNames) -> None:
    """Modes that fit any channel, or that are work, are left out; the cell's faults are there."""
    found = proposed_modes(texts, names)
    assert all(mode.channels for mode in found)
    told = {mode.mode for mode in found}
    assert {"Gas flow loss", "Contact tip worn out", "Wire feed slip"} <= told
    assert not any("TCP calibration" in mode.cause for mode in found)
