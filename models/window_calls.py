"""Windows in, what an imported model gives for each out, through buffers that stay.

Windows are copied where the model reads them, as many at a time as stay in the processor's cache
with all that the model makes of them; nothing is allocated but what the model itself asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from models.foreign.imported import VALID
from models.graphs.onnx_types import GIVEN, KNOWN_MAX, PREFIX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.foreign.imported import ImportedSpec

    F32 = NDArray[np.float32]
    Mask = NDArray[np.bool_]

CELLS_MAX: Final = 2**17  # w c of all windows of a call: half a megabyte
WINDOWS_MAX: Final = 1024  # of a call
TYPES: Final = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(bool)": np.bool_}


class Session(Protocol):
    """What runs a graph."""

    def run(self, names: list[str], feed: dict[str, Any]) -> list[Any]:
        """The outputs named, for these inputs."""

    def run_with_iobinding(self, binding: Any) -> None:  # noqa: ANN401 - of onnxruntime
        """Fill what is bound as outputs of what is bound as inputs."""

    def io_binding(self) -> Any:  # noqa: ANN401 - likewise
        """Nothing bound yet."""

    def get_inputs(self) -> list[Any]:
        """Name, type and shape of each input."""


class WindowCalls:
    """A model of windows, loaded. Its buffers are in use while asked: one thread at a time."""

    def __init__(self, session: Session, spec: ImportedSpec) -> None:
        self._session, self._spec = session, spec
        self._fixed = spec.origin.batch
        cells = spec.window * spec.channels
        self.step = self._fixed or int(np.clip(CELLS_MAX // cells, 1, WINDOWS_MAX))
        kinds = {one.name: TYPES[one.type] for one in session.get_inputs()}
        name = PREFIX + spec.origin.input
        self._in: dict[str, NDArray[Any]] = {
            name: np.zeros((self.step, *_laid_out(spec)), kinds[name])
        }
        self.windows = _in_order(self._in[name], spec)  # (step, w, c), a view
        self._seen: NDArray[Any] | None = None  # likewise, of which values are there
        self._holed = False  # some of these are not
        if spec.masks:
            there: NDArray[Any] = np.ones((self.step, *_laid_out(spec)), kinds[PREFIX + VALID])
            self._in[PREFIX + VALID] = there
            self._seen = _in_order(there, spec)
        width = {"score": 1, "forecast": spec.channels, "reconstruction": cells}[spec.kind]
        self._out = np.zeros((self.step, width), np.float32)
        self.given = _newest(self._out, spec)  # (step, M), a view
        self._bound: dict[int, Any] = {}

    def ask(self, m: int) -> F32:
        """What the model gives (m, M) for the first m of `windows`; valid until the next call.

        A score as it comes, of reconstructions the newest sample, of forecasts the next one.
        """
        size = self._fixed or m
        if size not in self._bound:
            if len(self._bound) > 1:  # the whole step, and what is left of the rows
                self._bound = {k: v for k, v in self._bound.items() if k == self.step}
            self._bound[size] = self._binding(size)
        self._session.run_with_iobinding(self._bound[size])
        return self.given[:m]

    def over(
        self,
        source: F32,
        begin: int | NDArray[np.intp],
        rows: NDArray[np.intp],
        *,
        whole: Mask,
        fill: F32 | None,
    ) -> F32:
        """What the model gives (m, M) for windows that lie in one piece in a source (a, w' c).

        rows: (m,) that they are of. begin: where each begins (m,), or all, which are then of all
        rows. whole: (m,) of which no value is MISSING; fill: (a, c) what stands for these in other
        windows, None: 0.
        """
        spec, wide = self._spec, self._spec.window * self._spec.channels
        out = np.empty((len(rows), spec.errors), np.float32)
        apart = source if isinstance(begin, int) else sliding_window_view(source, wide, axis=1)
        for at in range(0, len(rows), self.step):
            some = slice(at, min(at + self.step, len(rows)))
            m = some.stop - at
            if isinstance(begin, int):
                flat = source[some, begin : begin + wide]
            else:
                flat = apart[rows[some], begin[some]]
            self.windows[:m] = flat.reshape(m, spec.window, spec.channels)
            if self._seen is not None:
                own = 0.0 if fill is None else fill[rows[some], None]
                self._mend(self.windows[:m], self._seen, own, whole=bool(whole[some].all()))
            out[some] = self.ask(m)
        return out

    def _mend(
        self, windows: NDArray[Any], seen: NDArray[Any], fill: float | F32, *, whole: bool
    ) -> None:
        """Tell the model which values are there, and put what stands for the others."""
        if not whole:
            known = windows < KNOWN_MAX
            seen[: len(windows)] = known
            np.copyto(windows, fill, where=~known, casting="same_kind")
        elif self._holed:
            seen[:] = 1
        self._holed = not whole

    def _binding(self, size: int) -> Any:  # noqa: ANN401 - of onnxruntime
        binding = self._session.io_binding()
        for name, array in self._in.items():
            some = array[:size]
            binding.bind_input(name, "cpu", 0, array.dtype.type, some.shape, array.ctypes.data)
        shape = (size, self._out.shape[1])
        binding.bind_output(GIVEN, "cpu", 0, np.float32, shape, self._out.ctypes.data)
        return binding


def _laid_out(spec: ImportedSpec) -> tuple[int, ...]:
    """The shape of one window as the model takes it."""
    w, c = spec.window, spec.channels
    return {"rows": (w, c), "columns": (c, w)}.get(spec.layout, (w * c,))


def _in_order(buffer: NDArray[Any], spec: ImportedSpec) -> NDArray[Any]:
    """Windows (N, w, c) as a view of how the model takes them."""
    if spec.layout in ("rows", "flat_rows"):
        return buffer.reshape(len(buffer), spec.window, spec.channels)
    return buffer.reshape(len(buffer), spec.channels, spec.window).transpose(0, 2, 1)


def _newest(out: F32, spec: ImportedSpec) -> F32:
    """What counts of the outputs (N, P), a view (N, M)."""
    return out if spec.kind != "reconstruction" else _in_order(out, spec)[:, -1]
