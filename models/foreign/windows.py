"""What a foreign model takes and gives: read from its inputs and outputs, and by trying it.

Shapes say most: (N, w c), (N, w, c), (N, c, w), or (N, c) for single samples. What they leave open
is asked for, never guessed in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from models.detector import ORT_ERRORS, opened
from models.errors import ModelError
from models.foreign.foreign import FLOATS, KINDS_OF_VALUES
from models.foreign.imported import VALID

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.foreign.foreign import Foreign, Value
    from models.foreign.imported import Kind, Layout

    F32 = NDArray[np.float32]
    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

WINDOW_SAMPLES_MAX: Final = 256  # a job's rows settle on as many of the past
LAYOUTS: Final[tuple[Layout, ...]] = ("rows", "columns", "flat_rows", "flat_columns")
CALL_WINDOWS: Final = 1024  # of any number that the model takes at once
BATCH_MAX: Final = 4_096  # windows that a model takes at once, filled up where there are fewer


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How a model is fed and read. masks: it has an input `valid`; batch: 0: any number."""

    input: Value
    output: Value
    valid: Value | None
    window: int
    layout: Layout
    batch: int


class ForeignRun:
    """A foreign model by itself; windows (N, w, c) in, what it gives for each out (N, ...)."""

    def __init__(self, foreign: Foreign, taken: Taken) -> None:
        """Load it. Raises ModelError where onnxruntime does not take it."""
        self._file, self._taken = foreign.file, taken
        try:
            self._session = opened(foreign.as_bytes())
        except ORT_ERRORS as error:
            raise ModelError(
                f"{foreign.file} cannot be run here: {error}; export it for an older opset, or"
                " without operators that onnxruntime does not know"
            ) from error

    def __call__(self, windows: NDArray[Any], seen: Mask | None = None) -> F64:
        """What the model gives (N, ...); seen (N, w, c): which values are there, None: all."""
        taken = self._taken
        n, step = len(windows), taken.batch or CALL_WINDOWS
        x = laid_out(windows, taken.layout).astype(FLOATS[taken.input.kind])
        there = laid_out(np.ones(windows.shape, np.bool_) if seen is None else seen, taken.layout)
        parts = []
        for begin in range(0, n, step):
            feed = {taken.input.name: self._whole(x[begin : begin + step])}
            if taken.valid is not None:
                kind = KINDS_OF_VALUES[taken.valid.kind]
                feed[VALID] = self._whole(there[begin : begin + step]).astype(kind)
            parts.append(self._run(feed)[: min(step, n - begin)])
        return np.concatenate(parts).astype(np.float64)

    def _whole(self, block: NDArray[Any]) -> NDArray[Any]:
        """As many windows as the model takes at once, (N, ...): the last ones again and again."""
        batch = self._taken.batch
        return block if not batch else block[np.minimum(np.arange(batch), len(block) - 1)]

    def _run(self, feed: dict[str, NDArray[Any]]) -> NDArray[Any]:
        try:
            (given,) = self._session.run([self._taken.output.name], feed)
        except ORT_ERRORS as error:
            name = self._taken.input.name
            raise ModelError(
                f"{self._file}: input {name} of shape {feed[name].shape} does not run: {error};"
                " name the right --window and --layout"
            ) from error
        array = np.asarray(given)
        if array.ndim == 0 or len(array) != len(feed[self._taken.input.name]):
            raise ModelError(
                f"{self._file}: output {self._taken.output.name} has shape {array.shape} for"
                f" {len(feed[self._taken.input.name])} windows; expected a row a window"
            )
        return array


def laid_out(windows: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Windows (n, w, c) as a model takes them."""
    turned = windows if layout in ("rows", "flat_rows") else windows.transpose(0, 2, 1)
    return turned.reshape(len(windows), -1) if layout.startswith("flat") else turned


def windows_over(values: NDArray[Any], window: int) -> NDArray[Any]:
    """Every window (n - w + 1, w, c) of values (n, c), a view; none where there are too few."""
    n, c = values.shape
    if n < window:
        return np.empty((0, window, c), values.dtype)
    return sliding_window_view(values, window, axis=0).transpose(0, 2, 1)


def what_it_takes(
    foreign: Foreign,
    channels: int,
    *,
    window: int | None,
    layout: str | None,
    output: str | None,
    tell: Callable[[str], object],
) -> Taken:
    """How a model is fed with c channels. Raises ModelError where that cannot be told."""
    values = [one for one in foreign.inputs if one.name != VALID]
    valid = next((one for one in foreign.inputs if one.name == VALID), None)
    if len(values) != 1 or values[0].kind not in FLOATS:
        names = ", ".join(one.name for one in foreign.inputs) or "none"
        raise ModelError(
            f"{foreign.file} has the inputs {names}; expected one of float32 or float64 for the"
            f" values (and at most one more, `{VALID}`, of their shape): export it with one input"
            " for all channels"
        )
    if valid is not None and valid.kind not in KINDS_OF_VALUES:
        raise ModelError(f"{foreign.file}: the input `{VALID}` is no bool or float; export it so")
    (value,) = values
    if layout is not None and layout not in LAYOUTS:
        raise ModelError(f"--layout is {layout!r}, expected one of {', '.join(LAYOUTS)}")
    chosen, samples = _layout(foreign.file, value, channels, window=window, layout=layout)
    if not 1 <= samples <= WINDOW_SAMPLES_MAX:
        raise ModelError(
            f"{foreign.file} takes windows of {samples} samples, expected 1 to"
            f" {WINDOW_SAMPLES_MAX}: longer ones would not be warm again in time after a job"
        )
    batch = value.shape[0] or 0
    if batch > BATCH_MAX:
        raise ModelError(
            f"{foreign.file} takes {batch} windows at once, at most {BATCH_MAX} can be given;"
            " export it with a batch of any size"
        )
    told = f"{channels} channels" if samples == 1 else f"windows of {samples} x {channels}"
    order = f", as {chosen}" if samples > 1 and channels > 1 else ""
    tell(f"input {value.name}: {told}{order}{f', {batch} at once' if batch else ''}")
    return Taken(
        input=value,
        output=_output(foreign, output, tell),
        valid=valid,
        window=samples,
        layout=chosen,
        batch=batch,
    )


def _layout(
    file: str, value: Value, c: int, *, window: int | None, layout: str | None
) -> tuple[Layout, int]:
    """How a window is laid out, and its samples."""
    where = f"{file}: input {value.name} of shape {_shown(value.shape)}"
    if len(value.shape) == 2:
        if layout in ("rows", "columns"):
            raise ModelError(f"{where} is flat; name --layout flat_rows or flat_columns")
        size = value.shape[1] or (window * c if window else None)
        if size is not None and size % c:
            raise ModelError(
                f"{where}: {size} is no multiple of the {c} channels of the recording; name the"
                " channels that it was trained on, in their order, with --channels"
            )
        found: Layout = "flat_columns" if layout == "flat_columns" else "flat_rows"
        return found, _agreed(where, None if size is None else size // c, window)
    if len(value.shape) != 3:
        raise ModelError(f"{where}; expected (N, w c), (N, w, c) or (N, c, w)")
    if layout in ("flat_rows", "flat_columns"):
        raise ModelError(f"{where} is not flat; name --layout rows or columns")
    return _of_three(where, value, c, window=window, layout=layout)


def _of_three(
    where: str, value: Value, c: int, *, window: int | None, layout: str | None
) -> tuple[Layout, int]:
    """The layout of windows of three axes: one of them has the channels, the other the samples."""
    _, first, second = value.shape
    sides: dict[Layout, tuple[int | None, int | None]] = {
        "rows": (second, first),
        "columns": (first, second),
    }
    named = [n for n, (width, _) in sides.items() if layout in (None, n) and width in (c, None)]
    if len(named) == 2 and window:
        named = [name for name in named if sides[name][1] in (window, None)] or named
    if len(named) == 2:  # where one side is open, the other one tells
        named = [name for name in named if sides[name][0] == c] or named
    if len(named) != 1:
        many = "both (N, w, c) and (N, c, w) fit: name --layout rows or columns"
        none = (
            f"no side has the {c} channels of the recording: name those that it was trained on,"
            " in their order, with --channels"
        )
        raise ModelError(f"{where}: {many if named else none}")
    return named[0], _agreed(where, sides[named[0]][1], window)


def _agreed(where: str, found: int | None, window: int | None) -> int:
    """The samples of a window, as the shape or the option says."""
    if found is None and window is None:
        raise ModelError(f"{where} does not say how many samples it takes; name --window")
    if found is not None and window not in (None, found):
        raise ModelError(f"{where} takes {found} samples, not --window {window}; leave it out")
    samples = found if found is not None else window
    assert samples is not None, "one of them is told"
    return samples


def _output(foreign: Foreign, named: str | None, tell: Callable[[str], object]) -> Value:
    """The output that counts: the one that is named, else the only one of numbers."""
    numbers = [one for one in foreign.outputs if one.kind in FLOATS]
    listed = ", ".join(one.name for one in foreign.outputs)
    if named is not None:
        found = [one for one in numbers if one.name == named]
        if not found:
            raise ModelError(
                f"{foreign.file} has no output {named!r} of float32 or float64; it has {listed}"
            )
    else:
        found = numbers
    if len(found) != 1:
        raise ModelError(
            f"{foreign.file} has the outputs {listed}; expected one of float32 or float64: name"
            " the one that counts with --output"
        )
    if len(foreign.outputs) > 1:
        tell(f"output {found[0].name} counts, of {listed}")
    return found[0]


def kind_of(given: F64, taken: Taken, channels: int, *, file: str, kind: str | None) -> Kind:
    """What a model's output is, of any shape: score, reconstruction or forecast.

    Raises ModelError where the shape is of none, or of several and `kind` does not say which.
    """
    sizes = tuple(size for size in given.shape[1:] if size != 1)
    whole = laid_out(np.empty((1, taken.window, channels)), taken.layout).shape[1:]
    fits: dict[Kind, bool] = {
        "score": sizes == (),
        "reconstruction": given.shape[1:] == whole,
        "forecast": sizes == ((channels,) if channels > 1 else ()),
    }
    if taken.window == 1 and fits["reconstruction"] and channels > 1 and kind is None:
        return "reconstruction"  # a forecast from a single sample is rare, and can be named
    possible: list[Kind] = [one for one, does in fits.items() if does and kind in (None, one)]
    if len(possible) == 1:
        return possible[0]
    expected = (
        f"a score (N,) or (N, 1), a reconstruction {_shown((None, *whole))}, or a forecast of the"
        f" next sample (N, {channels})"
    )
    where = f"{file}: output {taken.output.name} has shape (N, {_shown(given.shape[1:])[1:]}"
    asked = f"; it may be {' or '.join(possible)}: name --kind" if possible else ""
    raise ModelError(f"{where}, expected {expected}{asked}")


def _shown(shape: tuple[int | None, ...]) -> str:
    sizes = [str(size or "?") for size in shape]
    if shape and not shape[0]:
        sizes[0] = "N"
    return f"({', '.join(sizes)})"
