"""What labels said of an asset goes on when its bundle grows, and its card tells it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bundles.assemble import make_bundle
from models.bundles.card import model_card
from models.bundles.tuned import Tuned
from models.fitting.extremes import OFF_SHARE
from models.fitting.thresholds import ON_MIN
from tests.edge.rig import bundle
from tests.models.plants import fitted


def _record(shift: float) -> Tuned:
    return Tuned(
        labels_sha256="ab" * 32,
        recordings=("cd" * 32,),
        counts={"worn": 3},
        because="the tables | say nothing",
        shift=shift,
    )


@given(shift=st.floats(-3.0, 3.0))
def test_a_threshold_that_was_tuned_stays_so_when_budgets_are_divided_anew(shift: float) -> None:
    """All thresholds are made anew from tails when assets join: the shift is added again."""
    parent = bundle()
    fitted = make_bundle([], parent=parent).assets[0].threshold_on
    first = msgspec.structs.replace(parent.assets[0], tuned=_record(shift))
    child = make_bundle([], parent=replace(parent, assets=(first, *parent.assets[1:])))
    model = child.assets[0]
    assert model.threshold_on == pytest.approx(max(fitted + shift, ON_MIN))
    assert model.threshold_off == pytest.approx(OFF_SHARE * model.threshold_on)
    card = model_card(child)
    assert "abababababab" in card
    assert "worn 3" in card
    assert "the tables \\| say nothing" in card


def test_what_labels_said_outlives_a_new_fit_of_the_same_channels() -> None:
    """A nuisance that people named does not come back because a baseline was learned again."""
    plain = make_bundle([fitted()])
    first = msgspec.structs.replace(plain.assets[0], tuned=_record(1.0))
    again = fitted(seed=4)
    child = make_bundle([again], parent=replace(plain, assets=(first,))).assets[0]
    assert child.tuned == first.tuned
    untuned = make_bundle([again], parent=plain).assets[0]
    assert untuned.tuned is None
    assert child.threshold_on == pytest.approx(untuned.threshold_on + 1.0)
    other = make_bundle([fitted(c=3)], parent=replace(plain, assets=(first,)))
    assert other.assets[0].tuned is None
