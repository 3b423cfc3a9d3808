"""Products of sliding windows over frequencies: what each window alone says."""

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
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, helper, numpy_helper

from models.bundles.assemble import make_bundle
from models.detector import detector_of
from models.detector_imported import ImportedDetector
from models.foreign.imported import ImportedSpec
from models.product_calls import ProductCalls
from models.sliding import TILES, Sliding, sliding_of
from tests.models import foreign_models as theirs
from tests.models.test_imported import C, rows, taken_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.bundle import Bundle

LONG = 128  # samples of a window
SHAPES: dict[str, dict[str, Any]] = {
    "flat": {"shape": ["N", LONG * C]},
    "rows": {"shape": ["N", LONG, C]},
    "MatMul": {"shape": ["N", LONG * C], "linear": "MatMul"},
}


def components(w: int) -> bytes:
    """Principal components of windows of some white rows: their squared error and T2."""
    chance = np.random.default_rng(w)
    turn = np.linalg.qr(chance.normal(size=(w * C, 5)))[0].astype(np.float32)
    mean = chance.normal(scale=0.2, size=w * C)
    weights: dict[str, NDArray[Any]] = {
        "to": turn,
        "to_b": (-mean @ turn).astype(np.float32),
        "back": np.ascontiguousarray(turn.T),
        "back_b": mean.astype(np.float32),
        "least": chance.uniform(0.5, 2.0, size=5).astype(np.float32),
        "axes": np.array([1]),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "to", "to_b"], ["z"]),
        helper.make_node("Gemm", ["z", "back", "back_b"], ["y"]),
        helper.make_node("Sub", ["x", "y"], ["apart"]),
        helper.make_node("Mul", ["apart", "apart"], ["square"]),
        helper.make_node("ReduceSum", ["square", "axes"], ["q"], keepdims=0),
        helper.make_node("Mul", ["z", "z"], ["far"]),
        helper.make_node("Mul", ["far", "least"], ["each"]),
        helper.make_node("ReduceSum", ["each", "axes"], ["t2"], keepdims=0),
        helper.make_node("Add", ["t2", "q"], ["error"]),
    ]
    graph = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", w * C])],
        [helper.make_tensor_value_info("error", TensorProto.FLOAT, ["N"])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def content_of(name: str) -> bytes:
    """One of the models above, or of principal components."""
    if name == "components":
        return components(LONG)
    return theirs.autoencoder(size=LONG * C, hidden=8, **SHAPES[name])


@functools.cache
def bundle_of(name: str) -> Bundle:
    """A bundle of it, as an import makes it."""
    content, values = content_of(name), rows(1500)
    fit, _ = taken_in(content, values=values, higher_is="strange", scaling="standard")
    return make_bundle([fit])


@functools.cache
def detector(name: str, way: str = "") -> ImportedDetector:
    """Loaded, to be run in the way that was found, or in another."""
    whole = onnx.load_from_string(bundle_of(name).only.graph)
    spec = bundle_of(name).only.spec
    assert isinstance(spec, ImportedSpec)
    spec = msgspec.structs.replace(spec, way=way or spec.way)
    del whole.metadata_props[:]
    helper.set_model_props(whole, {"andon_spec": msgspec.json.encode(spec).decode()})
    found = detector_of(whole.SerializeToString())
    assert isinstance(found, ImportedDetector)
    return found


@given(
    sizes=st.tuples(st.integers(1, 70), st.integers(1, 4), st.integers(1, 5), st.integers(1, 4)),
    n=st.integers(1, 80),
    tile=st.sampled_from([2, 8, *TILES]),
    seed=st.integers(0, 99),
)
def test_a_block_is_multiplied_as_each_of_its_windows(
    sizes: tuple[int, int, int, int], n: int, tile: int, seed: int
) -> None:
    """Whatever the window, the tile, and what is left of the last one."""
    w, c, outputs, many = sizes
    chance = np.random.default_rng(seed)
    wide, offset, twice, past, fresh = (
        chance.normal(size=size).astype(np.float32)
        for size in ((w * c, outputs), outputs, w * c, (many, w - 1, c), (many, n, c))
    )
    sliding = Sliding(wide, offset, twice, window=w, channels=c, tile=tile)
    planes, energy = sliding.over(past, fresh, sliding.room(many, n))
    products = (sliding.back @ planes).reshape(*energy.shape, outputs)
    in_time = (products.transpose(2, 1, 0, 3), energy.transpose(2, 1, 0))
    found, energies = (x.reshape(many, -1, *x.shape[3:])[:, :n] for x in in_time)
    series = np.concatenate([past, fresh], axis=1).astype(np.float64)
    windows = sliding_window_view(series, w, axis=1).transpose(0, 1, 3, 2).reshape(many, n, -1)
    np.testing.assert_allclose(found, windows @ wide + offset, atol=1e-4)
    np.testing.assert_allclose(energies, (windows**2).sum(axis=2) - windows @ twice, atol=1e-3)


def test_what_gains_nothing_or_is_large_is_not_taken_over_frequencies() -> None:
    """Short windows, narrow products, and matrices that fill a cache."""

    def tiles(w: int, c: int, outputs: int) -> list[int]:
        sizes = (w * c, outputs), outputs, w * c
        wide, offset, twice = (np.zeros(size, np.float32) for size in sizes)
        return [one.tile for one in sliding_of(wide, offset, twice, window=w, channels=c)]

    assert tiles(64, 8, 64) == [16, 32]
    assert tiles(8, 8, 64) == []
    assert tiles(64, 1, 2) == []
    assert tiles(512, 16, 64) == []


@pytest.mark.parametrize("name", [*SHAPES, "components"])
@settings(max_examples=8)
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 400), max_size=12))
def test_blocks_of_a_model_say_what_each_window_says_however_they_are_cut(
    name: str, seed: int, cuts: list[int]
) -> None:
    """Holes, gaps and faults included; many rows and one."""
    quick, slow, parameters = detector(name), detector(name, "windows"), bundle_of(name).only
    assert quick.spec.way == "products"
    chance = np.random.default_rng(seed)
    x = np.stack([rows(400, seed=seed + i) for i in range(20)]).astype(np.float32)
    x[:, 300:305, seed % C] += 6.0
    valid = chance.random(x.shape) > 0.001
    valid[3, 200:202] = False
    together = {key: np.repeat(one, 20, axis=0) for key, one in parameters.parameters.items()}
    state, found = quick.initial_state(20), []
    for begin, end in itertools.pairwise([0, *sorted(cuts), 400]):
        piece = slice(begin, end)
        found.append(quick.advance(x[:, piece], valid[:, piece], state, together))
    expected = slow.advance(x, valid, slow.initial_state(20), together)
    np.testing.assert_allclose(np.concatenate(found, axis=1), expected, rtol=1e-4, atol=1e-4)
    assert np.isfinite(expected).any()
    alone = slow.advance(x[:1], valid[:1], slow.initial_state(1), parameters.parameters)
    np.testing.assert_allclose(alone, expected[:1], rtol=1e-4, atol=1e-4)  # judged by itself


def test_blocks_are_taken_over_frequencies_and_single_samples_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row that was away, or has just begun, keeps none of the others from it."""
    run, parameters = detector("flat"), bundle_of("flat").only.parameters
    sizes: list[tuple[int, ...]] = []
    over = Sliding.over

    def counted(self: Sliding, past: Any, fresh: Any, room: Any) -> Any:  # noqa: ANN401
        sizes.append((self.tile, *fresh.shape[:2]))
        return over(self, past, fresh, room)

    monkeypatch.setattr(Sliding, "over", counted)
    together = {key: np.repeat(one, 3, axis=0) for key, one in parameters.items()}
    state = run.initial_state(3)
    for n in (LONG, 1, 16, 64, 20):
        x = np.stack([rows(n, seed=i) for i in range(3)]).astype(np.float32)
        valid = np.ones(x.shape, np.bool_)
        valid[2] = n != 1  # a gap, which lasts a window
        run.advance(x, valid, state, together)
    assert sizes == [(16, 3, 16), (32, 3, 64), (32, 3, 20)]


def test_a_loud_sample_leaves_the_windows_before_it_alone() -> None:
    """Over frequencies it would be rounded into all that are in its tile."""
    run, slow = detector("flat"), detector("flat", "windows")
    parameters = bundle_of("flat").only.parameters
    x = rows(3 * LONG).astype(np.float32)[None]
    valid = np.ones(x.shape, np.bool_)
    x[:, -20] = 1e6
    before, after = (
        each.given(x, valid, each.initial_state(1), parameters)[0, :, 0] for each in (run, slow)
    )
    quiet = slice(LONG, -20)
    np.testing.assert_allclose(before[quiet], after[quiet], rtol=1e-5)


@pytest.mark.parametrize("broken", ["block", "over"])
def test_a_model_of_which_either_way_says_otherwise_is_run_over_windows(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import's trial looks at blocks, and at windows one by one."""
    whole = getattr(ProductCalls, broken)
    monkeypatch.setattr(ProductCalls, broken, lambda *given: whole(*given) * np.float32(1.001))
    fit, _ = taken_in(
        content_of("flat"), values=rows(1500), higher_is="strange", scaling="standard"
    )
    assert isinstance(fit.spec, ImportedSpec)
    assert fit.spec.way == "windows"
