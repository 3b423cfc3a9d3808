"""One peer in its own environment: `python -I worker.py NAME STREAM.npy CORE`.

Knows nothing of Andon, so that it runs where only the peer is installed. It makes itself ready,
says so, and then works for as long as each line on stdin says, in seconds; every answer is a line
of JSON: values taken, processor and wall seconds. What makes it ready is not counted: fitting, and
cutting the stream into records and windows as the peer wants them.

STREAM: (t, a, c) float32, samples of all assets at t times.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import sys
import time
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Step = Callable[[], int]  # works a little; how many values it took

WINDOW: Final = 64
RECORDS: Final = 2_000  # of a chunk of records: the clock is asked seldom
BATCHES: Final = 8  # of windows, made before
FITTED: Final = 4_000  # rows or windows that a peer is fitted on
COMPONENTS: Final = 16  # of a principal component model of windows
WIDTHS: Final = (32, 8)  # of the reference autoencoder 512-32-8-32-512
STUMPI_SAMPLES: Final = 1_000


def records(stream: NDArray[np.float32]) -> list[dict[str, float]]:
    """Samples of all assets as dictionaries, as river takes them, scaled to 0 to 1."""
    rows = scaled(stream)
    names = [f"c{i}" for i in range(rows.shape[1])]
    return [dict(zip(names, row, strict=True)) for row in rows[: 4 * RECORDS].tolist()]


def scaled(stream: NDArray[np.float32]) -> NDArray[np.float64]:
    """All samples (t a, c), each asset's channel from 0 to 1 as half-space trees ask for."""
    low, high = stream.min(axis=0), stream.max(axis=0)
    rows = (stream - low) / np.maximum(high - low, 1e-9)
    return np.asarray(rows.reshape(-1, stream.shape[2]), np.float64)


def windows(stream: NDArray[np.float32]) -> NDArray[np.float64]:
    """Windows (batches, a, w c) of all assets at BATCHES times, standardized; hop 1."""
    mean, spread = stream.mean(axis=0), stream.std(axis=0)
    z = (stream - mean) / np.maximum(spread, 1e-9)
    cut = [z[k : k + WINDOW].transpose(1, 0, 2).reshape(z.shape[1], -1) for k in range(BATCHES)]
    return np.asarray(cut, np.float64)


def each(act: Callable[[Any], object], items: list[Any], values: int) -> Step:
    """A step that hands RECORDS items to `act`, one by one; each stands for so many values."""
    source = cycle(items)

    def step() -> int:
        for _ in range(RECORDS):
            act(next(source))
        return RECORDS * values

    return step


def batches(act: Callable[[Any], object], given: list[Any], values: int) -> Step:
    """A step that hands one batch to `act`; each stands for so many values."""
    source = cycle(given)

    def step() -> int:
        act(next(source))
        return values

    return step


def _half_space_trees(stream: NDArray[np.float32], *, learns: bool) -> Step:
    from river.anomaly import HalfSpaceTrees

    model = HalfSpaceTrees(seed=1)
    items = records(stream)
    for item in items[:RECORDS]:
        model.learn_one(item)

    def act(item: dict[str, float]) -> None:
        model.score_one(item)
        model.learn_one(item)

    return each(act if learns else model.score_one, items, stream.shape[2])


def river_hst(stream: NDArray[np.float32]) -> Step:
    return _half_space_trees(stream, learns=True)


def river_hst_score(stream: NDArray[np.float32]) -> Step:
    return _half_space_trees(stream, learns=False)


def river_svm(stream: NDArray[np.float32]) -> Step:
    from river.anomaly import OneClassSVM

    model = OneClassSVM()

    def act(item: dict[str, float]) -> None:
        model.score_one(item)
        model.learn_one(item)

    return each(act, records(stream), stream.shape[2])


def pysad_loda(stream: NDArray[np.float32]) -> Step:
    from pysad.models import LODA

    model = LODA()
    rows = list(scaled(stream)[: 4 * RECORDS])
    return each(model.fit_score_partial, rows, stream.shape[2])


def pysad_loda_score(stream: NDArray[np.float32]) -> Step:
    from pysad.models import LODA

    model = LODA()
    rows = list(scaled(stream)[: 4 * RECORDS])
    for row in rows[:RECORDS]:
        model.fit_partial(row)
    return each(model.score_partial, rows, stream.shape[2])


def pyod_pca_windows(stream: NDArray[np.float32]) -> Step:
    from pyod.models.pca import PCA

    cut = windows(stream)
    model = PCA(n_components=COMPONENTS, random_state=1).fit(cut.reshape(-1, cut.shape[2])[:FITTED])
    return batches(model.decision_function, list(cut), stream.shape[1] * stream.shape[2])


def _of_rows(stream: NDArray[np.float32], model: Any) -> Step:  # noqa: ANN401 - of PyOD
    rows = np.asarray(stream, np.float64)
    model.fit(rows.reshape(-1, rows.shape[2])[:: max(1, rows[..., 0].size // FITTED)])
    return batches(model.decision_function, list(rows), stream.shape[1] * stream.shape[2])


def pyod_pca_rows(stream: NDArray[np.float32]) -> Step:
    from pyod.models.pca import PCA

    return _of_rows(stream, PCA(random_state=1))


def pyod_hbos_rows(stream: NDArray[np.float32]) -> Step:
    from pyod.models.hbos import HBOS

    return _of_rows(stream, HBOS())


def _autoencoder(stream: NDArray[np.float32]) -> tuple[Any, list[Any]]:
    import torch
    from numalogic.models.autoencoder.variants import VanillaAE

    torch.set_num_threads(1)
    torch.manual_seed(1)
    c = stream.shape[2]
    sizes = {"encoder_layersizes": WIDTHS, "decoder_layersizes": WIDTHS[::-1]}
    model = VanillaAE(seq_len=WINDOW, n_features=c, **sizes).eval()
    cut = windows(stream).astype(np.float32)
    return model, [torch.from_numpy(batch.reshape(-1, WINDOW, c).copy()) for batch in cut]


def numalogic(stream: NDArray[np.float32]) -> Step:
    import torch

    model, given = _autoencoder(stream)

    def act(batch: Any) -> None:  # noqa: ANN401 - of torch
        with torch.inference_mode():
            model.predict_step(batch, 0)

    return batches(act, given, stream.shape[1] * stream.shape[2])


def numalogic_forward(stream: NDArray[np.float32]) -> Step:
    import torch

    model, given = _autoencoder(stream)

    def act(batch: Any) -> None:  # noqa: ANN401 - of torch
        with torch.inference_mode():
            model(batch)

    return batches(act, given, stream.shape[1] * stream.shape[2])


def stumpy_stumpi(stream: NDArray[np.float32]) -> Step:
    import stumpy

    one = np.ascontiguousarray(stream[:, :, 0].T.reshape(-1), np.float64)
    model = stumpy.stumpi(one[:STUMPI_SAMPLES], m=WINDOW, egress=True)
    source = cycle(one[STUMPI_SAMPLES : 3 * STUMPI_SAMPLES].tolist())

    def step() -> int:
        for _ in range(20):
            model.update(next(source))
        return 20

    return step


def bytewax_map(stream: NDArray[np.float32]) -> Step:
    import bytewax.operators as op
    from bytewax.dataflow import Dataflow
    from bytewax.testing import TestingSink, TestingSource, run_main

    names = [f"m{i:03d}" for i in range(stream.shape[1])]
    given = [(name, row) for at in stream[:10] for name, row in zip(names, at, strict=True)]

    taken = len(given) * int(stream.shape[2])

    def move(mean: Any, row: Any) -> Any:  # noqa: ANN401 - arrays (c,) or None
        mean = row if mean is None else mean + np.float32(0.1) * (row - mean)
        return mean, float(np.abs(row - mean).max())

    def step() -> int:
        flow = Dataflow("speed")
        items = op.input("in", flow, TestingSource(given, batch_size=1_000))
        op.output("out", op.stateful_map("move", items, move), TestingSink([]))
        run_main(flow)
        return taken

    return step


WAYS: Final[dict[str, Callable[[NDArray[np.float32]], Step]]] = {
    way.__name__: way
    for way in (
        river_hst,
        river_hst_score,
        river_svm,
        pysad_loda,
        pysad_loda_score,
        pyod_pca_windows,
        pyod_pca_rows,
        pyod_hbos_rows,
        numalogic,
        numalogic_forward,
        stumpy_stumpi,
        bytewax_map,
    )
}


def serve(make: Callable[[NDArray[np.float32]], Step], path: str, core: int) -> None:
    """Make ready, then work whenever told to."""
    os.sched_setaffinity(0, {core})
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no answer
    step = make(np.load(path))
    for _ in range(3):
        step()
    gc.collect()
    gc.freeze()
    answers.write(json.dumps({"ready": True, "versions": _versions(), "rss_mb": _rss_mb()}) + "\n")
    for line in sys.stdin:
        seconds, values = float(line), 0
        begin_s, cpu_s = time.monotonic(), time.process_time()
        while (wall_s := time.monotonic() - begin_s) < seconds:
            values += step()
        told = {"values": values, "cpu_s": time.process_time() - cpu_s, "wall_s": wall_s}
        answers.write(json.dumps(told) + "\n")


def _versions() -> dict[str, str]:
    return {one.metadata["Name"]: one.version for one in importlib.metadata.distributions()}


def _rss_mb() -> float:
    with open("/proc/self/statm", encoding="ascii") as told:  # noqa: PTH123 - no more is needed
        return int(told.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    serve(WAYS[sys.argv[1]], sys.argv[2], int(sys.argv[3]))
