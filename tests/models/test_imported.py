"""Models of others as detectors: the graph around them, what is found out, what is refused."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from models.bundles.assemble import make_bundle
from models.bundles.bundle import cannot_mask
from models.bundles.card import model_card
from models.bundles.rows import without
from models.bundles.store import load, save
from models.detector import detector_of
from models.detector_imported import ImportedDetector
from models.errors import ModelError
from models.fitting.fit import options_of
from models.foreign.adopt import ImportOptions, import_asset
from models.foreign.imported import ImportedSpec
from models.foreign.windows import ForeignRun, laid_out
from tests.models import foreign_models as theirs
from tests.models.plants import fitted, plant, samples
from tests.oracles_imported import scores_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bundles.bundle import AssetFit, Bundle

C = 3
W = 4
TURN = np.array([[0.5, 0.1, 0.0], [0.0, 0.4, 0.2], [0.1, 0.0, 0.3]])


def rows(n: int = 900, *, seed: int = 1) -> NDArray[np.float64]:
    """Rows of a VAR(1) whose forecast is TURN (n, C), around zero."""
    noise = np.random.default_rng(seed).normal(size=(n, C))
    x = np.zeros((n, C))
    for t in range(1, n):
        x[t] = x[t - 1] @ TURN + noise[t]
    return x


def taken_in(
    content: bytes,
    *,
    values: NDArray[np.float64] | None = None,
    asset: str = "r1",
    **options: object,
) -> tuple[AssetFit, list[str]]:
    """A model calibrated on `rows`, and what was told about it."""
    told: list[str] = []
    fit = import_asset(
        samples(rows() if values is None else values, asset=asset),
        content,
        file="theirs.onnx",
        options=ImportOptions(alignment="rows", **options),  # type: ignore[arg-type]
        tell=told.append,
    )
    return fit, told


def wide() -> NDArray[np.float64]:
    """A projection of flat windows on half their space (W C, W C)."""
    basis = np.linalg.qr(np.random.default_rng(3).normal(size=(W * C, W * C // 2)))[0]
    return np.asarray(basis @ basis.T)


MODELS = {
    "score of rows": lambda: theirs.squares(["N", C]),
    "score of flat windows": lambda: theirs.squares(["N", W * C], sign=-1.0),
    "score of columns, float64": lambda: theirs.squares(["N", C, W], kind=TensorProto.DOUBLE),
    "score, five at once": lambda: theirs.squares([5, W, C]),
    "score of an old opset": lambda: theirs.squares(["N", W, C], opset=15),
    "reconstruction": lambda: theirs.projection(["N", W, C], wide()),
    "reconstruction, one at once": lambda: theirs.projection([1, W, C], wide()),
    "reconstruction with masks": lambda: theirs.projection(["N", W, C], wide(), masks=True),
    "forecast": lambda: theirs.forecast(W, C, TURN),
    "forecast with masks": lambda: theirs.forecast(W, C, TURN, masks=True),
}


def asked(name: str, window: NDArray[np.float64], spec: ImportedSpec) -> NDArray[np.float64]:
    """What each of MODELS gives for one window (w, c), in numpy; missing values are 0."""
    if name.startswith("score"):
        return np.array([spec.sign * (window**2).sum()])
    if name.startswith("forecast"):
        return np.asarray(window[-1] @ TURN)
    return np.asarray((window.reshape(-1) @ wide()).reshape(W, C)[-1])


@functools.cache
def bundle_of(name: str) -> Bundle:
    """A bundle of one of MODELS."""
    scaling = "none" if name != "reconstruction" else "standard"
    return make_bundle([taken_in(MODELS[name](), scaling=scaling)[0]])


@functools.cache
def detector(name: str) -> ImportedDetector:
    """Its graph, loaded."""
    found = detector_of(bundle_of(name).only.graph)
    assert isinstance(found.spec, ImportedSpec)
    assert isinstance(found, ImportedDetector)
    return found


def told_scores(
    name: str, x: NDArray[np.float64], valid: NDArray[np.bool_], cuts: list[int]
) -> NDArray[np.float64]:
    """Scores (n,) of a stream that comes in pieces."""
    run = detector(name)
    state, parts = run.initial_state(1), []
    edges = [0, *sorted(cuts), len(x)]
    for begin, end in itertools.pairwise(edges):
        piece, there = x[begin:end].astype(np.float32)[None], valid[begin:end][None]
        score, state = run.score(piece, there, state, bundle_of(name).only.parameters)
        parts.append(score[0])
    return np.concatenate(parts).astype(np.float64)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 60), max_size=4))
def test_the_graph_scores_as_the_slow_twin_however_it_is_cut(
    name: str, seed: int, cuts: list[int]
) -> None:
    """Holes, gaps and faults included; so it is causal, and its state holds all it needs."""
    chance = np.random.default_rng(seed)
    x = rows(60, seed=seed)
    x[40:50, seed % C] += 5.0
    valid = chance.random(x.shape) > 0.02
    valid[20:22] = False
    spec, parameters = bundle_of(name).only.spec, bundle_of(name).only.parameters
    assert isinstance(spec, ImportedSpec)
    row = {key: value[0].astype(np.float64) for key, value in parameters.items()}
    row["present"] = parameters["present"][0]

    def ask(window: NDArray[np.float64], there: NDArray[np.bool_]) -> NDArray[np.float64]:
        return asked(name, np.where(there, window, 0.0), spec)

    expected = scores_of(spec, row, x.astype(np.float32).astype(np.float64), valid, ask)
    if name == "score of flat windows":
        assert spec.sign == -1  # the twin's score is signed twice: as the model does, and as we do
    found = told_scores(name, x, valid, cuts)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", MODELS)
def test_normal_rows_are_as_strange_as_the_score_says(name: str) -> None:
    """On rows that nothing was calibrated on: a score of 2 about once in a hundred."""
    x = rows(6000, seed=77)
    score = told_scores(name, x, np.ones(x.shape, bool), [])
    assert np.isnan(score[: bundle_of(name).only.spec.window - 1]).all()  # type: ignore[union-attr]
    ready = score[np.isfinite(score)]
    assert len(ready) > 5900
    assert 0.002 < (ready > 2.0).mean() < 0.03
    assert (ready > 1.0).mean() < 0.2


@pytest.mark.parametrize("name", MODELS)
def test_a_channel_that_leaves_is_found_and_named(name: str) -> None:
    """Contributions are shares, and the moved channel has the largest."""
    x = rows(200, seed=5)
    x[150:, 1] += 9.0
    valid = np.ones(x.shape, bool)
    score = told_scores(name, x, valid, [])
    assert np.nanmax(score[150:160]) > bundle_of(name).assets[0].threshold_on
    run, parameters = detector(name), bundle_of(name).only.parameters
    shares = run.contribute(
        x.astype(np.float32)[None], valid[None], run.initial_state(1), parameters
    )[0]
    ready = np.isfinite(score)
    assert (shares >= 0.0).all()
    np.testing.assert_allclose(shares[ready].sum(axis=1), 1.0, atol=1e-5)
    assert (shares[~ready] == 0.0).all()
    assert shares[151:156].mean(axis=0).argmax() == 1


def test_without_masks_a_hole_has_no_score_and_no_channel_can_be_left_out() -> None:
    """It cannot be asked what it would say without a channel."""
    x = rows(60, seed=9)
    valid = np.ones(x.shape, bool)
    valid[30, 2] = False
    score = told_scores("forecast", x, valid, [])
    assert np.isnan(score[30:35]).all()
    assert np.isfinite(score[35:]).all()
    masked = without(bundle_of("forecast"), 0, np.array([True, True, False]))
    run = detector("forecast")
    rest, _ = run.score(x.astype(np.float32)[None], valid[None], run.initial_state(1), masked)
    assert np.isnan(rest).all()
    assert cannot_mask(bundle_of("forecast").assets[0].metrics)


def test_with_masks_what_is_left_out_cannot_matter() -> None:
    """Not even by a bit, whatever it is; and the rest is scored."""
    assert not cannot_mask(bundle_of("forecast with masks").assets[0].metrics)
    run = detector("forecast with masks")
    masked = without(bundle_of("forecast with masks"), 0, np.array([True, True, False]))
    x = rows(60, seed=9).astype(np.float32)
    other = x.copy()
    other[:, 2] = 1e6
    there = np.ones((1, *x.shape), bool)
    one, _ = run.score(x[None], there, run.initial_state(1), masked)
    two, _ = run.score(other[None], there, run.initial_state(1), masked)
    np.testing.assert_array_equal(one, two)
    assert np.isfinite(one[0, W:]).all()
    shares = run.contribute(x[None], there, run.initial_state(1), masked)
    assert (shares[:, :, 2] == 0.0).all()


def test_which_way_is_strange_is_tried_and_told() -> None:
    """A forest's scores fall, a distance rises; a word of the user goes before."""
    fit, told = taken_in(theirs.stump([-3.0] * C, [3.0] * C))
    assert isinstance(fit.spec, ImportedSpec)
    assert fit.spec.sign == -1
    assert any("--higher-is normal" in line for line in told)
    assert any("scores counts, of label, scores" in line for line in told)
    fit, told = taken_in(theirs.squares(["N", C]))
    assert isinstance(fit.spec, ImportedSpec)
    assert fit.spec.sign == 1
    fit, _ = taken_in(theirs.squares(["N", C]), higher_is="normal")
    assert isinstance(fit.spec, ImportedSpec)
    assert fit.spec.sign == -1


def test_scaling_is_chosen_by_what_comes_nearer() -> None:
    """An autoencoder for sigmas reconstructs engineering units badly."""
    values = rows() * [0.01, 1.0, 50.0] + [5.0, -3.0, 400.0]
    fit, told = taken_in(theirs.projection(["N", W, C], wide()), values=values)
    assert isinstance(fit.spec, ImportedSpec)
    assert fit.spec.scaled
    assert any("--scaling standard" in line for line in told)
    fit, _ = taken_in(theirs.forecast(W, C, TURN))
    assert isinstance(fit.spec, ImportedSpec)
    assert not fit.spec.scaled


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (lambda: b"no model", {}, "no ONNX model"),
        (lambda: b"", {}, "no ONNX model"),
        (lambda: theirs.across_the_batch(C), {}, "looks across the batch"),
        (lambda: theirs.one_node("RandomNormalLike", C), {}, "draws chance"),
        (lambda: theirs.one_node("Odd", C, domain="com.example"), {}, "com.example"),
        (lambda: theirs.one_node("Sqrt", C), {}, "NaN or infinity"),
        (lambda: theirs.weights_elsewhere(C), {}, "another file"),
        (lambda: theirs.squares(["N", C], sign=0.0), {}, "nothing can be told apart"),
        (lambda: theirs.squares(["N", 7]), {}, "no multiple of the 3 channels"),
        (lambda: theirs.squares(["N", 5, 2]), {}, "no side has the 3 channels"),
        (lambda: theirs.squares(["N", C, C]), {}, "name --layout"),
        (lambda: theirs.squares(["N", None, C]), {}, "name --window"),
        (lambda: theirs.squares(["N", None]), {}, "name --window"),
        (lambda: theirs.squares(["N", W, C]), {"window": 9}, "takes 4 samples, not --window 9"),
        (lambda: theirs.squares(["N", 300, C]), {}, "expected 1 to 256"),
        (lambda: theirs.squares(["N", C]), {"output": "odd"}, "no output 'odd'"),
        (lambda: theirs.squares(["N", C]), {"kind": "odd"}, "--kind is 'odd'"),
        (lambda: theirs.squares(["N", C]), {"kind": "forecast"}, "expected a score"),
        (lambda: theirs.squares(["N", W, C]), {"layout": "flat_rows"}, "is not flat"),
    ],
)
def test_what_cannot_be_trusted_is_refused_with_what_to_do(
    content: Callable[[], bytes], options: dict[str, Any], says: str
) -> None:
    """Where, what, what was expected, what to do."""
    with pytest.raises(ModelError, match=says.replace("(", r"\(")) as refused:
        taken_in(content(), **options)
    assert len(str(refused.value)) > 40


def test_too_large_a_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap counts bytes of the file."""
    content = theirs.squares(["N", C])
    monkeypatch.setattr("models.foreign.foreign.MODEL_BYTES_MAX", len(content) - 1)
    with pytest.raises(ModelError, match=f"at most {len(content) - 1}"):
        taken_in(content)


def test_a_model_that_takes_too_long_is_refused_unless_somebody_says_otherwise() -> None:
    """What a sample takes is told; a bound that no model can keep, and none."""
    content = theirs.squares(["N", C])
    with pytest.raises(ModelError, match="ms for one sample of one asset") as refused:
        taken_in(content, tick_ms_max=1e-9)
    assert "--tick-ms-max" in str(refused.value)
    _, told = taken_in(content, tick_ms_max=0.0)
    (line,) = [one for one in told if "takes" in one and "ms" in one]
    assert line.startswith("one sample of one asset takes")


def test_a_model_that_takes_seconds_is_not_timed_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused after two windows, before it is asked for those of the whole recording."""
    hours = itertools.count(step=3600.0)
    monkeypatch.setattr("models.foreign.adopt.time.perf_counter", lambda: next(hours))
    asked = []
    run = ForeignRun.__call__

    def counted(self: ForeignRun, windows: Any, seen: Any = None) -> Any:  # noqa: ANN401
        asked.append(len(windows))
        return run(self, windows, seen)

    monkeypatch.setattr(ForeignRun, "__call__", counted)
    with pytest.raises(ModelError, match=r"takes 3\.6e"):
        taken_in(theirs.squares(["N", C]))
    assert asked == [1, 1]


def test_open_sizes_are_named() -> None:
    """A model of any length takes the window that is said."""
    fit, _ = taken_in(theirs.squares(["N", None, C]), window=6)
    assert isinstance(fit.spec, ImportedSpec)
    assert (fit.spec.window, fit.spec.layout) == (6, "rows")
    fit, _ = taken_in(theirs.squares(["N", None, None]), window=6, layout="columns")
    assert isinstance(fit.spec, ImportedSpec)
    assert (fit.spec.window, fit.spec.layout) == (6, "columns")


@pytest.mark.parametrize("layout", ["rows", "columns", "flat_rows", "flat_columns"])
def test_windows_are_laid_out_as_asked(layout: str) -> None:
    """Channel j of sample i stands where the layout says."""
    windows = np.arange(2 * W * C).reshape(2, W, C)
    out = laid_out(windows, layout)  # type: ignore[arg-type]
    for i in range(W):
        for j in range(C):
            place = {
                "rows": (0, i, j),
                "columns": (0, j, i),
                "flat_rows": (0, i * C + j),
                "flat_columns": (0, j * W + i),
            }[layout]
            assert out[place] == windows[0, i, j]


def test_a_bundle_is_kept_checked_described_and_grows(tmp_path: Path) -> None:
    """The model's origin stands in it; another asset joins with the same model, not with others."""
    fit, _ = taken_in(theirs.squares(["N", C]))
    first = make_bundle([fit])
    save(first, tmp_path / "one")
    again = load(tmp_path / "one")
    assert again.only.spec == first.only.spec
    assert again.sha256 == first.sha256
    card = model_card(again)
    assert isinstance(first.only.spec, ImportedSpec)
    assert first.only.spec.origin.sha256 in card
    assert "never suppressed" not in card
    assert "no event of its assets is ever suppressed" in card
    other = import_asset(
        samples(rows(seed=4), asset="r2"),
        theirs.squares(["N", C]),
        file="theirs.onnx",
        options=ImportOptions(alignment="rows"),
    )
    child = make_bundle([other], parent=again)
    assert [model.asset for model in child.assets] == ["r1", "r2"]
    assert child.only.graph == first.only.graph
    np.testing.assert_array_equal(
        child.only.parameters["tail_knots"][0], first.only.parameters["tail_knots"][0]
    )
    stranger, _ = taken_in(theirs.squares(["N", C], calm=1.0), asset="r3")
    mixed = make_bundle([stranger, fitted(asset="r4")], parent=child)
    assert len(mixed.parts) == 3  # another model is another part, and so is our own detector
    save(mixed, tmp_path / "mixed")
    assert load(tmp_path / "mixed").sha256 == mixed.sha256
    with pytest.raises(ModelError, match="andon model import"):
        options_of(mixed, "r3")
    assert options_of(mixed, "r4").detector == "var"


def test_faults_among_the_rows_do_not_widen_the_tails() -> None:
    """Rows unlike the rest are left out, as for our own detectors, and it is said how many."""
    values = plant(1500, seed=2, c=C)
    bad = values.copy()
    bad[700:740] += 12.0 * values.std(axis=0)
    clean, _ = taken_in(theirs.squares(["N", C]), values=values, scaling="standard")
    fit, _ = taken_in(theirs.squares(["N", C]), values=bad, scaling="standard")
    assert fit.metrics["contaminated"] >= 30
    assert fit.tail.score <= clean.tail.score + 1.0
    calm = make_bundle([clean]).assets[0].threshold_on
    assert make_bundle([fit]).assets[0].threshold_on < calm + 1.0
