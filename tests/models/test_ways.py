"""Quicker ways to compute an imported model: the same as over each window, or not taken."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from models.bundles.assemble import make_bundle
from models.detector import detector_of, opened
from models.detector_imported import ImportedDetector
from models.errors import ModelError
from models.foreign.imported import ImportedSpec
from models.window_ring import newest, run_lengths, write
from tests.models import foreign_models as theirs
from tests.models.test_imported import C, W, rows, taken_in
from tests.oracles_imported import scores_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.bundle import Bundle

LONG = 12  # samples of the windows of convolutions
AUTOENCODERS: dict[str, dict[str, Any]] = {
    "flat": {"shape": ["N", W * C]},
    "rows, total": {"shape": ["N", W, C], "total": True},
    "squared by Pow": {"shape": ["N", W * C], "square": "Pow", "linear": "transposed"},
    "MatMul": {"shape": ["N", W, C], "linear": "MatMul"},
    "five at once": {"shape": [5, W * C]},
}
CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "one layer": {"kernels": [(3, 1)]},
    "three": {"kernels": [(3, 1), (2, 1), (3, 1)]},
    "dilated": {"kernels": [(2, 1), (3, 2), (2, 5)]},
    "of one sample": {"kernels": [(1, 1), (3, 1)]},
    "forecast": {"kernels": [(3, 1), (3, 2)], "gives": "forecast"},
    "forecast of the whole window": {"kernels": [(4, 1), (5, 2)], "gives": "forecast"},
}


def made(name: str) -> bytes:
    """One of the models above."""
    if name in AUTOENCODERS:
        return theirs.autoencoder(size=W * C, **AUTOENCODERS[name])
    return theirs.convolution(LONG, C, **CONVOLUTIONS[name])


@functools.cache
def bundle_of(name: str, hop: int = 1) -> Bundle:
    """A bundle of it, as an import makes it."""
    return make_bundle([taken_in(made(name), higher_is="strange", hop=hop)[0]])


@functools.cache
def detector(name: str, way: str = "", hop: int = 1) -> ImportedDetector:
    """Loaded, to be run in the way that was found, or in another."""
    graph = bundle_of(name, hop).only.graph
    if way:
        whole = onnx.load_from_string(graph)
        spec = bundle_of(name, hop).only.spec
        spec = msgspec.structs.replace(spec, way=way, carried=0)
        del whole.metadata_props[:]
        helper.set_model_props(whole, {"andon_spec": msgspec.json.encode(spec).decode()})
        graph = whole.SerializeToString()
    found = detector_of(graph)
    assert isinstance(found, ImportedDetector)
    return found


def stream_of_rows(seed: int, n: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Rows (n, C) with a fault, holes and a gap."""
    chance = np.random.default_rng(seed)
    x = rows(n, seed=seed)
    x[n // 2 : n // 2 + 5, seed % C] += 6.0
    valid = chance.random(x.shape) > 0.01
    valid[n // 4 : n // 4 + 2] = False
    return x.astype(np.float32), valid


def in_pieces(
    run: ImportedDetector, name: str, seed: int, n: int, cuts: list[int], hop: int = 1
) -> NDArray[np.float64]:
    """Scores (n,) of a stream that comes in pieces, and goes on in the same state."""
    x, valid = stream_of_rows(seed, n)
    state, parts = run.initial_state(1), []
    for begin, end in itertools.pairwise([0, *sorted(cuts), n]):
        piece = x[None, begin:end], valid[None, begin:end]
        parts.append(run.advance(*piece, state, bundle_of(name, hop).only.parameters)[0])
    return np.concatenate(parts).astype(np.float64)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_a_squared_error_is_computed_without_its_reconstruction(name: str) -> None:
    """Whatever the exporter writes for it; and the import says so."""
    spec = bundle_of(name).only.spec
    assert isinstance(spec, ImportedSpec)
    assert spec.way == "products"
    _, told = taken_in(made(name))
    assert any("without its reconstruction" in line for line in told)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_without_padding_become_a_stream(name: str) -> None:
    """Each layer keeps what it takes of the past, no more than that and a window of errors."""
    spec = bundle_of(name).only.spec
    assert isinstance(spec, ImportedSpec)
    assert spec.way == "stream"
    assert 0 < spec.carried < 3 * LONG * (C + 2)


@pytest.mark.parametrize("name", [*AUTOENCODERS, *CONVOLUTIONS])
@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 70), max_size=30))
def test_the_quick_way_says_what_each_window_says_however_it_is_cut(
    name: str, seed: int, cuts: list[int]
) -> None:
    """Holes, gaps and faults included; the slow way is the model over each window as it came."""
    quick = in_pieces(detector(name), name, seed, 70, cuts)
    slow = in_pieces(detector(name, "windows"), name, seed, 70, [])
    np.testing.assert_allclose(quick, slow, rtol=1e-4, atol=1e-4)
    assert np.isfinite(slow).any()


@pytest.mark.parametrize("name", ["flat", "three", "dilated", "forecast"])
def test_windows_are_those_of_the_model_itself(name: str) -> None:
    """What is given in the quick way is what onnxruntime gives for each window, one by one."""
    theirs_alone, run = opened(made(name)), detector(name)
    spec = run.spec
    x, parameters = rows(40, seed=4).astype(np.float32), bundle_of(name).only.parameters
    found = run.given(x[None], np.ones((1, *x.shape), bool), run.initial_state(1), parameters)[0]
    level = parameters["center"][0], parameters["scale"][0]
    z = (x - level[0]) * level[1] if spec.scaled else x
    (taken,) = theirs_alone.get_inputs()
    for t in range(spec.line, len(x)):
        end = t + (spec.kind != "forecast")
        window = z[end - spec.window : end]
        if spec.layout == "columns":
            window = window.T
        shape = [1, *taken.shape[1:]]
        (told,) = theirs_alone.run(None, {taken.name: window.reshape(shape)})
        expected = told.reshape(-1) if spec.kind == "score" else z[t] - told.reshape(-1)
        np.testing.assert_allclose(found[t], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["flat", "three"])
@pytest.mark.parametrize("hop", [2, 4])
@settings(max_examples=8)
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 70), max_size=20))
def test_between_windows_the_last_score_holds(
    name: str, hop: int, seed: int, cuts: list[int]
) -> None:
    """As the slow twin has it, which knows nothing of rings; nothing is judged by holes."""
    run, bundle = detector(name, hop=hop), bundle_of(name, hop)
    x, valid = stream_of_rows(seed, 70)
    row = {key: value[0].astype(np.float64) for key, value in bundle.only.parameters.items()}
    row["present"] = bundle.only.parameters["present"][0]
    alone = detector(name, "windows", hop=hop)._calls
    assert alone is not None

    def ask(window: NDArray[np.float64], _: NDArray[np.bool_]) -> NDArray[np.float64]:
        alone.windows[0] = window
        return np.asarray(alone.ask(1)[0].astype(np.float64) * run.spec.sign)

    expected = scores_of(run.spec, row, x.astype(np.float64), valid, ask)
    found = in_pieces(run, name, seed, 70, cuts, hop)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)
    assert run.spec.hop == hop


@pytest.mark.parametrize(("name", "hop"), [("flat", 1), ("three", 1), ("dilated", 4), ("flat", 4)])
def test_rows_that_came_at_different_times_are_scored_as_each_alone(name: str, hop: int) -> None:
    """Rings stand at different places then; and an asset without a sample is left where it was."""
    run, parameters = detector(name, hop=hop), bundle_of(name, hop).only.parameters
    together = {key: np.repeat(value, 3, axis=0) for key, value in parameters.items()}
    state, chance = run.initial_state(3), np.random.default_rng(8)
    streams = [stream_of_rows(seed, 60) for seed in range(3)]
    at, found = [0, 0, 0], [[], [], []]  # type: ignore[var-annotated]
    while min(at) < 40:
        n = int(chance.integers(1, 4))
        here = np.flatnonzero(chance.random(3) < 0.7)
        here = here[[at[i] + n <= 60 for i in here]]
        if not len(here):
            continue
        x = np.stack([streams[i][0][at[i] : at[i] + n] for i in here])
        valid = np.stack([streams[i][1][at[i] : at[i] + n] for i in here])
        own = {key: value[here] for key, value in together.items()}
        some = state[here]
        score = run.advance(x, valid, some, own)
        state[here] = some
        for k, row in enumerate(here.tolist()):
            found[row].append(score[k])
            at[row] += n
    for i, (x, valid) in enumerate(streams):
        alone = run.initial_state(1)
        expected = run.advance(x[None, : at[i]], valid[None, : at[i]], alone, parameters)[0]
        np.testing.assert_allclose(np.concatenate(found[i]), expected, rtol=1e-4, atol=1e-4)


def test_scoring_leaves_the_state_that_it_was_given() -> None:
    """And says and leaves what advancing does, bit by bit."""
    run, parameters = detector("three"), bundle_of("three").only.parameters
    x, valid = stream_of_rows(3, 30)
    before = run.advance(x[None], valid[None], state := run.initial_state(1), parameters)
    assert before.shape == (1, 30)
    kept, more = state.copy(), (x[None, :1], valid[None, :1])
    score, after = run.score(*more, state, parameters)
    np.testing.assert_array_equal(state, kept)
    np.testing.assert_array_equal(run.advance(*more, state, parameters), score)
    np.testing.assert_array_equal(state, after)


def test_what_would_lose_digits_is_run_over_windows() -> None:
    """Far from zero the error is a small difference of large numbers: the trial sees it."""
    content = theirs.autoencoder(["N", W * C], W * C, level=2000.0)
    fit, _ = taken_in(content, values=rows() + 2000.0, higher_is="strange")
    assert isinstance(fit.spec, ImportedSpec)
    assert fit.spec.way == "windows"
    padded = theirs.convolution(LONG, C, kernels=[(3, 1), (3, 1)], pads=1)
    fit, _ = taken_in(padded, higher_is="strange")
    assert isinstance(fit.spec, ImportedSpec)
    assert fit.spec.way == "windows"


def test_a_way_that_the_model_has_not_is_refused() -> None:
    """Nobody runs something else than the bundle says."""
    with pytest.raises(ModelError, match="in the way that its bundle says"):
        detector("flat", "stream")
    with pytest.raises(ModelError, match="in the way that its bundle says"):
        detector("three", "products")
    with pytest.raises(ModelError, match="expected 1 to 4"):
        taken_in(made("flat"), hop=W + 1)


@given(
    sizes=st.lists(st.integers(0, 9), max_size=20),
    w=st.integers(1, 5),
    starts=st.lists(st.integers(0, 4), min_size=2, max_size=2),
)
def test_the_newest_window_lies_in_one_piece(sizes: list[int], w: int, starts: list[int]) -> None:
    """Equal to the end of a list of all samples, however they came."""
    ring, at = np.zeros((2, 2 * w, 1), np.float32), np.array([s % w for s in starts], np.float32)
    seen, t = [0.0] * w, 0
    for n in sizes:
        fresh = np.arange(t + 1, t + n + 1, dtype=np.float32)
        write(ring, np.repeat(fresh[None, :, None], 2, axis=0), at)
        seen, t = [*seen, *fresh.tolist()], t + n
    for row in range(2):
        begin = int(at[row])
        np.testing.assert_array_equal(ring[row, begin : begin + w, 0], seen[-w:])
        np.testing.assert_array_equal(newest(ring, at, w)[row, :, 0], seen[-w:])


@given(good=st.lists(st.booleans(), max_size=12), before=st.integers(0, 6), most=st.integers(1, 6))
def test_run_lengths_count_as_a_loop_does(good: list[bool], before: int, most: int) -> None:
    """At most so many, and the last is remembered."""
    run, expected = min(before, most), []
    for one in good:
        run = min(run + 1, most) if one else 0
        expected.append(run)
    state = np.array([min(before, most)], np.float32)
    found = run_lengths(np.array([good], bool).reshape(1, -1), state, most)
    np.testing.assert_array_equal(found[0], expected)
    assert state[0] == run
