"""Words of ONNX that the parts of the graph share; `graph` alone imports the library."""

from __future__ import annotations

from typing import Final

F32: Final = 1  # TensorProto.FLOAT
INT64: Final = 7
BOOL: Final = 9
LAST: Final = 2**31 - 1  # the end of an axis, for Slice
BLOCK_SAMPLES_MAX: Final = 256  # of one call: the triangle of decays is n x n
MISSING: Final = 1e30  # a past sample without a value, where a state keeps samples
KNOWN_MAX: Final = MISSING / 10
PREFIX: Final = "imported_"  # of all names of an imported model inside a graph of ours
GIVEN: Final = "given"  # what a model gives, as an output of a graph made of it
PRODUCTS: Final = "products"  # of windows and a matrix, an input of `models.graphs.products`
ENERGY: Final = "energy"  # of windows, another
OLD: Final = "old"  # what a stream takes of what was kept: `models.graphs.stream_rings`
NEW: Final = "new"  # and what is kept of its samples

Shape = tuple[int | str, ...]
Shaped = tuple[str, Shape]  # name and shape of a float32 value
Typed = tuple[str, int, Shape]  # name, element type, shape
