"""How an imported model is computed: as it was brought, or quicker where that says the same.

What is quicker is made of the model's own layers, and believed only after a trial on the rows at
hand, normal ones and ones made strange; else the model is run over each window as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from models.errors import ModelError
from models.foreign.calibrate import given_over
from models.graphs.alone import model_alone
from models.graphs.imported import build_imported_graph
from models.graphs.products import products
from models.graphs.safety import parsed
from models.graphs.streamed import stream_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.foreign.calibrate import NormalRows
    from models.foreign.foreign import Foreign
    from models.foreign.imported import ImportedSpec
    from models.foreign.windows import Taken

    F64 = NDArray[np.float64]

TRIED_ROWS: Final = 2_048  # the newest, as they are and moved
MOVED_SIGMAS: Final = 6.0
MOVED_ROWS: Final = 96  # one way
SAME: Final = 1e-5  # of the spread of what it gives, and of the number itself
ROUNDING: Final = 1e-6  # of the level: residuals are small differences of large numbers
WORDS: Final = {
    "stream": "each layer computes each sample once, and carries {carried} values",
    "products": "its squared error is computed without its reconstruction",
}


def quickest(
    spec: ImportedSpec, foreign: Foreign, taken: Taken, normal: NormalRows
) -> tuple[ImportedSpec, bytes, str]:
    """The spec with the way that is taken, its graph, and what there is to tell of it, ""."""
    graph = build_imported_graph(spec, foreign, taken)
    alone = model_alone(parsed(graph, file=foreign.file), spec)
    stream = stream_of(alone, spec)
    ways = []
    if stream is not None:
        ways.append(msgspec.structs.replace(spec, way="stream", carried=stream.carried))
    if spec.kind == "score" and products(alone, spec) is not None:
        ways.append(msgspec.structs.replace(spec, way="products"))
    rows = _tried(normal) if ways else np.empty(0)
    for other in ways:
        quick = build_imported_graph(other, foreign, taken)
        of = (spec, graph), (other, quick), rows, normal.level
        # of products windows one by one and over blocks are computed each in its own way
        if _say_the_same(*of) and (other.way == "stream" or _say_the_same(*of, slides=False)):
            return other, quick, WORDS[other.way].format(carried=other.carried)
    return spec, graph, ""


def _tried(normal: NormalRows) -> F64:
    """Rows (n, c): the newest as they are, then the same, of which channels are moved."""
    live, (_, sigma) = normal.live[-TRIED_ROWS:], normal.level
    chance = np.random.default_rng(0)
    blocks = -(-len(live) // MOVED_ROWS)
    ways = np.repeat(chance.choice((-1.0, 0.0, 1.0), size=(blocks, live.shape[1])), MOVED_ROWS, 0)
    return np.concatenate([live, live + MOVED_SIGMAS * sigma * ways[: len(live)]])


def _say_the_same(
    one: tuple[ImportedSpec, bytes],
    other: tuple[ImportedSpec, bytes],
    rows: F64,
    level: tuple[F64, F64],
    *,
    slides: bool = True,
) -> bool:
    try:
        first, second = (
            given_over(graph, spec, rows, level, slides=slides) for spec, graph in (one, other)
        )
    except ModelError:
        return False
    told = np.asarray(np.isfinite(first).all(axis=1))
    if not told.any() or (told != np.isfinite(second).all(axis=1)).any():
        return False
    calm = first[: len(rows) // 2][told[: len(rows) // 2]]
    spread = np.ptp(calm, axis=0) if len(calm) else np.zeros(first.shape[1])
    large = float(np.nanmax(np.abs(rows))) if one[0].kind != "score" else 0.0
    room = SAME * (spread + np.abs(first[told])) + ROUNDING * large
    return bool((np.abs(first[told] - second[told]) <= room).all())
