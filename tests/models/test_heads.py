"""Heads: faults named, doubted and refused, in the graph as in plain arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from models.bundles.assemble import make_bundle
from models.bundles.check import check_values
from models.bundles.store import files, load, save
from models.errors import ModelError
from models.fitting.fit import FitOptions, fit_asset
from models.graphs.head import bare, heads_in
from models.heads.features import window_features
from models.heads.heads import (
    HeadFit,
    LabelledWindow,
    classify,
    heads_of,
    learning_curve,
    train_head,
    with_heads,
)
from models.heads.notes import NORMAL
from tests.models.plants import samples

if TYPE_CHECKING:
    from models.bundles.bundle import Bundle

C = 4
ASSETS = ("p1", "p2", "p3")
PATTERNS = {"leak": (3.0, 0.0, -2.0, 0.0), "wear": (0.0, 2.5, 2.5, 0.0)}
UNKNOWN = (0.0, -4.0, 0.0, 4.0)


def _plant(asset: str, rows: int, *, seed: int) -> np.ndarray:
    """Normal operation (rows, 4) of one machine: levels and sizes are its own."""
    own = np.random.default_rng(ASSETS.index(asset))
    level, size = own.normal(0.0, 50.0, C), np.exp(own.normal(0.0, 1.0, C))
    noise = np.random.default_rng(seed).normal(size=(rows, C))
    return np.asarray(level + size * noise)


def _sizes(asset: str) -> np.ndarray:
    own = np.random.default_rng(ASSETS.index(asset))
    own.normal(0.0, 50.0, C)
    return np.exp(own.normal(0.0, 1.0, C))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """Three machines of a type, one never labelled."""
    options = FitOptions(alignment="rows")
    fits = [
        fit_asset(samples(_plant(asset, 800, seed=i), asset=asset), options)
        for i, asset in enumerate(ASSETS)
    ]
    return make_bundle(fits)


def _windows(
    assets: tuple[str, ...], each: int, *, seed: int, rows: int = 12
) -> list[LabelledWindow]:
    """So many windows of each class and asset; five of an asset and class are of one event."""
    chance = np.random.default_rng(seed)
    made = []
    for asset in assets:
        for label, pattern in {NORMAL: (0.0,) * C, **PATTERNS}.items():
            for i in range(each):
                values = _plant(asset, rows, seed=int(chance.integers(1 << 30)))
                values += np.exp(chance.uniform(-0.3, 0.7)) * np.array(pattern) * _sizes(asset)
                group = f"{asset}-{label}-{i // 5}"
                made.append(
                    LabelledWindow(values=values, begin=0, label=label, group=group, asset=asset)
                )
    return made


@pytest.fixture(scope="module")
def head(bundle: Bundle) -> HeadFit:
    """A head of the labels of two machines."""
    return train_head(bundle, "p1", _windows(("p1", "p2"), 20, seed=1))


@pytest.fixture(scope="module")
def child(bundle: Bundle, head: HeadFit) -> Bundle:
    """The head on all three."""
    return with_heads(bundle, dict.fromkeys(ASSETS, head), created_at_ns=5)


# --- what it names ---


def test_labels_of_two_machines_name_faults_of_a_third(child: Bundle) -> None:
    """Each reads its own baseline, so the type's head fits a machine that nobody has labelled."""
    asked = _windows(("p3",), 40, seed=2)
    said = classify(child, "p3", asked)
    right = [one.label == window.label for one, window in zip(said, asked, strict=True)]
    assert np.mean(right) > 0.9
    assert all(math.isclose(sum(one.probabilities.values()), 1.0, rel_tol=1e-5) for one in said)


def test_what_nobody_has_labelled_is_refused(child: Bundle) -> None:
    """A fault in a direction of its own is none of the known, whatever is nearest."""
    for asset in ASSETS:
        windows = []
        for i in range(40):
            values = _plant(asset, 12, seed=900 + i) + np.array(UNKNOWN) * _sizes(asset)
            windows.append(LabelledWindow(values=values, begin=0, label="?", group="?"))
        said = classify(child, asset, windows)
        assert np.mean([one.label is None for one in said]) > 0.9


def test_its_figures_come_from_groups_that_were_held_back(head: HeadFit) -> None:
    """What it says of itself: nearly all right, few refused, probabilities that hold."""
    assert head.classes == (NORMAL, "leak", "wear")
    assert head.counts == {NORMAL: 40, "leak": 40, "wear": 40}
    assert head.metrics["accuracy"] > 0.9
    assert head.metrics["abstained"] < 0.1
    assert head.metrics["calibration_error"] < 0.1


def test_noise_without_a_class_is_not_learned(bundle: Bundle) -> None:
    """Labels drawn by lot: the honest figure is chance, and nearly all is refused or unsure."""
    windows = _windows(("p1", "p2"), 20, seed=3)
    chance = np.random.default_rng(0)
    normal = [w for w in windows if w.label == NORMAL]
    drawn = [replace(w, label=f"k{chance.integers(3)}", group=str(i)) for i, w in enumerate(normal)]
    metrics = train_head(bundle, "p1", drawn).metrics
    assert metrics["accuracy"] < 0.5
    assert metrics["calibration_error"] < 0.25


def test_more_labels_make_it_better(bundle: Bundle) -> None:
    """The curve ends above its begin, leaves out sizes that there are no windows for."""
    curve = learning_curve(
        bundle, "p1", _windows(("p1", "p2"), 30, seed=4), sizes=(5, 20, 100, 500)
    )
    assert [point.size for point in curve] == [5, 20, 100]  # 100: all that there are
    assert curve[-1].accuracy >= curve[0].accuracy
    assert curve[-1].accuracy > 0.9


def test_how_much_a_channel_moves_is_used_where_it_tells(bundle: Bundle) -> None:
    """A fault that only makes a channel noisy is named by spread; levels alone would not do."""
    windows = [w for w in _windows(("p1", "p2"), 30, seed=5, rows=40) if w.label == NORMAL]
    shaken = []
    for window in windows[::2]:
        middle = window.values.mean(axis=0)
        values = middle + (window.values - middle) * [4.0, 1.0, 1.0, 1.0]
        shaken.append(replace(window, values=values, label="shakes", group=f"s{window.group}"))
    fit = train_head(bundle, "p1", [*windows[1::2], *shaken])
    assert fit.arrays["used"].all()
    assert fit.metrics["accuracy"] > 0.9


# --- the graph ---


def test_the_graph_says_what_plain_arithmetic_says(bundle: Bundle, child: Bundle) -> None:
    """Gaussian classes written out, for windows of any length with any values missing."""
    chance = np.random.default_rng(6)
    fit = heads_of(child)["p2"]
    used = fit.arrays["used"]
    own = next(model for model in bundle.assets if model.asset == "p2").row_running
    center, scale = (bundle.only.parameters[n][own].astype(np.float64) for n in ("center", "scale"))
    answers: set[str | None] = set()
    for rows in (1, 3, 4, 17):
        windows = _windows(("p2",), 3, seed=rows, rows=rows)
        windows = [
            replace(w, values=np.where(chance.random(w.values.shape) < 0.3, np.nan, w.values))
            for w in windows
        ]
        for window, said in zip(windows, classify(child, "p2", windows), strict=True):
            f, told = window_features(window.values, center, scale, np.ones(C, bool))
            seen = told & used
            likely, square = [], []
            for k in range(1 + len(fit.classes)):
                covariance = np.linalg.inv(fit.arrays["precision"][k].astype(np.float64))
                part = covariance[np.ix_(seen, seen)]
                d = (f - fit.arrays["mean"][k])[seen]
                square.append(d @ np.linalg.solve(part, d))
                likely.append(-0.5 * (square[-1] + np.linalg.slogdet(part)[1]))
            p = np.exp((np.array(likely[1:]) - max(likely[1:])) / fit.arrays["temperature"])
            expected = p / p.sum()
            assert np.allclose(list(said.probabilities.values()), expected, atol=2e-4)
            best, few = int(expected.argmax()), 2.0 / 9.0 / max(seen.sum(), 1)
            deviate = (np.cbrt(few * 4.5 * square[1 + best]) - 1.0 + few) / np.sqrt(few)
            margins = (
                fit.arrays["bound"][best] - deviate,
                fit.arrays["ratio"][best] - (likely[0] - likely[1 + best]),
                expected[best] - 0.5,
                seen.sum() - 0.5 * used.sum(),
            )
            if min(map(abs, margins[:3])) > 0.01:
                told_by_hand = fit.classes[best] if min(margins) >= 0 else None
                assert said.label == told_by_hand
                answers.add(said.label)
    assert answers == {None, *fit.classes}


def test_heads_from_before_the_unknown_class_answer_as_they_did(
    bundle: Bundle, child: Bundle
) -> None:
    """A graph without row 0, ratio and knee: read, put into another graph, asked, by arithmetic."""
    model = onnx.load_from_string(child.only.graph)
    for one in [i for i in model.graph.initializer if i.name.startswith("head_")]:
        if one.name in ("head_ratio", "head_knee"):
            model.graph.initializer.remove(one)
        elif one.name in ("head_mean", "head_precision", "head_logdet"):
            before = numpy_helper.to_array(one)[:, 1:]
            one.CopyFrom(numpy_helper.from_array(before, one.name))
    ((note, arrays),) = heads_in(model.SerializeToString())
    fit = replace(heads_of(child)["p2"], arrays=arrays)
    assert note.classes == fit.classes
    again = with_heads(bundle, {"p2": fit}, created_at_ns=7)
    row = next(model for model in bundle.assets if model.asset == "p2").row_running
    center, scale = (bundle.only.parameters[n][row].astype(np.float64) for n in ("center", "scale"))
    windows = _windows(("p2",), 8, seed=31)
    windows += [replace(w, values=w.values + _sizes("p2") * UNKNOWN) for w in windows]
    answers = set()
    for window, said in zip(windows, classify(again, "p2", windows), strict=True):
        f, _ = window_features(window.values, center, scale, np.ones(C, bool), knee=1.0)
        d = np.where(arrays["used"], f - arrays["mean"][1:], 0.0)
        square = np.einsum("kf,kfg,kg->k", d, arrays["precision"][1:], d)
        logits = -0.5 * (square + arrays["logdet"][1:]) / arrays["temperature"]
        p = np.exp(logits - logits.max())
        assert np.allclose(list(said.probabilities.values()), p / p.sum(), atol=2e-4)
        best, few = int(p.argmax()), 2.0 / 9.0 / arrays["used"].sum()
        deviate = (np.cbrt(few * 4.5 * square[best]) - 1.0 + few) / np.sqrt(few)
        if abs(deviate - arrays["bound"][best]) > 0.01 and p[best] / p.sum() > 0.51:
            told_by_hand = fit.classes[best] if deviate <= arrays["bound"][best] else None
            assert said.label == told_by_hand
            answers.add(said.label)
    assert None in answers
    assert len(answers) > 1


def test_a_window_with_little_to_see_is_not_named(child: Bundle) -> None:
    """All but one channel missing: it abstains, and nothing at all is no probability either."""
    window = next(w for w in _windows(("p1",), 5, seed=7) if w.label == "leak")
    one = window.values.copy()
    one[:, 1:] = np.nan
    blind = np.full_like(one, np.nan)
    said = classify(child, "p1", [replace(window, values=v) for v in (window.values, one, blind)])
    assert [s.label for s in said] == ["leak", None, None]
    assert np.allclose(list(said[2].probabilities.values()), 1 / 3, atol=1e-3)


def test_scores_and_thresholds_are_those_of_the_parent(bundle: Bundle, child: Bundle) -> None:
    """A head costs a graph nothing that it had: without it its bytes are the same again."""
    assert bare(child.only.graph) == bundle.only.graph
    assert bare(bundle.only.graph) == bundle.only.graph
    assert child.parent == bundle.sha256
    assert [m.threshold_on for m in child.assets] == [m.threshold_on for m in bundle.assets]
    assert heads_of(bundle) == {}


def test_heads_survive_a_directory_and_a_child(
    child: Bundle, head: HeadFit, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Saved and loaded, the head is equal; an asset that is fitted again keeps it."""
    found = load(save(child, tmp_path_factory.mktemp("b") / "child"))
    assert found.only.graph == child.only.graph
    for name, array in heads_of(found)["p1"].arrays.items():
        assert np.array_equal(array, head.arrays[name])
    again = fit_asset(samples(_plant("p2", 900, seed=77), asset="p2"), FitOptions(alignment="rows"))
    grown = make_bundle([again], parent=found)
    assert heads_of(grown).keys() == set(ASSETS)
    wide = fit_asset(
        samples(np.random.default_rng(0).normal(size=(800, C + 1)), asset="p2"),
        FitOptions(alignment="rows"),
    )
    wider = make_bundle([wide], parent=found)
    assert heads_of(wider).keys() == {"p1", "p3"}
    asked = _windows(("p1",), 5, seed=8)
    before, after = classify(found, "p1", asked), classify(wider, "p1", asked)
    for one, other in zip(before, after, strict=True):
        assert one.label == other.label
        assert math.isclose(one.probability, other.probability, rel_tol=1e-4)


def test_the_card_and_the_check_know_of_heads(child: Bundle, head: HeadFit) -> None:
    """People read which modes are named and how well; a head that cannot be is not loaded."""
    card = files(child)["MODEL_CARD.md"].decode()
    assert "| p1, p2, p3 | leak | 40 |" in card
    assert "calibration_error" in card
    damaged = replace(
        head, arrays={**head.arrays, "mean": np.full_like(head.arrays["mean"], np.nan)}
    )
    with pytest.raises(ModelError, match="head of"):
        check_values(with_heads(child, {"p1": damaged}, created_at_ns=0))


def test_two_heads_stand_beside_each_other(bundle: Bundle, head: HeadFit) -> None:
    """Each asset has its own classes; the one is not asked about the other's."""
    renamed = {NORMAL: NORMAL, "leak": "burst", "wear": "rust"}
    others = [replace(w, label=renamed[w.label]) for w in _windows(("p1", "p2"), 20, seed=9)]
    second = train_head(bundle, "p1", [w for w in others if w.label != "rust"])
    both = with_heads(bundle, {"p1": second, "p3": head}, created_at_ns=1)
    leak = next(w for w in _windows(("p1",), 5, seed=10) if w.label == "leak")
    here = replace(leak, values=leak.values, asset="")
    assert classify(both, "p1", [here])[0].label == "burst"
    assert len(classify(both, "p1", [here])[0].probabilities) == 2
    third = next(w for w in _windows(("p3",), 5, seed=10) if w.label == "leak")
    assert classify(both, "p3", [third])[0].label == "leak"


def test_what_does_not_fit_is_refused(bundle: Bundle, head: HeadFit) -> None:
    """One class, an unknown asset, other channels, no head: each says what to do."""
    windows = _windows(("p1",), 5, seed=11)
    with pytest.raises(ModelError, match="2 to 32 classes"):
        train_head(bundle, "p1", windows[:5])
    with pytest.raises(ModelError, match="no asset 'p9'"):
        train_head(bundle, "p9", windows)
    with pytest.raises(ModelError, match="window 0"):
        train_head(bundle, "p1", [replace(w, values=w.values[:, :2]) for w in windows])
    with pytest.raises(ModelError, match="has no head"):
        classify(bundle, "p1", windows)
    with pytest.raises(ModelError, match="channels"):
        with_heads(bundle, {"p1": replace(head, channels=("a", "b"))}, created_at_ns=0)


def test_a_head_stands_in_the_part_of_its_asset(bundle: Bundle, head: HeadFit) -> None:
    """Beside a stream, which is of another kind: its graph stays, and it is named for itself."""
    chance = np.random.default_rng(4)
    stream = fit_asset(
        samples(chance.normal(size=(3000, 1)), asset="s1"), FitOptions(alignment="rows")
    )
    mixed = make_bundle([stream], parent=bundle)
    grown = with_heads(mixed, {"p2": head}, created_at_ns=3)
    changed = [a.graph != b.graph for a, b in zip(mixed.parts, grown.parts, strict=True)]
    assert sorted(changed) == [False, True]
    assert heads_of(grown).keys() == {"p2"}
    leak = next(w for w in _windows(("p2",), 5, seed=12) if w.label == "leak")
    assert classify(grown, "p2", [leak])[0].label == "leak"
    with pytest.raises(ModelError, match="has no head"):
        classify(grown, "s1", [leak])
    told = []
    for i in range(24):
        values = 5.0 * (i % 2) + np.random.default_rng(50 + i).normal(size=(12, 1))
        label = "high" if i % 2 else NORMAL
        told.append(LabelledWindow(values=values, begin=0, label=label, group=f"g{i}"))
    own = train_head(grown, "s1", told)
    both = with_heads(grown, {"s1": own}, created_at_ns=4)
    assert heads_of(both).keys() == {"p2", "s1"}
    said = classify(both, "s1", told)
    assert np.mean([one.label == w.label for one, w in zip(said, told, strict=True)]) > 0.9
