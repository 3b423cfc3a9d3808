"""A graph around an imported model, loaded as it is run: the model alone, and what judges it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from models.errors import ModelError
from models.foreign.imported import ImportedSpec
from models.graphs.alone import model_alone
from models.graphs.judged import build_block_judge, build_lines_judge, build_step_judge
from models.graphs.products import Products, behind_planes, over_windows, products
from models.graphs.safety import parsed
from models.graphs.streamed import stream_of
from models.product_calls import ProductParts
from models.sliding import sliding_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.graphs.stream_rings import Piece
    from models.window_calls import Session

NOT_SO: Final = "{} cannot be run in the way that its bundle says; import it again"


class ImportedParts(NamedTuple):
    """Sessions of one graph: of the model over windows, or in the way that was found for it."""

    model: Session | None
    step_judge: Session
    block_judge: Session
    lines_judge: Session | None  # of scores
    products: ProductParts | None
    stream: tuple[Session, Session, tuple[Piece, ...]] | None  # of a step, of blocks


def imported_parts(
    graph: bytes, opened: Callable[[bytes], Any]
) -> tuple[ImportedParts, ImportedSpec]:
    """The parts of a graph, and its spec. opened: makes a session of a graph, or raises.

    Raises ModelError or a ValueError where the graph is none of this version.
    """
    whole = parsed(graph, file="model.onnx")
    text = {one.key: one.value for one in whole.metadata_props}.get("andon_spec", "")
    spec = msgspec.json.decode(text, type=ImportedSpec)
    model, product, stream = model_alone(whole, spec), None, None
    if spec.way == "products":
        made = products(model, spec)
        if made is None:
            raise ModelError(NOT_SO.format(spec.origin.file))
        product = _product_parts(made, spec, opened)
    if spec.way == "stream":
        found = stream_of(model, spec)
        if found is None or found.carried != spec.carried:
            raise ModelError(NOT_SO.format(spec.origin.file))
        stream = opened(found.step), opened(found.block), found.pieces
    parts = ImportedParts(
        model=None if product else opened(model.SerializeToString()),
        step_judge=opened(build_step_judge(spec)),
        block_judge=opened(build_block_judge(spec)),
        lines_judge=opened(build_lines_judge(spec)) if spec.kind == "score" else None,
        products=product,
        stream=stream,
    )
    return parts, spec


def _product_parts(
    made: Products, spec: ImportedSpec, opened: Callable[[bytes], Any]
) -> ProductParts:
    weights, blocks = (made.wide, made.offset, made.twice), []
    if spec.scaled and not spec.origin.batch and spec.hop == 1:  # in sigmas, each sample's window
        for sliding in sliding_of(*weights, window=spec.window, channels=spec.channels):
            behind = behind_planes(made, sliding.back)
            blocks.append((opened(behind.SerializeToString()), sliding))
    windows = opened(over_windows(made).SerializeToString())
    return ProductParts(windows, made.twice, tuple(blocks))
