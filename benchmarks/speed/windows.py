"""Imported models of windows: what a tick costs against the multiplications that it is made of.

    python -m benchmarks.speed.windows

Two models as somebody would bring them, of windows of 64 samples of 8 channels, are imported on
rows of a made-up plant and then run as a bundle runs them: `ImportedDetector.advance`, from the
samples of a tick to scores, with the rings of all assets. What the engine does around it is not in
it. The multiplications are onnxruntime's own, an ONNX MatMul of 256 x 512 by 512 x 32, measured in
turn with the model on the same core. What the convolution is compared with is the same model, run
over each window anew by the same detector.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.speed.figure import Figure
from benchmarks.speed.interleaved import interleaved, pinned
from models.bundles.bundle import Channel
from models.detector import detector_of, opened
from models.detector_imported import ImportedDetector
from models.foreign.adopt import ImportOptions, import_asset
from models.foreign.imported import arrays_of
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from onnx import NodeProto

    F32 = NDArray[np.float32]

W: Final = 64
C: Final = 8
HIDDEN: Final = 32
CODE: Final = 8
MLP_FLOP: Final = (
    2 * (2 * W * C * HIDDEN + 2 * HIDDEN * CODE) + 3 * W * C
)  # 68,096, the error's too
CHANNELS: Final = (8, 16, 8, 16, 8)
KERNEL: Final = 5
MULTIPLIED: Final = (256, W * C, HIDDEN)
ROWS: Final = 4_000  # of which 250 are asked about at hop 16
ASSETS: Final = (1, 100, 1_000, 10_000)
TICKS: Final = 8  # of different samples, taken in turn


class Loop(NamedTuple):
    """A tick of so many assets; samples: of each in it."""

    tick: Callable[[], object]
    assets: int
    samples: int


def figures(assets: int = 1_000) -> list[Figure]:
    """The figures of windows, each beside what it is to be compared with."""
    with pinned():
        return [*(_multiplied(assets, hop) for hop in (1, 16)), _streamed(assets)]


def curves() -> dict[str, list[tuple[int, float]]]:
    """Values a second of a core for each number of assets, by model and hop."""
    found: dict[str, list[tuple[int, float]]] = {}
    with pinned():
        for name, content, hop in (
            ("mlp, hop 1", autoencoder(), 1),
            ("mlp, hop 16", autoencoder(), 16),
            ("convolution, hop 1", convolution(), 1),
        ):
            for assets in ASSETS:
                loop = of_bundle(content, assets, hop=hop)
                took_s = interleaved({"tick": loop.tick}, rounds=5)["tick"].median_s
                values = assets * loop.samples * C / took_s
                found.setdefault(name, []).append((assets, values))
    return found


def of_bundle(content: bytes, assets: int, *, hop: int = 1, anew: bool = False) -> Loop:
    """A tick of a model that was imported. anew: over each window, whatever the import found."""
    columns = "columns" if b"Conv" in content else None
    options = ImportOptions(alignment="rows", scaling="standard", hop=hop, layout=columns)
    fit = import_asset(_rows(), content, file="theirs.onnx", options=options)
    graph = _anew(fit.graph) if anew else fit.graph
    run = detector_of(graph)
    assert isinstance(run, ImportedDetector), "imported"
    own = arrays_of(fit.running)  # type: ignore[arg-type]
    parameters = {
        name: np.repeat(value[None], assets, axis=0)
        for name, value in own.items()
        if name not in ("moments", "learned")
    }
    chance = np.random.default_rng(1)
    samples = [chance.normal(size=(assets, hop, C)).astype(np.float32) for _ in range(TICKS)]
    state, there = run.initial_state(assets), np.ones((assets, hop, C), np.bool_)
    turn = itertools.cycle(samples)

    def tick() -> F32:
        return run.advance(next(turn), there, state, parameters)

    for _ in range(-(-W // hop)):  # a window of each
        tick()
    assert np.isfinite(tick()[:, -1]).all(), "every asset is scored"
    return Loop(tick, assets, hop)


def multiplications() -> tuple[Callable[[], object], int]:
    """One MatMul of onnxruntime between buffers that are bound, and what it computes, FLOP."""
    m, k, n = MULTIPLIED
    chance = np.random.default_rng(0)
    weight = chance.normal(size=(k, n)).astype(np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    session = opened(_model([node], [m, k], "y", [m, n], {"w": weight}))
    x, y = chance.normal(size=(m, k)).astype(np.float32), np.zeros((m, n), np.float32)
    bound = session.io_binding()
    bound.bind_input("x", "cpu", 0, np.float32, x.shape, x.ctypes.data)
    bound.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)

    def multiply(kept: tuple[F32, F32] = (x, y)) -> F32:
        session.run_with_iobinding(bound)
        return kept[1]

    return multiply, 2 * m * k * n


def autoencoder() -> bytes:
    """512-32-8-32-512 with ReLU; its mean squared error, as an exporter writes it."""
    sizes = (W * C, HIDDEN, CODE, HIDDEN, W * C)
    chance, nodes, before = np.random.default_rng(2), [], "x"
    weights: dict[str, NDArray[Any]] = {"axes": np.array([1])}
    for i, (wide, narrow) in enumerate(itertools.pairwise(sizes)):
        turn = chance.normal(scale=wide**-0.5, size=(wide, narrow))
        weights[f"w{i}"] = turn.astype(np.float32)
        weights[f"b{i}"] = chance.normal(scale=0.1, size=narrow).astype(np.float32)
        nodes.append(helper.make_node("Gemm", [before, f"w{i}", f"b{i}"], [f"h{i}"]))
        before = f"h{i}"
        if i < len(sizes) - 2:
            nodes.append(helper.make_node("Relu", [before], [f"r{i}"]))
            before = f"r{i}"
    nodes += _squared("x", before)
    return _model(nodes, ["N", W * C], "error", ["N"], weights)


def convolution() -> bytes:
    """8-16-8-16-8, kernel 5, ReLU, no padding; the mean squared error of what is left."""
    chance, nodes, before = np.random.default_rng(3), [], "x"
    weights: dict[str, NDArray[Any]] = {"axes": np.array([1, 2]), "time": np.array([2])}
    for i, (taken, given) in enumerate(itertools.pairwise(CHANNELS)):
        shape = (given, taken, KERNEL)
        spread = (taken * KERNEL) ** -0.5
        weights[f"w{i}"] = chance.normal(scale=spread, size=shape).astype(np.float32)
        weights[f"b{i}"] = chance.normal(scale=0.1, size=given).astype(np.float32)
        nodes.append(helper.make_node("Conv", [before, f"w{i}", f"b{i}"], [f"h{i}"]))
        before = f"h{i}"
        if i < len(CHANNELS) - 2:
            nodes.append(helper.make_node("Relu", [before], [f"r{i}"]))
            before = f"r{i}"
    weights |= {"begin": np.array([4 * (KERNEL - 1)]), "end": np.array([W])}
    nodes.append(helper.make_node("Slice", ["x", "begin", "end", "time"], ["rest"]))
    nodes += _squared("rest", before)
    return _model(nodes, ["N", C, W], "error", ["N"], weights)


def _multiplied(assets: int, hop: int) -> Figure:
    """The model's FLOP a second beside those of the multiplications."""
    multiply, flop = multiplications()
    loop = of_bundle(autoencoder(), assets, hop=hop)
    timed = interleaved({"multiply": multiply, "tick": loop.tick})
    rates = assets * MLP_FLOP / timed["tick"].cpu_s
    ratio = float(np.median(rates / (flop / timed["multiply"].cpu_s)))
    limit = flop / timed["multiply"].median_s / 1e9
    return Figure(
        id=f"mlp_hop{hop}_gemm",
        figure=float(np.median(rates)) / 1e9,
        unit="GFLOP/s",
        ratio=ratio,
        against=f"ONNX MatMul {' x '.join(map(str, MULTIPLIED))}, {limit:.0f} GFLOP/s",
        note=(
            f"autoencoder {W * C}-{HIDDEN}-{CODE}-{HIDDEN}-{W * C} imported, {assets:,} assets,"
            f" {MLP_FLOP:,} FLOP a window as it was brought, the ring, levels and the judgement"
            " included"
        ),
        at_least=0.55 if hop == 1 else 0.45,
    )


def _streamed(assets: int) -> Figure:
    """The convolution's values a second beside those of computing each window anew."""
    quick, slow = (of_bundle(convolution(), assets, anew=anew) for anew in (False, True))
    timed = interleaved({"quick": quick.tick, "slow": slow.tick})
    return Figure(
        id="conv_hop1",
        figure=assets * C / timed["quick"].median_s / 1e6,
        unit="M values/s",
        ratio=timed["quick"].ratio(timed["slow"]),
        against=f"each window anew, {assets * C / timed['slow'].median_s / 1e6:.2f} M values/s",
        note=(
            f"convolutional autoencoder {'-'.join(map(str, CHANNELS))}, kernel {KERNEL}, windows of"
            f" {W} without padding, error over the {W - 4 * (KERNEL - 1)} samples of it that are"
            f" left, {assets:,} assets; both sides score the same windows, one for each sample of"
            " each asset"
        ),
        at_least=10.0,
    )


def _rows() -> TrainingSamples:
    """Rows of a made-up plant, channels that follow one another."""
    chance = np.random.default_rng(4)
    x = np.zeros((ROWS, C))
    turn = 0.6 * np.linalg.qr(chance.normal(size=(C, C)))[0]
    for t in range(1, ROWS):
        x[t] = x[t - 1] @ turn + chance.normal(size=C)
    channels = tuple(Channel(name=f"c{i}", unit="bar") for i in range(C))
    return TrainingSamples(asset="r1", channels=channels, values=x, period_ns=10**9)


def _anew(graph: bytes) -> bytes:
    """A graph whose model is to be run over each window."""
    whole = onnx.load_from_string(graph)
    spec = msgspec.json.decode(whole.metadata_props[0].value)
    del whole.metadata_props[:]
    spec |= {"way": "windows", "carried": 0}
    helper.set_model_props(whole, {"andon_spec": msgspec.json.encode(spec).decode()})
    return bytes(whole.SerializeToString())


def _squared(one: str, other: str) -> list[NodeProto]:
    return [
        helper.make_node("Sub", [one, other], ["apart"]),
        helper.make_node("Mul", ["apart", "apart"], ["square"]),
        helper.make_node("ReduceMean", ["square", "axes"], ["error"], keepdims=0),
    ]


def _model(
    nodes: list[NodeProto],
    takes: list[int | str],
    output: str,
    gives: list[int | str],
    weights: dict[str, NDArray[Any]],
) -> bytes:
    """A model of one input x, as somebody would save it."""
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info("x", kind, takes)],
        [helper.make_tensor_value_info(output, kind, gives)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def main() -> None:
    """Print the figures and the curves."""
    for one in figures():
        reached = "" if one.reached is None else f", at least {one.at_least:g}: {one.reached}"
        print(f"{one.id}: {one.figure:.3g} {one.unit}, {one.ratio:.3g} of {one.against}{reached}")
        print(f"  {one.note}")
    for name, points in curves().items():
        told = ", ".join(f"{assets:,} assets {values / 1e6:.3g}" for assets, values in points)
        print(f"{name}, M values/s: {told}")


if __name__ == "__main__":
    main()
