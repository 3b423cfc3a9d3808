"""What labels said of an asset goes on when its bundle grows, and its card tells it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.assemble import make_bundle
from models.card import model_card
from models.extremes import OFF_SHARE
from models.thresholds import ON_MIN
from models.tuned import Tuned
from tests.edge.rig import bundle


@given(shift=st.floats(-3.0, 3.0))
def test_a_threshold_that_was_tuned_stays_so_when_budgets_are_divided_anew(shift: float) -> None:
    """All thresholds are made anew from tails when assets join: the shift is added again."""
    parent = bundle()
    fitted = make_bundle([], parent=parent).assets[0].threshold_on
    record = Tuned(
        labels_sha256="ab" * 32,
        recordings=("cd" * 32,),
        counts={"worn": 3},
        because="the tables | say nothing",
        shift=shift,
    )
    first = msgspec.structs.replace(parent.assets[0], tuned=record)
    child = make_bundle([], parent=replace(parent, assets=(first, *parent.assets[1:])))
    model = child.assets[0]
    assert model.threshold_on == pytest.approx(max(fitted + shift, ON_MIN))
    assert model.threshold_off == pytest.approx(OFF_SHARE * model.threshold_on)
    card = model_card(child)
    assert "abababababab" in card
    assert "worn 3" in card
    assert "the tables \\| say nothing" in card
